// SPDX-License-Identifier: Apache-2.0
#include "server/json_in.h"

#include <memory>

namespace fulcrum::server {
namespace {

// Deep enough for any context or event, shallow enough for any stack.
constexpr size_t kMaxDepth = 64;

// A thread that once parsed a huge batch does not keep its memory for ever.
constexpr size_t kKeptBytes = 2 << 20;

simdjson::dom::parser& ThreadParser(size_t size) {
  thread_local std::unique_ptr<simdjson::dom::parser> parser;
  if (parser == nullptr || (parser->capacity() > kKeptBytes && size < kKeptBytes)) {
    parser = std::make_unique<simdjson::dom::parser>();
    // A failure to allocate shows as an error of the parse.
    [[maybe_unused]] const auto error = parser->allocate(16 << 10, kMaxDepth);
  }
  return *parser;
}

}  // namespace

std::optional<JsonElement> ParseJson(std::string_view text, std::string* error) {
  JsonElement root;
  const simdjson::error_code code = ThreadParser(text.size())
                                        .parse(text.data(), text.size(), /*realloc_if_needed=*/true)
                                        .get(root);
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
