// SPDX-License-Identifier: Apache-2.0
// What must hold of clusters, randomisation, coupons, novelty, slices, overlap and corrections for
// a stop: identities, duality, equivariance and error rates.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "stats/always_valid.h"
#include "stats/bayes.h"
#include "stats/cluster.h"
#include "stats/coupon.h"
#include "stats/distributions.h"
#include "stats/factorial.h"
#include "stats/heterogeneity.h"
#include "stats/lift.h"
#include "stats/lin.h"
#include "stats/means.h"
#include "stats/novelty.h"
#include "stats/proportions.h"
#include "stats/randomisation.h"
#include "stats/shrinkage.h"
#include "stats/slices.h"

namespace fulcrum::stats {
namespace {

using Rng = std::mt19937_64;

double Uniform(Rng& random, double lo, double hi) {
  return std::uniform_real_distribution<double>(lo, hi)(random);
}

std::vector<ClusterRow> RandomClusters(Rng& random, int clusters, int most, double level) {
  std::vector<ClusterRow> rows;
  for (int g = 0; g < clusters; ++g) {
    const double size = std::floor(Uniform(random, 1, most + 1));
    rows.push_back({size, size * level + size * Uniform(random, -1, 1) + Uniform(random, -2, 2)});
  }
  return rows;
}

Gram AsGram(const std::vector<ClusterRow>& rows) {
  Gram gram(2);
  for (const ClusterRow& r : rows) {
    const double row[] = {r.sum, r.size};
    gram.Add(row);
  }
  return gram;
}

TEST(ClusterProperty, ClustersOfOneUnitAreWelchAndRegressionAgrees) {
  Rng random(1);
  std::vector<ClusterRow> t, c;
  std::vector<double> y, design;
  std::vector<std::size_t> cluster;
  Moments mt, mc;
  for (int i = 0; i < 60; ++i) {
    const double value = Uniform(random, 0, 1 + i % 2);
    (i % 2 == 1 ? t : c).push_back({1, value});
    (i % 2 == 1 ? mt : mc).Add(value);
    y.push_back(value);
    design.insert(design.end(), {1.0, static_cast<double>(i % 2)});
    cluster.push_back(static_cast<std::size_t>(i));
  }
  const ClusterResult r = ClusterDifference(t, c, 0.05);
  const WelchResult w = Welch(mt, mc, 0.05);
  EXPECT_NEAR(r.diff, w.diff, 1e-14);
  EXPECT_NEAR(r.se, w.se, 1e-14);
  // The working model has equal variances, so equal arms count as 2 (n - 1) degrees of freedom.
  EXPECT_NEAR(r.df, 58, 1e-9);
  const ClusteredRegression fit = ClusteredLeastSquares(y, design, 2, cluster);
  EXPECT_NEAR(fit.coefficient[1], r.diff, 1e-13);
  EXPECT_NEAR(fit.se_cr2[1], r.se, 1e-13);
  EXPECT_NEAR(fit.df[1], r.df, 1e-8);
  const RegressionResult plain = LeastSquares(y, design, 2);
  EXPECT_NEAR(fit.se_cr2[1], plain.se_hc2[1], 1e-13);
}

TEST(ClusterProperty, EquivariantSymmetricAndTheGramFormIsCloseAtManyClusters) {
  Rng random(2);
  for (int round = 0; round < 200; ++round) {
    auto t = RandomClusters(random, 3 + round % 40, 1 + round % 9, 5);
    auto c = RandomClusters(random, 2 + round % 31, 1 + round % 7, 5);
    const ClusterResult r = ClusterDifference(t, c, 0.05), mirror = ClusterDifference(c, t, 0.05);
    EXPECT_NEAR(mirror.diff, -r.diff, 1e-12);
    EXPECT_NEAR(mirror.p, r.p, 1e-12);
    EXPECT_EQ(r.p < 0.05, !r.interval.Contains(0));
    EXPECT_GE(r.df, 1 - 1e-9);
    EXPECT_LE(r.df, static_cast<double>(t.size() + c.size()) - 2 + 1e-6);
    EXPECT_EQ(r.few_clusters, t.size() + c.size() < kFewClusters);
    // Shifting every unit and changing the unit of money changes nothing that matters.
    for (auto* rows : {&t, &c}) {
      for (ClusterRow& row : *rows) row.sum = 8 * (row.sum + 3 * row.size);
    }
    const ClusterResult moved = ClusterDifference(t, c, 0.05);
    EXPECT_NEAR(moved.diff, 8 * r.diff, 1e-9);
    EXPECT_NEAR(moved.t, r.t, 1e-8 * (1 + std::abs(r.t)));
  }
  const auto t = RandomClusters(random, 800, 9, 5), c = RandomClusters(random, 900, 9, 5);
  const ClusterResult rows = ClusterDifference(t, c, 0.05);
  const ClusterResult gram = ClusterDifference(AsGram(t), AsGram(c), 0, 1, 0.05);
  EXPECT_NEAR(gram.diff, rows.diff, 1e-11);
  EXPECT_NEAR(gram.se, rows.se, 2e-3 * rows.se);
  EXPECT_NEAR(gram.df, rows.df, 0.02 * rows.df);
}

TEST(ClusterProperty, ReasonsInsteadOfNumbers) {
  const std::vector<ClusterRow> one = {{3, 4}}, two = {{1, 2}, {2, 5}}, flat = {{1, 2}, {3, 6}};
  const std::vector<ClusterRow> negative = {{-1, 2}, {2, 5}};
  EXPECT_EQ(ClusterDifference(one, two, 0.05).reason, Reason::kTooFewUnits);
  EXPECT_EQ(ClusterDifference({}, two, 0.05).reason, Reason::kTooFewUnits);
  EXPECT_EQ(ClusterDifference(negative, two, 0.05).reason, Reason::kInvalidInput);
  EXPECT_EQ(ClusterDifference(flat, flat, 0.05).reason, Reason::kNoVariance);
}

std::vector<RandomisedRow> RandomRows(Rng& random, int n, int treated, int strata) {
  std::vector<RandomisedRow> rows;
  for (int i = 0; i < n; ++i) {
    const double size = std::floor(Uniform(random, 1, 9));
    rows.push_back({{size, size * Uniform(random, 0, 4)},
                    i % n < treated,
                    static_cast<std::size_t>(i % strata)});
  }
  return rows;
}

TEST(RandomisationProperty, IntervalAndTestAreDualAndEquivariant) {
  Rng random(3);
  for (int round = 0; round < 60; ++round) {
    auto rows = RandomRows(random, 8 + round % 4, 4, 1 + round % 2);
    RandomisationOptions options;
    options.alpha = 0.1;
    const RandomisationResult r = RandomisationTest(rows, options);
    ASSERT_TRUE(r.exact);
    EXPECT_EQ(r.p > options.alpha, r.interval.Contains(0)) << round;
    EXPECT_LE(r.interval.lo, r.diff);
    EXPECT_GE(r.interval.hi, r.diff);
    EXPECT_GE(r.p, r.smallest_p - 1e-12);
    // An effect added to the treated moves everything by just that.
    for (RandomisedRow& row : rows) row.row.sum += row.treated ? 2.5 * row.row.size : 0.0;
    const RandomisationResult moved = RandomisationTest(rows, options);
    EXPECT_NEAR(moved.diff, r.diff + 2.5, 1e-10);
    EXPECT_NEAR(moved.interval.lo, r.interval.lo + 2.5, 1e-8);
    EXPECT_NEAR(moved.interval.hi, r.interval.hi + 2.5, 1e-8);
  }
}

TEST(RandomisationProperty, SamplingAgreesWithEnumerationAndIsSeeded) {
  Rng random(4);
  const auto rows = RandomRows(random, 12, 6, 1);
  RandomisationOptions all, some;
  some.enumerate_at_most = 0;
  const RandomisationResult exact = RandomisationTest(rows, all);
  const RandomisationResult drawn = RandomisationTest(rows, some);
  EXPECT_FALSE(drawn.exact);
  EXPECT_EQ(exact.assignments, 924);
  // Five standard errors of 20,000 draws.
  EXPECT_NEAR(drawn.p, exact.p, 5 * std::sqrt(exact.p * (1 - exact.p) / 20000) + 1e-4);
  EXPECT_EQ(drawn.p, RandomisationTest(rows, some).p);
  EXPECT_EQ(drawn.interval.lo, RandomisationTest(rows, some).interval.lo);
}

TEST(RandomisationProperty, RejectsATrueNullNoMoreOftenThanAlpha) {
  // Over every assignment of fixed outcomes the share with p <= alpha is at most alpha: exactly.
  Rng random(5);
  auto rows = RandomRows(random, 9, 4, 1);
  std::vector<char> labels(9, 0);
  std::fill(labels.begin(), labels.begin() + 4, 1);
  std::sort(labels.begin(), labels.end());
  int total = 0, rejected = 0;
  do {
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].treated = labels[i] == 1;
    rejected += RandomisationTest(rows, {}).p <= 0.05;
    ++total;
  } while (std::next_permutation(labels.begin(), labels.end()));
  EXPECT_EQ(total, 126);
  EXPECT_LE(rejected, 0.05 * total);
  EXPECT_GT(rejected, 0);
}

TEST(CouponProperty, BoundsAreOrderedAndHoldTheTruth) {
  // A shop whose principal strata are known: always-buyers, units won, units never won; some
  // always-buyers use the coupon too.
  Rng random(6);
  Gram t(4), c(4);
  double always_redeemed = 0, redeemed = 0, always_money = 0, money = 0;
  for (int i = 0; i < 40000; ++i) {
    const double u = Uniform(random, 0, 1);
    const bool always = u < 0.2, won = u >= 0.2 && u < 0.26;
    const bool uses = (always && Uniform(random, 0, 1) < 0.6) || won;
    const double cost = won ? 4 : 2;  // the won hold dearer coupons than the rest
    if (i % 2 == 0) {
      const double buys = always || won ? 1 : 0, used = uses ? 1 : 0;
      const double row[] = {buys, buys * 10 - used * cost, used * cost, used};
      t.Add(row);
      redeemed += used;
      money += used * cost;
      if (always) always_redeemed += used, always_money += used * cost;
    } else {
      const double row[] = {always ? 1.0 : 0.0, always ? 10.0 : 0.0, 0, 0};
      c.Add(row);
    }
  }
  const CouponEconomics e = AnalyseCoupon(t, c, {}, 0.05);
  const SubsidyShare& s = e.to_always_buyers;
  ASSERT_EQ(s.reason, Reason::kNone);
  const double truth = always_redeemed / redeemed, of_money = always_money / money;
  EXPECT_LE(s.no_assumption.low, s.monotone.low);
  EXPECT_LE(s.money.low, s.monotone.low);
  EXPECT_EQ(s.monotone.low, s.through_use);
  EXPECT_TRUE(s.through_use_interval.Contains(truth));
  EXPECT_TRUE(s.monotone.interval.Contains(truth));
  EXPECT_TRUE(s.money.interval.Contains(of_money));
  EXPECT_LT(of_money, truth);  // so a bound that took money for coupons would be wrong
  EXPECT_EQ(e.cost_per_order.reason, Reason::kNone);
  // Nothing in the control arm can be redeemed; a redeemer there makes the share unknowable.
  const double odd[] = {1, 10, 2, 1};
  c.Add(odd);
  EXPECT_EQ(AnalyseCoupon(t, c, {}, 0.05).to_always_buyers.reason, Reason::kInvalidInput);
  // No extra order: the cost per order has no bounded interval, and says so.
  const CouponEconomics none = AnalyseCoupon(t, t, {}, 0.05);
  EXPECT_EQ(none.cost_per_order.reason, Reason::kDenominatorNearZero);
}

TEST(NoveltyProperty, DaysAsIndependentWouldBeWrongAndOneLineIsExact) {
  Rng random(7);
  Gram t(4), c(4);
  for (int i = 0; i < 500; ++i) {
    const double own = Uniform(random, 0, 5);  // a unit's days are alike
    double row[4];
    for (int d = 0; d < 4; ++d) row[d] = own + Uniform(random, 0, 1) + (i % 2 ? 2 - 0.5 * d : 0);
    (i % 2 ? t : c).Add(row);
  }
  const std::vector<std::size_t> columns = {0, 1, 2, 3};
  const std::vector<double> days = {0, 1, 2, 3};
  const NoveltyResult r = AnalyseNovelty(t, c, columns, days, 0.05);
  EXPECT_EQ(r.verdict, NoveltyVerdict::kFading);
  EXPECT_TRUE(r.per_day.slope_interval.Contains(-0.5));
  std::vector<double> diagonal(16, 0.0);
  for (std::size_t i = 0; i < 4; ++i) diagonal[i * 4 + i] = r.covariance[i * 4 + i];
  const EffectTrend independent = WeightedTrendJoint(days, r.effect, diagonal, 0.05);
  EXPECT_NEAR(independent.slope, r.per_day.slope, 1e-12);
  EXPECT_GT(independent.slope_se, 3 * r.per_day.slope_se);
  // With unrelated days it is the ordinary weighted line.
  std::vector<Estimate> effects;
  for (std::size_t i = 0; i < 4; ++i) effects.push_back({r.effect[i], diagonal[i * 4 + i]});
  const TrendResult plain = WeightedTrend(days, effects);
  EXPECT_NEAR(plain.slope, independent.slope, 1e-12);
  EXPECT_NEAR(plain.slope_se, independent.slope_se, 1e-12);
}

TEST(SliceProperty, SlicesAddUpToTheWhole) {
  Rng random(8);
  for (int round = 0; round < 300; ++round) {
    std::vector<Slice> slices;
    Moments t, c;
    for (int k = 0; k < 1 + round % 7; ++k) {
      Slice s;
      const double level = std::pow(10, Uniform(random, 0, round % 3 == 0 ? 9 : 2));
      for (int i = 0; i < round % 11 * k; ++i) s.treatment.Add(level + Uniform(random, 0, 2));
      for (int i = 0; i < 2 + round % 5; ++i) s.control.Add(level + Uniform(random, 0, 2));
      t.Merge(s.treatment);
      c.Merge(s.control);
      slices.push_back(s);
    }
    const SliceAnalysis r = AnalyseSlices(slices, 0.05);
    double sum = r.mix;
    for (const SliceEffect& e : r.slices) sum += e.contribution;
    const double scale = std::abs(t.mean) + std::abs(c.mean) + 1;
    if (t.n > 0) {
      EXPECT_NEAR(r.total, t.mean - c.mean, 1e-12 * scale);
      EXPECT_NEAR(sum, r.total, 1e-11 * scale);
    }
    for (const SliceEffect& e : r.slices) {
      if (e.reason != Reason::kNone) continue;
      EXPECT_GE(e.p_adjusted, e.p);
      EXPECT_LE(e.shrunk_sd, e.se * (1 + 1e-9));
      EXPECT_LE(std::abs(e.shrunk - r.common), std::abs(e.diff - r.common) * (1 + 1e-9) + 1e-12);
    }
  }
}

TEST(QuantileSequenceProperty, CoversAtEveryLookTogether) {
  Rng random(11);
  const double truth = 0.8;  // the 0.8 quantile of uniform values
  int missed = 0;
  for (int run = 0; run < 300; ++run) {
    std::vector<double> values;
    bool covered = true;
    while (values.size() < 300) {
      for (int i = 0; i < 20; ++i) values.push_back(Uniform(random, 0, 1));
      std::vector<double> sorted(values);
      std::sort(sorted.begin(), sorted.end());
      covered = covered && QuantileSequence(sorted, 0.8, 150, 0.1).Contains(truth);
    }
    missed += !covered;
    std::sort(values.begin(), values.end());
    const Interval last = QuantileSequence(values, 0.8, 150, 0.1);
    EXPECT_LT(last.Width(), 0.25);
  }
  EXPECT_LE(missed, 47);  // exact 99.9% binomial bound of 300 at 0.1
  EXPECT_GT(missed, 0);
  const std::vector<double> few = {1, 2, 3};
  EXPECT_EQ(QuantileSequence(few, 0.5, 100, 0.05).lo, -kInfinity);
}

TEST(LargeCountProperty, DensitiesAndTailsGoOnWhereTheUsualFormsEnd) {
  // Either side of the switch at 10^7 the figures are one function.
  for (const double z : {-5.0, -2.0, -0.01, 0.0, 0.5, 3.0, 5.0}) {
    const double below = 9999999.9, above = 10000000.1;
    const auto at = [z](double a) { return a + z * std::sqrt(a); };
    EXPECT_NEAR(GammaPdf(at(above), above, 1) / GammaPdf(at(below), below, 1), 1, 1e-6);
    EXPECT_NEAR(RegularisedGammaP(above, at(above)), RegularisedGammaP(below, at(below)), 1e-9);
    EXPECT_NEAR(RegularisedGammaQ(above, at(above)), RegularisedGammaQ(below, at(below)), 1e-9);
    const double p = 0.3 + z * 1e-4;
    EXPECT_NEAR(BetaPdf(p, 10000000.0001, 23333333) / BetaPdf(p, 9999999.9999, 23333333), 1, 1e-6);
  }
  // 10^12 events in an arm: the normal limit, and the two sides add up.
  const PairComparison gamma =
      ComparePair(GammaPosterior(1e12, 1e6), GammaPosterior(1e12 + 1e6, 1e6));
  EXPECT_NEAR(gamma.prob_b_greater, NormalCdf(std::sqrt(0.5)), 1e-6);
  EXPECT_NEAR(gamma.prob_b_greater + gamma.prob_a_greater, 1, 1e-9);
  const PairComparison beta =
      ComparePair(BetaPosterior(1e11, 9e11), BetaPosterior(1e11 + 1e5, 9e11 - 1e5));
  EXPECT_NEAR(beta.prob_b_greater, NormalCdf(1e5 / std::sqrt(2 * 9e10)), 2e-6);
  EXPECT_NEAR(beta.prob_b_greater + beta.prob_a_greater, 1, 1e-6);
}

TEST(LargeCountProperty, FishersTestEndsAtTenToTheTwelve) {
  const std::int64_t n = 1000000000000;
  const FisherResult r = FisherExact({n / 2, n}, {n / 2 + 700000, n});
  EXPECT_NEAR(r.p_two_sided, 0.3222, 1e-4);  // the normal limit: z = 0.7e6 / sqrt(n / 2)
  EXPECT_EQ(FisherExact({0, n}, {n, n}).p_two_sided, 0);
}

TEST(MetaProperty, OneEffectFarMoreExactThanTheRestIsNoTrouble) {
  const std::vector<double> value = {0.02, 0.011, -0.004, 0.035}, se = {1e-12, 0.009, 0.007, 0.012};
  std::vector<Estimate> effects;
  double others = 0, q = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    effects.push_back({value[i], se[i] * se[i]});
    if (i == 0) continue;
    others += 1 / effects[i].variance;
    q += (value[i] - value[0]) * (value[i] - value[0]) / effects[i].variance;
  }
  const MetaResult r = MetaAnalysis(effects);
  EXPECT_NEAR(r.q, q, 1e-9 * q);
  // sum w - sum w^2 / sum w tends to twice the others' weights.
  EXPECT_NEAR(r.tau2_dl, (q - 3) / (2 * others), 1e-9);
  EXPECT_NEAR(r.fixed, 0.02, 1e-12);
  for (const double x : {r.random, r.random_se, r.tau2_reml, r.random_reml, r.random_reml_se}) {
    EXPECT_TRUE(std::isfinite(x));
  }
}

