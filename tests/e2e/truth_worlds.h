// SPDX-License-Identifier: Apache-2.0
//
// The small worlds of the truth test: one project, and the same two experiments under a key of
// their own in every world, so that one store can hold them all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "experiments/definition.h"
#include "sim/truth.h"
#include "sim/world.h"

namespace fulcrum::e2e {

inline constexpr const char* kPage = "page";  // By device, two arms.
inline constexpr const char* kTill = "till";  // By user, three arms.

// A world with its own definitions and assignment by the real evaluator.
struct SmallWorld {
  experiments::Definitions definitions;
  std::unique_ptr<sim::World> world;
  sim::AssignFn assign;

  const experiments::ExperimentDefinition& experiment(int index) const {
    return definitions.experiments[static_cast<size_t>(index)];
  }
};

// Loads the project from YAML text, names its experiments "page<suffix>" and "till<suffix>" with
// salts of their own, starts them at `start_ms`, and compiles them. Fails the test on any error.
std::unique_ptr<SmallWorld> MakeSmallWorld(const std::string& suffix, uint64_t seed, int64_t users,
                                           int64_t start_ms, const sim::Faults& faults);

// Everything that can go wrong on the way to a store, without making the truth another one.
sim::Faults Faulty();

// The least and greatest number of successes out of `n` at probability `p` that are not in a tail
// of `tail` on their side: the exact binomial band.
struct Band {
  int64_t lower = 0;
  int64_t upper = 0;
};
Band BinomialBand(int64_t n, double p, double tail);

}  // namespace fulcrum::e2e
