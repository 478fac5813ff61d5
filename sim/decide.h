// SPDX-License-Identifier: Apache-2.0
//
// Assignment by the real evaluator, in process: for truths, for tests, and to hold a server's
// answers against.
#pragma once

#include <cstdint>
#include <memory>

#include "core/snapshot.h"
#include "sim/world.h"

namespace fulcrum::sim {

// A pure and thread-safe AssignFn on a fixed snapshot. Decisions are taken at the beginning of the
// visit's time slice of `slice_ms`, counted from the world's start, as by a server whose clock is
// moved once per slice (1 = at the visit's own beginning). `world` must outlive it.
AssignFn DecideWith(const World& world, std::shared_ptr<const core::Snapshot> snapshot,
                    int64_t slice_ms);

// The beginning of the slice that holds `ts_ms`.
int64_t SliceBegin(const World& world, int64_t ts_ms, int64_t slice_ms);

}  // namespace fulcrum::sim
