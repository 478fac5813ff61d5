// SPDX-License-Identifier: Apache-2.0
// Time to event with right censoring: Kaplan-Meier, log-rank, restricted mean, Cox for two groups.
//
// Censoring must not depend on what would have happened. Times in any one unit. At tied times
// events come before censorings. Never compare the mean time of completers: it is conditioned on
// the outcome; use the restricted mean, which counts everybody.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stats/types.h"

namespace fulcrum::stats {

// One time of a life table of one group. Mergeable: add the counts of equal times.
struct RiskRow {
  double time = 0;
  double at_risk = 0;  // just before this time
  double events = 0;
  double censored = 0;  // at this time, after the events
};
// REQUIRES equal lengths; event[i] is 1 where the event was seen, 0 where it was censored.
std::vector<RiskRow> RiskTable(std::span<const double> time, std::span<const double> event);

// Kaplan and Meier (1958), Greenwood's error, log(-log) interval (exact 0 and 1 have none).
struct SurvivalPoint {
  double time = 0;
  double at_risk = 0;
  double events = 0;
  double survival = 1;
  double se = 0;
  std::optional<Interval> interval;
};
struct SurvivalCurve {
  std::vector<SurvivalPoint> points;  // at times with events
  std::optional<double> median;       // first time with survival <= 1/2
};
SurvivalCurve KaplanMeier(std::span<const RiskRow> table, double alpha);

// Log-rank test, and Harrington and Fleming's (1982) G^rho: weights S(t-)^rho of the pooled curve.
struct LogRankResult {
  double observed_1 = 0;
  double expected_1 = 0;
  double variance = 0;
  double chi2 = 0;
  double z = 0;  // positive where group 1 has more events than expected
  double p = 1;
  Reason reason = Reason::kNone;
};
LogRankResult LogRank(std::span<const RiskRow> group_1, std::span<const RiskRow> group_2,
                      double rho = 0);

// Area under the survival curve to tau: the mean time spent event-free up to tau. Variance
// sum A(t_i)^2 d_i / (n_i (n_i - d_i)), A the area from t_i to tau.
struct RestrictedMean {
  double mean = 0;
  double se = 0;
};
RestrictedMean RestrictedMeanTime(std::span<const RiskRow> table, double tau);

// Cox regression with one 0/1 covariate, by Newton's method. Ties by Breslow or Efron (1977).
struct CoxResult {
  double log_hazard_ratio = 0;  // group 1 against group 0
  double se = 0;
  double likelihood_ratio = 0;
  Reason reason = Reason::kNone;  // kNotConverged: monotone likelihood (events in one group only)
};
CoxResult CoxTwoGroups(std::span<const RiskRow> group_1, std::span<const RiskRow> group_0,
                       bool efron);

}  // namespace fulcrum::stats
