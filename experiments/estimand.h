// SPDX-License-Identifier: Apache-2.0
//
// What a number is of, in one line: who, from when, over what window, with which exclusions.
#pragma once

#include <string>

#include "experiments/definition.h"

namespace fulcrum::experiments {

// For example: "Share of units of `user` with at least 1 `pay` within 7d of first exposure, by the
// variant first shown; exposed 2026-03-01T16:00:00Z to 2026-03-29T16:00:00Z; a unit counts once its
// 7d have passed; units with `is_bot` excluded." Deterministic; parts that do not apply are absent.
std::string Estimand(const Project& project, const MetricDefinition& metric,
                     const ExperimentDefinition& experiment);

}  // namespace fulcrum::experiments
