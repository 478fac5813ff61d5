// SPDX-License-Identifier: Apache-2.0
//
// Start here: a World is a shop that behaves, seeded, on a clock of its own.
//
//   sim::World world(options, model, experiments, definitions);
//   world.Run(assign, sink);              // in the order in which things reach the collector
//   sim::ComputeTruth(world, assign, {});  // truth.h: the true effect of every variant
//
// Assignment is not the simulator's: it asks the caller (a server over HTTP, or core::Decide).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/definition.h"
#include "sim/model.h"
#include "sim/record.h"
#include "sim/rng.h"

namespace fulcrum::sim {

struct WorldOptions {
  uint64_t seed = 1;
  int64_t users = 20000;
  int64_t start_ms = 0;       // Users arrive, and experiments may run, from here …
  int64_t days = 28;          // … for this many days of 24 hours.
  int64_t history_days = 14;  // Before: visits of registered users without any experiment.
  int64_t utc_offset_ms = 8 * 3600 * 1000;  // For the hours of the day.
  std::string id_prefix;                    // Of every id, so that worlds can share a store.
};

// Who a user is, for life.
struct Profile {
  std::string_view channel;      // search | partner | organic | social | media
  std::string_view platform;     // app | mobile_web | desktop
  std::string_view app_version;  // "" off the app.
  bool existing = false;         // Registered before the world began.
  int devices = 1;
  double intent = 0;          // Standard normal, plus the channel's quality; logit scale.
  double value_median = 0;    // Of this user's orders, currency units.
  int32_t orders_before = 0;  // Paid before the history began.
};

// Whoever asks for variants: a device, and the user once known.
struct Visitor {
  uint32_t user = 0;
  uint8_t device = 0;
  bool user_known = false;
  bool registered = false;
  int32_t orders_before = 0;
  int64_t visit_ms = 0;  // When the visit began …
  int64_t now_ms = 0;    // … and when it asks.
};

struct Assignment {
  int32_t variant = -1;  // Index into the experiment's variants; -1 = none.
  int32_t phase = 0;
  double propensity = 0;
};

// Fills one assignment per experiment of the definitions, in their order. Called from the thread
// that runs the visit. An empty answer (all -1) is a visitor in no experiment.
using AssignFn = std::function<void(const Visitor& visitor, std::span<Assignment> assignments)>;

// Receives records in the order of `received_ms`. Lost records never come.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void OnRecord(const Record& record) = 0;
};

// Immutable after construction, hence thread-safe; keeps a reference to `definitions`, which must
// outlive it.
class World {
 public:
  World(WorldOptions options, ShopModel model, std::vector<ExperimentModel> experiments,
        Faults faults, const experiments::Definitions& definitions);

  const WorldOptions& options() const { return options_; }
  const ShopModel& model() const { return model_; }
  const Faults& faults() const { return faults_; }
  const experiments::Definitions& definitions() const { return definitions_; }
  int64_t begin_ms() const;  // Of the history.
  int64_t end_ms() const;
  int experiment_count() const { return static_cast<int>(triggers_.size()); }

  UserRandom Random(uint32_t user) const { return UserRandom(options_.seed, user); }
  Profile ProfileOf(uint32_t user) const;
  Trigger trigger(int experiment) const { return triggers_[experiment]; }
  const VariantEffect& effect(int experiment, int variant) const {
    return effects_[experiment][variant];
  }
  // Whether the experiment's unit is a device; otherwise it is the user.
  bool unit_is_device(int experiment) const { return unit_is_device_[experiment]; }

  std::string UserId(uint32_t user) const;
  std::string DeviceId(uint32_t user, int device) const;
  // The name a record's event is sent under: the canonical one, or, from desktops, the first alias
  // that the project maps to it.
  std::string_view SentName(const Record& record) const;
  std::string RecordId(const Record& record) const;  // exposure_id or event_id
  std::string OrderId(const Record& record) const;   // "" for events without an order.

  // Lives every user's life up to end_ms(), and delivers what arrives by then. Single-threaded. A
  // driver with threads of its own runs Life objects (life.h) instead.
  void Run(const AssignFn& assign, Sink& sink) const;

 private:
  WorldOptions options_;
  ShopModel model_;
  Faults faults_;
  const experiments::Definitions& definitions_;
  std::vector<Trigger> triggers_;                    // By experiment.
  std::vector<std::vector<VariantEffect>> effects_;  // By experiment and variant.
  std::vector<bool> unit_is_device_;
  std::vector<std::string> aliases_;  // By event type.
};

}  // namespace fulcrum::sim
