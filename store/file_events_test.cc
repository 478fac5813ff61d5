// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/status.h"
#include "base/text.h"
#include "store/reference_worlds.h"
#include "store/store.h"

namespace fulcrum::store {
namespace {

using ::testing::HasSubstr;

std::string TempCsv(const std::string& text) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("fulcrum-events-" + std::to_string(::getpid()) + ".csv");
  std::ofstream(path) << text;
  return path.string();
}

FileSource Source(const std::string& csv) {
  FileSource source;
  source.path = TempCsv(csv);
  source.per_event = true;
  source.arm_column = "arm";
  source.unit_column = "who";
  source.event_column = "what";
  source.time_column = "when";
  source.value_column = "amount";
  source.exposure_event = "shown";
  return source;
}

Plan PaidPlan() {
  Plan plan;
  plan.population.unit_kind = "user";
  plan.population.arms = {{"a", 1}, {"b", 1}};
  Column paid;
  paid.name = "paid";
  paid.terms = {{1, {"pay"}, "value", {{"method", CompareOp::kEq, {std::string("01")}}}}};
  plan.columns = {paid};
  plan.groups = {{0, {0}}};
  plan.slices = {{"city", {"city"}, 5}};
  return plan;
}

constexpr char kCsv[] =
    "who,what,when,arm,amount,method,city\n"
    "u1,pay,2026-03-02T00:00:01+08:00,,5,01,\n"  // Before the row that shows u1 its arm.
    "u1,shown,2026-03-02T00:00:00+08:00,a,,,Rome\n"
    "u1,pay,1772380802000,,7,1,\n"  // Another method.
    "u2,shown,2026-03-01T16:00:00Z,b,,,\n"
    "u2,pay,2026-03-01T15:59:59Z,,9,01,\n"  // Before its clock.
    "u2,pay,2026-03-01 17:00:00,,9,01,\n"
    "u2,pay,2026-03-01T17:00:00Z,,lots,01,\n"
    ",pay,2026-03-01T17:00:00Z,,1,01,\n"
    "u3,shown,2026-03-01T17:00:00Z,c,,,\n";

TEST(FileEventsTest, FoldsEventsAndNamesWhatItCannotRead) {
  const FileSource source = Source(kCsv);
  const absl::StatusOr<PlanResult> result = RunOnFile(source, PaidPlan());
  std::filesystem::remove(source.path);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(result->health.rejected_rows, 3);
  EXPECT_EQ(result->health.rejected_reasons.size(), 3u);
  EXPECT_EQ(result->health.rejected_reasons.count("amount: not a number"), 1u);
  EXPECT_EQ(result->health.unknown_variants.count("c"), 1u);
  ASSERT_GE(result->cells.size(), 2u);
  EXPECT_EQ(result->cells[0].gram.n(), 1);
  EXPECT_EQ(result->cells[0].gram.mean(0), 5);
  EXPECT_EQ(result->cells[1].gram.mean(0), 0);
  EXPECT_EQ(result->cells[2].slice_value, "(none)");
}

TEST(FileEventsTest, SaysWhatIsMissing) {
  FileSource source = Source(kCsv);
  source.exposure_event.clear();
  EXPECT_THAT(std::string(Message(RunOnFile(source, PaidPlan()).status())),
              HasSubstr("data.exposure"));
  source.exposure_event = "shown";
  source.time_column = "time";
  EXPECT_THAT(std::string(Message(RunOnFile(source, PaidPlan()).status())),
              HasSubstr("data.time reads column \"time\""));
  std::filesystem::remove(source.path);
}

// Worlds cut down to what an event file can say, through a file and through the reference.
World WithoutWhatFilesLack(World world) {
  History& history = world.history;
  history.links.clear();
  std::vector<PastExposure> exposures;
  for (PastExposure& exposure : history.exposures) {
    if (exposure.unit.first != "device" || exposure.experiment != "checkout") continue;
    exposure.exposure_id.clear();
    exposure.phase = 0;
    exposure.received_ms = exposure.ts_ms;
    exposure.attributes.erase("bot");
    exposures.push_back(exposure);
  }
  history.exposures = exposures;
  for (PastEvent& event : history.events) {
    event.event_id.clear();
    event.ids = {{"device", event.ids.back().second}};
    event.received_ms = event.ts_ms;
    event.currency.clear();
    event.properties.erase("method");
  }
  // Exposures are events of the file too; here nothing counts those.
  for (Column& column : world.plan.columns) {
    if (column.kind == ColumnKind::kHasPre) column.kind = ColumnKind::kAtLeast;
    if (column.terms.empty()) column.terms = {{1, {"pay"}, "", {}}};
    if (column.funnel >= 0) column.kind = ColumnKind::kStage;
    for (Term& term : column.terms) term.filters.clear();
    for (Term& term : column.terms) {
      if (term.property == "method") term.property = "value";
    }
  }
  for (QuantileSpec& spec : world.plan.quantiles) {
    spec.term.filters.clear();
    if (spec.term.property == "method") spec.term.property = "value";
  }
  for (JourneySpec& journey : world.plan.journeys) {
    for (JourneyStage& stage : journey.stages) stage.filters.clear();
  }
  for (BurstRule& rule : world.plan.population.exclude_bursts) rule.filters.clear();
  world.plan.population.exclude_attribute.clear();
  world.plan.population.unit_kind = "device";
  return world;
}

std::string Cell(const std::map<std::string, Literal>& values, const std::string& key) {
  const auto it = values.find(key);
  if (it == values.end()) return "";
  if (const auto* boolean = std::get_if<bool>(&it->second)) return *boolean ? "true" : "false";
  if (const auto* number = std::get_if<double>(&it->second)) return FormatDouble(*number);
  return std::get<std::string>(it->second);
}

std::string ToCsv(const History& history) {
  std::string csv =
      "who,what,when,arm,amount,quantity,gift,channel,registered,level,household,order_id,"
      "session_id\n";
  for (const PastEvent& event : history.events) {
    csv += event.ids[0].second + "," + event.name + "," + std::to_string(event.ts_ms) + ",," +
           (event.value ? FormatDouble(*event.value) : "") + "," +
           Cell(event.properties, "quantity") + "," + Cell(event.properties, "gift") + ",,,,," +
           event.order_id + "," + event.session_id + "\n";
  }
  for (const PastExposure& exposure : history.exposures) {
    csv += exposure.unit.second + ",shown," + std::to_string(exposure.ts_ms) + "," +
           exposure.variant + ",,,";
    for (const char* key : {"channel", "registered", "level", "household"}) {
      csv += "," + Cell(exposure.attributes, key);
    }
    csv += ",,\n";
  }
  return csv;
}

std::string FileDifference(const World& world) {
  const FileSource source = Source(ToCsv(world.history));
  absl::StatusOr<PlanResult> got = RunOnFile(source, world.plan);
  std::filesystem::remove(source.path);
  if (!got.ok()) return std::string(Message(got.status()));
  PlanResult want = RunReference(world.history, world.plan).result;
  want.health.last_received_ms = got->health.last_received_ms;  // Exposures only, in the file.
  return Difference(*got, want);
}

TEST(FileEventsTest, EqualsTheReferenceOnRandomWorlds) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const World world = WithoutWhatFilesLack(MakeWorld(seed));
    if (world.history.events.empty()) continue;
    const std::string difference = FileDifference(world);
    if (difference.empty()) continue;
    const World least = Shrink(world, [](const World& w) { return !FileDifference(w).empty(); });
    FAIL() << "seed " << seed << ": " << difference << "\nshrunk: " << FileDifference(least) << '\n'
           << Describe(least);
  }
}

}  // namespace
}  // namespace fulcrum::store
