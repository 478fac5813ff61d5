// SPDX-License-Identifier: Apache-2.0
#include "report/plan.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "report/columns.h"

namespace fulcrum::report {
namespace {

using experiments::Condition;
using experiments::ConditionOp;
using experiments::DataSource;
using experiments::Definitions;
using experiments::ExperimentDefinition;
using experiments::FilterOp;
using experiments::MetricDefinition;
using experiments::MetricKind;
using experiments::Stage;

// Filters are the same list in both folders; a reordering must not pass unseen.
static_assert(static_cast<int>(FilterOp::kEq) == static_cast<int>(store::CompareOp::kEq));
static_assert(static_cast<int>(FilterOp::kNotIn) == static_cast<int>(store::CompareOp::kNotIn));
static_assert(static_cast<int>(FilterOp::kGe) == static_cast<int>(store::CompareOp::kGe));
static_assert(static_cast<int>(FilterOp::kAbsent) == static_cast<int>(store::CompareOp::kAbsent));

// Builds one plan. Methods are called in the order of MakePlan().
class Planner {
 public:
  Planner(const Definitions& definitions, const ExperimentDefinition& experiment)
      : definitions_(definitions), experiment_(experiment) {
    unit_rows_ = experiment.data && !experiment.data->per_event;
  }

  absl::Status Population();
  absl::Status Metric(const std::string& key);
  void Slices();
  store::Plan Take() { return std::move(plan_); }

 private:
  absl::Status Error(const MetricDefinition& metric, std::string_view what) const;
  std::vector<std::string> RawNames(const std::string& event) const;
  std::vector<std::string> StageEvents(const Stage& stage) const;
  store::Term TermOf(const experiments::Term& term) const;
  std::vector<store::Term> TermsOf(const std::vector<experiments::Term>& terms) const;
  store::Column ColumnOf(const MetricDefinition& metric, const std::string& name,
                         const std::vector<experiments::Term>& terms,
                         const std::string& source) const;
  int64_t MaturityOf(const MetricDefinition& metric) const;
  int AddColumn(store::Column column, int64_t maturity_ms);
  void AddCovariates(const MetricDefinition& metric, const std::vector<std::string>& columns);
  absl::Status NeedEvents(const MetricDefinition& metric) const;
  absl::Status Funnel(const MetricDefinition& metric);
  absl::Status TimeTo(const MetricDefinition& metric);
  absl::Status Quantile(const MetricDefinition& metric);
  absl::Status StageEventsOf(const MetricDefinition& metric, const std::string& key,
                             std::vector<std::string>* events) const;

