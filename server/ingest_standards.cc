// SPDX-License-Identifier: Apache-2.0
//
// Events in open standards: CloudEvents 1.0 over HTTP (structured, batched, binary) and OTLP/JSON
// logs of OpenFeature's telemetry hook.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "base/time.h"
#include "server/batch_session.h"
#include "server/ingest.h"
#include "server/json_in.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

using store::EventView;
using store::ExposureView;
using store::PropertyView;
using store::UnitRef;

// --- CloudEvents -------------------------------------------------------------------------------

// The attributes of one event, from JSON members or ce-* headers.
struct CloudEvent {
  std::string_view id, source, type, subject;
  std::optional<int64_t> ts_ms;  // The time it happened; its arrival where it says none.
  std::optional<JsonElement> data;
};

bool AddCloudData(JsonObject data, BatchItems& items, EventView* event, std::vector<UnitRef>* ids,
                  std::vector<PropertyView>* properties, ItemError* error) {
  for (const auto [key, value] : data) {
    bool ok = true;
    JsonObject object;
    if (key == "ids" && value.get_object().get(object) == simdjson::SUCCESS) {
      for (const auto [kind, id] : object) {
        if (const auto text = AsText(id)) ids->push_back({kind, *text});
      }
    } else if (key == "unit" && value.get_object().get(object) == simdjson::SUCCESS) {
      UnitRef unit;
      JsonElement part;
      if (object.at_key("kind").get(part) == simdjson::SUCCESS) {
        ok = items.Text("unit.kind", part, &unit.kind, error);
      }
      if (ok && object.at_key("id").get(part) == simdjson::SUCCESS) {
        ok = items.Text("unit.id", part, &unit.id, error);
      }
      ids->push_back(unit);
    } else if (key == "value" && !value.is_null()) {
      event->value = AsNumber(value);
      ok = event->value || error->Say("data.value", "must be a number");
    } else if (key == "currency") {
      ok = items.Text("data.currency", value, &event->currency, error);
    } else if (key == "order_id") {
      ok = items.Text("data.order_id", value, &event->order_id, error);
    } else if (key == "session_id") {
      ok = items.Text("data.session_id", value, &event->session_id, error);
    } else if (key == "properties") {
      ok = items.Properties("data.properties", value, true, properties, error);
    }
    if (!ok) return false;
  }
  return true;
}

ItemOutcome AddCloudEvent(const CloudEvent& from, BatchItems& items, ItemError* error) {
  if (from.id.empty() || from.source.empty() || from.type.empty()) {
    error->text = "a CloudEvent needs id, source and type";
    return ItemOutcome::kRejected;
  }
  // The specification makes source + id the identity. One separator that neither may contain.
  std::string event_id(from.source);
  event_id.append(" ").append(from.id);
  EventView event;
  event.event_id = event_id;
  event.name = from.type;
  event.ts_ms = from.ts_ms.value_or(items.now_ms());
  std::vector<UnitRef> ids;
  std::vector<PropertyView> properties;
  JsonObject data;
  if (from.data && from.data->get_object().get(data) == simdjson::SUCCESS &&
      !AddCloudData(data, items, &event, &ids, &properties, error)) {
    return ItemOutcome::kRejected;
  }
  if (ids.empty() && !from.subject.empty()) {
    ids.push_back({items.published().default_unit_kind(), from.subject});
  }
  event.ids = ids;
  event.properties = properties;
  return items.Add(event, error);
}

