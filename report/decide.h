// SPDX-License-Identifier: Apache-2.0
//
// Start here for the decision rule: from intervals, guardrail margins, power reached, time and
// health to ship / stop / keep running N days / broken, with the reasons as enums. Pure functions
// over plain values: no report, no clock, no I/O, so the rule can be run a million times to count
// how often it is wrong. The report calls exactly these (verdict.cc fills them from a Report).
//
// To simulate it: fill a TimingInput and ask TimingOf() whether the end is reached; make the
// interval that applies then (timing.reached: the simultaneous one at alpha_final; before: the
// always-valid band at alpha_look); fill a DecisionInput; call Decide().
//
//   DecisionInput in;
//   in.timing = TimingOf({.planned = true, .elapsed_days = 28, .planned_days = 28});
//   DecisionEffect e;
//   e.metric = "pay_rate";
//   e.usable = true;
//   e.lo = 0.002, e.hi = 0.010, e.p = 0.003;
//   in.arms.push_back({"treatment", {e}});
//   Verdict v = Decide(in);   // kShip
//
// Any thread may call them; they allocate only what they return.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/report.h"

namespace fulcrum::report {

// --- The two readings of one interval ------------------------------------------------------------

// By an interval of treatment minus control: better, worse, or compatible with no difference.
Outcome OutcomeOf(double lo, double hi, Direction direction);

// Cleared: harm beyond the margin is ruled out (p_noninferiority < level). Breached: worse, and not
// cleared. Without a margin only harm that shows counts: breached where worse, else cleared.
GuardrailState GuardrailStateOf(Outcome outcome, bool has_margin,
                                std::optional<double> p_noninferiority, double level);

// --- Power ---------------------------------------------------------------------------------------

// Power to see `effect` (of the estimate, either sign) with standard error `se`, judged by
// |z| > critical; both tails. 0 where se is not positive.
double PowerReached(double effect, double se, double critical);

// How long until `se` has shrunk so far that the power is `target`, in days.
struct PowerPlan {
  double power = 0;          // Reached.
  double target = 0.8;       // Asked for, in (0, 1).
  double effect = 0;         // Smallest worth seeing, in the estimate's unit; > 0.
  double se = 0;             // Now, from the units whose window is over; > 0.
  double critical = 0;       // |z| that the test needs.
  double units = 0;          // Behind `se`.
  double maturing = 0;       // Exposed, window not over; taken to be spread evenly over it.
  double window_days = 0;    // 0: a unit counts at once.
  double units_per_day = 0;  // Arriving; 0: enrolment is over.
  std::optional<double> enrolment_days_left;  // Absent: open-ended.
};
// 0 when reached; +infinity when the units that can still come do not suffice. Looks at variance
// and traffic only, never at the effect, so waiting for it is blinded sample-size re-estimation and
// the test at the end keeps its level (Friede and Kieser 2006).
double DaysToPower(const PowerPlan& plan);

// --- Time ----------------------------------------------------------------------------------------

struct TimingInput {
  bool planned = false;  // An end was named before looking. False: the one analysis is now.
  bool stopped = false;  // There will be no more data.
  double elapsed_days = 0;
  double planned_days = 0;  // From the same instant.
  // Of the primary metric that needs longest; absent: no power was asked for.
  std::optional<double> days_to_power = std::nullopt;
};

struct Timing {
  bool planned_over = false;        // An end was planned, and its time has come.
  bool reached = true;              // The end: fixed-horizon intervals apply.
  bool waiting_for_power = false;   // The planned time is over, the power is not there yet.
  bool power_out_of_reach = false;  // It would take longer than as long again as was planned.
  std::optional<int> days_left;     // Until the end, as far as it can be foreseen.
};
// The end is the planned time, and, where a power was asked for, the first instant after it at
// which the power is reached, at most as long again as was planned.
Timing TimingOf(const TimingInput& input);

// --- The rule ------------------------------------------------------------------------------------

// One arm against the control on one metric, as far as the rule looks at it.
struct DecisionEffect {
  std::string metric;
  Role role = Role::kPrimary;  // kPrimary and kGuardrail count, others are ignored.
  Direction direction = Direction::kIncrease;
  bool usable = false;      // An interval could be made.
  double lo = 0, hi = 0;    // Of treatment minus control: the interval that applies now.
  std::optional<double> p;  // Its dual.
  // Relative to the control; for min_lift.
  std::optional<double> lift, lift_lo, lift_hi;
  // Guardrails: largest acceptable harm as a fraction of the control, and the one-sided p of it.
  std::optional<double> margin, p_noninferiority;
  std::optional<double> power;  // Primary metrics: reached at min_lift.
};

struct DecisionArm {
  std::string arm;
  std::vector<DecisionEffect> effects;
};

struct DecisionInput {
  std::vector<Reason> problems;  // Of health, each one withholding; empty: healthy.
  bool healthy = true;
  bool definition_changed = false;
  Timing timing;
  double level = 0.05;             // At which the intervals were made, for the reasons.
  double guardrail_level = 0.025;  // One-sided, of p_noninferiority.
  double min_lift = 0;             // Smallest relative effect worth shipping.
  bool require_guardrails = true;
  std::optional<double> target_power;
  std::vector<DecisionArm> arms;  // Each treatment.
};

// In order:
//   broken        not healthy: no figure may be acted on;
//   per arm: stop when a primary metric is worse or a guardrail is breached;
//            keep running until the end of TimingOf();
//            no data when no primary comparison could be made;
//            ship when a primary metric is better by at least min_lift, none is worse and every
//            guardrail is cleared; else inconclusive;
//   overall: the best arm to ship, else keep running, else stop, else inconclusive.
Verdict Decide(const DecisionInput& input);

}  // namespace fulcrum::report
