// SPDX-License-Identifier: Apache-2.0
//
// Plans and figures of what growth teams define: orders and sessions, clusters, exclusions, slices
// of events, margins of channels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/time.h"
#include "experiments/load.h"
#include "report/analyze.h"
#include "report/plan.h"
#include "report/render.h"

namespace fulcrum::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kProject[] = R"(project: growth
timezone: UTC
currency: CNY
units: {user: {}, order: {}}
attributes:
  channel: {type: string}
  user_id: {type: string}
  bot: {type: bool}
exclude:
  when: {bot: true}
  events: [{event: order, more_than: 20, within: 1d}]
stages: {order: {event: order}, pay: {event: pay, mover: product}}
channels:
  search: {line: traffic, cost: paid, title: Paid search}
  social: {line: brand, cost: free}
metrics:
  paid_orders: {kind: proportion, per: order, among: order, event: pay, within: 1d, window: 7d}
  revenue: {kind: mean, event: pay, property: value, window: 7d, slices: {kind: [book]}}
  again: {kind: retention, event: pay, after: pay, window: 14d, from: 0s, to: 30d}
  pay_time: {kind: time_to, per: order, from: order, to: pay, horizon: 1d}
  steps: {kind: funnel, per: order, stages: [order, pay], window: 7d}
)";

experiments::Definitions Load(const std::string& experiment) {
  auto loaded = experiments::LoadFromFiles(
      {{"project.yaml", kProject},
       {"costs.csv", "channel,from,to,amount\nsearch,2026-03-02,2026-03-03,200\n"},
       {"experiments/e.yaml",
        "experiment: e\nsalt: e\nvariants: {a: {control: true, weight: 1}, b: {weight: 1}}\n"
        "schedule: {start: 2026-03-02T00:00:00Z}\n" +
            experiment}});
  for (const auto& d : loaded.diagnostics) ADD_FAILURE() << Format(d);
  return std::move(loaded.definitions);
}

store::Plan PlanOf(const experiments::Definitions& definitions) {
  auto plan = MakePlan(definitions, definitions.experiments.front());
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : store::Plan{};
}

const store::Column* Find(const store::Plan& plan, const std::string& name) {
  for (const auto& column : plan.columns) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

TEST(Growth, OrdersAreJourneysAndTheReportsColumnsCountThem) {
  const store::Plan plan = PlanOf(
      Load("primary: [paid_orders]\nsecondary: [again, pay_time, revenue]\nfunnel: steps\n"));
  ASSERT_EQ(plan.journeys.size(), 4u);
  const auto* numerator = Find(plan, "paid_orders/numerator");
  ASSERT_NE(numerator, nullptr);
  EXPECT_EQ(numerator->kind, store::ColumnKind::kJourney);
  EXPECT_EQ(numerator->stage, 1);
  const store::JourneySpec& orders = plan.journeys[static_cast<size_t>(numerator->journey)];
  EXPECT_EQ(orders.per, store::JourneyKey::kOrder);
  EXPECT_EQ(orders.after.end_ms, kDayMs);
  // Mature once the last order of the window has had its day.
  EXPECT_EQ(plan.groups.front().maturity_ms, 8 * kDayMs);
  // The first payment is not its own repetition, though `from` is 0.
  const auto& again = plan.journeys[static_cast<size_t>(Find(plan, "again")->journey)];
  EXPECT_EQ(again.per, store::JourneyKey::kUnit);
  EXPECT_EQ(again.after.start_ms, 1);
  EXPECT_GE(plan.time_to.front().journey, 0);
  EXPECT_EQ(Find(plan, "steps/stage/pay")->kind, store::ColumnKind::kJourney);
  // A part for each named value, for the rest, and for events without the property.
  const auto* other = Find(plan, "revenue/slice/kind/other");
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->terms[0].filters.size(), 2u);
  EXPECT_NE(Find(plan, "revenue/slice/kind/book"), nullptr);
  EXPECT_NE(Find(plan, "revenue/slice/kind/(none)"), nullptr);
  // Who is left out.
  ASSERT_EQ(plan.population.exclude_any.size(), 1u);
  EXPECT_EQ(plan.population.exclude_any[0][0].property, "bot");
  ASSERT_EQ(plan.population.exclude_bursts.size(), 1u);
  EXPECT_EQ(plan.population.exclude_bursts[0].more_than, 20);
}

// A result in which every cell of the whole, or of a slice's value, has these rows.
void PutRows(const store::Plan& plan, int arm, int slice, const std::string& value,
             const std::vector<std::vector<double>>& rows, store::PlanResult* result) {
  store::Cell cell;
  cell.arm = arm;
  cell.slice = slice;
  cell.slice_value = value;
  cell.gram = stats::Gram(rows.front().size());
  for (const auto& row : rows) cell.gram.Add(row);
  result->cells.push_back(std::move(cell));
  result->cap_values.assign(plan.columns.size(), INFINITY);
  if (slice < 0) {
    result->health.arms.resize(2);
    result->health.arms[static_cast<size_t>(arm)].units = static_cast<double>(rows.size());
  }
}

