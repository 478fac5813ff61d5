// SPDX-License-Identifier: Apache-2.0
//
// Metrics per order and per session, repeats, and shares of orders: journeys of a plan.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "report/columns.h"
#include "report/planner.h"

namespace fulcrum::report {

using experiments::MetricKind;

store::JourneyKey KeyOf(experiments::CountedPer per) {
  switch (per) {
    case experiments::CountedPer::kUnit:
      return store::JourneyKey::kUnit;
    case experiments::CountedPer::kOrder:
      return store::JourneyKey::kOrder;
    case experiments::CountedPer::kSession:
      return store::JourneyKey::kSession;
  }
  return store::JourneyKey::kUnit;
}

int Planner::AddJourney(store::JourneySpec journey) {
  plan_.journeys.push_back(std::move(journey));
  return static_cast<int>(plan_.journeys.size()) - 1;
}

store::JourneyStage Planner::JourneyStageOf(const experiments::Term& term) const {
  store::Term raw = TermOf(term);
  return {std::move(raw.events), std::move(raw.filters)};
}

void Planner::AddJourneyColumn(const std::string& name, int journey, int stage,
                               int64_t maturity_ms) {
  store::Column column;
  column.name = name;
  column.kind = store::ColumnKind::kJourney;
  column.journey = journey;
  column.stage = stage;
  AddColumn(std::move(column), maturity_ms);
}

// How many different orders or sessions have the event.
void Planner::CountIds(const MetricDefinition& metric, const std::string& name,
                       const experiments::Term& term, experiments::CountedPer per) {
  store::JourneySpec journey;
  journey.key = name;
  journey.per = KeyOf(per);
  journey.window = WindowOf(metric);
  journey.stages = {JourneyStageOf(term)};
  AddJourneyColumn(name, AddJourney(std::move(journey)), 0, MaturityOf(metric));
}

// Of the orders or sessions with `among`, how many came to the event.
void Planner::ShareOfIds(const MetricDefinition& metric) {
  store::JourneySpec journey;
  journey.key = metric.key;
  journey.per = KeyOf(metric.per);
  journey.window = WindowOf(metric);
  if (metric.within_ms > 0) journey.after.end_ms = metric.within_ms;
  journey.stages = {JourneyStageOf(*metric.among), JourneyStageOf(metric.terms.front())};
  const int index = AddJourney(std::move(journey));
  AddJourneyColumn(NumeratorColumn(metric.key), index, 1, MaturityOf(metric));
  AddJourneyColumn(DenominatorColumn(metric.key), index, 0, MaturityOf(metric));
  AddCovariates(metric, {NumeratorColumn(metric.key), DenominatorColumn(metric.key)});
}

// Retention after an event: over all units, so that who gets there cannot tilt the comparison.
void Planner::Repeat(const MetricDefinition& metric) {
  store::JourneySpec journey;
  journey.key = metric.key;
  journey.per = store::JourneyKey::kUnit;
  journey.window = {metric.window.start_ms, metric.window.end_ms.value_or(INT64_MAX)};
  // The event that starts the time is not its own repetition.
  journey.after = {std::max<int64_t>(metric.retention_from_ms, 1), metric.retention_to_ms};
  journey.stages = {JourneyStageOf(*metric.after), JourneyStageOf(metric.terms.front())};
  AddJourneyColumn(metric.key, AddJourney(std::move(journey)), 1, MaturityOf(metric));
  AddCovariates(metric, {metric.key});
}

absl::Status Planner::IdFunnel(const MetricDefinition& metric) {
  store::JourneySpec journey;
  journey.key = metric.key;
  journey.per = KeyOf(metric.per);
  journey.window = WindowOf(metric);
  if (metric.within_ms > 0) journey.after.end_ms = metric.within_ms;
  for (const std::string& key : metric.funnel_stages) {
    const Stage* stage = definitions_.FindStage(key);
    if (stage == nullptr) return Error(metric, "stage " + key + " is not declared in `stages:`");
    journey.stages.push_back({StageEvents(*stage), {}});
  }
  const int index = AddJourney(std::move(journey));
  for (size_t i = 0; i < metric.funnel_stages.size(); ++i) {
    AddJourneyColumn(StageColumn(metric.key, metric.funnel_stages[i]), index, static_cast<int>(i),
                     MaturityOf(metric));
  }
  return absl::OkStatus();
}

store::Column Planner::ColumnOf(const MetricDefinition& metric, const std::string& name,
                                const std::vector<experiments::Term>& terms,
                                const std::string& source) const {
  store::Column column;
  column.name = name;
  const bool yes_or_no =
      metric.kind == MetricKind::kProportion || metric.kind == MetricKind::kRetention;
  column.kind = yes_or_no ? store::ColumnKind::kAtLeast : store::ColumnKind::kSum;
  column.threshold = metric.kind == MetricKind::kProportion ? metric.at_least : 1;
  column.window = WindowOf(metric);
  if (metric.cap && !yes_or_no) {
    column.cap = store::CapRule{metric.cap->value, metric.cap->quantile, metric.cap->include_zeros,
                                metric.cap->before_ms, metric.cap->first_units};
  }
  if (unit_rows_) {
    column.source_column = source;
  } else {
    column.terms = TermsOf(terms);
  }
  return column;
}

// Groups are by maturity; tables of days have their own, which only the whole needs.
int Planner::AddColumn(store::Column column, int64_t maturity_ms, bool day_table) {
  auto [at, fresh] = columns_.emplace(column.name, static_cast<int>(plan_.columns.size()));
  if (fresh) plan_.columns.push_back(std::move(column));
  auto [group, first] =
      groups_.emplace(std::pair{maturity_ms, day_table}, static_cast<int>(plan_.groups.size()));
  if (first) plan_.groups.push_back({maturity_ms, {}});
  auto& members = plan_.groups[group->second].columns;
  if (std::find(members.begin(), members.end(), at->second) == members.end()) {
    members.push_back(at->second);
  }
  return at->second;
}

}  // namespace fulcrum::report
