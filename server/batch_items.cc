// SPDX-License-Identifier: Apache-2.0
#include "server/batch_items.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "base/time.h"

namespace fulcrum::server {
namespace {

constexpr size_t kKeptBytes = 4 << 20;

using store::PropertyType;
using store::PropertyView;

// Control characters in an id or a name are damage, never meaning.
bool IsPrintable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool CheckName(std::string_view field, std::string_view text, ItemError* error) {
  if (text.empty()) return error->Say(field, "is missing or empty");
  if (text.size() > kMaxIdBytes) return error->Say(field, "is longer than 256 bytes");
  if (!IsPrintable(text)) return error->Say(field, "has a control character");
  return true;
}

bool CheckOptionalName(std::string_view field, std::string_view text, ItemError* error) {
  return text.empty() || CheckName(field, text, error);
}

bool Unknown(std::string_view key, const std::vector<std::string>& known, ItemError* error) {
  const std::string near = DidYouMean(key, known);
  return error->Say(key, near.empty()
                             ? "is not a field of this item"
                             : "is not a field of this item; did you mean '" + near + "'?");
}

bool Whole(std::string_view field, JsonElement value, int64_t max, int64_t* out, ItemError* error) {
  int64_t number = 0;
  if (value.get_int64().get(number) != simdjson::SUCCESS || number < 0 || number > max) {
    return error->Say(field, "must be a whole number from 0 to " + std::to_string(max));
  }
  *out = number;
  return true;
}

bool AsObject(JsonElement item, JsonObject* object, ItemError* error) {
  if (item.get_object().get(*object) == simdjson::SUCCESS) return true;
  error->text = "the item must be an object, not " + std::string(TypeName(item));
  return false;
}

const std::vector<std::string>& ExposureFields() {
  static const std::vector<std::string> fields = {"exposure_id", "experiment", "variant",
                                                  "unit",        "ts",         "snapshot",
                                                  "phase",       "propensity", "attributes"};
  return fields;
}

const std::vector<std::string>& EventFields() {
  static const std::vector<std::string> fields = {"event_id",   "name",    "ts",       "unit",
                                                  "ids",        "value",   "order_id", "session_id",
                                                  "properties", "currency"};
  return fields;
}

}  // namespace

bool IsId(std::string_view text) {
  return !text.empty() && text.size() <= kMaxIdBytes && IsPrintable(text);
}

bool ItemError::Say(std::string_view field, std::string_view problem) {
  text.assign(field).append(": ").append(problem);
  return false;
}

void BatchItems::Begin(const Published& published, const Limits& limits, int64_t now_ms) {
  published_ = &published;
  limits_ = &limits;
  now_ms_ = now_ms;
  // A thread that once took a huge batch does not keep its memory for ever.
  if (batch_.payload().capacity() > kKeptBytes) batch_ = store::BatchBuilder();
  batch_.Clear();
  ids_seen_.clear();
  anonymous_kind_.clear();
  known_kind_.assign(published.default_unit_kind());
  for (const experiments::UnitKind& kind : published.definitions.project.units) {
    if (kind.links_to.empty()) continue;
    anonymous_kind_ = kind.key;
    known_kind_ = kind.links_to;
    break;
  }
}

bool BatchItems::CheckTime(std::string_view field, int64_t ts_ms, ItemError* error) const {
  if (ts_ms < kMinInstantMs) {
    const bool seconds = ts_ms > kMinInstantMs / 1000 && ts_ms < kMaxInstantMs / 1000;
    return error->Say(field, seconds ? "is before the year 2000; it looks like Unix seconds, send "
                                       "milliseconds"
                                     : "is before the year 2000");
  }
  if (ts_ms > now_ms_ + limits_->max_future_ms) {
    return error->Say(field, "is more than " + FormatDuration(limits_->max_future_ms) +
                                 " ahead of the server's clock (" + FormatRfc3339(now_ms_) + ")");
  }
  return true;
}

bool BatchItems::Time(std::string_view field, JsonElement value, int64_t* ts_ms,
                      ItemError* error) const {
  if (value.is_string()) {
    const std::optional<int64_t> time_ms = ParseRfc3339(value.get_string().value_unsafe());
    if (!time_ms) {
      return error->Say(field, "must be RFC 3339 with an offset, or Unix milliseconds");
    }
    *ts_ms = *time_ms;
  } else if (value.get_int64().get(*ts_ms) != simdjson::SUCCESS) {
    return error->Say(field, "must be RFC 3339 with an offset, or Unix milliseconds");
  }
  return CheckTime(field, *ts_ms, error);
}

bool BatchItems::Text(std::string_view field, JsonElement value, std::string_view* text,
                      ItemError* error) const {
  if (value.is_null()) return true;
  if (value.get_string().get(*text) != simdjson::SUCCESS) {
    return error->Say(field, "must be text, not " + std::string(TypeName(value)));
  }
  return true;
}

bool BatchItems::CheckUnit(std::string_view field, const store::UnitRef& unit,
                           ItemError* error) const {
  if (!CheckName(field, unit.id, error)) return false;
  if (published_->UnitKind(unit.kind) < 0) {
    return error->Say(field,
                      "there is no unit kind '" + std::string(unit.kind) + "' in the project");
  }
  return true;
}

bool BatchItems::Unit(std::string_view field, JsonElement value, std::string_view default_kind,
                      store::UnitRef* unit, ItemError* error) const {
  if (value.is_string()) {
    *unit = {default_kind, value.get_string().value_unsafe()};
    return true;
  }
  JsonObject object;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    return error->Say(field, "must be {\"kind\": …, \"id\": …} or the id as text");
  }
  for (const auto [key, part] : object) {
    if (key == "kind") {
      if (!Text("unit.kind", part, &unit->kind, error)) return false;
    } else if (key == "id") {
      if (!Text("unit.id", part, &unit->id, error)) return false;
    } else {
      return Unknown(key, {"kind", "id"}, error);
    }
  }
  if (unit->kind.empty()) unit->kind = default_kind;
  return true;
}

