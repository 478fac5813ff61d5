// SPDX-License-Identifier: Apache-2.0
//
// Cells of a store's result -> per arm and group the vector of column means and its covariance.
// Everything the report estimates is a function of these means. Private to report/.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stats/gram.h"
#include "store/plan.h"

namespace fulcrum::report {

struct ArmStats {
  stats::Gram gram;          // All phases together.
  double maturing = 0;       // Units left out.
  std::vector<double> mean;  // Averaged over phases with the same weights in every arm.
  std::vector<double> cov;   // Covariance of `mean`, row by row, width * width.
  // With clusters: the rows behind `gram` and the phase of each; empty where there are too many.
  std::vector<std::vector<double>> clusters;
  std::vector<int> cluster_phases;

  // left' cov right.
  double Covariance(std::span<const double> left, std::span<const double> right) const;
};

struct GroupStats {
  std::vector<ArmStats> arms;
  bool stratified = false;  // Phases had different weights; `mean` is then not the pooled mean.
  // Sum over arms and phases of centred cross products: the within-arm scatter for covariates.
  std::vector<double> within;
  size_t width = 0;
  // With clusters, the column that counts a row's units; a mean per unit is a ratio to it.
  std::optional<size_t> size_column;
};

struct Sample {
  std::vector<GroupStats> groups;
};

// Expected share of each arm in each phase; phases not named have the plan's weights.
struct PhaseShares {
  int phase = 0;
  std::vector<double> shares;
};

// The whole.
Sample Gather(const store::Plan& plan, const store::PlanResult& result,
              std::span<const PhaseShares> phases);

struct SliceValue {
  std::string value;
  Sample sample;
};
// Every value of every slice, by slice; the largest value first, ties by name. One pass over the
// cells, so the cost of a value does not grow with their number.
std::vector<std::vector<SliceValue>> GatherSlices(const store::Plan& plan,
                                                  const store::PlanResult& result,
                                                  std::span<const PhaseShares> phases);

// Normalised shares of the plan's arms in a phase. All zero weights give all zero shares.
std::vector<double> SharesOf(const store::Plan& plan, std::span<const PhaseShares> phases,
                             int phase);

// Where a column sits. With `group` given, only there.
struct ColumnRef {
  int group = 0;
  size_t index = 0;
};
std::optional<ColumnRef> FindColumn(const store::Plan& plan, const std::string& name,
                                    int group = -1);

}  // namespace fulcrum::report
