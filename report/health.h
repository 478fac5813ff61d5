// SPDX-License-Identifier: Apache-2.0
//
// Data quality, before any test of an effect. Private to report/.
#pragma once

#include <span>
#include <vector>

#include "experiments/definition.h"
#include "report/report.h"
#include "report/sample.h"
#include "store/plan.h"

namespace fulcrum::report {

std::vector<ArmInfo> ArmInfos(const experiments::ExperimentDefinition& experiment,
                              const store::Plan& plan, const store::PlanResult& result);

Health CheckHealth(const experiments::ExperimentDefinition& experiment, const store::Plan& plan,
                   const store::PlanResult& result, std::span<const PhaseShares> phases);

}  // namespace fulcrum::report
