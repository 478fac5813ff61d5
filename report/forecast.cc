// SPDX-License-Identifier: Apache-2.0
#include "report/forecast.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/status.h"
#include "base/time.h"
#include "stats/distributions.h"
#include "stats/multiplicity.h"
#include "stats/power.h"

namespace fulcrum::report {
namespace {

using experiments::Condition;
using experiments::ConditionOp;
using experiments::Definitions;
using experiments::ExperimentDefinition;
using experiments::MetricDefinition;
using experiments::MetricUse;

constexpr double kUsualPower = 0.8;
constexpr int kMaxDays = 3650;
constexpr double kMostLift = 1e3;

bool IsYesOrNo(MetricKind kind) {
  return kind == MetricKind::kProportion || kind == MetricKind::kRetention;
}

// Until a unit's figure is complete.
int64_t MaturityMs(const MetricDefinition& metric) {
  if (metric.kind == MetricKind::kRetention) return metric.retention_to_ms;
  if (metric.kind == MetricKind::kTimeTo) return metric.horizon_ms;
  return metric.window.end_ms.value_or(0);
}

// One treatment, with `ratio` units for one of the control. Units of the control that show a
// relative change with the power; infinite where none do.
class Test {
 public:
  Test(const MetricForecast& metric, double design_effect, double power)
      : metric_(metric), base_(*metric.baseline), power_(power), inflation_(design_effect) {}

  double ControlUnits(double lift, double ratio) const {
    const double delta = lift * std::abs(base_.mean);
    if (!(delta > 0)) return stats::kInfinity;
    const double left = inflation_ * (1 - base_.variance_reduction);
    double good = metric_.direction == Direction::kIncrease ? 1 : -1;
    if (metric_.one_sided) return NonInferiority(delta, lift, good, left, ratio);
    if (!IsYesOrNo(metric_.kind)) {
      const double v = base_.variance * left;
      return stats::SampleSizeUnequal(v, v, delta, ratio, power_, metric_.alpha).control;
    }
    // Of a guardrail without a margin, it is harm that has to show.
    if (metric_.role == Role::kGuardrail) good = -good;
    const double p = base_.mean + good * delta;
    if (p < 0 || p > 1) return stats::kInfinity;
    // Covariates make it a test of adjusted means, whose variance is not pooled.
    if (base_.variance_reduction > 0) {
      return stats::SampleSizeUnequal(base_.variance * left, p * (1 - p) * left, delta, ratio,
                                      power_, metric_.alpha)
          .control;
    }
    return inflation_ *
           stats::SampleSizeProportionsUnequal(base_.mean, p, ratio, power_, metric_.alpha).control;
  }

  // The smallest lift that `needs(lift)` <= `units`; more units never need a larger one.
  static std::optional<double> Smallest(double units, const std::function<double(double)>& needs) {
    double low = 1e-9;
    double high = kMostLift;
    // A rate cannot rise beyond 1: look for an end that is possible at all.
    while (high > low && !std::isfinite(needs(high))) high /= 1.01;
    if (needs(high) > units) return std::nullopt;
    for (int i = 0; i < 200 && high / low > 1 + 1e-12; ++i) {
      const double middle = std::sqrt(low * high);
      (needs(middle) <= units ? high : low) = middle;
    }
    return high;
  }

 private:
  // No true difference; harm of `margin` is to be ruled out. The contrast treatment - (1 -+ margin)
  // control is what the report tests, so the control's noise enters with that factor.
  double NonInferiority(double delta, double margin, double good, double left, double ratio) const {
    const double sign = base_.mean < 0 ? -1 : 1;
    const double factor = 1 - good * sign * margin;
    const double v = base_.variance * left;
    return stats::SampleSizeUnequal(v * factor * factor, v, delta, ratio, power_, 2 * metric_.alpha)
        .control;
  }

  const MetricForecast& metric_;
  const Baseline& base_;
  const double power_;
  const double inflation_;
};

class Forecaster {
 public:
  Forecaster(const Definitions& definitions, const ExperimentDefinition& experiment,
             const ForecastInput& input)
      : definitions_(definitions), experiment_(experiment), input_(input) {}

  absl::StatusOr<Forecast> Run();

 private:
  absl::Status Describe();
  void Traffic();
  void Audience(const Condition& condition);
  double RampShare(int day) const;
  double Come(double days) const;
  std::optional<int> DaysFor(double units) const;
  absl::Status Metrics(const std::vector<MetricUse>& uses, Role role);
  double LevelOf(size_t metrics) const;
  void Size(const Test& test, MetricForecast* metric) const;
  void Detect(const Test& test, MetricForecast* metric) const;
  double Needed(const Test& test, double lift, std::vector<double>* arms) const;
  void Overall();

