// SPDX-License-Identifier: Apache-2.0
#include "stats/gram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "stats/moments.h"

namespace fulcrum::stats {
namespace {

std::vector<double> RandomRows(std::size_t rows, std::size_t k, double centre, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> values(rows * k);
  for (std::size_t r = 0; r < rows; ++r) {
    const double shared = normal(random);
    for (std::size_t i = 0; i < k; ++i) {
      values[r * k + i] = centre + static_cast<double>(i + 1) * (normal(random) + shared);
    }
  }
  return values;
}

// Two-pass covariance in extended precision: the definition itself.
long double DefinedCovariance(const std::vector<double>& rows, std::size_t k, std::size_t i,
                              std::size_t j) {
  const std::size_t n = rows.size() / k;
  long double mean_i = 0, mean_j = 0, sum = 0;
  for (std::size_t r = 0; r < n; ++r) {
    mean_i += rows[r * k + i] / static_cast<long double>(n);
    mean_j += rows[r * k + j] / static_cast<long double>(n);
  }
  for (std::size_t r = 0; r < n; ++r)
    sum += (rows[r * k + i] - mean_i) * (rows[r * k + j] - mean_j);
  return sum / static_cast<long double>(n - 1);
}

void ExpectSame(const Gram& a, const Gram& b, double relative) {
  ASSERT_EQ(a.width(), b.width());
  EXPECT_EQ(a.n(), b.n());
  for (std::size_t i = 0; i < a.width(); ++i) {
    EXPECT_NEAR(a.mean(i), b.mean(i), relative * std::abs(b.mean(i)));
    for (std::size_t j = 0; j <= i; ++j) {
      const double scale = std::sqrt(b.centred(i, i) * b.centred(j, j));
      EXPECT_NEAR(a.centred(i, j), b.centred(i, j), relative * scale) << i << "," << j;
    }
  }
}

class GramAtCentre : public ::testing::TestWithParam<double> {};

TEST_P(GramAtCentre, EqualsTheDefinitionOnRawData) {
  constexpr std::size_t kWidth = 4;
  const auto rows = RandomRows(5000, kWidth, GetParam(), 1);
  Gram one(kWidth), batch(kWidth);
  for (std::size_t r = 0; r < 5000; ++r) one.Add({rows.data() + r * kWidth, kWidth});
  batch.AddRows(rows);
  for (std::size_t i = 0; i < kWidth; ++i) {
    for (std::size_t j = 0; j < kWidth; ++j) {
      const double expected = static_cast<double>(DefinedCovariance(rows, kWidth, i, j));
      // Extended precision itself resolves a mean of 1e12 to about 1e-7 only.
      const double tolerance =
          (GetParam() > 1e9 ? 1e-8 : 1e-12) * static_cast<double>(kWidth * kWidth);
      EXPECT_NEAR(one.covariance(i, j), expected, tolerance);
      EXPECT_NEAR(batch.covariance(i, j), expected, tolerance);
    }
  }
  ExpectSame(one, batch, 1e-12);
}

TEST_P(GramAtCentre, MergeIsOrderFreeAndAssociative) {
  constexpr std::size_t kWidth = 3;
  const auto rows = RandomRows(4000, kWidth, GetParam(), 2);
  Gram whole(kWidth);
  whole.AddRows(rows);
  std::mt19937_64 random(3);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::size_t> cuts = {0, 4000};
    for (int c = 0; c < 30; ++c) cuts.push_back(random() % 4001);
    std::sort(cuts.begin(), cuts.end());
    std::vector<Gram> parts;
    for (std::size_t c = 1; c < cuts.size(); ++c) {
      Gram part(kWidth);
      part.AddRows({rows.data() + cuts[c - 1] * kWidth, (cuts[c] - cuts[c - 1]) * kWidth});
      parts.push_back(part);
    }
    std::shuffle(parts.begin(), parts.end(), random);
    while (parts.size() > 1) {
      const std::size_t into = random() % (parts.size() - 1);
      parts[into].Merge(parts.back());
      parts.pop_back();
    }
    ExpectSame(parts[0], whole, 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(Centres, GramAtCentre, ::testing::Values(0.0, 1.0, -1e6, 1e9, 1e12));

TEST(Gram, ShiftByPowerOfTwoChangesNothingButTheMean) {
  // Values on a grid of 2^-10, so that adding 2^40 is exact and any difference is the code's own.
  std::mt19937_64 random(5);
  std::vector<double> near, far;
  for (int i = 0; i < 3000; ++i) {
    near.push_back(std::ldexp(static_cast<double>(random() % 4096), -10));
    far.push_back(near.back() + std::ldexp(1.0, 40));
  }
  EXPECT_NEAR(Moments::Of(far).m2, Moments::Of(near).m2, 1e-12 * Moments::Of(near).m2);
  Gram a(1), b(1);
  a.AddRows(near);
  b.AddRows(far);
  EXPECT_NEAR(b.centred(0, 0), a.centred(0, 0), 1e-12 * a.centred(0, 0));
}

TEST(Gram, ScalingByTwoIsExact) {
  const auto rows = RandomRows(777, 2, 10.0, 7);
  auto doubled = rows;
  for (double& x : doubled) x *= 2;
  Gram a(2), b(2);
  a.AddRows(rows);
  b.AddRows(doubled);
  EXPECT_EQ(b.mean(0), 2 * a.mean(0));
  EXPECT_EQ(b.centred(1, 0), 4 * a.centred(1, 0));
}

TEST(Gram, CombinationsEqualPerUnitArithmetic) {
  const auto rows = RandomRows(900, 3, 50.0, 9);
  Gram gram(3);
  gram.AddRows(rows);
  const std::vector<double> coefficients = {1.5, -2.0, 0.25};
  Moments expected;
  for (std::size_t r = 0; r < 900; ++r) {
    const double* x = &rows[r * 3];
    expected.Add(1.5 * x[0] - 2.0 * x[1] + 0.25 * x[2]);
  }
  const Moments got = gram.Combine(coefficients);
  EXPECT_EQ(got.n, 900);
  EXPECT_NEAR(got.mean, expected.mean, 1e-12 * std::abs(expected.mean));
  EXPECT_NEAR(got.m2, expected.m2, 1e-11 * expected.m2);
  const std::vector<double> difference_with_itself = {0.0, 0.0, 0.0};
  EXPECT_EQ(gram.Combine(difference_with_itself).m2, 0.0);
}

TEST(Gram, SelectKeepsOrderAndCrossProducts) {
  Gram gram(3);
  gram.AddRows(RandomRows(50, 3, 1.0, 11));
  const std::vector<std::size_t> order = {2, 0};
  const Gram chosen = gram.Select(order);
  EXPECT_EQ(chosen.mean(0), gram.mean(2));
  EXPECT_EQ(chosen.covariance(0, 1), gram.covariance(0, 2));
  EXPECT_EQ(chosen.moments(1).m2, gram.moments(0).m2);
}

TEST(Gram, RepeatedRowsEqualTheLoop) {
  Gram loop(2), once(2);
  const std::vector<double> zero = {0, 0}, other = {3, 4};
  for (int i = 0; i < 1000; ++i) loop.Add(zero);
  loop.Add(other);
  once.Add(other);
  once.AddRepeated(zero, 1000);
  ExpectSame(once, loop, 1e-13);
}

TEST(Gram, PartsRoundTripAndBadPartsAreRefused) {
  Gram gram(2);
  gram.AddRows(RandomRows(64, 2, 1e12, 13));
  const auto back =
      Gram::FromParts(gram.n(), gram.means(), gram.packed_lower(), gram.mean_residues());
  ASSERT_TRUE(back.has_value());
  ExpectSame(*back, gram, 0.0);
  EXPECT_FALSE(Gram::FromParts(-1, {0}, {0}).has_value());
  EXPECT_FALSE(Gram::FromParts(2, {0, 0}, {1, 0}).has_value());
  EXPECT_FALSE(Gram::FromParts(2, {0}, {-1}).has_value());
  EXPECT_FALSE(Gram::FromParts(2, {std::nan("")}, {1}).has_value());
}

TEST(Gram, EmptyMergesAsTheNeutralElement) {
  Gram gram(2), empty(2), none;
  gram.AddRows(RandomRows(10, 2, 0.0, 15));
  Gram left = empty;
  left.Merge(gram);
  ExpectSame(left, gram, 0.0);
  left.Merge(empty);
  left.Merge(none);
  ExpectSame(left, gram, 0.0);
  none.Merge(gram);
  ExpectSame(none, gram, 0.0);
}

TEST(Moments, ProportionsAndVariancesAgreeWithData) {
  std::vector<double> data(100, 0.0);
  std::fill(data.begin(), data.begin() + 37, 1.0);
  const Moments from_data = Moments::Of(data);
  const Moments from_counts = Moments::FromProportion(37, 100);
  EXPECT_NEAR(from_counts.m2, from_data.m2, 1e-12);
  EXPECT_NEAR(Moments::FromVariance(100, 0.37, from_data.Variance()).m2, from_data.m2, 1e-12);
  EXPECT_EQ(Moments().Variance(), 0.0);
}

}  // namespace
}  // namespace fulcrum::stats
