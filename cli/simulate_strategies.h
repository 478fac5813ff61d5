// SPDX-License-Identifier: Apache-2.0
//
// `simulate` on a growth team's strategies (sim/strategies.h): files that `import` reads, and the
// true effects.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/simulate.h"
#include "experiments/definition.h"
#include "sim/strategies.h"

namespace fulcrum::cli {

// Whether the project is examples/strategies, or made after it.
bool AreStrategies(const experiments::Definitions& definitions);

absl::StatusOr<sim::StrategyWorld> MakeStrategies(const experiments::Definitions& definitions,
                                                  const SimulateOptions& options);

// Writes exposures.csv and events.csv to `directory`, in the order of arrival.
absl::Status StrategiesToFiles(const sim::StrategyWorld& world, const std::string& directory);

// The true effects, a line each.
std::string StrategyTable(const sim::StrategyWorld& world);

}  // namespace fulcrum::cli