  const Definitions& definitions_;
  const ExperimentDefinition& experiment_;
  bool unit_rows_ = false;
  store::Plan plan_;
  std::map<std::string, int> columns_;
  std::map<int64_t, int> groups_;
  std::set<std::string> planned_;
};

absl::Status Planner::Error(const MetricDefinition& metric, std::string_view what) const {
  const auto& pos = metric.pos;
  std::string where;
  if (!pos.file.empty()) where = pos.file + ":" + std::to_string(pos.line) + ": ";
  return InvalidArgument(where + "metric " + metric.key + ": " + std::string(what));
}

std::vector<std::string> Planner::RawNames(const std::string& event) const {
  const auto& events = definitions_.project.events;
  const auto found = events.find(event);
  if (found == events.end()) return {event};
  std::vector<std::string> names = found->second;
  if (std::find(names.begin(), names.end(), event) == names.end()) names.push_back(event);
  return names;
}

std::vector<std::string> Planner::StageEvents(const Stage& stage) const {
  std::vector<std::string> events;
  for (const std::string& event : stage.any_of) {
    for (std::string& raw : RawNames(event)) {
      if (std::find(events.begin(), events.end(), raw) == events.end()) {
        events.push_back(std::move(raw));
      }
    }
  }
  return events;
}

store::Term Planner::TermOf(const experiments::Term& term) const {
  store::Term out;
  out.coefficient = term.coefficient;
  out.events = RawNames(term.event);
  out.property = term.property;
  for (const auto& filter : term.filters) {
    out.filters.push_back(
        {filter.property, static_cast<store::CompareOp>(filter.op), filter.values});
  }
  return out;
}

std::vector<store::Term> Planner::TermsOf(const std::vector<experiments::Term>& terms) const {
  std::vector<store::Term> out;
  for (const auto& term : terms) out.push_back(TermOf(term));
  return out;
}

store::TimeWindow WindowOf(const MetricDefinition& metric) {
  if (metric.kind == MetricKind::kRetention) {
    return {metric.retention_from_ms, metric.retention_to_ms};
  }
  return {metric.window.start_ms, metric.window.end_ms.value_or(INT64_MAX)};
}

int64_t Planner::MaturityOf(const MetricDefinition& metric) const {
  if (unit_rows_ || metric.maturity == experiments::Maturity::kCount) return 0;
  const int64_t end_ms = WindowOf(metric).end_ms;
  return end_ms == INT64_MAX ? 0 : end_ms;
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
    column.cap = store::CapRule{metric.cap->value, metric.cap->quantile, metric.cap->include_zeros};
  }
  if (unit_rows_) {
    column.source_column = source;
  } else {
    column.terms = TermsOf(terms);
  }
  return column;
}

int Planner::AddColumn(store::Column column, int64_t maturity_ms) {
  auto [at, fresh] = columns_.emplace(column.name, static_cast<int>(plan_.columns.size()));
  if (fresh) plan_.columns.push_back(std::move(column));
  auto [group, first] = groups_.emplace(maturity_ms, static_cast<int>(plan_.groups.size()));
  if (first) plan_.groups.push_back({maturity_ms, {}});
  auto& members = plan_.groups[group->second].columns;
  if (std::find(members.begin(), members.end(), at->second) == members.end()) {
    members.push_back(at->second);
  }
  return at->second;
}

void Planner::AddCovariates(const MetricDefinition& metric,
                            const std::vector<std::string>& columns) {
  if (!experiment_.analysis.cuped) return;
  const int64_t maturity_ms = MaturityOf(metric);
  if (unit_rows_) {
    for (const std::string& source : metric.covariate_columns) {
      store::Column column;
      column.name = DataCovariateColumn(source);
      column.kind = store::ColumnKind::kPre;
      column.source_column = source;
      AddColumn(std::move(column), maturity_ms);
    }
    return;
  }
  if (metric.covariate_window_ms <= 0) return;
  for (const std::string& name : columns) {
    store::Column column = plan_.columns[columns_.at(name)];
    column.name = PreColumn(name);
    // The past enters as an amount, also where the outcome is yes or no: it predicts better.
    column.kind = store::ColumnKind::kPre;
    column.window = {};
    column.cap.reset();
    column.pre_ms = metric.covariate_window_ms;
    AddColumn(std::move(column), maturity_ms);
  }
  store::Column seen;
  seen.name = HasPreColumn();
  seen.kind = store::ColumnKind::kHasPre;
  AddColumn(std::move(seen), maturity_ms);
}

absl::Status Planner::Population() {
  auto& population = plan_.population;
  population.experiment = experiment_.key;
  population.unit_kind = experiment_.unit;
  if (population.unit_kind.empty() && !definitions_.project.units.empty()) {
    population.unit_kind = definitions_.project.units.front().key;
  }
  if (experiment_.variants.size() < 2) {
    return InvalidArgument("experiment " + experiment_.key +
                           ": a comparison needs at least two variants");
  }
  const auto control =
      std::find_if(experiment_.variants.begin(), experiment_.variants.end(),
                   [](const experiments::VariantDefinition& v) { return v.control; });
  if (control == experiment_.variants.end()) {
    return InvalidArgument("experiment " + experiment_.key +
                           ": no variant is the control; write `control: true` on one");
  }
  population.arms.push_back({control->key, control->weight});
  for (const auto& variant : experiment_.variants) {
    if (&variant != &*control) population.arms.push_back({variant.key, variant.weight});
  }
  // Where eligibility is logged, the logged row is the exposure row, so its time is the clock.
  if (experiment_.enrol == experiments::EnrolKind::kEvent) {
    population.enrol = store::EnrolRule::kEvent;
    population.enrol_events = RawNames(experiment_.enrol_event);
  }
  if (experiment_.start_ms) population.from_ms = *experiment_.start_ms;
  if (experiment_.end_ms) population.to_ms = *experiment_.end_ms;
  population.exclude_attribute = definitions_.project.exclude_attribute;
  population.cluster_attribute = experiment_.cluster;
  return absl::OkStatus();
}

absl::Status Planner::NeedEvents(const MetricDefinition& metric) const {
  if (!unit_rows_) return absl::OkStatus();
  return Error(metric,
               "this kind is made from events, and the data has one row per unit; "
               "set `data: {rows: events}`");
}

// A stage by its key; where no stage has it, an event by its name.
absl::Status Planner::StageEventsOf(const MetricDefinition& metric, const std::string& key,
                                    std::vector<std::string>* events) const {
  const Stage* stage = definitions_.FindStage(key);
  *events = stage != nullptr ? StageEvents(*stage) : RawNames(key);
  if (events->empty()) return Error(metric, "stage " + key + " names no event");
  return absl::OkStatus();
}

// `satisfied_if` as the store understands it: one attribute with one of several values.
bool OneAttribute(const Condition& condition, store::FunnelStage* stage) {
  if ((condition.op == ConditionOp::kAll || condition.op == ConditionOp::kAny) &&
      condition.children.size() == 1) {
    return OneAttribute(condition.children.front(), stage);
  }
  if (condition.op != ConditionOp::kEq && condition.op != ConditionOp::kIn) return false;
  stage->satisfied_attribute = condition.attribute;
  stage->satisfied_values = condition.values;
  return true;
}

absl::Status Planner::Funnel(const MetricDefinition& metric) {
  FULCRUM_RETURN_IF_ERROR(NeedEvents(metric));
  store::FunnelSpec funnel;
  funnel.key = metric.key;
  funnel.window = WindowOf(metric);
  for (const std::string& key : metric.funnel_stages) {
    const Stage* stage = definitions_.FindStage(key);
    if (stage == nullptr) return Error(metric, "stage " + key + " is not declared in `stages:`");
    store::FunnelStage out;
    out.key = key;
    out.events = StageEvents(*stage);
    out.optional = stage->optional;
    if (stage->satisfied_if && !OneAttribute(*stage->satisfied_if, &out)) {
      return Error(metric, "`satisfied_if` of stage " + key +
                               " must be one attribute with one value or a list of them");
    }
    funnel.stages.push_back(std::move(out));
  }
  for (size_t i = 0; i < funnel.stages.size(); ++i) {
    store::Column column;
    column.name = StageColumn(metric.key, funnel.stages[i].key);
    column.kind = store::ColumnKind::kStage;
    column.window = funnel.window;
    column.funnel = static_cast<int>(plan_.funnels.size());
    column.stage = static_cast<int>(i);
    AddColumn(std::move(column), MaturityOf(metric));
  }
  plan_.funnels.push_back(std::move(funnel));
  return absl::OkStatus();
}

absl::Status Planner::TimeTo(const MetricDefinition& metric) {
  FULCRUM_RETURN_IF_ERROR(NeedEvents(metric));
  store::TimeToSpec spec;
  spec.key = metric.key;
  spec.horizon_ms = metric.horizon_ms;
  if (!metric.from_stage.empty()) {
    FULCRUM_RETURN_IF_ERROR(StageEventsOf(metric, metric.from_stage, &spec.from_events));
  }
  FULCRUM_RETURN_IF_ERROR(StageEventsOf(metric, metric.to_stage, &spec.to_events));
  plan_.time_to.push_back(std::move(spec));
  return absl::OkStatus();
}

absl::Status Planner::Quantile(const MetricDefinition& metric) {
  store::QuantileSpec spec;
  spec.key = metric.key;
  spec.q = metric.quantile;
  spec.of_events = metric.quantile_of_events;
  spec.confidence = 1 - experiment_.analysis.alpha;
  if (spec.of_events) {
    FULCRUM_RETURN_IF_ERROR(NeedEvents(metric));
    if (metric.terms.size() != 1) {
      return Error(metric, "a quantile of events is of one event's property; name exactly one");
    }
    spec.term = TermOf(metric.terms.front());
    spec.window = WindowOf(metric);
  } else {
    spec.column =
        AddColumn(ColumnOf(metric, metric.key, metric.terms, metric.column), MaturityOf(metric));
  }
  plan_.quantiles.push_back(std::move(spec));
  return absl::OkStatus();
}

absl::Status Planner::Metric(const std::string& key) {
  if (key.empty() || !planned_.insert(key).second) return absl::OkStatus();
  const MetricDefinition* found = definitions_.FindMetric(key);
  if (found == nullptr) {
    return InvalidArgument("experiment " + experiment_.key + ": metric " + key +
                           " is not declared in `metrics:`");
  }
  const MetricDefinition& metric = *found;
  if (metric.calendar_days) {
    return Error(metric,
                 "retention over calendar days is not computed by this store; "
                 "leave `calendar` out to count elapsed 24-hour days");
  }
  switch (metric.kind) {
    case MetricKind::kFunnel:
      return Funnel(metric);
    case MetricKind::kTimeTo:
      return TimeTo(metric);
    case MetricKind::kQuantile:
      return Quantile(metric);
    case MetricKind::kProportion:
    case MetricKind::kCount:
    case MetricKind::kMean:
    case MetricKind::kRatio:
    case MetricKind::kRetention:
      break;
  }
  const bool ratio = metric.kind == MetricKind::kRatio;
  if (unit_rows_ && (metric.column.empty() || (ratio && metric.denominator_column.empty()))) {
    return Error(metric, ratio ? "name its two data columns with `column:` and "
                                 "`denominator_column:`"
                               : "name its data column with `column:`");
  }
  const int64_t maturity_ms = MaturityOf(metric);
  if (!ratio) {
    AddColumn(ColumnOf(metric, key, metric.terms, metric.column), maturity_ms);
    AddCovariates(metric, {key});
    return absl::OkStatus();
  }
  AddColumn(ColumnOf(metric, NumeratorColumn(key), metric.terms, metric.column), maturity_ms);
  auto denominator =
      ColumnOf(metric, DenominatorColumn(key), metric.denominator, metric.denominator_column);
  denominator.cap.reset();  // The cap is on the amounts, not on how many there are.
  AddColumn(std::move(denominator), maturity_ms);
  AddCovariates(metric, {NumeratorColumn(key), DenominatorColumn(key)});
  return absl::OkStatus();
}

void Planner::Slices() {
  for (const std::string& attribute : experiment_.analysis.slices) {
    store::SliceSpec slice;
    slice.key = attribute;
    slice.attributes = {attribute};
    plan_.slices.push_back(std::move(slice));
  }
}

}  // namespace

