// SPDX-License-Identifier: Apache-2.0
// The calculator's own small value type, so that this folder needs no JSON library.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fulcrum::stats {

// null, boolean, number, text, array or object. Objects keep the order of their members; numbers
// are doubles and may be infinite (written to JSON as the text "Infinity" or "-Infinity").
class Value {
 public:
  using Array = std::vector<Value>;
  using Member = std::pair<std::string, Value>;
  using Object = std::vector<Member>;

  Value() = default;
  Value(std::nullptr_t) {}  // NOLINT: literals convert, as in JSON
  Value(bool b) : data_(b) {}
  template <typename T>
  requires(std::integral<T> || std::floating_point<T>) && (!std::same_as<T, bool>)Value(T number)
      : data_(static_cast<double>(number)) {}
  Value(const char* text) : data_(std::string(text)) {}
  Value(std::string_view text) : data_(std::string(text)) {}
  Value(std::string text) : data_(std::move(text)) {}
  Value(Array array) : data_(std::move(array)) {}
  Value(Object object) : data_(std::move(object)) {}
  Value(const std::vector<double>& numbers);
  static Value MakeObject(std::initializer_list<Member> members) { return Object(members); }

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_number() const { return std::holds_alternative<double>(data_); }
  bool is_text() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }

  // REQUIRES the matching kind.
  bool boolean() const { return std::get<bool>(data_); }
  double number() const { return std::get<double>(data_); }
  const std::string& text() const { return std::get<std::string>(data_); }
  const Array& array() const { return std::get<Array>(data_); }
  Array& array() { return std::get<Array>(data_); }
  const Object& object() const { return std::get<Object>(data_); }

  // The member of that name, or null where this is no object or has none. The pointer is valid
  // until this value changes.
  const Value* Find(std::string_view name) const;

  // Sets a member; makes this an object if it is null. REQUIRES null or object.
  void Set(std::string_view name, Value value);
  // Appends to an array; makes this an array if it is null. REQUIRES null or array.
  void Append(Value value);

 private:
  std::variant<std::monostate, bool, double, std::string, Array, Object> data_;
};

}  // namespace fulcrum::stats
