// SPDX-License-Identifier: Apache-2.0
#include "stats/bandit.h"

#include <cmath>

#include "stats/distributions.h"
#include "stats/moments.h"

namespace fulcrum::stats {

PeriodWeighted PeriodWeightedDifference(std::span<const Period> periods) {
  PeriodWeighted r;
  double total = 0, variance = 0;
  Proportion all_t, all_c;
  for (const Period& p : periods) {
    total += p.treatment.Count() + p.control.Count();
    all_t.events += p.treatment.events;
    all_t.n += p.treatment.n;
    all_c.events += p.control.events;
    all_c.n += p.control.n;
  }
  const auto spread = [](Proportion p) { return p.Rate() * (1 - p.Rate()) / p.Count(); };
  for (const Period& p : periods) {
    const double weight = (p.treatment.Count() + p.control.Count()) / total;
    r.difference.diff += weight * (p.treatment.Rate() - p.control.Rate());
    variance += weight * weight * (spread(p.treatment) + spread(p.control));
  }
  r.difference.se = std::sqrt(variance);
  if (r.difference.se > 0) {
    r.difference.z = r.difference.diff / r.difference.se;
    r.difference.p = TwoSidedNormalP(r.difference.z);
  }
  r.pooled_naive = all_t.Rate() - all_c.Rate();
  return r;
}

WeightedArms InversePropensity(std::span<const LoggedUnit> units) {
  WeightedArms r;
  const double n = static_cast<double>(units.size());
  double weight[2] = {}, total[2] = {};
  Moments difference;
  for (const LoggedUnit& u : units) {
    weight[u.arm] += 1 / u.propensity;
    total[u.arm] += u.y / u.propensity;
    double score[2] = {u.model_0, u.model_1};
    score[u.arm] += (u.y - score[u.arm]) / u.propensity;
    r.aipw[0] += score[0] / n;
    r.aipw[1] += score[1] / n;
    difference.Add(score[1] - score[0]);
  }
  for (int a = 0; a < 2; ++a) {
    r.ipw[a] = total[a] / n;
    r.hajek[a] = weight[a] > 0 ? total[a] / weight[a] : 0.0;
  }
  r.aipw_diff = difference.mean;
  r.aipw_se = std::sqrt(difference.VarianceOfMean());
  return r;
}

AdaptiveMean AdaptivelyWeightedMean(std::span<const AdaptiveUnit> units, double model) {
  AdaptiveMean r;
  const auto score = [&](const AdaptiveUnit& u) {
    return model + (u.taken ? (u.y - model) / u.propensity : 0.0);
  };
  double weights = 0, sum = 0, variance = 0;
  for (const AdaptiveUnit& u : units) {
    weights += std::sqrt(u.propensity);
    sum += std::sqrt(u.propensity) * score(u);
  }
  r.estimate = sum / weights;
  for (const AdaptiveUnit& u : units) {
    variance += u.propensity * std::pow(score(u) - r.estimate, 2);
  }
  r.se = std::sqrt(variance) / weights;
  return r;
}

std::int64_t BinomialQuantile(double level, std::int64_t n, double p) {
  const double count = static_cast<double>(n);
  std::int64_t low = -1, high = n;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    // Upper tails by complement, so that levels near 1 keep their digits.
    const bool enough = level > 0.5 ? BinomialSf(static_cast<double>(middle), count, p) <= 1 - level
                                    : BinomialCdf(static_cast<double>(middle), count, p) >= level;
    (enough ? high : low) = middle;
  }
  return high;
}

}  // namespace fulcrum::stats
