// SPDX-License-Identifier: Apache-2.0
//
// Survival tables. The times of each arm are kept sorted from one Finish to the next: blocks of
// units that changed are taken out and put in again by one merge.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "store/fold_program.h"
#include "store/parallel.h"

namespace fulcrum::store {
namespace {

// dt of the start and of the end; start kNever = the unit does not enter.
struct Span {
  int64_t start_ms = 0;
  int64_t end_ms = kNever;
};

// Sorts by radix: tables of half a million times are the rule, and comparing costs five times that.
void Sort(PageVector<int64_t>* times) {
  constexpr int kDigit = 11;
  if (times->size() < 4096) return std::sort(times->begin(), times->end());
  const auto [least, most] = std::minmax_element(times->begin(), times->end());
  const int64_t base = *least;
  const auto range = static_cast<uint64_t>(*most - base);
  PageVector<int64_t> other(times->size());
  for (int shift = 0; shift < 64 && range >> shift != 0; shift += kDigit) {
    std::vector<size_t> start(size_t{1} << kDigit, 0);
    const auto digit = [&](int64_t time) {
      return static_cast<uint64_t>(time - base) >> shift & (start.size() - 1);
    };
    for (const int64_t time : *times) ++start[digit(time)];
    size_t sum = 0;
    for (size_t& at : start) sum += std::exchange(at, sum);
    for (const int64_t time : *times) other[start[digit(time)]++] = time;
    times->swap(other);
  }
}

// *all - removed + added; all sorted, `removed` being in it.
void Update(const PageVector<int64_t>& removed, const PageVector<int64_t>& added,
            PageVector<int64_t>* all) {
  PageVector<int64_t> next;
  next.reserve(all->size() - removed.size() + added.size());
  auto gone = removed.begin();
  auto fresh = added.begin();
  for (const int64_t time : *all) {
    if (gone != removed.end() && *gone == time) {
      ++gone;
      continue;
    }
    for (; fresh != added.end() && *fresh < time; ++fresh) next.push_back(*fresh);
    next.push_back(time);
  }
  next.insert(next.end(), fresh, added.end());
  all->swap(next);
}

// Of the arm's times as of an instant. What was followed to the horizon is one row at the end.
SurvivalTable MakeTable(const Followed& arm, int64_t horizon_ms, int64_t as_of_ms) {
  SurvivalTable table;
  table.rows.reserve(arm.events.size() + 2);
  double at_risk = static_cast<double>(arm.events.size() + arm.origins.size());
  const auto add = [&](int64_t time_ms, double events, double censored) {
    // Censorings between two events change nothing until the next: they share a row.
    if (events == 0 && !table.rows.empty()) {
      table.rows.back().censored += censored;
    } else {
      table.rows.push_back({static_cast<double>(time_ms), at_risk, events, censored});
    }
    at_risk -= events + censored;
  };
  // The latest origin was watched for the shortest time.
  auto open = arm.origins.rbegin();
  const auto watched_ms = [&](int64_t origin_ms) {
    return std::min(std::max<int64_t>(0, as_of_ms - origin_ms), horizon_ms);
  };
  for (size_t i = 0; i < arm.events.size();) {
    const int64_t time_ms = arm.events[i];
    while (open != arm.origins.rend() && watched_ms(*open) < time_ms) {
      const int64_t censored_ms = watched_ms(*open);
      double censored = 0;
      for (; open != arm.origins.rend() && watched_ms(*open) == censored_ms; ++open) ++censored;
      add(censored_ms, 0, censored);
    }
    double events = 0;
    double censored = 0;
    for (; i < arm.events.size() && arm.events[i] == time_ms; ++i) ++events;
    for (; open != arm.origins.rend() && watched_ms(*open) == time_ms; ++open) ++censored;
    add(time_ms, events, censored);
  }
  while (open != arm.origins.rend()) {
    const int64_t censored_ms = watched_ms(*open);
    const double censored =
        censored_ms == horizon_ms ? static_cast<double>(arm.origins.rend() - open) : 1;
    open += static_cast<std::ptrdiff_t>(censored);
    add(censored_ms, 0, censored);
  }
  return table;
}

class SurvivalBuilder {
 public:
  SurvivalBuilder(const FoldProgram& program, FoldUnits* units, int time_to)
      : spec_(program.plan.time_to[static_cast<size_t>(time_to)]),
        units_(*units),
        kept_(units->kept_times[static_cast<size_t>(time_to)]),
        arms_(program.plan.population.arms.size()),
        time_to_(time_to) {}

