// SPDX-License-Identifier: Apache-2.0
//
// The growth team's strategies of examples/strategies, each as a scene with people of its own: who
// is in it, what they do under each variant, and so what the true effects are. Every person lives
// once under each variant with the same luck; what is sent is the life under the variant that the
// real evaluator gives. Nothing here reads a store or a report.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "core/snapshot.h"
#include "experiments/definition.h"

namespace fulcrum::sim {

using Properties = std::vector<std::pair<std::string, std::variant<bool, double, std::string>>>;

struct StrategyExposure {
  std::string experiment, variant;
  std::string kind, unit;
  int64_t ts_ms = 0;
  int64_t received_ms = 0;
  int32_t phase = 0;
  Properties attributes;
};

struct StrategyEvent {
  std::string event_id, name, user, order_id, session_id;
  int64_t ts_ms = 0;
  int64_t received_ms = 0;  // Late for some; some arrive twice.
  double value = 0;         // 0 = none.
  Properties properties;
};

// What one variant does to one metric, over all units of the analysis (of all variants): means of
// what each would have done. `part` names a stage, a slice's value or a channel; "" = the metric.
struct StrategyEffect {
  std::string experiment, variant, metric, part;
  double control_value = 0;
  double variant_value = 0;
};

struct StrategyWorld {
  std::vector<StrategyExposure> exposures;  // In order of arrival.
  std::vector<StrategyEvent> events;        // In order of arrival.
  std::vector<StrategyEffect> effects;
  // Facts that reports must show, by "experiment/what": units that never triggered, bots, brushers.
  std::map<std::string, int64_t> facts;

  const StrategyEffect* Find(std::string_view experiment, std::string_view variant,
                             std::string_view metric, std::string_view part = "") const;
};

struct StrategyOptions {
  uint64_t seed = 1;
  int64_t users = 4000;  // Of each scene.
};

// InvalidArgument where an experiment that has a scene is not in `definitions` or has no start.
absl::StatusOr<StrategyWorld> MakeStrategyWorld(const experiments::Definitions& definitions,
                                                const core::Snapshot& snapshot,
                                                const StrategyOptions& options);

}  // namespace fulcrum::sim
