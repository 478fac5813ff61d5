// SPDX-License-Identifier: Apache-2.0
//
// The hot loop: what each event does to the unit it belongs to.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "store/fold_program.h"

namespace fulcrum::store {
namespace {

constexpr size_t kAhead = 32;  // Rows whose state is on its way from memory.

struct Live {
  uint32_t row;
  uint32_t unit;
  uint32_t code;
  int64_t dt_ms;
};

// The value an op adds for a row; false = nothing.
inline bool Amount(const AddOp& op, const EventBatch& batch, const Live& live, double* amount) {
  if (live.dt_ms < op.lo_ms || live.dt_ms >= op.hi_ms) return false;
  if (op.filters != 0) {
    const uint64_t holds = batch.filters == nullptr ? 0 : batch.filters[live.row];
    if ((holds & op.filters) != op.filters) return false;
  }
  double value = 1;
  if (op.slot >= 0) {
    const double* column = batch.values[static_cast<size_t>(op.slot)];
    if (column == nullptr) return false;
    value = column[live.row];
    if (!std::isfinite(value)) return false;
  }
  *amount = op.coefficient * value;
  return true;
}

void FollowChains(const FoldProgram& program, const EventProgram& event, const Live& live,
                  FoldUnits* units) {
  if ((units->states.flags(live.unit) & kReplay) != 0) return;
  for (const StageMark& mark : event.marks) {
    const size_t c = static_cast<size_t>(mark.chain);
    const Chain& chain = program.chains[c];
    if (live.dt_ms < chain.lo_ms || live.dt_ms >= chain.hi_ms) continue;
    ChainState& state = units->states.chains(live.unit)[c];
    if (live.dt_ms < state.last_ms) {
      units->states.flags(live.unit) |= kReplay;
      ++units->late_units;
      return;
    }
    const uint32_t satisfied = units->satisfied[c].empty() ? 0 : units->satisfied[c][live.unit];
    FromTo* from_to = units->from_to[c].empty() ? nullptr : &units->from_to[c][live.unit];
    AdvanceChain(chain, satisfied, mark.stages, live.dt_ms, &state, from_to);
  }
}

bool FiltersHold(uint64_t filters, const EventBatch& batch, const Live& live) {
  if (filters == 0) return true;
  return batch.filters != nullptr && (batch.filters[live.row] & filters) == filters;
}

// Kept until all events are known: they are followed in time order then.
void GatherJourneys(const FoldProgram& program, const EventProgram& event, const EventBatch& batch,
                    const Live& live, FoldUnits* units) {
  for (const JourneyMark& mark : event.journeys) {
    if (live.dt_ms < mark.lo_ms || live.dt_ms >= mark.hi_ms) continue;
    if (!FiltersHold(mark.filters, batch, live)) continue;
    const auto journey = static_cast<size_t>(mark.journey);
    uint32_t key = 0;
    if (const JourneyKey per = program.plan.journeys[journey].per; per != JourneyKey::kUnit) {
      const uint32_t* keys = per == JourneyKey::kOrder ? batch.order_keys : batch.session_keys;
      key = keys == nullptr ? kNoKey : keys[live.row];
    }
    if (key == kNoKey) continue;
    units->journey_events[journey].push_back({live.unit, key, mark.stages, live.dt_ms});
  }
  for (const BurstMark& mark : event.bursts) {
    if (live.dt_ms < mark.lo_ms || !FiltersHold(mark.filters, batch, live)) continue;
    units->burst_events[static_cast<size_t>(mark.rule)].push_back({live.unit, live.dt_ms});
  }
}

void Apply(const FoldProgram& program, const EventBatch& batch, const Live& live,
           FoldUnits* units) {
  const EventProgram& event = program.events[live.code];
  double* sums = units->states.sums(live.unit);
  double amount = 0;
  for (const AddOp& op : event.sums) {
    if (Amount(op, batch, live, &amount)) sums[op.target] += amount;
  }
  for (const AddOp& op : event.values) {
    if (Amount(op, batch, live, &amount)) {
      units->event_values[static_cast<size_t>(op.target)].push_back({live.unit, amount});
    }
  }
  if (live.dt_ms >= 0) {
    for (const int f : event.first_times) {
      int64_t& first = units->states.first_times(live.unit)[f];
      first = std::min(first, live.dt_ms);
    }
  }
  if (!event.journeys.empty() || !event.bursts.empty()) {
    GatherJourneys(program, event, batch, live, units);
  }
  if (!event.marks.empty()) FollowChains(program, event, live, units);
}

// Units in replay only keep their chain events for FoldReplay.
void Gather(const FoldProgram& program, const Live& live, FoldUnits* units) {
  if ((units->states.flags(live.unit) & kReplay) == 0) return;
  if (program.events[live.code].marks.empty()) return;
  units->replay.push_back({live.unit, live.code, live.dt_ms});
}

}  // namespace

void AdvanceChain(const Chain& chain, uint32_t satisfied, uint32_t stages, int64_t dt_ms,
                  ChainState* state, FromTo* from_to) {
  if (dt_ms == state->last_ms) stages |= state->last_stages;
  state->last_ms = dt_ms;
  state->last_stages = stages;
  if (from_to != nullptr) {
    if ((stages & 1) != 0 && from_to->from_ms == kNever) from_to->from_ms = dt_ms;
    if ((stages & 2) != 0 && from_to->from_ms != kNever && from_to->to_ms == kNever) {
      from_to->to_ms = dt_ms;
    }
    return;
  }
  const uint32_t hits = stages | satisfied;
  for (size_t s = 0; s < chain.stages.size(); ++s) {
    const uint32_t bit = uint32_t{1} << s;
    if ((hits & bit) != 0) {
      state->reached |= bit;
    } else if ((state->reached & bit) == 0 && !chain.stages[s].optional) {
      break;  // A required stage is missing: nothing after it counts yet.
    }
  }
}

void Fold::AddEvents(const EventBatch& batch) {
  const FoldProgram& program = *program_;
  FoldUnits& units = *units_;
  const size_t unit_count = units.size();
  for (size_t i = 0; i < batch.size; ++i) {
    if (i + kAhead < batch.size && batch.unit[i + kAhead] < unit_count) {
      units.states.Prefetch(batch.unit[i + kAhead]);
    }
    const uint32_t unit = batch.unit[i];
    if (unit >= unit_count) continue;
    const int64_t clock_ms = units.states.clock_ms(unit);
    if (clock_ms == kNever) continue;
    const int64_t dt_ms = batch.ts_ms[i] - clock_ms;
    if (program.has_pre && dt_ms < 0) units.states.flags(unit) |= kSeenBefore;
    const uint32_t code = batch.code[i];
    if (code == kOtherEvent) continue;
    const EventProgram& event = program.events[code];
    if (dt_ms < event.lo_ms || dt_ms >= event.hi_ms) continue;
    const Live live{static_cast<uint32_t>(i), unit, code, dt_ms};
    if (units.replaying) {
      Gather(program, live, &units);
    } else {
      Apply(program, batch, live, &units);
    }
  }
}

void FoldReplay(const FoldProgram& program, FoldUnits* units) {
  std::sort(units->replay.begin(), units->replay.end(),
            [](const ReplayEvent& a, const ReplayEvent& b) {
              return a.unit != b.unit ? a.unit < b.unit : a.dt_ms < b.dt_ms;
            });
  for (const ReplayEvent& event : units->replay) {
    for (const StageMark& mark : program.events[event.code].marks) {
      const size_t c = static_cast<size_t>(mark.chain);
      const Chain& chain = program.chains[c];
      if (event.dt_ms < chain.lo_ms || event.dt_ms >= chain.hi_ms) continue;
      const uint32_t satisfied = units->satisfied[c].empty() ? 0 : units->satisfied[c][event.unit];
      FromTo* from_to = units->from_to[c].empty() ? nullptr : &units->from_to[c][event.unit];
      AdvanceChain(chain, satisfied, mark.stages, event.dt_ms, &units->states.chains(event.unit)[c],
                   from_to);
    }
  }
  units->replay = {};
}

void FillRow(const FoldProgram& program, const FoldUnits& units, uint32_t unit, double* row) {
  const std::vector<Column>& columns = program.plan.columns;
  const double* sums = units.states.sums(unit);
  for (size_t c = 0; c < columns.size(); ++c) {
    const Column& column = columns[c];
    switch (column.kind) {
      case ColumnKind::kSum:
      case ColumnKind::kPre:
      case ColumnKind::kJourney:
        row[c] = sums[program.sum_of_column[c]];
        break;
      case ColumnKind::kAtLeast:
        row[c] = sums[program.sum_of_column[c]] >= column.threshold ? 1 : 0;
        break;
      case ColumnKind::kHasPre:
        row[c] = (units.states.flags(unit) & kSeenBefore) != 0 ? 1 : 0;
        break;
      case ColumnKind::kStage: {
        const size_t chain =
            static_cast<size_t>(program.chain_of_funnel[static_cast<size_t>(column.funnel)]);
        ChainState state = units.states.chains(unit)[chain];
        if (!units.satisfied[chain].empty()) {
          // Attributes may satisfy stages of a unit that never did anything.
          AdvanceChain(program.chains[chain], units.satisfied[chain][unit], 0, state.last_ms,
                       &state, nullptr);
        }
        row[c] = (state.reached >> column.stage & 1) != 0 ? 1 : 0;
        break;
      }
    }
  }
}

}  // namespace fulcrum::store
