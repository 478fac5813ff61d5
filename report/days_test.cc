// SPDX-License-Identifier: Apache-2.0
#include "report/days.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "report/analyze.h"
#include "report/columns.h"
#include "report/render.h"
#include "report/sample_reports.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;

constexpr int64_t kDay = 86'400'000;

// Units that have lived through 7 and 3 days, with an effect that goes from `first` to `last`.
Report DaysOf(double first, double last, int week, int three_days) {
  Definitions definitions = ShopDefinitions();
  auto& experiment = definitions.experiments.front();
  experiment.secondary.clear();
  experiment.guardrails.clear();
  experiment.funnel.clear();
  experiment.analysis.dimensions.clear();
  const store::Plan plan = ShopPlan(definitions);
  store::PlanResult result;
  Dice dice(3);
  for (int arm = 0; arm < 2; ++arm) {
    for (size_t g = 0; g < plan.groups.size(); ++g) {
      const auto& columns = plan.groups[g].columns;
      store::Cell cell;
      cell.arm = arm;
      cell.group = static_cast<int>(g);
      cell.gram = stats::Gram(columns.size());
      const bool three = plan.groups[g].maturity_ms == 3 * kDay;
      const int units = three ? three_days : week;
      cell.maturing = three ? 0 : three_days - week;
      for (int i = 0; i < units; ++i) {
        const double taste = 0.1 * dice.Uniform();  // Days of one unit go together.
        std::vector<double> row;
        for (size_t c = 0; c < columns.size(); ++c) {
          const double at = columns.size() > 1 ? static_cast<double>(c) / 6 : 0;
          const double effect = arm == 1 ? first + (last - first) * at : 0;
          row.push_back(dice.Chance(0.1 + taste + effect) ? 1 : 0);
        }
        cell.gram.Add(row);
      }
      result.cells.push_back(std::move(cell));
    }
  }
  result.health.arms.resize(2);
  result.as_of_ms = kShopEndMs + 8 * kDay;
  return Analyze(definitions, experiment, plan, result);
}

TEST(Days, AreOfUnitsThatHaveLivedThroughThem) {
  const Definitions definitions = ShopDefinitions();
  const store::Plan plan = ShopPlan(definitions);
  for (const int days : {7, 3}) {
    bool found = false;
    for (const store::Group& group : plan.groups) {
      const bool table = plan.columns[group.columns.front()].name == "pay_rate/day/0";
      if (!table || group.maturity_ms != days * kDay) continue;
      found = true;
      ASSERT_EQ(group.columns.size(), static_cast<size_t>(days));
      for (int d = 0; d < days; ++d) {
        const store::Column& column = plan.columns[group.columns[d]];
        EXPECT_EQ(column.window.start_ms, d * kDay);
        EXPECT_EQ(column.window.end_ms, (d + 1) * kDay);
      }
    }
    EXPECT_TRUE(found) << days;
  }
  Definitions off = definitions;
  off.experiments.front().analysis.by_day = false;
  EXPECT_FALSE(FindColumn(ShopPlan(off), DayColumn("pay_rate", 0)));
}

TEST(Days, FindWhatFadesAndLeaveAloneWhatStays) {
  const Report fading = DaysOf(0.05, 0, 4000, 6000);
  ASSERT_EQ(fading.days.size(), 1U);
  ASSERT_EQ(fading.days.front().status, Status::kOk);
  EXPECT_EQ(fading.days.front().days.size(), 7U);
  EXPECT_EQ(fading.days.front().trend, Trend::kFading);
  EXPECT_LT(*fading.days.front().p_trend, 0.001);
  EXPECT_EQ(fading.days.front().n_control, 4000);
  EXPECT_EQ(DaysOf(0.03, 0.03, 4000, 6000).days.front().trend, Trend::kNoTrend);
  EXPECT_THAT(RenderMarkdown(fading), testing::HasSubstr("The effect gets smaller with the days"));
  EXPECT_THAT(RenderHtml(fading), testing::HasSubstr("Effect by day since exposure"));
}

TEST(Days, AYoungExperimentShowsTheShorterTable) {
  const Report young = DaysOf(0.05, 0, 50, 3000);
  ASSERT_EQ(young.days.front().status, Status::kOk);
  EXPECT_EQ(young.days.front().days.size(), 3U);
  EXPECT_EQ(young.days.front().n_control, 3000);
  const Report newborn = DaysOf(0.05, 0, 0, 0);
  EXPECT_NE(newborn.days.front().status, Status::kOk);
}

}  // namespace
}  // namespace fulcrum::report
