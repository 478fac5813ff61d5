// SPDX-License-Identifier: Apache-2.0
//
// What a filter on an event property means, in one place. Values are of three kinds: boolean,
// number (int64 and double are one kind), text. Values of different kinds are never equal and never
// ordered; text is ordered by bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/batch.h"
#include "store/plan.h"

namespace fulcrum::store {

// Property names that read the event's own fields instead of its properties.
inline constexpr std::string_view kOwnValue = "value";
inline constexpr std::string_view kOwnOrderId = "order_id";
inline constexpr std::string_view kOwnSessionId = "session_id";
inline constexpr std::string_view kOwnCurrency = "currency";

bool LiteralEquals(const Literal& a, const Literal& b);

// `value` nullptr = the event has no such property: only kAbsent, kNe and kNotIn are satisfied.
bool FilterMatches(const EventFilter& filter, const Literal* value);

// The number a term adds: numbers as they are, true = 1, false = 0, text = nothing.
std::optional<double> NumberOf(const Literal& value);

// true, a number other than 0, or the text "true": how a yes/no attribute is read.
bool IsTrue(const Literal& value);

// How a value is written as a slice value: "true", "2.5", or the text itself.
std::string LiteralText(const Literal& value);

Literal ToLiteral(const PropertyView& property);

// The event's property (or own field) of this name; nullopt when absent. An own field that is empty
// falls back to a property of the same name.
std::optional<Literal> FindProperty(const EventView& event, std::string_view name);

// Gives every distinct attribute value a small code. 0 = absent. Not thread-safe.
class LiteralDictionary {
 public:
  LiteralDictionary() : values_(1) {}
  uint32_t Code(const Literal& value);
  // REQUIRES 0 < code < size().
  const Literal& value(uint32_t code) const& { return values_[code]; }
  size_t size() const { return values_.size(); }

 private:
  std::vector<Literal> values_;
  std::unordered_map<std::string, uint32_t> codes_;
};

}  // namespace fulcrum::store
