// SPDX-License-Identifier: Apache-2.0
//
// Inside the fold: a plan compiled to what one event does to its unit, and the units' state.
// Included by fold*.cc only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "store/fold.h"
#include "store/plan.h"

namespace fulcrum::store {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kBefore = std::numeric_limits<int64_t>::min();

// With dt = ts - clock in [lo_ms, hi_ms) and all `filters` set: sum[target] += coefficient * value.
struct AddOp {
  int target = 0;  // Sum index, or for event values the quantile's index.
  double coefficient = 1;
  int slot = -1;  // Value slot; -1 = the number 1.
  uint64_t filters = 0;
  int64_t lo_ms = 0;
  int64_t hi_ms = 0;
};

struct StageMark {
  int chain = 0;
  uint32_t stages = 0;  // Bit s = the event reaches stage s.
};

// The event reaches `stages` of the journey, if all `filters` are set and dt in [lo_ms, hi_ms).
struct JourneyMark {
  int journey = 0;
  uint32_t stages = 0;
  uint64_t filters = 0;
  int64_t lo_ms = 0;
  int64_t hi_ms = 0;
};

// The event counts for a burst rule, if all `filters` are set and dt >= lo_ms.
struct BurstMark {
  int rule = 0;
  uint64_t filters = 0;
  int64_t lo_ms = 0;
};

struct EventProgram {
  int64_t lo_ms = kNever;  // Envelope of everything below: outside it the event does nothing.
  int64_t hi_ms = kBefore;
  std::vector<AddOp> sums;
  std::vector<AddOp> values;
  std::vector<StageMark> marks;
  std::vector<JourneyMark> journeys;
  std::vector<BurstMark> bursts;
  std::vector<int> first_times;  // Indices into FoldProgram::first_times.
};

struct ChainStage {
  bool optional = false;
  int attribute = -1;  // Slot of the attribute that satisfies it, or -1.
  std::vector<Literal> satisfied_values;
};

// A funnel, or (two stages: from, to) a time between events.
struct Chain {
  int funnel = -1;
  int time_to = -1;
  int64_t lo_ms = 0;
  int64_t hi_ms = kNever;
  bool any_satisfied = false;
  std::vector<ChainStage> stages;
};

struct FoldProgram {
  Plan plan;
  FoldNeeds needs;
  std::vector<EventProgram> events;  // By event code.
  std::vector<Chain> chains;
  std::vector<int> chain_of_funnel;
  std::vector<int> first_times;        // Plan::time_to whose time runs from the clock.
  std::vector<int> sum_of_column;      // -1: the column is not a sum. A journey's count is one.
  std::vector<int> cap_sum_of_column;  // Sum that a cap's quantile is of; -1 = none.
  int sums = 0;
  bool has_pre = false;
  int exclude_slot = -1;
  std::vector<std::vector<int>> exclude_any_slots;  // As Population::exclude_any.
  int cluster_slot = -1;
  std::vector<std::vector<int>> slice_slots;  // Per slice: attribute slots.
  std::vector<int64_t> maturity_of_column;    // Shortest of its groups; 0 in none.
};

absl::StatusOr<FoldProgram> CompileFold(const Plan& plan);

// One chain of one unit, folded in time order. Events of one instant act as one event: what reaches
// several stages at once reaches them all.
struct ChainState {
  int64_t last_ms = kBefore;  // dt of the last event that mattered.
  uint32_t last_stages = 0;   // What the events at last_ms reach.
  uint32_t reached = 0;
};

struct FromTo {
  int64_t from_ms = kNever;  // dt of the first from-event …
  int64_t to_ms = kNever;    // … and of the first to-event at or after it.
};

enum UnitFlag : uint8_t {
  kMultiArm = 1,
  kExcluded = 2,
  kSeenBefore = 4,
  kReplay = 8,
  kTriggered = 16,
};

struct EventValue {
  uint32_t unit;
  double value;
};

struct ReplayEvent {
  uint32_t unit;
  uint32_t code;
  int64_t dt_ms;
};

// What events change, one record a unit, so that an event costs one or two cache lines: clock,
// flags, sums, chain states, first times. A record of up to a line never straddles two.
class UnitStates {
 public:
  void Reset(size_t units, int sums, size_t chains, size_t first_times);
  int64_t& clock_ms(size_t unit) { return *At<int64_t>(unit, 0); }
  int64_t clock_ms(size_t unit) const { return *At<int64_t>(unit, 0); }
  uint64_t& flags(size_t unit) { return *At<uint64_t>(unit, 1); }
  uint64_t flags(size_t unit) const { return *At<uint64_t>(unit, 1); }
  double* sums(size_t unit) { return At<double>(unit, 2); }
  const double* sums(size_t unit) const { return At<double>(unit, 2); }
  ChainState* chains(size_t unit) { return At<ChainState>(unit, chains_at_); }
  const ChainState* chains(size_t unit) const { return At<ChainState>(unit, chains_at_); }
  int64_t* first_times(size_t unit) { return At<int64_t>(unit, first_times_at_); }
  const int64_t* first_times(size_t unit) const { return At<int64_t>(unit, first_times_at_); }

