// SPDX-License-Identifier: Apache-2.0
// What must hold for every input: dual pairs agree, symmetry, equivariance, monotonicity, no NaN.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <vector>

#include "stats/always_valid.h"
#include "stats/cuped.h"
#include "stats/distributions.h"
#include "stats/group_sequential.h"
#include "stats/lift.h"
#include "stats/lin.h"
#include "stats/means.h"
#include "stats/multiplicity.h"
#include "stats/power.h"
#include "stats/proportions.h"
#include "stats/ratio.h"
#include "stats/shrinkage.h"
#include "stats/srm.h"

namespace fulcrum::stats {
namespace {

using Rng = std::mt19937_64;

double Uniform(Rng& random, double lo, double hi) {
  return std::uniform_real_distribution<double>(lo, hi)(random);
}

Proportion RandomProportion(Rng& random) {
  const auto n = static_cast<std::int64_t>(std::exp(Uniform(random, 0.7, 12)));
  const double rate = std::pow(Uniform(random, 0, 1), 3);
  return {std::min<std::int64_t>(n, std::llround(rate * static_cast<double>(n))), n};
}

TEST(TwoProportionsProperty, DualPairsNeverDisagreeAndArmsAreSymmetric) {
  Rng random(1);
  int compared = 0;
  for (int i = 0; i < 3000; ++i) {
    const Proportion t = RandomProportion(random), c = RandomProportion(random);
    const double alpha = Uniform(random, 0.001, 0.3);
    const auto r = TwoProportions(t, c, alpha), mirror = TwoProportions(c, t, alpha);
    EXPECT_EQ(mirror.diff, -r.diff);
    EXPECT_NEAR(mirror.miettinen_nurminen.lo, -r.miettinen_nurminen.hi, 1e-9);
    EXPECT_NEAR(mirror.newcombe.lo, -r.newcombe.hi, 1e-12);
    EXPECT_LE(r.newcombe.lo, r.diff);
    EXPECT_GE(r.newcombe.hi, r.diff);
    EXPECT_GE(r.newcombe.lo, -1 - 1e-12);
    if (r.reason != Reason::kNone) continue;
    // Near the critical value rounding decides; the pairs are compared outside 1e-6 of it.
    if (std::abs(r.p_score - alpha) > 1e-6) {
      EXPECT_EQ(r.p_score < alpha, !r.miettinen_nurminen.Contains(0))
          << t.events << "/" << t.n << " " << c.events << "/" << c.n << " alpha " << alpha;
      ++compared;
    }
    if (r.p_unpooled && std::abs(*r.p_unpooled - alpha) > 1e-9) {
      EXPECT_EQ(*r.p_unpooled < alpha, !r.wald.Contains(0));
    }
  }
  EXPECT_GT(compared, 2000);
}

TEST(TwoProportionsProperty, IntervalsShrinkWithAlphaAndWithUnits) {
  const Proportion t{120, 1000}, c{100, 1000};
  double width = 3;
  for (const double alpha : {0.001, 0.01, 0.05, 0.1, 0.3}) {
    const double now = MiettinenNurminenInterval(t, c, alpha).Width();
    EXPECT_LT(now, width);
    width = now;
  }
  width = 3;
  for (std::int64_t k = 1; k <= 1000000; k *= 10) {
    const auto r = TwoProportions({t.events * k, t.n * k}, {c.events * k, c.n * k}, 0.05);
    EXPECT_LT(r.newcombe.Width(), width);
    width = r.newcombe.Width();
  }
}

TEST(TwoProportionsProperty, FisherAndTheLikelihoodRootAgreeWithTheirDefinitions) {
  Rng random(2);
  for (int i = 0; i < 300; ++i) {
    const Proportion t = RandomProportion(random), c = RandomProportion(random);
    const double delta = Uniform(random, -0.9, 0.9);
    const ConstrainedRates rates = ConstrainedMle(t, c, delta);
    EXPECT_NEAR(rates.treatment - rates.control, delta, 1e-12);
    const auto likelihood = [&](double p2) {
      const auto term = [](double k, double p) { return k > 0 ? k * std::log(p) : 0.0; };
      const double p1 = p2 + delta;
      return term(t.events, p1) + term(t.n - t.events, 1 - p1) + term(c.events, p2) +
             term(c.n - c.events, 1 - p2);
    };
    const double best = likelihood(rates.control);
    for (const double step : {1e-3, 1e-2, 0.1}) {
      for (const double p2 : {rates.control - step, rates.control + step}) {
        if (p2 < 0 || p2 + delta < 0 || p2 > 1 || p2 + delta > 1) continue;
        EXPECT_LE(likelihood(p2), best + 1e-9 * std::abs(best));
      }
    }
  }
  // Swapping rows and columns at once leaves the table alone.
  EXPECT_NEAR(FisherExact({8, 10}, {1, 6}).p_greater, FisherExact({5, 6}, {2, 10}).p_greater,
              1e-14);
}

Moments RandomMoments(Rng& random) {
  return Moments::FromVariance(2 + static_cast<std::int64_t>(std::exp(Uniform(random, 0, 14))),
                               Uniform(random, -3, 3), std::exp(Uniform(random, -6, 6)));
}

TEST(WelchProperty, TestAndIntervalAreOneAndEquivariant) {
  Rng random(3);
  for (int i = 0; i < 2000; ++i) {
    const Moments t = RandomMoments(random), c = RandomMoments(random);
    const double alpha = Uniform(random, 0.001, 0.3);
    const WelchResult r = Welch(t, c, alpha);
    if (std::abs(r.p - alpha) > 1e-9) {
      EXPECT_EQ(r.p < alpha, !r.interval.Contains(0));
    }
    EXPECT_NEAR(r.p_greater + r.p_less, 1, 1e-12);
    const double scale = 7.25;
    const auto scaled = [&](Moments m) {
      m.mean *= scale;
      m.m2 *= scale * scale;
      return m;
    };
    const WelchResult s = Welch(scaled(t), scaled(c), alpha);
    EXPECT_NEAR(s.t, r.t, 1e-10 * (1 + std::abs(r.t)));
    EXPECT_NEAR(s.df, r.df, 1e-9 * r.df);
    EXPECT_GE(r.df, std::min(t.n, c.n) - 1 - 1e-6);
    EXPECT_LE(r.df, t.n + c.n - 2 + 1e-3);
  }
}

TEST(WelchProperty, AMeanOf1e12CostsNothing) {
  Rng random(4);
  std::vector<double> near_t, near_c, far_t, far_c;
  for (int i = 0; i < 4000; ++i) {
    // Steps of 2^-10 are exact at 2^40.
    near_t.push_back(std::ldexp(std::round(std::ldexp(Uniform(random, -2, 2.1), 10)), -10));
    near_c.push_back(std::ldexp(std::round(std::ldexp(Uniform(random, -2, 2), 10)), -10));
    far_t.push_back(near_t.back() + std::ldexp(1.0, 40));
    far_c.push_back(near_c.back() + std::ldexp(1.0, 40));
  }
  const WelchResult near = Welch(near_t, near_c, 0.05), far = Welch(far_t, far_c, 0.05);
  EXPECT_NEAR(far.diff, near.diff, 1e-12);
  EXPECT_NEAR(far.se, near.se, 1e-12 * near.se);
  EXPECT_NEAR(far.p, near.p, 1e-9);
}

TEST(LiftProperty, FiellerExcludesZeroExactlyWhenTheAbsoluteTestRejects) {
  Rng random(5);
  int bounded = 0, complement = 0, whole = 0;
  for (int i = 0; i < 3000; ++i) {
    const Estimate t{Uniform(random, -3, 3), std::exp(Uniform(random, -6, 1))};
    const Estimate c{Uniform(random, -3, 3), std::exp(Uniform(random, -6, 1))};
    const LiftResult r = RelativeLift(t, c, 0.05);
    const bool rejects = std::abs(r.z_absolute) > CriticalZ(0.05);
    switch (r.fieller.shape) {
      case FiellerSet::Shape::kBounded:
        ++bounded;
        EXPECT_EQ(rejects, r.fieller.lo > 0 || r.fieller.hi < 0);
        EXPECT_LE(r.fieller.lo, r.lift + 1e-12);
        EXPECT_GE(r.fieller.hi, r.lift - 1e-12);
        EXPECT_LT(r.fieller.g, 1);
        break;
      case FiellerSet::Shape::kComplement:
        ++complement;
        EXPECT_EQ(rejects, r.fieller.lo < 0 && 0 < r.fieller.hi);
        EXPECT_GE(r.fieller.g, 1);
        break;
      case FiellerSet::Shape::kWholeLine:
        ++whole;
        EXPECT_FALSE(rejects);
        break;
    }
  }
  EXPECT_GT(bounded, 100);
  EXPECT_GT(complement, 20);
  EXPECT_GT(whole, 20);
}

// Rows (y, x1, x2) with correlated covariates.
Gram RandomArm(Rng& random, int n, double effect,
               std::vector<std::vector<double>>* rows = nullptr) {
  std::normal_distribution<double> normal;
  Gram gram(3);
  for (int i = 0; i < n; ++i) {
    const double a = normal(random), b = 0.5 * a + normal(random);
    const std::vector<double> row = {10 + effect + 2 * a + b + normal(random), 5 + a, b};
    gram.Add(row);
    if (rows != nullptr) rows->push_back(row);
  }
  return gram;
}

const std::vector<std::size_t> kBoth = {1, 2};

TEST(CupedProperty, FromGramEqualsPerUnitAdjustment) {
  Rng random(6);
  std::vector<std::vector<double>> rows_t, rows_c;
  const Gram t = RandomArm(random, 700, 0.3, &rows_t), c = RandomArm(random, 500, 0, &rows_c);
  const CupedResult r = Cuped(t, c, 0, kBoth, CupedTheta::kPooled, 0.05);
  const auto adjust = [&](const std::vector<std::vector<double>>& rows) {
    Moments m;
    for (const auto& row : rows) m.Add(row[0] - r.theta[0] * row[1] - r.theta[1] * row[2]);
    return m;
  };
  const WelchResult direct = Welch(adjust(rows_t), adjust(rows_c), 0.05);
  EXPECT_NEAR(r.diff, direct.diff, 1e-11);
  EXPECT_NEAR(r.se, direct.se, 1e-12);
  EXPECT_NEAR(r.df, direct.df, 1e-6);
  EXPECT_GT(r.variance_reduction, 0.7);
  EXPECT_NEAR(r.adjusted_treatment.mean - r.adjusted_control.mean, r.diff, 1e-11);
}

TEST(CupedProperty, CovariateUnitsAndDuplicatesDoNotMatter) {
  Rng random(7);
  const Gram t = RandomArm(random, 300, 0.3), c = RandomArm(random, 300, 0);
  const CupedResult plain = Cuped(t, c, 0, kBoth, CupedTheta::kWithinArm, 0.05);
  const std::vector<double> mixed = {1, 0, 0, 0, 1e6, 0, 0, 0, 1e-6};
  const CupedResult units =
      Cuped(t.Transform(mixed), c.Transform(mixed), 0, kBoth, CupedTheta::kWithinArm, 0.05);
  EXPECT_NEAR(units.diff, plain.diff, 1e-9);
  EXPECT_NEAR(units.se, plain.se, 1e-9);
  const std::vector<double> doubled = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, -3};
  const std::vector<std::size_t> three = {1, 2, 3};
  const CupedResult singular =
      Cuped(t.Transform(doubled), c.Transform(doubled), 0, three, CupedTheta::kWithinArm, 0.05);
  EXPECT_EQ(singular.rank, 2u);
  EXPECT_NEAR(singular.diff, plain.diff, 1e-9);
  EXPECT_NEAR(singular.se, plain.se, 1e-9);
  EXPECT_LE(plain.se, plain.se_unadjusted);
}

TEST(CupedProperty, RidgeStaysBetweenNoneAndFullAndHelpsWithNoise) {
  Rng random(8);
  const Gram t = RandomArm(random, 400, 0.3), c = RandomArm(random, 400, 0);
  Gram pooled = t;
  pooled.Merge(c);
  const ThetaResult ridge = EstimateRidgeTheta(pooled, 0, kBoth);
  const CupedResult shrunk = Cuped(t, c, 0, kBoth, ridge.theta, 0.05);
  const CupedResult full = Cuped(t, c, 0, kBoth, CupedTheta::kPooled, 0.05);
  EXPECT_NEAR(shrunk.se, full.se, 0.02 * full.se);
}

TEST(LinProperty, GramFormAgreesWithRawRowsInLargeArms) {
  Rng random(9);
  std::vector<std::vector<double>> rows_t, rows_c;
  const Gram t = RandomArm(random, 3000, 0.3, &rows_t), c = RandomArm(random, 3000, 0, &rows_c);
  std::vector<double> y, x, treated;
  for (const auto* rows : {&rows_t, &rows_c}) {
    for (const auto& row : *rows) {
      y.push_back(row[0]);
      x.insert(x.end(), row.begin() + 1, row.end());
      treated.push_back(rows == &rows_t ? 1 : 0);
    }
  }
  const LinResult raw = Lin(y, x, 2, treated);
  const LinGramResult gram = LinFromGram(t, c, 0, kBoth, 0.05);
  EXPECT_NEAR(gram.ate, raw.ate, 1e-10);
  EXPECT_NEAR(gram.se, raw.se_hc2, 0.02 * raw.se_hc2);
}

TEST(RatioProperty, AConstantDenominatorIsWelch) {
  Rng random(10);
  std::vector<double> num_t, num_c, one_t(200, 2.0), one_c(150, 2.0);
  for (int i = 0; i < 200; ++i) num_t.push_back(Uniform(random, 0, 5));
  for (int i = 0; i < 150; ++i) num_c.push_back(Uniform(random, 0, 4));
  const RatioResult r =
      RatioDelta(RatioMoments::Of(num_t, one_t), RatioMoments::Of(num_c, one_c), 0.05);
  const WelchResult w = Welch(num_t, num_c, 0.05);
  EXPECT_NEAR(r.diff, w.diff / 2, 1e-13);
  EXPECT_NEAR(r.se, w.se / 2, 1e-13);
  EXPECT_NEAR(r.p_t, w.p, 1e-11);
  const std::vector<double> around_zero = {1, -1, 1, -1, 1, -1};
  EXPECT_EQ(
      RatioDelta(RatioMoments::Of(around_zero, around_zero), RatioMoments::Of(num_c, one_c), 0.05)
          .reason,
      Reason::kDenominatorNearZero);
}

TEST(SrmProperty, WeightsScaleAndSequentialNeverRises) {
  const std::vector<double> observed = {1000, 1100, 1050};
  const std::vector<double> shares = {0.2, 0.4, 0.4}, percent = {20, 40, 40};
  EXPECT_NEAR(SrmChiSquare(observed, shares).chi2, SrmChiSquare(observed, percent).chi2, 1e-9);
  EXPECT_LT(SrmChiSquare(observed, shares).p, 1e-50);
  EXPECT_LT(SrmChiSquare(std::vector<double>{1e9, 2e9}, std::vector<double>{1, 1}).log10_p, -1e7);
  Rng random(11);
  SequentialSrm test({0.5, 0.5}, {50, 50});
  double p = 1;
  for (int i = 0; i < 2000; ++i) {
    const bool first = Uniform(random, 0, 1) < 0.5;
    const std::vector<double> batch = {first ? 1.0 : 0.0, first ? 0.0 : 1.0};
    test.Add(batch);
    EXPECT_LE(test.p_value(), p);
    p = test.p_value();
  }
}

TEST(MultiplicityProperty, AdjustmentsKeepTheirOrder) {
  Rng random(12);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> p;
    for (int i = 0; i < 1 + round % 12; ++i) p.push_back(std::pow(Uniform(random, 0, 1), 3));
    const auto bonferroni = AdjustPValues(p, Adjustment::kBonferroni);
    const auto holm = AdjustPValues(p, Adjustment::kHolm);
    const auto hochberg = AdjustPValues(p, Adjustment::kHochberg);
    const auto hommel = AdjustPValues(p, Adjustment::kHommel);
    const auto bh = AdjustPValues(p, Adjustment::kBenjaminiHochberg);
    const auto by = AdjustPValues(p, Adjustment::kBenjaminiYekutieli);
    for (std::size_t i = 0; i < p.size(); ++i) {
      EXPECT_LE(p[i], bh[i] + 1e-15);
      EXPECT_LE(bh[i], hommel[i] + 1e-12);
      EXPECT_LE(hommel[i], hochberg[i] + 1e-12);
      EXPECT_LE(hochberg[i], holm[i] + 1e-12);
      EXPECT_LE(holm[i], bonferroni[i] + 1e-12);
      EXPECT_LE(bh[i], by[i] + 1e-15);
    }
  }
}

