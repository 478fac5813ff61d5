// SPDX-License-Identifier: Apache-2.0
//
// Snapshot = compile(definitions, controls): what was designed, as operated, in the form that
// core/decide.h evaluates. A pure function: the same inputs give the same bytes on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/controls.h"
#include "core/snapshot_data.h"
#include "experiments/definition.h"

namespace fulcrum::experiments {

// REQUIRES: `definitions` passed Validate() in project mode. What core::Validate refuses
// nevertheless is kInvalidArgument with the experiment's name. A control that no longer fits its
// edited definition never refuses anything: core/controls.h says what is done instead, and
// *unfit (where given) gets a sentence for each.
//
//  - Weights become ppm by largest remainder; every weight above zero gets at least 1 ppm
//    (growthbook-v2: 100 ppm).
//  - `percentage: P` draws on the unit of the experiment (in a segment: the project's first unit)
//    with the salt "<experiment salt>/percentage" ("<segment key>/percentage"), so it is
//    independent of the variant, and two percentages of one audience are nested.
//  - Prerequisites that every unit must meet (at the top of the audience, or of its `all`) become
//    rules of their own, so that a decision can name the one that failed.
//  - A holdout applies to every experiment (of its layer, if it names one) with its unit.
//  - `version` is the definitions' version, "+", and the sequence number of the last control.
//
// `created_ms` is recorded in the snapshot and has no other effect.
absl::StatusOr<core::SnapshotData> Compile(const Definitions& definitions,
                                           const core::Controls& controls, int64_t created_ms = 0,
                                           std::vector<std::string>* unfit = nullptr);

}  // namespace fulcrum::experiments
