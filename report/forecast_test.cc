// SPDX-License-Identifier: Apache-2.0
//
// Figures named "reference" are printed by tests/reference/forecast.py (statsmodels 0.13.5, SciPy
// 1.10.1).
#include "report/forecast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "base/time.h"
#include "report/history.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;
using experiments::ExperimentDefinition;
using experiments::MetricDefinition;
using testing::HasSubstr;
using testing::Not;

MetricDefinition Metric(const std::string& key, MetricKind kind, int64_t window_ms) {
  MetricDefinition metric;
  metric.key = key;
  metric.kind = kind;
  metric.window.end_ms = window_ms;
  metric.terms.push_back({.event = "pay"});
  return metric;
}

// A rate and a mean that matter, one guardrail; nothing spent on looking.
Definitions TwoArms() {
  Definitions d;
  d.project.units = {{.key = "user"}};
  d.project.metrics = {Metric("pay_rate", MetricKind::kProportion, 7 * kDayMs),
                       Metric("revenue", MetricKind::kMean, 7 * kDayMs),
                       Metric("refund_rate", MetricKind::kProportion, 14 * kDayMs)};
  d.project.metrics[2].direction = Direction::kDecrease;
  ExperimentDefinition e;
  e.key = "coupon";
  e.unit = "user";
  e.variants = {{.key = "none", .control = true}, {.key = "ten"}};
  e.primary = {{.metric = "pay_rate"}};
  e.analysis.alpha_look = 0;
  e.decision.min_lift = 0.02;
  e.decision.power = 0.8;
  d.experiments = {e};
  return d;
}

Baseline Rate(double p) { return {.mean = p, .variance = p * (1 - p)}; }

ForecastInput Input() {
  ForecastInput input;
  input.baselines = {{"pay_rate", Rate(0.12)},
                     {"revenue", {.mean = 40, .variance = 90 * 90}},
                     {"refund_rate", Rate(0.02)}};
  return input;
}

Forecast Make(const Definitions& d, const ForecastInput& input) {
  const auto forecast = MakeForecast(d, d.experiments.front(), input);
  EXPECT_TRUE(forecast.ok()) << forecast.status();
  return forecast.ok() ? *forecast : Forecast{};
}

TEST(Forecast, ProportionsAreSizedAsTheScoreTestWillJudgeThem) {
  Definitions d = TwoArms();
  EXPECT_EQ(Make(d, Input()).metrics.front().arm_units.at(0),
            std::ceil(290272.6321));  // Reference.
  d.experiments.front().variants[1].weight = 3;
  d.experiments.front().decision.power = 0.9;
  const Forecast uneven = Make(d, Input());
  EXPECT_EQ(uneven.metrics.front().arm_units.at(0), std::ceil(259291.1983));  // Reference.
  EXPECT_EQ(uneven.metrics.front().arm_units.at(1), std::ceil(3 * 259291.1983));
  EXPECT_EQ(*uneven.units, uneven.metrics.front().units);
}

TEST(Forecast, SeveralTreatmentsAndLookingLowerTheLevel) {
  Definitions d = TwoArms();
  ExperimentDefinition& e = d.experiments.front();
  e.variants.push_back({.key = "twenty"});
  // No end is planned, so nothing is spent on looking.
  e.analysis.alpha_look = 0.01;
  Forecast forecast = Make(d, Input());
  EXPECT_NEAR(forecast.metrics.front().alpha, 0.02695784, 2e-6);  // Reference.
  e.decision.planned_duration_ms = 28 * kDayMs;
  forecast = Make(d, Input());
  EXPECT_EQ(forecast.alpha_final, 0.04);
  EXPECT_NEAR(forecast.metrics.front().alpha, 0.02142343, 2e-6);           // Reference.
  EXPECT_NEAR(forecast.metrics.front().arm_units.at(2), 365112.9803, 20);  // Reference.
  e.analysis.correction = Correction::kHolm;
  EXPECT_DOUBLE_EQ(Make(d, Input()).metrics.front().alpha, 0.02);
  e.analysis.correction = Correction::kNone;
  EXPECT_DOUBLE_EQ(Make(d, Input()).metrics.front().alpha, 0.04);
}

TEST(Forecast, MeansLoseWhatCovariatesExplainAndGainTheDesignEffect) {
  Definitions d = TwoArms();
  d.experiments.front().primary = {{.metric = "revenue"}};
  ForecastInput input = Input();
  EXPECT_NEAR(Make(d, input).metrics.front().arm_units.at(0), 198674.2816, 2);  // Reference.
  input.baselines["revenue"].variance_reduction = 0.3;
  EXPECT_NEAR(Make(d, input).metrics.front().arm_units.at(0), 139071.9971, 2);  // Reference.
  input.design_effect = 2;
  EXPECT_NEAR(Make(d, input).metrics.front().arm_units.at(0), 2 * 139071.9971, 3);
}