TEST(MonotoneProperty, MoreUnitsAndLooserAlphaNarrowEveryInterval) {
  double welch = kInfinity, lift = kInfinity, cluster = kInfinity, coupon = kInfinity;
  for (const std::int64_t k : {1, 4, 16, 64}) {
    const Moments t = Moments::FromVariance(50 * k, 11, 9),
                  c = Moments::FromVariance(60 * k, 10, 8);
    double tighter = kInfinity;
    for (const double alpha : {0.001, 0.01, 0.05, 0.2}) {
      const double width = Welch(t, c, alpha).interval.Width();
      EXPECT_LT(width, tighter);
      tighter = width;
    }
    const WelchResult w = Welch(t, c, 0.05);
    EXPECT_LT(w.interval.Width(), welch);
    welch = w.interval.Width();
    const LiftResult l =
        RelativeLift({t.mean, t.VarianceOfMean()}, {c.mean, c.VarianceOfMean()}, 0.05);
    EXPECT_LT(l.fieller.hi - l.fieller.lo, lift);
    lift = l.fieller.hi - l.fieller.lo;
    std::vector<ClusterRow> rows_t, rows_c;
    for (std::int64_t g = 0; g < 6 * k; ++g) {
      const double size = 2 + static_cast<double>(g % 3), noise = g % 2 == 0 ? 1 : -1;
      rows_t.push_back({size, size * (5 + noise)});
      rows_c.push_back({size, size * (4 + noise)});
    }
    const ClusterResult r = ClusterDifference(rows_t, rows_c, 0.05);
    EXPECT_LT(r.interval.Width(), cluster);
    cluster = r.interval.Width();
    const auto arm = [&](double buyers, double cost) {
      Gram g(4);
      const double yes[] = {1, 10 - cost, cost, cost > 0 ? 1.0 : 0.0}, no[] = {0, 0, 0, 0};
      g.AddRepeated(yes, static_cast<std::int64_t>(buyers) * k);
      g.AddRepeated(no, static_cast<std::int64_t>(200 - buyers) * k);
      return g;
    };
    const FiellerSet s = AnalyseCoupon(arm(90, 3), arm(50, 0), {}, 0.05).cost_per_order.set;
    ASSERT_EQ(s.shape, FiellerSet::Shape::kBounded);
    EXPECT_LT(s.hi - s.lo, coupon);
    coupon = s.hi - s.lo;
  }
}