bool BatchItems::Ids(JsonElement value, ItemError* error) {
  JsonObject object;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    return error->Say("ids", "must be an object of unit kinds and ids, like {\"user\": \"u1\"}");
  }
  for (const auto [kind, id] : object) {
    std::string_view text;
    if (!Text("ids", id, &text, error)) return false;
    if (!text.empty()) units_.push_back({kind, text});
  }
  return true;
}

bool BatchItems::Properties(std::string_view field, JsonElement value, bool skip_nested,
                            std::vector<PropertyView>* properties, ItemError* error) const {
  properties->clear();
  if (value.is_null()) return true;
  JsonObject object;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    return error->Say(field, "must be an object, not " + std::string(TypeName(value)));
  }
  for (const auto [key, part] : object) {
    PropertyView property;
    property.key = key;
    if (part.is_null()) continue;
    if (part.is_bool()) {
      property.type = PropertyType::kBool;
      property.boolean = part.get_bool().value_unsafe();
    } else if (part.is_number()) {
      property.type = PropertyType::kNumber;
      property.number = part.get_double().value_unsafe();
      if (!(std::fabs(property.number) <= kMaxNumber)) {
        return error->Say(key, "must be a number within ±1e15");
      }
    } else if (part.is_string()) {
      property.type = PropertyType::kString;
      property.text = part.get_string().value_unsafe();
      if (property.text.size() > kMaxTextBytes) {
        if (skip_nested) continue;
        return error->Say(key, "is longer than 4096 bytes");
      }
    } else if (skip_nested) {
      continue;
    } else {
      return error->Say(key,
                        "must be a bool, a number or text, not " + std::string(TypeName(part)));
    }
    if (key.size() > kMaxIdBytes) return error->Say(field, "has a name longer than 256 bytes");
    if (properties->size() == kMaxProperties) {
      return error->Say(field, "has more than 100 entries");
    }
    properties->push_back(property);
  }
  return true;
}

bool BatchItems::SeenBefore(char kind, std::string_view id) {
  if (id.empty()) return false;
  std::string key(1, kind);
  key.append(id);
  return !ids_seen_.insert(std::move(key)).second;
}

// --- Exposures ---------------------------------------------------------------------------------

ItemOutcome BatchItems::Add(const store::ExposureView& exposure, ItemError* error) {
  const experiments::ExperimentDefinition* definition =
      published_->FindDefinition(exposure.experiment);
  bool ok = CheckName("experiment", exposure.experiment, error);
  if (ok && definition == nullptr) {
    ok = error->Say("experiment",
                    "there is no experiment '" + std::string(exposure.experiment) + "'");
  }
  ok = ok && CheckName("variant", exposure.variant, error) &&
       CheckOptionalName("exposure_id", exposure.exposure_id, error) &&
       CheckOptionalName("snapshot", exposure.snapshot, error) &&
       CheckUnit("unit", exposure.unit, error) && CheckTime("ts", exposure.ts_ms, error);
  if (ok && exposure.unit.kind != definition->unit) {
    ok = error->Say("unit", "experiment '" + definition->key + "' draws by '" + definition->unit +
                                "', not by '" + std::string(exposure.unit.kind) + "'");
  }
  if (!ok) return ItemOutcome::kRejected;
  if (SeenBefore('x', exposure.exposure_id)) return ItemOutcome::kDuplicate;
  batch_.Add(exposure);
  return ItemOutcome::kAccepted;
}

