// SPDX-License-Identifier: Apache-2.0
#include "report/history.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "report/columns.h"
#include "report/names.h"
#include "report/plan.h"
#include "report/sample.h"
#include "stats/cuped.h"
#include "stats/survival.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;
using experiments::ExperimentDefinition;
using experiments::MetricDefinition;

constexpr int64_t kUsualDays = 28;
constexpr size_t kRecentDays = 7;  // A whole week tells the rate at which new units still come.

int64_t FloorDay(int64_t ms) { return ms / kDayMs * kDayMs; }

// The experiment's metrics over everybody who was active.
absl::StatusOr<store::Plan> ActivityPlan(const Definitions& definitions,
                                         const ExperimentDefinition& experiment) {
  FULCRUM_ASSIGN_OR_RETURN(store::Plan plan, MakePlan(definitions, experiment));
  store::Population population;
  population.unit_kind = plan.population.unit_kind;
  population.arms = {{"history", 1}};
  population.active_units = true;
  population.active_events = plan.population.enrol_events;
  plan.population = std::move(population);
  plan.slices.clear();
  return plan;
}

int64_t LongestWindowMs(const store::Plan& plan) {
  int64_t longest_ms = 0;
  const auto see = [&](int64_t end_ms) {
    if (end_ms != INT64_MAX) longest_ms = std::max(longest_ms, end_ms);
  };
  for (const store::Column& column : plan.columns) see(column.window.end_ms);
  for (const store::QuantileSpec& spec : plan.quantiles) see(spec.window.end_ms);
  for (const store::TimeToSpec& spec : plan.time_to) see(spec.horizon_ms);
  return longest_ms;
}

// Of the linear form `coefficients` of a unit's columns: its variance, and what of it the
// covariates explain by regression.
void SetVariance(const stats::Gram& gram, std::vector<double> coefficients,
                 const std::vector<size_t>& covariates, Baseline* out) {
  out->variance = gram.Combine(coefficients).Variance();
  if (covariates.empty() || !(out->variance > 0)) return;
  const size_t width = gram.width();
  for (const size_t covariate : covariates) {
    std::vector<double> row(width, 0);
    row[covariate] = 1;
    coefficients.insert(coefficients.end(), row.begin(), row.end());
  }
  const stats::Gram chosen = gram.Transform(coefficients);
  std::vector<size_t> indices;
  for (size_t i = 1; i <= covariates.size(); ++i) indices.push_back(i);
  const stats::ThetaResult theta =
      stats::EstimateTheta({&chosen, 1}, 0, indices, stats::CupedTheta::kPooled);
  std::vector<double> rest(chosen.width(), 0);
  rest[0] = 1;
  for (size_t i = 0; i < theta.theta.size(); ++i) rest[i + 1] = -theta.theta[i];
  const double left = chosen.Combine(rest).Variance() / out->variance;
  out->variance_reduction = std::clamp(1 - left, 0.0, 0.999);
}

class Reader {
 public:
  Reader(const store::Plan& plan, const store::PlanResult& result)
      : plan_(plan), result_(result), sample_(Gather(plan, result, {})) {}

  std::optional<Baseline> Of(const MetricDefinition& metric) const {
    if (metric.kind == MetricKind::kQuantile) return Quantile(metric);
    if (metric.kind == MetricKind::kTimeTo) return TimeTo(metric);
    const bool ratio = metric.kind == MetricKind::kRatio;
    const auto main = FindColumn(plan_, ratio ? NumeratorColumn(metric.key) : metric.key);
    if (!main) return std::nullopt;
    const stats::Gram& gram = sample_.groups[main->group].arms[0].gram;
    Baseline out;
    out.units = static_cast<double>(gram.n());
    if (gram.n() < 2) return Failed(Status::kNotEnoughUnits, out);
    std::vector<double> coefficients(gram.width(), 0);
    if (!ratio) {
      out.mean = gram.mean(main->index);
      coefficients[main->index] = 1;
    } else {
      const auto den = FindColumn(plan_, DenominatorColumn(metric.key), main->group);
      const double mean = den ? gram.mean(den->index) : 0;
      if (mean == 0) return Failed(Status::kDenominatorNearZero, out);
      out.mean = gram.mean(main->index) / mean;
      coefficients[main->index] = 1 / mean;
      coefficients[den->index] = -out.mean / mean;
    }
    SetVariance(gram, std::move(coefficients), Covariates(metric, ratio, main->group), &out);
    return out;
  }

