// SPDX-License-Identifier: Apache-2.0
#include "report/analyze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/time.h"
#include "report/json.h"
#include "report/plan.h"
#include "report/sample.h"
#include "report/sample_reports.h"
#include "stats/distributions.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;

bool Has(const std::vector<Reason>& reasons, ReasonCode code) {
  return std::any_of(reasons.begin(), reasons.end(),
                     [&](const Reason& r) { return r.code == code; });
}

Report AnalyzeWorld(const Definitions& definitions, const ShopWorld& world,
                    const AnalyzeOptions& options = {}) {
  const store::Plan plan = ShopPlan(definitions);
  return Analyze(definitions, definitions.experiments.front(), plan, ShopResult(plan, world),
                 options);
}

// What decides, and nothing beside it.
Definitions LeanDefinitions(int arms = 2) {
  Definitions definitions = ShopDefinitions(arms);
  auto& experiment = definitions.experiments.front();
  experiment.secondary.clear();
  experiment.funnel.clear();
  experiment.analysis.dimensions.clear();
  return definitions;
}

Report LeanReport(const ShopWorld& world) {
  return AnalyzeWorld(LeanDefinitions(static_cast<int>(world.units.size())), world);
}

TEST(Analyze, ShipsWhatIsClearlyBetter) {
  ShopWorld world;
  world.units = {9000, 9000};
  world.pay_factor = {1, 1.15};
  const Report report = LeanReport(world);
  EXPECT_EQ(report.verdict.decision, Decision::kShip);
  EXPECT_EQ(report.verdict.arm, "one-page");
  EXPECT_FALSE(report.verdict.withheld);
  EXPECT_TRUE(Has(report.verdict.reasons, ReasonCode::kPrimaryBetter));
  EXPECT_TRUE(Has(report.verdict.reasons, ReasonCode::kGuardrailsCleared));
  const Comparison& c = report.FindMetric("pay_rate")->comparisons.front();
  EXPECT_LT(*c.sim_lift_lo, 0.15);
  EXPECT_GT(*c.sim_lift_hi, 0.15);
}

TEST(Analyze, CallsHarmHarm) {
  ShopWorld world;
  world.units = {9000, 9000};
  world.pay_factor = {1, 0.85};
  const Report report = LeanReport(world);
  EXPECT_EQ(report.verdict.decision, Decision::kStop);
  EXPECT_EQ(report.verdict.arm, "one-page");
  EXPECT_TRUE(Has(report.verdict.reasons, ReasonCode::kPrimaryWorse));
}

TEST(Analyze, StopsOnABreachedGuardrailEvenWhenThePrimaryIsBetter) {
  ShopWorld world;
  world.units = {9000, 9000};
  world.pay_factor = {1, 1.15};
  world.return_factor = {1, 0.7};
  const Report report = LeanReport(world);
  EXPECT_EQ(report.verdict.decision, Decision::kStop);
  EXPECT_TRUE(Has(report.verdict.reasons, ReasonCode::kGuardrailBreached));
  EXPECT_EQ(report.FindMetric("week_return")->comparisons.front().guardrail,
            GuardrailState::kBreached);
}

TEST(Analyze, SaysNothingWhereThereIsNothing) {
  const Report report = LeanReport({});
  EXPECT_EQ(report.verdict.decision, Decision::kInconclusive);
  EXPECT_TRUE(Has(report.verdict.reasons, ReasonCode::kPrimaryUnclear));
}

TEST(Analyze, WithholdsTheVerdictOnASampleRatioMismatch) {
  ShopWorld world;
  world.units = {9000, 8200};
  world.pay_factor = {1, 1.15};
  const Report report = LeanReport(world);
  EXPECT_EQ(report.verdict.decision, Decision::kBroken);
  EXPECT_TRUE(report.verdict.withheld);
  EXPECT_TRUE(report.verdict.arm.empty());
  EXPECT_FALSE(report.health.ok);
  EXPECT_TRUE(report.health.srm.mismatch);
  EXPECT_EQ(report.verdict.reasons.front().code, ReasonCode::kSampleRatioMismatch);
  // The figures are still there, for whoever looks for the fault.
  EXPECT_TRUE(report.FindMetric("pay_rate")->comparisons.front().diff.has_value());
}

