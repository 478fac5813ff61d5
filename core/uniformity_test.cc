// SPDX-License-Identifier: Apache-2.0
// Is assignment fair? Chi-square tests of uniformity within a salt and of independence between
// salts, roles and the two halves of a hash, over 10^6 units of the kinds of ids shops have. The
// same tests reject a wrong construction, which shows that they can fail.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "core/bucket.h"
#include "core/hash.h"

namespace fulcrum::core {
namespace {

constexpr uint32_t kUnits = 1'000'000;
constexpr uint32_t kCells = 64;  // per margin

uint64_t Mix(uint64_t x) {  // splitmix64, to make ids that look random
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::string Hex(uint64_t value, int digits) {
  std::string out;
  for (int i = digits - 1; i >= 0; --i) out += "0123456789abcdef"[(value >> (4 * i)) & 15];
  return out;
}

std::string Uuid(uint32_t i) {
  const uint64_t a = Mix(i);
  const uint64_t b = Mix(a);
  return Hex(a >> 32, 8) + "-" + Hex(a >> 16, 4) + "-4" + Hex(a, 3) + "-a" + Hex(b >> 48, 3) + "-" +
         Hex(b, 12);
}

std::string ChineseName(uint32_t i) {
  static const char* const kFamily[] = {"王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周"};
  static const char* const kGiven[] = {"伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋"};
  std::string out = kFamily[i % 10];
  for (uint32_t rest = i / 10; rest > 0; rest /= 10) out += kGiven[rest % 10];
  return out;
}

struct KeyFamily {
  const char* name;
  std::function<std::string(uint32_t)> id;
};

const std::vector<KeyFamily>& Families() {
  static const std::vector<KeyFamily> families = {
      {"sequential", [](uint32_t i) { return std::to_string(i); }},
      {"uuid", Uuid},
      {"email", [](uint32_t i) { return "shopper." + std::to_string(i) + "@example.com"; }},
      {"chinese", ChineseName},
      {"long_prefix",
       [](uint32_t i) { return std::string(200, 'x') + "/tenant/eu/user/" + std::to_string(i); }},
  };
  return families;
}

// Standard normal score of a chi-square statistic (Wilson and Hilferty, 1931). For a fair hash it
// is normal; we allow 4.5, one false alarm in 300,000 one-sided, and the ids are fixed anyway.
double Score(double chi_square, double degrees) {
  const double third = std::cbrt(chi_square / degrees);
  return (third - (1 - 2 / (9 * degrees))) / std::sqrt(2 / (9 * degrees));
}
constexpr double kAllowedScore = 4.5;

double UniformityScore(const std::vector<uint32_t>& buckets, uint32_t cells) {
  std::vector<double> counts(cells, 0);
  for (const uint32_t bucket : buckets) ++counts[uint64_t{bucket} * cells / kPpm];
  const double expected = static_cast<double>(buckets.size()) / cells;
  double chi_square = 0;
  for (const double count : counts)
    chi_square += (count - expected) * (count - expected) / expected;
  return Score(chi_square, cells - 1);
}

// Of the joint table against the product of uniform margins.
double IndependenceScore(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  std::vector<double> counts(size_t{kCells} * kCells, 0);
  for (size_t i = 0; i < a.size(); ++i) {
    ++counts[uint64_t{a[i]} * kCells / kPpm * kCells + uint64_t{b[i]} * kCells / kPpm];
  }
  const double expected = static_cast<double>(a.size()) / static_cast<double>(counts.size());
  double chi_square = 0;
  for (const double count : counts)
    chi_square += (count - expected) * (count - expected) / expected;
  return Score(chi_square, static_cast<double>(counts.size()) - 1);
}

using BucketOf = std::function<uint32_t(std::string_view)>;

BucketOf Bucket(HashAlgorithm hash, std::string_view salt, SaltRole role) {
  return [hash, state = PrepareSalt(salt, role)](std::string_view id) {
    return BucketPpm(hash, state, id);
  };
}
BucketOf Traffic(std::string_view salt) {
  return [state = PrepareSalt(salt, SaltRole::kExperiment)](std::string_view id) {
    return Reduce(static_cast<uint32_t>(SaltedHash(state, id)), kPpm);
  };
}

struct Scores {
  double uniformity = 0;
  double independence = 0;
};

// The worst score over all constructions, and over all pairs of them, on one family of ids.
Scores Worst(const KeyFamily& family, const std::vector<BucketOf>& constructions) {
  std::vector<std::vector<uint32_t>> buckets(constructions.size());
  for (uint32_t i = 0; i < kUnits; ++i) {
    const std::string id = family.id(i);
    for (size_t c = 0; c < constructions.size(); ++c) buckets[c].push_back(constructions[c](id));
  }
  Scores worst{-100, -100};
  for (size_t a = 0; a < buckets.size(); ++a) {
    worst.uniformity = std::max(worst.uniformity, UniformityScore(buckets[a], 1000));
    for (size_t b = a + 1; b < buckets.size(); ++b) {
      worst.independence = std::max(worst.independence, IndependenceScore(buckets[a], buckets[b]));
    }
  }
  return worst;
}

class Uniformity : public ::testing::TestWithParam<size_t> {};

TEST_P(Uniformity, Xxh3IsFairAndIndependent) {
  constexpr HashAlgorithm kHash = HashAlgorithm::kXxh3;
  const Scores worst = Worst(
      Families()[GetParam()],
      {Bucket(kHash, "checkout", SaltRole::kExperiment), Traffic("checkout"),
       Bucket(kHash, "checkout", SaltRole::kLayer), Bucket(kHash, "checkout", SaltRole::kHoldout),
       Bucket(kHash, "checkout2", SaltRole::kExperiment), Traffic("checkout2")});
  EXPECT_LT(worst.uniformity, kAllowedScore);
  EXPECT_LT(worst.independence, kAllowedScore);
}

TEST_P(Uniformity, GrowthBookV2IsFairAndIndependent) {
  constexpr HashAlgorithm kHash = HashAlgorithm::kGrowthBookV2;
  const Scores worst =
      Worst(Families()[GetParam()], {Bucket(kHash, "checkout", SaltRole::kExperiment),
                                     Bucket(kHash, "registration", SaltRole::kExperiment)});
  EXPECT_LT(worst.uniformity, kAllowedScore);
  EXPECT_LT(worst.independence, kAllowedScore);
}

INSTANTIATE_TEST_SUITE_P(Ids, Uniformity, ::testing::Range(size_t{0}, Families().size()),
                         [](const auto& family) { return Families()[family.param].name; });

// FNV-1a ends with a multiplication, so its high bits hardly depend on the last bytes: taking a
// bucket from them is unfair and correlates experiments. The tests above must say so.
TEST(WrongConstruction, UnfinalisedFnvFails) {
  const auto unfinalised = [](std::string_view salt) -> BucketOf {
    return
        [state = Fnv1a32(salt)](std::string_view id) { return Reduce(Fnv1a32(id, state), kPpm); };
  };
  const Scores worst = Worst(Families()[0], {unfinalised("checkout"), unfinalised("registration")});
  EXPECT_GT(worst.uniformity, 4 * kAllowedScore);
  EXPECT_GT(worst.independence, 4 * kAllowedScore);
}

}  // namespace
}  // namespace fulcrum::core
