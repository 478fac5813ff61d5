// SPDX-License-Identifier: Apache-2.0
// Small types shared by every method: intervals, counts, and why a number is missing.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

namespace fulcrum::stats {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A closed interval in the unit of the estimate. Either end may be infinite; neither is ever NaN.
struct Interval {
  double lo = -kInfinity;
  double hi = kInfinity;

  bool Contains(double x) const { return lo <= x && x <= hi; }
  double Width() const { return hi - lo; }
};

// `events` units out of `n` did it. REQUIRES 0 <= events <= n where a method takes one.
struct Proportion {
  std::int64_t events = 0;
  std::int64_t n = 0;

  double Rate() const { return n > 0 ? static_cast<double>(events) / static_cast<double>(n) : 0.0; }
  double Count() const { return static_cast<double>(n); }
};

// Why a result has no p-value or interval. A report prints ReasonText; nothing is ever NaN.
enum class Reason {
  kNone,                 // the result is complete
  kTooFewUnits,          // an arm has fewer units than the method needs
  kNoVariance,           // every unit has the same value, so there is nothing to test
  kDenominatorNearZero,  // a relative figure whose denominator is not distinguishable from zero
  kSingular,             // covariates or correlations that do not determine an answer
  kNotConverged,         // an iteration reached its limit
  kInvalidInput,         // the inputs contradict each other
};

// One sentence for people, e.g. "not enough units".
std::string_view ReasonText(Reason reason);

}  // namespace fulcrum::stats
