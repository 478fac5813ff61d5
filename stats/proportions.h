// SPDX-License-Identifier: Apache-2.0
// Two proportions: tests, intervals, risk and odds ratios, rates.
//
// Units are independent; treatment first, control second; difference = treatment - control; alpha
// is two-sided. Dual pairs (test and interval that never disagree): `z_unpooled` with `wald`,
// `z_score` with `miettinen_nurminen`. `z_pooled` and Newcombe can disagree near the edge: use a
// dual pair for verdicts. The unpooled z rejects too often in small or unequal arms (10.3% at
// 30/300, p = 0.1, nominal 5%), so the score pair is the one to decide with.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stats/types.h"

namespace fulcrum::stats {

// Fleiss, Levin and Paik (2003) ch. 3; Newcombe (1998) method 10; Agresti and Caffo (2000);
// Miettinen and Nurminen (1985). REQUIRES n >= 1 in both arms, else reason kTooFewUnits.
struct TwoProportionsResult {
  double rate_treatment = 0;
  double rate_control = 0;
  double diff = 0;
  double se_pooled = 0;    // sqrt(p(1-p)(1/n_T + 1/n_C)), p from both arms together
  double se_unpooled = 0;  // sqrt(p_T(1-p_T)/n_T + p_C(1-p_C)/n_C)
  double z_pooled = 0;     // 0 with p 1 where neither or every unit converted
  double p_pooled = 1;
  double log_p_pooled = 0;           // natural logarithm, for p below 1e-308
  std::optional<double> z_unpooled;  // absent where se_unpooled is 0 and diff is not
  std::optional<double> p_unpooled;
  double z_score = 0;  // Miettinen-Nurminen score at difference 0 (pooled z times sqrt((N-1)/N))
  double p_score = 1;
  Interval wald;  // degenerate where se_unpooled is 0; prefer the others
  Interval newcombe;
  Interval agresti_caffo;  // may leave [-1, 1]: clip for display only
  Interval miettinen_nurminen;
  Reason reason = Reason::kNone;
};
TwoProportionsResult TwoProportions(Proportion treatment, Proportion control, double alpha);

Interval NewcombeInterval(Proportion treatment, Proportion control, double alpha);
Interval AgrestiCaffoInterval(Proportion treatment, Proportion control, double alpha);
Interval MiettinenNurminenInterval(Proportion treatment, Proportion control, double alpha);

// Maximum likelihood rates under p_T - p_C = delta (Farrington and Manning 1990).
// REQUIRES -1 <= delta <= 1.
struct ConstrainedRates {
  double treatment = 0;
  double control = 0;
};
ConstrainedRates ConstrainedMle(Proportion treatment, Proportion control, double delta);

// Score test of H0: p_T - p_C <= margin against greater (Farrington and Manning 1990).
struct ScoreTest {
  std::optional<double> z;  // absent where the constrained variance is 0
  double p_one_sided = 1;
  ConstrainedRates null_rates;
};
ScoreTest FarringtonManning(Proportion treatment, Proportion control, double margin);

// One proportion (Wilson 1927; Clopper and Pearson 1934; Newcombe 1998; Brown et al. 2001).
struct SingleProportionIntervals {
  Interval wilson;
  Interval clopper_pearson;
  Interval wilson_continuity;
  Interval jeffreys;  // raw Beta(1/2, 1/2) posterior quantiles
};
Interval WilsonInterval(Proportion p, double alpha);
SingleProportionIntervals SingleProportion(Proportion p, double alpha);

// Fisher's exact test given both margins. Two-sided: tables no more probable than the observed
// (relative tolerance 1e-7 for ties); the mid-p forms count ties half.
struct FisherResult {
  double p_two_sided = 1;
  double p_greater = 1;  // treatment success rate larger
  double p_less = 1;
  double mid_p_greater = 1;
  double mid_p_less = 1;
  double mid_p_two_sided = 1;
  // Sample odds ratio, and its conditional maximum likelihood given the margins (what R prints):
  // 0 or infinite where a cell is 0, absent where a margin is 0 or (the conditional one) where the
  // margins allow more than 10^7 tables.
  std::optional<double> odds_ratio;
  std::optional<double> odds_ratio_conditional;
};
FisherResult FisherExact(Proportion treatment, Proportion control);

// Wald intervals on the log scale (Agresti 2013, 3.1). An entry is absent where a zero cell leaves
// the ratio or its logarithm undefined.
struct RatioMeasures {
  std::optional<double> risk_ratio;
  std::optional<Interval> risk_ratio_interval;
  std::optional<double> odds_ratio;
  std::optional<Interval> odds_ratio_interval;
};
RatioMeasures RiskAndOddsRatio(Proportion treatment, Proportion control, double alpha);

// Pearson chi-square of an r x c table of counts, row after row; rows and columns that are all
// zero carry no information and are dropped from the degrees of freedom.
struct ChiSquareResult {
  double chi2 = 0;
  double df = 0;
  double p = 1;
  double log_p = 0;  // natural logarithm
  Reason reason = Reason::kNone;
};
ChiSquareResult ChiSquareHomogeneity(std::span<const double> counts, std::size_t columns);

// Ratio of two Poisson rates, conditional binomial exact test with the minimum-likelihood
// two-sided p (Fay 2010) and Clopper-Pearson limits of the conditional proportion.
struct RateRatioResult {
  double rate_ratio = 0;  // infinite where the control saw no event
  Interval interval;
  double p_two_sided = 1;
};
RateRatioResult PoissonRateRatio(std::int64_t events_treatment, double exposure_treatment,
                                 std::int64_t events_control, double exposure_control,
                                 double alpha);

// Rejection and coverage of the methods above by full enumeration of both binomials; no simulation
// error. Cost grows with n_T * n_C.
struct OperatingCharacteristics {
  double reject_pooled_z = 0;
  double reject_unpooled_z = 0;
  double coverage_wald = 0;
  double coverage_newcombe = 0;
  double coverage_agresti_caffo = 0;
};
OperatingCharacteristics EnumerateTwoProportions(std::int64_t n_treatment, double p_treatment,
                                                 std::int64_t n_control, double p_control,
                                                 double alpha);

}  // namespace fulcrum::stats
