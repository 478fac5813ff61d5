// SPDX-License-Identifier: Apache-2.0
#include "sim/outcome.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <variant>

namespace fulcrum::sim {
namespace {

using experiments::Condition;
using experiments::ConditionOp;
using experiments::FilterOp;
using experiments::MetricDefinition;
using experiments::MetricKind;
using experiments::Scalar;

std::optional<double> Number(const Scalar& scalar) {
  if (const auto* b = std::get_if<bool>(&scalar)) return *b ? 1.0 : 0.0;
  if (const auto* i = std::get_if<int64_t>(&scalar)) return static_cast<double>(*i);
  if (const auto* d = std::get_if<double>(&scalar)) return *d;
  return std::nullopt;
}

bool Same(const Scalar& a, const Scalar& b) {
  if (const auto x = Number(a)) {
    const auto y = Number(b);
    return y.has_value() && *x == *y;
  }
  return a == b;
}

bool IsAmong(const Scalar& scalar, const std::vector<Scalar>& values) {
  return std::any_of(values.begin(), values.end(),
                     [&](const Scalar& value) { return Same(scalar, value); });
}

// The properties an event is sent with (see world.h): what filters and sums can name.
std::optional<Scalar> PropertyOf(const Record& record, const std::string& property) {
  if (property == "value") {
    if (std::isnan(record.value)) return std::nullopt;
    return record.value;
  }
  if (!property.empty() && property == NumberProperty(record.event)) {
    if (std::isnan(record.number)) return std::nullopt;
    return record.number;
  }
  return std::nullopt;
}

bool Passes(const Record& record, const experiments::PropertyFilter& filter) {
  const auto value = PropertyOf(record, filter.property);
  const auto compare = [&](auto holds) {
    if (!value) return false;
    const auto a = Number(*value);
    const auto b = Number(filter.values.front());
    return a && b && holds(*a, *b);
  };
  switch (filter.op) {
    case FilterOp::kPresent:
      return value.has_value();
    case FilterOp::kAbsent:
      return !value.has_value();
    case FilterOp::kEq:
    case FilterOp::kIn:
      return value && IsAmong(*value, filter.values);
    case FilterOp::kNe:
    case FilterOp::kNotIn:
      return !value || !IsAmong(*value, filter.values);
    case FilterOp::kLt:
      return compare([](double a, double b) { return a < b; });
    case FilterOp::kLe:
      return compare([](double a, double b) { return a <= b; });
    case FilterOp::kGt:
      return compare([](double a, double b) { return a > b; });
    case FilterOp::kGe:
      return compare([](double a, double b) { return a >= b; });
  }
  return false;
}

// The attributes of an exposure, as they were at enrolment.
bool Holds(const Condition& condition, const UnitHistory& unit) {
  if (condition.op == ConditionOp::kAll || condition.op == ConditionOp::kAny) {
    const auto holds = [&](const Condition& child) { return Holds(child, unit); };
    const auto& children = condition.children;
    return condition.op == ConditionOp::kAll ? std::all_of(children.begin(), children.end(), holds)
                                             : std::any_of(children.begin(), children.end(), holds);
  }
  if (condition.op == ConditionOp::kNot) return !Holds(condition.children.front(), unit);
  Scalar value = std::string();
  if (condition.attribute == "registered") {
    value = unit.enrolment->registered;
  } else if (condition.attribute == "orders_before") {
    value = static_cast<int64_t>(unit.enrolment->orders_before);
  } else if (condition.attribute == "channel") {
    value = std::string(unit.profile->channel);
  } else if (condition.attribute == "platform") {
    value = std::string(unit.profile->platform);
  }
  const bool among = IsAmong(value, condition.values);
  if (condition.op == ConditionOp::kEq || condition.op == ConditionOp::kIn) return among;
  if (condition.op == ConditionOp::kNe || condition.op == ConditionOp::kNotIn) return !among;
  return false;
}

bool InWindow(const Record& record, const experiments::Window& window, const UnitHistory& unit) {
  const int64_t since_ms = record.ts_ms - unit.clock_ms;
  return since_ms >= window.start_ms && (!window.end_ms || since_ms < *window.end_ms);
}

experiments::Window WindowOf(const MetricDefinition& metric) {
  if (metric.kind != MetricKind::kRetention) return metric.window;
  return {metric.retention_from_ms, metric.retention_to_ms};
}

}  // namespace

double Quantile(std::vector<double> values, double q) {
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(std::floor(at));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(below), values.end());
  const double low = values[below];
  if (below + 1 == values.size()) return low;
  const double high =
      *std::min_element(values.begin() + static_cast<ptrdiff_t>(below) + 1, values.end());
  return low + (at - std::floor(at)) * (high - low);
}

Outcomes::Outcomes(const World& world, const experiments::ExperimentDefinition& experiment)
    : world_(world) {
  if (experiment.enrol == experiments::EnrolKind::kEvent) return;
  for (const auto* uses : {&experiment.primary, &experiment.guardrails, &experiment.secondary}) {
    for (const auto& use : *uses) AddMetric(use.metric);
  }
  if (!experiment.funnel.empty()) AddMetric(experiment.funnel);
}

