// SPDX-License-Identifier: Apache-2.0
// Overlapping experiments: does the effect of one depend on the variant of the other?
//
// Units in both experiments at once fill a table of a's variants by b's. Both are randomised, so a
// cell mean is the mean under that pair, and the interaction of a row and a column with the two
// controls is (m_ij - m_i0) - (m_0j - m_00): 0 for all pairs exactly when effects add up.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/heterogeneity.h"
#include "stats/moments.h"
#include "stats/types.h"

namespace fulcrum::stats {

struct InteractionCell {
  std::size_t a = 1;  // row and column, from 0; 0 is the control
  std::size_t b = 1;
  Difference interaction;
  double p_adjusted = 1;  // single-step max-|z| over all pairs
  Interval interval;      // simultaneous over all pairs
};

struct FactorialAnalysis {
  // Joint test that nothing interacts, heteroscedastic Wald (Johansen 1980, large samples).
  double chi2 = 0;
  double df = 0;  // (rows - 1)(columns - 1)
  double p = 1;
  std::vector<InteractionCell> cells;  // a = 1.., b = 1..
  double critical_value = 0;
  // Effects of each row against row 0 with both experiments running: over the columns with equal
  // weights (the factorial main effect) and at b's control alone (what a would do without b).
  std::vector<Difference> main_a;
  std::vector<Difference> main_b;
  std::vector<Difference> a_without_b;
  std::vector<Difference> b_without_a;
  Reason reason = Reason::kNone;  // kTooFewUnits: a cell with fewer than 2 units; kNoVariance
};
// `cells` row after row, rows = size / columns. REQUIRES at least 2 rows and 2 columns.
FactorialAnalysis AnalyseFactorial(std::span<const Moments> cells, std::size_t columns,
                                   double alpha);

}  // namespace fulcrum::stats
