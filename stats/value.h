// SPDX-License-Identifier: Apache-2.0
// The calculator's own small value type, so that this folder needs no JSON library.
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fulcrum::stats {

// null, boolean, number, text, array or object. Objects keep the order of their members; numbers
// are doubles and may be infinite (written to JSON as the text "Infinity" or "-Infinity").
//
// Plain members rather than a variant, and copying out of line: results are built from long
// initialiser lists, and inlined variant copies there cost seconds of compilation per file.
class Value {
 public:
  using Array = std::vector<Value>;
  using Member = std::pair<std::string, Value>;
  using Object = std::vector<Member>;

  Value();
  Value(std::nullptr_t);  // NOLINT: literals convert, as in JSON
  Value(bool b);
  template <typename T>
  requires(std::integral<T> || std::floating_point<T>) && (!std::same_as<T, bool>)Value(T number)
      : Value(Number{static_cast<double>(number)}) {}
  Value(const char* text);
  Value(std::string_view text);
  Value(std::string text);
  Value(Array array);
  Value(Object object);
  Value(const std::vector<double>& numbers);
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();
  static Value MakeObject(std::initializer_list<Member> members);

  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_number() const { return kind_ == Kind::kNumber; }
  bool is_text() const { return kind_ == Kind::kText; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }

  // REQUIRES the matching kind; of another kind they are false, 0 or empty.
  bool boolean() const { return number_ != 0; }
  double number() const { return number_; }
  const std::string& text() const { return text_; }
  const Array& array() const { return array_; }
  const Object& object() const { return object_; }

  // The member of that name, or null where this is no object or has none. The pointer is valid
  // until this value changes.
  const Value* Find(std::string_view name) const;

  // Sets a member; makes this an object if it is null. REQUIRES null or object.
  void Set(std::string_view name, Value value);
  // Appends to an array; makes this an array if it is null. REQUIRES null or array.
  void Append(Value value);

 private:
  enum class Kind { kNull, kBool, kNumber, kText, kArray, kObject };
  struct Number {
    double value;
  };
  explicit Value(Number number);

  Kind kind_ = Kind::kNull;
  double number_ = 0;
  std::string text_;
  Array array_;
  Object object_;
};

}  // namespace fulcrum::stats
