// SPDX-License-Identifier: Apache-2.0
#include "sim/world.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <utility>

#include "base/time.h"
#include "sim/life.h"

namespace fulcrum::sim {
namespace {

struct ChannelModel {
  std::string_view name;
  double share;
  double existing_factor;  // Of ShopModel::existing_share.
  double quality;          // Added to the intent.
};

// Paid search and advertising bring many; partners and one's own accounts bring better ones.
constexpr ChannelModel kChannels[] = {{"search", 0.30, 0.8, 0.05},
                                      {"partner", 0.18, 0.9, 0.15},
                                      {"organic", 0.24, 1.5, 0.25},
                                      {"social", 0.14, 1.2, 0.0},
                                      {"media", 0.14, 0.5, -0.35}};
constexpr std::pair<std::string_view, double> kPlatforms[] = {
    {"app", 0.46}, {"mobile_web", 0.34}, {"desktop", 0.20}};
constexpr std::pair<std::string_view, double> kVersions[] = {
    {"2.2.0", 0.08}, {"2.3.1", 0.27}, {"2.4.0", 0.45}, {"2.10.0", 0.20}};

// `draw` in (0, 1); the last row takes what is left.
template <typename Rows, typename Share>
const auto& Pick(const Rows& rows, double draw, Share share) {
  for (const auto& row : rows) {
    draw -= share(row);
    if (draw < 0) return row;
  }
  return rows[std::size(rows) - 1];
}

void AppendHex(uint64_t number, int digits, std::string* out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out->push_back(kDigits[(number >> shift) & 15]);
  }
}

struct LaterFirst {
  bool operator()(const Record& a, const Record& b) const { return a.received_ms > b.received_ms; }
};

}  // namespace

World::World(WorldOptions options, ShopModel model, std::vector<ExperimentModel> experiments,
             Faults faults, const experiments::Definitions& definitions)
    : options_(std::move(options)), model_(model), faults_(faults), definitions_(definitions) {
  for (const auto& definition : definitions.experiments) {
    const auto found =
        std::find_if(experiments.begin(), experiments.end(),
                     [&](const ExperimentModel& m) { return m.experiment == definition.key; });
    const bool modelled = found != experiments.end();
    triggers_.push_back(modelled ? found->trigger : Trigger::kVisit);
    auto& effects = effects_.emplace_back();
    for (const auto& variant : definition.variants) {
      VariantEffect effect;
      if (modelled) {
        const auto it = found->effects.find(variant.key);
        if (it != found->effects.end()) effect = it->second;
      }
      effects.push_back(effect);
    }
    unit_is_device_.push_back(definition.unit == "device");
  }
  for (int type = 0; type < kEventTypeCount; ++type) {
    const std::string canonical(EventTypeName(static_cast<EventType>(type)));
    std::string alias = canonical;
    const auto mapped = definitions.project.events.find(canonical);
    if (mapped != definitions.project.events.end()) {
      for (const auto& raw : mapped->second) {
        if (raw != canonical) {
          alias = raw;
          break;
        }
      }
    }
    aliases_.push_back(alias);
  }
}

int64_t World::begin_ms() const { return options_.start_ms - options_.history_days * kDayMs; }
int64_t World::end_ms() const { return options_.start_ms + options_.days * kDayMs; }

Profile World::ProfileOf(uint32_t user) const {
  const UserRandom random = Random(user);
  Profile profile;
  const ChannelModel& channel =
      Pick(kChannels, random.Uniform(Purpose::kChannel), [](const auto& row) { return row.share; });
  const auto share = [](const auto& row) { return row.second; };
  profile.channel = channel.name;
  profile.platform = Pick(kPlatforms, random.Uniform(Purpose::kPlatform), share).first;
  if (profile.platform == "app") {
    profile.app_version = Pick(kVersions, random.Uniform(Purpose::kVersion), share).first;
  }
  profile.existing =
      random.Chance(model_.existing_share * channel.existing_factor, Purpose::kExisting);
  profile.devices =
      profile.existing && random.Chance(model_.second_device_share, Purpose::kDevices) ? 2 : 1;
  profile.intent = channel.quality + random.Normal(Purpose::kIntent);
  profile.value_median =
      random.LogNormal(model_.order_value_median, model_.user_value_sigma, Purpose::kWealth);
  if (profile.existing) {
    profile.orders_before =
        static_cast<int32_t>(-1.4 * std::log(random.Uniform(Purpose::kOrdersBefore)));
  }
  return profile;
}

std::string World::UserId(uint32_t user) const {
  std::string id = options_.id_prefix + "u-";
  AppendHex(Random(user).Bits(Purpose{0}) >> 32, 6, &id);
  AppendHex(user, 6, &id);
  return id;
}

std::string World::DeviceId(uint32_t user, int device) const {
  std::string id = options_.id_prefix + "d-";
  AppendHex(Random(user).Bits(Purpose{0}, 1 + static_cast<uint64_t>(device)) >> 32, 6, &id);
  AppendHex(user, 6, &id);
  AppendHex(static_cast<uint64_t>(device), 1, &id);
  return id;
}

std::string_view World::SentName(const Record& record) const {
  if (record.desktop) return aliases_[static_cast<int>(record.event)];
  return EventTypeName(record.event);
}

std::string World::RecordId(const Record& record) const {
  std::string id = options_.id_prefix + (record.kind == RecordKind::kExposure ? "x" : "e");
  AppendHex(record.user, 6, &id);
  AppendHex(static_cast<uint64_t>(record.visit), 4, &id);
  if (record.kind == RecordKind::kExposure) {
    AppendHex(static_cast<uint64_t>(record.experiment), 4, &id);
  } else {
    AppendHex(static_cast<uint64_t>(record.event), 2, &id);
  }
  return id;
}

std::string World::OrderId(const Record& record) const {
  if (record.kind != RecordKind::kEvent || record.event < EventType::kOrder) return "";
  std::string id = options_.id_prefix + "o";
  AppendHex(record.user, 6, &id);
  AppendHex(static_cast<uint64_t>(record.visit), 4, &id);
  return id;
}

void World::Run(const AssignFn& assign, Sink& sink) const {
  using Turn = std::pair<int64_t, uint32_t>;
  std::vector<Life> lives;
  lives.reserve(static_cast<size_t>(options_.users));
  std::priority_queue<Turn, std::vector<Turn>, std::greater<Turn>> turns;
  for (uint32_t user = 0; user < options_.users; ++user) {
    lives.emplace_back(*this, user);
    turns.emplace(lives.back().next_visit_ms(), user);
  }
  std::priority_queue<Record, std::vector<Record>, LaterFirst> pending;
  const auto deliver = [&](int64_t until_ms) {
    while (!pending.empty() && pending.top().received_ms < until_ms) {
      sink.OnRecord(pending.top());
      pending.pop();
    }
  };
  std::vector<Record> records;
  while (!turns.empty() && turns.top().first < end_ms()) {
    const auto [now_ms, user] = turns.top();
    turns.pop();
    deliver(now_ms);
    records.clear();
    lives[user].RunVisit(assign, &records);
    for (const Record& record : records) {
      if (!record.lost) pending.push(record);
    }
    turns.emplace(lives[user].next_visit_ms(), user);
  }
  deliver(end_ms() + 1);
}

}  // namespace fulcrum::sim
