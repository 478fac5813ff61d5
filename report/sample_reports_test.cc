// SPDX-License-Identifier: Apache-2.0
#include "report/sample_reports.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <tuple>

#include "base/time.h"
#include "report/analyze.h"
#include "report/plan.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;
using experiments::ExperimentDefinition;
using experiments::Lens;
using experiments::MetricDefinition;
using experiments::MetricKind;
using experiments::Mover;

constexpr int64_t kWeekMs = 7 * kDayMs;

MetricDefinition Metric(const std::string& key, const std::string& title, MetricKind kind,
                        const std::string& event, Lens lens = Lens::kBusiness) {
  MetricDefinition metric;
  metric.key = key;
  metric.title = title;
  metric.kind = kind;
  metric.lens = lens;
  metric.window.end_ms = kWeekMs;
  if (!event.empty()) metric.terms = {{1, event, "", {}, {}}};
  return metric;
}

std::vector<MetricDefinition> Metrics() {
  std::vector<MetricDefinition> out;
  out.push_back(Metric("pay_rate", "Paid within 7 days", MetricKind::kProportion, "pay"));
  auto revenue = Metric("revenue", "Revenue in 7 days", MetricKind::kMean, "pay");
  revenue.terms.front().property = "value";
  revenue.covariate_window_ms = 14 * kDayMs;
  revenue.unit_label = "CNY";
  revenue.cap = experiments::Cap{4000, std::nullopt, false};
  out.push_back(revenue);
  auto value = Metric("order_value", "Order value", MetricKind::kRatio, "pay");
  value.terms.front().property = "value";
  value.denominator = {{1, "pay", "", {}, {}}};
  value.unit_label = "CNY";
  out.push_back(value);
  auto time = Metric("time_to_pay", "Time to payment", MetricKind::kTimeTo, "", Lens::kUser);
  time.to_stage = "pay";
  time.horizon_ms = kWeekMs;
  time.direction = experiments::Direction::kDecrease;
  out.push_back(time);
  auto median = Metric("pay_median", "Median payment", MetricKind::kQuantile, "pay");
  median.terms.front().property = "value";
  median.quantile_of_events = true;
  median.unit_label = "CNY";
  out.push_back(median);
  auto back = Metric("week_return", "Came back in days 1 to 7", MetricKind::kRetention, "browse",
                     Lens::kFuture);
  back.retention_from_ms = kDayMs;
  back.retention_to_ms = 8 * kDayMs;
  out.push_back(back);
  auto funnel = Metric("funnel", "From browsing to service", MetricKind::kFunnel, "");
  funnel.funnel_stages = {"browse", "consult", "register", "order", "pay", "service"};
  out.push_back(funnel);
  return out;
}

ExperimentDefinition Experiment(int arms) {
  ExperimentDefinition experiment;
  experiment.key = "one-page-checkout";
  experiment.title = "One-page checkout";
  experiment.hypothesis = "One page instead of three loses fewer people on the way to payment.";
  experiment.owner = "checkout team";
  experiment.unit = "user";
  const std::vector<std::pair<std::string, std::string>> names = {
      {"control", "Three pages"}, {"one-page", "One page"}, {"two-page", "Two pages"}};
  for (int a = 0; a < arms; ++a) {
    experiments::VariantDefinition variant;
    variant.key = names[a].first;
    variant.title = names[a].second;
    variant.control = a == 0;
    experiment.variants.push_back(variant);
  }
  experiment.start_ms = kShopStartMs;
  experiment.end_ms = kShopEndMs;
  experiment.primary = {{"pay_rate", std::nullopt, {}}};
  experiment.secondary = {{"revenue", std::nullopt, {}},
                          {"order_value", std::nullopt, {}},
                          {"pay_median", std::nullopt, {}},
                          {"time_to_pay", std::nullopt, {}}};
  experiment.guardrails = {{"week_return", 0.1, {}}};
  experiment.funnel = "funnel";
  experiment.analysis.dimensions = {{"channel"}};
  experiment.decision.min_lift = 0.01;
  experiment.decision.planned_duration_ms = 28 * kDayMs;
  experiment.content_hash = "5f1d7a90c3e2b846";
  return experiment;
}

// One unit: what each column of the plan is for it.
struct Unit {
  std::map<std::string, double> columns;
  double pay_ms = -1;
  double amount = 0;
  std::string channel;
};