bool BatchItems::ReadExposure(JsonObject object, store::ExposureView* exposure, bool* has_phase,
                              ItemError* error) {
  JsonElement unit;
  bool has_unit = false, has_ts = false;
  for (const auto [key, value] : object) {
    bool ok = true;
    if (key == "experiment") {
      ok = Text(key, value, &exposure->experiment, error);
    } else if (key == "variant") {
      ok = Text(key, value, &exposure->variant, error);
    } else if (key == "unit") {
      unit = value;
      has_unit = true;
    } else if (key == "ts") {
      ok = has_ts = Time(key, value, &exposure->ts_ms, error);
    } else if (key == "exposure_id") {
      ok = Text(key, value, &exposure->exposure_id, error);
    } else if (key == "snapshot") {
      ok = Text(key, value, &exposure->snapshot, error);
    } else if (key == "phase") {
      int64_t phase = 0;
      ok = Whole(key, value, 1'000'000, &phase, error);
      exposure->phase = static_cast<int32_t>(phase);
      *has_phase = ok;
    } else if (key == "propensity") {
      const std::optional<double> number = AsNumber(value);
      ok = (number && *number > 0 && *number <= 1) ||
           error->Say(key, "must be a number above 0 and at most 1");
      if (ok) exposure->propensity = *number;
    } else if (key == "attributes") {
      ok = Properties(key, value, false, &properties_, error);
    } else {
      ok = Unknown(key, ExposureFields(), error);
    }
    if (!ok) return false;
  }
  if (!has_ts) return error->Say("ts", "is missing");
  if (!has_unit) return error->Say("unit", "is missing");
  const experiments::ExperimentDefinition* definition =
      published_->FindDefinition(exposure->experiment);
  const std::string_view kind =
      definition != nullptr ? std::string_view(definition->unit) : published_->default_unit_kind();
  return Unit("unit", unit, kind, &exposure->unit, error);
}

ItemOutcome BatchItems::Exposure(JsonElement item, ItemError* error) {
  JsonObject object;
  store::ExposureView exposure;
  bool has_phase = false;
  properties_.clear();
  if (!AsObject(item, &object, error) || !ReadExposure(object, &exposure, &has_phase, error)) {
    return ItemOutcome::kRejected;
  }
  exposure.attributes = properties_;
  const core::ExperimentHandle handle = published_->snapshot->Find(exposure.experiment);
  if (!has_phase && handle) {
    // Senders that know nothing of phases are placed by their time.
    const auto& phases = published_->snapshot->experiment(handle).phases;
    while (exposure.phase + 1 < static_cast<int32_t>(phases.size()) &&
           phases[static_cast<size_t>(exposure.phase) + 1].start_ms <= exposure.ts_ms) {
      ++exposure.phase;
    }
  }
  return Add(exposure, error);
}

// --- Events --------------------------------------------------------------------------------------

ItemOutcome BatchItems::Add(const store::EventView& event, ItemError* error) {
  bool ok = CheckName("name", event.name, error) &&
            CheckOptionalName("event_id", event.event_id, error) &&
            CheckOptionalName("order_id", event.order_id, error) &&
            CheckOptionalName("session_id", event.session_id, error) &&
            CheckOptionalName("currency", event.currency, error) &&
            CheckTime("ts", event.ts_ms, error);
  if (ok && event.ids.empty()) {
    ok = error->Say("unit", "is missing: send unit {kind, id} or ids {kind: id}");
  }
  if (ok && event.value && !(std::fabs(*event.value) <= kMaxNumber)) {
    ok = error->Say("value", "must be a number within ±1e15");
  }
  const std::string& currency = published_->definitions.project.currency;
  if (ok && !event.currency.empty() && !currency.empty() && event.currency != currency) {
    ok = error->Say("currency", "the project counts in " + currency + ", not in " +
                                    std::string(event.currency) + "; convert before sending");
  }
  for (size_t i = 0; ok && i < event.ids.size(); ++i) ok = CheckUnit("unit", event.ids[i], error);
  if (!ok) return ItemOutcome::kRejected;
  if (SeenBefore('e', event.event_id)) return ItemOutcome::kDuplicate;
  batch_.Add(event);
  return ItemOutcome::kAccepted;
}

