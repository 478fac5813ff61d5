// SPDX-License-Identifier: Apache-2.0
#include "report/cluster_effect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/status.h"
#include "report/analyze.h"
#include "report/plan.h"
#include "report/sample_reports.h"
#include "stats/cluster.h"
#include "stats/distributions.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;

Definitions ByCity() {
  Definitions definitions = ShopDefinitions();
  definitions.experiments.front().cluster = "city";
  definitions.experiments.front().analysis.dimensions.clear();
  return definitions;
}

Report ClusterReport(const ShopWorld& world, const Definitions& definitions = ByCity()) {
  const store::Plan plan = ShopPlan(definitions);
  return Analyze(definitions, definitions.experiments.front(), plan, ShopResult(plan, world));
}

ShopWorld Cities(int clusters, double sd, uint64_t seed = 1) {
  ShopWorld world;
  world.seed = seed;
  world.clusters = clusters;
  world.cluster_sd = sd;
  world.units = {clusters * 30, clusters * 30};
  return world;
}

const Comparison& First(const Report& report, const char* metric) {
  return report.FindMetric(metric)->comparisons.front();
}

TEST(ClusterEffect, OneRowAClusterWithItsOwnDegreesOfFreedom) {
  const Definitions definitions = ByCity();
  const store::Plan plan = ShopPlan(definitions);
  const store::PlanResult result = ShopResult(plan, Cities(20, 0.3));
  const Report report = Analyze(definitions, definitions.experiments.front(), plan, result);
  const Comparison& c = First(report, "pay_rate");
  EXPECT_EQ(c.pair, DualPair::kClusterT);
  EXPECT_LE(*c.df, 38);
  EXPECT_GT(*c.df, 25);
  // Against the rows themselves.
  const Sample sample = Gather(plan, result, {});
  const auto ref = FindColumn(plan, "pay_rate");
  std::vector<stats::ClusterRow> rows[2];
  for (size_t arm = 0; arm < 2; ++arm) {
    for (const auto& row : sample.groups[ref->group].arms[arm].clusters) {
      rows[arm].push_back({row.back(), row[ref->index]});
    }
    ASSERT_EQ(rows[arm].size(), 20U);
  }
  const auto want = stats::ClusterDifference(rows[1], rows[0], 0.05);
  EXPECT_DOUBLE_EQ(*c.diff, want.diff);
  EXPECT_DOUBLE_EQ(*c.se, want.se);
  EXPECT_DOUBLE_EQ(*c.p, want.p);
  const ArmValue& arm = report.FindMetric("pay_rate")->arms.front();
  EXPECT_EQ(arm.n_clusters, 20);
  EXPECT_EQ(arm.n, 600);
  EXPECT_NEAR(*arm.rate, *arm.x / arm.n, 1e-12);
  EXPECT_THAT(report.FindMetric("pay_rate")->estimand,
              testing::HasSubstr("randomised and compared by cluster of `city`"));
  // A ratio's denominator is its own, not the number of units.
  EXPECT_EQ(First(report, "order_value").pair, DualPair::kClusterT);
  EXPECT_NEAR(*First(report, "order_value").lift, 0, 0.5);
  EXPECT_EQ(First(report, "time_to_pay").status, Status::kNotForClusters);
}

TEST(ClusterEffect, TheMismatchTestCountsClusters) {
  ShopWorld world = Cities(25, 0.3);
  world.units = {900, 1500};  // Units differ: clusters have sizes of their own.
  const Report report = ClusterReport(world);
  EXPECT_THAT(report.health.srm.observed, testing::ElementsAre(25, 25));
  EXPECT_FALSE(report.health.srm.mismatch);
  EXPECT_EQ(report.arms.front().clusters, 25);
}

TEST(ClusterEffect, ClustersOfSeveralPhasesAreExpectedPhaseByPhase) {
  const Definitions definitions = ByCity();
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result;
  const auto cell = [&](int arm, int phase, int clusters) {
    const size_t width = plan.groups.front().columns.size() + 1;
    store::Cell out;
    out.arm = arm;
    out.phase = phase;
    out.gram = stats::Gram(width);
    out.gram.AddRepeated(std::vector<double>(width, 1), clusters);
    result.cells.push_back(out);
  };
  cell(0, 0, 90);
  cell(1, 0, 10);
  cell(0, 1, 50);
  cell(1, 1, 50);
  result.health.arms.resize(2);
  AnalyzeOptions options;
  options.phases = {{0, {9, 1}}, {1, {1, 1}}};
  const Report report =
      Analyze(definitions, definitions.experiments.front(), plan, result, options);
  EXPECT_THAT(report.health.srm.expected, testing::ElementsAre(140, 60));
  EXPECT_NEAR(*report.health.srm.p, 1, 1e-12);
}

