// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/snapshot_data.h"

// From a hash to a bucket and from weights to buckets; integers only.
namespace fulcrum::core {

// Lemire's multiply-shift reduction: maps a uniform 32-bit hash onto [0, total) using its high
// bits. The bias is below total / 2^32 (0.024% of a bucket's own share for a million buckets).
constexpr uint32_t Reduce(uint32_t hash, uint32_t total) {
  return static_cast<uint32_t>((uint64_t{hash} * total) >> 32);
}

// Smallest share the algorithm can tell apart: 1 ppm, or 100 ppm for growthbook-v2.
constexpr uint32_t BucketStepPpm(HashAlgorithm hash) {
  return hash == HashAlgorithm::kGrowthBookV2 ? 100 : 1;
}

// Weights in any unit to ppm: multiples of the algorithm's step that sum to kPpm, by largest
// remainder, where every weight above zero gets at least one step. Empty where that is impossible:
// no weight above zero, a sum over 2^44, or more positive weights than steps.
std::vector<uint32_t> WeightsToPpm(std::span<const uint64_t> weights, HashAlgorithm hash);

// The buckets of one variant of a phase in the *variant* hash, after traffic. growthbook-v2 has one
// hash for both, so traffic shortens each variant's range from its end; with XXH3 the ranges do not
// depend on traffic, which has a hash of its own. Either way a unit once in stays in, in the same
// variant, as traffic grows.
BucketRange VariantRange(const PhaseData& phase, HashAlgorithm hash, size_t variant);

}  // namespace fulcrum::core
