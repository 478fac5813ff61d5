// SPDX-License-Identifier: Apache-2.0
#include "stats/quantiles.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "stats/distributions.h"
#include "stats/means.h"

namespace fulcrum::stats {

double SampleQuantile(std::span<const double> sorted, double p, int type) {
  const double n = static_cast<double>(sorted.size());
  const auto at = [&](double rank) {  // from 1, kept inside
    // Written so that a rank that is not a number cannot index outside.
    const double inside = rank > 1 ? std::min(rank, n) : 1.0;
    return sorted[static_cast<std::size_t>(inside) - 1];
  };
  // A product like 0.1 * 30 must count as the whole number it means.
  const double fuzz = 4 * 2.220446049250313e-16;
  if (type <= 3) {
    const double np = n * p + (type == 3 ? -0.5 : 0.0);
    const double j = std::floor(np + fuzz * std::max(1.0, std::abs(np)));
    const double g = np - j;
    const bool whole = std::abs(g) <= fuzz * std::max(1.0, std::abs(np));
    if (type == 1) return whole ? at(j) : at(j + 1);
    if (type == 2) return whole ? 0.5 * (at(j) + at(j + 1)) : at(j + 1);
    return whole && std::fmod(j, 2.0) == 0 ? at(j) : at(j + 1);
  }
  double a = 0, b = 0;
  switch (type) {
    case 4:
      b = 1;
      break;
    case 5:
      a = b = 0.5;
      break;
    case 6:
      break;
    case 8:
      a = b = 1.0 / 3;
      break;
    case 9:
      a = b = 3.0 / 8;
      break;
    default:
      a = b = 1;
      break;
  }
  const double position = a + p * (n + 1 - a - b);
  const double j = std::floor(position + fuzz * std::max(1.0, std::abs(position)));
  const double g = std::max(0.0, position - j);
  const double low = at(j), high = at(j + 1);
  return g < fuzz ? low : low + g * (high - low);
}

QuantileRanks OrderStatisticRanks(std::int64_t n, double q, double alpha) {
  QuantileRanks r;
  const double count = static_cast<double>(n);
  const double spread = CriticalZ(alpha) * std::sqrt(count * q * (1 - q));
  r.lo = std::clamp<std::int64_t>(static_cast<std::int64_t>(std::floor(count * q - spread)), 1, n);
  r.hi = std::clamp<std::int64_t>(static_cast<std::int64_t>(std::ceil(count * q + spread)), 1, n);
  r.exact_coverage = BinomialCdf(static_cast<double>(r.hi - 1), count, q) -
                     BinomialCdf(static_cast<double>(r.lo - 1), count, q);
  return r;
}

double QuantileVariance(double lower, double upper, double alpha_of_ranks, double design_effect) {
  const double sd = (upper - lower) / (2 * CriticalZ(alpha_of_ranks));
  return sd * sd * design_effect;
}

double QuantileDesignEffect(const ClusteredIndicator& c, double q) {
  const double mean_m = c.main_sum / c.clusters, mean_d = c.denominator_sum / c.clusters;
  const double free = c.clusters - 1;
  const double var_m = std::fma(-mean_m, c.main_sum, c.main_sum_squares) / free;
  const double var_d = std::fma(-mean_d, c.denominator_sum, c.denominator_sum_squares) / free;
  const double cov = std::fma(-mean_m, c.denominator_sum, c.cross) / free;
  const double share = mean_m / mean_d;
  const double variance = std::max(0.0, var_m - 2 * share * cov + share * share * var_d) /
                          (c.clusters * mean_d * mean_d);
  return variance / (q * (1 - q) / c.denominator_sum);
}

QuantileDiffResult QuantileDiff(Estimate treatment, Estimate control, double alpha) {
  QuantileDiffResult r;
  const WelchResult w =
      FromEstimate(treatment.value - control.value,
                   std::sqrt(treatment.variance + control.variance), kInfinity, alpha);
  r.diff = w.diff;
  r.se = w.se;
  r.z = w.t;
  r.p = w.p;
  r.interval = w.interval;
  r.reason = w.reason;
  r.lift = RelativeLift(treatment, control, alpha);
  return r;
}

RawQuantileDiff QuantileDiffRaw(std::span<const double> treatment, std::span<const double> control,
                                double q, double alpha) {
  RawQuantileDiff r;
  if (treatment.size() < 2 || control.size() < 2) {
    r.result.reason = Reason::kTooFewUnits;
    return r;
  }
  const auto arm = [&](std::span<const double> values) {
    std::vector<double> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    const auto ranks = OrderStatisticRanks(static_cast<std::int64_t>(sorted.size()), q, alpha);
    return Estimate{SampleQuantile(sorted, q, 1),
                    QuantileVariance(sorted[static_cast<std::size_t>(ranks.lo - 1)],
                                     sorted[static_cast<std::size_t>(ranks.hi - 1)], alpha)};
  };
  const Estimate t = arm(treatment), c = arm(control);
  r.quantile_treatment = t.value;
  r.quantile_control = c.value;
  r.result = QuantileDiff(t, c, alpha);
  return r;
}

}  // namespace fulcrum::stats
