// SPDX-License-Identifier: Apache-2.0
//
// A funnel, stage by stage, with the joint covariance of all its rates. Private to report/.
#pragma once

#include "experiments/definition.h"
#include "report/report.h"
#include "report/sample.h"
#include "store/plan.h"

namespace fulcrum::report {

// The caller fills title and estimand.
FunnelReport EstimateFunnel(const experiments::Definitions& definitions,
                            const experiments::MetricDefinition& metric, const store::Plan& plan,
                            const Sample& sample, double alpha);

}  // namespace fulcrum::report
