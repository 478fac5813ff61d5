// SPDX-License-Identifier: Apache-2.0
//
// Joins a definition with what the store computed for its plan. Pure: no clock, no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/definition.h"
#include "report/report.h"
#include "store/plan.h"

namespace fulcrum::report {

// What happened to the experiment while it ran (from the control log): the arm weights of a phase.
struct PhaseWeights {
  int phase = 0;
  std::vector<double> weights;  // As Plan::population.arms.
};

struct AnalyzeOptions {
  // Content hash of the definition in force when the experiment started; "" = not known.
  std::string started_hash;
  // Phases whose weights differ from the definition's. Phases not named have the definition's.
  std::vector<PhaseWeights> phases;
};

// Data quality first, then estimates, then the decision. `plan` must come from MakePlan() of the
// same definitions, and `result` from that plan; what is missing becomes a named reason.
Report Analyze(const experiments::Definitions& definitions,
               const experiments::ExperimentDefinition& experiment, const store::Plan& plan,
               const store::PlanResult& result, const AnalyzeOptions& options = {});

}  // namespace fulcrum::report
