// SPDX-License-Identifier: Apache-2.0
#include "calibrate/bench.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>

#include "base/time.h"
#include "experiments/load.h"
#include "report/plan.h"
#include "stats/survival.h"
#include "store/fold_tables.h"

namespace fulcrum::calibrate {
namespace {

constexpr double kHorizonDays = 7;
constexpr int64_t kStartMs = 1772409600000;  // 2026-03-02T00:00:00Z

constexpr std::string_view kProject = R"(project: calibration
timezone: UTC
currency: CNY
units:
  user: {}
attributes:
  channel: {type: string, values: [search, partner, organic, social]}
stages:
  register: {title: Registered, event: register, mover: product}
  order: {title: Ordered, event: order, mover: product}
  pay: {title: Paid, event: pay, mover: product}
)";

constexpr std::string_view kMetrics = R"(metrics:
  pay_rate: {title: Paid, kind: proportion, event: pay, window: 7d, covariate_window: 28d}
  register_rate: {title: Registered, kind: proportion, event: register, window: 7d}
  return_rate: {title: Came back, kind: proportion, event: browse, window: 7d}
  refund_rate:
    title: Refunded
    kind: proportion
    event: refund
    window: 7d
    direction: decrease
  orders: {title: Orders, kind: count, event: pay, window: 7d, covariate_window: 28d}
  revenue:
    title: Revenue
    kind: mean
    event: pay
    property: value
    window: 7d
    covariate_window: 28d
  minutes:
    title: Minutes
    kind: mean
    event: leave
    property: minutes
    window: 7d
    covariate_window: 28d
  order_value:
    title: Order value
    kind: ratio
    numerator: {event: pay, property: value}
    denominator: {event: pay}
    window: 7d
    covariate_window: 28d
  minutes_p50:
    title: Median minutes
    kind: quantile
    q: 0.5
    of: units
    event: leave
    property: minutes
    window: 7d
  minutes_p90:
    title: Slow minutes
    kind: quantile
    q: 0.9
    of: units
    event: leave
    property: minutes
    window: 7d
  order_p50:
    title: Median order
    kind: quantile
    q: 0.5
    of: events
    event: pay
    property: value
    window: 7d
  time_to_pay:
    title: Time to payment
    kind: time_to
    from: exposure
    to: pay
    horizon: 7d
    direction: decrease
  funnel: {title: Funnel, kind: funnel, stages: [register, order, pay], window: 7d}
)";

// What the plan calls a column -> what it is of a shopper.
const std::map<std::string, Trait, std::less<>>& Columns() {
  static const auto* columns = new std::map<std::string, Trait, std::less<>>{
      {"pay_rate", kPay},
      {"pay_rate/before", kOrdersBefore},
      {"register_rate", kRegister},
      {"return_rate", kReturn},
      {"refund_rate", kRefund},
      {"orders", kOrders},
      {"orders/before", kOrdersBefore},
      {"revenue", kRevenue},
      {"revenue/before", kRevenueBefore},
      {"minutes", kMinutes},
      {"minutes/before", kMinutesBefore},
      {"minutes_p50", kMinutes},
      {"minutes_p90", kMinutes},
      {"order_value/numerator", kRevenue},
      {"order_value/denominator", kOrders},
      {"order_value/numerator/before", kRevenueBefore},
      {"order_value/denominator/before", kOrdersBefore},
      {"seen/before", kSeenBefore},
      {"funnel/stage/register", kRegister},
      {"funnel/stage/order", kOrder},
      {"funnel/stage/pay", kPay},
  };
  return *columns;
}

std::string ExperimentYaml(const BenchOptions& options) {
  std::string yaml = "experiment: trial\ntitle: Trial\nsalt: trial\nunit: user\nvariants:\n";
  for (size_t arm = 0; arm < options.arms.size(); ++arm) {
    yaml += "  arm" + std::to_string(arm) + ": {weight: 1";
    yaml += arm == 0 ? ", control: true}\n" : "}\n";
  }
  yaml += "schedule: {start: 2026-03-02T00:00:00Z}\n" + options.experiment;
  if (yaml.back() != '\n') yaml += '\n';
  return yaml;
}

