// SPDX-License-Identifier: Apache-2.0
//
// A sound project that tests start from and break. Tests only.
#pragma once

#include <map>
#include <string>

namespace fulcrum::experiments {

inline constexpr char kSampleProject[] =
    R"(# yaml-language-server: $schema=../../docs/schema/project.schema.json
project: shop
title: Sample shop
timezone: Asia/Shanghai
currency: CNY
units:
  user: {}
  device: {links_to: user}
attributes:
  channel: {type: string, values: [search, partner, organic, social, media]}
  registered: {type: bool}
  tester: {type: bool}
  app_version: {type: version}
  age: {type: int}
  spend: {type: float}
  joined: {type: time}
  city: {type: string}
events:
  pay: [pay, "Order Completed", purchase]
stages:
  browse: {event: browse, mover: market}
  consult: {event: consult, mover: business, optional: true}
  register: {any_of: [register, login], mover: product, satisfied_if: {registered: true}}
  order: {event: order, mover: product}
  pay: {event: pay, mover: product}
  service: {event: service, mover: business}
channels:
  search: {line: traffic, cost: paid}
layers: {checkout: {salt: checkout-2026}}
holdouts: {global: {percent: 2, salt: hold-2026}}
segments:
  new_users: {when: {registered: false}}
  testers: {title: People who try things out, when: {tester: true}}
metrics:
  pay_rate: {title: Paid within 7 days, kind: proportion, event: pay, window: 7d, lens: business}
  revenue: {kind: mean, sum: [{event: pay, property: value})"
    R"(, {event: refund, property: value, times: -1}], window: 7d, cap: {quantile: 0.999}}
  order_value: {kind: ratio, numerator: {event: pay, property: value}, )"
    R"(denominator: {event: pay}, window: 7d}
  funnel: {kind: funnel, stages: [browse, consult, register, order, pay, service], window: 14d}
  time_to_pay: {kind: time_to, from: exposure, to: pay, horizon: 7d}
  d7_return: {kind: retention, event: browse, from: 1d, to: 8d}
  pay_amount_median: {kind: quantile, q: 0.5, of: events, event: pay, property: value, window: 7d}
)";

inline constexpr char kSampleMetrics[] =
    R"(# yaml-language-server: $schema=../../docs/schema/metrics.schema.json
metrics:
  refund_rate:
    kind: proportion
    event: refund
    filter: {reason: [damaged, late], value: {gte: 1}}
    window: 7d
    direction: decrease
  orders: {kind: count, event: order, window: {from: 0s, to: 7d})"
    R"(, maturity: count, covariate_window: 14d}
)";

inline constexpr char kSampleExperiment[] =
    R"(# yaml-language-server: $schema=../../../docs/schema/experiment.schema.json
experiment: one-page-checkout
title: One-page checkout
hypothesis: One page instead of three loses fewer people between order and payment.
owner: checkout team
status: running
salt: checkout-2026-03
unit: user
layer: {name: checkout, range: [0, 50]}
audience:
  all:
    - channel: {in: [search, organic]}
    - app_version: {gte: 2.3.0}
    - not: {segment: testers}
    - prerequisite: {experiment: other, variants: [on]}
    - percentage: 50
variants:
  control: {weight: 50, control: true, value: three-page}
  one-page: {weight: 50, value: one-page}
schedule: {start: 2026-03-02T00:00:00+08:00, end: 2026-03-30T00:00:00+08:00}
ramp: [{after: 0d, percent: 10}, {after: 2d, percent: 100}]
overrides: [{units: [tester-1], variant: one-page}]
enrol: exposure
primary: [pay_rate]
secondary: [revenue, order_value, time_to_pay]
guardrails: [{metric: refund_rate, margin: 5%}]
funnel: funnel
analysis: {alpha: 0.05, correction: simultaneous, cuped: true, dimensions: [channel]}
decision: {min_lift: 1%, planned: 21d}
)";

inline constexpr char kSampleOther[] = R"(experiment: other
status: running
salt: other-2026
variants:
  off: {weight: 1, control: true, value: 1.0}
  on: {weight: 2, value: 2.50}
schedule: {start: 2026-01-01T00:00:00Z}
primary: [pay_rate]
)";

inline constexpr char kSampleAnalyze[] =
    R"(# yaml-language-server: $schema=../docs/schema/analyze.schema.json
experiment: hillstrom-email
title: Does an e-mail bring people to the shop?
data: {format: csv, rows: units, arm: segment}
variants:
  "No E-Mail": {control: true, weight: 1}
  "Mens E-Mail": {weight: 1}
  "Womens E-Mail": {weight: 1}
metrics:
  visit: {kind: proportion, column: visit}
  conversion: {kind: proportion, column: conversion}
  spend: {kind: mean, column: spend, covariates: [history, recency]}
primary: [visit]
secondary: [conversion, spend]
)";

inline std::map<std::string, std::string> SampleFiles() {
  return {{"project.yaml", kSampleProject},
          {"metrics.yaml", kSampleMetrics},
          {"experiments/one-page-checkout.yaml", kSampleExperiment},
          {"experiments/other.yaml", kSampleOther}};
}

}  // namespace fulcrum::experiments
