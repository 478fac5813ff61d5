// SPDX-License-Identifier: Apache-2.0
#include "report/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/time.h"
#include "report/sample_reports.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;
using experiments::MetricKind;
using testing::ElementsAre;
using testing::HasSubstr;

const store::Column* Find(const store::Plan& plan, const std::string& name) {
  for (const auto& column : plan.columns) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

std::string ErrorOf(const Definitions& definitions) {
  const auto plan = MakePlan(definitions, definitions.experiments.front());
  return plan.ok() ? "" : std::string(plan.status().message());
}

TEST(Plan, PutsTheControlFirstAndMapsEventNames) {
  Definitions definitions = ShopDefinitions();
  auto& experiment = definitions.experiments.front();
  std::swap(experiment.variants[0], experiment.variants[1]);
  const store::Plan plan = ShopPlan(definitions);
  EXPECT_EQ(plan.population.arms.front().key, "control");
  EXPECT_EQ(plan.population.from_ms, kShopStartMs);
  EXPECT_EQ(plan.population.to_ms, kShopEndMs);
  const auto* pay = Find(plan, "pay_rate");
  ASSERT_NE(pay, nullptr);
  EXPECT_EQ(pay->kind, store::ColumnKind::kAtLeast);
  EXPECT_THAT(pay->terms.front().events, ElementsAre("pay", "Order Completed"));
  EXPECT_EQ(pay->window.end_ms, 7 * kDayMs);
}

TEST(Plan, EveryKindHasItsPlace) {
  const store::Plan plan = ShopPlan(ShopDefinitions());
  std::set<std::string> names;
  for (const auto& column : plan.columns) EXPECT_TRUE(names.insert(column.name).second);
  EXPECT_NE(Find(plan, "order_value/numerator"), nullptr);
  EXPECT_NE(Find(plan, "order_value/denominator"), nullptr);
  EXPECT_EQ(Find(plan, "revenue/before")->kind, store::ColumnKind::kPre);
  EXPECT_EQ(Find(plan, "revenue/before")->pre_ms, 14 * kDayMs);
  EXPECT_FALSE(Find(plan, "revenue/before")->cap.has_value());
  EXPECT_EQ(Find(plan, "seen/before")->kind, store::ColumnKind::kHasPre);
  EXPECT_EQ(Find(plan, "revenue")->cap->value, 4000);
  EXPECT_EQ(Find(plan, "week_return")->window.start_ms, kDayMs);
  ASSERT_EQ(plan.funnels.size(), 1U);
  EXPECT_EQ(plan.funnels.front().stages.size(), 6U);
  EXPECT_TRUE(plan.funnels.front().stages[1].optional);
  EXPECT_THAT(plan.funnels.front().stages[4].events, ElementsAre("pay", "Order Completed"));
  ASSERT_EQ(plan.time_to.size(), 1U);
  EXPECT_TRUE(plan.time_to.front().from_events.empty());
  ASSERT_EQ(plan.quantiles.size(), 1U);
  EXPECT_TRUE(plan.quantiles.front().of_events);
  EXPECT_EQ(plan.slices.front().key, "channel");
  // Units mature together with what they wait for: 7 days, and 8 for the return.
  // Then the tables of 7 and 3 days.
  ASSERT_EQ(plan.groups.size(), 4U);
  EXPECT_EQ(plan.groups[0].maturity_ms, 7 * kDayMs);
  EXPECT_EQ(plan.groups[1].maturity_ms, 8 * kDayMs);
}

TEST(Plan, AMetricUsedTwiceIsComputedOnce) {
  Definitions definitions = ShopDefinitions();
  const size_t before = ShopPlan(definitions).columns.size();
  definitions.experiments.front().guardrails.push_back({"pay_rate", 0.02, {}});
  EXPECT_EQ(ShopPlan(definitions).columns.size(), before);
}

TEST(Plan, UnitRowsNameTheirColumns) {
  Definitions definitions;
  auto& experiment = definitions.experiments.emplace_back();
  experiment.key = "mail";
  experiment.unit = "user";
  experiment.variants.resize(2);
  experiment.variants[0].key = "No E-Mail";
  experiment.variants[0].control = true;
  experiment.variants[1].key = "Mens E-Mail";
  experiment.data.emplace();
  experiment.data->arm_column = "segment";
  experiment.data->format = "csv";
  auto& spend = definitions.project.metrics.emplace_back();
  spend.key = "spend";
  spend.kind = MetricKind::kMean;
  experiment.primary = {{"spend", std::nullopt, {}}};
  EXPECT_THAT(ErrorOf(definitions), HasSubstr("name its data column"));
  spend.column = "spend_usd";
  spend.covariate_columns = {"history"};
  const auto plan = MakePlan(definitions, experiment);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(Find(*plan, "spend")->source_column, "spend_usd");
  EXPECT_EQ(Find(*plan, "covariate/history")->source_column, "history");
  EXPECT_EQ(plan->groups.size(), 1U);

  const auto source = MakeFileSource(experiment, "x.csv", "/base");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(source->path, "x.csv");
  EXPECT_EQ(source->arm_column, "segment");
  experiment.data->input = "data/*.csv";
  EXPECT_EQ(MakeFileSource(experiment, "", "/base")->path, "/base/data/*.csv");
  experiment.data->input.clear();
  EXPECT_THAT(std::string(MakeFileSource(experiment, "", "").status().message()),
              HasSubstr("--input"));
}

TEST(Plan, SaysWhatItCannotPlan) {
  Definitions definitions = ShopDefinitions();
  auto& experiment = definitions.experiments.front();
  experiment.primary.push_back({"nothing", std::nullopt, {}});
  EXPECT_THAT(ErrorOf(definitions), HasSubstr("metric nothing is not declared"));
  experiment.primary.pop_back();
  experiment.variants[0].control = false;
  EXPECT_THAT(ErrorOf(definitions), HasSubstr("control: true"));
  experiment.variants[0].control = true;
  experiment.data.emplace();
  EXPECT_THAT(ErrorOf(definitions), HasSubstr("name its data column"));
  experiment.data.reset();
  for (auto& metric : definitions.project.metrics) {
    if (metric.key == "week_return") metric.calendar_days = true;
  }
  EXPECT_THAT(ErrorOf(definitions), HasSubstr("calendar days"));
  experiment.variants.resize(1);
  EXPECT_THAT(ErrorOf(definitions), HasSubstr("at least two"));
}

}  // namespace
}  // namespace fulcrum::report
