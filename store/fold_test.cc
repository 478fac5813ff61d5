// SPDX-License-Identifier: Apache-2.0
#include "store/fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/status.h"
#include "store/fold_feed.h"
#include "store/reference_worlds.h"

namespace fulcrum::store {
namespace {

using ::fulcrum::Message;

// A history through the fold, as a feeder with all the data in memory would do it.
struct Folded {
  PlanResult result;
  std::map<UnitKey, std::vector<double>> rows;
};

absl::StatusOr<Folded> RunFold(const History& history, const Plan& plan, int threads) {
  absl::StatusOr<Fold> fold = Fold::Compile(plan, threads);
  if (!fold.ok()) return fold.status();
  FoldFeeder feeder(&*fold, plan);
  ViewScratch scratch;
  int64_t latest_ms = 0;
  const auto received = [&](int64_t received_ms) {
    if (received_ms > plan.as_of_ms) return false;
    latest_ms = std::max(latest_ms, received_ms);
    return true;
  };
  for (const PastExposure& exposure : history.exposures) {
    if (received(exposure.received_ms)) feeder.AddExposure(View(exposure, &scratch));
  }
  for (const PastLink& link : history.links) {
    if (received(link.received_ms)) feeder.AddLink(View(link));
  }
  fold->CloseExposures();
  const auto each_event = [&](const auto& fn) {
    feeder.Rewind();
    for (const PastEvent& event : history.events) {
      if (received(event.received_ms)) fn(View(event, &scratch));
    }
  };
  if (fold->wants_enrolments()) {
    each_event([&](const EventView& event) { feeder.AddEnrolment(event); });
  }
  each_event([](const EventView&) {});
  const bool open = plan.as_of_ms == std::numeric_limits<int64_t>::max();
  const absl::Status closed = fold->CloseCohort(open ? latest_ms : plan.as_of_ms);
  if (!closed.ok()) return closed;
  each_event([&](const EventView& event) { feeder.AddEvent(event); });
  feeder.Flush();
  if (fold->wants_replay()) {
    fold->BeginReplay();
    each_event([&](const EventView& event) { feeder.AddEvent(event); });
    feeder.Flush();
  }
  absl::StatusOr<PlanResult> result = fold->Finish();
  if (!result.ok()) return result.status();
  Folded folded;
  folded.result = *std::move(result);
  feeder.AddHealth(&folded.result.health);
  folded.result.health.last_received_ms = latest_ms;
  for (const PastExposure& exposure : history.exposures) {
    const uint32_t unit = feeder.UnitOf({exposure.unit.first, exposure.unit.second});
    if (unit != kNoUnit && fold->Analysed(unit)) folded.rows[exposure.unit] = fold->Row(unit);
  }
  return folded;
}

std::string FoldDifference(const World& world) {
  const ReferenceResult want = RunReference(world.history, world.plan);
  for (const int threads : {1, 3}) {
    const absl::StatusOr<Folded> got = RunFold(world.history, world.plan, threads);
    if (!got.ok()) return std::string(Message(got.status()));
    if (got->rows.size() != want.rows.size()) return "other units are analysed";
    for (const auto& [unit, row] : want.rows) {
      const auto it = got->rows.find(unit);
      if (it == got->rows.end()) return "unit " + unit.second + " is missing";
      for (size_t c = 0; c < row.size(); ++c) {
        if (it->second[c] != row[c]) {
          return "unit " + unit.second + " column " + std::to_string(c) + ": got " +
                 std::to_string(it->second[c]) + ", want " + std::to_string(row[c]);
        }
      }
    }
    const std::string difference = Difference(got->result, want.result);
    if (!difference.empty()) return difference;
  }
  return "";
}

TEST(FoldTest, EqualsTheReferenceOnRandomWorlds) {
  const char* count = std::getenv("FULCRUM_WORLDS");
  const uint64_t worlds = count == nullptr ? 2000 : std::stoull(count);
  uint64_t with_cells = 0;
  for (uint64_t seed = 0; seed < worlds; ++seed) {
    const World world = MakeWorld(seed);
    const std::string difference = FoldDifference(world);
    if (difference.empty()) {
      with_cells += RunReference(world.history, world.plan).result.cells.empty() ? 0 : 1;
      continue;
    }
    const World least = Shrink(world, [](const World& w) { return !FoldDifference(w).empty(); });
    FAIL() << "seed " << seed << ": " << difference << "\nshrunk: " << FoldDifference(least) << '\n'
           << Describe(least);
  }
  EXPECT_GT(with_cells, worlds / 2);  // The worlds are not vacuous.
}

TEST(FoldTest, ShrinkingFindsTheOneEventThatMatters) {
  World world;
  for (uint64_t seed = 0;; ++seed) {
    world = MakeWorld(seed);
    if (world.history.events.size() > 20) break;
  }
  const auto has_refund = [](const World& w) {
    return std::any_of(w.history.events.begin(), w.history.events.end(),
                       [](const PastEvent& event) { return event.name == "refund"; });
  };
  world.history.events.back().name = "refund";
  const World least = Shrink(world, has_refund);
  EXPECT_EQ(least.history.events.size(), 1u);
  EXPECT_TRUE(least.history.exposures.empty());
  EXPECT_TRUE(least.plan.columns.empty());
}

// An execution that takes an outcome at the very end of a window to be in it.
std::string OffByOneDifference(const World& world) {
  World wrong = world;
  for (Column& column : wrong.plan.columns) {
    if (column.window.end_ms != std::numeric_limits<int64_t>::max()) ++column.window.end_ms;
  }
  return Difference(RunReference(wrong.history, wrong.plan).result,
                    RunReference(world.history, world.plan).result);
}

TEST(FoldTest, APlantedBugIsFoundAndShrunkToAHandfulOfRows) {
  const auto fails = [](const World& w) { return !OffByOneDifference(w).empty(); };
  int found = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const World world = MakeWorld(seed);
    if (!fails(world)) continue;
    if (++found > 5) continue;
    const World least = Shrink(world, fails);
    // One unit, what it did, and one column with one term that counts it.
    EXPECT_LE(least.history.exposures.size(), 1u) << Describe(least);
    EXPECT_LE(least.history.events.size(), 2u) << Describe(least);
    EXPECT_LE(least.history.links.size(), 1u) << Describe(least);
    EXPECT_EQ(least.plan.columns.size(), 1u) << Describe(least);
    EXPECT_TRUE(least.plan.slices.empty() && least.plan.time_to.empty()) << Describe(least);
    EXPECT_LE(least.plan.columns[0].terms.size(), 1u) << Describe(least);
    EXPECT_TRUE(fails(least));
    EXPECT_LT(Describe(least).size(), 1200u) << Describe(least);
  }
  // Outcomes at the very end of a window are no rarity in these worlds.
  EXPECT_GE(found, 5);
}

// What the shrinker printed for such a bug, as it was pasted.
TEST(FoldTest, APrintedWorldIsCode) {
  World world;
  world.plan.population = {
      .experiment = "checkout", .unit_kind = "device", .arms = {{"control", 1}}};
  world.plan.columns = {{.name = "c0",
                         .kind = ColumnKind::kAtLeast,
                         .terms = {{.events = {"pay"},
                                    .filters = {{.property = "gift",
                                                 .op = CompareOp::kNotIn,
                                                 .values = {true, std::string("card")}}}}},
                         .window = {0, 3600000}}};
  world.plan.groups = {{.columns = {0}}};
  world.history.exposures = {{.experiment = "checkout",
                              .variant = "control",
                              .unit = {"device", "d1"},
                              .ts_ms = 1700000000000,
                              .received_ms = 1700000000000}};
  world.history.events = {{.name = "pay",
                           .ts_ms = 1700003600000,
                           .ids = {{"device", "d1"}},
                           .received_ms = 1700003600000}};
  const std::string printed = Describe(world);
  for (const char* part :
       {"World world;\nworld.plan.population = {.experiment = \"checkout\", .unit_kind = "
        "\"device\", "
        ".arms = {{\"control\", 1}}};\n",
        "world.plan.columns = {\n    {.name = \"c0\", .kind = ColumnKind::kAtLeast, .terms = "
        "{{.events = {\"pay\"}, .filters = {{.property = \"gift\", .op = CompareOp::kNotIn, "
        ".values = {true, std::string(\"card\")}}}}}, .window = {0, 3600000}},\n};\n",
        "world.plan.groups = {\n    {.columns = {0}},\n};\n",
        "    {.experiment = \"checkout\", .variant = \"control\", .unit = {\"device\", \"d1\"}, "
        ".ts_ms = 1700000000000, .received_ms = 1700000000000},\n",
        "world.history.events = {\n    {.name = \"pay\", .ts_ms = 1700003600000, "
        ".ids = {{\"device\", \"d1\"}}, .received_ms = 1700003600000},\n};\n"}) {
    EXPECT_NE(printed.find(part), std::string::npos) << part << printed;
  }
  EXPECT_EQ(FoldDifference(world), "");
  EXPECT_NE(OffByOneDifference(world), "");
}

// --- One rule a test, with numbers a person can check
// ---------------------------------------------

constexpr int64_t kT0 = 1700000000000;
constexpr int64_t kHour = 3600 * 1000;

Plan SmallPlan() {
  Plan plan;
  plan.population.experiment = "e";
  plan.population.unit_kind = "user";
  plan.population.arms = {{"a", 1}, {"b", 1}};
  plan.as_of_ms = kT0 + 1000 * kHour;
  Column paid;
  paid.name = "paid";
  paid.terms = {{1, {"pay"}, "value", {}}, {-1, {"refund"}, "value", {}}};
  paid.window = {0, 10 * kHour};
  plan.columns = {paid};
  plan.groups = {{0, {0}}};
  return plan;
}

PastExposure Shown(const std::string& unit, const std::string& variant, int64_t ts_ms) {
  PastExposure exposure;
  exposure.experiment = "e";
  exposure.variant = variant;
  exposure.unit = {"user", unit};
  exposure.ts_ms = ts_ms;
  exposure.received_ms = ts_ms;
  return exposure;
}

PastEvent Did(const std::string& unit, const std::string& name, int64_t ts_ms,
              std::optional<double> value = std::nullopt) {
  PastEvent event;
  event.name = name;
  event.ids = {{"user", unit}};
  event.ts_ms = ts_ms;
  event.value = value;
  event.received_ms = ts_ms;
  return event;
}

std::vector<double> RowOf(const History& history, const Plan& plan, const std::string& unit) {
  const absl::StatusOr<Folded> folded = RunFold(history, plan, 1);
  EXPECT_TRUE(folded.ok()) << Message(folded.status());
  if (!folded.ok() || folded->rows.count({"user", unit}) == 0) return {};
  return folded->rows.at({"user", unit});
}

TEST(FoldTest, WindowsHoldTheirStartAndNotTheirEnd) {
  History history;
  history.exposures = {Shown("u", "a", kT0)};
  history.events = {Did("u", "pay", kT0 - 1, 1), Did("u", "pay", kT0, 2),
                    Did("u", "pay", kT0 + 10 * kHour - 1, 4), Did("u", "pay", kT0 + 10 * kHour, 8)};
  EXPECT_EQ(RowOf(history, SmallPlan(), "u"), std::vector<double>{6});
}

TEST(FoldTest, RefundsTakeAwayInTheirOwnTime) {
  History history;
  history.exposures = {Shown("u", "a", kT0)};
  history.events = {Did("u", "pay", kT0 + 1, 30), Did("u", "refund", kT0 + 2, 12.5),
                    Did("u", "refund", kT0 + 20 * kHour, 100)};
  EXPECT_EQ(RowOf(history, SmallPlan(), "u"), std::vector<double>{17.5});
}

TEST(FoldTest, AUnitBelongsToTheArmItWasFirstShown) {
  History history;
  // Arrives out of order: the earlier exposure is in the other arm.
  history.exposures = {Shown("u", "a", kT0 + 5), Shown("u", "b", kT0), Shown("v", "a", kT0)};
  const absl::StatusOr<Folded> folded = RunFold(history, SmallPlan(), 1);
  ASSERT_TRUE(folded.ok());
  EXPECT_EQ(folded->result.health.arms[0].units, 1);
  EXPECT_EQ(folded->result.health.arms[1].units, 1);
  EXPECT_EQ(folded->result.health.arms[1].multi_arm_units, 1);
}

TEST(FoldTest, AnOptionalStageNeverBlocksAndLateArrivalsAreReplayed) {
  Plan plan = SmallPlan();
  plan.columns.clear();
  plan.funnels = {{"f",
                   {{"browse", {"browse"}, false, "", {}},
                    {"consult", {"consult"}, true, "", {}},
                    {"pay", {"pay"}, false, "", {}}},
                   {0, 10 * kHour}}};
  for (int stage = 0; stage < 3; ++stage) {
    Column column;
    column.name = "s" + std::to_string(stage);
    column.kind = ColumnKind::kStage;
    column.funnel = 0;
    column.stage = stage;
    plan.columns.push_back(column);
  }
  plan.groups = {{0, {0, 1, 2}}};
  History history;
  history.exposures = {Shown("u", "a", kT0), Shown("v", "a", kT0), Shown("w", "a", kT0)};
  history.events = {
      // u: browse then pay, told in the wrong order.
      Did("u", "pay", kT0 + 2, 1), Did("u", "browse", kT0 + 1),
      // v: paid before browsing; asked after.
      Did("v", "pay", kT0 + 1, 1), Did("v", "browse", kT0 + 2), Did("v", "consult", kT0 + 3),
      // w: everything in one millisecond, in the wrong order.
      Did("w", "pay", kT0 + 1, 1), Did("w", "consult", kT0 + 1), Did("w", "browse", kT0 + 1)};
  EXPECT_EQ(RowOf(history, plan, "u"), (std::vector<double>{1, 0, 1}));
  EXPECT_EQ(RowOf(history, plan, "v"), (std::vector<double>{1, 1, 0}));
  EXPECT_EQ(RowOf(history, plan, "w"), (std::vector<double>{1, 1, 1}));
}

TEST(FoldTest, ALinkBringsTheKnownUsersOutcomesOnce) {
  Plan plan = SmallPlan();
  plan.population.unit_kind = "device";
  History history;
  for (const char* device : {"d1", "d2"}) {
    PastExposure exposure = Shown(device, "a", kT0);
    exposure.unit.first = "device";
    history.exposures.push_back(exposure);
    history.links.push_back({{"device", device}, {"user", "k"}, kT0 + 50 * kHour, kT0});
  }
  PastEvent both = Did("k", "pay", kT0 + 1, 5);
  both.ids.push_back({"device", "d1"});
  history.events = {both, Did("k", "pay", kT0 + 2, 7)};
  history.events.push_back(Did("k", "pay", kT0 + 3, 100));
  history.events.back().ids = {{"device", "d2"}};
  const absl::StatusOr<Folded> folded = RunFold(history, plan, 1);
  ASSERT_TRUE(folded.ok());
  EXPECT_EQ(folded->rows.at({"device", "d1"}), std::vector<double>{12});
  EXPECT_EQ(folded->rows.at({"device", "d2"}), std::vector<double>{112});
}

TEST(FoldTest, OnlyWhatWasReceivedByTheAsOfCounts) {
  History history;
  history.exposures = {Shown("u", "a", kT0)};
  history.events = {Did("u", "pay", kT0 + 1, 1), Did("u", "pay", kT0 + 2, 2)};
  history.events[0].received_ms = kT0 + 100 * kHour;
  Plan plan = SmallPlan();
  plan.as_of_ms = kT0 + 100 * kHour - 1;
  EXPECT_EQ(RowOf(history, plan, "u"), std::vector<double>{2});
  plan.as_of_ms = kT0 + 100 * kHour;
  EXPECT_EQ(RowOf(history, plan, "u"), std::vector<double>{3});
}

TEST(FoldTest, YoungUnitsAreCountedAsMaturing) {
  History history;
  history.exposures = {Shown("u", "a", kT0), Shown("v", "a", kT0 + 1)};
  Plan plan = SmallPlan();
  plan.as_of_ms = kT0 + 10 * kHour;
  plan.groups = {{10 * kHour, {0}}};
  const absl::StatusOr<Folded> folded = RunFold(history, plan, 1);
  ASSERT_TRUE(folded.ok());
  ASSERT_EQ(folded->result.cells.size(), 2u);
  EXPECT_EQ(folded->result.cells[0].gram.n(), 1);
  EXPECT_EQ(folded->result.cells[0].maturing, 1);
}

PastEvent OfOrder(PastEvent event, const std::string& order) {
  event.order_id = order;
  return event;
}

TEST(FoldTest, JourneysCountTheOrdersOfAUnitAndTimeEachOfThem) {
  Plan plan = SmallPlan();
  plan.journeys = {
      {"orders", JourneyKey::kOrder, {{{"order"}, {}}, {{"pay"}, {}}}, {0, 10 * kHour}, {0, kHour}},
      {"again", JourneyKey::kUnit, {{{"pay"}, {}}, {{"pay"}, {}}}, {0, 10 * kHour}, {1, kHour}}};
  plan.columns.clear();
  for (const auto& [journey, stage] : {std::pair{0, 0}, {0, 1}, {1, 1}}) {
    Column column;
    column.name = "j" + std::to_string(plan.columns.size());
    column.kind = ColumnKind::kJourney;
    column.journey = journey;
    column.stage = stage;
    plan.columns.push_back(column);
  }
  plan.groups = {{0, {0, 1, 2}}};
  plan.time_to = {{"time to pay", {}, {}, kHour, 0}};
  History history;
  history.exposures = {Shown("u", "a", kT0), Shown("v", "a", kT0)};
  history.events = {
      // Paid in 10 minutes, told late; paid after more than an hour; never paid; before the clock.
      OfOrder(Did("u", "pay", kT0 + kHour + 600000, 1), "o1"),
      OfOrder(Did("u", "order", kT0 + kHour), "o1"),
      OfOrder(Did("u", "order", kT0 + 2 * kHour), "o2"),
      OfOrder(Did("u", "pay", kT0 + 4 * kHour, 1), "o2"),
      OfOrder(Did("u", "order", kT0 + 3 * kHour), "o3"),
      OfOrder(Did("u", "order", kT0 - kHour), "o4"), OfOrder(Did("u", "pay", kT0 + 1, 1), "o4"),
      // An order of another unit under the same id, and one without an id.
      OfOrder(Did("v", "order", kT0), "o1"), Did("v", "order", kT0 + 1), Did("v", "pay", kT0 + 2)};
  const absl::StatusOr<Folded> folded = RunFold(history, plan, 1);
  ASSERT_TRUE(folded.ok()) << Message(folded.status());
  EXPECT_EQ(folded->rows.at({"user", "u"}), (std::vector<double>{3, 1, 0}));
  EXPECT_EQ(folded->rows.at({"user", "v"}), (std::vector<double>{1, 0, 0}));
  const SurvivalTable& table = folded->result.survival[0];
  ASSERT_EQ(table.rows.size(), 1u);
  EXPECT_EQ(table.rows[0].time_ms, 600000);
  EXPECT_EQ(table.rows[0].at_risk, 4);
  EXPECT_EQ(table.rows[0].censored, 3);
  EXPECT_EQ(table.n_clusters, 2);
  // By hand: S falls to 3/4 at 10 of 60 minutes, A = 3/4 * 50 min. The paid order's influence is
  // -A/3 + A/12, the others' A/12, so u's three sum to -A/12 and v's one is A/12; times 2/(2-1).
  const double area_ms = 0.75 * 50 * 60000;
  EXPECT_NEAR(table.clustered_variance, 4 * area_ms * area_ms / 144, 1e-3);
}

// Against R 4.2, survival 3.5-3: survfit(Surv(t, d) ~ 1, influence = 1), its influence on the curve
// integrated to 35, summed by unit, squared, times 6 / 5.
TEST(FoldTest, ATimesVarianceIsByUnitAsInR) {
  constexpr int kTimes[] = {5, 8, 8, 12, 15, 20, 22, 30, 30, 34, 40, 41};
  constexpr int kEnds[] = {1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1};
  constexpr int kUnits[] = {1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 6};
  Plan plan = SmallPlan();
  plan.journeys = {
      {"talks", JourneyKey::kSession, {{{"ask"}, {}}, {{"answer"}, {}}}, {0, INT64_MAX}, {}}};
  plan.time_to = {{"answer", {}, {}, 35, 0}};
  History history;
  for (int i = 0; i < 12; ++i) {
    const std::string unit = "u" + std::to_string(kUnits[i]);
    history.exposures.push_back(Shown(unit, "a", kT0));
    const int64_t asked_ms = plan.as_of_ms - (kEnds[i] != 0 ? 100 : kTimes[i]);
    history.events.push_back(Did(unit, "ask", asked_ms));
    history.events.back().session_id = "s" + std::to_string(i);
    if (kEnds[i] == 0) continue;
    history.events.push_back(Did(unit, "answer", asked_ms + kTimes[i]));
    history.events.back().session_id = "s" + std::to_string(i);
  }
  const absl::StatusOr<Folded> folded = RunFold(history, plan, 1);
  ASSERT_TRUE(folded.ok()) << Message(folded.status());
  EXPECT_EQ(folded->result.survival[0].n_clusters, 6);
  EXPECT_NEAR(folded->result.survival[0].clustered_variance, 21.603479384353, 1e-9);
}

TEST(FoldTest, WhoDoesMoreThanPeopleDoIsLeftOutAndCounted) {
  Plan plan = SmallPlan();
  plan.population.exclude_any = {{{"tester", CompareOp::kEq, {Literal(true)}}}};
  plan.population.exclude_bursts = {{{"order"}, {}, 2, kHour}};
  History history;
  history.exposures = {Shown("u", "a", kT0), Shown("v", "a", kT0), Shown("w", "a", kT0)};
  history.exposures[2].attributes["tester"] = true;
  for (int i = 0; i < 3; ++i) {
    history.events.push_back(Did("u", "order", kT0 + i * kHour / 3));    // 3 in an hour …
    history.events.push_back(Did("v", "order", kT0 + i * (kHour / 2)));  // … and in just over one.
  }
  history.events.push_back(Did("u", "pay", kT0, 7));
  const absl::StatusOr<Folded> folded = RunFold(history, plan, 1);
  ASSERT_TRUE(folded.ok()) << Message(folded.status());
  const ArmHealth& health = folded->result.health.arms[0];
  EXPECT_EQ(health.units, 1);
  EXPECT_EQ(health.excluded_units, 2);
  EXPECT_EQ(health.burst_units, 1);
  EXPECT_EQ(health.excluded_by_phase.at(0), 2);
  EXPECT_EQ(folded->result.cells[0].gram.n(), 1);
  EXPECT_EQ(folded->result.cells[0].gram.mean(0), 0);
}

TEST(FoldTest, AFrozenCapDoesNotFollowWhatLaterUnitsDo) {
  Plan plan = SmallPlan();
  CapRule cap;
  cap.quantile = 1;
  cap.first_units = 2;
  plan.columns[0].cap = cap;
  History history;
  history.exposures = {Shown("u", "a", kT0), Shown("v", "b", kT0 + 1), Shown("w", "a", kT0 + 2)};
  history.events = {Did("u", "pay", kT0 + 3, 10), Did("v", "pay", kT0 + 3, 20),
                    Did("w", "pay", kT0 + 3, 500), Did("u", "pay", kT0 - 5, 4)};
  EXPECT_EQ(RunFold(history, plan, 1)->result.cap_values[0], 20);
  plan.columns[0].cap->first_units = 4;  // Not yet so many: no cap.
  EXPECT_TRUE(std::isinf(RunFold(history, plan, 1)->result.cap_values[0]));
  plan.columns[0].cap->first_units = 0;
  plan.columns[0].cap->pre_ms = kHour;  // Of what was before, whatever the arms did.
  EXPECT_EQ(RunFold(history, plan, 1)->result.cap_values[0], 4);
}

TEST(FoldTest, PlansThatCannotBeRunSayWhy) {
  const auto message = [](const auto& change) {
    Plan plan = SmallPlan();
    change(&plan);
    const absl::StatusOr<Fold> fold = Fold::Compile(plan);
    return fold.ok() ? std::string("ok") : std::string(Message(fold.status()));
  };
  EXPECT_EQ(message([](Plan*) {}), "ok");
  EXPECT_THAT(message([](Plan* p) { p->population.arms.clear(); }), testing::HasSubstr("no arms"));
  EXPECT_THAT(message([](Plan* p) { p->columns[0].terms.clear(); }),
              testing::HasSubstr("\"paid\" has no terms"));
  EXPECT_THAT(message([](Plan* p) {
                p->columns[0].window = {5, 5};
              }),
              testing::HasSubstr("window"));
  EXPECT_THAT(message([](Plan* p) { p->groups[0].columns = {7}; }), testing::HasSubstr("column 7"));
  EXPECT_THAT(message([](Plan* p) { p->columns[0].source_column = "x"; }),
              testing::HasSubstr("source_column"));
  EXPECT_THAT(message([](Plan* p) { p->columns.push_back(p->columns[0]); }),
              testing::HasSubstr("twice"));
}

}  // namespace
}  // namespace fulcrum::store