Unit Draw(const ShopWorld& world, size_t arm, double cluster_factor, Dice& dice, Dice& days) {
  Unit unit;
  auto& c = unit.columns;
  const double taste = dice.Normal();
  const bool seen = dice.Chance(0.6);
  const bool consult = dice.Chance(0.22);
  const bool registered = dice.Chance(std::min(1.0, 0.55 * world.register_factor[arm]));
  const bool order = registered && dice.Chance(0.5);
  const bool pay =
      order && dice.Chance(std::min(1.0, 0.7 * world.pay_factor[arm] * cluster_factor));
  const bool service = pay && dice.Chance(0.9);
  c["funnel/stage/browse"] = 1;
  c["funnel/stage/consult"] = consult ? 1 : 0;
  c["funnel/stage/register"] = registered ? 1 : 0;
  c["funnel/stage/order"] = order ? 1 : 0;
  c["funnel/stage/pay"] = pay ? 1 : 0;
  c["funnel/stage/service"] = service ? 1 : 0;
  unit.amount = pay ? 120 * std::exp(0.5 * taste + 0.3 * dice.Normal()) : 0;
  c["pay_rate"] = pay ? 1 : 0;
  // Those who pay do on one of the first days, mostly early; a few pay again.
  const int first_day = std::min(6, static_cast<int>(9 * days.Uniform() * days.Uniform()));
  for (int d = 0; d < 7; ++d) {
    const bool on_day = pay && (d == first_day || days.Chance(0.02));
    c["pay_rate/day/" + std::to_string(d)] = on_day ? 1 : 0;
  }
  c["revenue"] = unit.amount;
  c["order_value/numerator"] = unit.amount;
  c["order_value/denominator"] = pay ? 1 : 0;
  c["revenue/before"] = seen ? 80 * std::exp(0.5 * taste) : 0;
  c["seen/before"] = seen ? 1 : 0;
  c["week_return"] = dice.Chance(0.36 * world.return_factor[arm]) ? 1 : 0;
  if (pay) unit.pay_ms = -std::log(1 - dice.Uniform()) * 1.5 * kDayMs;
  const double where = dice.Uniform();
  unit.channel = where < 0.5 ? "search" : where < 0.8 ? "organic" : "social";
  return unit;
}

std::vector<double> RowOf(const store::Plan& plan, const store::Group& group, const Unit& unit) {
  std::vector<double> row;
  for (const int column : group.columns) row.push_back(unit.columns.at(plan.columns[column].name));
  return row;
}

store::Cell& CellAt(store::PlanResult* result, int arm, int phase, int slice,
                    const std::string& value, int group, size_t width) {
  for (store::Cell& cell : result->cells) {
    if (cell.arm == arm && cell.phase == phase && cell.slice == slice &&
        cell.slice_value == value && cell.group == group) {
      return cell;
    }
  }
  store::Cell cell;
  cell.arm = arm;
  cell.phase = phase;
  cell.slice = slice;
  cell.slice_value = value;
  cell.group = group;
  cell.gram = stats::Gram(width);
  result->cells.push_back(std::move(cell));
  return result->cells.back();
}

void AddSurvival(const std::vector<Unit>& units, int arm, store::PlanResult* result) {
  std::vector<double> times;
  for (const Unit& unit : units) {
    if (unit.pay_ms >= 0 && unit.pay_ms < kWeekMs) times.push_back(unit.pay_ms);
  }
  std::sort(times.begin(), times.end());
  store::SurvivalTable table;
  table.arm = arm;
  auto at_risk = static_cast<double>(units.size());
  for (const double time : times) {
    table.rows.push_back({time, at_risk, 1, 0});
    at_risk -= 1;
  }
  table.rows.push_back({static_cast<double>(kWeekMs), at_risk, 0, at_risk});
  result->survival.push_back(std::move(table));
}

void AddMedian(const std::vector<Unit>& units, int arm, store::PlanResult* result) {
  std::vector<double> amounts;
  for (const Unit& unit : units) {
    if (unit.amount > 0) amounts.push_back(unit.amount);
  }
  if (amounts.empty()) return;
  std::sort(amounts.begin(), amounts.end());
  const size_t n = amounts.size();
  const auto half = static_cast<size_t>(0.98 * std::sqrt(static_cast<double>(n)));
  store::QuantileResult q;
  q.arm = arm;
  q.n = q.n_clusters = static_cast<double>(n);
  q.value = n % 2 == 1 ? amounts[n / 2] : 0.5 * (amounts[n / 2 - 1] + amounts[n / 2]);
  q.lower = amounts[n / 2 - std::min(half, n / 2)];
  q.upper = amounts[std::min(n - 1, n / 2 + half)];
  q.density_sd = (q.upper - q.lower) / (2 * 1.959963984540054);
  result->quantiles.push_back(q);
}

}  // namespace

