// SPDX-License-Identifier: Apache-2.0
// Root finding that cannot diverge, for monotone functions of one variable.
#pragma once

#include <cmath>

namespace fulcrum::stats {

// Root of f between `a` and `b`, where f(a) and f(b) differ in sign: Illinois false position with
// bisection whenever it stalls. Ends when the bracket is narrower than `tolerance` (absolute) or
// is two neighbouring doubles. Where the signs do not differ, returns the end nearer to zero.
template <typename F>
double FindRoot(double a, double b, double tolerance, F f) {
  double fa = f(a), fb = f(b);
  if (fa == 0) return a;
  if (fb == 0) return b;
  if ((fa > 0) == (fb > 0)) return std::abs(fa) < std::abs(fb) ? a : b;
  int side = 0;
  for (int i = 0; i < 300; ++i) {
    if (std::abs(b - a) <= tolerance) break;
    // Every third step halves the bracket, so the worst case is bisection three times over.
    double c = i % 3 == 2 ? 0.5 * (a + b) : a - fa * (b - a) / (fb - fa);
    if (!(c > std::fmin(a, b) && c < std::fmax(a, b))) c = 0.5 * (a + b);
    if (c == a || c == b) break;
    const double fc = f(c);
    if (fc == 0) return c;
    if ((fc > 0) == (fb > 0)) {
      b = c;
      fb = fc;
      if (side == -1) fa *= 0.5;
      side = -1;
    } else {
      a = c;
      fa = fc;
      if (side == 1) fb *= 0.5;
      side = 1;
    }
  }
  return std::abs(fa) < std::abs(fb) ? a : b;
}

}  // namespace fulcrum::stats
