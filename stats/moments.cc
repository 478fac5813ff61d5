// SPDX-License-Identifier: Apache-2.0
#include "stats/moments.h"

#include "stats/two_sum.h"

namespace fulcrum::stats {

void Moments::Add(double x) {
  ++n;
  const double count = static_cast<double>(n);
  const double delta = (x - mean) - mean_lo;
  AddTo(delta / count, mean, mean_lo);
  m2 += delta * delta * ((count - 1.0) / count);
}

void Moments::Merge(const Moments& other) {
  if (other.n == 0) return;
  if (n == 0) {
    *this = other;
    return;
  }
  const double a = static_cast<double>(n);
  const double b = static_cast<double>(other.n);
  const double delta = (other.mean - mean) + (other.mean_lo - mean_lo);
  n += other.n;
  AddTo(delta * (b / (a + b)), mean, mean_lo);
  m2 += other.m2 + delta * delta * (a * b / (a + b));
}

Moments Moments::Of(std::span<const double> values) {
  Moments result;
  for (const double x : values) result.Add(x);
  return result;
}

}  // namespace fulcrum::stats