TEST(ClusterEffect, FewClustersAreJudgedByTheAssignmentItself) {
  ShopWorld world = Cities(8, 0.2);
  world.pay_factor = {1, 1.6};
  const Report report = ClusterReport(world);
  const Comparison& c = First(report, "pay_rate");
  ASSERT_EQ(c.pair, DualPair::kRandomisation);
  EXPECT_EQ(c.lift_method, LiftMethod::kScaled);
  EXPECT_GE(*c.p, 1 / 12870.0);  // 16 choose 8 assignments, all counted.
  EXPECT_LT(*c.p, 0.04);
  EXPECT_GT(*c.sim_lo, 0);
  EXPECT_EQ(c.outcome, Outcome::kBetter);
  for (const MetricReport& metric : report.metrics) {
    for (const Comparison& each : metric.comparisons) {
      if (each.pair != DualPair::kRandomisation) continue;
      const bool excludes = *each.sim_lo > 0 || *each.sim_hi < 0;
      EXPECT_EQ(*each.p_adjusted < report.analysis.alpha_final, excludes) << metric.key;
    }
  }
  // Three against three can reject nothing at this level: said by an unbounded interval.
  const Report tiny = ClusterReport(Cities(3, 0.2));
  EXPECT_TRUE(std::isinf(*First(tiny, "pay_rate").sim_lo));
  EXPECT_EQ(First(tiny, "pay_rate").outcome, Outcome::kNoDifference);
  EXPECT_EQ(First(ClusterReport(Cities(1, 0.2)), "pay_rate").status, Status::kNotEnoughClusters);
}

// Clusters that differ a lot and change nothing: taking units as independent would find something
// most of the time.
TEST(ClusterEffect, NoChangeIsFoundAsOftenAsAlphaSays) {
  Definitions definitions = ByCity();
  auto& experiment = definitions.experiments.front();
  experiment.secondary.clear();
  experiment.guardrails.clear();
  experiment.funnel.clear();
  int found = 0;
  int naive = 0;
  constexpr int kRuns = 300;
  for (int run = 0; run < kRuns; ++run) {
    const Report report = ClusterReport(Cities(15, 1.2, 1000 + run), definitions);
    const Comparison& c = First(report, "pay_rate");
    found += *c.p < 0.05 ? 1 : 0;
    const auto& arms = report.FindMetric("pay_rate")->arms;
    const double rate = 0.5 * (*arms[0].rate + *arms[1].rate);
    const double se = std::sqrt(rate * (1 - rate) * (1 / arms[0].n + 1 / arms[1].n));
    naive += std::fabs(*c.diff) > 1.959964 * se ? 1 : 0;
  }
  // 300 at 5%: 4 to 29 is the exact central 99.9% of the binomial.
  EXPECT_GE(found, 4);
  EXPECT_LE(found, 29);
  EXPECT_GT(naive, 45);  // Three times as often as it says.
}

TEST(ClusterEffect, FunnelStepsOfClustersAddUp) {
  const Report report = ClusterReport(Cities(20, 0.3));
  double sum = 0;
  for (const FunnelStageReport& stage : report.funnels.front().stages) {
    const FunnelComparison& c = stage.comparisons.front();
    if (stage.optional || !c.log_step) continue;
    sum += *c.log_step;
    EXPECT_NEAR(sum, *c.log_lift, 1e-12);
    EXPECT_NEAR(stage.arms.front().x, stage.arms.front().rate * 600, 1e-6);
  }
}

TEST(ClusterEffect, ASwitchbackIsPlannedByItsBlocks) {
  Definitions definitions = ShopDefinitions();
  auto& experiment = definitions.experiments.front();
  experiment.switchback = experiments::Switchback{4 * 3'600'000, 1'800'000, "city"};
  const auto plan = MakePlan(definitions, experiment);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->population.block_ms, 4 * 3'600'000);
  EXPECT_EQ(plan->population.washout_ms, 1'800'000);
  EXPECT_EQ(plan->population.cluster_attribute, "city");
  ShopWorld world = Cities(25, 0.3);
  const Report report = Analyze(definitions, experiment, *plan, ShopResult(*plan, world));
  EXPECT_EQ(report.experiment.block_ms, 4 * 3'600'000);
  EXPECT_EQ(First(report, "pay_rate").pair, DualPair::kClusterT);
  EXPECT_THAT(report.FindMetric("pay_rate")->estimand,
              testing::HasSubstr("by blocks of 4h for each `city`"));
  experiment.start_ms.reset();
  EXPECT_THAT(std::string(Message(MakePlan(definitions, experiment).status())),
              testing::HasSubstr("give `schedule` a `start`"));
}

}  // namespace
}  // namespace fulcrum::report