  // span_of(unit): its Span.
  template <typename SpanOf>
  void Build(const SpanOf& span_of, std::vector<SurvivalTable>* tables) {
    const std::vector<size_t> stale = Stale();
    std::vector<Followed> removed(arms_), added(arms_);
    for (const size_t b : stale) Append(kept_.blocks[b], &removed);
    ForParts(units_.threads(), stale.size(), [&](size_t i, int) {
      KeptTimes::Block& block = kept_.blocks[stale[i]];
      block = {false, std::vector<Followed>(arms_)};
      const size_t begin = stale[i] * kBlockUnits;
      const size_t end = std::min(units_.size(), begin + kBlockUnits);
      for (size_t unit = begin; unit < end; ++unit) {
        if (units_.Analysed(unit)) Follow(unit, span_of(unit), &block);
      }
      units_.DoneWith(begin, end);
    });
    for (const size_t b : stale) {
      Append(kept_.blocks[b], &added);
      if (!units_.keeps) kept_.blocks[b] = {};
    }
    const size_t first = tables->size();
    tables->resize(first + arms_);
    ForParts(units_.threads(), arms_, [&](size_t arm, int) {
      Followed& of = kept_.arms[arm];
      for (Followed* list : {&removed[arm], &added[arm]}) {
        Sort(&list->events);
        Sort(&list->origins);
      }
      if (of.events.empty() && of.origins.empty()) {
        of = std::move(added[arm]);
      } else {
        Update(removed[arm].events, added[arm].events, &of.events);
        Update(removed[arm].origins, added[arm].origins, &of.origins);
      }
      SurvivalTable& table = (*tables)[first + arm];
      table = MakeTable(of, spec_.horizon_ms, units_.as_of_ms);
      table.time_to = time_to_;
      table.arm = static_cast<int>(arm);
      if (!units_.keeps) of = {};
    });
  }

 private:
  // Blocks whose times are not those of the last Finish.
  std::vector<size_t> Stale() {
    if (units_.as_of_ms < kept_.as_of_ms || kept_.arms.empty()) {
      kept_ = {};
      kept_.arms.resize(arms_);
    }
    kept_.as_of_ms = units_.as_of_ms;
    const size_t known = kept_.blocks.size();
    kept_.blocks.resize(units_.blocks());
    std::vector<size_t> stale;
    for (size_t b = 0; b < kept_.blocks.size(); ++b) {
      if (b >= known || units_.dirty[b] != 0 || kept_.blocks[b].volatile_) stale.push_back(b);
    }
    return stale;
  }

  void Append(const KeptTimes::Block& block, std::vector<Followed>* to) const {
    for (size_t arm = 0; arm < block.arms.size(); ++arm) {
      const Followed& from = block.arms[arm];
      Followed& into = (*to)[arm];
      into.events.insert(into.events.end(), from.events.begin(), from.events.end());
      into.origins.insert(into.origins.end(), from.origins.begin(), from.origins.end());
    }
  }

  void Follow(size_t unit, const Span& span, KeptTimes::Block* block) const {
    if (span.start_ms == kNever) return;
    Followed& arm = block->arms[static_cast<size_t>(units_.arm[unit])];
    const int64_t origin_ms = units_.states.clock_ms(unit) + span.start_ms;
    if (span.end_ms != kNever && span.end_ms - span.start_ms < spec_.horizon_ms) {
      const int64_t time_ms = span.end_ms - span.start_ms;
      if (time_ms <= std::max<int64_t>(0, units_.as_of_ms - origin_ms)) {
        arm.events.push_back(time_ms);
        return;
      }
      block->volatile_ = true;
    }
    arm.origins.push_back(origin_ms);
  }

  const TimeToSpec& spec_;
  const FoldUnits& units_;
  KeptTimes& kept_;
  const size_t arms_;
  const int time_to_;
};

struct Observation {
  int64_t time_ms;
  bool event;
  uint32_t cluster;
};

// Variance of the mean time up to the horizon, where observations of a cluster are not independent:
// the infinitesimal jackknife. What one observation adds to ∫S is, by the derivative in its weight,
// -A(t)/(Y - d) at its event plus Σ A(t_j) d_j / (Y_j (Y_j - d_j)) over the events while it was at
// risk, A(t) = ∫ S from t to the horizon; where everybody at risk ends, A is 0 (the terms of
// Greenwood's formula; summed over clusters as in Williams 1995).
// `observed` is in order of time.
void AddClusteredVariance(const std::vector<Observation>& observed, int64_t horizon_ms,
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
  for (const Observation& one : observed) {
    const auto time_ms = static_cast<double>(one.time_ms);
    for (; next < steps.size() && steps[next].time_ms <= time_ms; ++next) {
      const Step& step = steps[next];
      if (step.events == step.at_risk) continue;
      passed += step.area * step.events / (step.at_risk * (step.at_risk - step.events));
    }
    double own = passed;
    if (one.event && steps[next - 1].events < steps[next - 1].at_risk) {
      own -= steps[next - 1].area / (steps[next - 1].at_risk - steps[next - 1].events);
    }
    influence[one.cluster] += own;
  }
  const auto k = static_cast<double>(influence.size());
  table->n_clusters = k;
  if (k < 2) return;
  for (const auto& [cluster, sum] : influence) table->clustered_variance += sum * sum;
  table->clustered_variance *= k / (k - 1);
}

// Times of observations that are not independent: journeys of a unit, units of a cluster. Worked
// out anew each time.
class ClusteredBuilder {
 public:
  ClusteredBuilder(const FoldProgram& program, const FoldUnits& units,
                   const std::vector<uint32_t>& cluster, int time_to)
      : horizon_ms_(program.plan.time_to[static_cast<size_t>(time_to)].horizon_ms),
        units_(units),
        cluster_(cluster),
        time_to_(time_to),
        arms_(program.plan.population.arms.size()),
        observed_(arms_.size()) {}