TEST(FactorialProperty, TwoByTwoIsTheClassicalInteraction) {
  Rng random(9);
  Moments square[2][2];
  std::vector<Moments> flat;
  for (auto& row : square) {
    for (Moments& cell : row) {
      for (int i = 0; i < 40; ++i) cell.Add(Uniform(random, 0, 3));
      flat.push_back(cell);
    }
  }
  const FactorialAnalysis r = AnalyseFactorial(flat, 2, 0.05);
  const FactorialResult classic = Factorial2x2(square);
  ASSERT_EQ(r.cells.size(), 1u);
  EXPECT_NEAR(r.cells[0].interaction.diff, classic.interaction.diff, 1e-13);
  EXPECT_NEAR(r.p, classic.interaction.p, 1e-12);
  EXPECT_NEAR(r.main_a[0].diff, classic.main_a.diff, 1e-13);
  EXPECT_NEAR(r.main_b[0].se, classic.main_b.se, 1e-13);
  flat[3] = Moments();
  EXPECT_EQ(AnalyseFactorial(flat, 2, 0.05).reason, Reason::kTooFewUnits);
}

TEST(StopProperty, OneLookIsTheTruncatedNormalAndCorrectionsShrink) {
  const std::vector<double> information = {4.0}, bound = {1.96};
  for (const double z : {1.97, 2.3, -2.8, 4.5}) {
    const StoppedEstimate stop = GivenStop(information, bound, 1, z, 0.05);
    const SelectedEstimate one = GivenSignificance(z, 1.96, 0.05);
    EXPECT_NEAR(stop.conditional_mle, one.conditional_mle / 2, 1e-6);
    EXPECT_NEAR(stop.median_unbiased, one.median_unbiased / 2, 1e-6);
    EXPECT_NEAR(stop.interval.lo, one.interval.lo / 2, 1e-6);
    EXPECT_LE(std::abs(stop.conditional_mle), std::abs(stop.naive));
  }
  // Without a bound worth the name nothing is corrected.
  const std::vector<double> low = {1e-6};
  EXPECT_NEAR(GivenStop(information, low, 1, 2.0, 0.05).conditional_mle, 1.0, 1e-4);
}

TEST(StopProperty, TheConditionalIntervalCoversAfterAStopWhereTheNaiveOneDoesNot) {
  // Looks at I = 1..4 with z bounds of 2.2; the effect is small, so stopping is mostly luck.
  const std::vector<double> information = {1, 2, 3, 4}, bounds(4, 2.2);
  const double truth = 0.4, alpha = 0.1;
  Rng random(10);
  std::normal_distribution<double> normal;
  int stopped = 0, covered = 0, naive = 0;
  while (stopped < 400) {
    double score = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      score += truth + normal(random);
      const double z = score / std::sqrt(information[k]);
      if (std::abs(z) < bounds[k]) continue;
      const StoppedEstimate e = GivenStop(information, bounds, k + 1, z, alpha);
      covered += e.interval.Contains(truth);
      naive += e.naive_interval.Contains(truth);
      ++stopped;
      break;
    }
  }
  // Exact binomial 99.9% band of 400 at 0.9: 339 to 378.
  EXPECT_GE(covered, 339);
  EXPECT_LE(covered, 378);
  EXPECT_LT(naive, 339);
}

}  // namespace
}  // namespace fulcrum::stats
