// SPDX-License-Identifier: Apache-2.0
//
// Text that crosses a boundary: UTF-8, JSON strings, numbers. One escaper and one exact number form
// for the whole program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fulcrum {

bool IsValidUtf8(std::string_view text);

// Appends `text` as a JSON string with its quotes. Invalid UTF-8 is the caller's to refuse first.
void AppendJsonString(std::string_view text, std::string* out);
std::string JsonString(std::string_view text);

// The shortest form that reads back to the same double; "NaN", "Infinity", "-Infinity" otherwise.
std::string FormatDouble(double value);
// The same, but always with a point or an exponent, so that a reader keeps it a float: "1.0".
std::string FormatFloat(double value);

// The whole text as a finite double or as an integer; nullopt on anything else ("010" is not an
// integer, "1e999" is not a double).
std::optional<double> ParseDouble(std::string_view text);
std::optional<int64_t> ParseInt(std::string_view text);

// For HTML and XML text and attribute values.
std::string EscapeHtml(std::string_view text);

// [A-Za-z0-9._-]+, at most 200 bytes: what an experiment, metric, layer or flag may be called.
bool IsKey(std::string_view text);

// The candidate nearest to `word` by edit distance when near enough to be a slip, else "".
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace fulcrum