void Outcomes::AddMetric(const std::string& key) {
  const MetricDefinition* metric = world_.definitions().FindMetric(key);
  const auto known = [&](const OutcomeColumn& column) { return column.metric == metric; };
  if (metric == nullptr || std::any_of(columns_.begin(), columns_.end(), known)) return;
  if (!metric->column.empty() || metric->calendar_days) return;
  OutcomeColumn column;
  column.metric = metric;
  const experiments::Window window = WindowOf(*metric);
  if (metric->maturity == experiments::Maturity::kWait)
    column.maturity_ms = window.end_ms.value_or(0);
  switch (metric->kind) {
    case MetricKind::kRatio:
      column.summary = Summary::kRatio;
      columns_.push_back(column);
      column.summary = Summary::kDenominator;
      break;
    case MetricKind::kQuantile:
      column.summary =
          metric->quantile_of_events ? Summary::kEventQuantile : Summary::kUnitQuantile;
      if (metric->quantile_of_events) column.maturity_ms = 0;
      break;
    case MetricKind::kTimeTo:
      column.maturity_ms = 0;
      break;
    case MetricKind::kFunnel:
      for (size_t i = 0; i < metric->funnel_stages.size(); ++i) {
        column.stage = metric->funnel_stages[i];
        column.stage_index = static_cast<int>(i);
        columns_.push_back(column);
      }
      return;
    default:
      break;
  }
  columns_.push_back(column);
}

bool Outcomes::IsNamed(const Record& record, const std::string& event) const {
  const std::string_view sent = world_.SentName(record);
  if (sent == event) return true;
  const auto& events = world_.definitions().project.events;
  const auto mapped = events.find(event);
  if (mapped == events.end()) return false;
  return std::find(mapped->second.begin(), mapped->second.end(), sent) != mapped->second.end();
}

bool Outcomes::IsStage(const Record& record, const std::string& key) const {
  const experiments::Stage* stage = world_.definitions().FindStage(key);
  if (stage == nullptr) return IsNamed(record, key);
  return std::any_of(stage->any_of.begin(), stage->any_of.end(),
                     [&](const std::string& event) { return IsNamed(record, event); });
}

bool Outcomes::Matches(const Record& record, const experiments::Term& term) const {
  return IsNamed(record, term.event) &&
         std::all_of(term.filters.begin(), term.filters.end(),
                     [&](const auto& filter) { return Passes(record, filter); });
}

double Outcomes::Sum(const std::vector<experiments::Term>& terms, const experiments::Window& window,
                     const UnitHistory& unit) const {
  double sum = 0;
  for (const Record* record : unit.seen) {
    if (!InWindow(*record, window, unit)) continue;
    for (const auto& term : terms) {
      if (!Matches(*record, term)) continue;
      if (term.property.empty()) {
        sum += term.coefficient;
      } else if (const auto value = PropertyOf(*record, term.property)) {
        sum += term.coefficient * Number(*value).value_or(0);
      }
    }
  }
  return sum;
}

bool Outcomes::ReachedStage(const OutcomeColumn& column, const UnitHistory& unit) const {
  int64_t from_ms = unit.clock_ms;  // When the last required stage was reached.
  for (int i = 0; i <= column.stage_index; ++i) {
    const std::string& key = column.metric->funnel_stages[static_cast<size_t>(i)];
    const experiments::Stage* stage = world_.definitions().FindStage(key);
    const bool optional = stage != nullptr && stage->optional;
    if (optional && i < column.stage_index) continue;
    if (stage != nullptr && stage->satisfied_if && Holds(*stage->satisfied_if, unit)) continue;
    const auto reached =
        std::find_if(unit.seen.begin(), unit.seen.end(), [&](const Record* record) {
          return record->ts_ms >= from_ms && InWindow(*record, column.metric->window, unit) &&
                 IsStage(*record, key);
        });
    if (reached == unit.seen.end()) return false;
    from_ms = (*reached)->ts_ms;
  }
  return true;
}

double Outcomes::TimeTo(const MetricDefinition& metric, const UnitHistory& unit) const {
  int64_t from_ms = unit.clock_ms;
  const auto first = [&](const std::string& key) -> std::optional<int64_t> {
    for (const Record* record : unit.everything) {
      if (record->ts_ms >= from_ms && IsStage(*record, key)) return record->ts_ms;
    }
    return std::nullopt;
  };
  if (!metric.from_stage.empty()) {
    const auto began = first(metric.from_stage);
    if (!began) return std::numeric_limits<double>::quiet_NaN();
    from_ms = *began;
  }
  const auto ended = first(metric.to_stage);
  if (!ended) return static_cast<double>(metric.horizon_ms);
  return static_cast<double>(std::min(*ended - from_ms, metric.horizon_ms));
}

double Outcomes::Value(const OutcomeColumn& column, const UnitHistory& unit) const {
  const MetricDefinition& metric = *column.metric;
  switch (metric.kind) {
    case MetricKind::kFunnel:
      return ReachedStage(column, unit) ? 1 : 0;
    case MetricKind::kTimeTo:
      return TimeTo(metric, unit);
    case MetricKind::kProportion:
      return Sum(metric.terms, metric.window, unit) >= metric.at_least ? 1 : 0;
    case MetricKind::kRetention:
      return Sum(metric.terms, WindowOf(metric), unit) >= 1 ? 1 : 0;
    default:
      break;
  }
  const bool denominator = column.summary == Summary::kDenominator;
  const double sum = Sum(denominator ? metric.denominator : metric.terms, metric.window, unit);
  if (!denominator && metric.cap && metric.cap->value) return std::min(sum, *metric.cap->value);
  return sum;
}

void Outcomes::AppendValues(const OutcomeColumn& column, const UnitHistory& unit,
                            std::vector<double>* values) const {
  const experiments::Term& term = column.metric->terms.front();
  for (const Record* record : unit.seen) {
    if (!InWindow(*record, column.metric->window, unit) || !Matches(*record, term)) continue;
    if (const auto value = PropertyOf(*record, term.property)) {
      values->push_back(term.coefficient * Number(*value).value_or(0));
    }
  }
}

}  // namespace fulcrum::sim
