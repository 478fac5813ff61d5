// SPDX-License-Identifier: Apache-2.0
//
// What a Gram cannot hold: quantiles.
#include "store/fold_tables.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "stats/distributions.h"
#include "store/fold_cells.h"
#include "store/fold_program.h"

namespace fulcrum::store {
namespace {

// The order statistics of n sorted values, and the standard error they imply.
void Describe(const std::vector<double>& sorted, const QuantileSpec& spec, QuantileResult* out) {
  const double n = static_cast<double>(sorted.size());
  out->n = n;
  if (sorted.empty()) return;
  const double position = spec.q * (n - 1);
  const auto below = static_cast<size_t>(position);
  const double low = sorted[below];
  const double high = sorted[std::min(below + 1, sorted.size() - 1)];
  out->value = low + (position - static_cast<double>(below)) * (high - low);
  const double z = stats::CriticalZ(1 - spec.confidence);
  const double reach = z * std::sqrt(n * spec.q * (1 - spec.q));
  const double rank_low = std::clamp(std::floor(n * spec.q - reach), 1.0, n);
  const double rank_high = std::clamp(std::ceil(n * spec.q + reach), 1.0, n);
  out->lower = sorted[static_cast<size_t>(rank_low) - 1];
  out->upper = sorted[static_cast<size_t>(rank_high) - 1];
  out->density_sd = (out->upper - out->lower) / (2 * z);
}

// Variance of the share of values at or below the quantile with clusters as the unit (a ratio of
// per-cluster counts, delta method), over the variance of independent values (Deng, Knoblich and Lu
// 2018, section 4).
class DesignEffect {
 public:
  void AddCluster(double at_or_below, double size) { clusters_.push_back({at_or_below, size}); }
  double clusters() const { return static_cast<double>(clusters_.size()); }
  double Compute(double q) const {
    const double k = clusters();
    if (k < 2) return 1;
    double values = 0;
    double below = 0;
    for (const auto& [b, s] : clusters_) {
      below += b;
      values += s;
    }
    const double ratio = below / values;
    const double mean_size = values / k;
    double squares = 0;  // Σ (b - R s)² about its mean, which is 0.
    for (const auto& [b, s] : clusters_) squares += (b - ratio * s) * (b - ratio * s);
    const double variance = squares / (k - 1) / (k * mean_size * mean_size);
    return variance / (q * (1 - q) / values);
  }

 private:
  std::vector<std::pair<double, double>> clusters_;
};

}  // namespace

QuantileResult MakeQuantile(std::vector<QuantileMember> members, bool clustered,
                            const QuantileSpec& spec) {
  QuantileResult result;
  std::vector<double> sorted;
  sorted.reserve(members.size());
  for (const QuantileMember& member : members) sorted.push_back(member.value);
  std::sort(sorted.begin(), sorted.end());
  Describe(sorted, spec, &result);
  result.n_clusters = result.n;
  if (!clustered || members.empty()) return result;
  std::sort(members.begin(), members.end(),
            [](const QuantileMember& a, const QuantileMember& b) { return a.cluster < b.cluster; });
  DesignEffect effect;
  for (size_t i = 0; i < members.size();) {
    double below = 0;
    size_t j = i;
    for (; j < members.size() && members[j].cluster == members[i].cluster; ++j) {
      below += members[j].value <= result.value ? 1 : 0;
    }
    effect.AddCluster(below, static_cast<double>(j - i));
    i = j;
  }
  result.n_clusters = effect.clusters();
  result.density_sd *= std::sqrt(effect.Compute(spec.q));
  return result;
}

std::vector<uint32_t> ClusterOfUnit(const FoldProgram& program, const FoldUnits& units) {
  std::vector<uint32_t> cluster(units.size());
  const Population& population = program.plan.population;
  if (population.block_ms > 0) {
    std::map<std::pair<int64_t, uint32_t>, uint32_t> numbers;
    for (size_t unit = 0; unit < units.size(); ++unit) {
      if (!units.Analysed(unit)) continue;
      const int64_t block =
          (units.states.clock_ms(unit) - population.from_ms) / population.block_ms;
      const uint32_t region =
          program.cluster_slot < 0
              ? 0
              : units.attributes[static_cast<size_t>(program.cluster_slot)][unit];
      const auto next = static_cast<uint32_t>(numbers.size());
      cluster[unit] = numbers.try_emplace({block, region}, next).first->second;
    }
    return cluster;
  }
  std::iota(cluster.begin(), cluster.end(), static_cast<uint32_t>(units.dictionary.size()));
  if (program.cluster_slot < 0) return cluster;
  const auto& codes = units.attributes[static_cast<size_t>(program.cluster_slot)];
  for (size_t unit = 0; unit < units.size(); ++unit) {
    if (codes[unit] != 0) cluster[unit] = codes[unit];
  }
  return cluster;
}

std::vector<QuantileResult> ComputeQuantiles(const FoldProgram& program, const FoldUnits& units,
                                             const std::vector<double>& caps) {
  std::vector<QuantileResult> results;
  if (program.plan.quantiles.empty()) return results;
  const size_t arms = program.plan.population.arms.size();
  const std::vector<uint32_t> cluster = ClusterOfUnit(program, units);
  for (size_t i = 0; i < program.plan.quantiles.size(); ++i) {
    const QuantileSpec& spec = program.plan.quantiles[i];
    std::vector<std::vector<QuantileMember>> by_arm(arms);
    const auto add = [&](uint32_t unit, double value) {
      if (!units.Analysed(unit) || !Mature(units, unit, spec.maturity_ms)) return;
      by_arm[static_cast<size_t>(units.arm[unit])].push_back({cluster[unit], value});
    };
    if (spec.of_events) {
      for (const FoldLane& lane : units.lanes) {
        for (const EventValue& value : lane.event_values[i]) add(value.unit, value.value);
      }
    } else {
      const size_t c = static_cast<size_t>(spec.column);
      for (uint32_t unit = 0; unit < units.size(); ++unit) {
        if (!units.Analysed(unit)) continue;
        add(unit, std::min(ColumnValue(program, units, unit, c), caps[c]));
      }
    }
    const bool clustered = spec.of_events || Clustered(program.plan.population);
    for (size_t arm = 0; arm < arms; ++arm) {
      QuantileResult result = MakeQuantile(std::move(by_arm[arm]), clustered, spec);
      result.quantile = static_cast<int>(i);
      result.arm = static_cast<int>(arm);
      results.push_back(result);
    }
  }
  return results;
}

}  // namespace fulcrum::store