// Two clusters of 1 and 3 orders: figures are per order, not per cluster.
TEST(Growth, ClustersAreIndependentAndFiguresStayPerUnit) {
  auto definitions = Load("unit: order\ncluster: user_id\nprimary: [revenue]\n");
  definitions.project.metrics[1].slices.clear();
  const store::Plan plan = PlanOf(definitions);
  ASSERT_EQ(plan.columns.size(), 1u);
  store::PlanResult result;
  PutRows(plan, 0, -1, "", {{10, 1}, {30, 3}, {60, 4}}, &result);
  PutRows(plan, 1, -1, "", {{20, 1}, {90, 3}, {60, 4}}, &result);
  const Report report = Analyze(definitions, definitions.experiments.front(), plan, result);
  const MetricReport& metric = *report.FindMetric("revenue");
  EXPECT_EQ(metric.arms[0].n, 8);
  EXPECT_EQ(*metric.arms[0].n_clusters, 3);
  EXPECT_DOUBLE_EQ(*metric.arms[0].mean, 100.0 / 8);
  EXPECT_DOUBLE_EQ(*metric.comparisons[0].diff, 170.0 / 8 - 100.0 / 8);
  // The delta method by hand: residuals y - 12.5 n of the control are -2.5, -7.5, 10; their
  // variance over 3 (mean n)^2.
  const double control = (2.5 * 2.5 + 7.5 * 7.5 + 100) / 2 / 3 / (8.0 / 3 * 8.0 / 3);
  const double r = 170.0 / 8;
  const double treatment =
      (std::pow(20 - r, 2) + std::pow(90 - 3 * r, 2) + std::pow(60 - 4 * r, 2)) / 2 / 3 /
      (8.0 / 3 * 8.0 / 3);
  EXPECT_NEAR(*metric.comparisons[0].se, std::sqrt(control + treatment), 1e-12);
}

TEST(Growth, MarginsAreContributionsLessTheCostOfTheDaysOfEnrolment) {
  auto definitions = Load(
      "primary: [revenue]\nanalysis: {dimensions: [[channel, bot]], "
      "channels: {metric: revenue}}\n");
  definitions.project.metrics[1].slices.clear();
  const store::Plan plan = PlanOf(definitions);
  ASSERT_EQ(plan.slices.size(), 2u);
  EXPECT_EQ(plan.slices[0].key, "channel / bot");
  EXPECT_THAT(plan.slices[0].attributes, ElementsAre("channel", "bot"));
  store::PlanResult result;
  for (const int arm : {0, 1}) {
    PutRows(plan, arm, -1, "", {{10}, {20}, {30}, {40}}, &result);
    PutRows(plan, arm, 1, "search", {{10}, {20}}, &result);
    PutRows(plan, arm, 1, "social", {{30}, {40}}, &result);
  }
  // Enrolled on the first of the two days only: half of 200, over four units.
  result.health.first_exposure_ms = *definitions.experiments[0].start_ms;
  result.health.last_exposure_ms = result.health.first_exposure_ms + kDayMs - 1;
  const Report report = Analyze(definitions, definitions.experiments.front(), plan, result);
  ASSERT_TRUE(report.channels.has_value());
  ASSERT_EQ(report.channels->rows.size(), 6u);  // Two channels, two lines, paid, free.
  const ChannelRow& search = report.channels->rows[0];
  EXPECT_EQ(search.title, "Paid search");
  EXPECT_EQ(search.units, 4);
  EXPECT_DOUBLE_EQ(search.cost, 100);
  EXPECT_DOUBLE_EQ(search.cost_per_unit, 25);
  EXPECT_DOUBLE_EQ(*search.arms[0].margin, 15 - 25);
  EXPECT_NEAR(*search.arms[0].margin_hi - *search.arms[0].margin, 1.959963984540054 * 5, 1e-9);
  EXPECT_EQ(report.channels->rows[1].cost, 0);
  EXPECT_EQ(report.channels->rows[2].key, "traffic");
  EXPECT_THAT(RenderText(report), HasSubstr("Margin by channel"));
}

TEST(Growth, AnExclusionThatDependsOnTheArmIsSaid) {
  const auto definitions = Load("primary: [revenue]\n");
  const store::Plan plan = PlanOf(definitions);
  store::PlanResult result;
  result.health.arms.resize(2);
  for (auto& arm : result.health.arms) {
    arm.units = 5000;
    arm.units_by_phase[0] = 5000;
    arm.excluded_units = arm.burst_units = 50;
    arm.excluded_by_phase[0] = 50;
  }
  const auto analyze = [&] {
    return Analyze(definitions, definitions.experiments.front(), plan, result);
  };
  Report report = analyze();
  EXPECT_TRUE(report.health.ok);
  ASSERT_TRUE(report.health.srm_before.has_value());
  EXPECT_EQ(report.health.srm_before->observed[0], 5050);
  // 600 of one arm: it fitted before, and no longer does.
  auto& arm = result.health.arms[1];
  arm.units = arm.units_by_phase[0] = 4450;
  arm.excluded_units = arm.burst_units = arm.excluded_by_phase[0] = 600;
  report = analyze();
  EXPECT_FALSE(report.health.ok);
  EXPECT_FALSE(report.health.srm_before->mismatch);
  EXPECT_EQ(report.health.problems.front().code, ReasonCode::kExclusionImbalance);
  EXPECT_TRUE(report.verdict.withheld);
  EXPECT_THAT(RenderText(report), HasSubstr("what the rule looks at depends on the arm"));
  EXPECT_THAT(RenderText(report), HasSubstr("650 (50 / 600), 650 of them for doing more"));
  // A mismatch that was there before is the assignment's.
  arm.excluded_units = arm.burst_units = arm.excluded_by_phase[0] = 0;
  EXPECT_EQ(analyze().health.problems.front().code, ReasonCode::kSampleRatioMismatch);
}

}  // namespace
}  // namespace fulcrum::report
