// SPDX-License-Identifier: Apache-2.0
#include "report/covariates.h"

#include <cmath>
#include <cstddef>

namespace fulcrum::report {

std::vector<double> SolveTheta(const std::vector<double>& sxx, const std::vector<double>& sxy) {
  // Below this share of a covariate's own variance, what is left after the ones before it is
  // rounding: centred cross products carry about 1e-12.
  constexpr double kNothingLeft = 1e-9;
  const size_t k = sxy.size();
  std::vector<double> scale(k, 0);
  for (size_t i = 0; i < k; ++i) {
    const double own = sxx[i * k + i];
    scale[i] = own > 0 && std::isfinite(own) ? 1 / std::sqrt(own) : 0;
  }
  // LDL' row by row; a dropped row keeps d = 0 and takes no part.
  std::vector<double> l(k * k, 0);
  std::vector<double> d(k, 0);
  for (size_t i = 0; i < k; ++i) {
    double pivot = scale[i] > 0 ? 1 : 0;
    for (size_t j = 0; j < i; ++j) {
      if (d[j] == 0 || scale[i] == 0) continue;
      double sum = sxx[i * k + j] * scale[i] * scale[j];
      for (size_t m = 0; m < j; ++m) sum -= l[i * k + m] * d[m] * l[j * k + m];
      l[i * k + j] = sum / d[j];
      pivot -= l[i * k + j] * sum;
    }
    d[i] = pivot > kNothingLeft ? pivot : 0;
  }
  std::vector<double> theta(k, 0);
  for (size_t i = 0; i < k; ++i) {
    if (d[i] == 0) continue;
    double sum = sxy[i] * scale[i];
    for (size_t j = 0; j < i; ++j) sum -= l[i * k + j] * theta[j];
    theta[i] = sum;
  }
  for (size_t i = 0; i < k; ++i) theta[i] = d[i] == 0 ? 0 : theta[i] / d[i];
  for (size_t i = k; i-- > 0;) {
    if (d[i] == 0) continue;
    for (size_t j = i + 1; j < k; ++j) theta[i] -= d[j] == 0 ? 0 : l[j * k + i] * theta[j];
  }
  for (size_t i = 0; i < k; ++i) theta[i] *= scale[i];
  return theta;
}

}  // namespace fulcrum::report
