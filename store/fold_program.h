// SPDX-License-Identifier: Apache-2.0
//
// Inside the fold: a plan compiled to what one event does to its unit, and the units' state.
// Included by fold*.cc only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "store/fold.h"
#include "store/page_vector.h"
#include "store/pages.h"
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
  uint32_t required = 0;  // Bit s = stage s blocks those after it.
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
  kDropped = 16,  // Seen in several arms, and the plan leaves those out.
  kRestart = 32,
  kBurst = 64,  // Out of the analysis by Population::exclude_bursts.
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
// flags, sums, chain states, first times. A record of up to a line never straddles two. A plain
// value of a few pointers, so that a loop can keep a copy in registers.
class UnitStates {
 public:
  void Lay(int sums, size_t chains, size_t first_times);
  void Attach(std::byte* base) { base_ = base; }
  // Records of units [begin, end) as they are before any event; not in the analysis.
  void Clear(size_t begin, size_t end);
  size_t bytes_per_unit() const { return stride_ * 8; }

  int64_t& clock_ms(size_t unit) const { return *At<int64_t>(unit, 0); }
  uint64_t& flags(size_t unit) const { return *At<uint64_t>(unit, 1); }
  double* sums(size_t unit) const { return At<double>(unit, 2); }
  ChainState* chains(size_t unit) const { return At<ChainState>(unit, chains_at_); }
  int64_t* first_times(size_t unit) const { return At<int64_t>(unit, first_times_at_); }

  void Prefetch(size_t unit) const {
    const auto* record = At<char>(unit, 0);
    __builtin_prefetch(record, 1, 1);
    if (stride_ > kLineWords) __builtin_prefetch(record + 64, 1, 1);
  }
  static size_t StrideFor(int sums, size_t chains, size_t first_times);

 private:
  static constexpr size_t kLineWords = 8;
  template <typename T>
  T* At(size_t unit, size_t word) const {
    return reinterpret_cast<T*>(base_ + (unit * stride_ + word) * 8);
  }
  std::byte* base_ = nullptr;
  size_t stride_ = 0;  // In words of 8 bytes.
  size_t chains_at_ = 0;
  size_t first_times_at_ = 0;
  size_t chain_count_ = 0;
  size_t first_time_count_ = 0;
};

struct KeyedRecord {
  uint64_t key;
  const uint64_t* words;  // After the key.
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

// What one thread of the fold gathers beside the units' states.
struct FoldLane {
  std::vector<uint32_t> record_start;  // AddRecords' own room, kept from one call to the next.
  PageVector<KeyedRecord> sorted;
  std::vector<std::vector<EventValue>> event_values;      // [quantile]
  std::vector<std::vector<JourneyEvent>> journey_events;  // [journey], until the next Finish.
  std::vector<std::vector<BurstEvent>> burst_events;      // [rule], until the next Finish.
  std::vector<ReplayEvent> replay;
  std::vector<uint32_t> late_units;
};

// Units of a block are summed up together, and what they come to is kept until one of them changes.
inline constexpr size_t kBlockUnits = 8192;

// Cells of each block of units, from the last Finish. Not for clusters, which cross blocks.
struct KeptCells {
  struct Block {
    bool valid = false;
    int64_t first_clock_ms = kNever, last_clock_ms = kBefore;
    std::vector<stats::Gram> grams;
    std::vector<int64_t> maturing;
  };
  std::vector<Block> blocks;
  // They hold for these alone.
  int64_t as_of_ms = 0;
  std::vector<double> caps;
  std::set<int32_t> phases;
  std::vector<std::vector<std::string>> slice_values;
};

// How long the units of one arm were followed: sorted.
struct Followed {
  PageVector<int64_t> events;   // Times of those that ended in the event.
  PageVector<int64_t> origins;  // Of those still open: when their time began.
};

// One time: all of it by arm, and by block to take a block out of it again.
struct KeptTimes {
  struct Block {
    bool volatile_ = false;  // Holds an event that the as-of does not reach yet.
    std::vector<Followed> arms;
  };
  int64_t as_of_ms = kBefore;
  std::vector<Block> blocks;
  std::vector<Followed> arms;
};

// Columns over units, by unit index.
struct FoldUnits {
  LiteralDictionary dictionary;
  PageVector<int64_t> exposed_ms;
  PageVector<int64_t> exposed_sequence;
  PageVector<int64_t> triggered_ms;  // Enrolment by event.
  Pages state_pages;
  UnitStates states;        // From CloseCohort on; clock kNever = not in the
                            // analysis.
  PageVector<int16_t> arm;  // -1 = never seen in a known arm.
  PageVector<int32_t> phase;
  PageVector<uint8_t> flags;                     // Of exposures.
  std::vector<PageVector<uint32_t>> attributes;  // [slot][unit]
  std::vector<PageVector<FromTo>> from_to;       // [chain][unit], chains of time_to only.
  std::vector<PageVector<uint32_t>> satisfied;   // [chain][unit], chains with attributes only.
  std::vector<FoldLane> lanes;
  std::vector<std::vector<JourneyEvent>> journey_events;  // [journey], by unit, key and time.
  std::vector<std::vector<JourneySpan>> journey_spans;    // [journey], of those a time is of.
  std::vector<std::vector<BurstEvent>> burst_events;      // [rule], by unit and time.
  bool replaying = false;
  bool reopened = false;
  size_t closed = 0;              // Units of the last CloseCohort.
  size_t opened = 0;              // The same at Reopen.
  std::vector<uint32_t> changed;  // Of those: begun anew.
  std::vector<uint32_t> restart;  // Those and new ones.
  int64_t as_of_ms = 0;
  int64_t first_clock_ms = kNever;
  int64_t last_clock_ms = 0;
  bool keeps = false;              // What Finish works out, for the next one.
  std::vector<ArmHealth> counted;  // Of the first `counted_units` units.
  size_t counted_units = 0;
  PageVector<uint8_t> dirty;  // By block: a unit changed since the last Finish.
  KeptCells kept_cells;
  std::vector<KeptTimes> kept_times;  // As Plan::time_to.
  std::set<int32_t> phases;           // Of units in the analysis.

