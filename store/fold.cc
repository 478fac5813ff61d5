// SPDX-License-Identifier: Apache-2.0
//
// Exposures: who is in the analysis, in which arm, from when, in which slices.
#include "store/fold.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/status.h"
#include "base/time.h"
#include "store/fold_program.h"
#include "store/parallel.h"

namespace fulcrum::store {
namespace {

int64_t AddSaturated(int64_t a, int64_t b) { return b > kNever - a ? kNever : a + b; }

int64_t DayStart(int64_t ts_ms) {
  const int64_t into_day = ((ts_ms % kDayMs) + kDayMs) % kDayMs;
  return ts_ms - into_day;
}

// Units come nearly sorted by day and phase, so the last map entry is nearly always the next.
class RunningCount {
 public:
  void Add(int32_t phase, int64_t day_ms, ArmHealth* health) {
    if (of_phase_ == nullptr || phase != phase_) of_phase_ = &health->units_by_phase[phase];
    if (of_day_ == nullptr || day_ms != day_ms_) of_day_ = &health->units_by_day[day_ms];
    phase_ = phase;
    day_ms_ = day_ms;
    ++*of_phase_;
    ++*of_day_;
  }

 private:
  int32_t phase_ = 0;
  int64_t day_ms_ = 0;
  double* of_phase_ = nullptr;
  double* of_day_ = nullptr;
};

constexpr size_t kRange = 16384;  // Units that a thread takes at once.

void AddUnitCounts(const ArmHealth& from, ArmHealth* to) {
  to->units += from.units;
  to->excluded_units += from.excluded_units;
  to->burst_units += from.burst_units;
  to->multi_arm_units += from.multi_arm_units;
  to->triggered_units += from.triggered_units;
  for (const auto& [phase, units] : from.excluded_by_phase) to->excluded_by_phase[phase] += units;
  for (const auto& [phase, units] : from.units_by_phase) to->units_by_phase[phase] += units;
  for (const auto& [day_ms, units] : from.units_by_day) to->units_by_day[day_ms] += units;
}

bool SatisfiedBy(const ChainStage& stage, const Literal& value) {
  return std::any_of(stage.satisfied_values.begin(), stage.satisfied_values.end(),
                     [&](const Literal& wanted) { return LiteralEquals(value, wanted); });
}

void SortUnique(std::vector<uint32_t>* units) {
  std::sort(units->begin(), units->end());
  units->erase(std::unique(units->begin(), units->end()), units->end());
}

// Per unit, the stages that its attributes satisfy: of new units and changed ones.
void SatisfyStages(const Chain& chain, const FoldUnits& units, PageVector<uint32_t>* satisfied) {
  satisfied->resize(units.size(), 0);
  for (const uint32_t unit : units.changed) (*satisfied)[unit] = 0;
  for (size_t s = 0; s < chain.stages.size(); ++s) {
    const ChainStage& stage = chain.stages[s];
    if (stage.attribute < 0) continue;
    std::vector<uint8_t> satisfies(units.dictionary.size(), 0);
    for (uint32_t code = 1; code < satisfies.size(); ++code) {
      satisfies[code] = SatisfiedBy(stage, units.dictionary.value(code)) ? 1 : 0;
    }
    const PageVector<uint32_t>& codes = units.attributes[static_cast<size_t>(stage.attribute)];
    const auto look = [&](size_t unit) {
      if (satisfies[codes[unit]] != 0) (*satisfied)[unit] |= uint32_t{1} << s;
    };
    for (size_t unit = units.closed; unit < units.size(); ++unit) look(unit);
    for (const uint32_t unit : units.changed) look(unit);
  }
}

// Whether one list of tests holds entirely, by code of the dictionary: a table for each test, since
// values repeat. Code 0 = absent.
class AttributeRule {
 public:
  AttributeRule(const std::vector<EventFilter>& all, const std::vector<int>& slots,
                const LiteralDictionary& dictionary)
      : slots_(slots) {
    for (const EventFilter& test : all) {
      std::vector<uint8_t>& holds = holds_.emplace_back(dictionary.size(), 0);
      holds[0] = FilterMatches(test, nullptr) ? 1 : 0;
      for (uint32_t code = 1; code < holds.size(); ++code) {
        holds[code] = FilterMatches(test, &dictionary.value(code)) ? 1 : 0;
      }
    }
  }
  bool Holds(const FoldUnits& units, size_t unit) const {
    for (size_t t = 0; t < slots_.size(); ++t) {
      if (holds_[t][units.attributes[static_cast<size_t>(slots_[t])][unit]] == 0) return false;
    }
    return true;
  }