 private:
  static Baseline Failed(Status status, Baseline baseline) {
    baseline.status = status;
    return baseline;
  }

  std::vector<size_t> Covariates(const MetricDefinition& metric, bool ratio, int group) const {
    std::vector<std::string> names = {PreColumn(metric.key)};
    if (ratio) {
      names = {PreColumn(NumeratorColumn(metric.key)), PreColumn(DenominatorColumn(metric.key))};
    }
    std::vector<size_t> found;
    for (const std::string& name : names) {
      if (const auto ref = FindColumn(plan_, name, group)) found.push_back(ref->index);
    }
    if (found.empty()) return found;
    if (const auto ref = FindColumn(plan_, HasPreColumn(), group)) found.push_back(ref->index);
    return found;
  }

  std::optional<Baseline> Quantile(const MetricDefinition& metric) const {
    for (const store::QuantileResult& q : result_.quantiles) {
      if (plan_.quantiles[static_cast<size_t>(q.quantile)].key != metric.key) continue;
      Baseline out;
      out.units = q.n_clusters;
      if (q.n_clusters < 2) return Failed(Status::kNotEnoughUnits, out);
      out.mean = q.value;
      out.variance = q.density_sd * q.density_sd * q.n_clusters;
      // Of events: units without one are needed too.
      const double all = result_.health.arms[0].units;
      if (all > q.n_clusters) {
        out.variance *= all / q.n_clusters;
        out.units = all;
      }
      return out;
    }
    return std::nullopt;
  }

  std::optional<Baseline> TimeTo(const MetricDefinition& metric) const {
    for (const store::SurvivalTable& table : result_.survival) {
      if (plan_.time_to[static_cast<size_t>(table.time_to)].key != metric.key) continue;
      const auto horizon_ms = static_cast<double>(metric.horizon_ms);
      std::vector<stats::RiskRow> rows;
      Baseline out;
      for (const store::RiskRow& row : table.rows) {
        out.units = std::max(out.units, row.at_risk);
        if (row.time_ms > horizon_ms) continue;
        rows.push_back({row.time_ms, row.at_risk, row.events, row.censored});
      }
      if (out.units < 2) return Failed(Status::kNotEnoughUnits, out);
      const stats::RestrictedMean mean = stats::RestrictedMeanTime(rows, horizon_ms);
      out.mean = mean.mean;
      out.variance = mean.se * mean.se * out.units;
      return out;
    }
    return std::nullopt;
  }

  const store::Plan& plan_;
  const store::PlanResult& result_;
  const Sample sample_;
};

absl::Status ChoosePeriod(const ExperimentDefinition& experiment, const store::Health& span,
                          int64_t window_ms, HistoryPeriod* out) {
  if (span.last_exposure_ms == 0) {
    return InvalidArgument("the data holds nothing that a unit of kind \"" + experiment.unit +
                           "\" did; import its events first, or give baselines");
  }
  int64_t length_ms = experiment.decision.planned_duration_ms;
  if (length_ms == 0 && experiment.start_ms && experiment.end_ms) {
    length_ms = *experiment.end_ms - *experiment.start_ms;
  }
  if (length_ms == 0) length_ms = kUsualDays * kDayMs;
  length_ms = std::max(FloorDay(length_ms), kDayMs);
  // Whole days: the last one may not be over, and the first not begun at midnight.
  out->to_ms = FloorDay(span.last_exposure_ms - window_ms);
  out->from_ms = std::max(out->to_ms - length_ms, FloorDay(span.first_exposure_ms + kDayMs - 1));
  if (out->from_ms < out->to_ms) return absl::OkStatus();
  return InvalidArgument(
      "the data spans " + FormatDate(span.first_exposure_ms) + " to " +
      FormatDate(span.last_exposure_ms) + ", too short for a whole day of units whose windows of " +
      FormatDuration(window_ms) + " have passed; give more past data, or baselines");
}

}  // namespace

