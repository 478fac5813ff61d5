// SPDX-License-Identifier: Apache-2.0
#include "experiments/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/time.h"
#include "experiments/sample_test_data.h"
#include "experiments/validate.h"

namespace fulcrum::experiments {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string All(const LoadResult& loaded) {
  std::string out;
  for (const Diagnostic& d : loaded.diagnostics) out += Format(d) + "\n";
  return out;
}

TEST(LoadTest, TheSampleIsSound) {
  const LoadResult loaded = LoadFromFiles(SampleFiles());
  EXPECT_EQ(All(loaded), "");
  EXPECT_EQ(loaded.definitions.version.size(), 16u);
  EXPECT_TRUE(Validate(loaded.definitions).empty());
}

TEST(LoadTest, ReadsTheProject) {
  const LoadResult loaded = LoadFromFiles(SampleFiles());
  const Project& project = loaded.definitions.project;
  EXPECT_EQ(project.key, "shop");
  EXPECT_EQ(project.timezone, "Asia/Shanghai");
  ASSERT_EQ(project.units.size(), 2u);
  EXPECT_EQ(project.units[0].key, "user");
  EXPECT_EQ(project.units[1].links_to, "user");
  EXPECT_THAT(project.events.at("pay"), ElementsAre("pay", "Order Completed", "purchase"));
  ASSERT_EQ(project.stages.size(), 6u);
  EXPECT_THAT(project.stages[2].any_of, ElementsAre("register", "login"));
  ASSERT_TRUE(project.stages[2].satisfied_if.has_value());
  EXPECT_EQ(project.stages[2].satisfied_if->op, ConditionOp::kEq);
  EXPECT_EQ(project.stages[1].mover, Mover::kBusiness);
  EXPECT_TRUE(project.stages[1].optional);
  EXPECT_EQ(project.holdouts[0].percent, 2);
  EXPECT_EQ(project.holdouts[0].unit, "user");
  EXPECT_EQ(project.metrics.size(), 9u);
}

TEST(LoadTest, ReadsEveryKindOfMetric) {
  const LoadResult loaded = LoadFromFiles(SampleFiles());
  const Definitions& d = loaded.definitions;
  const MetricDefinition* revenue = d.FindMetric("revenue");
  ASSERT_NE(revenue, nullptr);
  ASSERT_EQ(revenue->terms.size(), 2u);
  EXPECT_EQ(revenue->terms[1].coefficient, -1);
  EXPECT_EQ(revenue->cap->quantile, 0.999);
  EXPECT_EQ(revenue->window.end_ms, 7 * kDayMs);
  const MetricDefinition* refunds = d.FindMetric("refund_rate");
  ASSERT_EQ(refunds->terms[0].filters.size(), 2u);
  EXPECT_EQ(refunds->terms[0].filters[0].op, FilterOp::kIn);
  EXPECT_EQ(refunds->terms[0].filters[1].op, FilterOp::kGe);
  EXPECT_EQ(refunds->direction, Direction::kDecrease);
  EXPECT_EQ(d.FindMetric("order_value")->denominator.size(), 1u);
  EXPECT_EQ(d.FindMetric("time_to_pay")->from_stage, "");
  EXPECT_EQ(d.FindMetric("time_to_pay")->horizon_ms, 7 * kDayMs);
  EXPECT_EQ(d.FindMetric("d7_return")->retention_to_ms, 8 * kDayMs);
  EXPECT_TRUE(d.FindMetric("pay_amount_median")->quantile_of_events);
  EXPECT_EQ(d.FindMetric("orders")->covariate_window_ms, 14 * kDayMs);
  EXPECT_EQ(d.FindMetric("orders")->maturity, Maturity::kCount);
  EXPECT_EQ(d.FindMetric("funnel")->funnel_stages.size(), 6u);
}

TEST(LoadTest, ReadsTheExperiment) {
  const LoadResult loaded = LoadFromFiles(SampleFiles());
  const ExperimentDefinition* e = loaded.definitions.FindExperiment("one-page-checkout");
  ASSERT_NE(e, nullptr);
  EXPECT_EQ(e->status, ExperimentStatus::kRunning);
  EXPECT_EQ(e->layer, "checkout");
  EXPECT_THAT(e->layer_ranges, ElementsAre(std::make_pair(0.0, 50.0)));
  ASSERT_EQ(e->audience->children.size(), 5u);
  EXPECT_EQ(e->audience->children[0].op, ConditionOp::kIn);
  EXPECT_EQ(std::get<std::string>(e->audience->children[1].values[0]), "2.3.0");
  EXPECT_EQ(e->audience->children[2].children[0].ref, "testers");
  EXPECT_EQ(e->audience->children[3].ref, "other");
  EXPECT_EQ(e->audience->children[4].percent, 50);
  EXPECT_EQ(e->variants[0].value_json, "\"three-page\"");
  EXPECT_TRUE(e->variants[0].control);
  EXPECT_EQ(e->start_ms, ParseRfc3339("2026-03-01T16:00:00Z"));
  EXPECT_EQ(e->ramp[1].at_ms, 2 * kDayMs);
  EXPECT_TRUE(e->ramp[1].elapsed);
  EXPECT_EQ(e->guardrails[0].margin, 0.05);
  EXPECT_EQ(e->decision.min_lift, 0.01);
  EXPECT_EQ(e->decision.planned_duration_ms, 21 * kDayMs);
  EXPECT_EQ(e->content_hash.size(), 16u);
  const ExperimentDefinition* other = loaded.definitions.FindExperiment("other");
  EXPECT_EQ(other->value_type, ValueType::kFloat);
  EXPECT_EQ(other->variants[0].value_json, "1.0");
  EXPECT_EQ(other->variants[1].value_json, "2.5");
  EXPECT_EQ(other->unit, "user");
}

TEST(LoadTest, ReadsAFileForAnalyze) {
  const LoadResult loaded = LoadAnalyzeText("hillstrom.yaml", kSampleAnalyze);
  EXPECT_EQ(All(loaded), "");
  ASSERT_EQ(loaded.definitions.experiments.size(), 1u);
  const ExperimentDefinition& e = loaded.definitions.experiments[0];
  EXPECT_EQ(e.data->arm_column, "segment");
  EXPECT_FALSE(e.data->per_event);
  EXPECT_EQ(e.variants[0].key, "No E-Mail");
  EXPECT_EQ(loaded.definitions.FindMetric("spend")->covariate_columns.size(), 2u);
}

TEST(LoadTest, HashesNameTheContent) {
  auto files = SampleFiles();
  const LoadResult before = LoadFromFiles(files);
  files["experiments/other.yaml"] += "# a comment\n";
  const LoadResult after = LoadFromFiles(files);
  EXPECT_NE(before.definitions.version, after.definitions.version);
  EXPECT_EQ(before.definitions.experiments[0].content_hash,
            after.definitions.experiments[0].content_hash);
  EXPECT_NE(before.definitions.experiments[1].content_hash,
            after.definitions.experiments[1].content_hash);
  EXPECT_EQ(LoadFromFiles(SampleFiles()).definitions.version, before.definitions.version);
}

// Keys sorted, integers kept, floats with their point, text escaped.
TEST(LoadTest, ValuesBecomeCanonicalJson) {
  auto files = SampleFiles();
  files["experiments/other.yaml"] = R"(
experiment: other
status: draft
salt: other-2026
variants:
  off: {control: true, value: {b: [1, 2.0, "3"], a: {y: true, x: "quote \" and é"}, "c d": 1e3}}
  on: {value: {}}
)";
  const LoadResult loaded = LoadFromFiles(files);
  EXPECT_EQ(All(loaded), "");
  const ExperimentDefinition* other = loaded.definitions.FindExperiment("other");
  EXPECT_EQ(other->variants[0].value_json,
            R"({"a":{"x":"quote \" and é","y":true},"b":[1,2.0,"3"],"c d":1000.0})");
  EXPECT_EQ(other->variants[1].value_json, "{}");
  EXPECT_EQ(other->value_type, ValueType::kObject);
}

class LoadDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "fulcrum-load-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    for (const auto& [name, text] : SampleFiles()) Write(name, text);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name, std::ios::binary) << text;
  }
  std::string Errors() { return All(LoadDirectory(dir_.string())); }

  std::filesystem::path dir_;
};

TEST_F(LoadDirectoryTest, IsTheSameAsFromMemory) {
  const LoadResult loaded = LoadDirectory(dir_.string());
  EXPECT_EQ(All(loaded), "");
  EXPECT_EQ(loaded.definitions.version, LoadFromFiles(SampleFiles()).definitions.version);
}

TEST_F(LoadDirectoryTest, NamesWhatCannotBeRead) {
  EXPECT_THAT(All(LoadDirectory("/nowhere/at/all")), HasSubstr("is not a directory"));
  std::filesystem::create_directory(dir_ / "experiments" / "nested");
  EXPECT_THAT(Errors(), HasSubstr("warning: is a directory and is not read"));
  Write("experiments/late.yml", "experiment: late\n");
  EXPECT_THAT(Errors(), HasSubstr("late.yml: error: would not be read: rename it"));
  std::filesystem::create_directory(dir_ / "experiments" / "fake.yaml");
  EXPECT_THAT(Errors(), HasSubstr("is a directory and is not read"));
  std::filesystem::remove(dir_ / "project.yaml");
  EXPECT_THAT(Errors(), HasSubstr("project.yaml: error: is missing"));
}

TEST_F(LoadDirectoryTest, BoundsWhatItReads) {
  Write("experiments/huge.yaml", std::string(kMaxFileBytes + 1, '#'));
  EXPECT_THAT(Errors(), HasSubstr("huge.yaml: error: the file has 1048577 bytes"));
}

TEST_F(LoadDirectoryTest, EditorLeftoversAreNotDefinitions) {
  Write("experiments/.other.yaml.swp", "\xFF\xFE junk");
  Write("experiments/other.yaml~", "junk");
  Write("experiments/README.md", "junk: [");
  EXPECT_EQ(Errors(), "");
}

}  // namespace
}  // namespace fulcrum::experiments
