// SPDX-License-Identifier: Apache-2.0
//
// What growth teams define beyond the plain metrics: counts of orders and sessions, repeat
// purchase, frozen caps, slices of events, dimensions of units, who is left out, costs of channels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/estimand.h"
#include "experiments/exclusion.h"
#include "experiments/load.h"
#include "experiments/sample_test_data.h"

namespace fulcrum::experiments {
namespace {

using ::testing::HasSubstr;

std::string Said(const LoadResult& loaded) {
  std::string text;
  for (const Diagnostic& d : loaded.diagnostics) text += Format(d) + "\n";
  return text;
}

// The sample with one more metric, project part and edited experiment.
LoadResult LoadWith(const std::string& metric, const std::string& project = "",
                    const std::string& analysis = "", const std::string& guardrail = "",
                    const std::string& costs = "") {
  auto files = SampleFiles();
  files["metrics.yaml"] += metric;
  files["project.yaml"] += project;
  std::string& experiment = files["experiments/one-page-checkout.yaml"];
  const auto put = [&](const std::string& from, const std::string& to) {
    if (!to.empty()) experiment.replace(experiment.find(from), from.size(), to);
  };
  put("dimensions: [channel]", analysis);
  put("[{metric: refund_rate, margin: 5%}]", guardrail);
  if (!costs.empty()) files["costs.csv"] = costs;
  return LoadFromFiles(files);
}

TEST(GrowthTest, OrdersAndSessionsCanBeWhatIsCounted) {
  const LoadResult loaded = LoadWith(R"(  paid_orders:
    kind: proportion
    per: order
    among: {event: order, filter: {value: {gte: 10}}}
    event: pay
    within: 1d
    window: 7d
  order_count: {kind: count, per: order, event: order, window: 7d}
  per_order: {kind: ratio, numerator: {event: pay, property: value}, denominator: )"
                                     R"({event: pay, per: order}, window: 7d}
  pay_time: {kind: time_to, per: order, from: order, to: pay, horizon: 1d}
  order_steps: {kind: funnel, per: session, stages: [order, pay, service], window: 7d, within: 20d}
  again: {kind: retention, event: pay, after: pay, window: 30d, from: 1d, to: 60d}
)");
  ASSERT_EQ(Said(loaded), "");
  const MetricDefinition& share = *loaded.definitions.FindMetric("paid_orders");
  EXPECT_EQ(share.per, CountedPer::kOrder);
  ASSERT_TRUE(share.among.has_value());
  EXPECT_EQ(share.among->event, "order");
  EXPECT_EQ(share.among->filters.size(), 1u);
  const auto& experiment = *loaded.definitions.FindExperiment("one-page-checkout");
  const auto estimand = [&](const char* key) {
    return Estimand(loaded.definitions.project, *loaded.definitions.FindMetric(key), experiment);
  };
  EXPECT_THAT(estimand("paid_orders"),
              HasSubstr("Share of different `order_id` with `order` where value >= 10 that have "
                        "`pay` within 1d of it"));
  EXPECT_THAT(estimand("paid_orders"), HasSubstr("once its 8d have passed"));
  EXPECT_THAT(estimand("per_order"), HasSubstr("different `order_id` of `pay`"));
  EXPECT_THAT(estimand("again"), HasSubstr("of all units of `user` with `pay` in [1d, 60d) after "
                                           "their first `pay` within 30d"));
}

TEST(GrowthTest, WhatCannotBeCountedSoIsSaid) {
  const auto said = [](const std::string& metric) {
    return Said(LoadWith("  m: {" + metric + "}\n"));
  };
  EXPECT_THAT(said("kind: proportion, event: pay, per: order"), HasSubstr("needs `among`"));
  EXPECT_THAT(said("kind: proportion, event: pay, among: order"), HasSubstr("needs `per`"));
  EXPECT_THAT(said("kind: proportion, event: pay, within: 1d"), HasSubstr("name one, or write"));
  EXPECT_THAT(said("kind: proportion, event: pay, among: order, per: order, at_least: 2"),
              HasSubstr("takes one `event`"));
  EXPECT_THAT(said("kind: time_to, per: order, from: exposure, to: pay, horizon: 1d"),
              HasSubstr("from stage to stage"));
  EXPECT_THAT(said("kind: funnel, per: order, stages: [consult, order, pay]"),
              HasSubstr("is optional, which"));
  EXPECT_THAT(said("kind: funnel, stages: [order, pay], within: 1d"), HasSubstr("write `per`"));
  EXPECT_THAT(said("kind: retention, event: pay, after: pay, from: 1d, to: 9d"),
              HasSubstr("needs `window`"));
  EXPECT_THAT(said("kind: retention, event: pay, window: 7d, from: 1d, to: 9d"),
              HasSubstr("goes with `after`"));
  EXPECT_THAT(said("kind: ratio, numerator: {event: pay, property: value, per: order}, "
                   "denominator: {event: pay}"),
              HasSubstr("`per` counts different ids"));
  EXPECT_THAT(said("kind: count, per: order, event: pay, cap: {value: 3}"),
              HasSubstr("`cap` is of sums"));
  EXPECT_THAT(said("kind: mean, event: pay, property: value, cap: {value: 3, at: 100}"),
              HasSubstr("a `value` never moves"));
  EXPECT_THAT(said("kind: mean, event: pay, property: value, cap: {quantile: 0.9, at: 1}"),
              HasSubstr("at least 2"));
  EXPECT_THAT(said("kind: mean, event: pay, property: value, slices: {category: []}"),
              HasSubstr("list the values"));
}

TEST(GrowthTest, AGuardrailMayHaveAShorterWindowOfItsOwn) {
  const LoadResult loaded = LoadWith("", "", "", "[{metric: refund_rate, margin: 5%, window: 3d}]");
  ASSERT_EQ(Said(loaded), "");
  const auto& experiment = *loaded.definitions.FindExperiment("one-page-checkout");
  ASSERT_EQ(experiment.guardrails[0].metric, "refund_rate@3d");
  const MetricDefinition* metric = loaded.definitions.FindMetric("refund_rate@3d");
  ASSERT_NE(metric, nullptr);
  EXPECT_EQ(metric->window.end_ms, int64_t{3} * 24 * 3600 * 1000);
  EXPECT_EQ(metric->title, "refund_rate, in the first 3d");
  EXPECT_THAT(Said(LoadWith("", "", "", "[{metric: refund_rate, margin: 5%, window: 8d}]")),
              HasSubstr("is longer than the metric's own 7d"));
  EXPECT_THAT(Said(LoadWith("", "", "", "[{metric: d7_return, margin: 5%, window: 3d}]")),
              HasSubstr("has no window that a `window` could replace"));
}

TEST(GrowthTest, DimensionsAreOfUnitsAndMayBeCrossed) {
  const LoadResult loaded = LoadWith("", "", "dimensions: [channel, [channel, city]]");
  ASSERT_EQ(Said(loaded), "");
  const auto& experiment = *loaded.definitions.FindExperiment("one-page-checkout");
  EXPECT_EQ(experiment.analysis.dimensions,
            (std::vector<std::vector<std::string>>{{"channel"}, {"channel", "city"}}));
  EXPECT_THAT(Said(LoadWith("", "", "dimensions: [[channel, town]]")),
              HasSubstr("unknown attribute `town`"));
  EXPECT_THAT(Said(LoadWith("", "", "dimensions: [channel, channel]")),
              HasSubstr("is listed already"));
  // An older file loads, and is told the word.
  const LoadResult older = LoadWith("", "", "slices: [channel]");
  EXPECT_FALSE(HasErrors(older.diagnostics));
  EXPECT_THAT(Said(older), HasSubstr("warning: parts of units by their attributes are `dimens"));
  EXPECT_EQ(older.definitions.FindExperiment("one-page-checkout")->analysis.dimensions.size(), 1u);
}

TEST(GrowthTest, WhoIsLeftOutIsARuleOnAttributesAndEvents) {
  const LoadResult loaded = LoadWith("", R"(exclude:
  when:
    all:
      - any: [{tester: true}, {city: [Test City]}]
      - age: {lt: 3}
  events:
    - {event: order, filter: {value: {gte: 1}}, more_than: 20, within: 1d}
)");
  ASSERT_EQ(Said(loaded), "");
  std::string why;
  const auto tests = ExclusionTests(*loaded.definitions.project.exclude_when, &why);
  ASSERT_EQ(tests.size(), 2u);
  EXPECT_EQ(tests[0].size(), 2u);
  EXPECT_EQ(tests[1][0].property, "city");
  EXPECT_EQ(loaded.definitions.project.exclude_events[0].more_than, 20);
  EXPECT_THAT(Said(LoadWith("", "exclude: {when: {city: {prefix: T}}}\n")),
              HasSubstr("may only compare attributes"));
  EXPECT_THAT(Said(LoadWith("", "exclude: {when: {app_version: {lt: 2.3.0}}}\n")),
              HasSubstr("a time or version"));
  EXPECT_THAT(Said(LoadWith("", "exclude: {when: {robot: true}}\n")),
              HasSubstr("undeclared attribute `robot`"));
  EXPECT_THAT(Said(LoadWith("", "exclude: {}\n")), HasSubstr("needs `when`"));
  EXPECT_THAT(Said(LoadWith("", "exclude: {events: [{event: order, more_than: 0, within: 1d}]}\n")),
              HasSubstr("whole number from 1 on"));
}

TEST(GrowthTest, CostsComeFromATableByDay) {
  const std::string head = "channel,from,to,amount\n";
  const LoadResult loaded = LoadWith(
      "", "", "", "", "# from finance\n" + head + "search, 2026-03-02, 2026-03-03, 12.5\r\n");
  ASSERT_EQ(Said(loaded), "");
  ASSERT_EQ(loaded.definitions.project.costs.size(), 1u);
  const ChannelCost& cost = loaded.definitions.project.costs[0];
  EXPECT_EQ(cost.from_ms, 1772380800000);  // Midnight in Shanghai.
  EXPECT_EQ(cost.to_ms - cost.from_ms, int64_t{2} * 24 * 3600 * 1000);
  EXPECT_EQ(cost.amount, 12.5);
  EXPECT_EQ(loaded.definitions.project.costs_hash.size(), 16u);
  const auto said = [&](const std::string& rows) { return Said(LoadWith("", "", "", "", rows)); };
  EXPECT_THAT(said("channel,amount\n"), HasSubstr("costs.csv:1:1: error: costs begin with"));
  EXPECT_THAT(said(head + "radio,2026-03-02,2026-03-03,1\n"),
              HasSubstr("costs.csv:2:1: error: unknown channel `radio`"));
  EXPECT_THAT(said(head + "search,2026-03-02,yesterday,1\n"),
              HasSubstr("costs.csv:2:19: error: `yesterday` is not a day"));
  EXPECT_THAT(said(head + "search,2026-03-02,2026-03-01,1\n"), HasSubstr("is before the first"));
  EXPECT_THAT(said(head + "search,2026-03-02,2026-03-03,-1\n"), HasSubstr("not an amount"));
  EXPECT_THAT(said(head + "search,2026-03-02,2026-03-03\n"), HasSubstr("has 4 fields"));
  EXPECT_THAT(said(head + "search,2026-03-02,2026-03-03,1\nsearch,2026-03-03,2026-03-04,1\n"),
              HasSubstr("overlap those of line 2"));
}

}  // namespace
}  // namespace fulcrum::experiments