TEST(MultiplicityProperty, SimultaneousValuesAgreeWithDunnettAndTheirBounds) {
  const auto matrix = [](std::size_t k, double rho) {
    std::vector<double> m(k * k, rho);
    for (std::size_t i = 0; i < k; ++i) m[i * k + i] = 1;
    return m;
  };
  for (const std::size_t k : {2u, 4u, 9u}) {
    const std::vector<double> lambda(k, std::sqrt(0.5));
    EXPECT_NEAR(SimultaneousCriticalValue(matrix(k, 0.5), 0.05),
                DunnettCriticalValue(lambda, kInfinity, 0.05, 2), 1.5e-3)
        << k;
    EXPECT_NEAR(SimultaneousCriticalValue(matrix(k, 0.0), 0.05),
                CriticalZ(1 - std::pow(0.95, 1.0 / static_cast<double>(k))), 1e-12);
  }
  // Perfectly correlated: one test. A metric that is the sum of two others: no failure.
  EXPECT_NEAR(SimultaneousCriticalValue(matrix(3, 1.0), 0.05), CriticalZ(0.05), 1e-4);
  const double h = std::sqrt(0.5);
  const std::vector<double> sum = {1, 0, h, 0, 1, h, h, h, 1};
  const double c = SimultaneousCriticalValue(sum, 0.05);
  EXPECT_GT(c, CriticalZ(0.05));
  EXPECT_LT(c, CriticalZ(0.05 / 3));
  const std::vector<double> z = {1.0, c, 4.0};
  const auto p = SimultaneousPValues(sum, z);
  EXPECT_NEAR(p[1], 0.05, 1e-4);
  EXPECT_GT(p[0], p[1]);
  EXPECT_GT(p[1], p[2]);
}

