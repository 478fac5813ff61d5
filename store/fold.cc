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

int64_t DayStart(int64_t ts_ms) {
  const int64_t into_day = ((ts_ms % kDayMs) + kDayMs) % kDayMs;
  return ts_ms - into_day;
}

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

}  // namespace

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
  units->health.arms.resize(plan.population.arms.size());
  return Fold(std::make_unique<FoldProgram>(std::move(program)), std::move(units));
}

const FoldNeeds& Fold::needs() const& { return program_->needs; }
LiteralDictionary& Fold::dictionary() & { return units_->dictionary; }

int64_t Fold::EstimateBytes(int64_t units) const {
  int64_t per_unit = 8 + 8 + 8 + 2 + 4 + 1;
  per_unit += 4 * static_cast<int64_t>(program_->needs.attributes.size());
  per_unit += 4 * static_cast<int64_t>(program_->slice_slots.size());
  per_unit += 8 * program_->sums;
  per_unit += 8 * static_cast<int64_t>(program_->first_times.size());
  for (const Chain& chain : program_->chains) {
    per_unit += static_cast<int64_t>(sizeof(ChainState));
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
  u.clock_ms.assign(u.size(), kNever);
  for (size_t unit = 0; unit < u.size(); ++unit) {
    if (u.arm[unit] < 0) continue;
    ArmHealth& health = u.health.arms[static_cast<size_t>(u.arm[unit])];
    if (exclude >= 0 && excludes[u.attributes[static_cast<size_t>(exclude)][unit]] != 0) {
      u.flags[unit] |= kExcluded;
      ++health.excluded_units;
      continue;
    }
    ++health.units;
    ++health.units_by_phase[u.phase[unit]];
    ++health.units_by_day[DayStart(u.exposed_ms[unit])];
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
    int64_t& clock_ms = u.clock_ms[unit[i]];
    clock_ms = std::min(clock_ms, ts_ms[i]);
  }
}

void Fold::CloseCohort(int64_t as_of_ms) {
  FoldUnits& u = *units_;
  u.as_of_ms = as_of_ms;
  const bool by_event = wants_enrolments();
  for (size_t unit = 0; unit < u.size(); ++unit) {
    if (by_event) {
      if (u.clock_ms[unit] == kNever || u.arm[unit] < 0) continue;
      const bool counted = (u.flags[unit] & kExcluded) == 0;
      if (counted) ++u.health.arms[static_cast<size_t>(u.arm[unit])].triggered_units;
      u.flags[unit] |= kTriggered;
    } else if (u.arm[unit] >= 0) {
      u.clock_ms[unit] = u.exposed_ms[unit];
    }
    if ((u.flags[unit] & kExcluded) != 0) u.clock_ms[unit] = kNever;
  }
  u.exposed_ms = {};
  u.sums.assign(u.size() * static_cast<size_t>(program_->sums), 0.0);
  u.first_times.assign(program_->first_times.size(), std::vector<int64_t>(u.size(), kNever));
  u.chains.clear();
  u.from_to.clear();
  u.satisfied.clear();
  for (const Chain& chain : program_->chains) {
    u.chains.emplace_back(u.size());
    u.from_to.emplace_back(chain.time_to >= 0 ? u.size() : 0);
    u.satisfied.push_back(chain.any_satisfied ? SatisfiedStages(chain, u)
                                              : std::vector<uint32_t>());
  }
}

bool Fold::Analysed(uint32_t unit) const {
  return unit < units_->size() && units_->clock_ms[unit] != kNever;
}

int64_t Fold::clock_ms(uint32_t unit) const { return units_->clock_ms[unit]; }

bool Fold::wants_replay() const { return units_->late_units > 0 && !units_->replaying; }

bool Fold::InReplay(uint32_t unit) const {
  return unit < units_->size() && (units_->flags[unit] & kReplay) != 0;
}

void Fold::BeginReplay() {
  FoldUnits& u = *units_;
  u.replaying = true;
  for (size_t c = 0; c < u.chains.size(); ++c) {
    for (size_t unit = 0; unit < u.size(); ++unit) {
      if ((u.flags[unit] & kReplay) == 0) continue;
      u.chains[c][unit] = ChainState();
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
