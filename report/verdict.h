// SPDX-License-Identifier: Apache-2.0
//
// From a definition and a report to the decision rule's plain values (decide.h). Private to
// report/.
#pragma once

#include <cstdint>

#include "experiments/definition.h"
#include "report/decide.h"
#include "report/report.h"

namespace fulcrum::report {

// How far along the plan an experiment is, power left out. Data on a file and a stopped experiment
// are all there will be, so their end is reached.
TimingInput PlannedTime(const experiments::ExperimentDefinition& experiment, int64_t as_of_ms,
                        int64_t first_exposure_ms);

// Reads report.health, .analysis and .metrics.
Verdict Decide(const experiments::ExperimentDefinition& experiment, const Report& report,
               const Timing& timing);

}  // namespace fulcrum::report
