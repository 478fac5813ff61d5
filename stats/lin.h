// SPDX-License-Identifier: Apache-2.0
// Regression adjustment after randomisation (Lin 2013): least squares of Y on T, X - mean(X) over
// all units, and their product; never less precise than no adjustment in large samples. Standard
// errors: HC2 by default (HC0 is too small in small arms, HC3 conservative).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/gram.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Least squares from raw rows with heteroscedasticity-consistent errors (MacKinnon and White
// 1985). Columns that the ones before them determine are dropped (coefficient and errors 0).
struct RegressionResult {
  std::vector<double> coefficient;
  std::vector<double> se_classical;
  std::vector<double> se_hc0;
  std::vector<double> se_hc1;
  std::vector<double> se_hc2;
  std::vector<double> se_hc3;
  std::size_t rank = 0;
  double df_residual = 0;
  Reason reason = Reason::kNone;  // kTooFewUnits where no degree of freedom is left
};
// `design` holds rows of `columns` values. REQUIRES design.size() == y.size() * columns.
RegressionResult LeastSquares(std::span<const double> y, std::span<const double> design,
                              std::size_t columns);

struct LinResult {
  double ate = 0;
  double se_classical = 0;
  double se_hc0 = 0;
  double se_hc1 = 0;
  double se_hc2 = 0;
  double se_hc3 = 0;
  double df_residual = 0;
  Reason reason = Reason::kNone;
};
// `covariates` holds rows of `k` values (k may be 0); treated[i] is 0 or 1. With
// `interacted` false: one common slope (ANCOVA).
LinResult Lin(std::span<const double> y, std::span<const double> covariates, std::size_t k,
              std::span<const double> treated, bool interacted = true);

// The same estimate from one Gram per arm; the error is the arms' residual variance with
// n - k - 1 degrees of freedom each plus the sampling of the covariate mean (a population beyond
// these units). Leverages need raw rows, so this is not HC2; they agree as n grows.
struct LinGramResult {
  double ate = 0;
  double se = 0;
  double df = 0;  // Satterthwaite
  double t = 0;
  double p = 1;
  Interval interval;
  Reason reason = Reason::kNone;
};
LinGramResult LinFromGram(const Gram& treatment, const Gram& control, std::size_t outcome,
                          std::span<const std::size_t> covariates, double alpha);

}  // namespace fulcrum::stats
