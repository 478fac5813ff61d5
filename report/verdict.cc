// SPDX-License-Identifier: Apache-2.0
#include "report/verdict.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace fulcrum::report {
namespace {

using experiments::ExperimentDefinition;

class Rule {
 public:
  Rule(const ExperimentDefinition& experiment, const Report& report)
      : experiment_(experiment),
        report_(report),
        progress_(
            ProgressOf(experiment, report.analysis.as_of_ms, report.analysis.first_exposure_ms)) {}

  Verdict Run();

 private:
  ArmVerdict ForArm(const std::string& arm);
  void Primaries(const std::string& arm, ArmVerdict* verdict);
  void Guardrails(const std::string& arm, ArmVerdict* verdict);
  void Worthwhile(const MetricReport& metric, const Comparison& c, ArmVerdict* verdict);
  Decision Conclude();
  void Overall(Verdict* verdict) const;
  std::optional<double> PThatApplies(const Comparison& c) const;
  void Time(Verdict* verdict) const;

  const ExperimentDefinition& experiment_;
  const Report& report_;
  const Progress progress_;
  // Of the arm at hand.
  bool any_estimate_ = false;
  bool harmed_ = false;
  bool better_ = false;
  bool worthwhile_ = false;
  bool cleared_ = true;
};

const Comparison* Find(const MetricReport& metric, const std::string& arm) {
  for (const Comparison& c : metric.comparisons) {
    if (c.arm == arm) return &c;
  }
  return nullptr;
}

std::optional<double> Rule::PThatApplies(const Comparison& c) const {
  return report_.analysis.final ? c.p_adjusted : c.p_look;
}

void Rule::Worthwhile(const MetricReport& metric, const Comparison& c, ArmVerdict* verdict) {
  const double min_lift = experiment_.decision.min_lift;
  const double good = metric.direction == Direction::kIncrease ? 1 : -1;
  if (min_lift <= 0) {
    worthwhile_ = true;
    return;
  }
  const double best = good > 0 ? c.sim_lift_hi.value_or(0) : -c.sim_lift_lo.value_or(0);
  if (c.sim_lift_hi && best < min_lift) {
    verdict->reasons.push_back({ReasonCode::kMinLiftRuledOut, c.arm, metric.key, best, min_lift});
  } else if (good * c.lift.value_or(0) < min_lift) {
    verdict->reasons.push_back(
        {ReasonCode::kBelowMinLift, c.arm, metric.key, good * c.lift.value_or(0), min_lift});
  } else {
    worthwhile_ = true;
  }
}

void Rule::Primaries(const std::string& arm, ArmVerdict* verdict) {
  for (const MetricReport& metric : report_.metrics) {
    if (metric.role != Role::kPrimary) continue;
    const Comparison* c = Find(metric, arm);
    if (c == nullptr || c->outcome == Outcome::kInsufficient) {
      verdict->reasons.push_back(
          {ReasonCode::kInsufficientData, arm, metric.key, std::nullopt, std::nullopt});
      continue;
    }
    any_estimate_ = true;
    ReasonCode code = ReasonCode::kPrimaryUnclear;
    if (c->outcome == Outcome::kBetter) code = ReasonCode::kPrimaryBetter;
    if (c->outcome == Outcome::kWorse) code = ReasonCode::kPrimaryWorse;
    const double level =
        report_.analysis.final ? report_.analysis.alpha_final : report_.analysis.alpha_look;
    verdict->reasons.push_back({code, arm, metric.key, PThatApplies(*c), level});
    if (c->outcome == Outcome::kWorse) harmed_ = true;
    if (c->outcome == Outcome::kBetter) {
      better_ = true;
      Worthwhile(metric, *c, verdict);
    }
  }
}

void Rule::Guardrails(const std::string& arm, ArmVerdict* verdict) {
  bool any = false;
  for (const MetricReport& metric : report_.metrics) {
    if (metric.role != Role::kGuardrail) continue;
    const Comparison* c = Find(metric, arm);
    const GuardrailState state = c != nullptr ? c->guardrail : GuardrailState::kInsufficient;
    any = true;
    if (state == GuardrailState::kCleared) continue;
    if (state == GuardrailState::kBreached) {
      harmed_ = true;
      verdict->reasons.push_back(
          {ReasonCode::kGuardrailBreached, arm, metric.key, c->lift, metric.margin});
      continue;
    }
    cleared_ = false;
    verdict->reasons.push_back({ReasonCode::kGuardrailNotCleared, arm, metric.key,
                                c != nullptr ? c->p_noninferiority : std::nullopt, metric.margin});
  }
  if (any && cleared_ && !harmed_) {
    verdict->reasons.push_back(
        {ReasonCode::kGuardrailsCleared, arm, "", std::nullopt, std::nullopt});
  }
}

Decision Rule::Conclude() {
  if (harmed_) return Decision::kStop;
  if (!progress_.reached) return Decision::kKeepRunning;
  if (!any_estimate_) return Decision::kNoData;
  const bool guarded = cleared_ || !experiment_.decision.require_guardrails;
  return better_ && worthwhile_ && guarded ? Decision::kShip : Decision::kInconclusive;
}

ArmVerdict Rule::ForArm(const std::string& arm) {
  any_estimate_ = harmed_ = better_ = worthwhile_ = false;
  cleared_ = true;
  ArmVerdict verdict;
  verdict.arm = arm;
  Primaries(arm, &verdict);
  Guardrails(arm, &verdict);
  verdict.decision = Conclude();
  return verdict;
}

// Of the arms to ship, the one with the largest good lift on the first primary metric; of the arms
// to stop, the first.
void Rule::Overall(Verdict* verdict) const {
  const auto count = [&](Decision decision) {
    return std::count_if(verdict->arms.begin(), verdict->arms.end(),
                         [&](const ArmVerdict& a) { return a.decision == decision; });
  };
  const MetricReport* first = nullptr;
  for (const MetricReport& metric : report_.metrics) {
    if (first == nullptr && metric.role == Role::kPrimary) first = &metric;
  }
  const auto take = [&](Decision decision) {
    verdict->decision = decision;
    const bool names_arm = decision == Decision::kShip || decision == Decision::kStop;
    std::optional<double> best;
    for (const ArmVerdict& arm : verdict->arms) {
      if (arm.decision != decision || !names_arm) continue;
      const Comparison* c = first != nullptr ? Find(*first, arm.arm) : nullptr;
      const double good = first != nullptr && first->direction == Direction::kDecrease ? -1 : 1;
      const double lift = c != nullptr ? good * c->lift.value_or(0) : 0;
      const double score = decision == Decision::kShip ? lift : -lift;
      if (!best || score > *best) {
        best = score;
        verdict->arm = arm.arm;
      }
    }
  };
  if (count(Decision::kShip) > 0) return take(Decision::kShip);
  if (count(Decision::kKeepRunning) > 0) return take(Decision::kKeepRunning);
  if (count(Decision::kStop) > 0) return take(Decision::kStop);
  if (count(Decision::kInconclusive) > 0) return take(Decision::kInconclusive);
  take(Decision::kNoData);
}

void Rule::Time(Verdict* verdict) const {
  if (!progress_.reached) {
    verdict->days_left = progress_.days_left;
    verdict->reasons.push_back({ReasonCode::kPlannedTimeNotReached, "", "",
                                static_cast<double>(*progress_.days_left), std::nullopt});
  } else if (experiment_.decision.planned_duration_ms > 0) {
    verdict->reasons.push_back(
        {ReasonCode::kPlannedTimeReached, "", "", std::nullopt, std::nullopt});
  }
}

Verdict Rule::Run() {
  Verdict verdict;
  const bool any_primary =
      std::any_of(report_.metrics.begin(), report_.metrics.end(),
                  [](const MetricReport& m) { return m.role == Role::kPrimary; });
  for (const ArmInfo& arm : report_.arms) {
    if (!arm.control) verdict.arms.push_back(ForArm(arm.key));
  }
  Overall(&verdict);
  if (!any_primary) {
    verdict.reasons.push_back({ReasonCode::kNoPrimaryMetric, "", "", std::nullopt, std::nullopt});
  }
  if (report_.experiment.definition_changed) {
    verdict.reasons.push_back({ReasonCode::kDefinitionChanged, "", "", std::nullopt, std::nullopt});
  }
  if (!report_.health.ok) {
    verdict.decision = Decision::kBroken;
    verdict.withheld = true;
    verdict.arm.clear();
    for (ArmVerdict& arm : verdict.arms) arm.decision = Decision::kBroken;
    verdict.reasons.insert(verdict.reasons.begin(), report_.health.problems.begin(),
                           report_.health.problems.end());
    return verdict;
  }
  for (const ArmVerdict& arm : verdict.arms) {
    verdict.reasons.insert(verdict.reasons.end(), arm.reasons.begin(), arm.reasons.end());
  }
  Time(&verdict);
  return verdict;
}

}  // namespace

Progress ProgressOf(const ExperimentDefinition& experiment, int64_t as_of_ms,
                    int64_t first_exposure_ms) {
  std::optional<int64_t> end_ms = experiment.end_ms;
  std::optional<int64_t> start_ms = experiment.start_ms;
  if (!start_ms && first_exposure_ms > 0) start_ms = first_exposure_ms;
  if (experiment.decision.planned_duration_ms > 0 && start_ms) {
    end_ms = *start_ms + experiment.decision.planned_duration_ms;
  }
  Progress progress;
  progress.planned = end_ms.has_value() && !experiment.data.has_value();
  const bool over = experiment.status == experiments::ExperimentStatus::kStopped;
  if (!progress.planned || over || as_of_ms >= *end_ms) return progress;
  progress.reached = false;
  const double days = static_cast<double>(*end_ms - as_of_ms) / static_cast<double>(kDayMs);
  progress.days_left = static_cast<int>(std::ceil(std::min(days, 1e6)));
  return progress;
}

Verdict Decide(const ExperimentDefinition& experiment, const Report& report) {
  return Rule(experiment, report).Run();
}

}  // namespace fulcrum::report
