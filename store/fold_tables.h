// SPDX-License-Identifier: Apache-2.0
//
// Quantiles with a standard error that knows of clusters.
#pragma once

#include <cstdint>
#include <vector>

#include "store/plan.h"

namespace fulcrum::store {

struct QuantileMember {
  uint32_t cluster;
  double value;
};

// The quantile `spec.q` of the members' values (type 7) and the order statistics that bracket it at
// `spec.confidence`: ranks n q ∓ z √(n q (1-q)), rounded outwards. The standard error is
// (upper - lower) / 2z, times the root of the design effect where values are `clustered`.
// n = 0 gives all zeros. Thread-safe.
QuantileResult MakeQuantile(std::vector<QuantileMember> members, bool clustered,
                            const QuantileSpec& spec);

}  // namespace fulcrum::store