TEST(Analyze, CallsUnevenMultiArmUnitsAndLossBroken) {
  const Definitions definitions = LeanDefinitions();
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result = ShopResult(plan, {});
  result.health.arms[0].multi_arm_units = 50;
  result.health.arms[1].multi_arm_units = 60;
  const auto& experiment = definitions.experiments.front();
  EXPECT_TRUE(Analyze(definitions, experiment, plan, result).health.ok);
  result.health.arms[1].multi_arm_units = 200;
  Report report = Analyze(definitions, experiment, plan, result);
  EXPECT_TRUE(Has(report.health.problems, ReasonCode::kMultiArmImbalance));
  EXPECT_EQ(report.verdict.decision, Decision::kBroken);

  result.health.arms[1].multi_arm_units = 50;
  for (auto& arm : result.health.arms) {
    arm.client_assigned = 5000;
    arm.client_shown = 4500;
    arm.client_sent = 4500;
  }
  EXPECT_EQ(Analyze(definitions, experiment, plan, result).health.loss->status, Status::kNoEvents);
  for (auto& arm : result.health.arms) arm.client_sent = 4450;
  EXPECT_TRUE(Analyze(definitions, experiment, plan, result).health.ok);
  result.health.arms[1].client_sent = 4100;
  report = Analyze(definitions, experiment, plan, result);
  EXPECT_TRUE(Has(report.health.problems, ReasonCode::kExposureLossImbalance));
  EXPECT_TRUE(report.verdict.withheld);
}

TEST(Analyze, ExpectsEachPhaseByItsOwnWeights) {
  const Definitions definitions = LeanDefinitions();
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result = ShopResult(plan, {});
  // 90 / 10 at first, then even.
  result.health.arms[0].units_by_phase = {{0, 9000}, {1, 5000}};
  result.health.arms[1].units_by_phase = {{0, 1000}, {1, 5000}};
  result.health.arms[0].units = 14000;
  result.health.arms[1].units = 6000;
  const auto& experiment = definitions.experiments.front();
  EXPECT_TRUE(Analyze(definitions, experiment, plan, result).health.srm.mismatch);
  AnalyzeOptions options;
  options.phases = {{0, {9, 1}}};
  const Report report = Analyze(definitions, experiment, plan, result, options);
  EXPECT_FALSE(report.health.srm.mismatch);
  EXPECT_THAT(report.health.srm.expected, testing::ElementsAre(14000, 6000));
}

TEST(Analyze, StratifiesWhereTheWeightsChanged) {
  // The arm has no effect, but most of it was enrolled in a phase with a higher rate: pooled, it
  // looks better (Simpson); by phase, it does not.
  Definitions definitions = LeanDefinitions();
  auto& experiment = definitions.experiments.front();
  experiment.secondary.clear();
  experiment.guardrails.clear();
  experiment.funnel.clear();
  experiment.analysis.dimensions.clear();
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result;
  const auto add = [&](int arm, int phase, int n, double rate) {
    store::Cell cell;
    cell.arm = arm;
    cell.phase = phase;
    cell.gram = stats::Gram(1);
    const double one = 1;
    const double zero = 0;
    const auto events = static_cast<int64_t>(n * rate);
    cell.gram.AddRepeated({&one, 1}, events);
    cell.gram.AddRepeated({&zero, 1}, n - events);
    result.cells.push_back(cell);
    result.health.arms.resize(2);
    result.health.arms[arm].units += n;
    result.health.arms[arm].units_by_phase[phase] += n;
  };
  add(0, 0, 9000, 0.10);
  add(1, 0, 1000, 0.10);
  add(0, 1, 5000, 0.30);
  add(1, 1, 5000, 0.30);
  AnalyzeOptions options;
  options.phases = {{0, {9, 1}}};
  const Report report = Analyze(definitions, experiment, plan, result, options);
  EXPECT_TRUE(report.analysis.stratified_by_phase);
  const Comparison& c = report.metrics.front().comparisons.front();
  EXPECT_EQ(c.pair, DualPair::kStratifiedZ);
  EXPECT_GT(*c.diff, 0.05);
  EXPECT_NEAR(*c.estimate, 0, 1e-12);
  EXPECT_EQ(c.outcome, Outcome::kNoDifference);
  // Without the change of weights the same cells are pooled.
  const Report pooled = Analyze(definitions, experiment, plan, result);
  EXPECT_EQ(pooled.metrics.front().comparisons.front().pair, DualPair::kScore);
}

