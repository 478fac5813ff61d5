// SPDX-License-Identifier: Apache-2.0
#include "report/score_ratio.h"

#include <cmath>

#include "stats/distributions.h"

namespace fulcrum::report {
namespace {

// Signed score statistic of H0: p_T = ratio * p_C. Falls as `ratio` rises.
double Score(stats::Proportion treatment, stats::Proportion control, double ratio) {
  const double n_t = treatment.Count();
  const double n_c = control.Count();
  const double x_t = static_cast<double>(treatment.events);
  const double x_c = static_cast<double>(control.events);
  // Constrained maximum likelihood of p_C: the smaller root of a p^2 + b p + c = 0.
  const double a = (n_t + n_c) * ratio;
  const double b = -(n_t * ratio + x_t + n_c + x_c * ratio);
  const double c = x_t + x_c;
  const double root = std::sqrt(std::fmax(0.0, b * b - 4 * a * c));
  const double p_c = std::fmin(1.0, 2 * c / (-b + root));
  const double p_t = std::fmin(1.0, ratio * p_c);
  const double total = n_t + n_c;
  const double variance =
      (p_t * (1 - p_t) / n_t + ratio * ratio * p_c * (1 - p_c) / n_c) * total / (total - 1);
  const double distance = treatment.Rate() - ratio * control.Rate();
  if (variance <= 0) {
    return distance == 0 ? 0 : std::copysign(stats::kInfinity, distance);
  }
  return distance / std::sqrt(variance);
}

// The ratio where the falling statistic passes `target`, between lo and hi, on the log scale.
double Cross(stats::Proportion treatment, stats::Proportion control, double target, double lo,
             double hi) {
  double log_lo = std::log(lo);
  double log_hi = std::log(hi);
  for (int i = 0; i < 200 && log_hi - log_lo > 1e-15 * std::fabs(log_hi) + 1e-16; ++i) {
    const double middle = 0.5 * (log_lo + log_hi);
    (Score(treatment, control, std::exp(middle)) > target ? log_lo : log_hi) = middle;
  }
  return std::exp(0.5 * (log_lo + log_hi));
}

}  // namespace

stats::Interval ScoreRatioInterval(stats::Proportion treatment, stats::Proportion control,
                                   double alpha) {
  const double z = stats::CriticalZ(alpha);
  // Far outside anything two counts below 2^53 can give.
  constexpr double kSmallest = 1e-40;
  constexpr double kLargest = 1e40;
  stats::Interval interval{0, stats::kInfinity};
  if (treatment.events > 0) {
    interval.lo = Cross(treatment, control, z, kSmallest, kLargest);
  }
  if (control.events > 0) {
    interval.hi = Cross(treatment, control, -z, kSmallest, kLargest);
  }
  return interval;
}

}  // namespace fulcrum::report