  void Prefetch(size_t unit) const {
    const auto* record = At<char>(unit, 0);
    __builtin_prefetch(record, 1, 1);
    if (stride_ > kLineWords) __builtin_prefetch(record + sizeof(Line), 1, 1);
  }
  static size_t StrideFor(int sums, size_t chains, size_t first_times);

 private:
  static constexpr size_t kLineWords = 8;
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  template <typename T>
  T* At(size_t unit, size_t word) {
    return reinterpret_cast<T*>(base_ + (unit * stride_ + word) * 8);
  }
  template <typename T>
  const T* At(size_t unit, size_t word) const {
    return reinterpret_cast<const T*>(base_ + (unit * stride_ + word) * 8);
  }
  std::vector<Line> lines_;
  std::byte* base_ = nullptr;
  size_t stride_ = 0;  // In words of 8 bytes.
  size_t chains_at_ = 0;
  size_t first_times_at_ = 0;
};

struct JourneyEvent {
  uint32_t unit;
  uint32_t key;
  uint32_t stages;
  int64_t dt_ms;
};

struct BurstEvent {
  uint32_t unit;
  int64_t dt_ms;
};

// A journey that began: dt of its beginning, and of its second stage (kNever = not reached).
struct JourneySpan {
  uint32_t unit;
  int64_t from_ms;
  int64_t to_ms;
};

// Columns over units, by unit index.
struct FoldUnits {
  LiteralDictionary dictionary;
  std::vector<int64_t> exposed_ms;
  std::vector<int64_t> exposed_sequence;
  std::vector<int64_t> triggered_ms;  // Enrolment by event, until the cohort is closed.
  UnitStates states;                  // From CloseCohort on; clock kNever = not in the analysis.
  std::vector<int16_t> arm;           // -1 = never seen in a known arm.
  std::vector<int32_t> phase;
  std::vector<uint8_t> flags;                         // Until the cohort is closed.
  std::vector<std::vector<uint32_t>> attributes;      // [slot][unit]
  std::vector<double> sums;                           // [unit * program.sums + s]
  std::vector<std::vector<ChainState>> chains;        // [chain][unit]
  std::vector<std::vector<FromTo>> from_to;           // [chain][unit], chains of time_to only.
  std::vector<std::vector<uint32_t>> satisfied;       // [chain][unit], chains with attributes only.
  std::vector<std::vector<int64_t>> first_times;      // [first_times index][unit]
  std::vector<std::vector<EventValue>> event_values;  // [quantile]
  std::vector<ReplayEvent> replay;
  std::vector<std::vector<JourneyEvent>> journey_events;  // [journey]
  std::vector<std::vector<JourneySpan>> journey_spans;    // [journey], of those a time is of.
  std::vector<std::vector<BurstEvent>> burst_events;      // [rule]
  bool replaying = false;
  int64_t as_of_ms = 0;
  int64_t late_units = 0;
  int64_t first_clock_ms = kNever;
  int64_t last_clock_ms = 0;
  Health health;

  size_t size() const { return arm.size(); }
  bool Analysed(size_t unit) const { return states.clock_ms(unit) != kNever; }
};

// Follows `chain` with an event that reaches `stages` (0: only what attributes satisfy).
void AdvanceChain(const Chain& chain, uint32_t satisfied, uint32_t stages, int64_t dt_ms,
                  ChainState* state, FromTo* from_to);

// Sorts and folds the gathered events of units that are replayed.
void FoldReplay(const FoldProgram& program, FoldUnits* units);

// Sorts and follows the gathered journeys: their counts go into the units' sums.
void FoldJourneys(const FoldProgram& program, FoldUnits* units);

// Takes units that a burst rule excludes out of the analysis and of health's counts.
void ExcludeBursts(const FoldProgram& program, FoldUnits* units);

// UTC, of `ts_ms`.
int64_t DayStart(int64_t ts_ms);

// Plan::columns of one unit, before caps.
void FillRow(const FoldProgram& program, const FoldUnits& units, uint32_t unit, double* row);

// --- Results
// ---------------------------------------------------------------------------------------

inline bool Mature(const FoldUnits& units, uint32_t unit, int64_t maturity_ms) {
  return units.as_of_ms - units.states.clock_ms(unit) >= maturity_ms;
}

// Which cluster or block each unit is in; without either, and where a unit lacks the cluster's
// attribute, each is its own.
std::vector<uint32_t> ClusterOfUnit(const FoldProgram& program, const FoldUnits& units);
std::vector<double> ComputeCaps(const FoldProgram& program, const FoldUnits& units);
absl::Status ComputeCells(const FoldProgram& program, const FoldUnits& units,
                          const std::vector<double>& caps, int threads, std::vector<Cell>* cells);
std::vector<SurvivalTable> ComputeSurvival(const FoldProgram& program, const FoldUnits& units);
std::vector<QuantileResult> ComputeQuantiles(const FoldProgram& program, const FoldUnits& units,
                                             const std::vector<double>& caps);

}  // namespace fulcrum::store
