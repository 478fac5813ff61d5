// SPDX-License-Identifier: Apache-2.0
// Effects from data whose allocation changed over time or depended on what was seen.
//
// Pooling over periods of different weights is Simpson's paradox; compare inside periods, or weigh
// by the propensity logged when the unit was assigned. Sample means of a bandit's arms are biased
// and their z tests invalid.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stats/heterogeneity.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Rates per period, weighted by period size.
struct Period {
  Proportion treatment;
  Proportion control;
};
struct PeriodWeighted {
  Difference difference;
  double pooled_naive = 0;  // shown only to say why it is not used
};
// REQUIRES n >= 1 in both arms of every period.
PeriodWeighted PeriodWeightedDifference(std::span<const Period> periods);

// One assigned unit with the propensity of the arm it got and the outcome model's predictions for
// both arms (0 for plain inverse weighting).
struct LoggedUnit {
  int arm = 0;            // 0 or 1
  double propensity = 1;  // of the arm taken, in (0, 1]
  double y = 0;
  double model_0 = 0;
  double model_1 = 0;
};
struct WeightedArms {
  double ipw[2] = {};    // Horvitz and Thompson (1952)
  double hajek[2] = {};  // self-normalised
  double aipw[2] = {};   // doubly robust (Robins, Rotnitzky and Zhao 1994)
  double aipw_diff = 0;
  double aipw_se = 0;
};
WeightedArms InversePropensity(std::span<const LoggedUnit> units);

// One arm's mean under adaptive allocation, AIPW scores weighted by sqrt(e_t) (Hadad, Hirshberg,
// Zhan, Wager and Athey 2021, constant allocation rate).
struct AdaptiveUnit {
  bool taken = false;
  double y = 0;
  double propensity = 1;  // of this arm at that time, in (0, 1]
};
struct AdaptiveMean {
  double estimate = 0;
  double se = 0;
};
AdaptiveMean AdaptivelyWeightedMean(std::span<const AdaptiveUnit> units, double model);

// Smallest k with P(Binomial(n, p) <= k) >= level.
std::int64_t BinomialQuantile(double level, std::int64_t n, double p);

}  // namespace fulcrum::stats
