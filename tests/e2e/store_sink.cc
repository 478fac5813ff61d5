// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/store_sink.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sim/rng.h"

namespace fulcrum::e2e {
namespace {

store::PropertyView Text(std::string_view key, std::string_view text) {
  store::PropertyView property;
  property.key = key;
  property.text = text;
  return property;
}

store::PropertyView Number(std::string_view key, double number) {
  store::PropertyView property;
  property.key = key;
  property.type = store::PropertyType::kNumber;
  property.number = number;
  return property;
}

store::PropertyView Flag(std::string_view key, bool flag) {
  store::PropertyView property;
  property.key = key;
  property.type = store::PropertyType::kBool;
  property.boolean = flag;
  return property;
}

}  // namespace

StoreSink::StoreSink(const sim::World& world, store::Store* store, int64_t batch_items)
    : world_(world), store_(store), batch_items_(static_cast<size_t>(batch_items)) {}

void StoreSink::OnRecord(const sim::Record& record) {
  waiting_.push_back(record);
  if (waiting_.size() >= batch_items_) Append();
}

absl::Status StoreSink::Finish() {
  if (!waiting_.empty()) Append();
  return status_;
}

void StoreSink::Append() {
  if (!status_.ok()) return;
  // A batch is received when its last record is.
  const int64_t received_ms = waiting_.back().received_ms;
  const uint64_t luck = sim::MixTwo(world_.options().seed, static_cast<uint64_t>(batches_));
  for (size_t i = waiting_.size(); i > 1; --i) {
    std::swap(waiting_[i - 1], waiting_[sim::MixTwo(luck, i) % i]);
  }
  builder_.Clear();
  for (const sim::Record& record : waiting_) Add(record);
  waiting_.clear();
  const std::string id = absl::StrCat(world_.options().id_prefix, "b", batches_++);
  store::AppendRequest request;
  request.batch_id = id;
  request.body_hash = luck;
  request.payload = builder_.payload();
  request.items = builder_.size();
  request.received_ms = received_ms;
  const bool replays = luck % 8 == 0;
  for (int time = 0; time <= (replays ? 1 : 0); ++time) {
    const auto result = store_->Append(request);
    if (!result.ok()) {
      status_ = result.status();
      return;
    }
    if (result->replayed != (time == 1)) {
      status_ = Internal("batch " + id + ": a replay was not recognised, or a new batch was");
    }
  }
}

void StoreSink::Add(const sim::Record& record) {
  const std::string user = world_.UserId(record.user);
  const std::string device = world_.DeviceId(record.user, record.device);
  const std::string id = world_.RecordId(record);
  if (record.kind == sim::RecordKind::kLink) {
    return builder_.Add(store::LinkView{{"device", device}, {"user", user}, record.ts_ms});
  }
  if (record.kind == sim::RecordKind::kExposure) {
    const auto& experiment =
        world_.definitions().experiments[static_cast<size_t>(record.experiment)];
    const sim::Profile profile = world_.ProfileOf(record.user);
    const store::PropertyView attributes[] = {Text("channel", profile.channel),
                                              Flag("registered", record.registered)};
    store::ExposureView exposure;
    exposure.exposure_id = id;
    exposure.experiment = experiment.key;
    exposure.variant = experiment.variants[static_cast<size_t>(record.variant)].key;
    exposure.unit =
        record.names_user ? store::UnitRef{"user", user} : store::UnitRef{"device", device};
    exposure.ts_ms = record.ts_ms;
    exposure.phase = record.phase;
    exposure.propensity = record.propensity;
    exposure.attributes = attributes;
    return builder_.Add(exposure);
  }
  std::vector<store::UnitRef> ids;
  if (record.names_user) ids.push_back({"user", user});
  if (record.names_device) ids.push_back({"device", device});
  std::vector<store::PropertyView> properties;
  if (!std::isnan(record.number)) {
    properties.push_back(Number(sim::NumberProperty(record.event), record.number));
  }
  const std::string order = world_.OrderId(record);
  store::EventView event;
  event.event_id = id;
  event.name = world_.SentName(record);
  event.ts_ms = record.ts_ms;
  event.ids = ids;
  event.order_id = order;
  if (!std::isnan(record.value)) event.value = record.value;
  event.properties = properties;
  builder_.Add(event);
}

}  // namespace fulcrum::e2e
