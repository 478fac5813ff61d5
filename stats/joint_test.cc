// SPDX-License-Identifier: Apache-2.0
#include "stats/joint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "stats/distributions.h"
#include "stats/means.h"

namespace fulcrum::stats {
namespace {

// Three funnel stages, each inside the one before, then profit and coupon cost.
Gram Shop(std::mt19937_64& random, int n, double lift) {
  std::uniform_real_distribution<double> uniform(0, 1);
  Gram gram(5);
  for (int i = 0; i < n; ++i) {
    const double one = uniform(random) < 0.6 ? 1 : 0;
    const double two = one * (uniform(random) < 0.5 + lift ? 1 : 0);
    const double three = two * (uniform(random) < 0.4 ? 1 : 0);
    const double cost = three * (lift > 0 ? 2 : 0);
    const double row[] = {one, two, three, three * 20 * uniform(random) - cost, cost};
    gram.Add(row);
  }
  return gram;
}

const std::vector<std::size_t> kStages = {0, 1, 2};

TEST(Joint, IntervalsAreDualToTheirPValuesAndWiderThanAlone) {
  std::mt19937_64 random(1);
  const Gram t = Shop(random, 4000, 0.05), c = Shop(random, 4000, 0);
  const JointEffects r = CompareJointly(t, c, kStages, 0.05);
  ASSERT_EQ(r.reason, Reason::kNone);
  EXPECT_GT(r.critical_value, CriticalZ(0.05));
  EXPECT_LT(r.critical_value, CriticalZ(0.05 / 3));
  for (std::size_t i = 0; i < 3; ++i) {
    const WelchResult alone = Welch(t.moments(i), c.moments(i), 0.05);
    EXPECT_NEAR(r.diff[i], alone.diff, 1e-14);
    EXPECT_NEAR(std::sqrt(r.covariance[i * 3 + i]), alone.se, 1e-14);
    EXPECT_EQ(r.p_adjusted[i] < 0.05, !r.interval[i].Contains(0));
  }
}

TEST(Joint, CoversAllEffectsTogetherAsOftenAsPromised) {
  std::mt19937_64 random(2);
  int covered = 0;
  constexpr int kRounds = 400;
  for (int round = 0; round < kRounds; ++round) {
    const JointEffects r =
        CompareJointly(Shop(random, 300, 0), Shop(random, 300, 0), kStages, 0.05);
    bool all = true;
    for (const Interval& interval : r.interval) all = all && interval.Contains(0);
    covered += all;
  }
  // 99.9% band of Binomial(400, 0.95) is 365 to 393.
  EXPECT_GE(covered, 365);
  EXPECT_LE(covered, 393);
}

TEST(Joint, FunnelStepsAddUpToTheTotal) {
  std::mt19937_64 random(3);
  const Gram t = Shop(random, 5000, 0.08), c = Shop(random, 5000, 0);
  const FunnelDecomposition r = DecomposeFunnel(t, c, kStages, 0.05);
  ASSERT_EQ(r.steps.size(), 3u);
  double sum = 0;
  for (const FunnelStep& step : r.steps) sum += step.log_lift;
  EXPECT_NEAR(sum, r.total.log_lift, 1e-13);
  EXPECT_NEAR(r.total.log_lift, std::log(t.mean(2) / c.mean(2)), 1e-15);
  // The lift was put into the second step.
  EXPECT_NEAR(r.steps[1].log_lift, std::log(0.58 / 0.5), 4 * r.steps[1].se);
  EXPECT_TRUE(r.steps[0].interval.Contains(0));
  EXPECT_FALSE(r.steps[1].interval.Contains(0));
  Gram nobody(3);
  const std::vector<double> zeros = {1, 0, 0};
  nobody.AddRepeated(zeros, 100);
  EXPECT_EQ(DecomposeFunnel(nobody, c.Select(kStages), kStages, 0.05).reason,
            Reason::kDenominatorNearZero);
}

TEST(Joint, RatioOfEffectsSaysWhenItIsUnbounded) {
  std::mt19937_64 random(4);
  const Gram t = Shop(random, 20000, 0.1), c = Shop(random, 20000, 0);
  const EffectRatio profit_per_cost = RatioOfEffects(t, c, 3, 4, 0.05);
  EXPECT_EQ(profit_per_cost.reason, Reason::kNone);
  EXPECT_GT(profit_per_cost.ratio, profit_per_cost.set.lo);
  EXPECT_LT(profit_per_cost.ratio, profit_per_cost.set.hi);
  // No coupon in either arm: no cost effect at all.
  const Gram same = Shop(random, 20000, 0);
  const EffectRatio none = RatioOfEffects(same, c, 3, 4, 0.05);
  EXPECT_EQ(none.reason, Reason::kDenominatorNearZero);
  EXPECT_NE(none.set.shape, FiellerSet::Shape::kBounded);
}

TEST(Joint, HybridLookBandIsTheWiderOne) {
  const HybridBands bands = HybridIntervals(0.1, 0.02, 5000, 10000, 0.01, 0.04);
  EXPECT_GT(bands.look.Width(), bands.final.Width());
  EXPECT_TRUE(bands.look.Contains(0.1));
  EXPECT_NEAR(bands.final.Width(), 2 * CriticalZ(0.04) * 0.02, 1e-12);
}

}  // namespace
}  // namespace fulcrum::stats
