// SPDX-License-Identifier: Apache-2.0
//
// From a definition to what a store must compute. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/controls.h"
#include "experiments/definition.h"
#include "store/plan.h"
#include "store/store.h"

namespace fulcrum::report {

// Every metric the experiment uses, its funnel, its slices; the control arm first. `as_of_ms`:
// only what was received by then counts; INT64_MAX = everything.
// InvalidArgument, with what to write in the YAML, when the definition cannot be planned.
// `controls`: what happened to it at run time. A stop, or the end of enrolment, ends who is
// enrolled and not what comes of them: their outcomes go on maturing.
absl::StatusOr<store::Plan> MakePlan(const experiments::Definitions& definitions,
                                     const experiments::ExperimentDefinition& experiment,
                                     int64_t as_of_ms = INT64_MAX,
                                     const core::ExperimentControls* controls = nullptr);

// For `data:` of an experiment that is analysed from a file. `input` overrides the definition's;
// a relative path in the definition is taken from `base_directory` ("" = as it is).
absl::StatusOr<store::FileSource> MakeFileSource(
    const experiments::ExperimentDefinition& experiment, std::string_view input,
    std::string_view base_directory);

}  // namespace fulcrum::report
