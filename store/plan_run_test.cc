// SPDX-License-Identifier: Apache-2.0
//
// The same worlds as the fold's, through a real store: append, load, run.
#include "store/plan_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <set>

#include "base/status.h"
#include "store/reference_worlds.h"
#include "store/store.h"

namespace fulcrum::store {
namespace {

constexpr int64_t kDay = 24LL * 3600 * 1000;

class TempStore {
 public:
  TempStore() {
    static int number = 0;
    directory_ = std::filesystem::temp_directory_path() /
                 ("fulcrum-plan-" + std::to_string(::getpid()) + "-" + std::to_string(number++));
    std::filesystem::create_directories(directory_);
    EmbeddedOptions options;
    options.directory = directory_.string();
    store_ = OpenEmbedded(options);
  }
  ~TempStore() {
    store_ = absl::UnknownError("closed");
    std::filesystem::remove_all(directory_);
  }
  const absl::StatusOr<std::unique_ptr<Store>>& store() const { return store_; }

 private:
  std::filesystem::path directory_;
  absl::StatusOr<std::unique_ptr<Store>> store_;
};

// One batch for each moment of arrival.
absl::Status AppendHistory(const History& history, Store* store) {
  std::set<int64_t> moments;
  for (const PastExposure& exposure : history.exposures) moments.insert(exposure.received_ms);
  for (const PastEvent& event : history.events) moments.insert(event.received_ms);
  for (const PastLink& link : history.links) moments.insert(link.received_ms);
  BatchBuilder builder;
  ViewScratch scratch;
  for (const int64_t received_ms : moments) {
    builder.Clear();
    for (const PastExposure& exposure : history.exposures) {
      if (exposure.received_ms == received_ms) builder.Add(View(exposure, &scratch));
    }
    for (const PastEvent& event : history.events) {
      if (event.received_ms == received_ms) builder.Add(View(event, &scratch));
    }
    for (const PastLink& link : history.links) {
      if (link.received_ms == received_ms) builder.Add(View(link));
    }
    AppendRequest request;
    request.payload = builder.payload();
    request.items = builder.size();
    request.received_ms = received_ms;
    FULCRUM_RETURN_IF_ERROR(store->Append(request).status());
  }
  return store->Flush();
}

std::string StoreDifference(const World& world) {
  TempStore temp;
  if (!temp.store().ok()) return std::string(Message(temp.store().status()));
  Store* store = temp.store()->get();
  if (const absl::Status status = AppendHistory(world.history, store); !status.ok()) {
    return std::string(Message(status));
  }
  // Twice: as the world asks, and with everything.
  Plan plan = world.plan;
  plan.slices.push_back({"overlap", {VariantIn("another")}, 3});
  for (int pass = 0; pass < 2; ++pass) {
    const absl::StatusOr<PlanResult> got = store->Run(plan);
    if (!got.ok()) return std::string(Message(got.status()));
    const std::string difference = Difference(*got, RunReference(world.history, plan).result);
    if (!difference.empty()) return difference;
    plan.as_of_ms = std::numeric_limits<int64_t>::max();
  }
  return "";
}

// --- Many worlds in one store: making a store costs more than a world.

// The same world with ids, an experiment and a time of its own, so that it can share a store.
World Apart(World world, uint64_t number) {
  const std::string mark = "w" + std::to_string(number) + ":";
  const int64_t later_ms = static_cast<int64_t>(number) * 100 * kDay;
  const auto id = [&](std::string* text) {
    if (!text->empty()) *text = mark + *text;
  };
  const auto shift = [&](int64_t* ms) {
    if (*ms != std::numeric_limits<int64_t>::max() && *ms != std::numeric_limits<int64_t>::min()) {
      *ms += later_ms;
    }
  };
  for (PastExposure& exposure : world.history.exposures) {
    id(&exposure.exposure_id);
    id(&exposure.experiment);
    id(&exposure.unit.second);
    shift(&exposure.ts_ms);
    shift(&exposure.received_ms);
  }
  for (PastEvent& event : world.history.events) {
    for (UnitKey& key : event.ids) id(&key.second);
    for (std::string* text : {&event.event_id, &event.order_id, &event.session_id}) id(text);
    shift(&event.ts_ms);
    shift(&event.received_ms);
  }
  for (PastLink& link : world.history.links) {
    id(&link.anonymous.second);
    id(&link.known.second);
    shift(&link.ts_ms);
    shift(&link.received_ms);
  }
  Plan& plan = world.plan;
  id(&plan.population.experiment);
  for (int64_t* ms : {&plan.population.from_ms, &plan.population.to_ms, &plan.as_of_ms}) shift(ms);
  // Filters that name an order or a session go on naming it.
  const auto rename = [&](std::vector<EventFilter>& filters) {
    for (EventFilter& filter : filters) {
      if (filter.property != "order_id" && filter.property != "session_id") continue;
      for (Literal& value : filter.values) {
        if (auto* text = std::get_if<std::string>(&value)) id(text);
      }
    }
  };
  for (Column& column : plan.columns) {
    for (Term& term : column.terms) rename(term.filters);
  }
  for (QuantileSpec& spec : plan.quantiles) rename(spec.term.filters);
  return world;
}

int64_t LastReceived(const History& history) {
  int64_t last_ms = 0;
  for (const auto& item : history.exposures) last_ms = std::max(last_ms, item.received_ms);
  for (const auto& item : history.events) last_ms = std::max(last_ms, item.received_ms);
  for (const auto& item : history.links) last_ms = std::max(last_ms, item.received_ms);
  return last_ms;
}

// A store that worlds are added to, each after those before.
class SharedStore {
 public:
  std::string Difference(const World& world, uint64_t number) {
    if (!temp_.store().ok()) return std::string(Message(temp_.store().status()));
    Store* store = temp_.store()->get();
    World apart = Apart(world, number);
    if (const absl::Status status = AppendHistory(apart.history, store); !status.ok()) {
      return std::string(Message(status));
    }
    const int64_t last_ms = LastReceived(apart.history);
    std::string difference = Compare(apart, store);
    if (difference.empty() && last_ms > 0) {
      apart.plan.as_of_ms = last_ms;
      difference = Compare(apart, store);
      // Every repeated event of the store is in its health.
      duplicates_ += RunReference(apart.history, apart.plan).result.health.duplicate_events;
      last_received_ms_ = last_ms;
    }
    return difference;
  }

