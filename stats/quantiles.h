// SPDX-License-Identifier: Apache-2.0
// Sample quantiles, their order-statistic intervals, and differences of quantiles between arms.
#pragma once

#include <cstdint>
#include <span>

#include "stats/lift.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Hyndman and Fan's (1996) definitions 1 to 9. Type 7 is R's and NumPy's default and SQL's
// PERCENTILE_CONT, type 1 is PERCENTILE_DISC. REQUIRES ascending, non-empty values, 0 <= p <= 1.
double SampleQuantile(std::span<const double> sorted, double p, int type);

// Ranks (from 1) of the distribution-free interval [x_(lo), x_(hi)]:
// floor and ceil of n q -+ z sqrt(n q (1 - q)), kept inside 1..n.
struct QuantileRanks {
  std::int64_t lo = 1;
  std::int64_t hi = 1;
  double exact_coverage = 0;  // P(lo <= Binomial(n, q) <= hi - 1)
};
QuantileRanks OrderStatisticRanks(std::int64_t n, double q, double alpha);

// Sampling variance of one arm's quantile from its order-statistic interval (Deng, Knoblich and
// Lu 2018): ((upper - lower) / (2 z))^2, z the quantile the ranks were made with. `design_effect`
// multiplies it where rows are clustered inside the randomised unit.
double QuantileVariance(double lower, double upper, double alpha_of_ranks,
                        double design_effect = 1);

// Rows per cluster (denominator) and rows at or below the quantile (main), totals over clusters.
struct ClusteredIndicator {
  double clusters = 0;
  double main_sum = 0;
  double main_sum_squares = 0;
  double denominator_sum = 0;
  double denominator_sum_squares = 0;
  double cross = 0;
};
// Delta-method variance of the share of rows at or below the quantile over the variance with
// independent rows, q (1 - q) / rows. REQUIRES clusters >= 2, denominator_sum > 0.
double QuantileDesignEffect(const ClusteredIndicator& c, double q);

struct QuantileDiffResult {
  double diff = 0;
  double se = 0;
  double z = 0;
  double p = 1;
  Interval interval;
  LiftResult lift;
  Reason reason = Reason::kNone;
};
QuantileDiffResult QuantileDiff(Estimate treatment, Estimate control, double alpha);

// From raw values: type 1 quantiles and outer order-statistic ranks.
struct RawQuantileDiff {
  double quantile_treatment = 0;
  double quantile_control = 0;
  QuantileDiffResult result;
};
RawQuantileDiff QuantileDiffRaw(std::span<const double> treatment, std::span<const double> control,
                                double q, double alpha);

}  // namespace fulcrum::stats
