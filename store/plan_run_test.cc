// SPDX-License-Identifier: Apache-2.0
//
// The same worlds as the fold's, through a real store: append, load, run.
#include "store/plan_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>

#include "base/status.h"
#include "store/embedded_store.h"
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
absl::Status AppendHistory(
    const History& history, Store* store,
    const std::function<absl::Status(int64_t)>& after = [](int64_t) { return absl::OkStatus(); }) {
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
    FULCRUM_RETURN_IF_ERROR(after(received_ms));
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
  for (JourneySpec& journey : plan.journeys) {
    for (JourneyStage& stage : journey.stages) rename(stage.filters);
  }
  for (BurstRule& rule : plan.population.exclude_bursts) rename(rule.filters);
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

// One history arriving bit by bit, a report after each: what a kept state gives is what a run from
// the start gives, at every moment.
std::string GoingOnDifference(const World& world, int64_t* continued) {
  TempStore temp;
  if (!temp.store().ok()) return std::string(Message(temp.store().status()));
  auto* store = static_cast<EmbeddedStore*>(temp.store()->get());
  const absl::StatusOr<AnalyticsSession> session = store->Connect();
  if (!session.ok()) return std::string(Message(session.status()));
  PlanRunner runner({});
  Plan plan = world.plan;
  int64_t moment = 0;
  std::string difference;
  const absl::Status appended = AppendHistory(world.history, store, [&](int64_t received_ms) {
    // Every third moment there is none, so that several things arrive between two.
    if (++moment % 3 == 0 || !difference.empty()) return absl::OkStatus();
    FULCRUM_RETURN_IF_ERROR(store->Flush());
    // By turns: everything, the instant itself, and a past one.
    const int64_t instants[] = {INT64_MAX, received_ms, INT64_MAX, received_ms + 5 * 3600 * 1000,
                                received_ms - 3600 * 1000};
    plan.as_of_ms = instants[moment % 5];
    const absl::StatusOr<PlanResult> got = runner.Run(*session->database, plan);
    FULCRUM_RETURN_IF_ERROR(got.status());
    const absl::StatusOr<PlanResult> want = RunPlan(*session->database, plan);
    FULCRUM_RETURN_IF_ERROR(want.status());
    difference = Difference(*got, *want, 1e-12);
    if (!difference.empty()) difference += " after arrivals until " + std::to_string(received_ms);
    return absl::OkStatus();
  });
  if (!appended.ok()) return std::string(Message(appended));
  *continued += runner.stats().continued;
  return difference;
}

TEST(PlanRunTest, AKeptStateGoesOnAsIfItBeganWithEverything) {
  const char* count = std::getenv("FULCRUM_WORLDS");
  const uint64_t worlds = count == nullptr ? 25 : std::stoull(count);
  int64_t continued = 0;
  for (uint64_t seed = 0; seed < worlds; ++seed) {
    const World world = MakeWorld(1000 + seed);
    const std::string difference = GoingOnDifference(world, &continued);
    if (difference.empty()) continue;
    int64_t ignored = 0;
    const World least =
        Shrink(world, [&](const World& w) { return !GoingOnDifference(w, &ignored).empty(); });
    FAIL() << "seed " << 1000 + seed << ": " << difference
           << "\nshrunk: " << GoingOnDifference(least, &ignored) << '\n'
           << Describe(least);
  }
  EXPECT_GT(continued, static_cast<int64_t>(2 * worlds));  // It did go on.
}

// Worlds that hold what is followed only at the end: journeys, a rule on how much a unit does, and
// a cap by a quantile.
World MakeWorldWithRules(uint64_t* seed) {
  while (true) {
    World world = MakeWorld((*seed)++);
    const Plan& plan = world.plan;
    bool caps = false;
    for (const Column& column : plan.columns) caps |= column.cap && column.cap->quantile;
    const bool timed = std::any_of(plan.time_to.begin(), plan.time_to.end(),
                                   [](const TimeToSpec& spec) { return spec.journey >= 0; });
    if (!plan.population.exclude_bursts.empty() && (timed || caps)) return world;
  }
}

TEST(PlanRunTest, AKeptStateGoesOnThroughJourneysAndExclusions) {
  const char* count = std::getenv("FULCRUM_WORLDS");
  const uint64_t worlds = count == nullptr ? 12 : std::stoull(count);
  int64_t continued = 0;
  double bursts = 0;
  uint64_t seed = 5000;
  for (uint64_t i = 0; i < worlds; ++i) {
    const World world = MakeWorldWithRules(&seed);
    for (const ArmHealth& arm : RunReference(world.history, world.plan).result.health.arms) {
      bursts += arm.burst_units;
    }
    EXPECT_EQ(GoingOnDifference(world, &continued), "") << "seed " << seed - 1 << '\n'
                                                        << Describe(world);
  }
  EXPECT_GT(continued, static_cast<int64_t>(2 * worlds));
  EXPECT_GT(bursts, 0);
}

TEST(PlanRunTest, APlanSlicedByAnotherExperimentBeginsAnew) {
  int64_t continued = 0;
  for (uint64_t seed = 7000; seed < 7006; ++seed) {
    World world = MakeWorld(seed);
    world.plan.slices.push_back({"overlap", {VariantIn("another")}, 3});
    EXPECT_EQ(GoingOnDifference(world, &continued), "") << "seed " << seed << Describe(world);
  }
  EXPECT_EQ(continued, 0);
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

// As little memory as a run takes at all, so that each unit has a pass of its own.
std::string PassesDifference(const World& world, int64_t* passes) {
  TempStore temp;
  if (!temp.store().ok()) return std::string(Message(temp.store().status()));
  auto* store = static_cast<EmbeddedStore*>(temp.store()->get());
  if (const absl::Status status = AppendHistory(world.history, store); !status.ok()) {
    return std::string(Message(status));
  }
  const absl::StatusOr<AnalyticsSession> session = store->Connect();
  if (!session.ok()) return std::string(Message(session.status()));
  Plan plan = world.plan;
  const absl::StatusOr<PlanResult> want = RunPlan(*session->database, plan);
  if (!want.ok()) return std::string(Message(want.status()));
  for (plan.memory_limit_bytes = 1;; plan.memory_limit_bytes += 8) {
    const absl::StatusOr<PlanResult> got = RunPlan(*session->database, plan);
    if (absl::IsResourceExhausted(got.status())) continue;
    if (!got.ok()) return std::string(Message(got.status()));
    *passes += plan.memory_limit_bytes > 1 ? 1 : 0;
    if (got->health.events_scanned != want->health.events_scanned) return "other events scanned";
    return Difference(*got, *want, 1e-12);
  }
}

TEST(PlanRunTest, PassesOverFewUnitsGiveWhatOnePassGives) {
  int64_t passes = 0;
  for (uint64_t seed = 2000; seed < 2012; ++seed) {
    const World world = MakeWorld(seed);
    const std::string difference = PassesDifference(world, &passes);
    EXPECT_EQ(difference, "") << "seed " << seed << '\n' << Describe(world);
  }
  uint64_t seed = 6000;
  for (int i = 0; i < 8; ++i) {
    const World world = MakeWorldWithRules(&seed);
    EXPECT_EQ(PassesDifference(world, &passes), "") << "seed " << seed - 1 << '\n'
                                                    << Describe(world);
  }
  EXPECT_GT(passes, 10);
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
