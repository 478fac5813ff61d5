// SPDX-License-Identifier: Apache-2.0
#include "core/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/bucket.h"

namespace fulcrum::core {
namespace {

constexpr uint32_t kFnvPrime32 = 16777619u;
constexpr uint32_t kGrowthBookBuckets = 10'000;

}  // namespace

uint64_t Xxh3(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

SaltState PrepareSalt(std::string_view salt, SaltRole role) {
  return {XXH3_64bits_withSeed(salt.data(), salt.size(), static_cast<uint64_t>(role)),
          Fnv1a32(salt)};
}

uint64_t SaltedHash(const SaltState& salt, std::string_view id) {
  return XXH3_64bits_withSeed(id.data(), id.size(), salt.seed);
}

SaltState BlockSalt(const SaltState& salt, int64_t block) {
  unsigned char bytes[8];
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<unsigned char>(static_cast<uint64_t>(block) >> (8 * i));
  }
  return {XXH3_64bits_withSeed(bytes, sizeof(bytes), salt.seed), 0};
}

uint32_t Fnv1a32(std::string_view bytes, uint32_t state) {
  for (const char c : bytes) {
    state = (state ^ static_cast<unsigned char>(c)) * kFnvPrime32;
  }
  return state;
}

uint32_t GrowthBookV2(const SaltState& salt, std::string_view id) {
  uint32_t inner = Fnv1a32(id, salt.fnv_state);
  char digits[10];
  size_t first = sizeof(digits);
  do {
    digits[--first] = static_cast<char>('0' + inner % 10);
    inner /= 10;
  } while (inner != 0);
  return Fnv1a32({digits + first, sizeof(digits) - first}) % kGrowthBookBuckets;
}

uint32_t BucketPpm(HashAlgorithm hash, const SaltState& salt, std::string_view id) {
  if (hash == HashAlgorithm::kGrowthBookV2) {
    return GrowthBookV2(salt, id) * (kPpm / kGrowthBookBuckets);
  }
  return Reduce(static_cast<uint32_t>(SaltedHash(salt, id) >> 32), kPpm);
}

}  // namespace fulcrum::core
