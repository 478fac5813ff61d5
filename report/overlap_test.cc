// SPDX-License-Identifier: Apache-2.0
#include "report/overlap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "report/analyze.h"
#include "report/render.h"
#include "report/sample_reports.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;

Definitions TwoExperiments() {
  Definitions definitions = ShopDefinitions();
  auto& experiment = definitions.experiments.front();
  experiment.secondary.clear();
  experiment.guardrails.clear();
  experiment.funnel.clear();
  experiment.analysis.dimensions = {{"channel"}};
  experiment.analysis.by_day = false;
  experiment.analysis.overlaps = {"search"};
  experiments::ExperimentDefinition other = experiment;
  other.key = "search";
  other.title = "Search ranking";
  other.variants[1].key = "learned";
  definitions.experiments.push_back(other);
  return definitions;
}

// The effect is `alone` with the other's control and `alone` + `more` with its treatment.
Report Crossed(double alone, double more, double other_effect) {
  const Definitions definitions = TwoExperiments();
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result;
  Dice dice(11);
  const auto cell = [&](int arm, int slice, const std::string& value, double rate, int units) {
    store::Cell out;
    out.arm = arm;
    out.slice = slice;
    out.slice_value = value;
    out.gram = stats::Gram(1);
    for (int i = 0; i < units; ++i)
      out.gram.Add(std::vector<double>{dice.Chance(rate) ? 1.0 : 0.0});
    result.cells.push_back(std::move(out));
  };
  for (int arm = 0; arm < 2; ++arm) {
    const double effect = arm == 1 ? alone : 0;
    cell(arm, -1, "", 0.2 + effect, 10000);
    cell(arm, 1, "control", 0.2 + effect, 4000);
    cell(arm, 1, "learned", 0.2 + effect + other_effect + (arm == 1 ? more : 0), 4000);
    cell(arm, 1, "(none)", 0.2 + effect, 2000);
  }
  result.health.arms.resize(2);
  result.as_of_ms = kShopEndMs + 8 * 86'400'000LL;
  return Analyze(definitions, definitions.experiments.front(), plan, result);
}

TEST(Overlap, IsPlannedAsASliceThatIsNoAttribute) {
  const Definitions definitions = TwoExperiments();
  const store::Plan plan = ShopPlan(definitions);
  ASSERT_EQ(plan.slices.size(), 2U);
  EXPECT_FALSE(IsOverlap(plan.slices[0]));
  EXPECT_TRUE(IsOverlap(plan.slices[1]));
  EXPECT_EQ(store::OtherExperiment(plan.slices[1].attributes.front()), "search");
}

TEST(Overlap, FindsAnEffectThatDependsOnTheOtherExperiment) {
  const Report report = Crossed(0, 0.08, 0.03);
  ASSERT_EQ(report.overlaps.size(), 1U);
  const OverlapReport& overlap = report.overlaps.front();
  ASSERT_EQ(overlap.status, Status::kOk);
  EXPECT_EQ(overlap.units, 16000);  // Those in neither are not in the table.
  EXPECT_TRUE(overlap.interacts);
  EXPECT_EQ(*overlap.df, 1);
  ASSERT_EQ(overlap.cells.size(), 2U);
  EXPECT_FALSE(overlap.cells[0].interaction);
  EXPECT_NEAR(*overlap.cells[1].interaction, 0.08, 0.05);
  EXPECT_NEAR(*overlap.cells[1].interaction, *overlap.cells[1].diff - *overlap.cells[0].diff,
              1e-12);
  EXPECT_THAT(RenderMarkdown(report), testing::HasSubstr("decide on both together"));
  // It is a section of its own, not a slice.
  for (const SliceReport& slice : report.slices) EXPECT_NE(slice.key, "search");
}

TEST(Overlap, EffectsThatAddUpDoNotInteract) {
  const Report report = Crossed(0.04, 0, 0.05);
  EXPECT_FALSE(report.overlaps.front().interacts);
  EXPECT_THAT(RenderMarkdown(report), testing::HasSubstr("each can be read alone"));
}

}  // namespace
}  // namespace fulcrum::report
