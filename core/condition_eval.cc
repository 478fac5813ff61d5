// SPDX-License-Identifier: Apache-2.0
#include "core/condition_eval.h"

#include <algorithm>

#include "core/version.h"

namespace fulcrum::core {
namespace {

bool IsEqual(AttributeType type, const Value& value, const CompiledOperand& operand) {
  switch (type) {
    case AttributeType::kFloat:
      return value.real() == operand.real;
    case AttributeType::kVersion:
      return CompareVersions(value.text(), operand.text) == 0;
    case AttributeType::kString:
      return value.text() == operand.text;
    default:
      return value.integer() == operand.integer;
  }
}

bool IsIn(const CompiledCondition& node, const CompiledOperand* operands, const Value& value) {
  const CompiledOperand* end = operands + node.slice.count;
  if (!node.is_direct) {
    for (; operands != end; ++operands) {
      if (IsEqual(node.type, value, *operands)) return true;
    }
    return false;
  }
  if (node.type == AttributeType::kString) {
    const std::string_view text = value.text();
    const auto* at = std::lower_bound(
        operands, end, text,
        [](const CompiledOperand& a, std::string_view b) { return TextLess(a.text, b); });
    return at != end && at->text == text;
  }
  const int64_t integer = value.integer();
  const auto* at = std::lower_bound(
      operands, end, integer, [](const CompiledOperand& a, int64_t b) { return a.integer < b; });
  return at != end && at->integer == integer;
}

template <typename Matches>
bool AnyText(const CompiledCondition& node, const CompiledOperand* operands, Matches matches) {
  for (uint32_t i = 0; i < node.slice.count; ++i) {
    if (matches(operands[i].text)) return true;
  }
  return false;
}

}  // namespace

bool ConvertTo(AttributeType type, const Value& value, Value* converted) {
  const AttributeType from = value.type();
  switch (type) {
    case AttributeType::kInt: {
      constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double skips integers
      if (from == AttributeType::kInt) break;
      if (from != AttributeType::kFloat) return false;
      const double real = value.real();
      if (!(real >= -kExact && real <= kExact)) return false;
      const auto integer = static_cast<int64_t>(real);
      if (static_cast<double>(integer) != real) return false;
      *converted = Value::Int(integer);
      return true;
    }
    case AttributeType::kFloat:
      if (from == AttributeType::kInt) {
        *converted = Value::Float(static_cast<double>(value.integer()));
        return true;
      }
      if (from != AttributeType::kFloat || value.real() != value.real()) return false;
      break;
    case AttributeType::kVersion:
      if (from != AttributeType::kVersion && from != AttributeType::kString) return false;
      if (!IsVersion(value.text())) return false;
      *converted = Value::Version(value.text());
      return true;
    case AttributeType::kTimeMs:
      if (from != AttributeType::kInt && from != AttributeType::kTimeMs) return false;
      *converted = Value::TimeMs(value.integer());
      return true;
    case AttributeType::kString:
      // A host may mark a text as a version; it is still a text.
      if (from != AttributeType::kString && from != AttributeType::kVersion) return false;
      *converted = Value::String(value.text());
      return true;
    case AttributeType::kBool:
      if (from != AttributeType::kBool) return false;
      break;
  }
  *converted = value;
  return true;
}

bool CompareVersion(const CompiledCondition& node, const Value& value) {
  return Ordered(node.op, CompareVersions(value.text(), node.text()), 0);
}

bool CompareMany(const CompiledCondition& node, const CompiledOperand* operands,
                 const Value& value) {
  switch (node.op) {
    case ConditionOp::kIn:
      return IsIn(node, operands, value);
    case ConditionOp::kNotIn:
      return !IsIn(node, operands, value);
    case ConditionOp::kPrefix:
      return AnyText(node, operands,
                     [&](std::string_view text) { return value.text().starts_with(text); });
    case ConditionOp::kSuffix:
      return AnyText(node, operands,
                     [&](std::string_view text) { return value.text().ends_with(text); });
    case ConditionOp::kContains:
      return AnyText(node, operands, [&](std::string_view text) {
        return value.text().find(text) != std::string_view::npos;
      });
    default:
      return false;
  }
}

}  // namespace fulcrum::core
