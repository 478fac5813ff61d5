// SPDX-License-Identifier: Apache-2.0
#include "report/sample.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

namespace fulcrum::report {
namespace {

// One phase of one group: a Gram per arm.
using Stratum = std::vector<stats::Gram>;

// Adds weight^2 * Var(mean) and weight * mean of one stratum's arm.
void AddStratum(const stats::Gram& gram, double weight, ArmStats* arm) {
  const size_t width = arm->mean.size();
  for (size_t i = 0; i < width; ++i) {
    arm->mean[i] += weight * gram.mean(i);
    for (size_t j = 0; j < width; ++j) {
      arm->cov[i * width + j] +=
          weight * weight * gram.covariance(i, j) / static_cast<double>(gram.n());
    }
  }
}

// Whether any two phases share the traffic differently: only then does pooling mix the arms unlike.
bool SharesDiffer(const store::Plan& plan, std::span<const PhaseShares> phases,
                  const std::map<int, Stratum>& strata) {
  std::optional<std::vector<double>> first;
  for (const auto& [phase, grams] : strata) {
    const std::vector<double> shares = SharesOf(plan, phases, phase);
    if (!first) {
      first = shares;
      continue;
    }
    for (size_t a = 0; a < shares.size(); ++a) {
      if (std::abs(shares[a] - (*first)[a]) > 1e-9) return true;
    }
  }
  return false;
}

bool Usable(const Stratum& stratum, size_t arms) {
  for (size_t a = 0; a < arms; ++a) {
    if (stratum[a].n() < 2) return false;
  }
  return true;
}

// Post-stratification: phase weights are the phases' shares of all units (Miratrix, Sekhon and Yu
// 2013). A phase in which an arm has fewer than two units cannot be compared and is left out.
void Stratify(const std::map<int, Stratum>& strata, GroupStats* group) {
  double total = 0;
  std::map<int, double> units;
  for (const auto& [phase, stratum] : strata) {
    if (!Usable(stratum, group->arms.size())) continue;
    for (const auto& gram : stratum) units[phase] += static_cast<double>(gram.n());
    total += units[phase];
  }
  for (const auto& [phase, count] : units) {
    for (size_t a = 0; a < group->arms.size(); ++a) {
      AddStratum(strata.at(phase)[a], count / total, &group->arms[a]);
    }
  }
}

void AddWithin(const stats::Gram& gram, GroupStats* group) {
  if (gram.n() < 2) return;
  for (size_t i = 0; i < group->width; ++i) {
    for (size_t j = 0; j < group->width; ++j) {
      group->within[i * group->width + j] += gram.centred(i, j);
    }
  }
}

GroupStats Finish(const store::Plan& plan, std::span<const PhaseShares> phases,
                  const std::map<int, Stratum>& strata, size_t width, GroupStats group) {
  group.width = width;
  group.within.assign(width * width, 0);
  for (auto& arm : group.arms) {
    arm.gram = stats::Gram(width);
    arm.mean.assign(width, 0);
    arm.cov.assign(width * width, 0);
  }
  group.stratified = SharesDiffer(plan, phases, strata);
  for (const auto& [phase, stratum] : strata) {
    for (size_t a = 0; a < stratum.size(); ++a) {
      if (stratum[a].n() > 0) group.arms[a].gram.Merge(stratum[a]);
      if (group.stratified) AddWithin(stratum[a], &group);
    }
  }
  if (group.stratified) {
    Stratify(strata, &group);
    return group;
  }
  for (auto& arm : group.arms) {
    AddWithin(arm.gram, &group);
    if (arm.gram.n() > 0) AddStratum(arm.gram, 1, &arm);
  }
  return group;
}

// Where rows are clusters, the number of their units is one more column, last.
size_t WidthOf(const store::Plan& plan, size_t group) {
  return plan.groups[group].columns.size() + (store::Clustered(plan.population) ? 1 : 0);
}

}  // namespace

double ArmStats::Covariance(std::span<const double> left, std::span<const double> right) const {
  const size_t width = mean.size();
  double sum = 0;
  for (size_t i = 0; i < width; ++i) {
    if (left[i] == 0) continue;
    for (size_t j = 0; j < width; ++j) {
      if (right[j] != 0) sum += left[i] * cov[i * width + j] * right[j];
    }
  }
  return sum;
}

std::vector<double> SharesOf(const store::Plan& plan, std::span<const PhaseShares> phases,
                             int phase) {
  const auto& arms = plan.population.arms;
  std::vector<double> shares;
  for (const auto& arm : arms) shares.push_back(arm.weight);
  for (const auto& named : phases) {
    if (named.phase == phase && named.shares.size() == arms.size()) shares = named.shares;
  }
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share = total > 0 ? share / total : 0;
  return shares;
}

namespace {

Sample GatherCells(const store::Plan& plan, std::span<const store::Cell* const> cells,
                   std::span<const PhaseShares> phases) {
  const size_t arms = plan.population.arms.size();
  const bool clustered = store::Clustered(plan.population);
  std::vector<std::map<int, Stratum>> strata(plan.groups.size());
  Sample sample;
  sample.groups.resize(plan.groups.size());
  for (auto& group : sample.groups) group.arms.resize(arms);

  for (const store::Cell* each : cells) {
    const store::Cell& cell = *each;
    if (cell.arm < 0 || static_cast<size_t>(cell.arm) >= arms || cell.group < 0 ||
        static_cast<size_t>(cell.group) >= plan.groups.size()) {
      continue;
    }
    const size_t width = WidthOf(plan, static_cast<size_t>(cell.group));
    if (cell.gram.n() > 0 && cell.gram.width() != width) continue;
    sample.groups[cell.group].arms[cell.arm].maturing += static_cast<double>(cell.maturing);
    Stratum& stratum = strata[cell.group][cell.phase];
    if (stratum.empty()) stratum.assign(arms, stats::Gram(width));
    if (cell.gram.n() == 0) continue;
    stratum[cell.arm].Merge(cell.gram);
    ArmStats& into = sample.groups[cell.group].arms[cell.arm];
    into.clusters.insert(into.clusters.end(), cell.clusters.begin(), cell.clusters.end());
    into.cluster_phases.resize(into.clusters.size(), cell.phase);
  }
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    const size_t width = WidthOf(plan, g);
    sample.groups[g] = Finish(plan, phases, strata[g], width, std::move(sample.groups[g]));
    if (clustered) sample.groups[g].size_column = width - 1;
    for (ArmStats& arm : sample.groups[g].arms) {
      // Of one cell there were too many, so these are not all.
      if (static_cast<int64_t>(arm.clusters.size()) != arm.gram.n()) arm.clusters.clear();
    }
  }
  return sample;
}

}  // namespace

