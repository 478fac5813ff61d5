// SPDX-License-Identifier: Apache-2.0
// Count, mean and centred sum of squares of one variable, mergeable in any order.
// Start here for means; `gram.h` is the same idea for many variables at once.
#pragma once

#include <cstdint>
#include <span>

namespace fulcrum::stats {

// Sufficient statistics of one variable. A plain value: copy it, send it, merge it; no locking.
//
// Only centred sums are kept. A raw sum of squares loses every digit of the variance once the mean
// is about 1e8 standard deviations away; the centred sum keeps them all. `mean_lo` is the rounding
// residue of `mean` (the mean is mean + mean_lo), which keeps merging free of order effects even
// at a mean of 1e12 and a standard deviation of 1. Leave it 0 when the moments come from outside.
struct Moments {
  std::int64_t n = 0;  // observations
  double mean = 0;     // in the unit of the variable
  double m2 = 0;       // sum of (x - mean)^2, in the unit squared
  double mean_lo = 0;  // rounding residue of `mean`

  // Adds one observation (Welford 1962).
  void Add(double x);

  // Adds every observation of `other` (Chan, Golub and LeVeque 1983, pairwise update).
  void Merge(const Moments& other);

  // Unbiased variance m2 / (n - 1). REQUIRES n >= 2; returns 0 otherwise, so ask n first.
  double Variance() const { return n >= 2 ? m2 / static_cast<double>(n - 1) : 0.0; }

  // Squared standard error of the mean, Variance() / n. REQUIRES n >= 2; returns 0 otherwise.
  double VarianceOfMean() const { return n >= 2 ? Variance() / static_cast<double>(n) : 0.0; }

  double Sum() const { return static_cast<double>(n) * mean; }

  static Moments Of(std::span<const double> values);

  // From the unbiased variance, as summaries are usually printed.
  static Moments FromVariance(std::int64_t n, double mean, double variance) {
    return {n, mean, n >= 1 ? variance * static_cast<double>(n - 1) : 0.0};
  }

  // `events` ones among `n` zeros and ones.
  static Moments FromProportion(std::int64_t events, std::int64_t n) {
    if (n <= 0) return {};
    const double p = static_cast<double>(events) / static_cast<double>(n);
    return {n, p, static_cast<double>(events) * (1.0 - p)};
  }
};

}  // namespace fulcrum::stats
