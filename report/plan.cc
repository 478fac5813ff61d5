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
#include "base/time.h"
#include "experiments/exclusion.h"
#include "report/columns.h"
#include "report/metric_slices.h"
#include "report/planner.h"

namespace fulcrum::report {
using experiments::Condition;
using experiments::ConditionOp;
using experiments::DataSource;
using experiments::FilterOp;
using experiments::MetricKind;

// Filters are the same list in both folders; a reordering must not pass unseen.
static_assert(static_cast<int>(FilterOp::kEq) == static_cast<int>(store::CompareOp::kEq));
static_assert(static_cast<int>(FilterOp::kNotIn) == static_cast<int>(store::CompareOp::kNotIn));
static_assert(static_cast<int>(FilterOp::kGe) == static_cast<int>(store::CompareOp::kGe));
static_assert(static_cast<int>(FilterOp::kAbsent) == static_cast<int>(store::CompareOp::kAbsent));

store::TimeWindow WindowOf(const MetricDefinition& metric) {
  if (metric.kind == MetricKind::kRetention) {
    return {metric.retention_from_ms, metric.retention_to_ms};
  }
  return {metric.window.start_ms, metric.window.end_ms.value_or(INT64_MAX)};
}

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

int64_t Planner::MaturityOf(const MetricDefinition& metric) const {
  if (unit_rows_ || metric.maturity == experiments::Maturity::kCount) return 0;
  int64_t end_ms = WindowOf(metric).end_ms;
  if (metric.after) end_ms += metric.window.end_ms.value_or(0);
  return end_ms == INT64_MAX ? 0 : end_ms + metric.within_ms;
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
  return Switchback();
}

// The row of analysis is the block that was randomised.
absl::Status Planner::Switchback() {
  if (!experiment_.switchback) return absl::OkStatus();
  const std::string where = "experiment " + experiment_.key + ": ";
  if (unit_rows_) {
    return InvalidArgument(where +
                           "a switchback is analysed by the time of each exposure, and the data "
                           "has one row per unit; name the block's column as `cluster:` instead");
  }
  if (!experiment_.start_ms) {
    return InvalidArgument(where +
                           "`switchback` counts its blocks from the start: give "
                           "`schedule` a `start`");
  }
  if (experiment_.enrol == experiments::EnrolKind::kEvent) {
    return InvalidArgument(where +
                           "a switchback's unit is of the block it was exposed in: "
                           "leave `enrol` out");
  }
  plan_.population.block_ms = experiment_.switchback->block_ms;
  plan_.population.washout_ms = experiment_.switchback->washout_ms;
  plan_.population.cluster_attribute = experiment_.switchback->region_attribute;
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

// Profit, cost and orders of the same units, without caps: a margin is made of the large ones too.
absl::Status Planner::Economics() {
  if (!experiment_.economics) return absl::OkStatus();
  struct Part {
    const char* column;
    const std::string& metric;
    std::optional<double> at_least;
  };
  const experiments::Economics& economics = *experiment_.economics;
  // Whoever has any cost used the subsidy; amounts below a millionth of a unit are rounding.
  const Part parts[] = {{"profit", economics.profit, std::nullopt},
                        {"cost", economics.cost, std::nullopt},
                        {"orders", economics.orders, std::nullopt},
                        {"buyer", economics.orders, 1},
                        {"redeemed", economics.cost, 1e-6}};
  int64_t maturity_ms = 0;
  for (const Part& part : parts) {
    const MetricDefinition* metric = definitions_.FindMetric(part.metric);
    if (metric == nullptr) {
      return InvalidArgument("experiment " + experiment_.key + ": metric " + part.metric +
                             " of `economics` is not declared in `metrics:`");
    }
    maturity_ms = std::max(maturity_ms, MaturityOf(*metric));
  }
  for (const Part& part : parts) {
    const MetricDefinition& metric = *definitions_.FindMetric(part.metric);
    if (unit_rows_ && metric.column.empty())
      return Error(metric, "name its data column with `column:`");
    store::Column column =
        ColumnOf(metric, EconomicsColumn(part.column), metric.terms, metric.column);
    column.cap.reset();
    column.kind = part.at_least ? store::ColumnKind::kAtLeast : store::ColumnKind::kSum;
    column.threshold = part.at_least.value_or(1);
    AddColumn(std::move(column), maturity_ms);
  }
  return absl::OkStatus();
}

// Every metric may borrow from the past of all, so each group with covariates has all of them.
void Planner::ShareCovariates() {
  std::vector<int> past;
  for (size_t c = 0; c < plan_.columns.size(); ++c) {
    if (plan_.columns[c].pre_ms > 0) past.push_back(static_cast<int>(c));
  }
  for (store::Group& group : plan_.groups) {
    const bool has = std::any_of(group.columns.begin(), group.columns.end(),
                                 [&](int c) { return plan_.columns[c].pre_ms > 0; });
    if (!has) continue;
    for (const int c : past) {
      if (std::find(group.columns.begin(), group.columns.end(), c) == group.columns.end()) {
        group.columns.push_back(c);
      }
    }
  }
}

// The first primary metric, day by day, of units that have lived through all days of a table.
void Planner::Days() {
  if (!experiment_.analysis.by_day || unit_rows_ || experiment_.primary.empty()) return;
  const MetricDefinition* metric = definitions_.FindMetric(experiment_.primary.front().metric);
  if (metric == nullptr || store::Clustered(plan_.population)) return;
  if (metric->kind != MetricKind::kProportion && metric->kind != MetricKind::kCount &&
      metric->kind != MetricKind::kMean) {
    return;
  }
  const store::TimeWindow window = WindowOf(*metric);
  for (const int days : kDayPanels) {
    if (window.start_ms > 0 || window.end_ms < days * kDayMs) continue;
    for (int d = 0; d < days; ++d) {
      store::Column column = ColumnOf(*metric, DayColumn(metric->key, d), metric->terms, "");
      column.window = {d * kDayMs, (d + 1) * kDayMs};
      if (column.cap) column.cap->quantile.reset();
      if (column.cap && !column.cap->value) column.cap.reset();
      AddColumn(std::move(column), days * kDayMs, true);
    }
  }
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
  for (const std::string& other : analysis.overlaps) {
    if (experiment_.data) break;  // A file knows of no other experiment.
    store::SliceSpec slice;
    slice.key = other;
    slice.attributes = {store::VariantIn(other)};
    plan_.slices.push_back(std::move(slice));
  }
  if (analysis.channel_metric.empty()) return;
  store::SliceSpec channels;
  channels.key = ChannelSlice();
  channels.attributes = {analysis.channel_attribute};
  channels.max_values = static_cast<int>(definitions_.project.channels.size()) + 20;
  plan_.slices.push_back(std::move(channels));
}

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
  planner.ShareCovariates();
  FULCRUM_RETURN_IF_ERROR(planner.Economics());
  planner.Days();
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
