// SPDX-License-Identifier: Apache-2.0
//
// What changed apart from who is assigned: the project's shared draws, metrics and the analysis.
// Private to this folder.
#pragma once

#include <string>
#include <vector>

#include "experiments/diff.h"

namespace fulcrum::experiments {

// Units, layers, holdouts, the exclusion rule and attribute types, as edits without an experiment.
// `running`: keys of the experiments that an edit could hurt.
void DiffProject(const Definitions& before, const Definitions& after,
                 const std::vector<std::string>& running, std::vector<Edit>* out);

// Equal but for positions and titles.
bool SameMetric(const MetricDefinition& a, const MetricDefinition& b);

// Keys of all metrics of an experiment, each once.
std::vector<std::string> UsedMetrics(const ExperimentDefinition& experiment);

// "primary", "analysis" …: fields of the analysis that differ.
std::vector<std::string> ChangedAnalysis(const ExperimentDefinition& a,
                                         const ExperimentDefinition& b);

std::string OverridesText(const ExperimentDefinition& experiment);

}  // namespace fulcrum::experiments