  const Definitions& definitions_;
  const ExperimentDefinition& experiment_;
  const ForecastInput& input_;
  std::optional<int64_t> entering_ms_;  // How long units may come in, by the schedule.
  Forecast out_;
};

absl::Status Forecaster::Describe() {
  out_.experiment = experiment_.key;
  out_.title = experiment_.title;
  out_.unit = experiment_.unit;
  out_.definition_hash = experiment_.content_hash;
  const auto& variants = experiment_.variants;
  const auto control =
      std::find_if(variants.begin(), variants.end(), [](const auto& v) { return v.control; });
  if (control == variants.end() || variants.size() < 2) {
    return InvalidArgument("experiment " + experiment_.key +
                           ": a comparison needs a control and at least one other variant");
  }
  double total = 0;
  for (const auto& variant : variants) total += variant.weight;
  out_.arms.push_back({control->key, control->weight / total});
  for (const auto& variant : variants) {
    if (&variant == &*control || !(variant.weight > 0)) continue;
    out_.arms.push_back({variant.key, variant.weight / total});
  }
  if (!(control->weight > 0) || out_.arms.size() < 2) {
    return InvalidArgument("experiment " + experiment_.key +
                           ": the control and at least one other variant need a weight above 0");
  }
  const auto& analysis = experiment_.analysis;
  int64_t planned_ms = experiment_.decision.planned_duration_ms;
  if (experiment_.end_ms && experiment_.start_ms) {
    entering_ms_ = *experiment_.end_ms - *experiment_.start_ms;
    if (planned_ms == 0) planned_ms = *entering_ms_;
  }
  if (planned_ms > 0) {
    out_.planned_days = static_cast<int>((planned_ms + kDayMs - 1) / kDayMs);
  }
  out_.alpha = analysis.alpha;
  // As the report: looking costs only where an end is planned, and at most half.
  out_.alpha_look = planned_ms > 0 ? std::min(analysis.alpha_look, analysis.alpha / 2) : 0;
  out_.alpha_final = out_.alpha - out_.alpha_look;
  out_.correction = analysis.correction;
  out_.min_lift = experiment_.decision.min_lift;
  const std::optional<double> power = input_.power ? input_.power : experiment_.decision.power;
  out_.power = power.value_or(kUsualPower);
  out_.power_stated = power.has_value();
  out_.design_effect = input_.design_effect;
  if (!(out_.power > 0 && out_.power < 1)) {
    return InvalidArgument("power must be between 0 and 1, as 0.8");
  }
  if (!(out_.design_effect > 0)) return InvalidArgument("the design effect must be above 0");
  if (out_.min_lift <= 0 && !(out_.planned_days && input_.arrivals)) {
    return InvalidArgument(
        "experiment " + experiment_.key +
        ": there is nothing to plan towards; write the smallest lift worth shipping "
        "(`decision: {min_lift: 2%}`), or a planned time (`planned: 28d`) with traffic to fill it");
  }
  return absl::OkStatus();
}

// Conditions that all must hold: percentages are known shares, anything else is not.
void Forecaster::Audience(const Condition& condition) {
  if (condition.op == ConditionOp::kAll) {
    for (const Condition& child : condition.children) Audience(child);
  } else if (condition.op == ConditionOp::kPercentage) {
    out_.audience_share *= condition.percent / 100;
  } else {
    out_.audience_unknown = out_.arrivals && out_.arrivals->from_history;
  }
}

void Forecaster::Traffic() {
  out_.arrivals = input_.arrivals;
  out_.history = input_.history;
  if (!experiment_.layer_ranges.empty()) {
    double percent = 0;
    for (const auto& [from, to] : experiment_.layer_ranges) percent += to - from;
    out_.layer_share = percent / 100;
  }
  for (const auto& holdout : definitions_.project.holdouts) {
    if (holdout.unit != experiment_.unit) continue;
    if (!holdout.layer.empty() && holdout.layer != experiment_.layer) continue;
    out_.holdout_share *= 1 - holdout.percent / 100;
  }
  // Traffic that a person states is of the audience already.
  if (experiment_.audience && out_.arrivals && out_.arrivals->from_history) {
    Audience(*experiment_.audience);
  }
  out_.ramped = !experiment_.ramp.empty();
}

double Forecaster::RampShare(int day) const {
  if (experiment_.ramp.empty()) return 1;
  double percent = 0;
  for (const auto& step : experiment_.ramp) {
    const int64_t at_ms =
        step.elapsed ? step.at_ms : step.at_ms - experiment_.start_ms.value_or(step.at_ms);
    if (at_ms <= day * kDayMs) percent = step.percent;
  }
  return percent / 100;
}

// Units in the experiment after so many days, all arms together, if they may come in that long.
double Forecaster::Come(double days) const {
  const Arrivals& arrivals = *out_.arrivals;
  double units = 0;
  for (int day = 0; day < days; ++day) {
    const auto d = static_cast<size_t>(day);
    const double fresh = d < arrivals.by_day.size() ? arrivals.by_day[d] : arrivals.per_day_after;
    units += fresh * RampShare(day) * std::min(1.0, days - day);
  }
  return units * out_.layer_share * out_.holdout_share * out_.audience_share;
}

std::optional<int> Forecaster::DaysFor(double units) const {
  if (!out_.arrivals || Come(kMaxDays) < units) return std::nullopt;
  int low = 0;
  int high = kMaxDays;
  while (low + 1 < high) {
    const int middle = (low + high) / 2;
    (Come(middle) >= units ? high : low) = middle;
  }
  return high;
}

// The level at which the report will judge one comparison of a family of this many metrics.
double Forecaster::LevelOf(size_t metrics) const {
  const size_t treatments = out_.arms.size() - 1;
  const size_t m = metrics * treatments;
  switch (out_.correction) {
    case Correction::kNone:
      return out_.alpha_final;
    // Holm's and Benjamini-Hochberg's first step: what a comparison needs with no other's help.
    case Correction::kBonferroni:
    case Correction::kHolm:
    case Correction::kBenjaminiHochberg:
      return out_.alpha_final / static_cast<double>(m);
    case Correction::kSimultaneous:
      break;
  }
  if (m == 1) return out_.alpha_final;
  // Treatments share the control (Dunnett's correlations); between metrics none is assumed, which
  // can only ask for more units.
  std::vector<double> correlation(m * m, 0);
  const auto loading = [&](size_t k) {
    return std::sqrt(out_.arms[k + 1].share / (out_.arms[k + 1].share + out_.arms[0].share));
  };
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < m; ++j) {
      if (i / treatments != j / treatments) continue;
      correlation[i * m + j] = i == j ? 1 : loading(i % treatments) * loading(j % treatments);
    }
  }
  const double sidak = -std::expm1(std::log1p(-out_.alpha_final) / static_cast<double>(m));
  return std::max(sidak, stats::TwoSidedNormalP(
                             stats::SimultaneousCriticalValue(correlation, out_.alpha_final)));
}

