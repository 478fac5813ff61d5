// SPDX-License-Identifier: Apache-2.0
#include "report/analyze.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "experiments/estimand.h"
#include "report/channels.h"
#include "report/columns.h"
#include "report/days.h"
#include "report/economics.h"
#include "report/effect.h"
#include "report/family.h"
#include "report/funnel.h"
#include "report/health.h"
#include "report/metric_slices.h"
#include "report/order_effects.h"
#include "report/overlap.h"
#include "report/power.h"
#include "report/sample.h"
#include "report/slices.h"
#include "report/verdict.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;
using experiments::ExperimentDefinition;
using experiments::MetricDefinition;
using experiments::MetricUse;

class Analysis {
 public:
  Analysis(const Definitions& definitions, const ExperimentDefinition& experiment,
           const store::Plan& plan, const store::PlanResult& result, const AnalyzeOptions& options)
      : definitions_(definitions),
        experiment_(experiment),
        plan_(plan),
        result_(result),
        options_(options) {
    for (const PhaseWeights& phase : options.phases)
      phases_.push_back({phase.phase, phase.weights});
  }

  Report Run();

 private:
  void Describe();
  void Metrics(const std::vector<MetricUse>& uses, Role role);
  MetricResult Estimate(const MetricDefinition& metric) const;
  void DescribeMetric(const MetricDefinition& metric, MetricReport* report) const;
  std::optional<Mover> MoverOf(const MetricDefinition& metric) const;
  std::optional<double> CapOf(const MetricDefinition& metric) const;
  std::vector<FamilyMember> Members(Role role);
  void Families();
  void Power();
  void Looks();
  void Guardrails();
  void Slices();

  const Definitions& definitions_;
  const ExperimentDefinition& experiment_;
  const store::Plan& plan_;
  const store::PlanResult& result_;
  const AnalyzeOptions& options_;
  std::vector<PhaseShares> phases_;
  Sample sample_;
  std::vector<MetricResult> metrics_;  // Moved into the report at the end.
  TimingInput plan_time_;
  Timing timing_;
  Report report_;
};

void Analysis::Describe() {
  ExperimentInfo& info = report_.experiment;
  info.key = experiment_.key;
  info.title = experiment_.title.empty() ? experiment_.key : experiment_.title;
  info.hypothesis = experiment_.hypothesis;
  info.owner = experiment_.owner;
  info.status = experiment_.status;
  info.unit = plan_.population.unit_kind;
  info.cluster = plan_.population.cluster_attribute;
  info.block_ms = plan_.population.block_ms;
  info.washout_ms = plan_.population.washout_ms;
  info.definition_hash = experiment_.content_hash;
  info.started_hash = options_.started_hash;
  info.definition_changed =
      !options_.started_hash.empty() && options_.started_hash != experiment_.content_hash;
  info.start_ms = experiment_.start_ms;
  info.end_ms = experiment_.end_ms;
  info.planned_duration_ms = experiment_.decision.planned_duration_ms;
  info.currency = definitions_.project.currency;
  info.timezone = definitions_.project.timezone;

  AnalysisInfo& analysis = report_.analysis;
  analysis.alpha = experiment_.analysis.alpha;
  plan_time_ = PlannedTime(experiment_, result_.as_of_ms, result_.health.first_exposure_ms);
  // Half of alpha is the most that looking may take: the planned end is the analysis.
  analysis.alpha_look =
      plan_time_.planned ? std::min(experiment_.analysis.alpha_look, analysis.alpha / 2) : 0;
  analysis.alpha_final = analysis.alpha - analysis.alpha_look;
  analysis.correction = experiment_.analysis.correction;
  analysis.srm_alpha = experiment_.analysis.srm_alpha;
  analysis.min_lift = experiment_.decision.min_lift;
  analysis.target_power = experiment_.decision.power;
  analysis.as_of_ms = result_.as_of_ms;
  analysis.first_exposure_ms = result_.health.first_exposure_ms;
  analysis.last_exposure_ms = result_.health.last_exposure_ms;
  analysis.last_received_ms = result_.health.last_received_ms;
  for (const GroupStats& group : sample_.groups) {
    if (group.stratified) analysis.stratified_by_phase = true;
  }
}

// The force that moves the funnel stage which the metric's first event reaches.
std::optional<Mover> Analysis::MoverOf(const MetricDefinition& metric) const {
  if (metric.kind == MetricKind::kTimeTo) {
    const auto* stage = definitions_.FindStage(metric.to_stage);
    return stage != nullptr ? std::optional(stage->mover) : std::nullopt;
  }
  if (metric.terms.empty()) return std::nullopt;
  for (const auto& stage : definitions_.project.stages) {
    for (const std::string& event : stage.any_of) {
      if (event == metric.terms.front().event) return stage.mover;
    }
  }
  return std::nullopt;
}