TEST(GroupSequentialProperty, DesignsSpendTheirAlphaAndDegenerateToTheFixedTest) {
  const std::vector<double> one = {1.0}, looks = {0.13, 0.4, 0.45, 0.9, 1.0};
  EXPECT_NEAR(PocockBoundary(one, 0.05, 2).constant, CriticalZ(0.05), 1e-9);
  for (const int sides : {1, 2}) {
    const auto pocock = PocockBoundary(looks, 0.05, sides);
    EXPECT_NEAR(pocock.cumulative_alpha.back(), 0.05, 1e-9);
    const auto exits = CrossingProbabilities(looks, pocock.z, 0, sides);
    EXPECT_NEAR(exits.Total(), 0.05, 1e-9);
    const auto spend =
        SpendingBoundary(looks, 1.0, {Spending::Kind::kHwangShihDeCani, -2}, 0.025, sides);
    EXPECT_NEAR(CrossingProbabilities(looks, spend.z, 0, sides).Total(), 0.025 * sides, 1e-9);
  }
  // Under any drift, crossing above plus below plus staying inside is everything.
  const auto boundary = OBrienFlemingBoundary(looks, 0.05, 2);
  const auto far = CrossingProbabilities(looks, boundary.z, 8.0, 2);
  EXPECT_NEAR(far.Total(), 1, 1e-6);
  // The stage-wise interval is the test: p = 0.05 exactly where the interval touches 0.
  const double p = StagewiseP(looks, boundary.z, 5, boundary.z.back());
  EXPECT_NEAR(p, 0.05, 1e-8);
  EXPECT_NEAR(StagewiseInference(looks, boundary.z, 5, boundary.z.back(), 0.05).interval.lo, 0,
              1e-6);
}

