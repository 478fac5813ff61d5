// SPDX-License-Identifier: Apache-2.0
//
// What a Gram cannot hold: survival tables and quantiles.
#include "store/fold_tables.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "stats/distributions.h"
#include "store/fold_cells.h"
#include "store/fold_program.h"

namespace fulcrum::store {
namespace {

struct Followed {
  int64_t time_ms;
  bool event;
  uint32_t cluster;
};

// dt of the start and of the end; start kNever = the unit does not enter.
struct Span {
  int64_t start_ms = 0;
  int64_t end_ms = kNever;
};

// Variance of the mean time up to the horizon, where observations of a cluster are not independent:
// the infinitesimal jackknife. What one observation adds to ∫S is, by the derivative in its weight,
// -A(t)/(Y - d) at its event plus Σ A(t_j) d_j / (Y_j (Y_j - d_j)) over the events while it was at
// risk, A(t) = ∫ S from t to the horizon; where everybody at risk ends, A is 0 (the terms of
// Greenwood's formula; summed over clusters as in Williams 1995).
// `units` are in order of time.
void AddClusteredVariance(const std::vector<Followed>& units, int64_t horizon_ms,
                          SurvivalTable* table) {
  struct Step {
    double time_ms, at_risk, events;
    double survival = 1;  // From this time on …
    double area = 0;      // … its integral to the horizon.
  };
  std::vector<Step> steps;
  double survival = 1;
  for (const RiskRow& row : table->rows) {
    if (row.events == 0) continue;
    survival *= 1 - row.events / row.at_risk;
    steps.push_back({row.time_ms, row.at_risk, row.events, survival});
  }
  double area = 0;
  double until_ms = static_cast<double>(horizon_ms);
  for (size_t j = steps.size(); j-- > 0;) {
    area += steps[j].survival * (until_ms - steps[j].time_ms);
    steps[j].area = area;
    until_ms = steps[j].time_ms;
  }
  std::unordered_map<uint32_t, double> influence;
  double passed = 0;  // Σ A d / (Y (Y - d)) up to now.
  size_t next = 0;
  for (const Followed& unit : units) {
    const auto time_ms = static_cast<double>(unit.time_ms);
    for (; next < steps.size() && steps[next].time_ms <= time_ms; ++next) {
      const Step& step = steps[next];
      if (step.events == step.at_risk) continue;
      passed += step.area * step.events / (step.at_risk * (step.at_risk - step.events));
    }
    double own = passed;
    if (unit.event && steps[next - 1].events < steps[next - 1].at_risk) {
      own -= steps[next - 1].area / (steps[next - 1].at_risk - steps[next - 1].events);
    }
    influence[unit.cluster] += own;
  }
  const auto k = static_cast<double>(influence.size());
  table->n_clusters = k;
  if (k < 2) return;
  for (const auto& [cluster, sum] : influence) table->clustered_variance += sum * sum;
  table->clustered_variance *= k / (k - 1);
}

SurvivalTable MakeTable(std::vector<Followed> units, bool clustered, int64_t horizon_ms) {
  std::sort(units.begin(), units.end(),
            [](const Followed& a, const Followed& b) { return a.time_ms < b.time_ms; });
  SurvivalTable table;
  double at_risk = static_cast<double>(units.size());
  for (size_t i = 0; i < units.size();) {
    RiskRow row;
    row.time_ms = static_cast<double>(units[i].time_ms);
    row.at_risk = at_risk;
    size_t j = i;
    for (; j < units.size() && units[j].time_ms == units[i].time_ms; ++j) {
      ++(units[j].event ? row.events : row.censored);
    }
    at_risk -= row.events + row.censored;
    i = j;
    // Censorings between two events change nothing until the next: they share a row.
    if (row.events == 0 && !table.rows.empty()) {
      table.rows.back().censored += row.censored;
    } else {
      table.rows.push_back(row);
    }
  }
  if (clustered) AddClusteredVariance(units, horizon_ms, &table);
  return table;
}

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

namespace {}  // namespace

std::vector<SurvivalTable> ComputeSurvival(const FoldProgram& program, const FoldUnits& units) {
  std::vector<SurvivalTable> tables;
  const size_t arms = program.plan.population.arms.size();
  const std::vector<uint32_t> cluster = ClusterOfUnit(program, units);
  using ByArm = std::vector<std::vector<Followed>>;
  const auto add = [&](int time_to, uint32_t unit, const Span& span, ByArm* by_arm) {
    if (!units.Analysed(unit) || span.start_ms == kNever) return;
    const TimeToSpec& spec = program.plan.time_to[static_cast<size_t>(time_to)];
    const int64_t watched_ms =
        std::max<int64_t>(0, units.as_of_ms - units.states.clock_ms(unit) - span.start_ms);
    Followed followed{std::min(watched_ms, spec.horizon_ms), false, cluster[unit]};
    if (span.end_ms != kNever) {
      const int64_t time_ms = span.end_ms - span.start_ms;
      if (time_ms < spec.horizon_ms && time_ms <= watched_ms) {
        followed = {time_ms, true, cluster[unit]};
      }
    }
    (*by_arm)[static_cast<size_t>(units.arm[unit])].push_back(followed);
  };
  const auto put = [&](int time_to, bool clustered, ByArm by_arm) {
    for (size_t arm = 0; arm < arms; ++arm) {
      SurvivalTable table =
          MakeTable(std::move(by_arm[arm]), clustered,
                    program.plan.time_to[static_cast<size_t>(time_to)].horizon_ms);
      table.time_to = time_to;
      table.arm = static_cast<int>(arm);
      tables.push_back(std::move(table));
    }
  };
  const auto build = [&](int time_to, const auto& span_of) {
    ByArm by_arm(arms);
    for (uint32_t unit = 0; unit < units.size(); ++unit) add(time_to, unit, span_of(unit), &by_arm);
    put(time_to, program.cluster_slot >= 0, std::move(by_arm));
  };
  for (size_t f = 0; f < program.first_times.size(); ++f) {
    build(program.first_times[f], [&](uint32_t unit) {
      return Span{0, units.states.first_times(unit)[f]};
    });
  }
  for (size_t c = 0; c < program.chains.size(); ++c) {
    if (program.chains[c].time_to < 0) continue;
    build(program.chains[c].time_to, [&](uint32_t unit) {
      return Span{units.from_to[c][unit].from_ms, units.from_to[c][unit].to_ms};
    });
  }
  for (size_t i = 0; i < program.plan.time_to.size(); ++i) {
    const int journey = program.plan.time_to[i].journey;
    if (journey < 0) continue;
    ByArm by_arm(arms);
    for (const JourneySpan& span : units.journey_spans[static_cast<size_t>(journey)]) {
      add(static_cast<int>(i), span.unit, {span.from_ms, span.to_ms}, &by_arm);
    }
    put(static_cast<int>(i), true, std::move(by_arm));
  }
  std::stable_sort(
      tables.begin(), tables.end(),
      [](const SurvivalTable& a, const SurvivalTable& b) { return a.time_to < b.time_to; });
  return tables;
}

std::vector<QuantileResult> ComputeQuantiles(const FoldProgram& program, const FoldUnits& units,
                                             const std::vector<double>& caps) {
  std::vector<QuantileResult> results;
  if (program.plan.quantiles.empty()) return results;
  const size_t arms = program.plan.population.arms.size();
  const std::vector<uint32_t> cluster = ClusterOfUnit(program, units);
  std::vector<double> row(program.plan.columns.size());
  for (size_t i = 0; i < program.plan.quantiles.size(); ++i) {
    const QuantileSpec& spec = program.plan.quantiles[i];
    std::vector<std::vector<QuantileMember>> by_arm(arms);
    const auto add = [&](uint32_t unit, double value) {
      if (!units.Analysed(unit) || !Mature(units, unit, spec.maturity_ms)) return;
      by_arm[static_cast<size_t>(units.arm[unit])].push_back({cluster[unit], value});
    };
    if (spec.of_events) {
      for (const EventValue& value : units.event_values[i]) add(value.unit, value.value);
    } else {
      const size_t c = static_cast<size_t>(spec.column);
      for (uint32_t unit = 0; unit < units.size(); ++unit) {
        if (!units.Analysed(unit)) continue;
        FillRow(program, units, unit, row.data());
        add(unit, std::min(row[c], caps[c]));
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
