// SPDX-License-Identifier: Apache-2.0
#include "report/economics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/status.h"
#include "report/analyze.h"
#include "report/columns.h"
#include "report/plan.h"
#include "report/render.h"
#include "report/sample_reports.h"
#include "stats/coupon.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;
using experiments::MetricKind;

// A shop where a coupon of 10 is offered: `won` of the treated order because of it.
Definitions CouponDefinitions() {
  Definitions definitions = ShopDefinitions();
  auto metric = definitions.project.metrics.front();  // pay_rate
  metric.key = "orders";
  metric.kind = MetricKind::kCount;
  definitions.project.metrics.push_back(metric);
  metric.kind = MetricKind::kMean;
  metric.key = "coupon_cost";
  metric.terms.front().property = "discount";
  definitions.project.metrics.push_back(metric);
  metric.key = "contribution";
  metric.terms = {{0.3, "pay", "value", {}, {}}, {-1, "pay", "discount", {}, {}}};
  metric.cap = experiments::Cap{500, std::nullopt, false};
  definitions.project.metrics.push_back(metric);
  auto& experiment = definitions.experiments.front();
  experiment.analysis.dimensions.clear();
  experiment.analysis.by_day = false;
  experiment.secondary.clear();
  experiment.guardrails.clear();
  experiment.funnel.clear();
  experiment.economics = experiments::Economics{"contribution", "coupon_cost", "orders"};
  return definitions;
}

store::PlanResult Coupons(const store::Plan& plan, double base, double won, int units) {
  store::PlanResult result;
  Dice dice(7);
  for (int arm = 0; arm < 2; ++arm) {
    for (size_t g = 0; g < plan.groups.size(); ++g) {
      store::Cell cell;
      cell.arm = arm;
      cell.group = static_cast<int>(g);
      cell.gram = stats::Gram(plan.groups[g].columns.size());
      result.cells.push_back(std::move(cell));
    }
    for (int i = 0; i < units; ++i) {
      const bool buys = dice.Chance(base + (arm == 1 ? won : 0));
      const bool redeems = arm == 1 && buys && dice.Chance(0.8);
      const double value = buys ? 100 * std::exp(0.3 * dice.Normal()) : 0;
      for (size_t g = 0; g < plan.groups.size(); ++g) {
        std::vector<double> row;
        for (const int c : plan.groups[g].columns) {
          const std::string& name = plan.columns[c].name;
          const double cost = redeems ? 10 : 0;
          if (name == "economics/profit") row.push_back(0.3 * value - cost);
          if (name == "economics/cost") row.push_back(cost);
          if (name == "economics/redeemed") row.push_back(redeems ? 1 : 0);
          if (name == "economics/orders" || name == "economics/buyer" || name == "pay_rate") {
            row.push_back(buys ? 1 : 0);
          }
        }
        result.cells[static_cast<size_t>(arm) * plan.groups.size() + g].gram.Add(row);
      }
    }
    store::ArmHealth health;
    health.units = units;
    result.health.arms.push_back(health);
  }
  result.as_of_ms = kShopEndMs + 8 * 86'400'000LL;
  return result;
}

TEST(Economics, IsPlannedWithoutCapsOnOneSetOfUnits) {
  const Definitions definitions = CouponDefinitions();
  const store::Plan plan = ShopPlan(definitions);
  int found = 0;
  int group = -1;
  for (const char* which : {"profit", "cost", "orders", "buyer", "redeemed"}) {
    const auto ref = FindColumn(plan, EconomicsColumn(which));
    ASSERT_TRUE(ref) << which;
    if (group < 0) group = ref->group;
    EXPECT_EQ(ref->group, group);
    const store::Column& column = plan.columns[plan.groups[ref->group].columns[ref->index]];
    EXPECT_FALSE(column.cap);
    EXPECT_EQ(column.kind, std::string(which) == "buyer" || std::string(which) == "redeemed"
                               ? store::ColumnKind::kAtLeast
                               : store::ColumnKind::kSum);
    ++found;
  }
  EXPECT_EQ(found, 5);
  Definitions wrong = definitions;
  wrong.experiments.front().economics->cost = "nothing";
  EXPECT_THAT(std::string(Message(MakePlan(wrong, wrong.experiments.front()).status())),
              testing::HasSubstr("metric nothing of `economics` is not declared"));
}

TEST(Economics, SaysWhatTheCouponBought) {
  const Definitions definitions = CouponDefinitions();
  const auto& experiment = definitions.experiments.front();
  const store::Plan plan = ShopPlan(definitions);
  const store::PlanResult result = Coupons(plan, 0.2, 0.05, 20000);
  const Report report = Analyze(definitions, experiment, plan, result);
  ASSERT_TRUE(report.economics);
  const EconomicsArm& arm = report.economics->arms.front();
  ASSERT_EQ(arm.status, Status::kOk);
  EXPECT_NEAR(*arm.orders.diff, 0.05, 0.012);
  EXPECT_NEAR(*arm.cost.diff, 0.25 * 0.8 * 10, 0.15);
  EXPECT_EQ(arm.return_on_cost.set, RatioSet::kBounded);
  EXPECT_NEAR(*arm.return_on_cost.value, *arm.profit.diff / *arm.cost.diff, 1e-12);
  EXPECT_NEAR(*arm.cost_per_order.value, *arm.cost.diff / *arm.orders.diff, 1e-12);
  EXPECT_LT(arm.cost_per_order.lo, 40);
  EXPECT_GT(arm.cost_per_order.hi, 40);
  // Of 20 points of redeemers, at most 5 were won: at least 75% would have bought anyway.
  ASSERT_TRUE(arm.subsidy_monotone);
  EXPECT_NEAR(arm.subsidy_monotone->low, 0.75, 0.06);
  EXPECT_LE(arm.subsidy_any->low, arm.subsidy_monotone->low);
  EXPECT_LE(arm.subsidy_monotone->lo, arm.subsidy_monotone->low);
  EXPECT_THAT(RenderMarkdown(report), testing::HasSubstr("What the subsidy bought"));
}

TEST(Economics, AnEffectOnOrdersThatMayBeZeroBoundsNoCost) {
  const Definitions definitions = CouponDefinitions();
  const store::Plan plan = ShopPlan(definitions);
  const Report report =
      Analyze(definitions, definitions.experiments.front(), plan, Coupons(plan, 0.2, 0, 2000));
  const EconomicsArm& arm = report.economics->arms.front();
  EXPECT_NE(arm.cost_per_order.set, RatioSet::kBounded);
  EXPECT_THAT(RenderMarkdown(report), testing::HasSubstr("not bounded"));
  // Nothing yet.
  store::PlanResult empty;
  empty.health.arms.resize(2);
  const Report none = Analyze(definitions, definitions.experiments.front(), plan, empty);
  EXPECT_EQ(none.economics->arms.front().status, Status::kNotEnoughUnits);
  EXPECT_THAT(RenderMarkdown(none), testing::HasSubstr("not enough units"));
}

}  // namespace
}  // namespace fulcrum::report