TEST(Forecast, AGuardrailsMarginIsAOneSidedTestWithTheBasesNoise) {
  Definitions d = TwoArms();
  d.experiments.front().guardrails = {{.metric = "refund_rate", .margin = 0.5}};
  const MetricForecast guardrail = Make(d, Input()).metrics.at(1);
  EXPECT_TRUE(guardrail.one_sided);
  EXPECT_EQ(guardrail.alpha, 0.025);
  EXPECT_EQ(guardrail.arm_units.at(0), std::ceil(4999.7364));  // Reference.
}

TEST(Forecast, DaysCountLayerHoldoutRampAndMaturing) {
  Definitions d = TwoArms();
  ExperimentDefinition& e = d.experiments.front();
  ForecastInput input = Input();
  input.arrivals = Arrivals{{}, 40000, false};
  Forecast forecast = Make(d, input);
  // 580,546 units at 40,000 a day: 14.5 days of units, then 7 for the last one's window.
  EXPECT_EQ(forecast.metrics.front().collect_days, 15);
  EXPECT_EQ(forecast.decision_days, 22);
  e.layer_ranges = {{0, 50}};
  d.project.holdouts = {{.key = "global", .percent = 20, .unit = "user"},
                        {.key = "devices", .percent = 50, .unit = "device"}};
  forecast = Make(d, input);
  EXPECT_DOUBLE_EQ(forecast.layer_share * forecast.holdout_share, 0.4);
  EXPECT_EQ(forecast.metrics.front().collect_days, 37);  // 580,546 / 16,000 = 36.3
  e.ramp = {{.at_ms = 0, .elapsed = true, .percent = 10},
            {.at_ms = 10 * kDayMs, .elapsed = true, .percent = 100}};
  EXPECT_EQ(Make(d, input).metrics.front().collect_days, 46);  // (580,546 - 16,000) / 16,000 = 35.3
  // By activity fewer and fewer units are new.
  e.ramp.clear();
  e.layer_ranges.clear();
  d.project.holdouts.clear();
  input.arrivals = Arrivals{{300000, 100000}, 50000, true};
  EXPECT_EQ(Make(d, input).metrics.front().collect_days, 6);  // 400,000 + 4 * 50,000
}

TEST(Forecast, WhatThePlannedTimeCanShow) {
  Definitions d = TwoArms();
  ExperimentDefinition& e = d.experiments.front();
  e.primary.push_back({.metric = "revenue"});
  e.analysis.correction = Correction::kNone;
  e.decision.planned_duration_ms = 17 * kDayMs;
  ForecastInput input = Input();
  input.arrivals = Arrivals{{}, 10000, false};
  const Forecast forecast = Make(d, input);
  // Units of the first 10 of 17 days have passed their 7 days: 50,000 in each arm.
  EXPECT_NEAR(*forecast.metrics[0].planned_units, 100000, 1e-6);
  EXPECT_NEAR(*forecast.metrics[0].detectable, 0.0484798558, 1e-9);  // Reference.
  EXPECT_NEAR(*forecast.metrics[1].detectable, 0.0398672077, 1e-7);  // Reference.
  EXPECT_NEAR(*forecast.metrics[1].detectable_abs, 40 * 0.0398672077, 1e-5);
  EXPECT_THAT(ForecastText(forecast), HasSubstr("longer than the 17 days planned"));
  // The schedule closes the door earlier, but does not say how long it would have to be open.
  e.start_ms = 0;
  e.end_ms = 5 * kDayMs;
  EXPECT_NEAR(*Make(d, input).metrics[0].planned_units, 50000, 1e-6);
  EXPECT_EQ(Make(d, input).decision_days, forecast.decision_days);
  EXPECT_EQ(forecast.decision_days, 59 + 7);    // 580,546 units at 10,000 a day.
  e.decision.planned_duration_ms = 7 * kDayMs;  // Nobody is mature by then.
  EXPECT_FALSE(Make(d, input).metrics[0].detectable.has_value());
}

TEST(Forecast, SaysWhatItCannotPlanWithout) {
  Definitions d = TwoArms();
  ExperimentDefinition& e = d.experiments.front();
  e.guardrails = {{.metric = "refund_rate", .margin = 0.5}};
  e.secondary = {{.metric = "revenue"}};
  const auto error = [&](const ForecastInput& input) {
    return std::string(Message(MakeForecast(d, e, input).status()));
  };
  EXPECT_THAT(error({}), HasSubstr("no baseline for pay_rate, refund_rate: give past data"));
  ForecastInput input = Input();
  input.baselines.erase("revenue");
  const Forecast forecast = Make(d, input);
  EXPECT_EQ(forecast.metrics.back().status, Status::kNotPlanned);
  EXPECT_THAT(ForecastText(forecast), HasSubstr("no baseline"));
  e.decision.min_lift = 0;
  EXPECT_THAT(error(input), HasSubstr("nothing to plan towards"));
  e.decision.min_lift = 0.02;
  input.power = 1.5;
  EXPECT_THAT(error(input), HasSubstr("power must be between 0 and 1"));
  e.primary.clear();
  EXPECT_THAT(error(Input()), HasSubstr("no primary metric"));
}

