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
#include "experiments/exclusion.h"
#include "report/columns.h"
#include "report/metric_slices.h"

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
  absl::Status Exclusions();
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
  int AddJourney(store::JourneySpec journey);
  store::JourneyStage JourneyStageOf(const experiments::Term& term) const;
  void AddJourneyColumn(const std::string& name, int journey, int stage, int64_t maturity_ms);
  void CountIds(const MetricDefinition& metric, const std::string& name,
                const experiments::Term& term, experiments::CountedPer per);
  void ShareOfIds(const MetricDefinition& metric);
  void Repeat(const MetricDefinition& metric);
  absl::Status IdFunnel(const MetricDefinition& metric);
  void Plain(const MetricDefinition& metric);
  void Side(const MetricDefinition& metric, const std::string& name,
            const std::vector<experiments::Term>& terms, const std::string& source, bool capped);
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
  int64_t end_ms = WindowOf(metric).end_ms;
  if (metric.after) end_ms += metric.window.end_ms.value_or(0);
  return end_ms == INT64_MAX ? 0 : end_ms + metric.within_ms;
}

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
    if (column.kind == store::ColumnKind::kJourney) {
      // What an order or session comes to is predicted by how many such events there were.
      const auto& stage = plan_.journeys[column.journey].stages[column.stage];
      column.terms = {{1, stage.events, "", stage.filters}};
    }
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

absl::Status Planner::Exclusions() {
  auto& population = plan_.population;
  const auto& project = definitions_.project;
  population.exclude_attribute = project.exclude_attribute;
  if (project.exclude_when) {
    std::string why;
    const auto tests = experiments::ExclusionTests(*project.exclude_when, &why);
    if (tests.empty()) return InvalidArgument("`when` of `exclude` " + why);
    for (const auto& all : tests) {
      auto& out = population.exclude_any.emplace_back();
      for (const auto& test : all) {
        out.push_back({test.property, static_cast<store::CompareOp>(test.op), test.values});
      }
    }
  }
  if (unit_rows_) return absl::OkStatus();
  for (const auto& rule : project.exclude_events) {
    store::Term term = TermOf(rule.event);
    population.exclude_bursts.push_back(
        {std::move(term.events), std::move(term.filters), rule.more_than, rule.within_ms});
  }
  return absl::OkStatus();
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
  FULCRUM_RETURN_IF_ERROR(Exclusions());
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
  if (metric.per != experiments::CountedPer::kUnit) return IdFunnel(metric);
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
  if (metric.per != experiments::CountedPer::kUnit) {
    store::JourneySpec journey;
    journey.key = metric.key;
    journey.per = KeyOf(metric.per);
    journey.stages = {{std::move(spec.from_events), {}}, {std::move(spec.to_events), {}}};
    spec.from_events.clear();
    spec.to_events.clear();
    spec.journey = AddJourney(std::move(journey));
  }
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
  Plain(metric);
  if (unit_rows_) return absl::OkStatus();
  for (const auto& slice : metric.slices) {
    for (const MetricPart& part : PartsOf(metric, slice)) Plain(part.metric);
  }
  return absl::OkStatus();
}

// One column of a metric, or one side of a ratio.
void Planner::Side(const MetricDefinition& metric, const std::string& name,
                   const std::vector<experiments::Term>& terms, const std::string& source,
                   bool capped) {
  if (!unit_rows_ && terms.size() == 1 && terms[0].per != experiments::CountedPer::kUnit) {
    return CountIds(metric, name, terms[0], terms[0].per);
  }
  store::Column column = ColumnOf(metric, name, terms, source);
  if (!capped) column.cap.reset();
  AddColumn(std::move(column), MaturityOf(metric));
}

void Planner::Plain(const MetricDefinition& metric) {
  const std::string& key = metric.key;
  if (metric.among) return ShareOfIds(metric);
  if (metric.after) return Repeat(metric);
  if (metric.per != experiments::CountedPer::kUnit) {
    CountIds(metric, key, metric.terms.front(), metric.per);
    return AddCovariates(metric, {key});
  }
  if (metric.kind != MetricKind::kRatio) {
    Side(metric, key, metric.terms, metric.column, true);
    return AddCovariates(metric, {key});
  }
  Side(metric, NumeratorColumn(key), metric.terms, metric.column, true);
  // The cap is on the amounts, not on how many there are.
  Side(metric, DenominatorColumn(key), metric.denominator, metric.denominator_column, false);
  AddCovariates(metric, {NumeratorColumn(key), DenominatorColumn(key)});
}

void Planner::Slices() {
  const auto& analysis = experiment_.analysis;
  for (const std::vector<std::string>& dimension : analysis.dimensions) {
    store::SliceSpec slice;
    for (const std::string& attribute : dimension) {
      slice.key += (slice.key.empty() ? "" : " / ") + attribute;
    }
    slice.attributes = dimension;
    plan_.slices.push_back(std::move(slice));
  }
  if (analysis.channel_metric.empty()) return;
  store::SliceSpec channels;
  channels.key = ChannelSlice();
  channels.attributes = {analysis.channel_attribute};
  channels.max_values = static_cast<int>(definitions_.project.channels.size()) + 20;
  plan_.slices.push_back(std::move(channels));
}

}  // namespace

absl::StatusOr<store::Plan> MakePlan(const Definitions& definitions,
                                     const ExperimentDefinition& experiment, int64_t as_of_ms,
                                     const core::ExperimentControls* controls) {
  Planner planner(definitions, experiment);
  FULCRUM_RETURN_IF_ERROR(planner.Population());
  for (const auto& use : experiment.primary) FULCRUM_RETURN_IF_ERROR(planner.Metric(use.metric));
  for (const auto& use : experiment.guardrails) FULCRUM_RETURN_IF_ERROR(planner.Metric(use.metric));
  for (const auto& use : experiment.secondary) FULCRUM_RETURN_IF_ERROR(planner.Metric(use.metric));
  FULCRUM_RETURN_IF_ERROR(planner.Metric(experiment.funnel));
  FULCRUM_RETURN_IF_ERROR(planner.Metric(experiment.analysis.channel_metric));
  planner.Slices();
  store::Plan plan = planner.Take();
  plan.as_of_ms = as_of_ms;
  if (controls != nullptr) {
    int64_t& to_ms = plan.population.to_ms;
    if (controls->stop) to_ms = std::min(to_ms, controls->stop->at_ms);
    to_ms = std::min(to_ms, controls->enrolment_closed_at_ms.value_or(to_ms));
  }
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