// The bench's definitions are constants of this folder: that they load is a test, not an outcome.
[[noreturn]] void Refuse(std::string_view what) {
  std::cerr << "calibrate: a definition of its own does not load: " << what << "\n";
  std::abort();
}

}  // namespace

Bench::Bench(const BenchOptions& options) {
  const auto loaded =
      experiments::LoadFromFiles({{"project.yaml", std::string(kProject)},
                                  {"metrics.yaml", std::string(kMetrics)},
                                  {"experiments/trial.yaml", ExperimentYaml(options)}});
  if (!loaded.ok()) Refuse(experiments::Format(loaded.diagnostics.front()));
  definitions_ = loaded.definitions;
  if (options.planned_days > 0) {
    experiment().decision.planned_duration_ms = options.planned_days * kDayMs;
  }
  // A shopper has a sum over the window and no days of it.
  experiment().analysis.by_day = false;
  auto plan = report::MakePlan(definitions_, experiment());
  if (!plan.ok()) Refuse(std::string(plan.status().message()));
  plan_ = *std::move(plan);
  for (const Effects& effects : options.arms) shops_.emplace_back(effects);
  for (const store::Group& group : plan_.groups) {
    traits_.emplace_back();
    for (const int column : group.columns) {
      const auto found = Columns().find(plan_.columns[static_cast<size_t>(column)].name);
      if (found == Columns().end()) {
        Refuse(plan_.columns[static_cast<size_t>(column)].name + " is no trait of a shopper");
      }
      traits_.back().push_back(found->second);
    }
  }
}

std::vector<size_t> DrawPeople(Random& random, int count) {
  std::vector<size_t> people(static_cast<size_t>(count));
  constexpr int kDrawBits = std::countr_zero(kPeople);
  uint64_t bits = 0;
  int left = 0;
  for (size_t& person : people) {
    if (left < kDrawBits) {
      bits = random.Bits();
      left = 64;
    }
    person = bits & (kPeople - 1);
    bits >>= kDrawBits;
    left -= kDrawBits;
  }
  return people;
}

void Bench::AddPeople(std::span<const size_t> people, size_t arm, size_t group,
                      stats::Gram* gram) const {
  const std::vector<Trait>& traits = traits_[group];
  std::vector<double> rows;
  rows.reserve(people.size() * traits.size());
  for (const size_t person : people) {
    for (const Trait trait : traits) rows.push_back(shops_[arm].at(person, trait));
  }
  gram->AddRows(rows);
}

store::PlanResult Bench::Empty() const {
  store::PlanResult result;
  result.health.arms.resize(shops_.size());
  result.health.first_exposure_ms = kStartMs;
  result.health.last_exposure_ms = kStartMs;
  result.as_of_ms = kStartMs;
  result.cap_values.assign(plan_.columns.size(), HUGE_VAL);
  return result;
}

void Bench::Extend(Random& random, std::span<const int> units, int phase,
                   store::PlanResult* result) const {
  const auto cell = [&](size_t arm, size_t group, int slice, std::string_view value) {
    for (store::Cell& c : result->cells) {
      if (c.arm == static_cast<int>(arm) && c.group == static_cast<int>(group) &&
          c.phase == phase && c.slice == slice && c.slice_value == value) {
        return &c.gram;
      }
    }
    store::Cell& c = result->cells.emplace_back();
    c.arm = static_cast<int>(arm);
    c.group = static_cast<int>(group);
    c.phase = phase;
    c.slice = slice;
    c.slice_value = value;
    c.gram = stats::Gram(traits_[group].size());
    return &c.gram;
  };
  for (size_t arm = 0; arm < shops_.size(); ++arm) {
    const std::vector<size_t> people = DrawPeople(random, units[arm]);
    store::ArmHealth& health = result->health.arms[arm];
    health.units += units[arm];
    health.exposures += units[arm];
    health.units_by_phase[phase] += units[arm];
    health.units_by_day[result->as_of_ms] += units[arm];  // Since the last look.
    for (size_t group = 0; group < traits_.size(); ++group) {
      AddPeople(people, arm, group, cell(arm, group, -1, ""));
    }
    if (plan_.slices.empty()) continue;
    std::array<std::vector<size_t>, kChannels> by_channel;
    for (const size_t person : people) {
      by_channel[shops_[arm].channel(person)].push_back(person);
    }
    for (size_t channel = 0; channel < kChannels; ++channel) {
      if (by_channel[channel].empty()) continue;
      for (size_t group = 0; group < traits_.size(); ++group) {
        AddPeople(by_channel[channel], arm, group, cell(arm, group, 0, kChannelNames[channel]));
      }
    }
  }
}