TEST(Forecast, ImpossibleAndEmptyBaselinesAreReasonsNotNumbers) {
  Definitions d = TwoArms();
  d.experiments.front().decision.min_lift = 0.5;
  ForecastInput input = Input();
  input.baselines["pay_rate"] = Rate(0.9);  // 135%
  input.arrivals = Arrivals{{}, 1000, false};
  Forecast forecast = Make(d, input);
  EXPECT_TRUE(forecast.metrics.front().arm_units.empty());
  EXPECT_FALSE(forecast.units.has_value());
  EXPECT_THAT(ForecastText(forecast), HasSubstr("never"));
  input.baselines["pay_rate"] = Rate(0);
  forecast = Make(d, input);
  EXPECT_EQ(forecast.metrics.front().status, Status::kNoEvents);
  EXPECT_THAT(ForecastText(forecast), Not(HasSubstr("nan")));
  EXPECT_TRUE(nlohmann::json::parse(ForecastJson(forecast))["units"].is_null());
}

// --- History -------------------------------------------------------------------------------------

// 1,000 units whose revenue is twice what they spent before, and noise that is not correlated.
store::PlanResult PastOf(const store::Plan& plan) {
  store::PlanResult result;
  result.health.arms.resize(1);
  result.health.first_exposure_ms = 100 * kDayMs + kHourMs;
  result.health.last_exposure_ms = 140 * kDayMs + kHourMs;
  if (plan.columns.empty()) return result;
  result.health.arms[0].units = 1000;
  for (int64_t day = 0; day < 28; ++day) {
    result.health.arms[0].units_by_day[plan.population.from_ms + day * kDayMs] = day < 7 ? 100 : 10;
  }
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    store::Cell cell;
    cell.group = static_cast<int>(g);
    const auto& columns = plan.groups[g].columns;
    cell.gram = stats::Gram(columns.size());
    for (int i = 0; i < 1000; ++i) {
      std::vector<double> row;
      for (const int c : columns) {
        const store::Column& column = plan.columns[static_cast<size_t>(c)];
        const double before = i % 2;
        if (column.kind == store::ColumnKind::kPre)
          row.push_back(before);
        else if (column.kind == store::ColumnKind::kHasPre)
          row.push_back(1);
        else if (column.kind == store::ColumnKind::kAtLeast)
          row.push_back(i % 8 == 0);
        else
          row.push_back(2 * before + (i % 4 < 2 ? 1 : 0));
      }
      cell.gram.Add(row);
    }
    result.cells.push_back(std::move(cell));
  }
  return result;
}

TEST(History, BaselinesVarianceExplainedAndArrivals) {
  Definitions d = TwoArms();
  d.project.metrics[1].covariate_window_ms = 14 * kDayMs;
  ExperimentDefinition& e = d.experiments.front();
  e.primary.push_back({.metric = "revenue"});
  std::vector<store::Plan> plans;
  const auto history = ReadHistory(d, e, [&](const store::Plan& plan) {
    plans.push_back(plan);
    return absl::StatusOr<store::PlanResult>(PastOf(plan));
  });
  ASSERT_TRUE(history.ok()) << history.status();
  ASSERT_EQ(plans.size(), 2u);
  EXPECT_TRUE(plans[1].population.active_units);
  // 28 whole days that end a window's 7 before the last thing that was logged.
  EXPECT_EQ(plans[1].population.to_ms, 133 * kDayMs);
  EXPECT_EQ(plans[1].population.from_ms, 105 * kDayMs);
  const Baseline& rate = history->baselines.at("pay_rate");
  EXPECT_DOUBLE_EQ(rate.mean, 0.125);
  EXPECT_NEAR(rate.variance, 0.125 * 0.875 * 1000 / 999, 1e-12);
  const Baseline& revenue = history->baselines.at("revenue");
  EXPECT_DOUBLE_EQ(revenue.mean, 1.5);
  EXPECT_NEAR(revenue.variance, 1.25 * 1000 / 999, 1e-12);
  EXPECT_NEAR(revenue.variance_reduction, 1 / 1.25, 1e-9);  // 2 before: variance 1 of 1.25.
  EXPECT_EQ(history->arrivals.by_day.size(), 28u);
  EXPECT_EQ(history->arrivals.by_day.front(), 100);
  EXPECT_EQ(history->arrivals.per_day_after, 10);

  const auto back = HistoryFromJson(HistoryToJson(*history));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(HistoryToJson(*back), HistoryToJson(*history));
  EXPECT_FALSE(HistoryFromJson("{}").ok());
}

TEST(History, TooShortOrNoneIsSaid) {
  const Definitions d = TwoArms();
  store::PlanResult result;
  result.health.arms.resize(1);
  const auto error = [&] {
    return std::string(Message(ReadHistory(d, d.experiments.front(), [&](const store::Plan&) {
                                 return absl::StatusOr<store::PlanResult>(result);
                               }).status()));
  };
  EXPECT_THAT(error(), HasSubstr("nothing that a unit of kind \"user\" did"));
  result.health.first_exposure_ms = 100 * kDayMs;
  result.health.last_exposure_ms = 105 * kDayMs;
  EXPECT_THAT(error(), HasSubstr("too short for a whole day of units whose windows of 7d"));
}

}  // namespace
}  // namespace fulcrum::report
