// SPDX-License-Identifier: Apache-2.0
#include "sim/strategies.h"

#include <algorithm>

#include "base/status.h"
#include "base/text.h"
#include "sim/strategy_scene.h"

namespace fulcrum::sim {
namespace {

struct NamedScene {
  const char* experiment;
  void (*play)(Scene*);
};
constexpr NamedScene kScenes[] = {{"order-recovery", OrderRecovery},
                                  {"reactivation", Reactivation},
                                  {"after-sale-rescue", AfterSaleRescue},
                                  {"channel-landing", ChannelLanding},
                                  {"service-desk", ServiceDesk}};

core::Value ValueOf(const std::variant<bool, double, std::string>& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return core::Value::Bool(*flag);
  if (const auto* number = std::get_if<double>(&value)) {
    return core::Value::Int(static_cast<int64_t>(*number));
  }
  return core::Value::String(std::get<std::string>(value));
}

}  // namespace

Scene::Scene(const experiments::Definitions& definitions, const core::Snapshot& snapshot,
             const StrategyOptions& options, std::string_view key, uint64_t number,
             StrategyWorld* world)
    : definitions_(definitions),
      snapshot_(snapshot),
      options_(options),
      number_(number),
      world_(world) {
  experiment_ = definitions_.FindExperiment(key);
  if (experiment_ != nullptr && !experiment_->start_ms) experiment_ = nullptr;
  if (experiment_ != nullptr) handle_ = snapshot_.Find(key);
}

std::string Scene::UserId(int64_t user) const {
  return "s" + std::to_string(number_) + "-" + std::to_string(user);
}

int64_t Scene::Arrival(const Luck& luck, int draw, double days) const {
  return start_ms() + static_cast<int64_t>(luck.Uniform(draw) * days * kDayMs);
}

int Scene::Decide(const std::string& unit_kind, const std::string& unit, int64_t ts_ms,
                  const Properties& attributes) const {
  const core::UnitId id{unit_kind, unit};
  std::vector<core::Attribute> values;
  for (const auto& [key, value] : attributes) values.push_back({key, ValueOf(value)});
  core::Context context;
  context.units = {&id, 1};
  context.attributes = values;
  context.now_ms = ts_ms;
  const core::Decision decision = core::Decide(snapshot_, handle_, context);
  if (!decision.has_variant() || !decision.is_enrolled()) return -1;
  const std::string_view chosen =
      snapshot_.experiment(handle_).variants[static_cast<size_t>(decision.variant)].key;
  for (size_t v = 0; v < variants(); ++v) {
    if (variant(v) == chosen) return static_cast<int>(v);
  }
  return -1;
}

void Scene::Show(int variant, const std::string& kind, const std::string& unit, int64_t ts_ms,
                 const Properties& attributes) {
  world_->exposures.push_back({experiment_->key, this->variant(static_cast<size_t>(variant)), kind,
                               unit, ts_ms, ts_ms, 0, attributes});
}

void Scene::Happen(const std::string& name, const std::string& user, int64_t ts_ms, double value,
                   const std::string& order, const std::string& session, Properties properties) {
  StrategyEvent event;
  event.event_id = "e" + std::to_string(number_) + "-" + std::to_string(events_++);
  event.name = name;
  event.user = user;
  event.order_id = order;
  event.session_id = session;
  event.ts_ms = ts_ms;
  // One in eight is late by up to a day, hence out of order; one in twenty comes twice.
  const uint64_t luck = MixTwo(MixTwo(options_.seed, number_), static_cast<uint64_t>(events_));
  event.received_ms = ts_ms + (luck % 8 == 0 ? static_cast<int64_t>(luck >> 20) % kDayMs : 0);
  event.value = value;
  event.properties = std::move(properties);
  if (luck % 20 == 1) {
    StrategyEvent again = event;
    again.received_ms += static_cast<int64_t>(luck >> 24) % kDayMs;
    world_->events.push_back(std::move(again));
  }
  world_->events.push_back(std::move(event));
}

void Scene::Count(size_t variant, const std::string& metric, double numerator, double denominator,
                  const std::string& part) {
  auto& sums = sums_[{metric, part}];
  sums.resize(variants());
  sums[variant].numerator += numerator;
  sums[variant].denominator += denominator;
}

void Scene::Fact(const std::string& what, int64_t count) {
  world_->facts[experiment_->key + "/" + what] += count;
}

void Scene::Close() {
  size_t control = 0;
  for (size_t v = 0; v < variants(); ++v) {
    if (experiment_->variants[v].control) control = v;
  }
  const auto value = [](const Sums& sums) {
    return sums.denominator != 0 ? sums.numerator / sums.denominator : 0;
  };
  for (const auto& [key, sums] : sums_) {
    for (size_t v = 0; v < variants(); ++v) {
      if (v == control) continue;
      world_->effects.push_back({experiment_->key, variant(v), key.first, key.second,
                                 value(sums[control]), value(sums[v])});
    }
  }
}

const StrategyEffect* StrategyWorld::Find(std::string_view experiment, std::string_view variant,
                                          std::string_view metric, std::string_view part) const {
  for (const StrategyEffect& effect : effects) {
    if (effect.experiment == experiment && effect.variant == variant && effect.metric == metric &&
        effect.part == part) {
      return &effect;
    }
  }
  return nullptr;
}

absl::StatusOr<StrategyWorld> MakeStrategyWorld(const experiments::Definitions& definitions,
                                                const core::Snapshot& snapshot,
                                                const StrategyOptions& options) {
  StrategyWorld world;
  uint64_t number = 0;
  for (const NamedScene& named : kScenes) {
    Scene scene(definitions, snapshot, options, named.experiment, ++number, &world);
    if (!scene.exists()) {
      return InvalidArgument("experiment " + std::string(named.experiment) +
                             " is not in this project, or does not say when it starts: the "
                             "strategies are simulated on examples/strategies");
    }
    named.play(&scene);
    scene.Close();
  }
  const auto earlier = [](const auto& a, const auto& b) { return a.received_ms < b.received_ms; };
  std::stable_sort(world.exposures.begin(), world.exposures.end(), earlier);
  std::stable_sort(world.events.begin(), world.events.end(), earlier);
  return world;
}

}  // namespace fulcrum::sim
