// SPDX-License-Identifier: Apache-2.0
//
// What past units were like, for a forecast: every metric's baseline over its own window, what its
// covariates explain, and how new units come in, day by day. Units are those of the experiment's
// kind that did anything (or its `enrol:` event); the audience's attributes are not known of the
// past, so it is not applied.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "experiments/definition.h"
#include "report/forecast.h"
#include "store/plan.h"

namespace fulcrum::report {

struct History {
  std::map<std::string, Baseline> baselines;
  Arrivals arrivals;
  HistoryPeriod period;  // Every window had passed by the last thing that was logged.
};

// Runs two plans by `run`: when anything happened, then the metrics. The period is as long as the
// experiment is planned to be (28 days where it does not say), or what there is of that.
// InvalidArgument: the data is too short for the metrics' windows, or there is none.
absl::StatusOr<History> ReadHistory(
    const experiments::Definitions& definitions,
    const experiments::ExperimentDefinition& experiment,
    const std::function<absl::StatusOr<store::PlanResult>(const store::Plan&)>& run);

// For a server that is asked by the command line.
std::string HistoryToJson(const History& history);
absl::StatusOr<History> HistoryFromJson(std::string_view text);

}  // namespace fulcrum::report
