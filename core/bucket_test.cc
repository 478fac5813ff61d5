// SPDX-License-Identifier: Apache-2.0
#include "core/bucket.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace fulcrum::core {
namespace {

uint64_t Sum(const std::vector<uint32_t>& values) {
  return std::accumulate(values.begin(), values.end(), uint64_t{0});
}

TEST(Bucket, ReduceCoversTheWholeRange) {
  EXPECT_EQ(Reduce(0, kPpm), 0u);
  EXPECT_EQ(Reduce(0xffffffffu, kPpm), kPpm - 1);
  EXPECT_EQ(Reduce(0x80000000u, kPpm), kPpm / 2);
}

TEST(Bucket, KnownWeights) {
  using Weights = std::vector<uint64_t>;
  const auto ppm = [](const Weights& w) { return WeightsToPpm(w, HashAlgorithm::kXxh3); };
  EXPECT_EQ(ppm({1, 1}), (std::vector<uint32_t>{500000, 500000}));
  EXPECT_EQ(ppm({1, 1, 1}), (std::vector<uint32_t>{333334, 333333, 333333}));
  EXPECT_EQ(ppm({90, 10, 0}), (std::vector<uint32_t>{900000, 100000, 0}));
  EXPECT_EQ(ppm({100'000'000, 1}), (std::vector<uint32_t>{999999, 1}));
  EXPECT_EQ(WeightsToPpm(Weights{1, 1, 1}, HashAlgorithm::kGrowthBookV2),
            (std::vector<uint32_t>{333400, 333300, 333300}));
  EXPECT_TRUE(ppm({}).empty());
  EXPECT_TRUE(ppm({0, 0}).empty());
  EXPECT_TRUE(ppm({~uint64_t{0}, ~uint64_t{0}}).empty());
}

// For any weights: they sum to kPpm, are whole steps, every weight above zero gets traffic and
// every other none, and (where no lift was needed) each is within a step of its exact share.
TEST(Bucket, WeightsProperties) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::vector<uint64_t> weights(1 + random() % 12);
    for (uint64_t& weight : weights) {
      const uint64_t kind = random() % 4;
      weight = kind == 0 ? 0 : kind == 1 ? 1 : random() % (uint64_t{1} << (1 + random() % 38));
    }
    const uint64_t total = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
    for (const HashAlgorithm hash : {HashAlgorithm::kXxh3, HashAlgorithm::kGrowthBookV2}) {
      const std::vector<uint32_t> ppm = WeightsToPpm(weights, hash);
      if (total == 0) {
        EXPECT_TRUE(ppm.empty());
        continue;
      }
      ASSERT_EQ(Sum(ppm), kPpm);
      bool lifted = false;
      for (size_t i = 0; i < weights.size(); ++i) {
        ASSERT_EQ(ppm[i] > 0, weights[i] > 0);
        ASSERT_EQ(ppm[i] % BucketStepPpm(hash), 0u);
        lifted |= weights[i] > 0 && ppm[i] == BucketStepPpm(hash);
      }
      for (size_t i = 0; !lifted && i < weights.size(); ++i) {
        const double exact = 1e6 * static_cast<double>(weights[i]) / static_cast<double>(total);
        ASSERT_NEAR(ppm[i], exact, BucketStepPpm(hash));
      }
    }
  }
}

// Ranges tile [0, kPpm) at full traffic, and with growthbook-v2 only grow with traffic.
TEST(Bucket, VariantRanges) {
  PhaseData phase;
  phase.weights_ppm = WeightsToPpm(std::vector<uint64_t>{5, 0, 3, 2}, HashAlgorithm::kXxh3);
  uint32_t end = 0;
  for (size_t i = 0; i < 4; ++i) {
    const BucketRange range = VariantRange(phase, HashAlgorithm::kXxh3, i);
    EXPECT_EQ(range.begin, end);
    end = range.end;
  }
  EXPECT_EQ(end, kPpm);

  for (size_t i = 0; i < 4; ++i) {
    BucketRange before{0, 0};
    for (uint32_t traffic = 0; traffic <= kPpm; traffic += 12'345) {
      phase.traffic_ppm = traffic;
      const BucketRange range = VariantRange(phase, HashAlgorithm::kGrowthBookV2, i);
      const BucketRange xxh3 = VariantRange(phase, HashAlgorithm::kXxh3, i);
      EXPECT_EQ(range.begin, xxh3.begin);
      EXPECT_LE(range.end, xxh3.end);
      EXPECT_GE(range.end - range.begin, before.end - before.begin);
      EXPECT_EQ(range.end > range.begin, traffic > 0 && phase.weights_ppm[i] > 0);
      before = range;
    }
  }
}

}  // namespace
}  // namespace fulcrum::core