TEST(AlwaysValidProperty, RunningPNeverRisesAndIntervalsInvertTheTests) {
  Rng random(13);
  RunningMsprt running(0.01, 0.05);
  double p = 1;
  for (int n = 100; n < 20000; n += 100) {
    running.Look(Uniform(random, -0.05, 0.05), 2.0 / n);
    EXPECT_LE(running.p(), p);
    p = running.p();
  }
  for (const double z : {0.5, 2.0, 3.0, 4.0, 8.0}) {
    const double m = AsympCsMultiplier(5000, 0.03, 0.05);
    EXPECT_EQ(AsympCsP(z, 5000, 0.03) < 0.05, z > m);
    const MsprtResult r = MixtureSprt(z * 0.1, 0.01, 0.02, 0.05);
    EXPECT_EQ(r.p < 0.05, !r.interval.Contains(0));
    EXPECT_EQ(AnytimeLogE(z, 500, 2, 100) > std::log(20.0), z > AnytimeTRadius(500, 2, 100, 0.05));
  }
}

TEST(PowerProperty, PlansInvertThemselves) {
  for (const double power : {0.5, 0.8, 0.95}) {
    EXPECT_NEAR(PowerZ(MinimumDetectableEffect(0.3, power, 0.05), 0.3, 0.05), power, 1e-10);
    const auto size = SampleSizeMeans(0.2, 1.5, power, 0.05, 2);
    EXPECT_NEAR(PowerMeansT(size.t, 0.2, 1.5, 0.05, false), power, 1e-7);
    const auto rates = SampleSizeProportions(0.1, 0.12, power, 0.05, 2);
    EXPECT_NEAR(PowerProportions(0.1, 0.12, rates.pooled, 0.05, 2), power, 1e-12);
    const double mde = MinimumDetectableRelativeEffect(10, 400, 5000, power, CriticalZ(0.05));
    EXPECT_NEAR(PowerRelative(10, 400, 5000, mde, CriticalZ(0.05)), power, 1e-3);
  }
  EXPECT_LT(PowerZ(0.1, 0.1, 0.05), PowerZ(0.1, 0.05, 0.05));
}

