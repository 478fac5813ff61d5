// SPDX-License-Identifier: Apache-2.0
//
// Estimates that are more than a difference: selected ones, ratios of effects, posteriors,
// shrunken covariates, adaptive allocation.
#include <cmath>
#include <memory>

#include "calibrate/bench.h"
#include "calibrate/study.h"
#include "stats/bandit.h"
#include "stats/bayes.h"
#include "stats/cuped.h"
#include "stats/distributions.h"
#include "stats/joint.h"
#include "stats/lin.h"
#include "stats/means.h"
#include "stats/shrinkage.h"

namespace fulcrum::calibrate {
namespace {

constexpr double kAlpha = 0.05;
constexpr double kZ = 1.959963984540054;
constexpr int kUnits = 1000;

// Only what was significant is looked at: the winner's curse, and its correction.
Study Winners() {
  Study study;
  study.key = "winner";
  study.rows = {
      {"interval", "minutes, among significant results of 50% power: conditional interval", 0.95},
      {"median", "the same: the median-unbiased estimate is over the truth", 0.5},
      {"naive", "the same: the uncorrected estimate is over the truth", 0.5, Claim::kAtMost, true}};
  study.prepare = [](Plant) -> Replicate {
    struct World {
      Shop control;
      Shop treatment;
    };
    Effects effects;
    effects.minutes = 1.05;
    auto world = std::make_shared<const World>(World{Shop(), Shop(effects)});
    const double truth = world->treatment.Mean(kMinutes) - world->control.Mean(kMinutes);
    const double variance = world->treatment.Variance(kMinutes) + world->control.Variance(kMinutes);
    const int n = static_cast<int>(variance * kZ * kZ / (truth * truth));
    return [=](Random& random, Tally& tally) {
      constexpr std::array kTrait = {kMinutes};
      const auto r = stats::Welch(DrawGram(random, world->treatment, kTrait, n).moments(0),
                                  DrawGram(random, world->control, kTrait, n).moments(0), kAlpha);
      if (std::fabs(r.t) <= kZ) return;
      const auto given = stats::GivenSignificance(r.t, kZ, kAlpha);
      tally.Add(0, given.interval.Contains(truth / r.se));
      tally.Add(1, given.median_unbiased * r.se > truth);
      tally.Add(2, r.diff > truth);
    };
  };
  return study;
}

// The corrected figures as the report prints them beneath a metric that passed.
Study ReportedWinners() {
  Study study;
  study.key = "winner_report";
  study.rows = {{"interval",
                 "minutes, where the report calls the arm better or worse: its corrected "
                 "interval",
                 0.95},
                {"median", "the same: its corrected estimate is over the truth", 0.5}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment = "primary: [minutes]\nanalysis: {cuped: false}\n";
    options.arms[1].minutes = 1.05;
    auto bench = std::make_shared<const Bench>(options);
    const double truth = bench->shop(1).Mean(kMinutes) - bench->shop(0).Mean(kMinutes);
    return [bench, truth](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      const auto& c = Find(report, "minutes");
      if (!c.corrected) return;
      tally.Add(0, c.corrected->lo <= truth && truth <= c.corrected->hi);
      tally.Add(1, c.corrected->median_unbiased > truth);
    };
  };
  return study;
}

bool Holds(const stats::FiellerSet& set, double truth) {
  switch (set.shape) {
    case stats::FiellerSet::Shape::kBounded:
      return set.lo <= truth && truth <= set.hi;
    case stats::FiellerSet::Shape::kComplement:
      return truth <= set.lo || truth >= set.hi;
    case stats::FiellerSet::Shape::kWholeLine:
      break;
  }
  return true;
}

// What a coupon brings for what it costs; and the same where it brings almost no order more.
Study Coupons() {
  Study study;
  study.key = "coupon";
  study.rows = {{"profit_per_cost", "extra profit per coupon cost: Fieller", 0.95},
                {"cost_per_order",
                 "coupon cost per extra order: Fieller, often unbounded and said "
                 "so",
                 0.95}};
  study.prepare = [](Plant) -> Replicate {
    struct World {
      Shop control;
      Shop treatment;
    };
    Effects effects;
    effects.pay = 1.15;
    effects.coupon = 0.1;
    auto world = std::make_shared<const World>(World{Shop(), Shop(effects)});
    const auto diff = [&](Trait t) { return world->treatment.Mean(t) - world->control.Mean(t); };
    const double profit = diff(kProfit) / diff(kCouponCost);
    const double order = diff(kCouponCost) / diff(kOrders);
    return [=](Random& random, Tally& tally) {
      constexpr std::array kTraitsUsed = {kProfit, kCouponCost, kOrders};
      const auto treatment = DrawGram(random, world->treatment, kTraitsUsed, kUnits);
      const auto control = DrawGram(random, world->control, kTraitsUsed, kUnits);
      tally.Add(0, Holds(stats::RatioOfEffects(treatment, control, 0, 1, kAlpha).set, profit));
      tally.Add(1, Holds(stats::RatioOfEffects(treatment, control, 1, 2, kAlpha).set, order));
    };
  };
  return study;
}

// True effects drawn from the prior that the analysis states: then a posterior means what it says.
Study Posteriors() {
  Study study;
  study.key = "bayes";
  study.rows = {{"interval", "minutes, effects drawn from the prior: posterior interval", 0.95},
                {"tail", "the same: the true effect is under the posterior's 10% quantile", 0.1},
                {"win",
                 "the same: the treatment is worse where a chance to win of 95% or more is "
                 "claimed",
                 0.05, Claim::kAtMost},
                {"peeking", "no effect, flat prior, stopped at a 95% chance to win in 10 looks",
                 0.05, Claim::kAtMost, true}};
  study.prepare = [](Plant) -> Replicate {
    auto shop = std::make_shared<const Shop>();
    const double sd = std::sqrt(2 * shop->Variance(kMinutes) / kUnits);
    return [=](Random& random, Tally& tally) {
      constexpr std::array kTrait = {kMinutes};
      const auto draw = [&](int n) { return DrawGram(random, *shop, kTrait, n).moments(0); };
      const double effect = 1.5 * sd * random.Normal();
      const stats::NormalPrior prior{0, 2.25 * sd * sd};
      const auto r = stats::Welch(draw(kUnits), draw(kUnits), kAlpha);
      const auto posterior =
          stats::NormalEffect(r.diff + effect, r.se * r.se, prior, false, kAlpha);
      tally.Add(0, posterior.interval.Contains(effect));
      tally.Add(1, effect < posterior.mean - 1.2815515655446004 * posterior.sd);
      if (posterior.chance_to_win >= 0.95) tally.Add(2, effect <= 0);
      stats::Moments treatment;
      stats::Moments control;
      bool stopped = false;
      for (int look = 0; look < 10; ++look) {
        treatment.Merge(draw(kUnits / 10));
        control.Merge(draw(kUnits / 10));
        const auto now = stats::Welch(treatment, control, kAlpha);
        stopped |=
            stats::NormalEffect(now.diff, now.se * now.se, {}, false, kAlpha).chance_to_win > 0.95;
      }
      tally.Add(3, stopped);
    };
  };
  return study;
}

// Regression adjustments beside the report's: shrunken covariates, Lin.
Study Adjustments() {
  Study study;
  study.key = "adjust";
  study.rows = {{"ridge", "minutes, 3 covariates shrunk by cross-validation: false positives"},
                {"lin", "minutes, interacted regression (Lin): false positives"},
                {"few", "the same with 40 units an arm: false positives", kAlpha}};
  study.prepare = [](Plant) -> Replicate {
    auto shop = std::make_shared<const Shop>();
    return [shop](Random& random, Tally& tally) {
      constexpr std::array kTraitsUsed = {kMinutes, kMinutesBefore, kOrdersBefore, kSeenBefore};
      constexpr std::array<size_t, 3> kCovariates = {1, 2, 3};
      const auto treatment = DrawGram(random, *shop, kTraitsUsed, kUnits);
      const auto control = DrawGram(random, *shop, kTraitsUsed, kUnits);
      stats::Gram pooled = treatment;
      pooled.Merge(control);
      const auto theta = stats::EstimateRidgeTheta(pooled, 0, kCovariates).theta;
      tally.Add(0, stats::Cuped(treatment, control, 0, kCovariates, theta, kAlpha).p_z < kAlpha);
      tally.Add(1, stats::LinFromGram(treatment, control, 0, kCovariates, kAlpha).p < kAlpha);
      const auto few =
          stats::LinFromGram(DrawGram(random, *shop, kTraitsUsed, 40),
                             DrawGram(random, *shop, kTraitsUsed, 40), 0, kCovariates, kAlpha);
      tally.Add(2, few.p < kAlpha);
    };
  };
  return study;
}

// A bandit moves traffic towards the arm that looks better; both are the same.
Study Bandits() {
  Study study;
  study.key = "bandit";
  study.rows = {{"period_weighted",
                 "paid, two equal arms under Thompson weights, 8 periods: "
                 "period-weighted difference, false positives"},
                {"pooled", "the same: z test of pooled rates", kAlpha, Claim::kExactly, true}};
  study.prepare = [](Plant) -> Replicate {
    auto shop = std::make_shared<const Shop>();
    return [shop](Random& random, Tally& tally) {
      constexpr std::array kTrait = {kPay};
      std::vector<stats::Period> periods;
      stats::Proportion all[2];
      double share = 0.5;
      for (int period = 0; period < 8; ++period) {
        const int treated = static_cast<int>(std::lround(400 * share));
        const auto draw = [&](int n) {
          const auto m = DrawGram(random, *shop, kTrait, n).moments(0);
          return stats::Proportion{std::llround(m.Sum()), m.n};
        };
        periods.push_back({draw(treated), draw(400 - treated)});
        all[1].events += periods.back().treatment.events;
        all[1].n += periods.back().treatment.n;
        all[0].events += periods.back().control.events;
        all[0].n += periods.back().control.n;
        const auto variance = [](const stats::Proportion& p) {
          const double rate = (static_cast<double>(p.events) + 1) / (p.Count() + 2);
          return rate * (1 - rate) / p.Count();
        };
        const double z =
            (all[1].Rate() - all[0].Rate()) / std::sqrt(variance(all[0]) + variance(all[1]));
        share = stats::FlooredWeights(std::array{stats::NormalSf(z), stats::NormalCdf(z)}, 0.1)[1];
      }
      tally.Add(0, stats::PeriodWeightedDifference(periods).difference.p < kAlpha);
      const double n = all[0].Count() + all[1].Count();
      const double p = static_cast<double>(all[0].events + all[1].events) / n;
      const double se = std::sqrt(p * (1 - p) * (1 / all[0].Count() + 1 / all[1].Count()));
      tally.Add(1, std::fabs(all[1].Rate() - all[0].Rate()) / se > kZ);
    };
  };
  return study;
}

}  // namespace

void AddEstimateStudies(std::vector<Study>* out) {
  for (Study study :
       {Winners(), ReportedWinners(), Coupons(), Posteriors(), Adjustments(), Bandits()}) {
    study.group = "Estimates beyond a difference";
    out->push_back(std::move(study));
  }
}

}  // namespace fulcrum::calibrate
