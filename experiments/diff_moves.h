// SPDX-License-Identifier: Apache-2.0
//
// The exact share of units for each (variant before, variant after). Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/snapshot_data.h"
#include "experiments/diff.h"

namespace fulcrum::experiments {

// Of one experiment, by index, among units that both audiences accept. Everything an assignment
// draws (holdouts, layer, traffic, variant) is a uniform bucket; two draws with one salt and hash
// are the same bucket, any others are independent, so shares are products of lengths of
// intersections of ranges. Largest share first.
std::vector<Move> MovesOf(const core::SnapshotData& before, size_t before_index,
                          const core::SnapshotData& after, size_t after_index,
                          std::optional<int64_t> now_ms);

}  // namespace fulcrum::experiments