TEST(ShrinkageProperty, SelectionIsForgottenFarFromTheThreshold) {
  EXPECT_NEAR(GivenSignificance(12, 1.96, 0.05).conditional_mle, 12, 1e-9);
  EXPECT_NEAR(GivenSignificance(12, 1.96, 0.05).median_unbiased, 12, 1e-9);
  EXPECT_NEAR(GivenSignificance(-3, 1.96, 0.05).conditional_mle,
              -GivenSignificance(3, 1.96, 0.05).conditional_mle, 1e-12);
  for (const double z : {1.97, 2.1, 2.5, 3.0}) {
    EXPECT_LT(GivenSignificance(z, 1.96, 0.05).conditional_mle, z);
  }
  EXPECT_NEAR(ExpectedMaximum(1), 0, 1e-12);
}

TEST(DistributionProperty, LogarithmsTakeOverWhereDoublesEnd) {
  for (const double x : {-5.0, 0.0, 2.0, 8.0, 20.0, 29.9, 30.1, 36.0}) {
    EXPECT_NEAR(LogNormalSf(x), std::log(NormalSf(x)), 1e-12 * (1 + std::abs(LogNormalSf(x))));
  }
  EXPECT_NEAR(LogNormalSf(1e5), -5e9 - std::log(1e5) - 0.9189385332046727, 1e-3);
  // The two branches meet: p falls smoothly through 1e-290.
  double before = 0;
  for (double t = 1; t < 1e6; t *= 1.05) {
    for (const double df : {3.0, 30.0, 1000.0, 1e6}) {
      const double log_p = LogTwoSidedTP(t, df);
      ASSERT_TRUE(std::isfinite(log_p)) << t << " " << df;
      if (df == 1000.0) {
        EXPECT_LT(log_p, before);
        before = log_p;
      }
    }
  }
  EXPECT_NEAR(LogTwoSidedTP(60, kInfinity), std::log(2.0) + LogNormalSf(60), 1e-9);
  EXPECT_NEAR(LogChiSquareSf(2000, 1), std::log(2.0) + LogNormalSf(std::sqrt(2000)), 1e-7);
  for (const double df : {1.0, 2.5, 40.0, 1e5}) {
    for (const double tail : {1e-200, 1e-12, 0.01, 0.3, 0.5, 0.9}) {
      EXPECT_NEAR(std::log(TSf(TUpperQuantile(tail, df), df)), std::log(tail),
                  1e-9 * (1 + std::abs(std::log(tail))));
    }
  }
}

