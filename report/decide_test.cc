// SPDX-License-Identifier: Apache-2.0
#include "report/decide.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "report/analyze.h"
#include "report/sample_reports.h"
#include "stats/distributions.h"

namespace fulcrum::report {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

DecisionEffect Primary(double lo, double hi) {
  DecisionEffect effect;
  effect.metric = "pay_rate";
  effect.usable = true;
  effect.lo = lo;
  effect.hi = hi;
  effect.p = 0.01;
  effect.lift = 0.5 * (lo + hi);
  effect.lift_lo = lo;
  effect.lift_hi = hi;
  return effect;
}

DecisionEffect Guardrail(double lo, double hi, double margin, double p) {
  DecisionEffect effect = Primary(lo, hi);
  effect.metric = "returns";
  effect.role = Role::kGuardrail;
  effect.margin = margin;
  effect.p_noninferiority = p;
  return effect;
}

DecisionInput Over(std::vector<DecisionEffect> effects) {
  DecisionInput input;
  input.timing = TimingOf({.planned = true, .elapsed_days = 28, .planned_days = 28});
  input.arms.push_back({"treatment", std::move(effects)});
  return input;
}

bool Says(const Verdict& verdict, ReasonCode code) {
  for (const Reason& reason : verdict.reasons) {
    if (reason.code == code) return true;
  }
  return false;
}

TEST(Decide, FollowsItsTable) {
  struct Case {
    const char* name;
    std::vector<DecisionEffect> effects;
    Decision want;
  };
  const Case cases[] = {
      {"better", {Primary(0.01, 0.03)}, Decision::kShip},
      {"unclear", {Primary(-0.01, 0.03)}, Decision::kInconclusive},
      {"touches zero", {Primary(0, 0.03)}, Decision::kInconclusive},
      {"worse", {Primary(-0.03, -0.01)}, Decision::kStop},
      {"one better, one worse", {Primary(0.01, 0.03), Primary(-0.03, -0.01)}, Decision::kStop},
      {"guardrail cleared",
       {Primary(0.01, 0.03), Guardrail(-0.01, 0.02, 0.02, 0.001)},
       Decision::kShip},
      {"guardrail not cleared",
       {Primary(0.01, 0.03), Guardrail(-0.03, 0.02, 0.02, 0.2)},
       Decision::kInconclusive},
      {"guardrail worse within its margin",
       {Primary(0.01, 0.03), Guardrail(-0.01, -0.005, 0.02, 0.001)},
       Decision::kShip},
      {"guardrail breached",
       {Primary(0.01, 0.03), Guardrail(-0.05, -0.03, 0.02, 0.9)},
       Decision::kStop},
      {"nothing to compare", {DecisionEffect{}}, Decision::kNoData},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(Decide(Over(each.effects)).decision, each.want) << each.name;
  }
}

TEST(Decide, ADecreaseCanBeWhatIsGood) {
  DecisionEffect effect = Primary(-0.03, -0.01);
  effect.direction = Direction::kDecrease;
  EXPECT_EQ(Decide(Over({effect})).decision, Decision::kShip);
}

TEST(Decide, NothingShipsEarlyAndHarmStopsAtOnce) {
  DecisionInput input = Over({Primary(0.01, 0.03)});
  input.timing = TimingOf({.planned = true, .elapsed_days = 7, .planned_days = 28});
  EXPECT_EQ(Decide(input).decision, Decision::kKeepRunning);
  EXPECT_EQ(Decide(input).days_left, 21);
  input.arms.front().effects = {Primary(-0.03, -0.01)};
  EXPECT_EQ(Decide(input).decision, Decision::kStop);
}

TEST(Decide, BrokenDataDecideNothing) {
  DecisionInput input = Over({Primary(0.01, 0.03)});
  input.healthy = false;
  input.problems = {{ReasonCode::kSampleRatioMismatch, "", "", 1e-9, 0.001}};
  const Verdict verdict = Decide(input);
  EXPECT_EQ(verdict.decision, Decision::kBroken);
  EXPECT_TRUE(verdict.withheld);
  EXPECT_EQ(verdict.reasons.front().code, ReasonCode::kSampleRatioMismatch);
}

TEST(Decide, TheSmallestWorthShippingCounts) {
  DecisionInput input = Over({Primary(0.001, 0.009)});
  input.min_lift = 0.02;
  EXPECT_EQ(Decide(input).decision, Decision::kInconclusive);
  EXPECT_TRUE(Says(Decide(input), ReasonCode::kMinLiftRuledOut));
  input.arms.front().effects = {Primary(0.001, 0.029)};
  EXPECT_TRUE(Says(Decide(input), ReasonCode::kBelowMinLift));
}

TEST(Decide, ChoosesTheArmThatLiftsMost) {
  DecisionInput input = Over({Primary(0.01, 0.03)});
  input.arms.push_back({"second", {Primary(0.02, 0.05)}});
  EXPECT_EQ(Decide(input).arm, "second");
  // An arm that harms does not hold up one that helps.
  input.arms.front().effects = {Primary(-0.03, -0.01)};
  EXPECT_EQ(Decide(input).decision, Decision::kShip);
  EXPECT_EQ(Decide(input).arms.front().decision, Decision::kStop);
}

TEST(Power, IsThatOfTheTwoSidedTest) {
  // 2.8016 standard errors give 80% at 5% (both tails).
  EXPECT_NEAR(PowerReached(2.8015817, 1, 1.959963984540054), 0.8, 1e-6);
  EXPECT_NEAR(PowerReached(0, 1, 1.959963984540054), 0.05, 1e-12);
  EXPECT_EQ(PowerReached(1, 0, 2), 0);
}

PowerPlan HalfWay() {
  PowerPlan plan;
  plan.effect = 1;
  plan.critical = 1.959963984540054;
  // Twice the variance that 80% needs.
  plan.se = std::sqrt(2.0) / (plan.critical + stats::NormalQuantile(0.8));
  plan.power = PowerReached(plan.effect, plan.se, plan.critical);
  plan.units = 1000;
  return plan;
}

TEST(Power, DaysComeFromTrafficAndTheWindow) {
  PowerPlan plan = HalfWay();
  EXPECT_EQ(DaysToPower(plan), kNever);  // Nobody comes any more.
  plan.units_per_day = 100;
  EXPECT_NEAR(DaysToPower(plan), 10, 1e-9);  // 1,000 more units.
  plan.window_days = 7;
  EXPECT_NEAR(DaysToPower(plan), 17, 1e-9);  // And their window must pass.
  plan.maturing = 700;
  EXPECT_NEAR(DaysToPower(plan), 10, 1e-9);  // 700 are on the way.
  plan.maturing = 2000;
  EXPECT_NEAR(DaysToPower(plan), 3.5, 1e-9);  // Half of those on the way suffice.
  plan.maturing = 0;
  plan.enrolment_days_left = 9;
  EXPECT_EQ(DaysToPower(plan), kNever);
  plan.power = 0.8;
  EXPECT_EQ(DaysToPower(plan), 0);
}

TEST(Power, TheEndWaitsForItAtMostAsLongAgain) {
  TimingInput input{.planned = true, .elapsed_days = 28, .planned_days = 28};
  input.days_to_power = 9.2;
  Timing timing = TimingOf(input);
  EXPECT_FALSE(timing.reached);
  EXPECT_TRUE(timing.waiting_for_power);
  EXPECT_EQ(timing.days_left, 10);
  input.days_to_power = 29;
  timing = TimingOf(input);
  EXPECT_TRUE(timing.reached);
  EXPECT_TRUE(timing.power_out_of_reach);
  input.days_to_power = kNever;
  EXPECT_TRUE(TimingOf(input).reached);
  // Before the planned time both are foreseen.
  input.elapsed_days = 20;
  input.days_to_power = 12;
  EXPECT_EQ(TimingOf(input).days_left, 12);
  input.days_to_power = 0;
  EXPECT_EQ(TimingOf(input).days_left, 8);
  input.stopped = true;
  EXPECT_TRUE(TimingOf(input).reached);
  EXPECT_FALSE(TimingOf(input).planned_over);
}

experiments::Definitions AskedFor(double min_lift, double power) {
  experiments::Definitions definitions = ShopDefinitions();
  definitions.experiments.front().decision.min_lift = min_lift;
  definitions.experiments.front().decision.power = power;
  definitions.experiments.front().end_ms.reset();  // Enrolment goes on.
  return definitions;
}

Report ReportOf(const experiments::Definitions& definitions, const ShopWorld& world,
                const std::function<void(store::PlanResult*)>& edit) {
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result = ShopResult(plan, world);
  edit(&result);
  return Analyze(definitions, definitions.experiments.front(), plan, result);
}

TEST(Power, AnExperimentPastItsTimeWaitsForTheUnitsThatAreMissing) {
  const auto definitions = AskedFor(0.08, 0.8);
  ShopWorld world;
  world.units = {4000, 4000};
  const auto traffic = [](double a_day) {
    return [a_day](store::PlanResult* result) {
      for (auto& arm : result->health.arms) {
        arm.units_by_day.clear();
        for (int d = 1; d <= 7; ++d) {
          arm.units_by_day[result->as_of_ms - d * 86'400'000] = a_day / 2;
        }
      }
    };
  };
  const Report report = ReportOf(definitions, world, traffic(2000));
  const Comparison& c = report.FindMetric("pay_rate")->comparisons.front();
  ASSERT_TRUE(c.power && c.days_to_power && c.detectable_lift);
  EXPECT_LT(*c.power, 0.8);
  EXPECT_GT(*c.power, 0.2);
  EXPECT_GT(*c.detectable_lift, 0.08);
  EXPECT_EQ(report.verdict.decision, Decision::kKeepRunning);
  EXPECT_FALSE(report.analysis.final);
  EXPECT_EQ(report.verdict.days_left, static_cast<int>(std::ceil(*c.days_to_power)));
  EXPECT_TRUE(Says(report.verdict, ReasonCode::kWaitingForPower));
  // Nobody comes any more: what is known is known.
  const Report closed = ReportOf(definitions, world, traffic(0));
  EXPECT_TRUE(closed.analysis.final);
  EXPECT_EQ(closed.verdict.decision, Decision::kInconclusive);
  EXPECT_TRUE(Says(closed.verdict, ReasonCode::kPowerOutOfReach));
}

TEST(Corrected, IsSmallerThanTheEstimateThatWasPicked) {
  ShopWorld world;
  world.units = {20000, 20000};
  world.pay_factor = {1, 1.06};
  const Report report = ShopReport(world);
  const MetricReport& metric = *report.FindMetric("pay_rate");
  const Comparison& c = metric.comparisons.front();
  ASSERT_EQ(c.outcome, Outcome::kBetter);
  ASSERT_TRUE(c.corrected);
  EXPECT_LT(c.corrected->median_unbiased, *c.estimate);
  EXPECT_LT(c.corrected->lo, c.corrected->median_unbiased);
  EXPECT_LT(c.corrected->median_unbiased, c.corrected->hi);
  // Only what a decision picks is corrected.
  EXPECT_FALSE(report.FindMetric("revenue")->comparisons.front().corrected);
}

}  // namespace
}  // namespace fulcrum::report