bool BatchItems::ReadEvent(JsonObject object, store::EventView* event, ItemError* error) {
  bool has_ts = false;
  for (const auto [key, value] : object) {
    bool ok = true;
    if (key == "name") {
      ok = Text(key, value, &event->name, error);
    } else if (key == "ts") {
      ok = has_ts = Time(key, value, &event->ts_ms, error);
    } else if (key == "unit") {
      store::UnitRef unit;
      ok = Unit(key, value, published_->default_unit_kind(), &unit, error);
      if (ok) units_.insert(units_.begin(), unit);
    } else if (key == "ids") {
      ok = Ids(value, error);
    } else if (key == "event_id") {
      ok = Text(key, value, &event->event_id, error);
    } else if (key == "value") {
      if (!value.is_null()) {
        event->value = AsNumber(value);
        ok = event->value ||
             error->Say(key, "must be a number, not " + std::string(TypeName(value)));
      }
    } else if (key == "properties") {
      ok = Properties(key, value, false, &properties_, error);
    } else if (key == "order_id") {
      ok = Text(key, value, &event->order_id, error);
    } else if (key == "session_id") {
      ok = Text(key, value, &event->session_id, error);
    } else if (key == "currency") {
      ok = Text(key, value, &event->currency, error);
    } else {
      ok = Unknown(key, EventFields(), error);
    }
    if (!ok) return false;
  }
  return has_ts || error->Say("ts", "is missing");
}

ItemOutcome BatchItems::Event(JsonElement item, ItemError* error) {
  JsonObject object;
  store::EventView event;
  properties_.clear();
  units_.clear();
  if (!AsObject(item, &object, error) || !ReadEvent(object, &event, error)) {
    return ItemOutcome::kRejected;
  }
  event.ids = units_;
  event.properties = properties_;
  return Add(event, error);
}

// --- Links and client counts ---------------------------------------------------------------------

ItemOutcome BatchItems::Add(const store::LinkView& link, ItemError* error) {
  bool ok = CheckUnit("anonymous", link.anonymous, error) &&
            CheckUnit("known", link.known, error) && CheckTime("ts", link.ts_ms, error);
  if (ok && link.anonymous.kind == link.known.kind) {
    ok = error->Say("anonymous", "and known are both of kind '" + std::string(link.known.kind) +
                                     "'; a link joins two kinds");
  }
  if (!ok) return ItemOutcome::kRejected;
  batch_.Add(link);
  return ItemOutcome::kAccepted;
}

ItemOutcome BatchItems::Link(JsonElement item, ItemError* error) {
  JsonObject object;
  store::LinkView link;
  bool has_anonymous = false, has_known = false, has_ts = false;
  if (!AsObject(item, &object, error)) return ItemOutcome::kRejected;
  for (const auto [key, value] : object) {
    bool ok = true;
    if (key == "anonymous") {
      ok = has_anonymous = Unit(key, value, anonymous_kind_, &link.anonymous, error);
    } else if (key == "known") {
      ok = has_known = Unit(key, value, known_kind_, &link.known, error);
    } else if (key == "ts") {
      ok = has_ts = Time(key, value, &link.ts_ms, error);
    } else {
      ok = Unknown(key, {"anonymous", "known", "ts"}, error);
    }
    if (!ok) return ItemOutcome::kRejected;
  }
  const bool whole = (has_anonymous || error->Say("anonymous", "is missing")) &&
                     (has_known || error->Say("known", "is missing")) &&
                     (has_ts || error->Say("ts", "is missing"));
  return whole ? Add(link, error) : ItemOutcome::kRejected;
}

ItemOutcome BatchItems::ClientCounts(JsonElement item, ItemError* error) {
  JsonObject object;
  store::ClientCountsView counts;
  if (!AsObject(item, &object, error)) return ItemOutcome::kRejected;
  for (const auto [key, value] : object) {
    bool ok = true;
    if (key == "experiment") {
      ok = Text(key, value, &counts.experiment, error);
    } else if (key == "variant") {
      ok = Text(key, value, &counts.variant, error);
    } else if (key == "assigned") {
      ok = Whole(key, value, kMaxCount, &counts.assigned, error);
    } else if (key == "shown") {
      ok = Whole(key, value, kMaxCount, &counts.shown, error);
    } else if (key == "sent") {
      ok = Whole(key, value, kMaxCount, &counts.sent, error);
    } else if (key == "dropped") {
      ok = Whole(key, value, kMaxCount, &counts.dropped, error);
    } else {
      ok = Unknown(key, {"experiment", "variant", "assigned", "shown", "sent", "dropped"}, error);
    }
    if (!ok) return ItemOutcome::kRejected;
  }
  bool ok = CheckName("experiment", counts.experiment, error) &&
            CheckName("variant", counts.variant, error);
  if (ok && published_->FindDefinition(counts.experiment) == nullptr) {
    ok =
        error->Say("experiment", "there is no experiment '" + std::string(counts.experiment) + "'");
  }
  if (!ok) return ItemOutcome::kRejected;
  batch_.Add(counts);
  return ItemOutcome::kAccepted;
}

}  // namespace fulcrum::server
