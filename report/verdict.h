// SPDX-License-Identifier: Apache-2.0
//
// The decision rule: from intervals, guardrails, time and health to what to do, with the reasons.
// Private to report/.
#pragma once

#include "experiments/definition.h"
#include "report/report.h"

namespace fulcrum::report {

// Reads report.health, .analysis and .metrics; returns what goes to report.verdict. In order:
//   broken        the data contradict the design: no figure may be acted on;
//   no data       no primary comparison could be made in any arm;
//   per arm: stop when a primary metric is worse or a guardrail is breached;
//            ship when a primary metric is better by at least min_lift, none is worse, every
//            guardrail is cleared and the planned time has passed;
//            keep running until the planned time; inconclusive after it;
//   overall: the best arm to ship, else stop when all arms (or the only conclusive ones) say so,
//            else keep running, else inconclusive.
// Before the planned end, a fixed-horizon p looked at every day is not what it says, so nothing is
// shipped early, and harm stops an arm only at the smaller level analysis.alpha_look.
Verdict Decide(const experiments::ExperimentDefinition& experiment, const Report& report);

}  // namespace fulcrum::report
