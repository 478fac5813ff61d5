// SPDX-License-Identifier: Apache-2.0
#include "server/context_json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "core/version.h"
#include "server/batch_items.h"
#include "server/json_in.h"

namespace fulcrum::server {
namespace {

using core::AttributeType;
using core::Value;

constexpr std::string_view kParseError = "PARSE_ERROR";
constexpr std::string_view kInvalidContext = "INVALID_CONTEXT";
constexpr size_t kMaxAttributes = 1000;

bool Fail(std::string_view code, std::string details, ContextError* error) {
  *error = {code, std::move(details)};
  return false;
}

// A value that converts to no declared type; see core/value.h.
Value NoType() { return Value::Float(std::numeric_limits<double>::quiet_NaN()); }

// A variant whose exposure the log would refuse must not be shown: its unit would be missing from
// the analysis, and from one arm as likely as from the other only with luck.
std::string NoId(std::string_view name) {
  return std::string(name) + " must be at most " + std::to_string(kMaxIdBytes) +
         " bytes without control characters, because its exposures could not be logged.";
}

// nullopt for null: the attribute is absent.
std::optional<Value> ToValue(const Published& published, std::string_view key,
                             JsonElement element) {
  switch (element.type()) {
    case JsonType::BOOL:
      return Value::Bool(element.get_bool().value_unsafe());
    case JsonType::INT64:
      return Value::Int(element.get_int64().value_unsafe());
    case JsonType::UINT64:
      return Value::Float(static_cast<double>(element.get_uint64().value_unsafe()));
    case JsonType::DOUBLE:
      return Value::Float(element.get_double().value_unsafe());
    case JsonType::STRING: {
      const std::string_view text = element.get_string().value_unsafe();
      if (published.has_time_attributes) {
        const auto at = published.attributes.find(ToAbsl(key));
        if (at != published.attributes.end() && at->second == AttributeType::kTimeMs) {
          const std::optional<int64_t> time_ms = ParseRfc3339(text);
          return time_ms ? Value::TimeMs(*time_ms) : NoType();
        }
      }
      return Value::String(text);
    }
    case JsonType::NULL_VALUE:
      return std::nullopt;
    default:
      return NoType();
  }
}

bool ReadContextObject(const Published& published, JsonObject object, ContextBuffer* buffer,
                       ContextError* error) {
  for (const auto [key, element] : object) {
    if (key == "targetingKey") {
      if (element.is_null()) continue;
      const std::optional<std::string_view> text = AsText(element);
      if (!text) {
        return Fail(kInvalidContext,
                    "targetingKey must be text, not " + std::string(TypeName(element)) + ".",
                    error);
      }
      if (!text->empty() && !IsId(*text)) return Fail(kInvalidContext, NoId("targetingKey"), error);
      buffer->context.targeting_key = *text;
      continue;
    }
    if (buffer->attributes.size() == kMaxAttributes) {
      return Fail(kInvalidContext, "The context has more than 1000 attributes.", error);
    }
    if (const std::optional<Value> value = ToValue(published, key, element)) {
      buffer->attributes.push_back({key, *value});
    }
    if (element.is_string() && published.UnitKind(key) >= 0) {
      const std::string_view id = element.get_string().value_unsafe();
      if (!id.empty() && !IsId(id)) return Fail(kInvalidContext, NoId(key), error);
      buffer->units.push_back({key, id});
    }
  }
  return true;
}

// A text from a URL, as the declared type; nullopt where it is not one.
std::optional<Value> ReadAs(AttributeType type, const std::string& text) {
  switch (type) {
    case AttributeType::kBool:
      if (text == "true") return Value::Bool(true);
      if (text == "false") return Value::Bool(false);
      return std::nullopt;
    case AttributeType::kInt: {
      const std::optional<int64_t> value = ParseInt(text);
      return value ? std::optional(Value::Int(*value)) : std::nullopt;
    }
    case AttributeType::kFloat: {
      const std::optional<double> value = ParseDouble(text);
      return value ? std::optional(Value::Float(*value)) : std::nullopt;
    }
    case AttributeType::kString:
      return Value::String(text);
    case AttributeType::kVersion:
      return core::IsVersion(text) ? std::optional(Value::Version(text)) : std::nullopt;
    case AttributeType::kTimeMs: {
      std::optional<int64_t> value = ParseRfc3339(text);
      if (!value) value = ParseInt(text);
      return value ? std::optional(Value::TimeMs(*value)) : std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

bool ParseContext(const Published& published, std::string_view body, int64_t now_ms,
                  ContextBuffer* buffer, ContextError* error) {
  buffer->Clear();
  std::string problem;
  const std::optional<JsonElement> root = ParseJson(body, &problem);
  if (!root) return Fail(kParseError, "The body cannot be read: " + problem + ".", error);
  JsonObject object;
  if (root->get_object().get(object) != simdjson::SUCCESS) {
    return Fail(kParseError,
                "The body must be an object like {\"context\": {\"targetingKey\": \"…\"}}.", error);
  }
  JsonElement context;
  if (object.at_key("context").get(context) == simdjson::SUCCESS && !context.is_null()) {
    JsonObject fields;
    if (context.get_object().get(fields) != simdjson::SUCCESS) {
      return Fail(kInvalidContext,
                  "context must be an object, not " + std::string(TypeName(context)) + ".", error);
    }
    if (!ReadContextObject(published, fields, buffer, error)) return false;
  }
  buffer->context.attributes = buffer->attributes;
  buffer->context.units = buffer->units;
  buffer->context.now_ms = now_ms;
  return true;
}

bool ParseQueryContext(const Published& published, std::string_view unit_kind, int64_t now_ms,
                       const std::vector<std::pair<std::string, std::string>>& query,
                       ContextBuffer* buffer, ContextError* error) {
  buffer->Clear();
  for (const auto& [name, text] : query) {
    if (!IsValidUtf8(name) || !IsValidUtf8(text)) {
      return Fail(kInvalidContext, "The query is not UTF-8.", error);
    }
    if ((name == "unit" || published.UnitKind(name) >= 0) && !text.empty() && !IsId(text)) {
      return Fail(kInvalidContext, NoId(name), error);
    }
    if (name == "unit") {
      buffer->units.push_back({unit_kind, text});
      if (unit_kind == published.default_unit_kind()) buffer->context.targeting_key = text;
      continue;
    }
    if (name == "explain") continue;
    const bool is_kind = published.UnitKind(name) >= 0;
    if (is_kind) buffer->units.push_back({name, text});
    const auto at = published.attributes.find(ToAbsl(name));
    if (at == published.attributes.end()) {
      if (is_kind) continue;
      std::vector<std::string> known;
      for (const auto& [key, type] : published.attributes) known.push_back(key);
      std::sort(known.begin(), known.end());
      const std::string near = DidYouMean(name, known);
      return Fail(kInvalidContext,
                  "'" + name + "' is neither a declared attribute nor a unit kind" +
                      (near.empty() ? "." : "; did you mean '" + near + "'?"),
                  error);
    }
    const std::optional<Value> value = ReadAs(at->second, text);
    if (!value) {
      return Fail(kInvalidContext,
                  "'" + text + "' cannot be the " +
                      std::string(core::AttributeTypeName(at->second)) + " attribute '" + name +
                      "'.",
                  error);
    }
    buffer->attributes.push_back({at->first, *value});
  }
  buffer->context.attributes = buffer->attributes;
  buffer->context.units = buffer->units;
  buffer->context.now_ms = now_ms;
  return true;
}

}  // namespace fulcrum::server
