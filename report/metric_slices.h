// SPDX-License-Identifier: Apache-2.0
//
// A metric split by a property of its events: each part is a metric of its own, over all units, and
// the parts of a sum add up to the whole. Private to report/.
#pragma once

#include <string>
#include <vector>

#include "experiments/definition.h"
#include "report/effect.h"
#include "report/report.h"
#include "report/sample.h"
#include "store/plan.h"

namespace fulcrum::report {

// The part of one value: "other" for values that are not listed, "(none)" for events without the
// property.
struct MetricPart {
  std::string value;
  experiments::MetricDefinition metric;  // Its key names plan columns of its own.
};

std::vector<MetricPart> PartsOf(const experiments::MetricDefinition& metric,
                                const experiments::MetricSlice& slice);

// One report for each slice of the metric and treatment. Parts of one unit are not independent, so
// intervals are held together by Šidák's inequality, and no test of heterogeneity is made.
std::vector<SliceReport> EstimateMetricSlices(const experiments::ExperimentDefinition& experiment,
                                              const experiments::MetricDefinition& metric,
                                              const store::Plan& plan, const Sample& sample);

}  // namespace fulcrum::report
