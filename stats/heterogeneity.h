// SPDX-License-Identifier: Apache-2.0
// Combining and comparing effects: meta-analysis, slices, interactions, strata, trends.
//
// Never name a slice before the joint test of heterogeneity; slices against each other, never
// "significant here, not there" (Altman and Bland 2003).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/lift.h"
#include "stats/moments.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Inverse-variance meta-analysis. Q tests that all effects are one (Cochran 1954); tau2 by
// DerSimonian and Laird (1986) and by restricted maximum likelihood (Viechtbauer 2005).
struct MetaResult {
  double fixed = 0;
  double fixed_se = 0;
  double q = 0;
  double df = 0;
  double p_q = 1;
  double i2 = 0;  // share of variation beyond sampling, 0 to 1
  double tau2_dl = 0;
  double random = 0;
  double random_se = 0;
  double tau2_reml = 0;
  double random_reml = 0;
  double random_reml_se = 0;
  Reason reason = Reason::kNone;  // kNotConverged: REML fields are DerSimonian-Laird's
};
// REQUIRES at least one effect, every variance > 0.
MetaResult MetaAnalysis(std::span<const Estimate> effects);

// Weighted mean at a given between-effect variance.
Estimate RandomEffectsMean(std::span<const Estimate> effects, double tau2);

// Difference of two independent effects.
struct Difference {
  double diff = 0;
  double se = 0;
  double z = 0;
  double p = 1;
};
Difference DifferenceOfEffects(Estimate first, Estimate second);

// 2 x 2 cell means of two overlapping experiments A and B, cell [a][b].
struct FactorialResult {
  Difference interaction;  // m11 - m10 - m01 + m00
  Difference main_a;       // effect of A, both levels of B weighted equally
  Difference main_b;
};
FactorialResult Factorial2x2(const Moments cells[2][2]);

// Stratified 2 x 2 tables [[a, b], [c, d]], rows treatment and control (Mantel and Haenszel 1959;
// homogeneity by Breslow and Day 1980 with Tarone's 1985 correction).
struct Table2x2 {
  double a, b, c, d;
};
struct MantelHaenszelResult {
  double chi2 = 0;
  double p = 1;
  double chi2_corrected = 0;  // with the continuity correction
  double p_corrected = 1;
  double odds_ratio = 0;
  double breslow_day = 0;
  double breslow_day_p = 1;
  double tarone = 0;
  double tarone_p = 1;
  Reason reason = Reason::kNone;
};
MantelHaenszelResult MantelHaenszel(std::span<const Table2x2> strata);

// Post-stratified difference with weights n_k / n (Miratrix, Sekhon and Yu 2013). Also the way to
// analyse across phases of different allocation.
struct Stratum {
  Moments treatment;
  Moments control;
};
struct PostStratified {
  double diff = 0;
  double se = 0;
  double diff_unadjusted = 0;
  double se_unadjusted = 0;
  double variance_reduction = 0;
  Reason reason = Reason::kNone;  // kTooFewUnits: a stratum with fewer than 2 units in an arm
};
PostStratified PostStratify(std::span<const Stratum> strata);

// Weighted least squares of effects with known variances on x (meta-regression). Days must come
// from disjoint units, or their covariance be accounted for.
struct TrendResult {
  double slope = 0;
  double slope_se = 0;
  double z = 0;
  double p = 1;
  double intercept = 0;
  double residual_q = 0;  // chi-square on n - 2
  Reason reason = Reason::kNone;
};
TrendResult WeightedTrend(std::span<const double> x, std::span<const Estimate> effects);
// Generalised least squares where the same users appear on several days: `covariance` row by row.
TrendResult CorrelatedTrend(std::span<const double> x, std::span<const double> effects,
                            std::span<const double> covariance);

}  // namespace fulcrum::stats
