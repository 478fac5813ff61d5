// SPDX-License-Identifier: Apache-2.0
//
// Page and app trackers that teams have already: Segment and RudderStack batches, and GrowthBook's
// tracking plugin. Their events are kept under the names they have; the project's `events:` maps
// them. Nested properties are left out, since no metric can name them.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/batch_session.h"
#include "server/ingest.h"
#include "server/json_in.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

using store::EventView;
using store::ExposureView;
using store::LinkView;
using store::PropertyView;
using store::UnitRef;

// What every one of them sends when a variant is shown.
constexpr std::string_view kExperimentViewed = "Experiment Viewed";

// A member as text; "" where it is absent, null or something else.
std::string_view TextOf(JsonObject object, std::string_view key) {
  JsonElement value;
  if (object.at_key(key).get(value) != simdjson::SUCCESS) return {};
  return AsText(value).value_or(std::string_view());
}

std::optional<JsonElement> MemberOf(JsonObject object, std::string_view key) {
  JsonElement value;
  if (object.at_key(key).get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
  return value;
}

void AddIds(const BatchItems& items, std::string_view known, std::string_view anonymous,
            std::vector<UnitRef>* ids) {
  if (!known.empty()) ids->push_back({items.known_kind(), known});
  if (!anonymous.empty() && !items.anonymous_kind().empty()) {
    ids->push_back({items.anonymous_kind(), anonymous});
  }
}

// The names under which shops put money and orders into a properties object.
void LiftCommonProperties(const std::vector<PropertyView>& properties, EventView* event) {
  std::optional<double> revenue, total;
  for (const PropertyView& property : properties) {
    if (property.type == store::PropertyType::kNumber) {
      if (property.key == "value") event->value = property.number;
      if (property.key == "revenue") revenue = property.number;
      if (property.key == "total") total = property.number;
    } else if (property.type == store::PropertyType::kString) {
      if (property.key == "currency") event->currency = property.text;
      if (property.key == "order_id") event->order_id = property.text;
      if (property.key == "session_id") event->session_id = property.text;
    }
  }
  if (!event->value) event->value = revenue ? revenue : total;
}

// An "Experiment Viewed" event's own properties, as both senders name them.
ItemOutcome AddViewed(BatchItems& items, JsonObject properties, std::string_view unit_id,
                      std::string_view id, int64_t ts_ms, ItemError* error) {
  ExposureView exposure;
  exposure.exposure_id = id;
  exposure.ts_ms = ts_ms;
  for (const char* name : {"experimentId", "experiment_id"}) {
    if (exposure.experiment.empty()) exposure.experiment = TextOf(properties, name);
  }
  for (const char* name : {"variationId", "variation_id"}) {
    if (exposure.variant.empty()) exposure.variant = TextOf(properties, name);
  }
  const std::string_view hashed = TextOf(properties, "hashValue");
  const experiments::ExperimentDefinition* definition =
      items.published().FindDefinition(exposure.experiment);
  if (definition != nullptr) exposure.unit.kind = definition->unit;
  exposure.unit.id = hashed.empty() ? unit_id : hashed;
  return items.Add(exposure, error);
}

// --- Segment and RudderStack -----------------------------------------------------------------

class SegmentMessage {
 public:
  SegmentMessage(JsonObject object, BatchItems* items) : object_(object), items_(*items) {}

  // nullopt: understood and not kept (a group, an identify that links nothing).
  std::optional<std::pair<ItemKind, ItemOutcome>> Add(ItemError* error) {
    const std::string_view type = TextOf(object_, "type");
    user_ = TextOf(object_, "userId");
    anonymous_ = TextOf(object_, "anonymousId");
    ts_ms_ = items_.now_ms();
    for (const char* name : {"timestamp", "originalTimestamp"}) {
      const std::optional<JsonElement> value = MemberOf(object_, name);
      if (!value) continue;
      if (!items_.Time(name, *value, &ts_ms_, error)) {
        return {{ItemKind::kEvent, ItemOutcome::kRejected}};
      }
      break;
    }
    if (type == "track") return AddEvent(TextOf(object_, "event"), error);
    if (type == "page" || type == "screen") return AddEvent(type, error);
    if (type == "identify") return AddLink(anonymous_, error);
    if (type == "alias") return AddLink(TextOf(object_, "previousId"), error);
    if (type == "group") return std::nullopt;
    error->Say("type", "must be track, page, screen, identify, alias or group");
    return {{ItemKind::kEvent, ItemOutcome::kRejected}};
  }

 private:
  std::optional<std::pair<ItemKind, ItemOutcome>> AddLink(std::string_view from, ItemError* error) {
    if (from.empty() || user_.empty() || items_.anonymous_kind().empty()) return std::nullopt;
    const LinkView link{{items_.anonymous_kind(), from}, {items_.known_kind(), user_}, ts_ms_};
    return {{ItemKind::kLink, items_.Add(link, error)}};
  }

  std::pair<ItemKind, ItemOutcome> AddEvent(std::string_view name, ItemError* error) {
    std::vector<PropertyView> properties;
    const std::optional<JsonElement> value = MemberOf(object_, "properties");
    if (value && !items_.Properties("properties", *value, true, &properties, error)) {
      return {ItemKind::kEvent, ItemOutcome::kRejected};
    }
    const std::string_view id = TextOf(object_, "messageId");
    JsonObject object;
    if (name == kExperimentViewed && value &&
        value->get_object().get(object) == simdjson::SUCCESS) {
      return {ItemKind::kExposure,
              AddViewed(items_, object, user_.empty() ? anonymous_ : user_, id, ts_ms_, error)};
    }
    EventView event;
    event.event_id = id;
    event.name = name;
    event.ts_ms = ts_ms_;
    std::vector<UnitRef> ids;
    AddIds(items_, user_, anonymous_, &ids);
    event.ids = ids;
    LiftCommonProperties(properties, &event);
    event.properties = properties;
    return {ItemKind::kEvent, items_.Add(event, error)};
  }

  const JsonObject object_;
  BatchItems& items_;
  std::string_view user_, anonymous_;
  int64_t ts_ms_ = 0;
};

// --- GrowthBook's plugin -----------------------------------------------------------------------

std::optional<std::pair<ItemKind, ItemOutcome>> AddTracked(JsonObject object, BatchItems& items,
                                                           ItemError* error) {
  const std::string_view name = TextOf(object, "event_name");
  if (name == "Feature Evaluated") return std::nullopt;  // Evaluation is not exposure.
  const std::string_view user = TextOf(object, "user_id"), device = TextOf(object, "device_id");
  const std::optional<JsonElement> value = MemberOf(object, "properties_json");
  std::vector<PropertyView> properties;
  if (value && !items.Properties("properties_json", *value, true, &properties, error)) {
    return {{ItemKind::kEvent, ItemOutcome::kRejected}};
  }
  JsonObject viewed;
  if (name == kExperimentViewed && value && value->get_object().get(viewed) == simdjson::SUCCESS) {
    // It sends no time: what arrives happened just now.
    return {{ItemKind::kExposure,
             AddViewed(items, viewed, user.empty() ? device : user, {}, items.now_ms(), error)}};
  }
  EventView event;
  event.name = name;
  event.ts_ms = items.now_ms();
  event.session_id = TextOf(object, "session_id");
  std::vector<UnitRef> ids;
  AddIds(items, user, device, &ids);
  event.ids = ids;
  LiftCommonProperties(properties, &event);
  event.properties = properties;
  return {{ItemKind::kEvent, items.Add(event, error)}};
}

// Walks an array of messages; `add` reads one.
template <typename AddOne>
void AddAll(JsonArray array, BatchSession* session, AddOne add) {
  int64_t index = 0;
  for (const JsonElement element : array) {
    ItemError error;
    JsonObject object;
    if (element.get_object().get(object) != simdjson::SUCCESS) {
      session->Reject(ItemKind::kEvent, index++, "the item must be an object");
      continue;
    }
    if (const auto added = add(object, &error)) {
      session->Note(added->first, index, added->second, error);
    } else {
      session->Ignore();
    }
    ++index;
  }
}

bool TooMany(const IngestContext& context, JsonArray array, Response* response) {
  if (array.size() <= static_cast<size_t>(context.limits.max_batch_items)) return false;
  ReplyTooManyItems(context.limits, response);
  return true;
}

}  // namespace

