// SPDX-License-Identifier: Apache-2.0
// Small symmetric systems by a pivoted LDL' factorisation, with rank deficiency as an answer.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace fulcrum::stats {

// Solves S x = b for a positive semidefinite S (k x k, row by row). Variables are scaled to unit
// diagonal first; those whose share not explained by earlier pivots is below 1e-9 are dropped
// (their x is 0), so a duplicated or constant covariate changes nothing. `rank` counts the kept.
struct LinearSolution {
  std::vector<double> x;
  std::size_t rank = 0;
};
LinearSolution SolveSemidefinite(std::span<const double> s, std::span<const double> b);

}  // namespace fulcrum::stats
