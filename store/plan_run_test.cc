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
  for (int pass = 0; pass < 2; ++pass) {
    const absl::StatusOr<PlanResult> got = store->Run(plan);
    if (!got.ok()) return std::string(Message(got.status()));
    const std::string difference = Difference(*got, RunReference(world.history, plan).result);
    if (!difference.empty()) return difference;
    plan.as_of_ms = std::numeric_limits<int64_t>::max();
  }
  return "";
}

TEST(PlanRunTest, AStoreEqualsTheReferenceOnRandomWorlds) {
  const char* count = std::getenv("FULCRUM_WORLDS");
  const uint64_t worlds = count == nullptr ? 25 : std::stoull(count);
  for (uint64_t seed = 0; seed < worlds; ++seed) {
    const World world = MakeWorld(seed);
    const std::string difference = StoreDifference(world);
    if (difference.empty()) continue;
    const World least = Shrink(world, [](const World& w) { return !StoreDifference(w).empty(); });
    FAIL() << "seed " << seed << ": " << difference << "\nshrunk: " << StoreDifference(least)
           << '\n'
           << Describe(least);
  }
}

TEST(PlanRunTest, UnitsByTheirActivityEqualTheReference) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
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