Sample Gather(const store::Plan& plan, const store::PlanResult& result,
              std::span<const PhaseShares> phases) {
  std::vector<const store::Cell*> cells;
  for (const store::Cell& cell : result.cells) {
    if (cell.slice < 0) cells.push_back(&cell);
  }
  return GatherCells(plan, cells, phases);
}

std::vector<std::vector<SliceValue>> GatherSlices(const store::Plan& plan,
                                                  const store::PlanResult& result,
                                                  std::span<const PhaseShares> phases) {
  struct Value {
    std::vector<const store::Cell*> cells;
    double units = 0;
  };
  std::vector<std::map<std::string, Value>> values(plan.slices.size());
  for (const store::Cell& cell : result.cells) {
    if (cell.slice < 0 || static_cast<size_t>(cell.slice) >= values.size()) continue;
    Value& value = values[cell.slice][cell.slice_value];
    value.cells.push_back(&cell);
    value.units += static_cast<double>(cell.gram.n());
  }
  std::vector<std::vector<SliceValue>> out(values.size());
  for (size_t s = 0; s < values.size(); ++s) {
    std::vector<std::pair<const std::string*, const Value*>> order;
    for (const auto& [name, value] : values[s]) order.emplace_back(&name, &value);
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return a.second->units > b.second->units;
    });
    for (const auto& [name, value] : order) {
      out[s].push_back({*name, GatherCells(plan, value->cells, phases)});
    }
  }
  return out;
}

std::optional<ColumnRef> FindColumn(const store::Plan& plan, const std::string& name, int group) {
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    if (group >= 0 && g != static_cast<size_t>(group)) continue;
    const auto& columns = plan.groups[g].columns;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (plan.columns[columns[i]].name == name) return ColumnRef{static_cast<int>(g), i};
    }
  }
  return std::nullopt;
}

}  // namespace fulcrum::report