TEST(Analyze, DoesNotShipBeforeThePlannedEnd) {
  ShopWorld world;
  world.units = {9000, 9000};
  world.pay_factor = {1, 1.15};
  const Definitions definitions = LeanDefinitions();
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result = ShopResult(plan, world);
  result.as_of_ms = kShopStartMs + 10 * kDayMs;
  const Report report = Analyze(definitions, definitions.experiments.front(), plan, result);
  EXPECT_EQ(report.verdict.decision, Decision::kKeepRunning);
  EXPECT_EQ(report.verdict.days_left, 18);
  world.pay_factor = {1, 0.8};
  result = ShopResult(plan, world);
  result.as_of_ms = kShopStartMs + 10 * kDayMs;
  EXPECT_EQ(Analyze(definitions, definitions.experiments.front(), plan, result).verdict.decision,
            Decision::kStop);
}

// Before the planned end only the always-valid band counts: it is wider than the simultaneous
// interval, agrees with its own p, and decides the outcome.
TEST(Analyze, LooksWithABandThatMayBeLookedAt) {
  ShopWorld world;
  world.units = {6000, 6000};
  world.pay_factor = {1, 1.09};
  const Definitions definitions = ShopDefinitions();
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result = ShopResult(plan, world);
  for (const bool early : {true, false}) {
    result.as_of_ms = early ? kShopStartMs + 10 * kDayMs : kShopEndMs + 10 * kDayMs;
    const Report report = Analyze(definitions, definitions.experiments.front(), plan, result);
    EXPECT_EQ(report.analysis.final, !early);
    EXPECT_DOUBLE_EQ(report.analysis.alpha_look + report.analysis.alpha_final, 0.05);
    for (const MetricReport& metric : report.metrics) {
      const Comparison& c = metric.comparisons.front();
      ASSERT_EQ(c.status, Status::kOk) << metric.key;
      EXPECT_LT(*c.look_lo, *c.sim_lo) << metric.key;
      EXPECT_GT(*c.look_hi, *c.sim_hi) << metric.key;
      const bool out = *c.look_lo > 0 || *c.look_hi < 0;
      EXPECT_EQ(*c.p_look < report.analysis.alpha_look, out) << metric.key;
      const bool applies = early ? out : *c.sim_lo > 0 || *c.sim_hi < 0;
      EXPECT_EQ(c.outcome != Outcome::kNoDifference, applies) << metric.key;
    }
  }
}

TEST(Analyze, HoldsAnEffectAgainstTheSmallestWorthShipping) {
  ShopWorld world;
  world.units = {20000, 20000};
  world.pay_factor = {1, 1.1};
  Definitions definitions = LeanDefinitions();
  definitions.experiments.front().decision.min_lift = 0.5;
  const Report report = AnalyzeWorld(definitions, world);
  EXPECT_EQ(report.verdict.decision, Decision::kInconclusive);
  EXPECT_TRUE(Has(report.verdict.reasons, ReasonCode::kMinLiftRuledOut));
}

TEST(Analyze, ChoosesTheBestOfSeveralArms) {
  ShopWorld world;
  world.units = {9000, 9000, 9000};
  world.pay_factor = {1, 1.1, 1.2};
  world.register_factor = world.return_factor = {1, 1, 1};
  const Report report = LeanReport(world);
  EXPECT_EQ(report.verdict.decision, Decision::kShip);
  EXPECT_EQ(report.verdict.arm, "two-page");
  ASSERT_FALSE(report.families.empty());
  EXPECT_EQ(report.families.front().size, 2);
  // Two arms share a control: the joint critical value is below Sidak's, above the single one.
  const double level = report.analysis.alpha_final;
  EXPECT_GT(*report.families.front().critical_z, stats::CriticalZ(level));
  EXPECT_LT(*report.families.front().critical_z, stats::CriticalZ(1 - std::sqrt(1 - level)) - 1e-3);
}

