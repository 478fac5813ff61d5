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

// REQUIRES: node.op is a comparison (kEq .. kContains) and `value` has the attribute's type.
bool Compare(const CompiledCondition& node, const CompiledOperand* operands, const Value& value);

}  // namespace fulcrum::core
