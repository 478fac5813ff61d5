// SPDX-License-Identifier: Apache-2.0
// For tests only: JSON text to calculator values.
#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "stats/value.h"

namespace fulcrum::stats {

inline Value FromJson(const nlohmann::json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    Value::Array array;
    for (const auto& item : json) array.push_back(FromJson(item));
    return array;
  }
  if (json.is_object()) {
    Value::Object object;
    for (const auto& [name, item] : json.items()) object.emplace_back(name, FromJson(item));
    return object;
  }
  return Value();
}

}  // namespace fulcrum::stats
