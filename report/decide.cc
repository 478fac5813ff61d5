// SPDX-License-Identifier: Apache-2.0
#include "report/decide.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stats/distributions.h"

namespace fulcrum::report {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

double Good(Direction direction) { return direction == Direction::kIncrease ? 1 : -1; }

// One arm's way through the rule.
class ArmRule {
 public:
  ArmRule(const DecisionInput& input, const DecisionArm& arm) : input_(input), arm_(arm) {}

  ArmVerdict Run() {
    verdict_.arm = arm_.arm;
    for (const DecisionEffect& effect : arm_.effects) {
      if (effect.role == Role::kPrimary) Primary(effect);
    }
    bool any_guardrail = false;
    for (const DecisionEffect& effect : arm_.effects) {
      if (effect.role != Role::kGuardrail) continue;
      any_guardrail = true;
      Guardrail(effect);
    }
    if (any_guardrail && cleared_ && !harmed_) Say(ReasonCode::kGuardrailsCleared, "");
    verdict_.decision = Conclude();
    return std::move(verdict_);
  }

 private:
  void Say(ReasonCode code, const std::string& metric, std::optional<double> value = std::nullopt,
           std::optional<double> limit = std::nullopt) {
    verdict_.reasons.push_back({code, arm_.arm, metric, value, limit});
  }

  void Primary(const DecisionEffect& effect) {
    if (!effect.usable) {
      Say(ReasonCode::kInsufficientData, effect.metric);
      return;
    }
    any_estimate_ = true;
    const Outcome outcome = OutcomeOf(effect.lo, effect.hi, effect.direction);
    ReasonCode code = ReasonCode::kPrimaryUnclear;
    if (outcome == Outcome::kBetter) code = ReasonCode::kPrimaryBetter;
    if (outcome == Outcome::kWorse) code = ReasonCode::kPrimaryWorse;
    Say(code, effect.metric, effect.p, input_.level);
    if (outcome == Outcome::kWorse) harmed_ = true;
    if (outcome == Outcome::kBetter) {
      better_ = true;
      Worthwhile(effect);
    }
    Power(effect, outcome);
  }

  void Worthwhile(const DecisionEffect& effect) {
    const double good = Good(effect.direction);
    const double best = good > 0 ? effect.lift_hi.value_or(0) : -effect.lift_lo.value_or(0);
    const double lift = good * effect.lift.value_or(0);
    if (input_.min_lift <= 0) {
      worthwhile_ = true;
    } else if (effect.lift_hi && best < input_.min_lift) {
      Say(ReasonCode::kMinLiftRuledOut, effect.metric, best, input_.min_lift);
    } else if (lift < input_.min_lift) {
      Say(ReasonCode::kBelowMinLift, effect.metric, lift, input_.min_lift);
    } else {
      worthwhile_ = true;
    }
  }

  // Only where a power was asked for, and only while the answer is open.
  void Power(const DecisionEffect& effect, Outcome outcome) {
    if (!input_.target_power || !effect.power || outcome != Outcome::kNoDifference) return;
    const bool there = *effect.power >= *input_.target_power;
    Say(there ? ReasonCode::kPowerReached : ReasonCode::kPowerNotReached, effect.metric,
        effect.power, input_.target_power);
  }

  void Guardrail(const DecisionEffect& effect) {
    GuardrailState state = GuardrailState::kInsufficient;
    if (effect.usable) {
      state = GuardrailStateOf(OutcomeOf(effect.lo, effect.hi, effect.direction),
                               effect.margin.has_value(), effect.p_noninferiority,
                               input_.guardrail_level);
    }
    if (state == GuardrailState::kCleared) return;
    if (state == GuardrailState::kBreached) {
      harmed_ = true;
      Say(ReasonCode::kGuardrailBreached, effect.metric, effect.lift, effect.margin);
      return;
    }
    cleared_ = false;
    Say(ReasonCode::kGuardrailNotCleared, effect.metric, effect.p_noninferiority, effect.margin);
  }

  Decision Conclude() const {
    if (harmed_) return Decision::kStop;
    if (!input_.timing.reached) return Decision::kKeepRunning;
    if (!any_estimate_) return Decision::kNoData;
    const bool guarded = cleared_ || !input_.require_guardrails;
    return better_ && worthwhile_ && guarded ? Decision::kShip : Decision::kInconclusive;
  }