// Units of all arms so that every treatment can show `lift`; the neediest says how many.
double Forecaster::Needed(const Test& test, double lift, std::vector<double>* arms) const {
  double total = 0;
  for (size_t k = 1; k < out_.arms.size(); ++k) {
    const double ratio = out_.arms[k].share / out_.arms[0].share;
    total = std::max(total, test.ControlUnits(lift, ratio) / out_.arms[0].share);
  }
  if (arms != nullptr && std::isfinite(total)) {
    arms->clear();
    for (const ForecastArm& arm : out_.arms) arms->push_back(std::ceil(total * arm.share));
  }
  return total;
}

void Forecaster::Size(const Test& test, MetricForecast* metric) const {
  if (!metric->target) return;
  Needed(test, *metric->target, &metric->arm_units);
  if (metric->arm_units.empty()) return;
  metric->units = std::accumulate(metric->arm_units.begin(), metric->arm_units.end(), 0.0);
  metric->collect_days = DaysFor(metric->units);
  if (metric->collect_days) {
    metric->decision_days =
        *metric->collect_days + static_cast<int>((metric->maturity_ms + kDayMs - 1) / kDayMs);
  }
}

void Forecaster::Detect(const Test& test, MetricForecast* metric) const {
  if (!out_.planned_days || !out_.arrivals) return;
  const double mature_days =
      *out_.planned_days - static_cast<double>(metric->maturity_ms) / static_cast<double>(kDayMs);
  metric->planned_units = 0;
  if (mature_days > 0) {
    const double entering_days =
        entering_ms_ ? static_cast<double>(*entering_ms_) / static_cast<double>(kDayMs)
                     : mature_days;
    metric->planned_units = Come(std::min(mature_days, entering_days));
  }
  if (!(*metric->planned_units > 0)) return;
  metric->detectable = Test::Smallest(*metric->planned_units,
                                      [&](double lift) { return Needed(test, lift, nullptr); });
  if (metric->detectable) {
    metric->detectable_abs = *metric->detectable * std::abs(metric->baseline->mean);
  }
}

