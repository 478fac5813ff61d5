// SPDX-License-Identifier: Apache-2.0
//
// What a subsidy bought, from the columns of `economics:`. Private to report/.
#pragma once

#include <string>

#include "experiments/definition.h"
#include "report/report.h"
#include "report/sample.h"
#include "store/plan.h"

namespace fulcrum::report {

// REQUIRES experiment.economics. Intervals are individual, at 1 - alpha: nothing is decided by
// them.
EconomicsReport EstimateEconomics(const experiments::Definitions& definitions,
                                  const experiments::ExperimentDefinition& experiment,
                                  const store::Plan& plan, const Sample& sample);

}  // namespace fulcrum::report
