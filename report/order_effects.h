// SPDX-License-Identifier: Apache-2.0
//
// Metrics that a Gram cannot hold: quantiles and times to an event. Private to report/.
#pragma once

#include "report/effect.h"

namespace fulcrum::report {

MetricResult EstimateQuantile(const EffectInput& input, const store::PlanResult& result);

MetricResult EstimateTimeTo(const EffectInput& input, const store::PlanResult& result);

}  // namespace fulcrum::report
