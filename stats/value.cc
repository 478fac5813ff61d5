// SPDX-License-Identifier: Apache-2.0
#include "stats/value.h"

namespace fulcrum::stats {

Value::Value() = default;
Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;

Value::Value(std::nullptr_t) {}
Value::Value(bool b) : kind_(Kind::kBool), number_(b ? 1 : 0) {}
Value::Value(Number number) : kind_(Kind::kNumber), number_(number.value) {}
Value::Value(const char* text) : kind_(Kind::kText), text_(text) {}
Value::Value(std::string_view text) : kind_(Kind::kText), text_(text) {}
Value::Value(std::string text) : kind_(Kind::kText), text_(std::move(text)) {}
Value::Value(Array array) : kind_(Kind::kArray), array_(std::move(array)) {}
Value::Value(Object object) : kind_(Kind::kObject), object_(std::move(object)) {}

Value::Value(const std::vector<double>& numbers) : kind_(Kind::kArray) {
  array_.reserve(numbers.size());
  for (const double x : numbers) array_.emplace_back(x);
}

Value Value::MakeObject(std::initializer_list<Member> members) { return Object(members); }

const Value* Value::Find(std::string_view name) const {
  for (const Member& member : object_) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

void Value::Set(std::string_view name, Value value) {
  kind_ = Kind::kObject;
  for (Member& member : object_) {
    if (member.first == name) {
      member.second = std::move(value);
      return;
    }
  }
  object_.emplace_back(std::string(name), std::move(value));
}

void Value::Append(Value value) {
  kind_ = Kind::kArray;
  array_.push_back(std::move(value));
}

}  // namespace fulcrum::stats
