// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <optional>

#include "base/text.h"
#include "experiments/parse.h"

namespace fulcrum::experiments {
namespace {

bool AppendJson(const Source& source, const YamlNode& node, const std::string& what,
                std::string* json);

bool AppendMap(const Source& source, const YamlNode& node, const std::string& what,
               std::string* json) {
  // Sorted, so that the order they are written in changes nothing.
  std::map<std::string_view, const YamlNode*> sorted;
  for (const YamlEntry& entry : node.entries) sorted.emplace(entry.key, &entry.value);
  bool ok = true;
  *json += '{';
  for (const auto& [key, value] : sorted) {
    if (json->back() != '{') *json += ',';
    AppendJsonString(key, json);
    *json += ':';
    ok = AppendJson(source, *value, what, json) && ok;
  }
  *json += '}';
  return ok;
}

bool AppendJson(const Source& source, const YamlNode& node, const std::string& what,
                std::string* json) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      source.Error(node, what + " is null, which applications cannot tell from absent: write a " +
                             "value or leave the key out");
      return false;
    case YamlNode::Kind::kMap:
      return AppendMap(source, node, what, json);
    case YamlNode::Kind::kSequence: {
      bool ok = true;
      *json += '[';
      for (const YamlNode& item : node.items) {
        if (json->back() != '[') *json += ',';
        ok = AppendJson(source, item, what, json) && ok;
      }
      *json += ']';
      return ok;
    }
    case YamlNode::Kind::kScalar:
      break;
  }
  const std::optional<Scalar> scalar = ReadScalar(source, node, what);
  if (!scalar) return false;
  if (const bool* flag = std::get_if<bool>(&*scalar)) *json += *flag ? "true" : "false";
  if (const int64_t* integer = std::get_if<int64_t>(&*scalar)) *json += std::to_string(*integer);
  if (const double* real = std::get_if<double>(&*scalar)) *json += FormatFloat(*real);
  if (const std::string* text = std::get_if<std::string>(&*scalar)) AppendJsonString(*text, json);
  return true;
}

}  // namespace

const char* ValueTypeName(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return "bool";
    case ValueType::kString:
      return "string";
    case ValueType::kInt:
      return "int";
    case ValueType::kFloat:
      return "float";
    case ValueType::kObject:
      return "object";
  }
  return "string";
}

bool ParseVariantValue(const Source& source, const YamlNode& node, const std::string& what,
                       std::string* json, ValueType* type) {
  json->clear();
  if (node.kind == YamlNode::Kind::kSequence) {
    source.Error(node, what + " is a list, which flag clients cannot type: put it into a map, " +
                           "such as `{items: […]}`");
    return false;
  }
  if (!AppendJson(source, node, what, json)) return false;
  const char first = json->front();
  if (first == '{') {
    *type = ValueType::kObject;
  } else if (first == '"') {
    *type = ValueType::kString;
  } else if (first == 't' || first == 'f') {
    *type = ValueType::kBool;
  } else {
    const bool is_float = json->find_first_of(".eE") != std::string::npos;
    *type = is_float ? ValueType::kFloat : ValueType::kInt;
  }
  return true;
}

}  // namespace fulcrum::experiments
