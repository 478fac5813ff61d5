// SPDX-License-Identifier: Apache-2.0
//
// What the `simulate` subcommand does, callable from tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/simulate_http.h"
#include "cli/simulate_truth.h"
#include "experiments/definition.h"
#include "sim/decide.h"
#include "sim/world.h"

namespace fulcrum::cli {

struct SimulateOptions {
  uint64_t seed = 7;
  int64_t users = 20000;
  int64_t days = 28;          // After the earliest start of an experiment.
  int64_t history_days = 14;  // Before it.
  int64_t slice_ms = 3600 * 1000;
  int clients = 4;
  std::string server;  // URL, or …
  std::string out;     // … a directory for CSV files, assigned in process.
  std::string key;     // For the server.
  std::function<void(double done)> progress;
};

// A world on the definitions, with the sample shop's behaviour and planted effects, and the pure
// assignment of the definitions alone. `definitions` must outlive it.
struct Simulation {
  std::unique_ptr<sim::World> world;
  sim::AssignFn assign;
};

// InvalidArgument: the definitions do not compile, or no experiment says when it starts.
absl::StatusOr<Simulation> MakeSimulation(const experiments::Definitions& definitions,
                                          const SimulateOptions& options);

// Sends the world to options.server.
absl::StatusOr<TrafficStats> SimulateOverHttp(const Simulation& simulation,
                                              const SimulateOptions& options);

// Writes exposures.csv, events.csv and links.csv to options.out, in the order of arrival.
absl::StatusOr<TrafficStats> SimulateToFiles(const Simulation& simulation,
                                             const SimulateOptions& options);

// The true effects at the world's end.
TruthFile TrueEffects(const Simulation& simulation, const SimulateOptions& options);

}  // namespace fulcrum::cli
