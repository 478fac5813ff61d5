// SPDX-License-Identifier: Apache-2.0
#include "stats/value.h"

namespace fulcrum::stats {

Value::Value(const std::vector<double>& numbers) {
  Array array;
  array.reserve(numbers.size());
  for (const double x : numbers) array.emplace_back(x);
  data_ = std::move(array);
}

const Value* Value::Find(std::string_view name) const {
  if (!is_object()) return nullptr;
  for (const Member& member : object()) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

void Value::Set(std::string_view name, Value value) {
  if (is_null()) data_ = Object();
  Object& members = std::get<Object>(data_);
  for (Member& member : members) {
    if (member.first == name) {
      member.second = std::move(value);
      return;
    }
  }
  members.emplace_back(std::string(name), std::move(value));
}

void Value::Append(Value value) {
  if (is_null()) data_ = Array();
  array().push_back(std::move(value));
}

}  // namespace fulcrum::stats