uint64_t Dice::Next() {  // SplitMix64 (Steele, Lea and Flood 2014).
  state_ += 0x9E3779B97F4A7C15ULL;
  uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

double Dice::Uniform() { return static_cast<double>(Next() >> 11U) * 0x1.0p-53; }

double Dice::Normal() {
  const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
  return radius * std::cos(2 * std::numbers::pi * Uniform());
}

Definitions ShopDefinitions(int arms) {
  Definitions definitions;
  auto& project = definitions.project;
  project.key = "shop";
  project.timezone = "Asia/Shanghai";
  project.currency = "CNY";
  project.units = {{"user", "", {}}};
  project.events["pay"] = {"pay", "Order Completed"};
  const auto stage = [&](const std::string& key, const std::string& title, Mover mover,
                         bool optional = false) {
    experiments::Stage out;
    out.key = key;
    out.title = title;
    out.any_of = {key};
    out.mover = mover;
    out.optional = optional;
    project.stages.push_back(out);
  };
  stage("browse", "Browsed", Mover::kMarket);
  stage("consult", "Asked the shop", Mover::kBusiness, true);
  stage("register", "Registered", Mover::kProduct);
  stage("order", "Ordered", Mover::kProduct);
  stage("pay", "Paid", Mover::kProduct);
  stage("service", "Served", Mover::kBusiness);
  project.metrics = Metrics();
  definitions.experiments.push_back(Experiment(arms));
  return definitions;
}

store::Plan ShopPlan(const Definitions& definitions) {
  auto plan = MakePlan(definitions, definitions.experiments.front());
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : store::Plan();
}

store::PlanResult ShopResult(const store::Plan& plan, const ShopWorld& world) {
  store::PlanResult result;
  Dice dice(world.seed);
  Dice days(world.seed + 1);
  for (size_t arm = 0; arm < world.units.size(); ++arm) {
    std::vector<Unit> units;
    store::ArmHealth health;
    const int clusters = store::Clustered(plan.population) ? world.clusters : 0;
    std::vector<double> factors;
    for (int k = 0; k < clusters; ++k)
      factors.push_back(std::exp(world.cluster_sd * dice.Normal()));
    std::map<std::tuple<int, int, int>, std::vector<double>> rows;  // Cluster, phase, group.
    for (int i = 0; i < world.units[arm]; ++i) {
      const double factor = clusters > 0 ? factors[i % clusters] : 1;
      units.push_back(Draw(world, arm, factor, dice, days));
      const int phase = i % world.phases;
      health.units_by_phase[phase] += 1;
      for (size_t g = 0; g < plan.groups.size(); ++g) {
        std::vector<double> row = RowOf(plan, plan.groups[g], units.back());
        if (clusters > 0) {
          row.push_back(1);
          std::vector<double>& sums = rows[{i % clusters, phase, static_cast<int>(g)}];
          sums.resize(row.size(), 0);
          for (size_t c = 0; c < row.size(); ++c) sums[c] += row[c];
          continue;
        }
        const auto add = [&](int slice, const std::string& value) {
          CellAt(&result, static_cast<int>(arm), phase, slice, value, static_cast<int>(g),
                 row.size())
              .gram.Add(row);
        };
        add(-1, "");
        if (!plan.slices.empty()) add(0, units.back().channel);
      }
    }
    for (const auto& [key, row] : rows) {
      const auto& [cluster, phase, group] = key;
      store::Cell& cell = CellAt(&result, static_cast<int>(arm), phase, -1, "", group, row.size());
      cell.gram.Add(row);
      cell.clusters.push_back(row);
    }
    health.units = world.units[arm];
    health.exposures = world.units[arm] * 1.5;
    result.health.arms.push_back(health);
    if (!plan.time_to.empty()) AddSurvival(units, static_cast<int>(arm), &result);
    if (!plan.quantiles.empty()) AddMedian(units, static_cast<int>(arm), &result);
  }
  for (const auto& column : plan.columns) {
    result.cap_values.push_back(column.cap ? column.cap->value.value_or(HUGE_VAL) : HUGE_VAL);
  }
  result.health.first_exposure_ms = kShopStartMs + kHourMs;
  result.health.last_exposure_ms = kShopEndMs - kHourMs;
  result.health.last_received_ms = kShopEndMs + kDayMs;
  result.as_of_ms = kShopEndMs + 8 * kDayMs;
  return result;
}

Report ShopReport(const ShopWorld& world) {
  const Definitions definitions = ShopDefinitions(static_cast<int>(world.units.size()));
  const store::Plan plan = ShopPlan(definitions);
  return Analyze(definitions, definitions.experiments.front(), plan, ShopResult(plan, world));
}

}  // namespace fulcrum::report