ItemOutcome AddStructured(JsonElement element, BatchItems& items, ItemError* error) {
  JsonObject object;
  if (element.get_object().get(object) != simdjson::SUCCESS) {
    error->text = "the item must be an object";
    return ItemOutcome::kRejected;
  }
  CloudEvent event;
  for (const auto [key, value] : object) {
    bool ok = true;
    if (key == "id") {
      ok = items.Text(key, value, &event.id, error);
    } else if (key == "source") {
      ok = items.Text(key, value, &event.source, error);
    } else if (key == "type") {
      ok = items.Text(key, value, &event.type, error);
    } else if (key == "subject") {
      ok = items.Text(key, value, &event.subject, error);
    } else if (key == "time") {
      int64_t ts_ms = 0;
      ok = items.Time(key, value, &ts_ms, error);
      event.ts_ms = ts_ms;
    } else if (key == "data") {
      event.data = value;
    }
    if (!ok) return ItemOutcome::kRejected;
  }
  return AddCloudEvent(event, items, error);
}

ItemOutcome AddBinary(const Request& request, std::optional<JsonElement> data, BatchItems& items,
                      ItemError* error) {
  CloudEvent event;
  event.id = request.Find("ce-id");
  event.source = request.Find("ce-source");
  event.type = request.Find("ce-type");
  event.subject = request.Find("ce-subject");
  event.data = data;
  for (const std::string_view text : {event.id, event.source, event.type, event.subject}) {
    if (!IsValidUtf8(text)) {
      error->text = "a ce- header is not UTF-8";
      return ItemOutcome::kRejected;
    }
  }
  if (const std::string_view time = request.Find("ce-time"); !time.empty()) {
    event.ts_ms = ParseRfc3339(time);
    if (!event.ts_ms) {
      error->Say("ce-time", "must be RFC 3339 with an offset");
      return ItemOutcome::kRejected;
    }
  }
  return AddCloudEvent(event, items, error);
}

// --- OTLP ----------------------------------------------------------------------------------------

std::string_view OtlpText(JsonElement value) {
  JsonElement text;
  if (value.at_key("stringValue").get(text) != simdjson::SUCCESS) return {};
  return AsText(text).value_or(std::string_view());
}

// nullopt: not an evaluation that assigned a variant of ours.
std::optional<ItemOutcome> AddLogRecord(JsonElement record, BatchItems& items, ItemError* error) {
  JsonElement member;
  std::string_view name;
  if (record.at_key("eventName").get(member) == simdjson::SUCCESS) {
    name = AsText(member).value_or(std::string_view());
  }
  std::string_view reason;
  ExposureView exposure;
  JsonArray attributes;
  if (record.at_key("attributes").get_array().get(attributes) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  for (const JsonElement attribute : attributes) {
    JsonElement key, value;
    if (attribute.at_key("key").get(key) != simdjson::SUCCESS ||
        attribute.at_key("value").get(value) != simdjson::SUCCESS) {
      continue;
    }
    const std::string_view text = AsText(key).value_or(std::string_view());
    if (text == "feature_flag.key") exposure.experiment = OtlpText(value);
    if (text == "feature_flag.result.variant") exposure.variant = OtlpText(value);
    if (text == "feature_flag.result.reason") reason = OtlpText(value);
    if (text == "feature_flag.context.id") exposure.unit.id = OtlpText(value);
    if (text == "event.name" && name.empty()) name = OtlpText(value);
  }
  const bool drawn = reason == "split" || reason == "SPLIT";
  if (name != "feature_flag.evaluation" || !drawn || exposure.variant.empty()) return std::nullopt;

  exposure.ts_ms = items.now_ms();
  for (const char* field : {"timeUnixNano", "observedTimeUnixNano"}) {
    if (record.at_key(field).get(member) != simdjson::SUCCESS) continue;
    const std::optional<std::string_view> text = AsText(member);
    const std::optional<int64_t> nanoseconds = text ? ParseInt(*text) : std::nullopt;
    if (!nanoseconds || *nanoseconds == 0) continue;
    exposure.ts_ms = *nanoseconds / 1'000'000;
    break;
  }
  if (const auto* definition = items.published().FindDefinition(exposure.experiment)) {
    exposure.unit.kind = definition->unit;
  }
  return items.Add(exposure, error);
}

// resourceLogs[].scopeLogs[].logRecords[], in order.
template <typename Visit>
void ForEachLogRecord(JsonElement root, Visit visit) {
  JsonArray resources, scopes, records;
  if (root.at_key("resourceLogs").get_array().get(resources) != simdjson::SUCCESS) return;
  for (const JsonElement resource : resources) {
    if (resource.at_key("scopeLogs").get_array().get(scopes) != simdjson::SUCCESS) continue;
    for (const JsonElement scope : scopes) {
      if (scope.at_key("logRecords").get_array().get(records) != simdjson::SUCCESS) continue;
      for (const JsonElement record : records) visit(record);
    }
  }
}

}  // namespace

