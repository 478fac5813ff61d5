// SPDX-License-Identifier: Apache-2.0
// Gauss-Legendre quadrature, the deterministic integrator of this folder.
#pragma once

#include <span>

namespace fulcrum::stats {

struct QuadratureNode {
  double x;       // in (-1, 1)
  double weight;  // sums to 2
};

// The 16-point rule, exact for polynomials of degree 31.
std::span<const QuadratureNode> GaussLegendre16();

// Integral of f over [a, b] in `panels` equal panels of 16 points.
template <typename F>
double Integrate(double a, double b, int panels, F f) {
  const double half = 0.5 * (b - a) / panels;
  double sum = 0;
  for (int p = 0; p < panels; ++p) {
    const double centre = a + (2 * p + 1) * half;
    for (const QuadratureNode& node : GaussLegendre16()) {
      sum += node.weight * f(centre + half * node.x);
    }
  }
  return sum * half;
}

}  // namespace fulcrum::stats
