// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/truth_worlds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <utility>

#include "base/time.h"
#include "core/snapshot.h"
#include "experiments/compile.h"
#include "experiments/load.h"
#include "sim/decide.h"

namespace fulcrum::e2e {
namespace {

constexpr int64_t kDays = 21;

constexpr const char* kProject = R"(project: worlds
timezone: UTC
currency: CNY
units: {user: {}, device: {links_to: user}}
attributes:
  channel: {type: string}
  registered: {type: bool}
events:
  pay: [pay, "Order Completed"]
stages:
  browse: {event: browse}
  consult: {event: consult, optional: true}
  register: {any_of: [register, login], satisfied_if: {registered: true}}
  order: {event: order}
  pay: {event: pay}
metrics:
  pay_rate: {kind: proportion, event: pay, window: 7d}
  orders: {kind: count, event: order, window: 7d}
  revenue:
    kind: mean
    sum: [{event: pay, property: value}, {event: refund, property: value, times: -1}]
    window: 7d
    cap: {value: 1500}
    covariate_window: 7d
  big_orders:
    kind: proportion
    event: order
    filter: {value: {gte: 150}}
    window: 7d
  order_value:
    kind: ratio
    numerator: {event: pay, property: value}
    denominator: {event: pay}
    window: 7d
  week_return: {kind: retention, event: browse, from: 1d, to: 7d}
  time_to_pay: {kind: time_to, from: exposure, to: pay, horizon: 7d}
  funnel: {kind: funnel, stages: [browse, consult, register, order, pay], window: 7d}
  till_funnel: {kind: funnel, stages: [order, pay], window: 7d}
)";

constexpr const char* kPageFile = R"(experiment: page
salt: page
unit: device
variants: {control: {control: true, weight: 1}, wide: {weight: 1}}
schedule: {start: 2026-03-02T00:00:00+08:00}
primary: [pay_rate]
secondary: [orders, revenue, order_value, week_return, time_to_pay]
funnel: funnel
)";

constexpr const char* kTillFile = R"(experiment: till
salt: till
unit: user
variants: {control: {control: true, weight: 1}, short: {weight: 1}, long: {weight: 1}}
schedule: {start: 2026-03-02T00:00:00+08:00}
primary: [pay_rate]
secondary: [revenue, big_orders]
funnel: till_funnel
)";

sim::ShopModel Model() {
  sim::ShopModel model;
  model.cart_logit = 0.1;  // Small worlds need many buyers.
  model.user_value_sigma = 0.5;
  model.order_value_sigma = 0.4;
  return model;
}

std::vector<sim::ExperimentModel> Effects(const std::string& suffix) {
  return {
      {kPage + suffix, sim::Trigger::kVisit, {{"wide", {.cart_logit = 0.4, .return_logit = 0.2}}}},
      {kTill + suffix,
       sim::Trigger::kCheckout,
       {{"short", {.order_logit = 0.5, .pay_logit = 0.3, .order_value_log = 0.05}},
        {"long", {.pay_logit = -0.3}}}}};
}

}  // namespace

sim::Faults Faulty() {
  sim::Faults faults;
  faults.event_loss = 0.02;
  faults.exposure_loss = 0.03;
  faults.duplicate_rate = 0.05;
  faults.delay_rate = 0.1;
  faults.max_delay_ms = 2 * kDayMs;
  faults.refund_delay_ms = 3 * kDayMs;
  return faults;
}

std::unique_ptr<SmallWorld> MakeSmallWorld(const std::string& suffix, uint64_t seed, int64_t users,
                                           int64_t start_ms, const sim::Faults& faults) {
  static const experiments::LoadResult loaded =
      experiments::LoadFromFiles({{"project.yaml", kProject},
                                  {"experiments/page.yaml", kPageFile},
                                  {"experiments/till.yaml", kTillFile}});
  for (const auto& diagnostic : loaded.diagnostics) ADD_FAILURE() << Format(diagnostic);
  auto small = std::make_unique<SmallWorld>();
  small->definitions = loaded.definitions;
  for (auto& experiment : small->definitions.experiments) {
    experiment.key += suffix;
    experiment.salt += suffix;
    experiment.start_ms = start_ms;
  }
  auto data = experiments::Compile(small->definitions, core::Controls{});
  EXPECT_TRUE(data.ok()) << data.status();
  if (!data.ok()) return nullptr;
  core::BuildError error;
  std::shared_ptr<const core::Snapshot> snapshot = core::Snapshot::Make(*std::move(data), &error);
  EXPECT_NE(snapshot, nullptr) << error.message;
  if (snapshot == nullptr) return nullptr;
  sim::WorldOptions options;
  options.seed = seed;
  options.users = users;
  options.start_ms = start_ms;
  options.days = kDays;
  options.history_days = 7;
  options.id_prefix = suffix + "-";
  small->world =
      std::make_unique<sim::World>(options, Model(), Effects(suffix), faults, small->definitions);
  small->assign = sim::DecideWith(*small->world, snapshot, 1);
  return small;
}

Band BinomialBand(int64_t n, double p, double tail) {
  const auto term = [&](int64_t k) {
    const auto trials = static_cast<double>(n);
    const auto successes = static_cast<double>(k);
    return std::exp(std::lgamma(trials + 1) - std::lgamma(successes + 1) -
                    std::lgamma(trials - successes + 1) + successes * std::log(p) +
                    (trials - successes) * std::log1p(-p));
  };
  Band band{0, n};
  for (double below = term(0); below < tail; below += term(band.lower)) ++band.lower;
  for (double above = term(n); above < tail; above += term(band.upper)) --band.upper;
  return band;
}

}  // namespace fulcrum::e2e
