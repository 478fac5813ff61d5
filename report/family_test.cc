// SPDX-License-Identifier: Apache-2.0
#include "report/family.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "report/sample_reports.h"
#include "report/score_ratio.h"
#include "stats/distributions.h"
#include "stats/means.h"
#include "stats/proportions.h"

namespace fulcrum::report {
namespace {

constexpr std::array kCorrections = {Correction::kNone, Correction::kBonferroni, Correction::kHolm,
                                     Correction::kSimultaneous, Correction::kBenjaminiHochberg};

Pivot ScorePivot(Dice& dice) {
  const auto draw = [&] {
    const auto n = static_cast<int64_t>(5 + dice.Uniform() * 800);
    const auto x = static_cast<int64_t>(
        std::floor(dice.Uniform() * dice.Uniform() * static_cast<double>(n + 1)));
    return stats::Proportion{x, n};
  };
  Pivot pivot;
  do {
    pivot.treatment = draw();
    pivot.control = draw();
  } while (pivot.treatment.events + pivot.control.events == 0);
  const auto r = stats::TwoProportions(pivot.treatment, pivot.control, 0.05);
  pivot.pair = DualPair::kScore;
  pivot.estimate = r.diff;
  pivot.statistic = r.z_score;
  pivot.p = r.p_score;
  pivot.base = r.rate_control;
  return pivot;
}

Pivot WelchPivot(Dice& dice) {
  const auto moments = [&] {
    return stats::Moments::FromVariance(static_cast<int64_t>(2 + dice.Uniform() * 60),
                                        3 * dice.Normal(), 0.01 + 4 * dice.Uniform());
  };
  const auto control = moments();
  const auto r = stats::Welch(moments(), control, 0.05);
  Pivot pivot;
  pivot.pair = DualPair::kWelch;
  pivot.estimate = r.diff;
  pivot.se = r.se;
  pivot.df = r.df;
  pivot.statistic = r.t;
  pivot.p = r.p;
  pivot.base = control.mean;
  pivot.base_variance = control.VarianceOfMean();
  pivot.base_covariance = -pivot.base_variance;
  return pivot;
}

// The property the verdict stands on: in every family, for every correction, the adjusted p is
// under alpha exactly when the interval of the difference leaves out 0, and when that of the lift
// does.
TEST(Family, TestAndIntervalAgreeByConstruction) {
  Dice dice(7);
  int rejected = 0;
  int members_seen = 0;
  for (int round = 0; round < 400; ++round) {
    const auto size = static_cast<size_t>(1 + dice.Uniform() * 7);
    std::vector<Pivot> pivots;
    for (size_t i = 0; i < size; ++i) {
      pivots.push_back(dice.Chance(0.5) ? ScorePivot(dice) : WelchPivot(dice));
    }
    for (const double alpha : {0.01, 0.05, 0.2}) {
      for (const Correction correction : kCorrections) {
        std::vector<Comparison> comparisons(size);
        std::vector<FamilyMember> members;
        for (size_t i = 0; i < size; ++i) members.push_back({&comparisons[i], &pivots[i]});
        const Family family = Correct({}, Role::kPrimary, members, alpha, correction);
        EXPECT_EQ(family.size, static_cast<int>(size));
        for (size_t i = 0; i < size; ++i) {
          const Comparison& c = comparisons[i];
          ++members_seen;
          const bool out = *c.sim_lo > 0 || *c.sim_hi < 0;
          rejected += out ? 1 : 0;
          // At the very edge the root finder's last digit decides; nothing else may.
          if (std::fabs(*c.p_adjusted / alpha - 1) < 1e-7) continue;
          EXPECT_EQ(*c.p_adjusted < alpha, out)
              << "p " << *c.p_adjusted << " [" << *c.sim_lo << ", " << *c.sim_hi << "]";
          EXPECT_EQ(out, c.outcome != Outcome::kNoDifference);
          EXPECT_GE(*c.p_adjusted, pivots[i].p * (1 - 1e-9));
          // A control's value within noise of 0 bounds no lift; the difference still stands.
          if (!c.sim_lift_lo || std::isinf(*c.sim_lift_lo)) continue;
          EXPECT_EQ(out, *c.sim_lift_lo > 0 || *c.sim_lift_hi < 0)
              << "lift [" << *c.sim_lift_lo << ", " << *c.sim_lift_hi << "]";
        }
      }
    }
  }
  EXPECT_GT(rejected, members_seen / 20);  // Both sides were visited.
  EXPECT_LT(rejected, members_seen - members_seen / 20);
}

TEST(Family, JudgesByTheDirectionThatIsGood) {
  Pivot pivot;
  pivot.pair = DualPair::kUnpooledZ;
  pivot.estimate = -1;
  pivot.se = 0.1;
  pivot.p = stats::TwoSidedNormalP(10);
  Comparison c;
  std::vector<FamilyMember> members = {{&c, &pivot, Direction::kDecrease}};
  Correct({}, Role::kPrimary, members, 0.05, Correction::kSimultaneous);
  EXPECT_EQ(c.outcome, Outcome::kBetter);
  members.front().direction = Direction::kIncrease;
  Correct({}, Role::kPrimary, members, 0.05, Correction::kSimultaneous);
  EXPECT_EQ(c.outcome, Outcome::kWorse);
}

TEST(Family, UnknownCorrelationCostsSidak) {
  std::vector<Pivot> pivots(3);
  for (Pivot& pivot : pivots) {
    pivot.estimate = 1;
    pivot.se = 1;
    pivot.p = stats::TwoSidedNormalP(1);
  }
  std::vector<Comparison> comparisons(3);
  std::vector<FamilyMember> members;
  for (size_t i = 0; i < 3; ++i) members.push_back({&comparisons[i], &pivots[i]});
  const Family family = Correct({}, Role::kPrimary, members, 0.05, Correction::kSimultaneous);
  EXPECT_NEAR(*family.critical_z, stats::CriticalZ(1 - std::cbrt(0.95)), 1e-3);
}

// Koopman's interval of the ratio and Miettinen-Nurminen's of the difference invert one statistic
// at no effect; the ends behave at the borders.
TEST(ScoreRatio, EndsAreOrderedAndReachInfinityWithoutControlEvents) {
  const auto interval = ScoreRatioInterval({8, 100}, {0, 100}, 0.05);
  EXPECT_GT(interval.lo, 1);
  EXPECT_TRUE(std::isinf(interval.hi));
  const auto none = ScoreRatioInterval({0, 100}, {8, 100}, 0.05);
  EXPECT_EQ(none.lo, 0);
  EXPECT_LT(none.hi, 1);
  // Swapping the arms inverts the interval.
  const auto forth = ScoreRatioInterval({30, 200}, {45, 310}, 0.05);
  const auto back = ScoreRatioInterval({45, 310}, {30, 200}, 0.05);
  EXPECT_NEAR(forth.lo * back.hi, 1, 1e-12);
  EXPECT_NEAR(forth.hi * back.lo, 1, 1e-12);
  EXPECT_LT(forth.lo, 0.15 / (45.0 / 310));
  EXPECT_GT(forth.hi, 0.15 / (45.0 / 310));
}

TEST(ScoreRatio, NarrowsWithAlpha) {
  double width = stats::kInfinity;
  for (const double alpha : {0.001, 0.01, 0.05, 0.2, 0.9}) {
    const auto interval = ScoreRatioInterval({120, 1000}, {100, 1000}, alpha);
    EXPECT_LT(interval.Width(), width);
    EXPECT_TRUE(interval.Contains(1.2));
    width = interval.Width();
  }
}

TEST(NonInferiority, CountsTheControlsOwnNoise) {
  Pivot pivot;
  pivot.estimate = -0.01;
  pivot.se = 0.005;
  pivot.base = 0.5;
  pivot.base_variance = 0.005 * 0.005 / 2;
  pivot.base_covariance = -pivot.base_variance;
  // Slack 0.04 against sd sqrt(se^2 + m^2 v - 2 m v) with m = 0.1, v = se^2 / 2.
  const double v = pivot.base_variance;
  const double sd = std::sqrt(0.005 * 0.005 + 0.01 * v - 0.2 * v);
  EXPECT_NEAR(*NonInferiorityP(pivot, 0.1, Direction::kIncrease), stats::NormalSf(0.04 / sd),
              1e-15);
  // Where less is good, a fall is no harm at all.
  EXPECT_LT(*NonInferiorityP(pivot, 0.1, Direction::kDecrease), 1e-20);
  pivot.estimate = 0.2;
  EXPECT_GT(*NonInferiorityP(pivot, 0.1, Direction::kDecrease), 0.999);
}

}  // namespace
}  // namespace fulcrum::report
