// SPDX-License-Identifier: Apache-2.0
#include "server/json_in.h"

namespace fulcrum::server {
namespace {

// Deep enough for any context or event, shallow enough for any stack.
constexpr size_t kMaxDepth = 64;

simdjson::dom::parser& ThreadParser() {
  thread_local simdjson::dom::parser parser;
  thread_local const bool ready = [] {
    return parser.allocate(16 << 10, kMaxDepth) == simdjson::SUCCESS;
  }();
  static_cast<void>(ready);  // A failed allocation shows as an error of the parse.
  return parser;
}

}  // namespace

std::optional<JsonElement> ParseJson(std::string_view text, std::string* error) {
  JsonElement root;
  const simdjson::error_code code =
      ThreadParser().parse(text.data(), text.size(), /*realloc_if_needed=*/true).get(root);
  if (code == simdjson::SUCCESS) return root;
  switch (code) {
    case simdjson::EMPTY:
      *error = "the body is empty, send JSON";
      break;
    case simdjson::UTF8_ERROR:
      *error = "the text is not UTF-8";
      break;
    case simdjson::DEPTH_ERROR:
      *error = "the JSON is nested more than 64 deep";
      break;
    case simdjson::NUMBER_ERROR:
      *error = "a number is malformed or out of range";
      break;
    case simdjson::CAPACITY:
    case simdjson::MEMALLOC:
      *error = "the JSON is too large to parse";
      break;
    default:
      *error = "the JSON is malformed";
  }
  return std::nullopt;
}

std::string_view TypeName(JsonElement element) {
  switch (element.type()) {
    case JsonType::ARRAY:
      return "an array";
    case JsonType::OBJECT:
      return "an object";
    case JsonType::INT64:
    case JsonType::UINT64:
    case JsonType::DOUBLE:
      return "a number";
    case JsonType::STRING:
      return "text";
    case JsonType::BOOL:
      return "a bool";
    case JsonType::NULL_VALUE:
      return "null";
  }
  return "something else";
}

}  // namespace fulcrum::server
