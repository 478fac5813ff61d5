// SPDX-License-Identifier: Apache-2.0
//
// Before an experiment starts: how many units, how many days, and what it could show. Pure; the
// baselines come from history.h or from a person.
//
// The figures are of the very tests the report will make: the level of each comparison after the
// correction and after what looking spends, the pooled variance of the score test of two
// proportions (Fleiss, Levin and Paik 2003), the covariate-adjusted variance where covariates are
// declared, the one-sided non-inferiority test of a guardrail's margin with the base's own noise.
// Each comparison has the power by itself. Treatment and control vary alike, but for proportions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "experiments/definition.h"
#include "report/report.h"

namespace fulcrum::report {

// What a metric is without the change.
struct Baseline {
  double mean = 0;                // A proportion's rate; the ratio; the quantile; the mean time.
  double variance = 0;            // Such that the value of n units has variance / n.
  double variance_reduction = 0;  // The share of it that covariates explain, in [0, 1).
  double units = 0;               // Behind these figures; 0 = a person gave them.
  Status status = Status::kOk;    // kNoEvents, kNoVariation, kNotEnoughUnits: cannot be planned.
};

// Units that come for the first time, by day since the start. By activity this falls from day to
// day: the longer it runs, the more have come before.
struct Arrivals {
  std::vector<double> by_day;
  double per_day_after = 0;
  bool from_history = false;
};

// The past units behind baselines, by their clocks.
struct HistoryPeriod {
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  double units = 0;
};

struct ForecastInput {
  std::map<std::string, Baseline> baselines;  // By metric.
  std::optional<Arrivals> arrivals;           // Of units that reach the experiment's audience.
  std::optional<HistoryPeriod> history;       // Where any of them is from past data.
  std::optional<double> power;                // Instead of the definition's.
  double design_effect = 1;                   // Of clusters, on every variance.
};

struct MetricForecast {
  std::string key, title, unit_label;
  Role role = Role::kSecondary;
  MetricKind kind = MetricKind::kProportion;
  Direction direction = Direction::kIncrease;
  std::optional<Baseline> baseline;
  Status status = Status::kOk;  // kNotPlanned: there is no baseline.
  double alpha = 0;             // Of one comparison, two-sided; one-sided for a margin.
  bool one_sided = false;
  int64_t maturity_ms = 0;               // From a unit's clock until it counts.
  std::optional<double> target;          // The lift, or the margin of a guardrail, to be shown.
  std::vector<double> arm_units;         // Needed, as Forecast::arms; empty = no number is enough.
  double units = 0;                      // Their sum.
  std::optional<int> collect_days;       // Until so many have come …
  std::optional<int> decision_days;      // … and matured.
  std::optional<double> planned_units;   // Mature at the planned end.
  std::optional<double> detectable;      // Then: the smallest lift (margin) with the power …
  std::optional<double> detectable_abs;  // … in the metric's unit.
};

struct ForecastArm {
  std::string key;
  double share = 0;
};

struct Forecast {
  std::string experiment, title, unit, definition_hash;
  std::vector<ForecastArm> arms;  // The control first.
  double alpha = 0, alpha_look = 0, alpha_final = 0;
  Correction correction = Correction::kSimultaneous;
  int comparisons = 0;  // Of the primary family.
  double min_lift = 0;  // 0 = none stated.
  double power = 0.8;
  bool power_stated = false;  // By the definition or the caller; else the usual 0.8.
  double design_effect = 1;
  double layer_share = 1, holdout_share = 1, audience_share = 1;
  bool audience_unknown = false;  // It has conditions whose share history cannot tell.
  bool ramped = false;
  std::optional<Arrivals> arrivals;
  std::optional<HistoryPeriod> history;
  std::optional<int> planned_days;
  std::vector<MetricForecast> metrics;  // Primary, guardrails, secondary.
  // Of the primary metrics together; absent where one has none.
  std::optional<double> units;
  std::optional<int> decision_days;
  std::string slowest;  // The metric that decides how long it takes.
};

// InvalidArgument: a metric that the decision rests on has no baseline, or there is nothing to plan
// towards (neither min_lift nor a planned end); says what to give.
absl::StatusOr<Forecast> MakeForecast(const experiments::Definitions& definitions,
                                      const experiments::ExperimentDefinition& experiment,
                                      const ForecastInput& input);

std::string ForecastText(const Forecast& forecast);
// Field names as above; an absent number is null.
std::string ForecastJson(const Forecast& forecast);

}  // namespace fulcrum::report
