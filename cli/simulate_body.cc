// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate_body.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"

namespace fulcrum::cli {
namespace {

using nlohmann::json;

void Field(std::string_view name, std::string_view text, std::string* out) {
  if (out->back() != '{') out->push_back(',');
  AppendJsonString(name, out);
  out->push_back(':');
  AppendJsonString(text, out);
}

void Field(std::string_view name, int64_t number, std::string* out) {
  if (out->back() != '{') out->push_back(',');
  AppendJsonString(name, out);
  out->append(":").append(std::to_string(number));
}

void Field(std::string_view name, double number, std::string* out) {
  if (out->back() != '{') out->push_back(',');
  AppendJsonString(name, out);
  out->append(":").append(FormatDouble(number));
}

void Flag(std::string_view name, bool value, std::string* out) {
  if (out->back() != '{') out->push_back(',');
  AppendJsonString(name, out);
  out->append(value ? ":true" : ":false");
}

void Open(std::string_view name, std::string* out) {
  if (out->back() != '{') out->push_back(',');
  AppendJsonString(name, out);
  out->append(":{");
}

void Attributes(const sim::World& world, uint32_t user, bool registered, int32_t orders_before,
                std::string* out) {
  const sim::Profile profile = world.ProfileOf(user);
  Field("channel", profile.channel, out);
  Field("platform", profile.platform, out);
  if (!profile.app_version.empty()) Field("app_version", profile.app_version, out);
  Flag("registered", registered, out);
  Field("orders_before", static_cast<int64_t>(orders_before), out);
}

// {"batch_id": …, "<list>": [ … ]} with one item per record.
template <typename AppendItem>
std::string Batch(std::string_view batch_id, std::string_view list,
                  std::span<const sim::Record> records, AppendItem append_item) {
  std::string out = "{";
  Field("batch_id", batch_id, &out);
  out.append(",\"").append(list).append("\":[");
  for (size_t i = 0; i < records.size(); ++i) {
    out.append(i == 0 ? "{" : ",{");
    append_item(records[i], &out);
    out.push_back('}');
  }
  out.append("]");
  return out;
}

}  // namespace

std::string EvaluateBody(const sim::World& world, const sim::Visitor& visitor) {
  std::string out = "{\"context\":{";
  if (visitor.user_known) Field("targetingKey", world.UserId(visitor.user), &out);
  Field("device", world.DeviceId(visitor.user, visitor.device), &out);
  Attributes(world, visitor.user, visitor.registered, visitor.orders_before, &out);
  out += "}}";
  return out;
}

absl::Status ReadEvaluation(const sim::World& world, std::string_view body,
                            std::span<sim::Assignment> assignments) {
  const json answer = json::parse(body, nullptr, false);
  const auto flags = answer.is_object() ? answer.find("flags") : answer.end();
  if (answer.is_discarded() || !answer.is_object() || flags == answer.end()) {
    return Internal(absl::StrCat("the server's evaluation is not an OFREP answer: ", ToAbsl(body)));
  }
  const auto& definitions = world.definitions().experiments;
  for (const json& flag : *flags) {
    const auto variant = flag.find("variant");
    const auto metadata = flag.find("metadata");
    if (variant == flag.end() || metadata == flag.end()) continue;
    if (!metadata->value("exposure", false)) continue;
    const std::string& key = flag.at("key").get_ref<const std::string&>();
    for (size_t i = 0; i < definitions.size(); ++i) {
      if (definitions[i].key != key) continue;
      for (size_t v = 0; v < definitions[i].variants.size(); ++v) {
        if (definitions[i].variants[v].key == variant->get_ref<const std::string&>()) {
          assignments[i] = {static_cast<int32_t>(v), metadata->value("phase", 0),
                            metadata->value("propensity", 0.0)};
        }
      }
    }
  }
  return absl::OkStatus();
}

std::string ExposuresBody(const sim::World& world, std::string_view batch_id,
                          std::span<const sim::Record> records,
                          std::span<const ClientCounts> counts) {
  const auto& experiments = world.definitions().experiments;
  const auto item = [&](const sim::Record& record, std::string* out) {
    const auto& experiment = experiments[static_cast<size_t>(record.experiment)];
    Field("exposure_id", world.RecordId(record), out);
    Field("experiment", experiment.key, out);
    Field("variant", experiment.variants[static_cast<size_t>(record.variant)].key, out);
    Open("unit", out);
    Field("kind", record.names_user ? "user" : "device", out);
    Field(
        "id",
        record.names_user ? world.UserId(record.user) : world.DeviceId(record.user, record.device),
        out);
    out->push_back('}');
    Field("ts", record.ts_ms, out);
    Field("phase", static_cast<int64_t>(record.phase), out);
    if (record.propensity > 0) Field("propensity", record.propensity, out);
    Open("attributes", out);
    Attributes(world, record.user, record.registered, record.orders_before, out);
    out->push_back('}');
  };
  std::string out = Batch(batch_id, "exposures", records, item);
  if (!counts.empty()) {
    out += ",\"client\":[";
    for (size_t i = 0; i < counts.size(); ++i) {
      const auto& experiment = experiments[static_cast<size_t>(counts[i].experiment)];
      out += i == 0 ? "{" : ",{";
      Field("experiment", experiment.key, &out);
      Field("variant", experiment.variants[static_cast<size_t>(counts[i].variant)].key, &out);
      Field("assigned", counts[i].shown, &out);
      Field("shown", counts[i].shown, &out);
      Field("sent", counts[i].sent, &out);
      Field("dropped", counts[i].shown - counts[i].sent, &out);
      out += "}";
    }
    out += "]";
  }
  return out + "}";
}

std::string EventsBody(const sim::World& world, std::string_view batch_id,
                       std::span<const sim::Record> records) {
  const std::string& currency = world.definitions().project.currency;
  const auto item = [&](const sim::Record& record, std::string* out) {
    Field("event_id", world.RecordId(record), out);
    Field("name", world.SentName(record), out);
    Field("ts", record.ts_ms, out);
    Open("ids", out);
    if (record.names_user) Field("user", world.UserId(record.user), out);
    if (record.names_device) Field("device", world.DeviceId(record.user, record.device), out);
    out->push_back('}');
    const std::string order = world.OrderId(record);
    if (!order.empty()) Field("order_id", order, out);
    if (!std::isnan(record.value)) {
      Field("value", record.value, out);
      if (!currency.empty()) Field("currency", currency, out);
    }
    const std::string_view property = sim::NumberProperty(record.event);
    if (!property.empty() && !std::isnan(record.number)) {
      Open("properties", out);
      Field(property, record.number, out);
      out->push_back('}');
    }
  };
  return Batch(batch_id, "events", records, item) + "}";
}

std::string LinksBody(const sim::World& world, std::string_view batch_id,
                      std::span<const sim::Record> records) {
  const auto unit = [](std::string_view name, std::string_view kind, const std::string& id,
                       std::string* out) {
    Open(name, out);
    Field("kind", kind, out);
    Field("id", id, out);
    out->push_back('}');
  };
  const auto item = [&](const sim::Record& record, std::string* out) {
    unit("anonymous", "device", world.DeviceId(record.user, record.device), out);
    unit("known", "user", world.UserId(record.user), out);
    Field("ts", record.ts_ms, out);
  };
  return Batch(batch_id, "links", records, item) + "}";
}

absl::Status CheckAccepted(std::string_view body) {
  const json answer = json::parse(body, nullptr, false);
  if (!answer.is_object() || !answer.contains("accepted")) {
    return Internal(absl::StrCat("the server's answer to a batch is not one: ", ToAbsl(body)));
  }
  const json rejected = answer.value("rejected", json::array());
  if (rejected.empty()) return absl::OkStatus();
  return Internal(absl::StrCat("the server rejected ", rejected.size(),
                               " items of a batch, the first with: ", rejected.front().dump()));
}

}  // namespace fulcrum::cli
