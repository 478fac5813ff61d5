// SPDX-License-Identifier: Apache-2.0
#include "stats/ratio.h"

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"
#include "stats/means.h"

namespace fulcrum::stats {

RatioMoments RatioMoments::Of(const Gram& gram, std::size_t numerator, std::size_t denominator) {
  return {gram.n(),
          gram.mean(numerator),
          gram.mean(denominator),
          gram.variance(numerator),
          gram.variance(denominator),
          gram.covariance(numerator, denominator)};
}

RatioMoments RatioMoments::Of(std::span<const double> num, std::span<const double> den) {
  Gram gram(2);
  for (std::size_t i = 0; i < std::min(num.size(), den.size()); ++i) {
    const double row[2] = {num[i], den[i]};
    gram.Add(row);
  }
  return Of(gram, 0, 1);
}

double RatioMoments::UnitVariance() const {
  const double r = Ratio();
  // A sum of squares in exact arithmetic; rounding must not turn a constant ratio negative.
  return std::max(0.0, var_num - 2 * r * cov + r * r * var_den) / (mean_den * mean_den);
}

RatioResult RatioDelta(const RatioMoments& treatment, const RatioMoments& control, double alpha) {
  RatioResult r;
  if (treatment.n < 2 || control.n < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const double n1 = static_cast<double>(treatment.n), n2 = static_cast<double>(control.n);
  const auto near_zero = [](const RatioMoments& m, double n) {
    return m.mean_den == 0 || m.mean_den * m.mean_den < 9 * m.var_den / n;
  };
  if (near_zero(treatment, n1) || near_zero(control, n2)) {
    r.reason = Reason::kDenominatorNearZero;
    return r;
  }
  r.ratio_treatment = treatment.Ratio();
  r.ratio_control = control.Ratio();
  r.var_treatment = treatment.UnitVariance() / n1;
  r.var_control = control.UnitVariance() / n2;
  r.welch_df = SatterthwaiteDf(r.var_treatment, n1, r.var_control, n2);
  const double diff = r.ratio_treatment - r.ratio_control;
  const double se = std::sqrt(r.var_treatment + r.var_control);
  const WelchResult normal = FromEstimate(diff, se, kInfinity, alpha);
  r.diff = diff;
  r.se = se;
  r.z = normal.t;
  r.p_z = normal.p;
  r.interval = normal.interval;
  r.reason = normal.reason;
  if (r.reason == Reason::kNone) {
    const WelchResult student = FromEstimate(diff, se, r.welch_df, alpha);
    r.p_t = student.p;
    r.interval_t = student.interval;
  }
  r.lift =
      RelativeLift({r.ratio_treatment, r.var_treatment}, {r.ratio_control, r.var_control}, alpha);
  return r;
}

}  // namespace fulcrum::stats
