// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/snapshot.h"
#include "core/snapshot_data.h"

namespace fulcrum::core {

// The most condition nodes and operands one decision may look at, prerequisites included. Shared
// nodes count each time they are reached, so that a small hostile pool cannot unfold into endless
// work.
inline constexpr uint64_t kMaxEvaluationCost = 200'000;

// The part of Validate() about references: no cycles through conditions, segments, prerequisites
// and conditions on experiments; depths and cost within bounds. REQUIRES: every index in range.
bool CheckGraph(const SnapshotData& data, BuildError* error);

}  // namespace fulcrum::core