absl::StatusOr<History> ReadHistory(
    const Definitions& definitions, const ExperimentDefinition& experiment,
    const std::function<absl::StatusOr<store::PlanResult>(const store::Plan&)>& run) {
  if (experiment.data) {
    return InvalidArgument("experiment " + experiment.key +
                           " is analysed from a file, so no store has its past; give baselines");
  }
  FULCRUM_ASSIGN_OR_RETURN(store::Plan plan, ActivityPlan(definitions, experiment));
  store::Plan probe;
  probe.population = plan.population;
  FULCRUM_ASSIGN_OR_RETURN(const store::PlanResult span, run(probe));
  History out;
  FULCRUM_RETURN_IF_ERROR(
      ChoosePeriod(experiment, span.health, LongestWindowMs(plan), &out.period));
  plan.population.from_ms = out.period.from_ms;
  plan.population.to_ms = out.period.to_ms;
  FULCRUM_ASSIGN_OR_RETURN(const store::PlanResult result, run(plan));
  const store::ArmHealth& all = result.health.arms[0];
  out.period.units = all.units;
  out.arrivals.from_history = true;
  for (int64_t day = out.period.from_ms; day < out.period.to_ms; day += kDayMs) {
    const auto found = all.units_by_day.find(day);
    out.arrivals.by_day.push_back(found == all.units_by_day.end() ? 0 : found->second);
  }
  const auto& days = out.arrivals.by_day;
  const size_t recent = std::min(days.size(), kRecentDays);
  for (size_t i = days.size() - recent; i < days.size(); ++i) {
    out.arrivals.per_day_after += days[i];
  }
  out.arrivals.per_day_after /= static_cast<double>(recent);
  const Reader reader(plan, result);
  for (const auto* uses : {&experiment.primary, &experiment.guardrails, &experiment.secondary}) {
    for (const auto& use : *uses) {
      const MetricDefinition* metric = definitions.FindMetric(use.metric);
      if (metric == nullptr || metric->kind == MetricKind::kFunnel) continue;
      if (const auto baseline = reader.Of(*metric)) out.baselines[metric->key] = *baseline;
    }
  }
  return out;
}

std::string HistoryToJson(const History& history) {
  nlohmann::ordered_json out = {{"from_ms", history.period.from_ms},
                                {"to_ms", history.period.to_ms},
                                {"units", history.period.units},
                                {"new_units_by_day", history.arrivals.by_day},
                                {"new_units_per_day_after", history.arrivals.per_day_after}};
  out["baselines"] = nlohmann::ordered_json::object();
  for (const auto& [metric, b] : history.baselines) {
    out["baselines"][metric] = {{"mean", b.mean},
                                {"variance", b.variance},
                                {"variance_reduction", b.variance_reduction},
                                {"units", b.units},
                                {"status", Name(b.status)}};
  }
  return out.dump() + "\n";
}

absl::StatusOr<History> HistoryFromJson(std::string_view text) {
  History out;
  try {
    const auto json = nlohmann::json::parse(text);
    json.at("from_ms").get_to(out.period.from_ms);
    json.at("to_ms").get_to(out.period.to_ms);
    json.at("units").get_to(out.period.units);
    json.at("new_units_by_day").get_to(out.arrivals.by_day);
    json.at("new_units_per_day_after").get_to(out.arrivals.per_day_after);
    out.arrivals.from_history = true;
    for (const auto& [metric, b] : json.at("baselines").items()) {
      Baseline& baseline = out.baselines[metric];
      b.at("mean").get_to(baseline.mean);
      b.at("variance").get_to(baseline.variance);
      b.at("variance_reduction").get_to(baseline.variance_reduction);
      b.at("units").get_to(baseline.units);
      const auto& names = kEnumNames<Status>;
      const auto it = std::find(names.begin(), names.end(), b.at("status").get<std::string>());
      if (it == names.end()) return InvalidArgument("an unknown status of a baseline");
      baseline.status = static_cast<Status>(it - names.begin());
    }
  } catch (const nlohmann::json::exception& error) {
    return InvalidArgument(std::string("the history cannot be read: ") + error.what());
  }
  return out;
}

}  // namespace fulcrum::report