std::optional<double> Analysis::CapOf(const MetricDefinition& metric) const {
  for (size_t i = 0; i < plan_.columns.size() && i < result_.cap_values.size(); ++i) {
    const std::string& name = plan_.columns[i].name;
    if (name != metric.key && name != NumeratorColumn(metric.key)) continue;
    if (plan_.columns[i].cap && std::isfinite(result_.cap_values[i])) return result_.cap_values[i];
  }
  return std::nullopt;
}

void Analysis::DescribeMetric(const MetricDefinition& metric, MetricReport* report) const {
  report->key = metric.key;
  report->title = metric.title.empty() ? metric.key : metric.title;
  report->description = metric.description;
  report->kind = metric.kind;
  report->lens = metric.lens;
  report->mover = MoverOf(metric);
  report->direction = metric.direction;
  report->unit_label = metric.unit_label;
  report->estimand = experiments::Estimand(definitions_.project, metric, experiment_);
  report->cap_value = CapOf(metric);
}

MetricResult Analysis::Estimate(const MetricDefinition& metric) const {
  const EffectInput input{plan_, sample_, metric, experiment_};
  switch (metric.kind) {
    case MetricKind::kQuantile:
      return EstimateQuantile(input, result_);
    case MetricKind::kTimeTo:
      return EstimateTimeTo(input, result_);
    case MetricKind::kProportion:
    case MetricKind::kCount:
    case MetricKind::kMean:
    case MetricKind::kRatio:
    case MetricKind::kRetention:
    case MetricKind::kFunnel:
      break;
  }
  return EstimateColumns(input);
}

void Analysis::Metrics(const std::vector<MetricUse>& uses, Role role) {
  for (const MetricUse& use : uses) {
    const MetricDefinition* metric = definitions_.FindMetric(use.metric);
    // A funnel is not one number; it has its own section.
    if (metric == nullptr || metric->kind == MetricKind::kFunnel) continue;
    MetricResult result = Estimate(*metric);
    DescribeMetric(*metric, &result.report);
    result.report.role = role;
    result.report.margin = use.margin;
    for (size_t i = 0; i < result.pivots.size(); ++i) {
      if (!result.pivots[i]) continue;
      SetIndividual(*result.pivots[i], experiment_.analysis.alpha, &result.report.comparisons[i]);
    }
    metrics_.push_back(std::move(result));
  }
}

constexpr Role kRoles[] = {Role::kPrimary, Role::kGuardrail, Role::kSecondary};

// A quantile of the outcomes themselves, of however many units there are.
bool CapMoves(const MetricDefinition& metric) {
  return metric.cap && metric.cap->quantile && metric.cap->before_ms == 0 &&
         metric.cap->first_units == 0;
}

std::vector<FamilyMember> Analysis::Members(Role role) {
  std::vector<FamilyMember> members;
  for (MetricResult& metric : metrics_) {
    if (metric.report.role != role) continue;
    const MetricDefinition* definition = definitions_.FindMetric(metric.report.key);
    for (size_t i = 0; i < metric.pivots.size(); ++i) {
      if (!metric.pivots[i]) continue;
      members.push_back({&metric.report.comparisons[i], &*metric.pivots[i], metric.report.direction,
                         CapMoves(*definition)});
    }
  }
  return members;
}

void Analysis::Families() {
  for (const Role role : kRoles) {
    std::vector<FamilyMember> members = Members(role);
    if (members.empty()) continue;
    report_.families.push_back(Correct(sample_, role, members, report_.analysis.alpha_final,
                                       experiment_.analysis.correction));
  }
}

// Whether the end is reached depends on time and power only, never on the effect.
void Analysis::Power() {
  std::optional<double> days;
  for (MetricResult& metric : metrics_) {
    if (metric.report.role != Role::kPrimary) continue;
    SetPower(experiment_, plan_, result_, report_.families.empty() ? nullptr : &report_.families[0],
             report_.analysis.alpha_final, &metric);
    for (const Comparison& c : metric.report.comparisons) {
      if (c.days_to_power) days = std::max(days.value_or(0), *c.days_to_power);
    }
  }
  plan_time_.days_to_power = days;
  timing_ = TimingOf(plan_time_);
  report_.analysis.final = timing_.reached || report_.analysis.alpha_look <= 0;
}

void Analysis::Looks() {
  for (const Role role : kRoles) {
    std::vector<FamilyMember> members = Members(role);
    if (members.empty() || report_.analysis.alpha_look <= 0) continue;
    AddLooks(members, report_.analysis.alpha_look, !report_.analysis.final);
  }
  for (MetricResult& metric : metrics_) {
    if (metric.report.role == Role::kPrimary) SetCorrected(report_.analysis, &metric);
  }
}

