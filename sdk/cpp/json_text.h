// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sdk/cpp/include/fulcrum/client.h"

// JSON that is written. (What is read goes through the JSON library, in the .cc files that read.)
namespace fulcrum::sdk {

bool IsUtf8(std::string_view text);
void AppendJsonString(std::string_view text, std::string* out);  // text is UTF-8
void AppendInt(int64_t value, std::string* out);
void AppendDouble(double value, std::string* out);  // shortest that reads back; finite
// A value as JSON: a version is text, a time whole milliseconds. False where it cannot be written:
// text that is not UTF-8, a number that is not finite.
bool AppendValue(const Value& value, std::string* out);

}  // namespace fulcrum::sdk