void IngestSegment(const IngestContext& context, const Request& request, Response* response) {
  std::string problem = "it must be {\"batch\": [...]}";
  const std::optional<JsonElement> root = ParseJson(request.body, &problem);
  JsonArray batch;
  if (!root || root->at_key("batch").get_array().get(batch) != simdjson::SUCCESS) {
    return ReplyError(400, "PARSE_ERROR", "The body cannot be read: " + problem + ".", response);
  }
  if (TooMany(context, batch, response)) return;
  std::string batch_id;
  if (!ResolveBatchId(request, {}, &batch_id, response)) return;
  BatchSession session(context);
  AddAll(batch, &session, [&](JsonObject object, ItemError* error) {
    return SegmentMessage(object, &session.items()).Add(error);
  });
  session.Finish(batch_id, request.body, response);
}

void IngestTrack(const IngestContext& context, const Request& request, Response* response) {
  std::string problem = "it must be an array of events";
  const std::optional<JsonElement> root = ParseJson(request.body, &problem);
  JsonArray events;
  if (!root || root->get_array().get(events) != simdjson::SUCCESS) {
    return ReplyError(400, "PARSE_ERROR", "The body cannot be read: " + problem + ".", response);
  }
  if (TooMany(context, events, response)) return;
  std::string batch_id;
  if (!ResolveBatchId(request, {}, &batch_id, response)) return;
  BatchSession session(context);
  AddAll(events, &session, [&](JsonObject object, ItemError* error) {
    return AddTracked(object, session.items(), error);
  });
  session.Finish(batch_id, request.body, response);
}

}  // namespace fulcrum::server
