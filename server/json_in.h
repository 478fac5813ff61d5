// SPDX-License-Identifier: Apache-2.0
//
// JSON that arrives, through simdjson with one parser a thread, so that a request allocates nothing
// for it after the first. Internal to server/.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

namespace fulcrum::server {

using JsonElement = simdjson::dom::element;
using JsonObject = simdjson::dom::object;
using JsonArray = simdjson::dom::array;
using JsonType = simdjson::dom::element_type;

// One document at a time: what was parsed before becomes invalid. `text` may go after the call.
// nullopt with a sentence in *error where it is not JSON.
std::optional<JsonElement> ParseJson(std::string_view text, std::string* error);

// "a number", "null", ...: for messages.
std::string_view TypeName(JsonElement element);

inline std::optional<std::string_view> AsText(JsonElement element) {
  std::string_view text;
  if (element.get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
  return text;
}

// An integer or a fraction; never a text.
inline std::optional<double> AsNumber(JsonElement element) {
  if (!element.is_number()) return std::nullopt;
  double number = 0;
  if (element.get_double().get(number) != simdjson::SUCCESS) return std::nullopt;
  return number;
}

}  // namespace fulcrum::server
