// SPDX-License-Identifier: Apache-2.0
#include "stats/shrinkage.h"

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"
#include "stats/group_sequential.h"
#include "stats/heterogeneity.h"
#include "stats/quadrature.h"
#include "stats/roots.h"

namespace fulcrum::stats {

ShrinkageResult Shrink(std::span<const Estimate> effects, double tau2) {
  ShrinkageResult r;
  r.tau2 = tau2;
  r.mu = RandomEffectsMean(effects, tau2).value;
  for (const Estimate& e : effects) {
    const double b = e.variance / (e.variance + tau2);
    r.shrunk.push_back(b * r.mu + (1 - b) * e.value);
    r.posterior_sd.push_back(std::sqrt(b * tau2));
  }
  return r;
}

ShrinkageResult ShrinkEmpirical(std::span<const Estimate> effects) {
  return Shrink(effects, MetaAnalysis(effects).tau2_dl);
}

JamesSteinResult JamesSteinRates(std::span<const double> events, double n) {
  JamesSteinResult r;
  const double k = static_cast<double>(events.size());
  double sum = 0;
  for (const double x : events) sum += x / n;
  r.grand_mean = sum / k;
  double spread = 0;
  for (const double x : events) spread += (x / n - r.grand_mean) * (x / n - r.grand_mean);
  const double variance = r.grand_mean * (1 - r.grand_mean) / n;
  r.shrink_factor = spread > 0 ? std::max(0.0, 1 - (k - 3) * variance / spread) : 0.0;
  for (const double x : events) {
    r.estimates.push_back(r.grand_mean + r.shrink_factor * (x / n - r.grand_mean));
  }
  return r;
}

SelectedEstimate GivenSignificance(double z, double threshold, double alpha) {
  const double sign = z < 0 ? -1.0 : 1.0, size = std::abs(z), c = threshold;
  SelectedEstimate r;
  const auto score = [&](double m) {
    // d/dm of log P(|Z| > c; m), by ratios that survive far tails.
    const double right = LogNormalSf(c - m), left = LogNormalSf(c + m);
    const double most = std::max(right, left);
    const double total = most + std::log(std::exp(right - most) + std::exp(left - most));
    const double log_pdf_right = std::log(NormalPdf(0)) - 0.5 * (c - m) * (c - m);
    const double log_pdf_left = std::log(NormalPdf(0)) - 0.5 * (c + m) * (c + m);
    return (size - m) - (std::exp(log_pdf_right - total) - std::exp(log_pdf_left - total));
  };
  r.conditional_mle = sign * FindRoot(0, size, 1e-13, score);
  // P(Z > size | |Z| > c; m) rises from 0 to 1 with m.
  const auto solve = [&](double tail) {
    return FindRoot(-size - 40, size + 40, 1e-12, [&](double m) {
      const double right = LogNormalSf(c - m), left = LogNormalSf(c + m);
      const double most = std::max(right, left);
      const double total = most + std::log(std::exp(right - most) + std::exp(left - most));
      return LogNormalSf(size - m) - total - std::log(tail);
    });
  };
  r.median_unbiased = sign * solve(0.5);
  const double low = solve(alpha / 2), high = solve(1 - alpha / 2);
  r.interval = sign > 0 ? Interval{low, high} : Interval{-high, -low};
  return r;
}

namespace {

// The law of Z at look `stopped_at`, given that the walk got there and, where `crossed`, that it is
// outside its bound there.
class StopLaw {
 public:
  StopLaw(std::span<const double> information, std::span<const double> boundary_z,
          std::size_t stopped_at, bool crossed, double theta)
      : walk_(theta), bound_(crossed ? boundary_z[stopped_at - 1] : 0.0) {
    for (std::size_t k = 0; k < stopped_at; ++k) {
      walk_.Look(information[k], k + 1 < stopped_at ? information[k + 1] : 0.0);
      if (k + 1 < stopped_at) walk_.Continue(-boundary_z[k], boundary_z[k]);
    }
    above_ = walk_.Above(bound_);
    below_ = walk_.Below(-bound_);
    centre_ = theta * std::sqrt(information[stopped_at - 1]);
  }

  // P(Z > z | the stop), z >= the bound. Where not even doubles reach, the drift's sign decides.
  double Tail(double z) const {
    const double all = above_ + below_;
    if (!(all > 0)) return centre_ > 0 ? 1.0 : 0.0;
    return walk_.Above(z) / all;
  }

  // E[Z | the stop].
  double Mean() const {
    const double all = above_ + below_;
    if (!(all > 0)) return centre_ > 0 ? kInfinity : -kInfinity;
    return (walk_.MomentAbove(bound_) + walk_.MomentBelow(-bound_)) / all;
  }

 private:
  ExitRecursion walk_;
  double bound_;
  double above_ = 0;
  double below_ = 0;
  double centre_ = 0;
};

}  // namespace

StoppedEstimate GivenStop(std::span<const double> information, std::span<const double> boundary_z,
                          std::size_t stopped_at, double z, double alpha) {
  const double size = std::abs(z), sign = z < 0 ? -1.0 : 1.0;
  const double se = 1 / std::sqrt(information[stopped_at - 1]);
  const bool crossed = size >= boundary_z[stopped_at - 1];
  const auto law = [&](double theta) {
    return StopLaw(information, boundary_z, stopped_at, crossed, theta);
  };
  // Drifts beyond which the walk could not have got here at all, in doubles.
  const double far = 8 / std::sqrt(information[0]);
  const double low_end = -far, high_end = size * se + far;
  const auto solve = [&](double tail) {
    return FindRoot(low_end, high_end, 1e-12 * (high_end - low_end),
                    [&](double theta) { return law(theta).Tail(size) - tail; });
  };
  StoppedEstimate r;
  r.naive = z * se;
  r.naive_interval = {r.naive - CriticalZ(alpha) * se, r.naive + CriticalZ(alpha) * se};
  r.conditional_mle = sign * FindRoot(0, high_end, 1e-12 * high_end,
                                      [&](double theta) { return law(theta).Mean() - size; });
  r.median_unbiased = sign * solve(0.5);
  const double low = solve(alpha / 2), high = solve(1 - alpha / 2);
  r.interval = sign > 0 ? Interval{low, high} : Interval{-high, -low};
  return r;
}

double ExpectedMaximum(double k) {
  // Integral of P(max > x) over x > 0 less that of P(max < x) over x < 0.
  const double above =
      Integrate(0, 40, 40, [&](double x) { return -std::expm1(k * std::log1p(-NormalSf(x))); });
  const double below = Integrate(-40, 0, 40, [&](double x) { return std::pow(NormalCdf(x), k); });
  return above - below;
}

}  // namespace fulcrum::stats
