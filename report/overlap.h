// SPDX-License-Identifier: Apache-2.0
//
// Does the effect depend on the variant of another experiment on the same units? Private to
// report/.
#pragma once

#include <string>
#include <vector>

#include "experiments/definition.h"
#include "report/report.h"
#include "report/sample.h"
#include "store/plan.h"

namespace fulcrum::report {

// One report per experiment of analysis.overlaps, on the first primary metric, over units that were
// shown both. Both are randomised, so a cell of the table is a fair comparison.
std::vector<OverlapReport> EstimateOverlaps(const experiments::Definitions& definitions,
                                            const experiments::ExperimentDefinition& experiment,
                                            const store::Plan& plan,
                                            const store::PlanResult& result, const Sample& sample);

// Whether a slice of the plan is the variant of another experiment, and not an attribute.
bool IsOverlap(const store::SliceSpec& slice);

}  // namespace fulcrum::report