TEST(Analyze, NamesAChangeOfTheDefinition) {
  AnalyzeOptions options;
  options.started_hash = "0000000000000000";
  const Report report = AnalyzeWorld(LeanDefinitions(), {}, options);
  EXPECT_TRUE(report.experiment.definition_changed);
  EXPECT_TRUE(Has(report.verdict.reasons, ReasonCode::kDefinitionChanged));
}

TEST(Analyze, UsesThePastToNarrowAnInterval) {
  ShopWorld world;
  world.units = {10000, 10000};
  const Report report = ShopReport(world);
  const Comparison& c = report.FindMetric("revenue")->comparisons.front();
  ASSERT_TRUE(c.adjusted.has_value());
  EXPECT_EQ(c.pair, DualPair::kAdjustedZ);
  EXPECT_GT(c.adjusted->variance_reduction, 0);
  EXPECT_LT(c.adjusted->se, *c.se);
  EXPECT_THAT(c.adjusted->covariates, testing::ElementsAre("revenue before", "seen before"));
  EXPECT_DOUBLE_EQ(*c.estimate, c.adjusted->diff);
  EXPECT_NE(*c.diff, c.adjusted->diff);
}

// Another metric's past tells more of the revenue than its own: it is borrowed, and only shrinks
// the error, never moves the estimate on average.
TEST(Analyze, BorrowsFromThePastOfEveryMetric) {
  Definitions definitions = ShopDefinitions();
  auto& metrics = definitions.project.metrics;
  auto browsing = metrics[1];  // revenue
  browsing.key = "browsing";
  metrics.push_back(browsing);
  auto& experiment = definitions.experiments.front();
  experiment.secondary = {{"revenue", {}, {}}, {"browsing", {}, {}}};
  experiment.guardrails.clear();
  experiment.funnel.clear();
  experiment.analysis.dimensions.clear();
  experiment.analysis.by_day = false;
  const store::Plan plan = ShopPlan(definitions);
  const auto own = FindColumn(plan, "revenue/before");
  const auto other = FindColumn(plan, "browsing/before");
  ASSERT_TRUE(own && other);
  EXPECT_EQ(own->group, other->group);
  store::PlanResult result;
  Dice dice(5);
  for (int arm = 0; arm < 2; ++arm) {
    store::Cell cell;
    cell.arm = arm;
    cell.group = own->group;
    cell.gram = stats::Gram(plan.groups[own->group].columns.size());
    for (int i = 0; i < 4000; ++i) {
      const double habit = dice.Normal();
      std::vector<double> row;
      for (const int c : plan.groups[own->group].columns) {
        const std::string& name = plan.columns[c].name;
        double value = dice.Chance(0.3) ? 1 : 0;
        if (name == "revenue") value = 3 + habit + 0.5 * dice.Normal() + (arm == 1 ? 0.1 : 0);
        if (name == "browsing") value = 3 + dice.Normal();
        if (name == "revenue/before") value = 0.3 * habit + dice.Normal();
        if (name == "browsing/before") value = habit + 0.3 * dice.Normal();
        row.push_back(value);
      }
      cell.gram.Add(row);
    }
    result.cells.push_back(std::move(cell));
  }
  result.health.arms.resize(2);
  const Report report = Analyze(definitions, experiment, plan, result);
  const Comparison& c = report.FindMetric("revenue")->comparisons.front();
  ASSERT_TRUE(c.adjusted);
  EXPECT_THAT(c.adjusted->covariates,
              testing::ElementsAre("revenue before", "seen before", "browsing before"));
  EXPECT_GT(c.adjusted->variance_reduction, 0.6);  // Its own past alone: below 0.1.
  EXPECT_NEAR(c.adjusted->diff, 0.1, 4 * c.adjusted->se);
}

