// SPDX-License-Identifier: Apache-2.0
//
// What is followed once all events are known: journeys, and the rules that take units out.
#include <algorithm>
#include <tuple>
#include <utility>

#include "store/fold_program.h"

namespace fulcrum::store {
namespace {

// What one journey came to: its stages, and when it began and came to its second.
struct Reached {
  size_t reached = 0;  // Stages 0 … reached - 1.
  int64_t from_ms = kNever;
  int64_t second_ms = kNever;
};

// The events are of one journey, in time order. What is at one instant has no order: a later stage
// may be reached by any event from the instant of the stage before on.
Reached Follow(const JourneySpec& spec, const JourneyEvent* begin, const JourneyEvent* end) {
  Reached out;
  const JourneyEvent* since = begin;  // The first event at the instant of the stage before.
  for (size_t s = 0; s < spec.stages.size(); ++s) {
    const uint32_t bit = uint32_t{1} << s;
    const auto reaches = [&](const JourneyEvent& event) {
      if ((event.stages & bit) == 0) return false;
      if (s == 0) return event.dt_ms < spec.window.end_ms;
      const int64_t after_ms = event.dt_ms - out.from_ms;
      return after_ms >= spec.after.start_ms && after_ms < spec.after.end_ms;
    };
    const JourneyEvent* found = std::find_if(since, end, reaches);
    if (found == end) return out;
    if (s == 0) out.from_ms = found->dt_ms;
    if (s == 1) out.second_ms = found->dt_ms;
    out.reached = s + 1;
    while (found > since && (found - 1)->dt_ms == found->dt_ms) --found;
    since = found;
  }
  return out;
}

// A unit with more than the rule's number of events within its time.
bool IsBurst(const BurstRule& rule, const BurstEvent* begin, const BurstEvent* end) {
  for (const BurstEvent* first = begin; end - first > rule.more_than; ++first) {
    if ((first + rule.more_than)->dt_ms - first->dt_ms < rule.within_ms) return true;
  }
  return false;
}

// Puts what the lanes gathered since the last time into its place among all.
template <typename Event, typename Less>
void Absorb(std::vector<Event> (*of_lane)(FoldLane*, size_t), size_t index, const Less& less,
            FoldUnits* units, std::vector<Event>* all) {
  const auto known = static_cast<std::ptrdiff_t>(all->size());
  for (FoldLane& lane : units->lanes) {
    const std::vector<Event> fresh = of_lane(&lane, index);
    all->insert(all->end(), fresh.begin(), fresh.end());
  }
  std::sort(all->begin() + known, all->end(), less);
  std::inplace_merge(all->begin(), all->begin() + known, all->end(), less);
}

void Exclude(uint32_t unit, FoldUnits* units) {
  units->flags[unit] |= kBurst;
  units->states.clock_ms(unit) = kNever;
  units->MarkDirty(unit);
  units->counted_units = 0;
}

}  // namespace

void ExcludeBursts(const FoldProgram& program, FoldUnits* units) {
  for (size_t r = 0; r < units->burst_events.size(); ++r) {
    std::vector<BurstEvent>& events = units->burst_events[r];
    Absorb<BurstEvent>(
        [](FoldLane* lane, size_t rule) { return std::exchange(lane->burst_events[rule], {}); }, r,
        [](const BurstEvent& a, const BurstEvent& b) {
          return a.unit != b.unit ? a.unit < b.unit : a.dt_ms < b.dt_ms;
        },
        units, &events);
    const BurstEvent* end = events.data() + events.size();
    for (const BurstEvent* begin = events.data(); begin != end;) {
      const BurstEvent* next = begin;
      while (next != end && next->unit == begin->unit) ++next;
      if (units->Analysed(begin->unit) &&
          IsBurst(program.plan.population.exclude_bursts[r], begin, next)) {
        Exclude(begin->unit, units);
      }
      begin = next;
    }
  }
}

void FoldJourneys(const FoldProgram& program, FoldUnits* units) {
  const Plan& plan = program.plan;
  std::vector<std::vector<std::pair<int, int>>> targets(plan.journeys.size());  // Stage, sum.
  for (size_t c = 0; c < plan.columns.size(); ++c) {
    const Column& column = plan.columns[c];
    if (column.kind != ColumnKind::kJourney) continue;
    targets[static_cast<size_t>(column.journey)].emplace_back(column.stage,
                                                              program.sum_of_column[c]);
  }
  std::vector<bool> timed(plan.journeys.size(), false);
  for (const TimeToSpec& spec : plan.time_to) {
    if (spec.journey >= 0) timed[static_cast<size_t>(spec.journey)] = true;
  }
  for (size_t j = 0; j < plan.journeys.size(); ++j) {
    std::vector<JourneyEvent>& events = units->journey_events[j];
    Absorb<JourneyEvent>(
        [](FoldLane* lane, size_t of) { return std::exchange(lane->journey_events[of], {}); }, j,
        [](const JourneyEvent& a, const JourneyEvent& b) {
          return std::tie(a.unit, a.key, a.dt_ms) < std::tie(b.unit, b.key, b.dt_ms);
        },
        units, &events);
    units->journey_spans[j].clear();
    uint32_t last_unit = kNoUnit;
    const JourneyEvent* end = events.data() + events.size();
    for (const JourneyEvent* begin = events.data(); begin != end;) {
      const JourneyEvent* next = begin;
      while (next != end && next->unit == begin->unit && next->key == begin->key) ++next;
      const uint32_t unit = begin->unit;
      if (units->Analysed(unit)) {
        const Reached followed = Follow(plan.journeys[j], begin, next);
        double* sums = units->states.sums(unit);
        if (unit != std::exchange(last_unit, unit)) {
          for (const auto& target : targets[j]) sums[target.second] = 0;
        }
        for (const auto& [stage, sum] : targets[j]) {
          if (static_cast<size_t>(stage) < followed.reached) sums[sum] += 1;
        }
        if (timed[j] && followed.reached > 0) {
          units->journey_spans[j].push_back({unit, followed.from_ms, followed.second_ms});
        }
      }
      begin = next;
    }
  }
}

}  // namespace fulcrum::store