absl::StatusOr<store::Plan> MakePlan(const Definitions& definitions,
                                     const ExperimentDefinition& experiment, int64_t as_of_ms) {
  Planner planner(definitions, experiment);
  FULCRUM_RETURN_IF_ERROR(planner.Population());
  for (const auto& use : experiment.primary) FULCRUM_RETURN_IF_ERROR(planner.Metric(use.metric));
  for (const auto& use : experiment.guardrails) FULCRUM_RETURN_IF_ERROR(planner.Metric(use.metric));
  for (const auto& use : experiment.secondary) FULCRUM_RETURN_IF_ERROR(planner.Metric(use.metric));
  FULCRUM_RETURN_IF_ERROR(planner.Metric(experiment.funnel));
  planner.Slices();
  store::Plan plan = planner.Take();
  plan.as_of_ms = as_of_ms;
  return plan;
}

absl::StatusOr<store::FileSource> MakeFileSource(const ExperimentDefinition& experiment,
                                                 std::string_view input,
                                                 std::string_view base_directory) {
  if (!experiment.data) {
    return InvalidArgument("experiment " + experiment.key +
                           ": there is no `data:` section that says which column is the arm");
  }
  const DataSource& data = *experiment.data;
  store::FileSource source;
  source.path = input.empty() ? data.input : std::string(input);
  if (source.path.empty()) {
    return InvalidArgument("experiment " + experiment.key +
                           ": no data file; pass --input FILE or write `input:` under `data:`");
  }
  if (input.empty() && !base_directory.empty() && source.path.front() != '/') {
    source.path = std::string(base_directory) + "/" + source.path;
  }
  source.format = data.format;
  source.table = data.table;
  source.per_event = data.per_event;
  source.arm_column = data.arm_column;
  source.unit_column = data.unit_column;
  source.event_column = data.event_column;
  source.exposure_event = data.exposure_event;
  source.time_column = data.time_column;
  source.value_column = data.value_column;
  source.arms = data.arms;
  return source;
}

}  // namespace fulcrum::report
