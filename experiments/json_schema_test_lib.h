// SPDX-License-Identifier: Apache-2.0
//
// Enough of JSON Schema draft-07 to hold docs/schema against the samples: every keyword that the
// schemas use, and an exception for any other. Tests only.
#pragma once

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>

namespace fulcrum::experiments {

class JsonSchema {
 public:
  using Json = nlohmann::json;

  // `files` by name, for references from one to another.
  explicit JsonSchema(std::map<std::string, Json> files) : files_(std::move(files)) {}

  // The path of the first violation within `value`, "" where there is none.
  std::string Check(const std::string& file, const Json& value) const {
    return Visit(files_.at(file), file, value, "$");
  }

 private:
  using Result = std::string;

  Result Visit(const Json& schema, const std::string& file, const Json& value,
               const std::string& path) const {
    if (schema.is_boolean()) return schema.get<bool>() ? "" : path + ": not allowed";
    if (schema.contains("$ref")) return Follow(schema["$ref"], file, value, path);
    for (const auto& [keyword, rule] : schema.items()) {
      static const std::set<std::string> kIgnored = {"$schema",     "title", "description",
                                                     "definitions", "then",  "else"};
      if (kIgnored.count(keyword) > 0) continue;
      Result result = Apply(keyword, rule, schema, file, value, path);
      if (!result.empty()) return result;
    }
    return "";
  }

  Result Follow(const std::string& ref, const std::string& file, const Json& value,
                const std::string& path) const {
    const size_t hash = ref.find('#');
    const std::string target = hash == 0 ? file : ref.substr(0, hash);
    const Json& found = files_.at(target).at(Json::json_pointer(ref.substr(hash + 1)));
    return Visit(found, target, value, path);
  }

  Result Apply(const std::string& keyword, const Json& rule, const Json& schema,
               const std::string& file, const Json& value, const std::string& path) const {
    const auto fail = [&](bool ok) { return ok ? "" : path + ": " + keyword + " " + rule.dump(); };
    const auto holds = [&](const Json& one) { return Visit(one, file, value, path).empty(); };
    if (keyword == "type") return fail(HasType(rule, value));
    if (keyword == "const") return fail(value == rule);
    if (keyword == "enum") return fail(std::find(rule.begin(), rule.end(), value) != rule.end());
    if (keyword == "not") return fail(!holds(rule));
    if (keyword == "anyOf") return fail(std::any_of(rule.begin(), rule.end(), holds));
    if (keyword == "oneOf") return fail(std::count_if(rule.begin(), rule.end(), holds) == 1);
    if (keyword == "allOf") {
      for (const Json& one : rule) {
        Result result = Visit(one, file, value, path);
        if (!result.empty()) return result;
      }
      return "";
    }
    if (keyword == "if") {
      const char* branch = holds(rule) ? "then" : "else";
      return schema.contains(branch) ? Visit(schema[branch], file, value, path) : "";
    }
    if (IsFor(keyword, kObject)) {
      return value.is_object() ? OfObject(keyword, rule, schema, file, value, path) : "";
    }
    if (IsFor(keyword, kArray)) {
      return value.is_array() ? OfArray(keyword, rule, file, value, path) : "";
    }
    if (IsFor(keyword, kText)) {
      if (!value.is_string()) return "";
      const std::string text = value.get<std::string>();
      if (keyword == "maxLength") return fail(text.size() <= rule.get<size_t>());
      return fail(std::regex_search(text, std::regex(rule.get<std::string>())));
    }
    if (IsFor(keyword, kNumber)) {
      if (!value.is_number()) return "";
      const double number = value.get<double>(), bound = rule.get<double>();
      if (keyword == "minimum") return fail(number >= bound);
      if (keyword == "maximum") return fail(number <= bound);
      if (keyword == "exclusiveMinimum") return fail(number > bound);
      return fail(number < bound);
    }
    throw std::runtime_error("the test does not know the schema keyword " + keyword);
  }

  Result OfObject(const std::string& keyword, const Json& rule, const Json& schema,
                  const std::string& file, const Json& value, const std::string& path) const {
    if (keyword == "minProperties") {
      return value.size() >= rule.get<size_t>() ? "" : path + ": too few entries";
    }
    if (keyword == "required") {
      for (const Json& key : rule) {
        if (!value.contains(key.get<std::string>())) return path + ": lacks " + key.dump();
      }
      return "";
    }
    if (keyword == "dependencies") {
      for (const auto& [key, need] : rule.items()) {
        if (!value.contains(key)) continue;
        if (need.is_object()) {
          Result result = Visit(need, file, value, path);
          if (!result.empty()) return result;
          continue;
        }
        for (const Json& other : need) {
          if (!value.contains(other.get<std::string>())) return path + ": lacks " + other.dump();
        }
      }
      return "";
    }
    for (const auto& [key, member] : value.items()) {
      Result result;
      const std::string at = path + "." + key;
      if (keyword == "propertyNames") {
        result = Visit(rule, file, Json(key), at);
      } else if (keyword == "properties" && rule.contains(key)) {
        result = Visit(rule[key], file, member, at);
      } else if (keyword == "additionalProperties" &&
                 !(schema.contains("properties") && schema["properties"].contains(key))) {
        result = Visit(rule, file, member, at);
      }
      if (!result.empty()) return result;
    }
    return "";
  }

  Result OfArray(const std::string& keyword, const Json& rule, const std::string& file,
                 const Json& value, const std::string& path) const {
    if (keyword == "minItems" && value.size() < rule.get<size_t>()) return path + ": too short";
    if (keyword == "maxItems" && value.size() > rule.get<size_t>()) return path + ": too long";
    if (keyword == "uniqueItems") {
      const std::set<Json> unique(value.begin(), value.end());
      return unique.size() == value.size() ? "" : path + ": repeats an item";
    }
    if (keyword != "items") return "";
    for (size_t i = 0; i < value.size(); ++i) {
      Result result = Visit(rule, file, value[i], path + "[" + std::to_string(i) + "]");
      if (!result.empty()) return result;
    }
    return "";
  }

  static bool HasType(const Json& rule, const Json& value) {
    if (rule.is_array()) {
      return std::any_of(rule.begin(), rule.end(),
                         [&](const Json& one) { return HasType(one, value); });
    }
    const std::string type = rule.get<std::string>();
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "number") return value.is_number();
    if (type == "null") return value.is_null();
    if (type == "integer") return value.is_number_integer();
    throw std::runtime_error("the test does not know the type " + type);
  }

  static bool IsFor(const std::string& keyword, const std::set<std::string>& keywords) {
    return keywords.count(keyword) > 0;
  }

  inline static const std::set<std::string> kObject = {"properties",    "additionalProperties",
                                                       "required",      "minProperties",
                                                       "propertyNames", "dependencies"};
  inline static const std::set<std::string> kArray = {"items", "minItems", "maxItems",
                                                      "uniqueItems"};
  inline static const std::set<std::string> kText = {"pattern", "maxLength"};
  inline static const std::set<std::string> kNumber = {"minimum", "maximum", "exclusiveMinimum",
                                                       "exclusiveMaximum"};

  std::map<std::string, Json> files_;
};

}  // namespace fulcrum::experiments