 private:
  const std::vector<int>& slots_;
  std::vector<std::vector<uint8_t>> holds_;
};

}  // namespace

size_t UnitStates::StrideFor(int sums, size_t chains, size_t first_times) {
  const size_t words = 2 + static_cast<size_t>(sums) + 2 * chains + first_times;
  for (const size_t stride : {2, 4, 8}) {
    if (words <= stride) return stride;
  }
  return words;
}

void UnitStates::Lay(int sums, size_t chains, size_t first_times) {
  static_assert(sizeof(ChainState) == 16);
  stride_ = StrideFor(sums, chains, first_times);
  chains_at_ = 2 + static_cast<size_t>(sums);
  first_times_at_ = chains_at_ + 2 * chains;
  chain_count_ = chains;
  first_time_count_ = first_times;
}

void UnitStates::Clear(size_t begin, size_t end) {
  for (size_t unit = begin; unit < end; ++unit) {
    clock_ms(unit) = kNever;
    flags(unit) = 0;
    std::fill(sums(unit), sums(unit) + (chains_at_ - 2), 0.0);
    std::fill(chains(unit), chains(unit) + chain_count_, ChainState());
    std::fill(first_times(unit), first_times(unit) + first_time_count_, kNever);
  }
}

Fold::Fold(std::unique_ptr<FoldProgram> program, std::unique_ptr<FoldUnits> units)
    : program_(std::move(program)), units_(std::move(units)) {}
Fold::~Fold() = default;
Fold::Fold(Fold&&) noexcept = default;
Fold& Fold::operator=(Fold&&) noexcept = default;

absl::StatusOr<Fold> Fold::Compile(const Plan& plan, int threads) {
  FULCRUM_ASSIGN_OR_RETURN(FoldProgram program, CompileFold(plan));
  auto units = std::make_unique<FoldUnits>();
  units->attributes.resize(program.needs.attributes.size());
  units->lanes.resize(static_cast<size_t>(std::max(threads, 1)));
  for (FoldLane& lane : units->lanes) {
    lane.event_values.resize(plan.quantiles.size());
    lane.journey_events.resize(plan.journeys.size());
    lane.burst_events.resize(plan.population.exclude_bursts.size());
  }
  units->journey_events.resize(plan.journeys.size());
  units->journey_spans.resize(plan.journeys.size());
  units->burst_events.resize(plan.population.exclude_bursts.size());
  return Fold(std::make_unique<FoldProgram>(std::move(program)), std::move(units));
}

const FoldNeeds& Fold::needs() const& { return program_->needs; }
LiteralDictionary& Fold::dictionary() & { return units_->dictionary; }

int64_t Fold::EstimateStateBytes(int64_t units) const {
  return units * 8 *
         static_cast<int64_t>(UnitStates::StrideFor(program_->sums, program_->chains.size(),
                                                    program_->first_times.size()));
}

int64_t Fold::EstimateBytes(int64_t units) const {
  // Arm and phase; the exposure; the feeder's number of the unit.
  int64_t per_unit = 2 + 4 + 4;

  per_unit += 8 + 8 + 1;
  per_unit += 4 * static_cast<int64_t>(program_->needs.attributes.size());
  per_unit += 4 * static_cast<int64_t>(program_->slice_slots.size());
  for (const Chain& chain : program_->chains) {
    if (chain.time_to >= 0) per_unit += static_cast<int64_t>(sizeof(FromTo));
    if (chain.any_satisfied) per_unit += 4;
  }
  return per_unit * units + EstimateStateBytes(units);
}

void Fold::ReserveUnits(size_t units) {
  FoldUnits& u = *units_;
  u.exposed_ms.reserve(units);
  u.exposed_sequence.reserve(units);
  u.arm.reserve(units);
  u.phase.reserve(units);
  u.flags.reserve(units);
  for (auto& codes : u.attributes) codes.reserve(units);
}

namespace {

void GrowTo(FoldUnits* units, size_t size) {
  units->exposed_ms.resize(size, kNever);
  units->exposed_sequence.resize(size, kNever);
  units->arm.resize(size, -1);
  units->phase.resize(size, 0);
  units->flags.resize(size, 0);
  for (auto& codes : units->attributes) codes.resize(size, 0);
}

}  // namespace

void Fold::AddExposures(const ExposureBatch& batch) {
  FoldUnits& u = *units_;
  const Population& population = program_->plan.population;
  size_t size = u.size();
  for (size_t i = 0; i < batch.size; ++i) {
    if (batch.arm[i] >= 0) size = std::max<size_t>(size, size_t{batch.unit[i]} + 1);
  }
  if (size > u.size()) GrowTo(&u, size);
  const auto note_change = [&u](size_t unit) {
    if (unit < u.closed) u.changed.push_back(static_cast<uint32_t>(unit));
  };
  for (size_t i = 0; i < batch.size; ++i) {
    const int64_t ts_ms = batch.ts_ms[i];
    if (ts_ms < population.from_ms || ts_ms >= population.to_ms) continue;
    if (InWashout(population, ts_ms)) continue;
    const int32_t arm = batch.arm[i];
    if (arm < 0) continue;
    const size_t unit = batch.unit[i];
    if (u.arm[unit] >= 0 && u.arm[unit] != arm) {
      if ((u.flags[unit] & kMultiArm) == 0 && population.exclude_multi_arm) note_change(unit);
      u.flags[unit] |= kMultiArm;
      if (unit < u.closed) u.counted_units = 0;
    }
    const int64_t sequence = batch.sequence[i];
    const bool earlier = ts_ms < u.exposed_ms[unit] ||
                         (ts_ms == u.exposed_ms[unit] && sequence < u.exposed_sequence[unit]);
    if (u.arm[unit] >= 0 && !earlier) continue;
    note_change(unit);
    u.arm[unit] = static_cast<int16_t>(arm);
    u.phase[unit] = batch.phase[i];
    u.exposed_ms[unit] = ts_ms;
    u.exposed_sequence[unit] = sequence;
    for (size_t a = 0; a < u.attributes.size(); ++a) {
      const uint32_t* codes = a < batch.attributes.size() ? batch.attributes[a] : nullptr;
      u.attributes[a][unit] = codes == nullptr ? 0 : codes[i];
    }
  }
}

void Fold::Reopen() {
  FoldUnits& u = *units_;
  u.changed.clear();
  u.restart.clear();
  u.opened = u.closed;
  u.reopened = true;
}

void Fold::Restart(std::span<const uint32_t> units) {
  for (const uint32_t unit : units) {
    if (unit < units_->closed) units_->changed.push_back(unit);
  }
}

void Fold::CloseExposures() {
  FoldUnits& u = *units_;
  SortUnique(&u.changed);
  const int exclude = program_->exclude_slot;
  std::vector<uint8_t> excludes(u.dictionary.size(), 0);
  for (uint32_t code = 1; code < excludes.size(); ++code) {
    excludes[code] = IsTrue(u.dictionary.value(code)) ? 1 : 0;
  }
  std::vector<AttributeRule> rules;
  for (size_t r = 0; r < program_->exclude_any_slots.size(); ++r) {
    rules.emplace_back(program_->plan.population.exclude_any[r], program_->exclude_any_slots[r],
                       u.dictionary);
  }
  const auto excluded = [&](size_t unit) {
    if (exclude >= 0 && excludes[u.attributes[static_cast<size_t>(exclude)][unit]] != 0) {
      return true;
    }
    return std::any_of(rules.begin(), rules.end(),
                       [&](const AttributeRule& rule) { return rule.Holds(u, unit); });
  };
  const bool drop_multi = program_->plan.population.exclude_multi_arm;
  const auto close = [&](size_t unit) {
    uint8_t& flags = u.flags[unit];
    flags &= static_cast<uint8_t>(~(kExcluded | kDropped));
    if (u.arm[unit] < 0) return;
    if (excluded(unit)) {
      flags |= kExcluded;
    } else if (drop_multi && (flags & kMultiArm) != 0) {
      flags |= kDropped;
    }
  };
  if (exclude >= 0 || drop_multi || !rules.empty()) {
    for (size_t unit = u.closed; unit < u.size(); ++unit) close(unit);
  }
  for (const uint32_t unit : u.changed) close(unit);
  if (wants_enrolments()) {
    u.triggered_ms.resize(u.size(), kNever);
    for (const uint32_t unit : u.changed) u.triggered_ms[unit] = kNever;
  }
  if (!u.reopened) return;
  for (const uint32_t unit : u.changed) u.flags[unit] |= kRestart;
  for (size_t unit = u.closed; unit < u.size(); ++unit) u.flags[unit] |= kRestart;
}

void Fold::HaveNoPast(std::span<const uint32_t> units) {
  for (const uint32_t unit : units) {
    if (unit >= units_->closed && unit < units_->size()) {
      units_->flags[unit] &= static_cast<uint8_t>(~kRestart);
    }
  }
}

bool Fold::wants_enrolments() const { return program_->plan.population.enrol == EnrolRule::kEvent; }

void Fold::AddEnrolments(size_t size, const uint32_t* unit, const int64_t* ts_ms) {
  FoldUnits& u = *units_;
  for (size_t i = 0; i < size; ++i) {
    if (unit[i] >= u.size() || u.arm[unit[i]] < 0) continue;
    if (ts_ms[i] < u.exposed_ms[unit[i]]) continue;
    int64_t& triggered_ms = u.triggered_ms[unit[i]];
    if (ts_ms[i] >= triggered_ms) continue;
    triggered_ms = ts_ms[i];
    if (unit[i] < u.closed && (u.flags[unit[i]] & kRestart) == 0) {
      u.changed.push_back(unit[i]);
      u.flags[unit[i]] |= kRestart;
    }
  }
}

// Clocks that were started by one thread.
struct Fold::ClockSpan {
  int64_t first_ms = kNever;
  int64_t last_ms = 0;
  void Add(int64_t clock_ms) {
    if (clock_ms == kNever) return;
    first_ms = std::min(first_ms, clock_ms);
    last_ms = std::max(last_ms, clock_ms);
  }
};

// What was gathered of units that begin anew.
void Fold::ForgetChanged() {
  FoldUnits& u = *units_;
  if (u.changed.empty()) return;
  const auto forget = [&](auto* lists) {
    for (auto& list : *lists) {
      std::erase_if(list, [&](const auto& of) {
        return std::binary_search(u.changed.begin(), u.changed.end(), of.unit);
      });
    }
  };
  for (FoldLane& lane : u.lanes) {
    forget(&lane.event_values);
    forget(&lane.journey_events);
    forget(&lane.burst_events);
  }
  forget(&u.journey_events);
  forget(&u.burst_events);
  for (const uint32_t unit : u.changed) u.flags[unit] &= static_cast<uint8_t>(~kBurst);
}

// kNever = not in the analysis.
int64_t Fold::ClockOf(size_t unit) const {
  const FoldUnits& u = *units_;
  if (u.arm[unit] < 0 || (u.flags[unit] & (kExcluded | kDropped)) != 0) return kNever;
  return wants_enrolments() ? u.triggered_ms[unit] : u.exposed_ms[unit];
}

void Fold::StartClock(size_t unit) {
  units_->states.Clear(unit, unit + 1);
  units_->states.clock_ms(unit) = ClockOf(unit);
  units_->MarkDirty(unit);
}

void Fold::BeginPass(uint32_t first_unit, uint32_t end_unit) {
  ForRanges(units_->threads(), end_unit - first_unit, kRange, [&](size_t begin, size_t end, int) {
    for (size_t unit = begin; unit < end; ++unit) StartClock(first_unit + unit);
  });
}

void Fold::EndPass(uint32_t first_unit, uint32_t end_unit) {
  units_->DoneWith(first_unit, end_unit);
}

absl::Status Fold::CloseCohort(int64_t as_of_ms, const std::string& spill_directory) {
  FoldUnits& u = *units_;
  u.as_of_ms = as_of_ms;
  SortUnique(&u.changed);
  u.states.Lay(program_->sums, program_->chains.size(), program_->first_times.size());
  FULCRUM_RETURN_IF_ERROR(
      u.state_pages.Resize(u.size() * u.states.bytes_per_unit(), spill_directory));
  u.states.Attach(u.state_pages.data());
  u.dirty.resize(u.blocks(), 1);
  std::vector<ClockSpan> spans(u.lanes.size());
  ForRanges(u.threads(), u.size() - u.closed, kRange, [&](size_t begin, size_t end, int lane) {
    ClockSpan* span = &spans[static_cast<size_t>(lane)];
    for (size_t unit = begin; unit < end; ++unit) span->Add(ClockOf(u.closed + unit));
  });
  for (const uint32_t unit : u.changed) spans[0].Add(ClockOf(unit));
  if (spill_directory.empty()) {
    BeginPass(static_cast<uint32_t>(u.closed), static_cast<uint32_t>(u.size()));
    for (const uint32_t unit : u.changed) StartClock(unit);
  }
  for (const ClockSpan& span : spans) {
    u.first_clock_ms = std::min(u.first_clock_ms, span.first_ms);
    u.last_clock_ms = std::max(u.last_clock_ms, span.last_ms);
  }
  if (!u.changed.empty()) u.counted_units = 0;
  ForgetChanged();
  u.from_to.resize(program_->chains.size());
  u.satisfied.resize(program_->chains.size());
  for (size_t c = 0; c < program_->chains.size(); ++c) {
    const Chain& chain = program_->chains[c];
    if (chain.time_to >= 0) {
      u.from_to[c].resize(u.size());
      for (const uint32_t unit : u.changed) u.from_to[c][unit] = FromTo();
    }
    if (chain.any_satisfied) SatisfyStages(chain, u, &u.satisfied[c]);
  }
  if (u.reopened) {
    for (const uint32_t unit : u.changed) {
      if (u.Analysed(unit)) u.restart.push_back(unit);
    }
    for (size_t unit = u.closed; unit < u.size(); ++unit) {
      if (u.Analysed(unit) && (u.flags[unit] & kRestart) != 0) {
        u.restart.push_back(static_cast<uint32_t>(unit));
      }
    }
  }
  u.closed = u.size();
  return absl::OkStatus();
}

bool Fold::wants_restart() const { return !units_->restart.empty(); }

bool Fold::InRestart(uint32_t unit) const {
  return unit < units_->size() && (units_->flags[unit] & kRestart) != 0;
}

void Fold::EndRestart() {
  FoldUnits& u = *units_;
  for (const uint32_t unit : u.changed) u.flags[unit] &= static_cast<uint8_t>(~kRestart);
  for (size_t unit = u.opened; unit < u.size(); ++unit) {
    u.flags[unit] &= static_cast<uint8_t>(~kRestart);
  }
  u.opened = u.size();
  u.restart.clear();
  u.changed.clear();
}

std::pair<int64_t, int64_t> Fold::SpanOf(std::span<const uint32_t> units) const {
  int64_t first_ms = kNever;
  int64_t last_ms = 0;
  for (const uint32_t unit : units) {
    if (!units_->Analysed(unit)) continue;
    first_ms = std::min(first_ms, units_->states.clock_ms(unit));
    last_ms = std::max(last_ms, units_->states.clock_ms(unit));
  }
  if (first_ms == kNever) return {kNever, kNever};
  const int64_t lo_ms = program_->has_pre ? kBefore : first_ms + program_->needs.earliest_ms;
  return {lo_ms, AddSaturated(last_ms, program_->needs.latest_ms)};
}

std::pair<int64_t, int64_t> Fold::span_of_restart() const { return SpanOf(units_->restart); }

std::pair<int64_t, int64_t> Fold::span_of_replay() const {
  std::vector<uint32_t> late;
  for (const FoldLane& lane : units_->lanes) {
    late.insert(late.end(), lane.late_units.begin(), lane.late_units.end());
  }
  auto span = SpanOf(late);
  // Only chains are replayed, and those begin at the clock.
  if (program_->has_pre && span.first == kBefore) {
    span.first = kNever;
    for (const uint32_t unit : late) {
      span.first = std::min(span.first, units_->states.clock_ms(unit));
    }
  }
  return span;
}

int64_t Fold::bytes() const {
  const auto units = static_cast<int64_t>(units_->size());
  int64_t bytes = EstimateBytes(units);
  // Times, once by arm and once by block.
  bytes += units * 16 * static_cast<int64_t>(program_->plan.time_to.size());
  for (const KeptCells::Block& block : units_->kept_cells.blocks) {
    for (const stats::Gram& gram : block.grams) {
      bytes += static_cast<int64_t>(sizeof gram +
                                    8 * (gram.packed_lower().size() + 2 * gram.means().size()));
    }
  }
  for (const FoldLane& lane : units_->lanes) {
    for (const auto& values : lane.event_values) {
      bytes += static_cast<int64_t>(values.capacity() * sizeof(EventValue));
    }
    bytes += static_cast<int64_t>(lane.sorted.capacity() * sizeof(KeyedRecord));
  }
  const auto add = [&bytes](const auto& lists) {
    for (const auto& list : lists) {
      bytes += static_cast<int64_t>(list.capacity() * sizeof(*list.data()));
    }
  };
  add(units_->journey_events);
  add(units_->journey_spans);
  add(units_->burst_events);
  return bytes;
}

bool Fold::Analysed(uint32_t unit) const { return unit < units_->size() && units_->Analysed(unit); }

int64_t Fold::earliest_ms() const {
  if (program_->has_pre || units_->first_clock_ms == kNever) return 0;
  const int64_t lo_ms = program_->needs.earliest_ms;
  return units_->first_clock_ms + lo_ms;
}

int64_t Fold::latest_ms() const {
  return AddSaturated(units_->last_clock_ms, program_->needs.latest_ms);
}

int64_t Fold::clock_ms(uint32_t unit) const { return units_->states.clock_ms(unit); }

bool Fold::wants_replay() const {
  const auto late = [](const FoldLane& lane) { return !lane.late_units.empty(); };
  return !units_->replaying && std::any_of(units_->lanes.begin(), units_->lanes.end(), late);
}

void Fold::KeepResults() { units_->keeps = true; }

size_t Fold::units() const { return units_->size(); }
RecordShape Fold::record_shape() const {
  RecordShape shape;
  shape.values = program_->needs.values.size();
  shape.filters = !program_->needs.filters.empty();
  shape.keys = program_->needs.order_keys || program_->needs.session_keys;
  while ((size_t{1} << shape.code_bits) <= program_->events.size()) ++shape.code_bits;
  return shape;
}

size_t Fold::state_bytes() const { return units_->states.bytes_per_unit(); }

bool Fold::InReplay(uint32_t unit) const {
  return unit < units_->size() && (units_->states.flags(unit) & kReplay) != 0;
}

void Fold::BeginReplay() {
  FoldUnits& u = *units_;
  u.replaying = true;
  for (const FoldLane& lane : u.lanes) {
    for (const uint32_t unit : lane.late_units) {
      for (size_t c = 0; c < program_->chains.size(); ++c) {
        u.states.chains(unit)[c] = ChainState();
        if (!u.from_to[c].empty()) u.from_to[c][unit] = FromTo();
      }
    }
  }
}

void Fold::EndReplay() {
  FoldUnits& u = *units_;
  if (!u.replaying) return;
  FoldReplay(*program_, &u);
  for (FoldLane& lane : u.lanes) {
    for (const uint32_t unit : lane.late_units) {
      u.states.flags(unit) &= ~uint64_t{kReplay};
      u.MarkDirty(unit);
    }
    lane.late_units.clear();
  }
  u.replaying = false;
}

// Of everyone who was exposed, by arm; and the phases of those in the analysis. What was counted
// before stays, unless one of those units changed.
void Fold::CountUnits(Health* health) {
  FoldUnits& u = *units_;
  const bool by_event = wants_enrolments();
  if (u.counted_units == 0) {
    u.counted.assign(program_->plan.population.arms.size(), ArmHealth());
    u.phases.clear();
  }
  struct Part {
    std::vector<ArmHealth> arms;
    std::set<int32_t> phases;
  };
  std::vector<Part> parts(u.lanes.size());
  for (Part& part : parts) part.arms.resize(u.counted.size());
  const size_t first = u.counted_units;
  ForRanges(u.threads(), u.size() - first, kRange, [&](size_t begin, size_t end, int lane) {
    Part& part = parts[static_cast<size_t>(lane)];
    std::vector<RunningCount> counts(part.arms.size());
    std::optional<int32_t> last_phase;
    for (size_t unit = first + begin; unit < first + end; ++unit) {
      if (u.arm[unit] < 0) continue;
      ArmHealth& arm = part.arms[static_cast<size_t>(u.arm[unit])];
      const uint8_t flags = u.flags[unit];
      if ((flags & (kExcluded | kBurst)) != 0) {
        ++arm.excluded_units;
        ++arm.excluded_by_phase[u.phase[unit]];
        if ((flags & kBurst) != 0) ++arm.burst_units;
        continue;
      }
      ++arm.units;
      counts[static_cast<size_t>(u.arm[unit])].Add(u.phase[unit], DayStart(u.exposed_ms[unit]),
                                                   &arm);
      if ((flags & kMultiArm) != 0) ++arm.multi_arm_units;
      if ((flags & kDropped) != 0 || (by_event && u.triggered_ms[unit] == kNever)) continue;
      if (by_event) ++arm.triggered_units;
      if (last_phase != u.phase[unit]) part.phases.insert(u.phase[unit]);
      last_phase = u.phase[unit];
    }
  });
  for (const Part& part : parts) {
    u.phases.insert(part.phases.begin(), part.phases.end());
    for (size_t arm = 0; arm < part.arms.size(); ++arm) {
      AddUnitCounts(part.arms[arm], &u.counted[arm]);
    }
  }
  u.counted_units = u.size();
  health->arms = u.counted;
}

std::vector<double> Fold::Row(uint32_t unit) const {
  std::vector<double> row(program_->plan.columns.size());
  for (size_t c = 0; c < row.size(); ++c) row[c] = ColumnValue(*program_, *units_, unit, c);
  return row;
}

absl::StatusOr<PlanResult> Fold::Finish() {
  EndReplay();
  ExcludeBursts(*program_, units_.get());
  FoldJourneys(*program_, units_.get());
  PlanResult result;
  result.as_of_ms = units_->as_of_ms;
  CountUnits(&result.health);
  result.cap_values = ComputeCaps(*program_, *units_);
  FULCRUM_RETURN_IF_ERROR(ComputeCells(*program_, result.cap_values, units_.get(), &result.cells));
  result.survival = ComputeSurvival(*program_, units_.get());
  result.quantiles = ComputeQuantiles(*program_, *units_, result.cap_values);
  std::fill(units_->dirty.begin(), units_->dirty.end(), 0);
  return result;
}

}  // namespace fulcrum::store