TEST(Analyze, FunnelStepsAddUpToTheWhole) {
  ShopWorld world;
  world.units = {8000, 8000, 8000};
  world.pay_factor = {1, 1.2, 0.9};
  world.register_factor = {1, 0.85, 1.05};
  world.return_factor = {1, 1, 1};
  const Report report = ShopReport(world);
  ASSERT_EQ(report.funnels.size(), 1U);
  const auto& stages = report.funnels.front().stages;
  for (size_t arm = 0; arm < 2; ++arm) {
    double sum = 0;
    for (const FunnelStageReport& stage : stages) {
      const FunnelComparison& c = stage.comparisons[arm];
      if (stage.optional || !c.log_step) continue;
      sum += *c.log_step;
      EXPECT_NEAR(sum, *c.log_lift, 1e-14) << stage.key;
    }
  }
  // The effect sits where it was put: at registration and at payment, not at ordering.
  const auto step = [&](size_t stage) { return stages[stage].comparisons.front(); };
  EXPECT_LT(*step(2).log_step_hi, 0);
  EXPECT_LT(*step(3).log_step_lo, 0);
  EXPECT_GT(*step(3).log_step_hi, 0);
  EXPECT_GT(*step(4).log_step_lo, 0);
}

TEST(Analyze, SlicesAreTestedBeforeTheyAreNamed) {
  ShopWorld world;
  world.units = {10000, 10000};
  const Report report = ShopReport(world);
  ASSERT_EQ(report.slices.size(), 1U);
  const SliceReport& slice = report.slices.front();
  EXPECT_EQ(slice.key, "channel");
  EXPECT_FALSE(slice.heterogeneous);
  ASSERT_EQ(slice.effects.size(), 3U);
  double units = 0;
  for (const SliceEffect& effect : slice.effects) {
    units += effect.n_treatment;
    EXPECT_LE(std::fabs(*effect.shrunk), std::fabs(*effect.diff) + 0.01);
  }
  EXPECT_EQ(units, 10000);
}

TEST(Analyze, EveryShortageHasAName) {
  const Definitions definitions = ShopDefinitions();
  const store::Plan plan = ShopPlan(definitions);
  const auto& experiment = definitions.experiments.front();
  // No result at all.
  Report report = Analyze(definitions, experiment, plan, {});
  EXPECT_EQ(report.verdict.decision, Decision::kKeepRunning);
  EXPECT_EQ(report.FindMetric("pay_rate")->status, Status::kNoControl);
  EXPECT_EQ(ToJson(report).find("nan"), std::string::npos);

  // Units, but none is mature.
  store::PlanResult result;
  for (int arm = 0; arm < 2; ++arm) {
    for (size_t g = 0; g < plan.groups.size(); ++g) {
      store::Cell cell;
      cell.arm = arm;
      cell.group = static_cast<int>(g);
      cell.maturing = 100;
      result.cells.push_back(cell);
    }
  }
  report = Analyze(definitions, experiment, plan, result);
  EXPECT_EQ(report.FindMetric("revenue")->status, Status::kAllMaturing);

  // One unit each, nothing ever happens, everything always happens.
  for (const int n : {1, 50}) {
    for (const double value : {0.0, 1.0}) {
      for (auto& cell : result.cells) {
        const size_t width = plan.groups[cell.group].columns.size();
        cell.gram = stats::Gram(width);
        cell.gram.AddRepeated(std::vector<double>(width, value), n);
      }
      report = Analyze(definitions, experiment, plan, result);
      const Status status = report.FindMetric("pay_rate")->status;
      if (n == 1) {
        EXPECT_EQ(status, Status::kAllMaturing);
      } else {
        EXPECT_EQ(status, value == 0 ? Status::kNoEvents : Status::kNoVariation);
      }
      EXPECT_NE(report.FindMetric("revenue")->status, Status::kOk);
      EXPECT_NE(report.FindMetric("order_value")->status, Status::kOk);
    }
  }
}

}  // namespace
}  // namespace fulcrum::report
