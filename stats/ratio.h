// SPDX-License-Identifier: Apache-2.0
// Ratio metrics, sum(numerator) / sum(denominator) over units, by the delta method
// (Deng, Knoblich and Lu 2018): Var R = (s_N^2 - 2 R s_ND + R^2 s_D^2) / (n mean_D^2).
// The unit is what was randomised; events inside a unit may depend on each other at will.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "stats/gram.h"
#include "stats/lift.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Per-unit moments of a numerator and a denominator.
struct RatioMoments {
  std::int64_t n = 0;
  double mean_num = 0;
  double mean_den = 0;
  double var_num = 0;  // unbiased, n - 1
  double var_den = 0;
  double cov = 0;

  static RatioMoments Of(const Gram& gram, std::size_t numerator, std::size_t denominator);
  static RatioMoments Of(std::span<const double> num, std::span<const double> den);

  double Ratio() const { return mean_num / mean_den; }
  // Variance of one unit's linearised value (N - R D) / mean_D; divide by n for Var(Ratio()).
  double UnitVariance() const;
};

struct RatioResult {
  double ratio_treatment = 0;
  double ratio_control = 0;
  double var_treatment = 0;  // of the ratio, not of a unit
  double var_control = 0;
  double diff = 0;
  double se = 0;
  double z = 0;
  double p_z = 1;
  Interval interval;  // normal quantile
  double welch_df = 0;
  double p_t = 1;
  Interval interval_t;
  LiftResult lift;  // independent arms
  Reason reason = Reason::kNone;
};
// Fewer than 2 units in an arm: kTooFewUnits. A denominator whose mean is 0, or within 3 standard
// errors of 0, is kDenominatorNearZero: the delta method means nothing there.
RatioResult RatioDelta(const RatioMoments& treatment, const RatioMoments& control, double alpha);

}  // namespace fulcrum::stats
