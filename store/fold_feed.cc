// SPDX-License-Identifier: Apache-2.0
#include "store/fold_feed.h"

#include <algorithm>
#include <limits>

namespace fulcrum::store {
namespace {

constexpr size_t kBatch = 2048;
constexpr std::string_view kOrderUnit = "order";
constexpr std::string_view kSessionUnit = "session";

}  // namespace

FoldFeeder::FoldFeeder(Fold* fold, const Plan& plan) : fold_(fold), plan_(plan) {
  const std::vector<Arm>& arms = plan.population.arms;
  health_.arms.resize(arms.size());
  for (size_t a = 0; a < arms.size(); ++a) arms_[arms[a].key] = static_cast<int32_t>(a);
  const std::vector<std::string>& events = fold->needs().events;
  for (size_t e = 0; e < events.size(); ++e) codes_[events[e]] = static_cast<uint32_t>(e);
  values_.resize(fold->needs().values.size());
}

// Kinds and ids may hold any bytes, so the kind's length goes first.
std::string FoldFeeder::Key(const UnitRef& unit) {
  std::string key = std::to_string(unit.kind.size());
  key.append(":").append(unit.kind).append(unit.id);
  return key;
}

uint32_t FoldFeeder::UnitOf(const UnitRef& unit) const {
  const auto it = units_.find(Key(unit));
  return it == units_.end() ? kNoUnit : it->second;
}

bool FoldFeeder::AddExposure(const ExposureView& exposure) {
  const bool repeats = !exposure.exposure_id.empty() &&
                       !exposure_ids_.insert(std::string(exposure.exposure_id)).second;
  const Population& population = plan_.population;
  if (exposure.experiment != population.experiment) return false;
  const auto arm_it = arms_.find(std::string(exposure.variant));
  const int32_t arm = arm_it == arms_.end() ? -1 : arm_it->second;
  if (repeats) {
    ++health_.duplicate_exposures;
    if (arm >= 0) ++health_.arms[static_cast<size_t>(arm)].exposures;
    return false;
  }
  if (exposure.unit.kind != population.unit_kind) return false;
  if (exposure.ts_ms < population.from_ms || exposure.ts_ms >= population.to_ms) return false;
  if (arm < 0) {
    ++health_.unknown_variant_exposures;
    ++health_.unknown_variants[std::string(exposure.variant)];
    return false;
  }
  ++health_.arms[static_cast<size_t>(arm)].exposures;
  if (health_.first_exposure_ms == 0 || exposure.ts_ms < health_.first_exposure_ms) {
    health_.first_exposure_ms = exposure.ts_ms;
  }
  health_.last_exposure_ms = std::max(health_.last_exposure_ms, exposure.ts_ms);
  const uint32_t unit =
      units_.try_emplace(Key(exposure.unit), static_cast<uint32_t>(units_.size())).first->second;
  const std::vector<std::string>& wanted = fold_->needs().attributes;
  std::vector<uint32_t> codes(wanted.size(), 0);
  const int64_t sequence = sequence_++;
  ExposureBatch batch;
  batch.size = 1;
  batch.unit = &unit;
  batch.arm = &arm;
  batch.phase = &exposure.phase;
  batch.ts_ms = &exposure.ts_ms;
  batch.sequence = &sequence;
  for (size_t a = 0; a < wanted.size(); ++a) {
    for (const PropertyView& property : exposure.attributes) {
      if (property.key == wanted[a]) codes[a] = fold_->dictionary().Code(ToLiteral(property));
    }
    batch.attributes.push_back(&codes[a]);
  }
  fold_->AddExposures(batch);
  return true;
}

void FoldFeeder::AddLink(const LinkView& link) {
  std::vector<std::string>& anonymous = known_to_anonymous_[Key(link.known)];
  const std::string key = Key(link.anonymous);
  if (std::find(anonymous.begin(), anonymous.end(), key) == anonymous.end()) {
    anonymous.push_back(key);
  }
}

bool FoldFeeder::Repeats(const EventView& event) {
  if (event.event_id.empty()) return false;
  return !event_ids_.insert(std::string(event.event_id)).second;
}

uint32_t FoldFeeder::KeyCode(std::string_view id) {
  if (id.empty()) return kNoKey;
  return key_codes_.try_emplace(std::string(id), static_cast<uint32_t>(key_codes_.size()))
      .first->second;
}

void FoldFeeder::FindTargets(const EventView& event) {
  targets_.clear();
  const auto add = [&](const std::string& key) {
    const auto it = units_.find(key);
    if (it == units_.end()) return;
    if (std::find(targets_.begin(), targets_.end(), it->second) == targets_.end()) {
      targets_.push_back(it->second);
    }
  };
  const auto add_id = [&](const UnitRef& id) {
    const std::string key = Key(id);
    add(key);
    const auto it = known_to_anonymous_.find(key);
    if (it == known_to_anonymous_.end()) return;
    for (const std::string& anonymous : it->second) add(anonymous);
  };
  for (const UnitRef& id : event.ids) add_id(id);
  if (!event.order_id.empty()) add_id({kOrderUnit, event.order_id});
  if (!event.session_id.empty()) add_id({kSessionUnit, event.session_id});
}

void FoldFeeder::AddHealth(Health* health) const {
  for (size_t a = 0; a < health_.arms.size(); ++a) {
    health->arms[a].exposures = health_.arms[a].exposures;
  }
  health->unknown_variant_exposures = health_.unknown_variant_exposures;
  health->unknown_variants = health_.unknown_variants;
  health->duplicate_exposures = health_.duplicate_exposures;
  health->duplicate_events = health_.duplicate_events;
  health->first_exposure_ms = health_.first_exposure_ms;
  health->last_exposure_ms = health_.last_exposure_ms;
}

void FoldFeeder::AddEnrolment(const EventView& event) {
  if (Repeats(event)) return;
  const std::vector<std::string>& enrolments = fold_->needs().enrolments;
  if (std::find(enrolments.begin(), enrolments.end(), event.name) == enrolments.end()) return;
  FindTargets(event);
  for (const uint32_t unit : targets_) fold_->AddEnrolments(1, &unit, &event.ts_ms);
}

void FoldFeeder::AddEvent(const EventView& event) {
  if (Repeats(event)) {
    ++health_.duplicate_events;
    return;
  }
  const FoldNeeds& needs = fold_->needs();
  const auto code_it = codes_.find(std::string(event.name));
  if (code_it == codes_.end() && !needs.every_event) return;
  const uint32_t code = code_it == codes_.end() ? kOtherEvent : code_it->second;
  FindTargets(event);
  for (const uint32_t unit : targets_) {
    if (!fold_->Analysed(unit)) continue;
    unit_.push_back(unit);
    ts_ms_.push_back(event.ts_ms);
    code_.push_back(code);
    for (size_t v = 0; v < values_.size(); ++v) {
      const std::optional<Literal> value = FindProperty(event, needs.values[v]);
      const std::optional<double> number = value ? NumberOf(*value) : std::nullopt;
      values_[v].push_back(number.value_or(std::numeric_limits<double>::quiet_NaN()));
    }
    uint64_t holds = 0;
    for (size_t f = 0; f < needs.filters.size(); ++f) {
      const std::optional<Literal> value = FindProperty(event, needs.filters[f].property);
      if (FilterMatches(needs.filters[f], value ? &*value : nullptr)) holds |= uint64_t{1} << f;
    }
    filters_.push_back(holds);
    if (needs.order_keys) order_keys_.push_back(KeyCode(event.order_id));
    if (needs.session_keys) session_keys_.push_back(KeyCode(event.session_id));
  }
  if (unit_.size() >= kBatch) Flush();
}

void FoldFeeder::Flush() {
  EventBatch batch;
  batch.size = unit_.size();
  batch.unit = unit_.data();
  batch.ts_ms = ts_ms_.data();
  batch.code = code_.data();
  batch.filters = filters_.data();
  if (!order_keys_.empty()) batch.order_keys = order_keys_.data();
  if (!session_keys_.empty()) batch.session_keys = session_keys_.data();
  for (const std::vector<double>& values : values_) batch.values.push_back(values.data());
  fold_->AddEvents(batch);
  unit_.clear();
  ts_ms_.clear();
  code_.clear();
  filters_.clear();
  order_keys_.clear();
  session_keys_.clear();
  for (std::vector<double>& values : values_) values.clear();
}

}  // namespace fulcrum::store
