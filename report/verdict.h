// SPDX-License-Identifier: Apache-2.0
//
// The decision rule: from intervals, guardrails, time and health to what to do, with the reasons.
// Private to report/.
#pragma once

#include <cstdint>
#include <optional>

#include "experiments/definition.h"
#include "report/report.h"

namespace fulcrum::report {

// How far along the plan an experiment is. Data on a file and a stopped experiment are all there
// will be, so their end is reached.
struct Progress {
  bool planned = false;  // An end was named before looking.
  bool reached = true;
  std::optional<int> days_left;
};
Progress ProgressOf(const experiments::ExperimentDefinition& experiment, int64_t as_of_ms,
                    int64_t first_exposure_ms);

// Reads report.health, .analysis and .metrics; returns what goes to report.verdict. In order:
//   broken        the data contradict the design: no figure may be acted on;
//   no data       no primary comparison could be made in any arm;
//   per arm: stop when a primary metric is worse or a guardrail is breached;
//            ship when a primary metric is better by at least min_lift, none is worse, every
//            guardrail is cleared and the planned time has passed;
//            keep running until the planned time; inconclusive after it;
//   overall: the best arm to ship, else stop when all arms (or the only conclusive ones) say so,
//            else keep running, else inconclusive.
// Before the planned end a fixed-horizon p is not what it says, so outcomes follow the always-valid
// band: harm that it shows stops an arm at once; nothing ships early.
Verdict Decide(const experiments::ExperimentDefinition& experiment, const Report& report);

}  // namespace fulcrum::report
