// SPDX-License-Identifier: Apache-2.0
#include "core/hash.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fulcrum::core {
namespace {

// Published reference values: XXH3-64 of nothing with seed 0 (xxHash's own sanity check), FNV-1a
// (Fowler, Noll, Vo: test suite of the reference implementation).
TEST(Hash, PublishedValues) {
  EXPECT_EQ(Xxh3(""), 0x2d06800538d394c2u);
  EXPECT_EQ(Fnv1a32(""), 0x811c9dc5u);
  EXPECT_EQ(Fnv1a32("a"), 0xe40c292cu);
  EXPECT_EQ(Fnv1a32("foobar"), 0xbf9cf968u);
}

// GrowthBook's own definition, written independently of the incremental form: hash the decimal
// text of the hash of seed + id.
uint32_t GrowthBookByDefinition(const std::string& seed, const std::string& id) {
  return Fnv1a32(std::to_string(Fnv1a32(seed + id))) % 10000;
}

TEST(Hash, GrowthBookV2FollowsItsDefinition) {
  for (const std::string seed : {"", "s", "seed", "my-experiment-2026"}) {
    const SaltState salt = PrepareSalt(seed, SaltRole::kExperiment);
    for (int i = 0; i < 2000; ++i) {
      const std::string id = "user" + std::to_string(i * i);
      ASSERT_EQ(GrowthBookV2(salt, id), GrowthBookByDefinition(seed, id)) << seed << " " << id;
    }
  }
  // Two values that GrowthBook publishes for its version 2 with the seed "seed".
  EXPECT_EQ(GrowthBookV2(PrepareSalt("seed", SaltRole::kExperiment), "a"), 505u);
  EXPECT_EQ(GrowthBookV2(PrepareSalt("seed", SaltRole::kExperiment), "b"), 2696u);
}

TEST(Hash, RolesOfOneSaltDiffer) {
  std::vector<uint64_t> seen;
  for (const SaltRole role :
       {SaltRole::kExperiment, SaltRole::kLayer, SaltRole::kHoldout, SaltRole::kPercentage}) {
    seen.push_back(SaltedHash(PrepareSalt("same", role), "u1"));
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    for (size_t j = i + 1; j < seen.size(); ++j) EXPECT_NE(seen[i], seen[j]);
  }
}

TEST(Hash, AnyBytesAreAnId) {
  const SaltState salt = PrepareSalt("s", SaltRole::kExperiment);
  const std::string zeros(300, '\0');
  EXPECT_NE(SaltedHash(salt, std::string_view(zeros).substr(0, 1)), SaltedHash(salt, ""));
  EXPECT_NE(SaltedHash(salt, zeros), SaltedHash(salt, std::string_view(zeros).substr(1)));
  EXPECT_LT(BucketPpm(HashAlgorithm::kXxh3, salt, "\xff\xfe"), kPpm);
  EXPECT_LT(BucketPpm(HashAlgorithm::kGrowthBookV2, salt, "\xff\xfe"), kPpm);
}

TEST(Hash, BlocksOfASwitchbackDiffer) {
  const SaltState salt = PrepareSalt("s", SaltRole::kExperiment);
  EXPECT_NE(BlockSalt(salt, 0).seed, BlockSalt(salt, 1).seed);
  EXPECT_NE(BlockSalt(salt, 0).seed, salt.seed);
}

}  // namespace
}  // namespace fulcrum::core
