// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

namespace fulcrum::core {

// The type an attribute is declared with. Conditions compare by the declared type, so that every
// host (server, C, WebAssembly) decides alike whatever its own number model is.
enum class AttributeType : uint8_t {
  kBool = 0,
  kInt = 1,      // 64-bit signed
  kFloat = 2,    // IEEE double; NaN is a type mismatch
  kString = 3,   // any bytes, compared as bytes
  kVersion = 4,  // "1.2.3-rc.1", compared as in version.h
  kTimeMs = 5,   // milliseconds since 1970-01-01 UTC
};
inline constexpr int kAttributeTypeCount = 6;

// "bool", "int", "float", "string", "version", "time".
std::string_view AttributeTypeName(AttributeType type);

// A typed view of one attribute's value: trivially copyable, owns nothing. Text must outlive it.
//
// Where a context's value has another type than the declaration, these conversions apply and no
// others; anything else makes a condition that reads it fail with Reason::kTypeMismatch:
//   int -> float, a whole float within +-2^53 -> int, string <-> version, int -> time.
class Value {
 public:
  constexpr Value() = default;  // false
  static constexpr Value Bool(bool value) { return Value(AttributeType::kBool, value ? 1 : 0); }
  static constexpr Value Int(int64_t value) { return Value(AttributeType::kInt, value); }
  static constexpr Value TimeMs(int64_t value) { return Value(AttributeType::kTimeMs, value); }
  static constexpr Value Float(double value) { return Value(value); }
  static constexpr Value String(std::string_view text) {
    return Value(AttributeType::kString, text);
  }
  static constexpr Value Version(std::string_view text) {
    return Value(AttributeType::kVersion, text);
  }

  constexpr AttributeType type() const { return type_; }
  // Each is meaningful for its own types only; for the others it returns 0 or "".
  constexpr bool bool_value() const { return integer() != 0; }
  constexpr int64_t integer() const { return HoldsInteger() ? number_.integer : 0; }
  constexpr double real() const { return type_ == AttributeType::kFloat ? number_.real : 0.0; }
  constexpr std::string_view text() const {
    return HoldsText() ? std::string_view(number_.data, size_) : std::string_view();
  }

 private:
  constexpr Value(AttributeType type, int64_t integer) : type_(type), number_(integer) {}
  constexpr explicit Value(double real) : type_(AttributeType::kFloat), number_(real) {}
  constexpr Value(AttributeType type, std::string_view text)
      : type_(type), size_(text.size()), number_(text.data()) {}
  constexpr bool HoldsText() const {
    return type_ == AttributeType::kString || type_ == AttributeType::kVersion;
  }
  constexpr bool HoldsInteger() const { return !HoldsText() && type_ != AttributeType::kFloat; }

  union Number {
    constexpr explicit Number(int64_t value) : integer(value) {}
    constexpr explicit Number(double value) : real(value) {}
    constexpr explicit Number(const char* value) : data(value) {}
    int64_t integer;
    double real;
    const char* data;
  };

  AttributeType type_ = AttributeType::kBool;
  size_t size_ = 0;
  Number number_{int64_t{0}};
};
static_assert(std::is_trivially_copyable_v<Value>);

// One attribute of a context. Where a key is repeated the first one counts.
struct Attribute {
  std::string_view key;
  Value value;
};

}  // namespace fulcrum::core