  const DecisionInput& input_;
  const DecisionArm& arm_;
  ArmVerdict verdict_;
  bool any_estimate_ = false;
  bool harmed_ = false;
  bool better_ = false;
  bool worthwhile_ = false;
  bool cleared_ = true;
};

// The good lift on the first primary metric, which orders the arms.
double FirstLift(const DecisionArm& arm) {
  for (const DecisionEffect& effect : arm.effects) {
    if (effect.role == Role::kPrimary) return Good(effect.direction) * effect.lift.value_or(0);
  }
  return 0;
}

// Of the arms to ship, the best; of the arms to stop, the worst.
void Overall(const DecisionInput& input, Verdict* verdict) {
  verdict->decision = Decision::kNoData;
  for (const Decision decision :
       {Decision::kShip, Decision::kKeepRunning, Decision::kStop, Decision::kInconclusive}) {
    const bool any = std::any_of(verdict->arms.begin(), verdict->arms.end(),
                                 [&](const ArmVerdict& a) { return a.decision == decision; });
    if (!any) continue;
    verdict->decision = decision;
    break;
  }
  const bool ship = verdict->decision == Decision::kShip;
  if (!ship && verdict->decision != Decision::kStop) return;
  std::optional<double> best;
  for (size_t i = 0; i < verdict->arms.size(); ++i) {
    if (verdict->arms[i].decision != verdict->decision) continue;
    const double score = ship ? FirstLift(input.arms[i]) : -FirstLift(input.arms[i]);
    if (best && score <= *best) continue;
    best = score;
    verdict->arm = verdict->arms[i].arm;
  }
}

void Time(const Timing& timing, Verdict* verdict) {
  const auto say = [&](ReasonCode code, std::optional<double> days) {
    verdict->reasons.push_back({code, "", "", days, std::nullopt});
  };
  if (!timing.reached) {
    verdict->days_left = timing.days_left;
    std::optional<double> days;
    if (timing.days_left) days = *timing.days_left;
    say(timing.waiting_for_power ? ReasonCode::kWaitingForPower
                                 : ReasonCode::kPlannedTimeNotReached,
        days);
    return;
  }
  if (timing.planned_over) say(ReasonCode::kPlannedTimeReached, std::nullopt);
  if (timing.power_out_of_reach) say(ReasonCode::kPowerOutOfReach, std::nullopt);
}

}  // namespace

Outcome OutcomeOf(double lo, double hi, Direction direction) {
  if (lo <= 0 && hi >= 0) return Outcome::kNoDifference;
  const bool up = lo > 0;
  return up == (direction == Direction::kIncrease) ? Outcome::kBetter : Outcome::kWorse;
}

GuardrailState GuardrailStateOf(Outcome outcome, bool has_margin,
                                std::optional<double> p_noninferiority, double level) {
  const bool worse = outcome == Outcome::kWorse;
  if (!has_margin) return worse ? GuardrailState::kBreached : GuardrailState::kCleared;
  if (p_noninferiority && *p_noninferiority < level) return GuardrailState::kCleared;
  return worse ? GuardrailState::kBreached : GuardrailState::kNotCleared;
}

double PowerReached(double effect, double se, double critical) {
  if (!(se > 0)) return 0;
  const double shift = std::fabs(effect) / se;
  return stats::NormalSf(critical - shift) + stats::NormalSf(critical + shift);
}

double DaysToPower(const PowerPlan& plan) {
  if (plan.power >= plan.target) return 0;
  if (!(plan.se > 0) || !(plan.effect > 0) || !(plan.units > 0)) return kNever;
  // The far tail is below 1e-6 at any power worth planning for.
  const double needed_se = plan.effect / (plan.critical + stats::NormalQuantile(plan.target));
  if (!(needed_se > 0)) return kNever;
  const double needed = plan.units * (plan.se / needed_se) * (plan.se / needed_se);
  double missing = needed - plan.units;
  if (missing <= 0) return 0;
  if (missing <= plan.maturing) return plan.window_days * missing / plan.maturing;
  missing -= plan.maturing;
  if (!(plan.units_per_day > 0)) return kNever;
  const double days = missing / plan.units_per_day;
  if (plan.enrolment_days_left && days > *plan.enrolment_days_left) return kNever;
  return days + plan.window_days;
}

Timing TimingOf(const TimingInput& input) {
  Timing timing;
  const double left = input.planned_days - input.elapsed_days;
  timing.planned_over = input.planned && left <= 0;
  if (!input.planned || input.stopped) return timing;
  const double to_power = input.days_to_power.value_or(0);
  const bool within = to_power <= left + input.planned_days;
  timing.power_out_of_reach = to_power > 0 && !within;
  const double wait = std::max(left, within ? to_power : 0);
  if (left <= 0 && !(wait > 0)) return timing;
  timing.reached = false;
  timing.waiting_for_power = left <= 0;
  timing.days_left = static_cast<int>(std::ceil(std::min(wait, 1e6)));
  return timing;
}

Verdict Decide(const DecisionInput& input) {
  Verdict verdict;
  bool any_primary = false;
  for (const DecisionArm& arm : input.arms) {
    for (const DecisionEffect& effect : arm.effects) any_primary |= effect.role == Role::kPrimary;
    verdict.arms.push_back(ArmRule(input, arm).Run());
  }
  Overall(input, &verdict);
  const auto say = [&](ReasonCode code) {
    verdict.reasons.push_back({code, "", "", std::nullopt, std::nullopt});
  };
  if (!any_primary) say(ReasonCode::kNoPrimaryMetric);
  if (input.definition_changed) say(ReasonCode::kDefinitionChanged);
  if (!input.healthy) {
    verdict.decision = Decision::kBroken;
    verdict.withheld = true;
    verdict.arm.clear();
    for (ArmVerdict& arm : verdict.arms) arm.decision = Decision::kBroken;
    verdict.reasons.insert(verdict.reasons.begin(), input.problems.begin(), input.problems.end());
    return verdict;
  }
  for (const ArmVerdict& arm : verdict.arms) {
    verdict.reasons.insert(verdict.reasons.end(), arm.reasons.begin(), arm.reasons.end());
  }
  Time(input.timing, &verdict);
  return verdict;
}

}  // namespace fulcrum::report
