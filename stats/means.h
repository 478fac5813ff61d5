// SPDX-License-Identifier: Apache-2.0
// Differences of means from moments: Welch, Student, paired t, equivalence (two one-sided tests).
//
// Units are independent; treatment first, control second; difference = treatment - control; alpha
// is two-sided. Welch's test and interval are a dual pair: p < alpha exactly when 0 lies outside.
#pragma once

#include <optional>
#include <span>

#include "stats/moments.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Welch (1947) with Satterthwaite degrees of freedom. Any arm with n < 2: kTooFewUnits. Both
// variances 0: kNoVariance, p stays 1 (never significant), the interval unbounded.
struct WelchResult {
  double mean_treatment = 0;
  double mean_control = 0;
  double diff = 0;
  double se = 0;
  double df = 0;
  double t = 0;
  double p = 1;            // two-sided
  double log_p = 0;        // natural logarithm of p
  double p_greater = 0.5;  // H1: treatment larger
  double p_less = 0.5;
  Interval interval;  // 1 - alpha, two-sided
  Reason reason = Reason::kNone;
};
WelchResult Welch(const Moments& treatment, const Moments& control, double alpha);
WelchResult Welch(std::span<const double> treatment, std::span<const double> control, double alpha);

// Student's test with a pooled variance; only where the variances are known to be equal.
WelchResult Student(const Moments& treatment, const Moments& control, double alpha);

// From an estimate, its standard error and degrees of freedom (infinite for a z test).
WelchResult FromEstimate(double diff, double se, double df, double alpha);

// Satterthwaite degrees of freedom of a sum of independent variances of means.
double SatterthwaiteDf(double variance_of_mean_1, double n_1, double variance_of_mean_2,
                       double n_2);

// Paired t of x - y. REQUIRES equal lengths.
WelchResult PairedT(std::span<const double> x, std::span<const double> y, double alpha);

// Two one-sided tests (Schuirmann 1987): equivalent at level alpha exactly when the 1 - 2 alpha
// interval lies inside the margins.
struct TostResult {
  double diff = 0;
  double se = 0;
  double df = 0;
  double t_lower = 0;  // against diff <= margin_low
  double t_upper = 0;  // against diff >= margin_high
  double p_lower = 1;
  double p_upper = 1;
  double p = 1;       // the larger of the two
  Interval interval;  // 1 - 2 alpha
  Reason reason = Reason::kNone;
};
TostResult TostWelch(const Moments& treatment, const Moments& control, double margin_low,
                     double margin_high, double alpha);

// One-sided z test that the treatment is not worse than the control by more than
// `relative_margin` of the control mean. Fixed form: the margin times the control mean is taken as
// known. Contrast form: tests mean_T - (1 -+ margin) mean_C, whose variance counts the control
// mean's own noise (Laster and Johnson 2003); it is the one to use.
struct NonInferiorityResult {
  double diff = 0;
  double null_difference = 0;
  double z = 0;
  double p_one_sided = 1;
  double bound = 0;  // one-sided 1 - alpha confidence bound of the difference
  double contrast_z = 0;
  double contrast_p_one_sided = 1;
  Reason reason = Reason::kNone;
};
NonInferiorityResult NonInferiorityRelative(const Moments& treatment, const Moments& control,
                                            double relative_margin, bool increase_is_good,
                                            double alpha);

}  // namespace fulcrum::stats