 private:
  std::string Compare(const World& world, Store* store) {
    Plan plan = world.plan;
    if (plan.as_of_ms == std::numeric_limits<int64_t>::max()) return "";
    absl::StatusOr<PlanResult> got = store->Run(plan);
    if (!got.ok()) return std::string(Message(got.status()));
    PlanResult want = RunReference(world.history, plan).result;
    want.health.duplicate_events += duplicates_;
    want.health.last_received_ms = std::max(want.health.last_received_ms, last_received_ms_);
    return store::Difference(*got, want);
  }

  TempStore temp_;
  double duplicates_ = 0;
  int64_t last_received_ms_ = 0;
};

TEST(PlanRunTest, AStoreEqualsTheReferenceOnRandomWorlds) {
  constexpr uint64_t kWorldsAStore = 100;
  const char* count = std::getenv("FULCRUM_STORE_WORLDS");
  const uint64_t worlds = count == nullptr ? 120 : std::stoull(count);
  std::unique_ptr<SharedStore> store;
  for (uint64_t seed = 0; seed < worlds; ++seed) {
    if (seed % kWorldsAStore == 0) store = std::make_unique<SharedStore>();
    const World world = MakeWorld(seed);
    const std::string difference = store->Difference(world, seed % kWorldsAStore);
    if (difference.empty()) continue;
    const auto fails = [](const World& w) { return !StoreDifference(w).empty(); };
    // Found beside others; shrunk alone where it fails alone too.
    const World least = fails(world) ? Shrink(world, fails) : world;
    FAIL() << "seed " << seed << ": " << difference << "\nshrunk: " << StoreDifference(least)
           << '\n'
           << Describe(least);
  }
}

// Alone in its store, a plan without an as-of stands for the last arrival.
TEST(PlanRunTest, AStoreOfOneWorldEqualsTheReference) {
  for (uint64_t seed = 1000; seed < 1010; ++seed) {
    const World world = MakeWorld(seed);
    EXPECT_EQ(StoreDifference(world), "") << "seed " << seed << '\n' << Describe(world);
  }
}

TEST(PlanRunTest, UnitsByTheirActivityEqualTheReference) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    World world = MakeWorld(seed);
    Population& population = world.plan.population;
    population.active_units = true;
    population.enrol = EnrolRule::kExposure;
    if (seed % 3 == 0) population.active_events = {"order", "never"};
    EXPECT_EQ(StoreDifference(world), "") << "seed " << seed << '\n' << Describe(world);
  }
}

TEST(PlanRunTest, AnExperimentNobodySawHasNoCells) {
  TempStore temp;
  ASSERT_TRUE(temp.store().ok()) << Message(temp.store().status());
  World world = MakeWorld(1);
  world.plan.population.experiment = "never";
  const absl::StatusOr<PlanResult> result = (*temp.store())->Run(world.plan);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_TRUE(result->cells.empty());
  EXPECT_EQ(result->health.arms.size(), world.plan.population.arms.size());
}

TEST(PlanRunTest, TooManyUnitsForTheMemoryLimitIsSaid) {
  TempStore temp;
  ASSERT_TRUE(temp.store().ok());
  World world;
  for (uint64_t seed = 0;; ++seed) {
    world = MakeWorld(seed);
    world.plan.as_of_ms = std::numeric_limits<int64_t>::max();
    if (!RunReference(world.history, world.plan).result.cells.empty()) break;
  }
  ASSERT_TRUE(AppendHistory(world.history, temp.store()->get()).ok());
  world.plan.memory_limit_bytes = 10;
  const absl::Status status = (*temp.store())->Run(world.plan).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(Message(status)), testing::HasSubstr("raise the memory limit"));
}

}  // namespace
}  // namespace fulcrum::store
