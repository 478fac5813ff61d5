// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/compiled.h"
#include "core/context.h"

// Comparing one attribute with a condition's operands. Internal to core/.
namespace fulcrum::core {

// Kleene's three values. kUnknown: a value could not be read as the declared type.
enum class Tri : uint8_t { kFalse = 0, kTrue = 1, kUnknown = 2 };
constexpr Tri ToTri(bool value) { return value ? Tri::kTrue : Tri::kFalse; }
constexpr Tri Not(Tri value) {
  return value == Tri::kUnknown ? value : ToTri(value == Tri::kFalse);
}

// nullptr where the context has no such attribute.
inline const Value* FindAttribute(const Context& context, std::string_view key) {
  for (const Attribute& attribute : context.attributes) {
    if (attribute.key == key) return &attribute.value;
  }
  return nullptr;
}

// The conversions value.h lists; false where there is none.
bool ConvertTo(AttributeType type, const Value& value, Value* converted);

// REQUIRES: `value` has the attribute's type, in both.
bool CompareVersion(const CompiledCondition& node, const Value& value);
// kIn, kNotIn, kPrefix, kSuffix, kContains.
bool CompareMany(const CompiledCondition& node, const CompiledOperand* operands,
                 const Value& value);

template <typename T>
bool Ordered(ConditionOp op, const T& a, const T& b) {
  switch (op) {
    case ConditionOp::kEq:
      return a == b;
    case ConditionOp::kNe:
      return a != b;
    case ConditionOp::kLt:
      return a < b;
    case ConditionOp::kLe:
      return a <= b;
    case ConditionOp::kGt:
      return a > b;
    default:
      return a >= b;
  }
}

// REQUIRES: node.op is a comparison (kEq .. kContains) and `value` has the attribute's type.
inline bool Compare(const CompiledCondition& node, const CompiledOperand* operands,
                    const Value& value) {
  if (!CompiledCondition::HasSingleOperand(node.op)) return CompareMany(node, operands, value);
  switch (node.type) {
    case AttributeType::kString:  // kEq or kNe: Validate() allows no order of texts
      return (value.text() == node.text()) == (node.op == ConditionOp::kEq);
    case AttributeType::kVersion:
      return CompareVersion(node, value);
    case AttributeType::kFloat:
      return Ordered(node.op, value.real(), node.real);
    default:
      return Ordered(node.op, value.integer(), node.integer);
  }
}

}  // namespace fulcrum::core
