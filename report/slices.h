// SPDX-License-Identifier: Apache-2.0
//
// Primary metrics by attribute, without fishing. Private to report/.
#pragma once

#include <span>
#include <vector>

#include "experiments/definition.h"
#include "report/effect.h"
#include "report/report.h"
#include "report/sample.h"
#include "store/plan.h"

namespace fulcrum::report {

// One report per slice and treatment; `samples` is GatherSlices()'s. Heterogeneity (Cochran's Q) is
// tested before any value may be named; intervals are simultaneous over an attribute's values
// (which are independent, so Sidak's level is exact); effects are shrunk towards the common one
// (DerSimonian and Laird 1986).
std::vector<SliceReport> EstimateSlices(const experiments::ExperimentDefinition& experiment,
                                        const experiments::MetricDefinition& metric,
                                        const store::Plan& plan,
                                        std::span<const std::vector<SliceValue>> samples,
                                        const MetricResult& whole);

// Simultaneous intervals (Šidák) and p (Holm) over the values.
void HoldTogether(SliceReport* slice, double alpha);

}  // namespace fulcrum::report
