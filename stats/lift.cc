// SPDX-License-Identifier: Apache-2.0
#include "stats/lift.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "stats/distributions.h"

namespace fulcrum::stats {

FiellerSet Fieller(Estimate numerator, Estimate denominator, double covariance, double quantile) {
  FiellerSet set;
  const double q2 = quantile * quantile;
  const double a = denominator.value * denominator.value - q2 * denominator.variance;
  const double b = numerator.value * denominator.value - q2 * covariance;
  const double c = numerator.value * numerator.value - q2 * numerator.variance;
  const double den2 = denominator.value * denominator.value;
  set.g = den2 > 0 ? q2 * denominator.variance / den2 : kInfinity;
  const double discriminant = b * b - a * c;
  if (a > 0) {
    const double root = std::sqrt(std::max(0.0, discriminant));
    // The larger root in size first, the other through their product: no cancellation.
    const double outer = b >= 0 ? b + root : b - root;
    double first = outer / a;
    double second = outer != 0 ? c / outer : first;
    if (first > second) std::swap(first, second);
    set.shape = FiellerSet::Shape::kBounded;
    set.lo = first;
    set.hi = second;
  } else if (a < 0 && discriminant > 0) {
    const double root = std::sqrt(discriminant);
    set.shape = FiellerSet::Shape::kComplement;
    set.lo = (b + root) / a;
    set.hi = (b - root) / a;
  }
  return set;
}

double LiftVariance(Estimate treatment, Estimate control, double covariance) {
  const double c2 = control.value * control.value;
  const double ratio = treatment.value / control.value;
  return (treatment.variance - 2 * ratio * covariance + ratio * ratio * control.variance) / c2;
}

LiftResult RelativeLift(Estimate treatment, Estimate control, double alpha, double df) {
  LiftResult r;
  if (control.value == 0) {
    r.reason = Reason::kDenominatorNearZero;
    r.fieller.g = kInfinity;
    return r;
  }
  const double q = CriticalT(alpha, df);
  const double sign = control.value > 0 ? 1.0 : -1.0;
  const double difference = treatment.value - control.value;
  r.lift = difference / std::abs(control.value);
  r.se_delta = std::sqrt(LiftVariance(treatment, control));
  r.delta = {r.lift - q * r.se_delta, r.lift + q * r.se_delta};
  const double se_absolute = std::sqrt(treatment.variance + control.variance);
  if (se_absolute > 0) {
    r.z_absolute = difference / se_absolute;
    r.p_absolute = TwoSidedTP(r.z_absolute, df);
    r.z_delta = r.lift / r.se_delta;
    r.p_delta = TwoSidedTP(r.z_delta, df);
  } else {
    r.reason = Reason::kNoVariance;
  }
  // A ratio rho maps to the lift (rho - 1) for a positive control and (1 - rho) for a negative one.
  const auto as_lift = [&](double lo, double hi) {
    return sign > 0 ? Interval{lo - 1, hi - 1} : Interval{1 - hi, 1 - lo};
  };
  r.fieller = Fieller(treatment, control, 0.0, q);
  if (r.fieller.shape != FiellerSet::Shape::kWholeLine) {
    const Interval set = as_lift(r.fieller.lo, r.fieller.hi);
    r.fieller.lo = set.lo;
    r.fieller.hi = set.hi;
  }
  const double ratio = treatment.value / control.value;
  if (ratio > 0) {
    r.se_log = std::sqrt(treatment.variance / (treatment.value * treatment.value) +
                         control.variance / (control.value * control.value));
    const double half = q * *r.se_log;
    // expm1 of the whole logarithm keeps small lifts exact.
    const double centre = std::log1p(difference / control.value);
    const double lo = std::expm1(centre - half), hi = std::expm1(centre + half);
    r.log = sign > 0 ? Interval{lo, hi} : Interval{-hi, -lo};
  }
  return r;
}

}  // namespace fulcrum::stats
