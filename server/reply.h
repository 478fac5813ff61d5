// SPDX-License-Identifier: Apache-2.0
//
// The one shape of an error, and small helpers to print JSON by hand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/http.h"

namespace fulcrum::server {

// {"key"?, "errorCode", "errorDetails", "metadata": {}}: the shape OFREP asks for, on every route,
// so that one client-side reader does. `details` is a sentence.
void ReplyError(int status, std::string_view code, std::string_view details, Response* response,
                std::string_view key = {});

// The same, with Retry-After in whole seconds.
void ReplyBusy(int status, std::string_view code, std::string_view details, int retry_after_s,
               Response* response);

// 404, 409, 400 or 503 by the status's code.
void ReplyStatus(const absl::Status& status, Response* response);

// "9f2c…" in quotes, of the bytes.
std::string EntityTag(std::string_view bytes);

// Whether an If-None-Match list (weak comparison, "*" included) names `etag`.
bool MatchesTag(std::string_view if_none_match, std::string_view etag);

void AppendInt(int64_t value, std::string* out);

// "12.5" (shortest exact form); for finite values.
void AppendDouble(double value, std::string* out);

// ,"name":"value" — the comma is left out at the start of an object.
void AppendField(std::string_view name, std::string_view value, std::string* out);
void AppendField(std::string_view name, const char* value, std::string* out);
void AppendField(std::string_view name, int64_t value, std::string* out);
void AppendField(std::string_view name, bool value, std::string* out);
// ,"name": and nothing after it.
void AppendName(std::string_view name, std::string* out);

}  // namespace fulcrum::server
