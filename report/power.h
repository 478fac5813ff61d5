// SPDX-License-Identifier: Apache-2.0
//
// What a primary metric's precision can show, and what is left of an effect that was picked for
// being significant. Private to report/.
#pragma once

#include "experiments/definition.h"
#include "report/effect.h"
#include "report/report.h"
#include "store/plan.h"

namespace fulcrum::report {

// Sets power, detectable_lift and days_to_power of every comparison with a pivot, at the level that
// `family` (null: alpha / number of comparisons) leaves for one comparison.
void SetPower(const experiments::ExperimentDefinition& experiment, const store::Plan& plan,
              const store::PlanResult& result, const Family* family, double alpha,
              MetricResult* metric);

// Sets `corrected` of comparisons whose outcome is better or worse, by the interval that applies.
void SetCorrected(const AnalysisInfo& analysis, MetricResult* metric);

}  // namespace fulcrum::report
