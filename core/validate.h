// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/snapshot.h"
#include "core/snapshot_data.h"

namespace fulcrum::core {

// Bounds that hold for every snapshot, so that a hostile one cannot exhaust stack or time.
inline constexpr int kMaxConditionDepth = 32;     // of one audience, segments looked through
inline constexpr int kMaxPrerequisiteDepth = 16;  // chain of experiments that need each other
inline constexpr size_t kMaxVariants = 256;
inline constexpr size_t kMaxKeyBytes = 256;

// Whether `data` can be evaluated: every index in range, keys `[A-Za-z0-9._-]+` and unique per
// part, weights that sum to kPpm, phases in order, operands of the declared type, versions that
// parse, ranges of a layer disjoint among experiments that can run at the same time, no cycles
// through conditions, segments or prerequisites, depths within the bounds above. On false, *error
// names the first rule broken.
bool Validate(const SnapshotData& data, BuildError* error);

// Whether the text may be a key of an experiment, layer, segment, holdout, variant or attribute.
bool IsKey(std::string_view text);

}  // namespace fulcrum::core