// All guardrails must hold, so no correction is due: intersection-union (Berger 1982).
void Analysis::Guardrails() {
  const double level = report_.analysis.alpha_final / 2;
  for (MetricResult& metric : metrics_) {
    if (metric.report.role != Role::kGuardrail) continue;
    for (size_t i = 0; i < metric.pivots.size(); ++i) {
      Comparison& c = metric.report.comparisons[i];
      c.guardrail = GuardrailState::kInsufficient;
      if (!metric.pivots[i]) continue;
      if (metric.report.margin) {
        const Pivot& pivot = *metric.pivots[i];
        c.margin_abs = *metric.report.margin * std::fabs(pivot.base);
        c.p_noninferiority = NonInferiorityP(pivot, *metric.report.margin, metric.report.direction);
      }
      if (c.outcome == Outcome::kInsufficient) continue;
      c.guardrail =
          GuardrailStateOf(c.outcome, metric.report.margin.has_value(), c.p_noninferiority, level);
    }
  }
}

void Analysis::Slices() {
  const std::vector<std::vector<SliceValue>> samples = GatherSlices(plan_, result_, phases_);
  for (const MetricResult& metric : metrics_) {
    // Slices of a few clusters would be of one or two.
    if (!metric.pivots.empty() && metric.pivots.front() &&
        metric.pivots.front()->pair == DualPair::kRandomisation) {
      continue;
    }
    if (metric.report.role != Role::kPrimary || metric.report.kind == MetricKind::kQuantile ||
        metric.report.kind == MetricKind::kTimeTo) {
      continue;
    }
    const MetricDefinition* definition = definitions_.FindMetric(metric.report.key);
    auto slices = EstimateSlices(experiment_, *definition, plan_, samples, metric);
    for (SliceReport& slice : slices) report_.slices.push_back(std::move(slice));
  }
  for (const MetricResult& metric : metrics_) {
    const MetricDefinition* definition = definitions_.FindMetric(metric.report.key);
    auto slices = EstimateMetricSlices(experiment_, *definition, plan_, sample_);
    for (SliceReport& slice : slices) report_.slices.push_back(std::move(slice));
  }
  report_.channels = EstimateChannels(definitions_, experiment_, plan_, result_, samples);
}

Report Analysis::Run() {
  sample_ = Gather(plan_, result_, phases_);
  Describe();
  report_.arms = ArmInfos(experiment_, plan_, result_);
  report_.health = CheckHealth(experiment_, plan_, result_, phases_);
  Metrics(experiment_.primary, Role::kPrimary);
  Metrics(experiment_.guardrails, Role::kGuardrail);
  Metrics(experiment_.secondary, Role::kSecondary);
  Families();
  Power();
  Looks();
  Guardrails();
  if (const MetricDefinition* funnel = definitions_.FindMetric(experiment_.funnel)) {
    FunnelReport out =
        EstimateFunnel(definitions_, *funnel, plan_, sample_, report_.analysis.alpha_final);
    out.title = funnel->title.empty() ? funnel->key : funnel->title;
    out.estimand = experiments::Estimand(definitions_.project, *funnel, experiment_);
    report_.funnels.push_back(std::move(out));
  }
  Slices();
  if (!experiment_.primary.empty()) {
    report_.days = EstimateDays(experiment_.primary.front().metric, plan_, sample_,
                                experiment_.analysis.alpha);
  }
  report_.overlaps = EstimateOverlaps(definitions_, experiment_, plan_, result_, sample_);
  if (experiment_.economics) {
    report_.economics = EstimateEconomics(definitions_, experiment_, plan_, sample_);
  }
  for (MetricResult& metric : metrics_) report_.metrics.push_back(std::move(metric.report));
  report_.verdict = Decide(experiment_, report_, timing_);
  return std::move(report_);
}

}  // namespace

Report Analyze(const Definitions& definitions, const ExperimentDefinition& experiment,
               const store::Plan& plan, const store::PlanResult& result,
               const AnalyzeOptions& options) {
  return Analysis(definitions, experiment, plan, result, options).Run();
}

const ArmInfo* Report::FindArm(const std::string& key) const {
  for (const ArmInfo& arm : arms) {
    if (arm.key == key) return &arm;
  }
  return nullptr;
}

const MetricReport* Report::FindMetric(const std::string& key) const {
  for (const MetricReport& metric : metrics) {
    if (metric.key == key) return &metric;
  }
  return nullptr;
}

}  // namespace fulcrum::report