// Units are exposed over a fortnight, so they have been followed for 2 to 16 days when one looks.
void Bench::AddTimes(Random& random, std::span<const size_t> people, size_t arm,
                     store::PlanResult* result) const {
  std::vector<double> time;
  std::vector<double> event;
  for (const size_t person : people) {
    const double followed = std::min(kHorizonDays, 2 + 14 * random.Uniform());
    const double paid = shops_[arm].pay_day(person);
    time.push_back(std::floor(std::min(followed, paid) * static_cast<double>(kDayMs)));
    event.push_back(paid < followed ? 1 : 0);
  }
  store::SurvivalTable table;
  table.arm = static_cast<int>(arm);
  for (const stats::RiskRow& row : stats::RiskTable(time, event)) {
    table.rows.push_back({row.time, row.at_risk, row.events, row.censored});
  }
  result->survival.push_back(std::move(table));
}

void Bench::AddQuantiles(std::span<const size_t> people, size_t arm,
                         store::PlanResult* result) const {
  for (size_t q = 0; q < plan_.quantiles.size(); ++q) {
    const store::QuantileSpec& spec = plan_.quantiles[q];
    std::vector<store::QuantileMember> members;
    for (size_t i = 0; i < people.size(); ++i) {
      const auto cluster = static_cast<uint32_t>(i);
      if (!spec.of_events) {
        members.push_back({cluster, shops_[arm].at(people[i], kMinutes)});
        continue;
      }
      for (const double value : shops_[arm].orders(people[i])) members.push_back({cluster, value});
    }
    store::QuantileResult answer = store::MakeQuantile(std::move(members), spec.of_events, spec);
    answer.quantile = static_cast<int>(q);
    answer.arm = static_cast<int>(arm);
    result->quantiles.push_back(answer);
  }
}

store::PlanResult Bench::Draw(Random& random, std::span<const int> units) const {
  store::PlanResult result = Empty();
  if (!traits_.empty()) Extend(random, units, 0, &result);
  if (!plan_.time_to.empty() || !plan_.quantiles.empty()) {
    for (size_t arm = 0; arm < shops_.size(); ++arm) {
      const std::vector<size_t> people = DrawPeople(random, units[arm]);
      if (!plan_.time_to.empty()) AddTimes(random, people, arm, &result);
      AddQuantiles(people, arm, &result);
    }
  }
  return result;
}

report::Report Bench::Analyze(const store::PlanResult& result,
                              const report::AnalyzeOptions& options) const {
  return report::Analyze(definitions_, definitions_.experiments.front(), plan_, result, options);
}

report::Report Bench::AnalyzeOnDay(store::PlanResult* result, int day) const {
  result->as_of_ms = kStartMs + day * kDayMs;
  result->health.last_exposure_ms = result->as_of_ms - 1;
  return Analyze(*result);
}

void DrawInto(Random& random, const Shop& shop, std::span<const Trait> traits, int count,
              stats::Gram* gram) {
  std::vector<double> rows;
  rows.reserve(static_cast<size_t>(count) * traits.size());
  for (const size_t person : DrawPeople(random, count)) {
    for (const Trait trait : traits) rows.push_back(shop.at(person, trait));
  }
  gram->AddRows(rows);
}

stats::Gram DrawGram(Random& random, const Shop& shop, std::span<const Trait> traits, int count) {
  stats::Gram gram(traits.size());
  DrawInto(random, shop, traits, count, &gram);
  return gram;
}

const report::Comparison& Find(const report::Report& report, std::string_view metric, size_t arm) {
  const report::MetricReport* found = report.FindMetric(std::string(metric));
  if (found == nullptr || found->comparisons.size() < arm) Refuse(metric);
  return found->comparisons[arm - 1];
}

}  // namespace fulcrum::calibrate
