// SPDX-License-Identifier: Apache-2.0
#include "stats/quadrature.h"

#include <array>
#include <cmath>

namespace fulcrum::stats {

std::span<const QuadratureNode> GaussLegendre16() {
  // Roots of the Legendre polynomial by Newton's method from Tricomi's approximation.
  static const auto nodes = [] {
    constexpr int kPoints = 16;
    std::array<QuadratureNode, kPoints> result{};
    for (int i = 0; i < kPoints; ++i) {
      double x = std::cos(M_PI * (i + 0.75) / (kPoints + 0.5));
      double slope = 1;
      for (int iteration = 0; iteration < 20; ++iteration) {
        double previous = 1, value = x;
        for (int k = 2; k <= kPoints; ++k) {
          const double next = ((2 * k - 1) * x * value - (k - 1) * previous) / k;
          previous = value;
          value = next;
        }
        slope = kPoints * (x * value - previous) / (x * x - 1);
        x -= value / slope;
      }
      result[static_cast<std::size_t>(i)] = {x, 2 / ((1 - x * x) * slope * slope)};
    }
    return result;
  }();
  return nodes;
}

}  // namespace fulcrum::stats
