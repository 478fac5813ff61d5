// SPDX-License-Identifier: Apache-2.0
#include "report/words.h"

#include <cmath>
#include <optional>

#include "base/time.h"
#include "report/format.h"

namespace fulcrum::report {
namespace {

const Comparison* Find(const MetricReport* metric, const std::string& arm) {
  if (metric == nullptr) return nullptr;
  for (const Comparison& c : metric->comparisons) {
    if (c.arm == arm) return &c;
  }
  return nullptr;
}

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

// "Paid within 7 days +4.2% [+1.1%, +7.3%]" of one arm, or "" without a figure.
std::string EffectOf(const Report& report, const std::string& metric, const std::string& arm) {
  const MetricReport* found = report.FindMetric(metric);
  const Comparison* c = Find(found, arm);
  if (c == nullptr || !c->estimate) return "";
  return MetricTitle(report, metric) + " " + EffectText(report, *found, *c);
}

// The first reason of one of the codes that is about `arm` ("" = any).
const Reason* First(const Report& report, const std::string& arm,
                    std::initializer_list<ReasonCode> codes) {
  for (const ReasonCode code : codes) {
    for (const Reason& reason : report.verdict.reasons) {
      if (reason.code == code && (arm.empty() || reason.arm == arm)) return &reason;
    }
  }
  return nullptr;
}

std::string ControlName(const Report& report) {
  return report.arms.empty() ? "control" : ArmName(report, report.arms.front().key);
}

std::string ShipHeadline(const Report& report) {
  const std::string& arm = report.verdict.arm;
  std::string text = "Ship " + Quoted(ArmName(report, arm));
  if (const Reason* why = First(report, arm, {ReasonCode::kPrimaryBetter})) {
    text += ": " + EffectOf(report, why->metric, arm) + " against " + Quoted(ControlName(report));
  }
  if (First(report, arm, {ReasonCode::kGuardrailsCleared}) != nullptr) {
    text += ", and every guardrail holds";
  }
  return text + ".";
}

std::string StopHeadline(const Report& report) {
  const std::string& arm = report.verdict.arm;
  std::string text = "Stop " + Quoted(ArmName(report, arm)) + ", it does harm";
  if (const Reason* why =
          First(report, arm, {ReasonCode::kPrimaryWorse, ReasonCode::kGuardrailBreached})) {
    text += ": " + EffectOf(report, why->metric, arm) + " against " + Quoted(ControlName(report));
  }
  return text + ".";
}

std::string BrokenHeadline(const Report& report) {
  std::string text = "Do not act on these figures";
  if (!report.health.problems.empty()) {
    text += ": " + Sentence(report, report.health.problems.front());
    return text;
  }
  return text + ".";
}

std::string RunningHeadline(const Report& report) {
  std::string text = "Keep running";
  if (report.verdict.days_left) {
    const int days = *report.verdict.days_left;
    text += " for " + std::to_string(days) + (days == 1 ? " more day" : " more days");
  }
  const bool waiting = First(report, "", {ReasonCode::kWaitingForPower}) != nullptr;
  text += waiting ? ": the power asked for is not reached" : ": the planned time is not over";
  if (const Reason* why = First(
          report, "",
          {ReasonCode::kPrimaryBetter, ReasonCode::kPrimaryWorse, ReasonCode::kPrimaryUnclear})) {
    text += " (so far " + EffectOf(report, why->metric, why->arm) + " for " +
            Quoted(ArmName(report, why->arm)) + ")";
  }
  return text + ".";
}

std::string InconclusiveHeadline(const Report& report) {
  if (const Reason* why = First(report, "", {ReasonCode::kGuardrailNotCleared});
      why != nullptr && First(report, why->arm, {ReasonCode::kPrimaryBetter}) != nullptr) {
    return "Ask the owner: the primary metric is better, but harm to " +
           MetricTitle(report, why->metric) + " is not ruled out.";
  }
  if (const Reason* why =
          First(report, "", {ReasonCode::kMinLiftRuledOut, ReasonCode::kBelowMinLift})) {
    return "Better, but too little to be worth it: " + EffectOf(report, why->metric, why->arm) +
           ", where " + FormatPercent(why->limit.value_or(0), 1) + " was asked for.";
  }
  if (const Reason* why = First(report, "", {ReasonCode::kPrimaryUnclear})) {
    return "No clear answer: " + EffectOf(report, why->metric, why->arm) +
           ", which is compatible with no change.";
  }
  return "No clear answer from these data.";
}

std::string CountedSentence(const Report& report, const Reason& reason) {
  switch (reason.code) {
    case ReasonCode::kSampleRatioMismatch:
      return "the sizes of the arms do not fit their weights (p " + FormatP(reason.value) +
             "), so units are lost or added in one of them.";
    case ReasonCode::kMultiArmImbalance:
      return "units seen in several arms are not spread as chance would (p " +
             FormatP(reason.value) + "): assignment is not stable.";
    case ReasonCode::kTriggerImbalance:
      return "the triggered units do not fit the weights (p " + FormatP(reason.value) +
             "): the trigger depends on the arm.";
    case ReasonCode::kExposureLossImbalance:
      return "exposures are lost at different rates in the arms (p " + FormatP(reason.value) + ").";
    case ReasonCode::kExclusionImbalance:
      return "the arms fit their weights until units were excluded by rule and do not after (p " +
             FormatP(reason.value) + "): what the rule looks at depends on the arm.";
    case ReasonCode::kUnknownVariant:
      return FormatCount(reason.value.value_or(0)) +
             " exposures name a variant that the definition does not have.";
    default:
      return Sentence(report, reason);
  }
}

// "1 day is left", "12 days are left".
std::string DaysText(std::optional<double> days) {
  if (!days) return "how long is not known";
  return FormatCount(*days) + (*days == 1 ? " day is left" : " days are left");
}

// What a metric without a clear difference may still hide, once the end is reached.
std::string Unseen(const Report& report, const Reason& reason) {
  const Comparison* c = Find(report.FindMetric(reason.metric), reason.arm);
  if (!report.analysis.final || c == nullptr || !c->detectable_lift) return "";
  return " A change smaller than " + FormatPercent(*c->detectable_lift, 1) +
         " would probably not have been seen.";
}

std::string PrimarySentence(const Report& report, const Reason& reason, std::string_view verdict) {
  return Quoted(ArmName(report, reason.arm)) + ": " + EffectOf(report, reason.metric, reason.arm) +
         ", " + std::string(verdict) + " (p " + FormatP(reason.value) + " over its family).";
}

}  // namespace

std::string ArmName(const Report& report, const std::string& key) {
  const ArmInfo* arm = report.FindArm(key);
  return arm == nullptr || arm->title.empty() ? key : arm->title;
}

std::string MetricTitle(const Report& report, const std::string& key) {
  const MetricReport* metric = report.FindMetric(key);
  return metric == nullptr || metric->title.empty() ? key : metric->title;
}

std::string DecisionLabel(Decision decision) {
  switch (decision) {
    case Decision::kBroken:
      return "DATA PROBLEM";
    case Decision::kNoData:
      return "NO DATA YET";
    case Decision::kStop:
      return "STOP";
    case Decision::kShip:
      return "SHIP";
    case Decision::kKeepRunning:
      return "KEEP RUNNING";
    case Decision::kInconclusive:
      return "NO CLEAR ANSWER";
  }
  return "";
}

std::string Headline(const Report& report) {
  switch (report.verdict.decision) {
    case Decision::kBroken:
      return BrokenHeadline(report);
    case Decision::kNoData:
      return "No answer yet: no primary metric can be compared.";
    case Decision::kStop:
      return StopHeadline(report);
    case Decision::kShip:
      return ShipHeadline(report);
    case Decision::kKeepRunning:
      return RunningHeadline(report);
    case Decision::kInconclusive:
      return InconclusiveHeadline(report);
  }
  return "";
}

std::string Sentence(const Report& report, const Reason& reason) {
  const std::string arm = Quoted(ArmName(report, reason.arm));
  const std::string metric = MetricTitle(report, reason.metric);
  const std::string limit = FormatPercent(reason.limit.value_or(0), 1);
  switch (reason.code) {
    case ReasonCode::kSampleRatioMismatch:
    case ReasonCode::kMultiArmImbalance:
    case ReasonCode::kTriggerImbalance:
    case ReasonCode::kExposureLossImbalance:
    case ReasonCode::kUnknownVariant:
    case ReasonCode::kExclusionImbalance:
      return CountedSentence(report, reason);
    case ReasonCode::kDefinitionChanged:
      return "The definition changed after the start: this is not what was pre-registered.";
    case ReasonCode::kNoPrimaryMetric:
      return "The definition names no primary metric, so there is nothing to decide by.";
    case ReasonCode::kInsufficientData: {
      const Comparison* c = Find(report.FindMetric(reason.metric), reason.arm);
      return arm + ": " + metric + " cannot be compared, " +
             Sentence(c != nullptr ? c->status : Status::kNotPlanned) + ".";
    }
    case ReasonCode::kPrimaryBetter:
      return PrimarySentence(report, reason, "better");
    case ReasonCode::kPrimaryWorse:
      return PrimarySentence(report, reason, "worse");
    case ReasonCode::kPrimaryUnclear:
      return PrimarySentence(report, reason, "no clear difference") + Unseen(report, reason);
    case ReasonCode::kBelowMinLift:
      return arm + ": " + metric + " moved by less than the " + limit + " that is worth shipping.";
    case ReasonCode::kMinLiftRuledOut:
      return arm + ": an effect of " + limit + " on " + metric + ", worth shipping, is ruled out.";
    case ReasonCode::kGuardrailBreached:
      return arm + ": guardrail " + metric + " is breached, " +
             EffectOf(report, reason.metric, reason.arm) + ".";
    case ReasonCode::kGuardrailNotCleared:
      return arm + ": harm to " + metric +
             (reason.limit ? " of more than " + limit : std::string()) + " is not ruled out.";
    case ReasonCode::kGuardrailsCleared:
      return arm + ": every guardrail holds.";
    case ReasonCode::kPlannedTimeNotReached:
      return "The planned time is not over: " + DaysText(reason.value) + ".";
    case ReasonCode::kPlannedTimeReached:
      return "The planned time is over.";
    case ReasonCode::kPowerReached:
    case ReasonCode::kPowerNotReached:
      return arm + ": the chance of seeing a change of " +
             FormatPercent(report.analysis.min_lift, 1) + " in " + metric + " has come to " +
             FormatPercent(reason.value.value_or(0), 0) + ", of the " +
             FormatPercent(reason.limit.value_or(0), 0) + " asked for.";
    case ReasonCode::kWaitingForPower:
      return "The planned time is over, but more units are needed for the power asked for: " +
             DaysText(reason.value) + ".";
    case ReasonCode::kPowerOutOfReach:
      return "The power asked for would take longer than as long again as was planned: what can "
             "be known from this experiment is known.";
  }
  return "";
}

std::string Sentence(Status status) {
  switch (status) {
    case Status::kOk:
      return "";
    case Status::kNoUnits:
      return "no units yet";
    case Status::kNotEnoughUnits:
      return "not enough units";
    case Status::kAllMaturing:
      return "no unit's window is over yet";
    case Status::kNoVariation:
      return "every unit is the same";
    case Status::kNoEvents:
      return "it never happened";
    case Status::kDenominatorNearZero:
      return "denominator too close to zero";
    case Status::kNoControl:
      return "no data for the control";
    case Status::kNotPlanned:
      return "not in these data";
    case Status::kNotEnoughClusters:
      return "not enough clusters";
    case Status::kNotForClusters:
      return "not computed for clusters";
    case Status::kNotForPhases:
      return "not computed where the weights changed";
  }
  return "";
}

std::string OutcomeWord(const Report& report, const MetricReport& metric, const Comparison& c) {
  if (report.verdict.withheld) return "withheld";
  if (c.status != Status::kOk) return Sentence(c.status);
  if (metric.role == Role::kGuardrail) {
    switch (c.guardrail) {
      case GuardrailState::kCleared:
        return "holds";
      case GuardrailState::kNotCleared:
        return "not cleared";
      case GuardrailState::kBreached:
        return "breached";
      case GuardrailState::kInsufficient:
      case GuardrailState::kNotAGuardrail:
        return "not enough data";
    }
  }
  switch (c.outcome) {
    case Outcome::kBetter:
      return "better";
    case Outcome::kWorse:
      return "worse";
    case Outcome::kNoDifference:
      return "not clear";
    case Outcome::kInsufficient:
      return "not enough data";
  }
  return "";
}

std::string LensTitle(Lens lens) {
  switch (lens) {
    case Lens::kBusiness:
      return "Business value: what has been earned";
    case Lens::kUser:
      return "User value: what people experience now";
    case Lens::kFuture:
      return "Future value: what will be kept";
  }
  return "";
}

std::string MoverWord(Mover mover) {
  switch (mover) {
    case Mover::kMarket:
      return "market";
    case Mover::kProduct:
      return "product";
    case Mover::kBusiness:
      return "business";
  }
  return "";
}

std::string RoleWord(Role role) {
  switch (role) {
    case Role::kPrimary:
      return "primary";
    case Role::kSecondary:
      return "secondary";
    case Role::kGuardrail:
      return "guardrail";
    case Role::kFunnel:
      return "funnel";
  }
  return "";
}

std::string PairSentence(DualPair pair) {
  switch (pair) {
    case DualPair::kNone:
      return "";
    case DualPair::kWelch:
      return "Welch's t and its interval";
    case DualPair::kScore:
      return "score z and Miettinen-Nurminen's interval";
    case DualPair::kUnpooledZ:
      return "unpooled z and its interval";
    case DualPair::kRatioDelta:
      return "delta-method z of the ratio and its interval";
    case DualPair::kAdjustedZ:
      return "z of the covariate-adjusted difference and its interval";
    case DualPair::kStratifiedZ:
      return "z of the phase-stratified difference and its interval";
    case DualPair::kOrderStatistics:
      return "z from the spread of order statistics and its interval";
    case DualPair::kRestrictedMean:
      return "z of the restricted mean (Kaplan-Meier) and its interval";
    case DualPair::kClusterT:
      return "t between clusters (CR2 errors, Satterthwaite degrees of freedom) and its interval";
    case DualPair::kRandomisation:
      return "the assignment itself, redrawn (randomisation test over the few clusters), and the "
             "effects it does not reject";
  }
  return "";
}

std::string Period(const Report& report) {
  const AnalysisInfo& analysis = report.analysis;
  if (analysis.first_exposure_ms <= 0) return "";
  return FormatDate(analysis.first_exposure_ms) + " to " + FormatDate(analysis.last_exposure_ms);
}

std::string EffectText(const Report& report, const MetricReport& metric, const Comparison& c) {
  if (!c.estimate) return std::string(kNothing);
  const bool final = report.analysis.final;
  const auto lift_lo = final ? c.sim_lift_lo : c.look_lift_lo;
  const auto lift_hi = final ? c.sim_lift_hi : c.look_lift_hi;
  const bool bounded = lift_lo && lift_hi && !(std::isinf(*lift_lo) && std::isinf(*lift_hi));
  if (c.lift && bounded) return FormatChange(c.lift, lift_lo, lift_hi);
  const double like = *c.estimate;
  const auto lo = final ? c.sim_lo : c.look_lo;
  const auto hi = final ? c.sim_hi : c.look_hi;
  std::string text = FormatDifference(metric, like, like);
  if (lo && hi) {
    text += " [" + FormatDifference(metric, *lo, like) + ", " +
            FormatDifference(metric, *hi, like) + "]";
  }
  return text;
}

std::optional<double> EffectP(const Report& report, const Comparison& c) {
  return report.analysis.final ? c.p_adjusted : c.p_look;
}

double EffectLevel(const Report& report) {
  return report.analysis.final ? report.analysis.alpha_final : report.analysis.alpha_look;
}

}  // namespace fulcrum::report
