// SPDX-License-Identifier: Apache-2.0
#include "stats/linear.h"

#include <cmath>
#include <numeric>
#include <utility>

namespace fulcrum::stats {

LinearSolution SolveSemidefinite(std::span<const double> s, std::span<const double> b) {
  const std::size_t k = b.size();
  LinearSolution solution;
  solution.x.assign(k, 0.0);
  std::vector<double> scale(k), a(k * k), l(k * k, 0.0), pivot(k), rest(k);
  for (std::size_t i = 0; i < k; ++i) {
    const double d = s[i * k + i];
    scale[i] = d > 0 ? 1 / std::sqrt(d) : 0.0;
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) a[i * k + j] = s[i * k + j] * scale[i] * scale[j];
    rest[i] = a[i * k + i];
  }
  std::vector<std::size_t> order(k);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::size_t rank = 0;
  for (; rank < k; ++rank) {
    std::size_t best = rank;
    for (std::size_t i = rank + 1; i < k; ++i) {
      // Strictly better only: among equals the first given stays.
      if (rest[order[i]] > rest[order[best]] * (1 + 1e-12)) best = i;
    }
    if (rest[order[best]] < 1e-9) break;
    std::swap(order[rank], order[best]);
    const std::size_t p = order[rank];
    pivot[rank] = rest[p];
    for (std::size_t i = rank + 1; i < k; ++i) {
      const std::size_t q = order[i];
      double sum = a[q * k + p];
      for (std::size_t m = 0; m < rank; ++m) sum -= l[q * k + m] * pivot[m] * l[p * k + m];
      l[q * k + rank] = sum / pivot[rank];
      rest[q] -= sum * l[q * k + rank];
    }
  }
  std::vector<double> y(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    double sum = b[order[i]] * scale[order[i]];
    for (std::size_t m = 0; m < i; ++m) sum -= l[order[i] * k + m] * y[m];
    y[i] = sum;
  }
  for (std::size_t i = rank; i-- > 0;) {
    double sum = y[i] / pivot[i];
    for (std::size_t m = i + 1; m < rank; ++m) {
      sum -= l[order[m] * k + i] * solution.x[order[m]];
    }
    solution.x[order[i]] = sum;
  }
  for (std::size_t i = 0; i < k; ++i) solution.x[i] *= scale[i];
  solution.rank = rank;
  return solution;
}

}  // namespace fulcrum::stats
