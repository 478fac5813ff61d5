// SPDX-License-Identifier: Apache-2.0
//
// A simulated shop over real HTTP to a real server: nothing is lost or added on the way, the
// server decides as the evaluator does, and what the report is held against is what it should be.
#include "cli/simulate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/time.h"
#include "cli/simulate_body.h"
#include "experiments/load.h"
#include "report/analyze.h"
#include "report/plan.h"
#include "server/server.h"

namespace fulcrum::cli {
namespace {

class Simulate : public testing::Test {
 protected:
  void SetUp() override {
    loaded_ = experiments::LoadDirectory("examples/shop");
    ASSERT_TRUE(loaded_.ok());
    directory_ =
        std::filesystem::temp_directory_path() / ("fulcrum-simulate-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_);
    options_.users = 250;
    options_.days = 9;
    options_.history_days = 2;
    options_.slice_ms = 6 * kHourMs;
  }

  void TearDown() override {
    server_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void Start(bool simulated_clock) {
    server::ServerOptions options;
    options.project_dir = "examples/shop";
    options.data_dir = directory_.string();
    options.port = 0;
    options.watch = false;
    options.simulated_clock = simulated_clock;
    options.simulated_start_ms = *loaded_.definitions.experiments.front().start_ms - 3 * kDayMs;
    options.log = [](std::string_view) {};
    auto started = server::StartServer(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    options_.server = server_->url();
  }

  experiments::LoadResult loaded_;
  std::filesystem::path directory_;
  SimulateOptions options_;
  std::unique_ptr<server::Server> server_;
};

TEST_F(Simulate, EverythingSentOverHttpIsInTheReport) {
  Start(true);
  auto simulation = MakeSimulation(loaded_.definitions, options_);
  ASSERT_TRUE(simulation.ok()) << simulation.status();
  double last = 0;
  options_.progress = [&](double done) {
    EXPECT_GE(done, last);
    last = done;
  };
  const auto stats = SimulateOverHttp(*simulation, options_);
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->disagreements, 0);
  EXPECT_GT(stats->evaluations, options_.users);
  EXPECT_EQ(last, 1.0);

  const TruthFile truth = TrueEffects(*simulation, options_);
  double exposures = 0;
  for (const auto& experiment : loaded_.definitions.experiments) {
    const auto plan = report::MakePlan(loaded_.definitions, experiment, truth.as_of_ms);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const auto result = server_->store().Run(*plan);
    ASSERT_TRUE(result.ok()) << result.status();
    const report::Report report = report::Analyze(loaded_.definitions, experiment, *plan, *result);
    for (const auto& count : truth.truth.arms) {
      if (count.experiment != experiment.key) continue;
      const report::ArmInfo* arm = report.FindArm(count.variant);
      ASSERT_NE(arm, nullptr);
      EXPECT_EQ(arm->units, static_cast<double>(count.units))
          << experiment.key << " " << count.variant;
      EXPECT_EQ(arm->exposures, static_cast<double>(count.exposures));
      exposures += arm->exposures;
    }
  }
  EXPECT_EQ(exposures, static_cast<double>(stats->exposures));
}

TEST_F(Simulate, AServerOnTheMachinesClockIsRefusedWithWhatToDo) {
  Start(false);
  auto simulation = MakeSimulation(loaded_.definitions, options_);
  ASSERT_TRUE(simulation.ok());
  const auto stats = SimulateOverHttp(*simulation, options_);
  EXPECT_EQ(stats.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(stats.status().ToString().find("--simulated-clock"), std::string::npos);
}

TEST_F(Simulate, FilesHoldTheSameWorld) {
  auto simulation = MakeSimulation(loaded_.definitions, options_);
  ASSERT_TRUE(simulation.ok());
  options_.out = (directory_ / "files").string();
  const auto stats = SimulateToFiles(*simulation, options_);
  ASSERT_TRUE(stats.ok()) << stats.status();
  const auto lines = [&](const char* name) {
    std::ifstream file(directory_ / "files" / name);
    int64_t count = -1;  // The header.
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  };
  EXPECT_EQ(lines("exposures.csv"), stats->exposures);
  EXPECT_EQ(lines("events.csv"), stats->events);
  EXPECT_EQ(lines("links.csv"), stats->links);
  EXPECT_GT(stats->events, 500);
}

TEST_F(Simulate, WrongSizesAreInvalidArguments) {
  options_.users = 0;
  EXPECT_EQ(MakeSimulation(loaded_.definitions, options_).status().code(),
            absl::StatusCode::kInvalidArgument);
  options_.users = 10;
  options_.days = 0;
  EXPECT_EQ(MakeSimulation(loaded_.definitions, options_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// --- True effects on paper and the check ---------------------------------------------------------

TruthFile SampleTruth() {
  TruthFile file;
  file.seed = 18446744073709551615ULL;
  file.users = 12;
  file.as_of_ms = 1772380800000;
  file.truth.effects.push_back(
      {"a", "on", "off", "rate", "", 100, 0.1, 0.1 + 1.0 / 3, 1.0 / 3, 10.0 / 3, 0.01});
  file.truth.effects.push_back({"a", "on", "off", "steps", "pay", 100, 0.5, 0.4, -0.1, -0.2, 0});
  file.truth.arms.push_back({"a", "on", 50, 60});
  file.planted = {{"a", sim::Planted::kHarm}, {"b", sim::Planted::kMismatch}};
  return file;
}

TEST(Truth, JsonIsLossless) {
  const TruthFile file = SampleTruth();
  const auto read = TruthFromJson(TruthToJson(file));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(TruthToJson(*read), TruthToJson(file));
  EXPECT_EQ(read->seed, file.seed);
  EXPECT_EQ(read->truth.effects[0].effect, 1.0 / 3);
  EXPECT_EQ(read->truth.effects[1].stage, "pay");
  EXPECT_EQ(read->planted[1].planted, sim::Planted::kMismatch);
}

TEST(Truth, DamagedFilesNameTheField) {
  EXPECT_FALSE(TruthFromJson("").ok());
  EXPECT_FALSE(TruthFromJson("[]").ok());
  std::string text = TruthToJson(SampleTruth());
  text.replace(text.find("\"lift\""), 6, "\"left\"");
  const auto read = TruthFromJson(text);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(read.status().ToString().find("lift"), std::string::npos);
}

report::Report SampleReport(double lower, double upper) {
  report::Report report;
  report.experiment.key = "a";
  report.verdict.decision = report::Decision::kStop;
  report::MetricReport metric;
  metric.key = "rate";
  metric.role = report::Role::kPrimary;
  report::Comparison comparison;
  comparison.arm = "on";
  comparison.estimate = (lower + upper) / 2;
  comparison.sim_lo = lower;
  comparison.sim_hi = upper;
  comparison.outcome = report::Outcome::kWorse;
  metric.comparisons.push_back(comparison);
  report.metrics.push_back(metric);
  return report;
}

TEST(Check, SaysWhichIntervalMissesTheTruth) {
  CheckResult good;
  CheckReport(SampleTruth(), SampleReport(0.3, 0.4), &good);
  EXPECT_TRUE(good.ok()) << CheckTable(good);
  CheckResult bad;
  CheckReport(SampleTruth(), SampleReport(0.34, 0.4), &bad);
  EXPECT_FALSE(bad.ok());
  EXPECT_NE(CheckTable(bad).find("NO"), std::string::npos);
  // Nothing to hold against the truth is no success.
  EXPECT_FALSE(CheckResult{}.ok());
}

TEST(Check, PlantedHarmAndMismatchMustBeFound) {
  report::Report blind = SampleReport(0.3, 0.4);
  blind.verdict.decision = report::Decision::kShip;
  CheckResult unseen;
  CheckReport(SampleTruth(), blind, &unseen);
  EXPECT_EQ(unseen.failures.size(), 1u);

  report::Report mismatch = SampleReport(0.9, 1.0);
  mismatch.experiment.key = "b";
  CheckResult missed;
  CheckReport(SampleTruth(), mismatch, &missed);
  EXPECT_EQ(missed.failures.size(), 1u);
  mismatch.health.srm.mismatch = true;
  mismatch.verdict.withheld = true;
  CheckResult caught;
  CheckReport(SampleTruth(), mismatch, &caught);
  EXPECT_TRUE(caught.failures.empty());
  EXPECT_TRUE(caught.lines.empty()) << "the numbers of a broken experiment mean nothing";
}

TEST(Body, RejectedItemsAreAnError) {
  EXPECT_TRUE(CheckAccepted(R"({"accepted":2,"duplicates":0,"rejected":[]})").ok());
  const absl::Status status =
      CheckAccepted(R"({"accepted":1,"duplicates":0,"rejected":[{"index":1,"error":"ts: no"}]})");
  EXPECT_NE(status.ToString().find("ts: no"), std::string::npos);
  EXPECT_FALSE(CheckAccepted("<html>").ok());
}

}  // namespace
}  // namespace fulcrum::cli