void ExpectFinite(std::initializer_list<double> values) {
  for (const double x : values) EXPECT_FALSE(std::isnan(x));
}

TEST(NoNaN, ForAnyFiniteInput) {
  const std::vector<Proportion> rates = {{0, 1},       {1, 1},
                                         {0, 1000},    {1000, 1000},
                                         {1, 1000000}, {0, 1000000000000},
                                         {7, 10},      {500000000000, 1000000000000}};
  for (const Proportion t : rates) {
    for (const Proportion c : rates) {
      const auto r = TwoProportions(t, c, 0.05);
      ExpectFinite({r.diff, r.z_pooled, r.p_pooled, r.log_p_pooled, r.wald.lo, r.newcombe.lo,
                    r.newcombe.hi, r.agresti_caffo.lo, r.miettinen_nurminen.lo,
                    r.miettinen_nurminen.hi, r.z_unpooled.value_or(0)});
      EXPECT_LE(r.miettinen_nurminen.lo, r.diff + 1e-12);
      EXPECT_GE(r.miettinen_nurminen.hi, r.diff - 1e-12);
      const auto lift = RelativeLift({t.Rate(), t.Rate() * (1 - t.Rate()) / t.Count()},
                                     {c.Rate(), c.Rate() * (1 - c.Rate()) / c.Count()}, 0.05);
      ExpectFinite({lift.lift, lift.se_delta, lift.p_absolute, lift.p_delta, lift.fieller.lo});
    }
  }
  const std::vector<Moments> means = {{},
                                      {1, 5.0, 0},
                                      {2, 1e12, 2.0},
                                      {1000, 0, 0},
                                      {1000000000000, 1e12, 1e12},
                                      {50, 1, 49e-300},
                                      {30, -1e150, 1e290}};
  for (const Moments& t : means) {
    for (const Moments& c : means) {
      const WelchResult r = Welch(t, c, 0.05);
      ExpectFinite({r.diff, r.se, r.df, r.t, r.p, r.log_p, r.interval.lo, r.interval.hi});
      const WelchResult s = Student(t, c, 0.05);
      ExpectFinite({s.diff, s.se, s.t, s.p});
    }
  }
}

TEST(Speed, AFullReportsTestsTakeMilliseconds) {
  // 20 metrics x 2 comparisons x 10 slices, proportion and mean each: the statistics of one report.
  const auto start = std::chrono::steady_clock::now();
  double sink = 0;
  for (int i = 0; i < 400; ++i) {
    sink += TwoProportions({1200 + i, 10000}, {1150, 10100}, 0.05).miettinen_nurminen.lo;
    sink += Welch(Moments::FromVariance(10000, 1.02 + 0.001 * i, 4),
                  Moments::FromVariance(10100, 1.0, 4), 0.05)
                .p;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_TRUE(std::isfinite(sink));
  // Generous: sanitizers and a busy machine included. Optimised it is some milliseconds.
  EXPECT_LT(seconds.count(), 10.0);
}

}  // namespace
}  // namespace fulcrum::stats