absl::Status Forecaster::Metrics(const std::vector<MetricUse>& uses, Role role) {
  std::vector<std::pair<const MetricDefinition*, const MetricUse*>> used;
  for (const MetricUse& use : uses) {
    const MetricDefinition* metric = definitions_.FindMetric(use.metric);
    if (metric != nullptr && metric->kind != MetricKind::kFunnel) used.emplace_back(metric, &use);
  }
  if (role == Role::kPrimary) {
    if (used.empty()) {
      return InvalidArgument("experiment " + experiment_.key +
                             ": no primary metric to plan for; name one with `primary:`");
    }
    out_.comparisons = static_cast<int>(used.size() * (out_.arms.size() - 1));
  }
  for (const auto& [definition, use] : used) {
    MetricForecast metric;
    metric.key = definition->key;
    metric.title = definition->title.empty() ? definition->key : definition->title;
    metric.unit_label = definition->unit_label;
    metric.role = role;
    metric.kind = definition->kind;
    metric.direction = definition->direction;
    metric.maturity_ms = MaturityMs(*definition);
    metric.alpha = LevelOf(used.size());
    if (role == Role::kPrimary && out_.min_lift > 0) metric.target = out_.min_lift;
    if (role == Role::kGuardrail && use->margin && *use->margin > 0) {
      metric.target = use->margin;
      metric.one_sided = true;
      metric.alpha = out_.alpha_final / 2;
    }
    const auto found = input_.baselines.find(metric.key);
    if (found == input_.baselines.end()) {
      metric.status = Status::kNotPlanned;
    } else {
      metric.baseline = found->second;
      metric.status = found->second.status;
      if (metric.status == Status::kOk && found->second.mean == 0) {
        metric.status = Status::kNoEvents;
      } else if (metric.status == Status::kOk && !(found->second.variance > 0)) {
        metric.status = Status::kNoVariation;
      }
    }
    if (metric.status == Status::kOk) {
      const Test test(metric, out_.design_effect, out_.power);
      Size(test, &metric);
      Detect(test, &metric);
    }
    out_.metrics.push_back(std::move(metric));
  }
  return absl::OkStatus();
}

void Forecaster::Overall() {
  bool all_units = true;
  bool all_days = true;
  double units = 0;
  int days = -1;
  for (const MetricForecast& metric : out_.metrics) {
    if (metric.role != Role::kPrimary) continue;
    all_units = all_units && !metric.arm_units.empty();
    all_days = all_days && metric.decision_days.has_value();
    units = std::max(units, metric.units);
    if (metric.decision_days.value_or(-1) > days || (out_.slowest.empty() && all_units)) {
      days = std::max(days, metric.decision_days.value_or(-1));
      out_.slowest = metric.key;
    }
  }
  if (all_units) out_.units = units;
  if (all_units && all_days) out_.decision_days = days;
}

absl::StatusOr<Forecast> Forecaster::Run() {
  FULCRUM_RETURN_IF_ERROR(Describe());
  Traffic();
  FULCRUM_RETURN_IF_ERROR(Metrics(experiment_.primary, Role::kPrimary));
  FULCRUM_RETURN_IF_ERROR(Metrics(experiment_.guardrails, Role::kGuardrail));
  FULCRUM_RETURN_IF_ERROR(Metrics(experiment_.secondary, Role::kSecondary));
  std::string missing;
  for (const MetricForecast& metric : out_.metrics) {
    const bool needed = metric.role == Role::kPrimary || metric.one_sided;
    if (needed && metric.status == Status::kNotPlanned) {
      missing += (missing.empty() ? "" : ", ") + metric.key;
    }
  }
  if (!missing.empty()) {
    return InvalidArgument("no baseline for " + missing +
                           ": give past data (--history DATA), or what is known (--baseline "
                           "METRIC=MEAN,SD; a rate needs no SD)");
  }
  Overall();
  return std::move(out_);
}

}  // namespace

absl::StatusOr<Forecast> MakeForecast(const Definitions& definitions,
                                      const ExperimentDefinition& experiment,
                                      const ForecastInput& input) {
  return Forecaster(definitions, experiment, input).Run();
}

}  // namespace fulcrum::report
