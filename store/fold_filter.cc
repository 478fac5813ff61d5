// SPDX-License-Identifier: Apache-2.0
#include "store/fold_filter.h"

#include <algorithm>

#include "base/text.h"

namespace fulcrum::store {
namespace {

std::optional<double> AsNumber(const Literal& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return std::nullopt;
}

// -1, 0 or 1 where the two are of one ordered kind.
std::optional<int> Compare(const Literal& a, const Literal& b) {
  const std::optional<double> x = AsNumber(a);
  const std::optional<double> y = AsNumber(b);
  if (x && y) return *x < *y ? -1 : (*x > *y ? 1 : 0);
  const auto* s = std::get_if<std::string>(&a);
  const auto* t = std::get_if<std::string>(&b);
  if (s != nullptr && t != nullptr) return s->compare(*t) < 0 ? -1 : (*s == *t ? 0 : 1);
  return std::nullopt;
}

}  // namespace

bool LiteralEquals(const Literal& a, const Literal& b) {
  const auto* p = std::get_if<bool>(&a);
  const auto* q = std::get_if<bool>(&b);
  if (p != nullptr && q != nullptr) return *p == *q;
  const std::optional<int> order = Compare(a, b);
  return order && *order == 0;
}

bool FilterMatches(const EventFilter& filter, const Literal* value) {
  const auto any_equal = [&] {
    return value != nullptr &&
           std::any_of(filter.values.begin(), filter.values.end(),
                       [&](const Literal& wanted) { return LiteralEquals(*value, wanted); });
  };
  const auto order = [&]() -> std::optional<int> {
    if (value == nullptr || filter.values.empty()) return std::nullopt;
    return Compare(*value, filter.values.front());
  };
  switch (filter.op) {
    case CompareOp::kEq:
    case CompareOp::kIn:
      return any_equal();
    case CompareOp::kNe:
    case CompareOp::kNotIn:
      return !any_equal();
    case CompareOp::kLt:
      return order().value_or(0) < 0;
    case CompareOp::kLe:
      return order().value_or(1) <= 0;
    case CompareOp::kGt:
      return order().value_or(0) > 0;
    case CompareOp::kGe:
      return order().value_or(-1) >= 0;
    case CompareOp::kPresent:
      return value != nullptr;
    case CompareOp::kAbsent:
      return value == nullptr;
  }
  return false;
}

std::optional<double> NumberOf(const Literal& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? 1.0 : 0.0;
  return AsNumber(value);
}

bool IsTrue(const Literal& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text == "true";
  return NumberOf(value).value_or(0) != 0;
}

std::string LiteralText(const Literal& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&value)) return FormatDouble(*number);
  return std::get<std::string>(value);
}

Literal ToLiteral(const PropertyView& property) {
  switch (property.type) {
    case PropertyType::kBool:
      return property.boolean;
    case PropertyType::kNumber:
      return property.number;
    case PropertyType::kString:
      break;
  }
  return std::string(property.text);
}

std::optional<Literal> FindProperty(const EventView& event, std::string_view name) {
  if (name == kOwnValue && event.value) return Literal(*event.value);
  if (name == kOwnOrderId && !event.order_id.empty()) return Literal(std::string(event.order_id));
  if (name == kOwnSessionId && !event.session_id.empty()) {
    return Literal(std::string(event.session_id));
  }
  if (name == kOwnCurrency && !event.currency.empty()) return Literal(std::string(event.currency));
  for (const PropertyView& property : event.properties) {
    if (property.key == name) return ToLiteral(property);
  }
  return std::nullopt;
}

uint32_t LiteralDictionary::Code(const Literal& value) {
  std::string key(1, static_cast<char>('0' + value.index()));
  if (const std::optional<double> number = AsNumber(value)) {
    key = "n" + FormatDouble(*number);  // 1 and 1.0 are one value.
  } else {
    key += LiteralText(value);
  }
  const auto [it, added] = codes_.try_emplace(std::move(key), static_cast<uint32_t>(size()));
  if (added) values_.push_back(value);
  return it->second;
}

}  // namespace fulcrum::store
