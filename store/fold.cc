// SPDX-License-Identifier: Apache-2.0
//
// Exposures: who is in the analysis, in which arm, from when, in which slices.
#include "store/fold.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/time.h"
#include "store/fold_program.h"

namespace fulcrum::store {
namespace {

int64_t AddSaturated(int64_t a, int64_t b) { return b > kNever - a ? kNever : a + b; }

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

bool SatisfiedBy(const ChainStage& stage, const Literal& value) {
  return std::any_of(stage.satisfied_values.begin(), stage.satisfied_values.end(),
                     [&](const Literal& wanted) { return LiteralEquals(value, wanted); });
}

// Per unit, the stages that its attributes satisfy.
std::vector<uint32_t> SatisfiedStages(const Chain& chain, const FoldUnits& units) {
  std::vector<uint32_t> satisfied(units.size(), 0);
  for (size_t s = 0; s < chain.stages.size(); ++s) {
    const ChainStage& stage = chain.stages[s];
    if (stage.attribute < 0) continue;
    std::vector<uint8_t> satisfies(units.dictionary.size(), 0);
    for (uint32_t code = 1; code < satisfies.size(); ++code) {
      satisfies[code] = SatisfiedBy(stage, units.dictionary.value(code)) ? 1 : 0;
    }
    const std::vector<uint32_t>& codes = units.attributes[static_cast<size_t>(stage.attribute)];
    for (size_t u = 0; u < codes.size(); ++u) {
      if (satisfies[codes[u]] != 0) satisfied[u] |= uint32_t{1} << s;
    }
  }
  return satisfied;
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

int64_t DayStart(int64_t ts_ms) {
  const int64_t into_day = ((ts_ms % kDayMs) + kDayMs) % kDayMs;
  return ts_ms - into_day;
}

size_t UnitStates::StrideFor(int sums, size_t chains, size_t first_times) {
  const size_t words = 2 + static_cast<size_t>(sums) + 2 * chains + first_times;
  for (const size_t stride : {2, 4, 8}) {
    if (words <= stride) return stride;
  }
  return words;
}

void UnitStates::Reset(size_t units, int sums, size_t chains, size_t first_times) {
  static_assert(sizeof(ChainState) == 16);
  stride_ = StrideFor(sums, chains, first_times);
  chains_at_ = 2 + static_cast<size_t>(sums);
  first_times_at_ = chains_at_ + 2 * chains;
  lines_ = {};
  lines_.resize((units * stride_ + kLineWords - 1) / kLineWords);
  base_ = lines_.empty() ? nullptr : lines_[0].bytes;
  for (size_t unit = 0; unit < units; ++unit) {
    clock_ms(unit) = kNever;
    for (size_t c = 0; c < chains; ++c) this->chains(unit)[c] = ChainState();
    for (size_t f = 0; f < first_times; ++f) this->first_times(unit)[f] = kNever;
  }
}

Fold::Fold(std::unique_ptr<FoldProgram> program, std::unique_ptr<FoldUnits> units)
    : program_(std::move(program)), units_(std::move(units)) {}
Fold::~Fold() = default;
Fold::Fold(Fold&&) noexcept = default;
Fold& Fold::operator=(Fold&&) noexcept = default;

absl::StatusOr<Fold> Fold::Compile(const Plan& plan) {
  FULCRUM_ASSIGN_OR_RETURN(FoldProgram program, CompileFold(plan));
  auto units = std::make_unique<FoldUnits>();
  units->attributes.resize(program.needs.attributes.size());
  units->event_values.resize(plan.quantiles.size());
  units->journey_events.resize(plan.journeys.size());
  units->journey_spans.resize(plan.journeys.size());
  units->burst_events.resize(plan.population.exclude_bursts.size());
  units->health.arms.resize(plan.population.arms.size());
  return Fold(std::make_unique<FoldProgram>(std::move(program)), std::move(units));
}

const FoldNeeds& Fold::needs() const& { return program_->needs; }
LiteralDictionary& Fold::dictionary() & { return units_->dictionary; }

int64_t Fold::EstimateBytes(int64_t units) const {
  // Arm and phase; the state, or before it the exposure; the feeder's number of the unit.
  int64_t per_unit = 2 + 4 + 4;
  per_unit += 8 * static_cast<int64_t>(UnitStates::StrideFor(
                      program_->sums, program_->chains.size(), program_->first_times.size()));
  per_unit += 8 + 8 + 1;
  per_unit += 4 * static_cast<int64_t>(program_->needs.attributes.size());
  per_unit += 4 * static_cast<int64_t>(program_->slice_slots.size());
  for (const Chain& chain : program_->chains) {
    if (chain.time_to >= 0) per_unit += static_cast<int64_t>(sizeof(FromTo));
    if (chain.any_satisfied) per_unit += 4;
  }
  return per_unit * units;
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
  for (size_t i = 0; i < batch.size; ++i) {
    const int64_t ts_ms = batch.ts_ms[i];
    if (ts_ms < population.from_ms || ts_ms >= population.to_ms) continue;
    if (InWashout(population, ts_ms)) continue;
    const int32_t arm = batch.arm[i];
    if (arm < 0) continue;
    const size_t unit = batch.unit[i];
    if (unit >= u.size()) GrowTo(&u, unit + 1);
    if (u.arm[unit] >= 0 && u.arm[unit] != arm) u.flags[unit] |= kMultiArm;
    const int64_t sequence = batch.sequence[i];
    const bool earlier = ts_ms < u.exposed_ms[unit] ||
                         (ts_ms == u.exposed_ms[unit] && sequence < u.exposed_sequence[unit]);
    if (u.arm[unit] >= 0 && !earlier) continue;
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

void Fold::CloseExposures() {
  FoldUnits& u = *units_;
  u.exposed_sequence = {};
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
  if (wants_enrolments()) u.triggered_ms.assign(u.size(), kNever);
  std::vector<RunningCount> counts(u.health.arms.size());
  for (size_t unit = 0; unit < u.size(); ++unit) {
    if (u.arm[unit] < 0) continue;
    ArmHealth& health = u.health.arms[static_cast<size_t>(u.arm[unit])];
    if ((exclude >= 0 && excludes[u.attributes[static_cast<size_t>(exclude)][unit]] != 0) ||
        std::any_of(rules.begin(), rules.end(),
                    [&](const AttributeRule& rule) { return rule.Holds(u, unit); })) {
      u.flags[unit] |= kExcluded;
      ++health.excluded_units;
      ++health.excluded_by_phase[u.phase[unit]];
      continue;
    }
    ++health.units;
    counts[static_cast<size_t>(u.arm[unit])].Add(u.phase[unit], DayStart(u.exposed_ms[unit]),
                                                 &health);
    if ((u.flags[unit] & kMultiArm) != 0) {
      ++health.multi_arm_units;
      if (program_->plan.population.exclude_multi_arm) u.flags[unit] |= kExcluded;
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
    triggered_ms = std::min(triggered_ms, ts_ms[i]);
  }
}

void Fold::CloseCohort(int64_t as_of_ms) {
  FoldUnits& u = *units_;
  u.as_of_ms = as_of_ms;
  const bool by_event = wants_enrolments();
  u.states.Reset(u.size(), program_->sums, program_->chains.size(), program_->first_times.size());
  for (size_t unit = 0; unit < u.size(); ++unit) {
    if (u.arm[unit] < 0 || (u.flags[unit] & kExcluded) != 0) continue;
    const int64_t clock_ms = by_event ? u.triggered_ms[unit] : u.exposed_ms[unit];
    if (clock_ms == kNever) continue;
    if (by_event) ++u.health.arms[static_cast<size_t>(u.arm[unit])].triggered_units;
    u.states.clock_ms(unit) = clock_ms;
    u.states.flags(unit) |= u.flags[unit] & kMultiArm;
    u.first_clock_ms = std::min(u.first_clock_ms, clock_ms);
    u.last_clock_ms = std::max(u.last_clock_ms, clock_ms);
  }
  if (u.burst_events.empty()) u.exposed_ms = {};  // Else days are still to be counted back.
  u.triggered_ms = {};
  u.flags = {};
  u.from_to.clear();
  u.satisfied.clear();
  for (const Chain& chain : program_->chains) {
    u.from_to.emplace_back(chain.time_to >= 0 ? u.size() : 0);
    u.satisfied.push_back(chain.any_satisfied ? SatisfiedStages(chain, u)
                                              : std::vector<uint32_t>());
  }
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

bool Fold::wants_replay() const { return units_->late_units > 0 && !units_->replaying; }

bool Fold::InReplay(uint32_t unit) const {
  return unit < units_->size() && (units_->states.flags(unit) & kReplay) != 0;
}

void Fold::BeginReplay() {
  FoldUnits& u = *units_;
  u.replaying = true;
  for (size_t unit = 0; unit < u.size(); ++unit) {
    if ((u.states.flags(unit) & kReplay) == 0) continue;
    for (size_t c = 0; c < program_->chains.size(); ++c) {
      u.states.chains(unit)[c] = ChainState();
      if (!u.from_to[c].empty()) u.from_to[c][unit] = FromTo();
    }
  }
}

std::vector<double> Fold::Row(uint32_t unit) const {
  std::vector<double> row(program_->plan.columns.size());
  FillRow(*program_, *units_, unit, row.data());
  return row;
}

absl::StatusOr<PlanResult> Fold::Finish(int threads) {
  if (units_->replaying) FoldReplay(*program_, units_.get());
  ExcludeBursts(*program_, units_.get());
  FoldJourneys(*program_, units_.get());
  PlanResult result;
  result.as_of_ms = units_->as_of_ms;
  result.health = units_->health;
  result.cap_values = ComputeCaps(*program_, *units_);
  FULCRUM_RETURN_IF_ERROR(
      ComputeCells(*program_, *units_, result.cap_values, threads, &result.cells));
  result.survival = ComputeSurvival(*program_, *units_);
  result.quantiles = ComputeQuantiles(*program_, *units_, result.cap_values);
  return result;
}

}  // namespace fulcrum::store
