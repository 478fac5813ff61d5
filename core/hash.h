// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "core/snapshot_data.h"

// The hashes assignment rests on. Each is part of the wire contract: changing one reshuffles every
// running experiment everywhere, so they are pinned by golden vectors.
namespace fulcrum::core {

// XXH3-64 with seed 0: checksums, key tables, seeds.
uint64_t Xxh3(std::string_view bytes);

// A salt in the form the hash wants it. kXxh3 uses `seed`, the salt's XXH3-64. kGrowthBookV2 uses
// `fnv_state`, FNV-1a (32 bits) after the salt's bytes.
struct SaltState {
  uint64_t seed = 0;
  uint32_t fnv_state = 0;
};

// What a salt is for. With kXxh3 it is the seed under which the salt is hashed, so that parts that
// happen to share a salt (an experiment named like its layer) still draw independently.
enum class SaltRole : uint8_t { kExperiment = 0, kLayer = 1, kHoldout = 2, kPercentage = 3 };
SaltState PrepareSalt(std::string_view salt, SaltRole role);

// XXH3-64 of the id, seeded. The high 32 bits choose the variant (or layer range, holdout,
// percentage), the low 32 bits the traffic: two independent draws from one hash.
uint64_t SaltedHash(const SaltState& salt, std::string_view id);

// The salt of one time block of a switchback: the block number (8 bytes, little-endian) hashed
// under the experiment's seed. kXxh3 only.
SaltState BlockSalt(const SaltState& salt, int64_t block);

// FNV-1a, 32 bits, from its offset basis or from a state.
inline constexpr uint32_t kFnvOffset32 = 2166136261u;
uint32_t Fnv1a32(std::string_view bytes, uint32_t state = kFnvOffset32);

// GrowthBook's hash version 2, in [0, 10000).
uint32_t GrowthBookV2(const SaltState& salt, std::string_view id);

// The bucket in [0, kPpm) of an id: Reduce(high 32 bits, kPpm), or 100 * GrowthBookV2.
uint32_t BucketPpm(HashAlgorithm hash, const SaltState& salt, std::string_view id);

}  // namespace fulcrum::core
