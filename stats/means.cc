// SPDX-License-Identifier: Apache-2.0
#include "stats/means.h"

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"

namespace fulcrum::stats {

double SatterthwaiteDf(double v1, double n1, double v2, double n2) {
  const double sum = v1 + v2;
  if (!(sum > 0)) return 0;
  // Shares first: squares of variances near 1e-160 or 1e160 would leave the doubles.
  const double a = v1 / sum, b = v2 / sum;
  return 1.0 / (a * a / (n1 - 1) + b * b / (n2 - 1));
}

WelchResult FromEstimate(double diff, double se, double df, double alpha) {
  WelchResult r;
  r.diff = diff;
  r.se = se;
  r.df = df;
  if (!(se > 0) || !(df > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  r.t = diff / se;
  r.p = TwoSidedTP(r.t, df);
  r.log_p = LogTwoSidedTP(r.t, df);
  r.p_greater = TSf(r.t, df);
  r.p_less = TSf(-r.t, df);
  const double half = CriticalT(alpha, df) * se;
  r.interval = {diff - half, diff + half};
  return r;
}

WelchResult Welch(const Moments& treatment, const Moments& control, double alpha) {
  WelchResult r;
  const double diff = (treatment.mean - control.mean) + (treatment.mean_lo - control.mean_lo);
  if (treatment.n >= 2 && control.n >= 2) {
    const double v1 = treatment.VarianceOfMean(), v2 = control.VarianceOfMean();
    r = FromEstimate(
        diff, std::sqrt(v1 + v2),
        SatterthwaiteDf(v1, static_cast<double>(treatment.n), v2, static_cast<double>(control.n)),
        alpha);
  } else {
    r.diff = treatment.n >= 1 && control.n >= 1 ? diff : 0.0;
    r.reason = Reason::kTooFewUnits;
  }
  r.mean_treatment = treatment.mean;
  r.mean_control = control.mean;
  return r;
}

WelchResult Welch(std::span<const double> treatment, std::span<const double> control,
                  double alpha) {
  return Welch(Moments::Of(treatment), Moments::Of(control), alpha);
}

WelchResult Student(const Moments& treatment, const Moments& control, double alpha) {
  WelchResult r;
  const double n1 = static_cast<double>(treatment.n), n2 = static_cast<double>(control.n);
  if (treatment.n < 1 || control.n < 1 || n1 + n2 < 3) {
    r.reason = Reason::kTooFewUnits;
  } else {
    const double df = n1 + n2 - 2;
    const double pooled = (treatment.m2 + control.m2) / df;
    r = FromEstimate((treatment.mean - control.mean) + (treatment.mean_lo - control.mean_lo),
                     std::sqrt(pooled * (1 / n1 + 1 / n2)), df, alpha);
  }
  r.mean_treatment = treatment.mean;
  r.mean_control = control.mean;
  return r;
}

WelchResult PairedT(std::span<const double> x, std::span<const double> y, double alpha) {
  Moments difference;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) difference.Add(x[i] - y[i]);
  WelchResult r;
  if (difference.n < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  r = FromEstimate(difference.mean, std::sqrt(difference.VarianceOfMean()),
                   static_cast<double>(difference.n - 1), alpha);
  r.mean_treatment = Moments::Of(x).mean;
  r.mean_control = Moments::Of(y).mean;
  return r;
}

TostResult TostWelch(const Moments& treatment, const Moments& control, double margin_low,
                     double margin_high, double alpha) {
  TostResult r;
  const WelchResult welch = Welch(treatment, control, 2 * alpha);
  r.diff = welch.diff;
  r.se = welch.se;
  r.df = welch.df;
  r.reason = welch.reason;
  if (r.reason != Reason::kNone) return r;
  r.t_lower = (r.diff - margin_low) / r.se;
  r.t_upper = (r.diff - margin_high) / r.se;
  r.p_lower = TSf(r.t_lower, r.df);
  r.p_upper = TSf(-r.t_upper, r.df);
  r.p = std::max(r.p_lower, r.p_upper);
  r.interval = welch.interval;
  return r;
}

NonInferiorityResult NonInferiorityRelative(const Moments& treatment, const Moments& control,
                                            double relative_margin, bool increase_is_good,
                                            double alpha) {
  NonInferiorityResult r;
  if (treatment.n < 2 || control.n < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const double sign = increase_is_good ? 1.0 : -1.0;
  const double v1 = treatment.VarianceOfMean(), v2 = control.VarianceOfMean();
  const double se = std::sqrt(v1 + v2);
  r.diff = treatment.mean - control.mean;
  r.null_difference = -sign * relative_margin * std::abs(control.mean);
  if (!(se > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  r.z = (r.diff - r.null_difference) / se;
  r.p_one_sided = NormalSf(sign * r.z);
  r.bound = r.diff - sign * NormalUpperQuantile(alpha) * se;
  const double factor = 1 - sign * std::copysign(relative_margin, control.mean);
  r.contrast_z = (treatment.mean - factor * control.mean) / std::sqrt(v1 + factor * factor * v2);
  r.contrast_p_one_sided = NormalSf(sign * r.contrast_z);
  return r;
}

}  // namespace fulcrum::stats