  size_t size() const { return arm.size(); }
  bool Analysed(size_t unit) const { return states.clock_ms(unit) != kNever; }
  size_t blocks() const { return (size() + kBlockUnits - 1) / kBlockUnits; }
  // Several threads may say it of one block.
  void MarkDirty(size_t unit) {
    __atomic_store_n(&dirty[unit / kBlockUnits], uint8_t{1}, __ATOMIC_RELAXED);
  }
  int threads() const { return static_cast<int>(lanes.size()); }
  // Where the states are spilled, these need not stay in memory.
  void DoneWith(size_t begin, size_t end) const {
    state_pages.Release(begin * states.bytes_per_unit(), end * states.bytes_per_unit());
  }
};

// Follows `chain` with an event that reaches `stages` (0: only what attributes satisfy).
inline void AdvanceChain(const Chain& chain, uint32_t satisfied, uint32_t stages, int64_t dt_ms,
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
  // Where a required stage is missing, nothing after it counts yet.
  const uint32_t hits = stages | satisfied;
  const uint32_t missing = chain.required & ~(state->reached | hits);
  state->reached |= hits & ((missing & (0 - missing)) - 1);
}

// Sorts and folds the gathered events of units that are replayed.
void FoldReplay(const FoldProgram& program, FoldUnits* units);

// A column of one unit, before caps. Journeys only after FoldJourneys.
inline double ColumnValue(const FoldProgram& program, const FoldUnits& units, uint32_t unit,
                          size_t column) {
  const Column& of = program.plan.columns[column];
  switch (of.kind) {
    case ColumnKind::kSum:
    case ColumnKind::kPre:
    case ColumnKind::kJourney:
      return units.states.sums(unit)[program.sum_of_column[column]];
    case ColumnKind::kAtLeast:
      return units.states.sums(unit)[program.sum_of_column[column]] >= of.threshold ? 1 : 0;
    case ColumnKind::kHasPre:
      return (units.states.flags(unit) & kSeenBefore) != 0 ? 1 : 0;
    case ColumnKind::kStage:
      break;
  }
  const auto chain = static_cast<size_t>(program.chain_of_funnel[static_cast<size_t>(of.funnel)]);
  ChainState state = units.states.chains(unit)[chain];
  if (!units.satisfied[chain].empty()) {
    // Attributes may satisfy stages of a unit that never did anything.
    AdvanceChain(program.chains[chain], units.satisfied[chain][unit], 0, state.last_ms, &state,
                 nullptr);
  }
  return (state.reached >> of.stage & 1) != 0 ? 1 : 0;
}

// Follows the gathered journeys anew: their counts go into the units' sums.
void FoldJourneys(const FoldProgram& program, FoldUnits* units);

// Takes units that a burst rule excludes out of the analysis. One that is out stays out, as events
// only come on top, until its clock moves.
void ExcludeBursts(const FoldProgram& program, FoldUnits* units);

// --- Results
// ---------------------------------------------------------------------------------------

inline bool Mature(const FoldUnits& units, uint32_t unit, int64_t maturity_ms) {
  return units.as_of_ms - units.states.clock_ms(unit) >= maturity_ms;
}

// Which cluster or block each unit is in; without either, and where a unit lacks the cluster's
// attribute, each is its own.
std::vector<uint32_t> ClusterOfUnit(const FoldProgram& program, const FoldUnits& units);
std::vector<double> ComputeCaps(const FoldProgram& program, const FoldUnits& units);
absl::Status ComputeCells(const FoldProgram& program, const std::vector<double>& caps,
                          FoldUnits* units, std::vector<Cell>* cells);
std::vector<SurvivalTable> ComputeSurvival(const FoldProgram& program, FoldUnits* units);
std::vector<QuantileResult> ComputeQuantiles(const FoldProgram& program, const FoldUnits& units,
                                             const std::vector<double>& caps);

}  // namespace fulcrum::store
