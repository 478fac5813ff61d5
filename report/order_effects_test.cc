// SPDX-License-Identifier: Apache-2.0
#include "report/order_effects.h"

#include <gtest/gtest.h>

#include <cmath>

#include "report/sample_reports.h"

namespace fulcrum::report {
namespace {

// The data of Freireich et al. (1963), weeks of remission: 6-mercaptopurine against placebo, the
// worked example of survival analysis. Reference figures: R 4.2, survival::survfit and survdiff,
// survRM2::rmst2 with tau = 20.
struct World {
  experiments::Definitions definitions = ShopDefinitions();
  store::Plan plan;
  Sample sample;
  experiments::MetricDefinition metric;
  store::PlanResult result;

  explicit World(int64_t horizon_ms = 23) {
    metric.key = "time_to_pay";
    metric.kind = experiments::MetricKind::kTimeTo;
    metric.horizon_ms = horizon_ms;
    plan.population.arms = {{"placebo", 1}, {"drug", 1}};
    plan.time_to = {{"time_to_pay", {}, {}, horizon_ms}};
    // time, at risk, events, censored.
    result.survival = {{0,
                        0,
                        {{1, 21, 2, 0},
                         {2, 19, 2, 0},
                         {3, 17, 1, 0},
                         {4, 16, 2, 0},
                         {5, 14, 2, 0},
                         {8, 12, 4, 0},
                         {11, 8, 2, 0},
                         {12, 6, 2, 0},
                         {15, 4, 1, 0},
                         {17, 3, 1, 0},
                         {22, 2, 1, 0},
                         {23, 1, 1, 0}}},
                       {0,
                        1,
                        {{6, 21, 3, 1},
                         {7, 17, 1, 0},
                         {9, 16, 0, 1},
                         {10, 15, 1, 1},
                         {11, 13, 0, 1},
                         {13, 12, 1, 0},
                         {16, 11, 1, 0},
                         {17, 10, 0, 1},
                         {19, 9, 0, 1},
                         {20, 8, 0, 1},
                         {22, 7, 1, 0},
                         {23, 6, 1, 5}}}};
  }
  MetricResult Run() {
    return EstimateTimeTo({plan, sample, metric, definitions.experiments.front()}, result);
  }
};

TEST(TimeTo, MatchesTheWorkedExample) {
  World world;
  const MetricResult got = world.Run();
  const auto& arms = got.report.arms;
  EXPECT_EQ(*arms[0].median_ms, 8);
  EXPECT_EQ(*arms[1].median_ms, 23);
  EXPECT_NEAR(1 - *arms[1].reached, 0.4481792, 1e-7);
  const Comparison& c = got.report.comparisons.front();
  EXPECT_NEAR(*c.log_rank_chi2, 16.792940989216532, 1e-10);
  EXPECT_NEAR(*c.log_rank_p, 4.1688091093345416e-05, 1e-14);
  const auto short_arms = World(20).Run();
  EXPECT_NEAR(*short_arms.report.arms[0].restricted_mean_ms, 8.428571428571429, 1e-12);
  EXPECT_NEAR(*short_arms.report.arms[0].se_restricted_mean_ms, 1.268082682503922, 1e-12);
  EXPECT_NEAR(*short_arms.report.arms[1].restricted_mean_ms, 16.116526610644257, 1e-12);
  EXPECT_NEAR(*short_arms.report.arms[1].se_restricted_mean_ms, 1.2515601960050473, 1e-12);
  ASSERT_TRUE(short_arms.pivots.front().has_value());
  EXPECT_EQ(short_arms.pivots.front()->pair, DualPair::kRestrictedMean);
  EXPECT_NEAR(short_arms.pivots.front()->statistic, 4.314967341798846, 1e-10);
}

TEST(TimeTo, NobodyThereIsNamed) {
  World world;
  world.result.survival.pop_back();
  EXPECT_EQ(world.Run().report.status, Status::kNoUnits);
  world.result.survival.clear();
  EXPECT_EQ(world.Run().report.status, Status::kNoControl);
  world.result.survival = {{0, 0, {{23, 10, 0, 10}}}, {0, 1, {{23, 10, 0, 10}}}};
  EXPECT_EQ(world.Run().report.status, Status::kNoEvents);
}

TEST(Quantile, UsesTheSpreadThatTheStoreMeasured) {
  World world;
  world.metric.kind = experiments::MetricKind::kQuantile;
  world.metric.key = "median";
  world.plan.quantiles.emplace_back().key = "median";
  store::QuantileResult control;
  control.n = control.n_clusters = 100;
  control.value = 10;
  control.density_sd = 0.3;
  store::QuantileResult treatment = control;
  treatment.arm = 1;
  treatment.value = 11;
  treatment.density_sd = 0.4;
  world.result.quantiles = {control, treatment};
  const auto got = EstimateQuantile(
      {world.plan, world.sample, world.metric, world.definitions.experiments.front()},
      world.result);
  const Comparison& c = got.report.comparisons.front();
  EXPECT_DOUBLE_EQ(*c.diff, 1);
  EXPECT_DOUBLE_EQ(*c.se, 0.5);
  EXPECT_DOUBLE_EQ(*c.z, 2);
}

}  // namespace
}  // namespace fulcrum::report
