// SPDX-License-Identifier: Apache-2.0
#include "report/verdict.h"

#include <algorithm>

#include "base/time.h"

namespace fulcrum::report {
namespace {

using experiments::ExperimentDefinition;

DecisionEffect EffectOf(const MetricReport& metric, const Comparison* c, bool final) {
  DecisionEffect out;
  out.metric = metric.key;
  out.role = metric.role;
  out.direction = metric.direction;
  out.margin = metric.margin;
  if (c == nullptr) return out;
  const auto lo = final ? c->sim_lo : c->look_lo;
  const auto hi = final ? c->sim_hi : c->look_hi;
  out.usable = lo && hi;
  out.lo = lo.value_or(0);
  out.hi = hi.value_or(0);
  out.p = final ? c->p_adjusted : c->p_look;
  out.lift = c->lift;
  out.lift_lo = c->sim_lift_lo;
  out.lift_hi = c->sim_lift_hi;
  out.p_noninferiority = c->p_noninferiority;
  out.power = c->power;
  return out;
}

}  // namespace

TimingInput PlannedTime(const ExperimentDefinition& experiment, int64_t as_of_ms,
                        int64_t first_exposure_ms) {
  std::optional<int64_t> end_ms = experiment.end_ms;
  std::optional<int64_t> start_ms = experiment.start_ms;
  if (!start_ms && first_exposure_ms > 0) start_ms = first_exposure_ms;
  if (experiment.decision.planned_duration_ms > 0 && start_ms) {
    end_ms = *start_ms + experiment.decision.planned_duration_ms;
  }
  TimingInput out;
  out.planned = end_ms.has_value() && !experiment.data.has_value();
  out.stopped = experiment.status == experiments::ExperimentStatus::kStopped;
  if (!out.planned) return out;
  const int64_t from_ms = start_ms.value_or(*end_ms);
  out.elapsed_days = static_cast<double>(as_of_ms - from_ms) / static_cast<double>(kDayMs);
  out.planned_days = static_cast<double>(*end_ms - from_ms) / static_cast<double>(kDayMs);
  return out;
}

Verdict Decide(const ExperimentDefinition& experiment, const Report& report, const Timing& timing) {
  DecisionInput input;
  const AnalysisInfo& analysis = report.analysis;
  input.problems = report.health.problems;
  input.healthy = report.health.ok;
  input.definition_changed = report.experiment.definition_changed;
  input.timing = timing;
  input.level = analysis.final ? analysis.alpha_final : analysis.alpha_look;
  input.guardrail_level = analysis.alpha_final / 2;
  input.min_lift = experiment.decision.min_lift;
  input.require_guardrails = experiment.decision.require_guardrails;
  input.target_power = experiment.decision.power;
  for (const ArmInfo& arm : report.arms) {
    if (arm.control) continue;
    DecisionArm out{arm.key, {}};
    for (const MetricReport& metric : report.metrics) {
      if (metric.role != Role::kPrimary && metric.role != Role::kGuardrail) continue;
      const auto c = std::find_if(metric.comparisons.begin(), metric.comparisons.end(),
                                  [&](const Comparison& each) { return each.arm == arm.key; });
      out.effects.push_back(
          EffectOf(metric, c == metric.comparisons.end() ? nullptr : &*c, analysis.final));
    }
    input.arms.push_back(std::move(out));
  }
  return Decide(input);
}

}  // namespace fulcrum::report