void IngestCloudEvents(const IngestContext& context, const Request& request, Response* response) {
  const std::string_view type = request.Find("content-type");
  const bool structured = type.starts_with("application/cloudevents");
  if (!structured && request.Find("ce-id").empty()) {
    return ReplyError(415, "PARSE_ERROR",
                      "Send a CloudEvent: application/cloudevents+json, "
                      "application/cloudevents-batch+json, or ce- headers.",
                      response);
  }
  std::string batch_id;
  if (!ResolveBatchId(request, {}, &batch_id, response)) return;
  std::string problem;
  std::optional<JsonElement> root;
  if (structured || !request.body.empty()) root = ParseJson(request.body, &problem);
  if (!root && (structured || !request.body.empty())) {
    return ReplyError(400, "PARSE_ERROR", "The body cannot be read: " + problem + ".", response);
  }
  BatchSession session(context);
  ItemError error;
  JsonArray array;
  if (!structured) {
    const ItemOutcome outcome = AddBinary(request, root, session.items(), &error);
    session.Note(ItemKind::kEvent, 0, outcome, error);
  } else if (root->get_array().get(array) == simdjson::SUCCESS) {
    if (array.size() > static_cast<size_t>(context.limits.max_batch_items)) {
      return ReplyTooManyItems(context.limits, response);
    }
    int64_t index = 0;
    for (const JsonElement element : array) {
      session.Note(ItemKind::kEvent, index++, AddStructured(element, session.items(), &error),
                   error);
    }
  } else {
    session.Note(ItemKind::kEvent, 0, AddStructured(*root, session.items(), &error), error);
  }
  session.Finish(batch_id, request.body, response);
}

void IngestOtlpLogs(const IngestContext& context, const Request& request, Response* response) {
  if (request.Find("content-type").starts_with("application/x-protobuf")) {
    return ReplyError(415, "PARSE_ERROR",
                      "Send OTLP as JSON (OTEL_EXPORTER_OTLP_PROTOCOL="
                      "http/json).",
                      response);
  }
  std::string problem;
  const std::optional<JsonElement> root = ParseJson(request.body, &problem);
  if (!root) {
    return ReplyError(400, "PARSE_ERROR", "The body cannot be read: " + problem + ".", response);
  }
  BatchSession session(context);
  int64_t index = 0, rejected = 0;
  std::string first_error;
  ForEachLogRecord(*root, [&](JsonElement record) {
    ItemError error;
    const std::optional<ItemOutcome> outcome = AddLogRecord(record, session.items(), &error);
    if (!outcome) {
      session.Ignore();
    } else {
      session.Note(ItemKind::kExposure, index, *outcome, error);
      if (*outcome == ItemOutcome::kRejected && rejected++ == 0) first_error = error.text;
    }
    ++index;
  });
  session.Finish({}, request.body, response);
  // The exporter understands its own protocol's answer; a batch of which nothing can be kept is
  // a partial success of none there, since a 400 would make it drop its connection's queue.
  if (response->status != 200 && response->status != 400) return;
  response->status = 200;
  response->body = "{\"partialSuccess\":{";
  if (rejected > 0) {
    AppendField("rejectedLogRecords", rejected, &response->body);
    AppendField("errorMessage", first_error, &response->body);
  }
  response->body += "}}";
}

}  // namespace fulcrum::server
