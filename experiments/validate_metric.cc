// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "experiments/validate_context.h"

namespace fulcrum::experiments {
namespace {

void CheckStageRef(const Checker& checker, const MetricDefinition& metric, const char* field,
                   const std::string& stage) {
  if (checker.definitions().FindStage(stage) != nullptr) return;
  std::vector<std::string> keys;
  for (const Stage& one : checker.project().stages) keys.push_back(one.key);
  checker.Unknown(At(metric.fields, field, metric.pos), "stage", stage, keys);
}

void CheckFunnel(const Checker& checker, const MetricDefinition& metric) {
  const Position& at = At(metric.fields, "stages", metric.pos);
  int blocking = 0;
  for (const std::string& key : metric.funnel_stages) {
    CheckStageRef(checker, metric, "stages", key);
    const Stage* stage = checker.definitions().FindStage(key);
    if (stage == nullptr || !stage->optional) ++blocking;
    if (metric.per != CountedPer::kUnit && stage != nullptr && stage->optional) {
      checker.Error(at, "stage `" + key + "` is optional, which a funnel per order or session " +
                            "does not have: leave it out");
    }
  }
  if (blocking < 2 && !metric.funnel_stages.empty()) {
    checker.Error(at, "funnel `" + metric.key +
                          "` needs at least two stages that are not "
                          "optional: add one");
  }
}

void CheckNumbers(const Checker& checker, const MetricDefinition& metric) {
  if (metric.cap && metric.cap->value && !(*metric.cap->value > 0)) {
    checker.Error(At(metric.fields, "cap", metric.pos),
                  "`cap` of metric `" + metric.key + "` must be above 0");
  }
  const auto check_terms = [&](const std::vector<Term>& terms) {
    for (const Term& term : terms) {
      checker.CheckEventName(term.pos, term.event);
      if (!std::isfinite(term.coefficient)) {
        checker.Error(term.pos, "`times` must be a finite number");
      }
    }
  };
  if (metric.among) check_terms({*metric.among});
  if (metric.after) check_terms({*metric.after});
  check_terms(metric.terms);
  check_terms(metric.denominator);
}

// What a metric may be measured on: columns of unit rows for `analyze`, events otherwise.
void CheckSource(const Checker& checker, const MetricDefinition& metric) {
  const bool has_column = !metric.column.empty() || !metric.denominator_column.empty();
  const bool reads_columns = has_column || !metric.covariate_columns.empty();
  bool is_unit_rows = false;
  if (checker.is_analyze() && !checker.definitions().experiments.empty()) {
    const auto& data = checker.definitions().experiments.front().data;
    if (!data) return;  // Reported where `data` was read.
    is_unit_rows = !data->per_event;
  }
  if (reads_columns && !is_unit_rows) {
    const char* field = has_column ? "column" : "covariates";
    checker.Error(At(metric.fields, field, metric.pos),
                  "metric `" + metric.key +
                      "` names a column, which only data with one row per "
                      "unit has: write `event`" +
                      (has_column ? "" : " and `covariate_window`"));
  }
  if (is_unit_rows && !has_column) {
    checker.Error(metric.pos, "metric `" + metric.key +
                                  "` is of events, and the data has one row "
                                  "per unit: name its `column`, or say `rows: events`");
  }
}

}  // namespace

void Checker::CheckMetric(const MetricDefinition& metric) const {
  CheckCurrency(At(metric.fields, "currency", metric.pos), metric.currency);
  CheckNumbers(*this, metric);
  CheckSource(*this, metric);
  if (metric.kind == MetricKind::kFunnel) CheckFunnel(*this, metric);
  if (metric.kind == MetricKind::kTimeTo) {
    if (!metric.from_stage.empty()) CheckStageRef(*this, metric, "from", metric.from_stage);
    if (!metric.to_stage.empty()) CheckStageRef(*this, metric, "to", metric.to_stage);
    if (!metric.to_stage.empty() && metric.to_stage == metric.from_stage) {
      Error(At(metric.fields, "to", metric.pos), "metric `" + metric.key + "` goes from stage `" +
                                                     metric.to_stage + "` to itself: name another");
    }
  }
}

}  // namespace fulcrum::experiments