  void Add(uint32_t unit, const Span& span) {
    if (!units_.Analysed(unit) || span.start_ms == kNever) return;
    const auto arm = static_cast<size_t>(units_.arm[unit]);
    const int64_t origin_ms = units_.states.clock_ms(unit) + span.start_ms;
    const int64_t watched_ms = std::max<int64_t>(0, units_.as_of_ms - origin_ms);
    if (span.end_ms != kNever) {
      const int64_t time_ms = span.end_ms - span.start_ms;
      if (time_ms < horizon_ms_ && time_ms <= watched_ms) {
        arms_[arm].events.push_back(time_ms);
        observed_[arm].push_back({time_ms, true, cluster_[unit]});
        return;
      }
    }
    arms_[arm].origins.push_back(origin_ms);
    observed_[arm].push_back({std::min(watched_ms, horizon_ms_), false, cluster_[unit]});
  }

  void Finish(std::vector<SurvivalTable>* tables) {
    const size_t first = tables->size();
    tables->resize(first + arms_.size());
    ForParts(units_.threads(), arms_.size(), [&](size_t arm, int) {
      Sort(&arms_[arm].events);
      Sort(&arms_[arm].origins);
      std::sort(observed_[arm].begin(), observed_[arm].end(),
                [](const Observation& a, const Observation& b) { return a.time_ms < b.time_ms; });
      SurvivalTable& table = (*tables)[first + arm];
      table = MakeTable(arms_[arm], horizon_ms_, units_.as_of_ms);
      AddClusteredVariance(observed_[arm], horizon_ms_, &table);
      table.time_to = time_to_;
      table.arm = static_cast<int>(arm);
    });
  }

 private:
  const int64_t horizon_ms_;
  const FoldUnits& units_;
  const std::vector<uint32_t>& cluster_;
  const int time_to_;
  std::vector<Followed> arms_;
  std::vector<std::vector<Observation>> observed_;
};

}  // namespace

std::vector<SurvivalTable> ComputeSurvival(const FoldProgram& program, FoldUnits* units) {
  const std::vector<TimeToSpec>& times = program.plan.time_to;
  units->kept_times.resize(times.size());
  std::vector<SurvivalTable> tables;
  if (times.empty()) return tables;
  const auto journey = [](const TimeToSpec& spec) { return spec.journey >= 0; };
  std::vector<uint32_t> cluster;
  if (program.cluster_slot >= 0 || std::any_of(times.begin(), times.end(), journey)) {
    cluster = ClusterOfUnit(program, *units);
  }
  const auto build = [&](int time_to, const auto& span_of) {
    if (program.cluster_slot < 0) {
      SurvivalBuilder(program, units, time_to).Build(span_of, &tables);
      return;
    }
    ClusteredBuilder builder(program, *units, cluster, time_to);
    for (uint32_t unit = 0; unit < units->size(); ++unit) builder.Add(unit, span_of(unit));
    builder.Finish(&tables);
  };
  for (size_t f = 0; f < program.first_times.size(); ++f) {
    build(program.first_times[f], [&](size_t unit) {
      return Span{0, units->states.first_times(unit)[f]};
    });
  }
  for (size_t c = 0; c < program.chains.size(); ++c) {
    if (program.chains[c].time_to < 0) continue;
    const PageVector<FromTo>& of = units->from_to[c];
    build(program.chains[c].time_to, [&](size_t unit) {
      return Span{of[unit].from_ms, of[unit].to_ms};
    });
  }
  for (size_t i = 0; i < times.size(); ++i) {
    if (times[i].journey < 0) continue;
    ClusteredBuilder builder(program, *units, cluster, static_cast<int>(i));
    for (const JourneySpan& span : units->journey_spans[static_cast<size_t>(times[i].journey)]) {
      builder.Add(span.unit, {span.from_ms, span.to_ms});
    }
    builder.Finish(&tables);
  }
  std::stable_sort(
      tables.begin(), tables.end(),
      [](const SurvivalTable& a, const SurvivalTable& b) { return a.time_to < b.time_to; });
  return tables;
}

}  // namespace fulcrum::store
