// SPDX-License-Identifier: Apache-2.0
#include "stats/bayes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "stats/distributions.h"
#include "stats/quadrature.h"

namespace fulcrum::stats {
namespace {

// Break points that resolve every arm: half standard deviations around each mean, and a geometric
// approach to finite ends, where a beta or gamma density may be singular.
std::vector<double> Breaks(std::span<const Posterior> arms) {
  std::vector<double> points;
  double lo = kInfinity, hi = -kInfinity;
  for (const Posterior& arm : arms) {
    const double from = std::max(arm.lo, arm.mean - 40 * arm.sd);
    const double to = std::min(arm.hi, arm.mean + 40 * arm.sd);
    lo = std::min(lo, from);
    hi = std::max(hi, to);
    for (double k = -10; k <= 10; k += 0.5) points.push_back(arm.mean + k * arm.sd);
    for (double k = 11; k <= 40; k += 3) {
      points.push_back(arm.mean - k * arm.sd);
      points.push_back(arm.mean + k * arm.sd);
    }
    for (int k = 1; k <= 15; ++k) {
      const double near = std::pow(10.0, -k);
      if (std::isfinite(arm.lo)) points.push_back(arm.lo + (arm.mean - arm.lo) * near);
      if (std::isfinite(arm.hi)) points.push_back(arm.hi - (arm.hi - arm.mean) * near);
    }
  }
  points.push_back(lo);
  points.push_back(hi);
  std::sort(points.begin(), points.end());
  std::vector<double> inside;
  for (const double x : points) {
    if (x >= lo && x <= hi && (inside.empty() || x > inside.back())) inside.push_back(x);
  }
  return inside;
}

template <typename F>
double IntegrateOver(const std::vector<double>& breaks, F f) {
  double sum = 0;
  for (std::size_t i = 1; i < breaks.size(); ++i) sum += Integrate(breaks[i - 1], breaks[i], 1, f);
  return sum;
}

double AtMostOne(double p) { return std::clamp(p, 0.0, 1.0); }

}  // namespace

Posterior BetaPosterior(double a, double b) {
  const double sum = a + b;
  return {[a, b](double x) { return BetaPdf(x, a, b); },
          [a, b](double x) { return BetaCdf(x, a, b); },
          [a, b](double x) { return BetaSf(x, a, b); },
          a / sum,
          std::sqrt(a / sum * (b / sum) / (sum + 1)),
          0,
          1};
}

Posterior GammaPosterior(double shape, double rate) {
  return {[=](double x) { return GammaPdf(x, shape, rate); },
          [=](double x) { return x > 0 ? RegularisedGammaP(shape, rate * x) : 0.0; },
          [=](double x) { return x > 0 ? RegularisedGammaQ(shape, rate * x) : 1.0; },
          shape / rate,
          std::sqrt(shape) / rate,
          0,
          kInfinity};
}

Posterior NormalPosterior(double mean, double sd) {
  return {[=](double x) { return NormalPdf((x - mean) / sd) / sd; },
          [=](double x) { return NormalCdf((x - mean) / sd); },
          [=](double x) { return NormalSf((x - mean) / sd); }, mean, sd};
}

BestArm CompareArms(std::span<const Posterior> arms) {
  const std::size_t k = arms.size();
  BestArm r;
  r.prob_best.assign(k, 0.0);
  r.prob_second.assign(k, 0.0);
  r.expected_loss.assign(k, 0.0);
  const auto breaks = Breaks(arms);
  std::vector<double> cdf(k), sf(k);
  for (std::size_t b = 1; b < breaks.size(); ++b) {
    const double half = 0.5 * (breaks[b] - breaks[b - 1]),
                 centre = 0.5 * (breaks[b] + breaks[b - 1]);
    for (const QuadratureNode& node : GaussLegendre16()) {
      const double x = centre + half * node.x, w = half * node.weight;
      for (std::size_t i = 0; i < k; ++i) {
        cdf[i] = arms[i].cdf(x);
        sf[i] = arms[i].sf(x);
      }
      for (std::size_t i = 0; i < k; ++i) {
        double others = 1, log_others = 0, one_above = 0;
        for (std::size_t j = 0; j < k; ++j) {
          if (j == i) continue;
          others *= cdf[j];
          log_others += sf[j] < 1 ? std::log1p(-sf[j]) : -kInfinity;
          double rest = sf[j];
          for (std::size_t m = 0; m < k; ++m) {
            if (m != i && m != j) rest *= cdf[m];
          }
          one_above += rest;
        }
        const double density = arms[i].pdf(x);
        r.prob_best[i] += w * density * others;
        r.prob_second[i] += w * density * one_above;
        // E[max - X_i] = integral of F_i (1 - prod of the others); positive throughout.
        r.expected_loss[i] += w * cdf[i] * -std::expm1(log_others);
      }
    }
  }
  for (double& p : r.prob_best) p = AtMostOne(p);
  for (double& p : r.prob_second) p = AtMostOne(p);
  return r;
}

PairComparison ComparePair(const Posterior& a, const Posterior& b) {
  const Posterior both[] = {a, b};
  const auto breaks = Breaks(both);
  PairComparison r;
  r.prob_b_greater =
      AtMostOne(IntegrateOver(breaks, [&](double x) { return b.pdf(x) * a.cdf(x); }));
  r.prob_a_greater =
      AtMostOne(IntegrateOver(breaks, [&](double x) { return a.pdf(x) * b.cdf(x); }));
  r.loss_ship_b = IntegrateOver(breaks, [&](double x) { return b.cdf(x) * a.sf(x); });
  r.loss_ship_a = IntegrateOver(breaks, [&](double x) { return a.cdf(x) * b.sf(x); });
  return r;
}

double ProbabilityBeyond(const Posterior& a, const Posterior& b, double factor) {
  Posterior scaled = b;  // B / factor, only to place the break points
  scaled.mean /= factor;
  scaled.sd /= factor;
  scaled.hi = std::min(a.hi, b.hi / factor);
  const Posterior both[] = {a, scaled};
  return AtMostOne(
      IntegrateOver(Breaks(both), [&](double x) { return a.pdf(x) * b.sf(factor * x); }));
}

double ExpectedPositivePart(double mu, double sigma) {
  const double z = mu / sigma;
  if (z > 0) return mu + ExpectedPositivePart(-mu, sigma);
  const double size = -z;
  // phi(z) - |z| sf(|z|), by its asymptotic series where the difference has no digits left.
  if (size > 30) return sigma * NormalPdf(z) / (z * z) * (1 - 3 / (z * z));
  return sigma * (NormalPdf(z) - size * NormalSf(size));
}

EffectPosterior NormalEffect(double effect, double variance,
                             const std::optional<NormalPrior>& prior, bool lower_is_better,
                             double alpha) {
  EffectPosterior r;
  r.mean = effect;
  double posterior = variance;
  if (prior) {
    // Weights as shares, so that variances of very different size do not overflow as precisions.
    const double weight = prior->variance / (prior->variance + variance);
    r.mean = weight * effect + (1 - weight) * prior->mean;
    posterior = weight * variance;
  }
  r.sd = std::sqrt(posterior);
  const double half = CriticalZ(alpha) * r.sd;
  r.interval = {r.mean - half, r.mean + half};
  const double up = ExpectedPositivePart(r.mean, r.sd), down = ExpectedPositivePart(-r.mean, r.sd);
  r.chance_to_win = NormalCdf((lower_is_better ? -r.mean : r.mean) / r.sd);
  r.loss_keep_control = lower_is_better ? down : up;
  r.loss_ship_treatment = lower_is_better ? up : down;
  return r;
}

std::vector<double> FlooredWeights(std::span<const double> weights, double floor) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> out;
  for (const double w : weights) {
    out.push_back(floor + (1 - static_cast<double>(weights.size()) * floor) * (w / sum));
  }
  return out;
}

}  // namespace fulcrum::stats
