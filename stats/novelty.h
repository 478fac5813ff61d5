// SPDX-License-Identifier: Apache-2.0
// Does the effect fade (novelty) or grow (learning) with the days since a unit's exposure?
//
// Day 0 is each unit's own first day, so calendar and cohort do not mix in. A day's effect is about
// the units that have lived through that day; comparing days is only fair over the same units, so
// one table holds units that have lived through all its days, and cohorts of different age are
// joined afterwards. Days of one unit depend on each other: the joint covariance from the Gram
// carries that, treating days as independent would get the trend's error wrong in either direction.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/gram.h"
#include "stats/types.h"

namespace fulcrum::stats {

// A straight line through the effects: weighted least squares with weights 1 / variance of each
// day and the error from the joint covariance V, (X'WX)^-1 X'W V W X (X'WX)^-1. Generalised least
// squares (weights V^-1) is sharper on paper, but extrapolates wildly when days are almost copies
// of each other; it is CorrelatedTrend in heterogeneity.h.
struct EffectTrend {
  double slope = 0;  // change of the effect per day (or per unit of the axis)
  double slope_se = 0;
  double z = 0;
  double p = 1;
  Interval slope_interval;
  double intercept = 0;           // the line at axis 0
  Reason reason = Reason::kNone;  // kTooFewUnits: fewer than 2 days; kNoVariance: no day varies
};
// `covariance` row by row. REQUIRES sizes n, n and n * n.
EffectTrend WeightedTrendJoint(std::span<const double> x, std::span<const double> effects,
                               std::span<const double> covariance, double alpha);

enum class NoveltyVerdict {
  kNoTrend,    // the slope is not distinguishable from 0
  kFading,     // the effect moves towards 0 as days pass: novelty
  kGrowing,    // away from 0: learning
  kReversing,  // the line changes sign inside the observed days
};

struct NoveltyResult {
  std::vector<double> effect;      // per day, treatment - control
  std::vector<double> covariance;  // of the effects, row by row
  std::vector<Interval> interval;  // simultaneous over the days
  double critical_value = 0;       // of those intervals
  EffectTrend per_day;             // axis: the day itself
  EffectTrend per_log_day;         // axis: log(day + 1), for effects that settle quickly
  // All days have one effect: chi-square of the deviations from the joint mean, days - 1 degrees.
  double chi2_equal = 0;
  double df_equal = 0;
  double p_equal = 1;
  double late_minus_early = 0;  // mean of the second half of the days less that of the first
  double late_minus_early_se = 0;
  double late_minus_early_p = 1;
  NoveltyVerdict verdict = NoveltyVerdict::kNoTrend;  // from per_day at alpha
  Reason reason = Reason::kNone;  // kTooFewUnits: fewer than 2 units in an arm, or 2 days
};
// `columns[d]` is the outcome of day `days[d]` since exposure; every unit of both Grams has lived
// through all of them. REQUIRES equal lengths, ascending days >= 0.
NoveltyResult AnalyseNovelty(const Gram& treatment, const Gram& control,
                             std::span<const std::size_t> columns, std::span<const double> days,
                             double alpha);

// Units that entered together; its Grams hold as many days as the cohort has lived through.
struct NoveltyCohort {
  Gram treatment;
  Gram control;
  std::vector<std::size_t> columns;
  std::vector<double> days;
};
// The slope inside each cohort, joined by inverse variance: cohorts may differ in level (who came,
// which season) without that passing for a trend. Cohorts with fewer than 2 days or 2 units in an
// arm add nothing. `heterogeneity` tests that the cohorts' slopes are one.
struct CohortTrend {
  EffectTrend per_day;  // intercept 0: cohorts have levels of their own
  std::vector<EffectTrend> cohorts;
  double q_slopes = 0;
  double df_slopes = 0;
  double p_slopes = 1;
  Reason reason = Reason::kNone;
};
CohortTrend AnalyseNoveltyByCohort(std::span<const NoveltyCohort> cohorts, double alpha);

}  // namespace fulcrum::stats
