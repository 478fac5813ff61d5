// SPDX-License-Identifier: Apache-2.0
//
// Power: an experiment of the planned size finds the planned effect as often as planned.
#include <cmath>
#include <memory>

#include "calibrate/bench.h"
#include "calibrate/study.h"
#include "stats/cuped.h"
#include "stats/group_sequential.h"
#include "stats/means.h"
#include "stats/power.h"
#include "stats/proportions.h"
#include "stats/ratio.h"

namespace fulcrum::calibrate {
namespace {

constexpr double kAlpha = 0.05;
constexpr double kPower = 0.8;

struct Pair {
  explicit Pair(const Effects& effects) : treatment(effects) {}
  Shop control;
  Shop treatment;

  double Diff(Trait trait) const { return treatment.Mean(trait) - control.Mean(trait); }
};

int RoundUp(double units) { return static_cast<int>(std::ceil(units)); }

// With a realistic effect the plan is large and its normal approximation holds; with `small` a
// large effect makes it small, and skewness shows.
Study Planned(bool small) {
  Study study;
  study.key = small ? "power_small" : "power";
  study.rows = {{"proportion", "paid: pooled z at SampleSizeProportions", kPower},
                {"mean", "minutes: Welch at SampleSizeUnequal, 1:1", kPower},
                {"unequal", "minutes: Welch at SampleSizeUnequal, 1:3", kPower},
                {"heavy_tail", "revenue, 85% zeros and a heavy tail: the same", kPower},
                {"tost", "minutes, no effect: equivalence at PowerTost", kPower}};
  if (small) {
    for (StudyRow& row : study.rows) row.beyond = true;
  }
  study.prepare = [small](Plant) -> Replicate {
    Effects effects;
    effects.pay = small ? 1.3 : 1.12;
    effects.minutes = small ? 1.15 : 1.03;
    effects.value = small ? 1.25 : 1.05;
    auto pair = std::make_shared<const Pair>(effects);
    const int n_rate =
        RoundUp(stats::SampleSizeProportions(pair->control.Mean(kPay), pair->treatment.Mean(kPay),
                                             kPower, kAlpha, 2)
                    .pooled);
    const auto size = [&](Trait trait, double ratio) {
      return stats::SampleSizeUnequal(pair->control.Variance(trait),
                                      pair->treatment.Variance(trait), pair->Diff(trait), ratio,
                                      kPower, kAlpha);
    };
    const auto mean = size(kMinutes, 1);
    const auto unequal = size(kMinutes, 3);
    const auto tail = size(kRevenue, 1);
    // The margin at which 1,000 units an arm show equivalence in 80 of 100.
    const double sd = std::sqrt(pair->control.Variance(kMinutes));
    double margin = 0;
    for (double step = sd; step > 1e-9 * sd; step /= 2) {
      while (stats::PowerTost(sd, margin + step, 0, 1000, kAlpha) < kPower) margin += step;
    }
    return [=](Random& random, Tally& tally) {
      const auto moments = [&](const Shop& shop, Trait trait, double n) {
        return DrawGram(random, shop, {&trait, 1}, RoundUp(n)).moments(0);
      };
      const auto count = [&](const Shop& shop) {
        const auto m = moments(shop, kPay, n_rate);
        return stats::Proportion{std::llround(m.Sum()), m.n};
      };
      const auto rates =
          stats::TwoProportions(count(pair->treatment), count(pair->control), kAlpha);
      tally.Add(0, rates.p_pooled < kAlpha);
      const auto welch = [&](Trait trait, const stats::UnequalSampleSize& n) {
        return stats::Welch(moments(pair->treatment, trait, n.treatment),
                            moments(pair->control, trait, n.control), kAlpha)
                   .p < kAlpha;
      };
      tally.Add(1, welch(kMinutes, mean));
      tally.Add(2, welch(kMinutes, unequal));
      tally.Add(3, welch(kRevenue, tail));
      const auto tost =
          stats::TostWelch(moments(pair->control, kMinutes, 1000),
                           moments(pair->control, kMinutes, 1000), -margin, margin, kAlpha);
      tally.Add(4, tost.p < kAlpha);
    };
  };
  return study;
}

Study Adjusted() {
  Study study;
  study.key = "power_more";
  study.rows = {{"cuped", "minutes, planned with the correlation to minutes before: CUPED", kPower},
                {"ratio", "order value, planned with the delta method's unit variance", kPower},
                {"group", "minutes, 5 looks: O'Brien-Fleming at the inflated size", kPower}};
  study.prepare = [](Plant) -> Replicate {
    Effects effects;
    effects.minutes = 1.05;
    effects.value = 1.12;
    auto pair = std::make_shared<const Pair>(effects);
    constexpr std::array kPast = {kMinutes, kMinutesBefore, kSeenBefore};
    constexpr std::array kRatio = {kRevenue, kOrders};
    // The crowd's own residual variance and unit variance: a very large sample of it.
    Random planner(7);
    const stats::Gram past = DrawGram(planner, pair->control, kPast, 2'000'000);
    constexpr std::array<size_t, 2> kCovariates = {1, 2};
    const auto fit = stats::Cuped(past, past, 0, kCovariates, stats::CupedTheta::kPooled, kAlpha);
    const double residual = past.variance(0) * (1 - fit.variance_reduction);
    const double factor = effects.minutes * effects.minutes;
    const int n_cuped = RoundUp(stats::SampleSizeUnequal(residual, residual * factor,
                                                         pair->Diff(kMinutes), 1, kPower, kAlpha)
                                    .control);
    const auto unit = [&](const Shop& shop) {
      return stats::RatioMoments::Of(DrawGram(planner, shop, kRatio, 2'000'000), 0, 1)
          .UnitVariance();
    };
    const double diff =
        pair->treatment.RatioOf(kRevenue, kOrders) - pair->control.RatioOf(kRevenue, kOrders);
    const int n_ratio = RoundUp(stats::SampleSizeUnequal(unit(pair->control), unit(pair->treatment),
                                                         diff, 1, kPower, kAlpha)
                                    .control);
    const std::vector<double> looks = {1, 2, 3, 4, 5};
    const std::vector<double> fractions = {0.2, 0.4, 0.6, 0.8, 1};
    const auto bound = stats::OBrienFlemingBoundary(looks, kAlpha, 2).z;
    const double inflation = stats::SizeOf(fractions, bound, kAlpha, kPower, 2).inflation;
    const double fixed = stats::SampleSizeUnequal(pair->control.Variance(kMinutes),
                                                  pair->treatment.Variance(kMinutes),
                                                  pair->Diff(kMinutes), 1, kPower, kAlpha)
                             .control;
    const int batch = RoundUp(fixed * inflation / 5);
    return [=](Random& random, Tally& tally) {
      const auto adjusted = stats::Cuped(DrawGram(random, pair->treatment, kPast, n_cuped),
                                         DrawGram(random, pair->control, kPast, n_cuped), 0,
                                         kCovariates, stats::CupedTheta::kWithinArm, kAlpha);
      tally.Add(0, adjusted.p_z < kAlpha);
      const auto moments = [&](const Shop& shop) {
        return stats::RatioMoments::Of(DrawGram(random, shop, kRatio, n_ratio), 0, 1);
      };
      const auto ratio =
          stats::RatioDelta(moments(pair->treatment), moments(pair->control), kAlpha);
      tally.Add(1, ratio.p_z < kAlpha);
      constexpr std::array kTrait = {kMinutes};
      stats::Gram treatment(1);
      stats::Gram control(1);
      bool found = false;
      for (const double z : bound) {
        DrawInto(random, pair->treatment, kTrait, batch, &treatment);
        DrawInto(random, pair->control, kTrait, batch, &control);
        const auto r = stats::Welch(treatment.moments(0), control.moments(0), kAlpha);
        found = found || r.t > z;
      }
      tally.Add(2, found);
    };
  };
  return study;
}

}  // namespace

void AddPowerStudies(std::vector<Study>* out) {
  for (Study study : {Planned(false), Adjusted()}) {
    study.group = "Power at the planned size";
    out->push_back(std::move(study));
  }
  Study small = Planned(true);
  small.group = "Power of plans for large effects in few, skewed units: not promised, shown";
  out->push_back(std::move(small));
}

}  // namespace fulcrum::calibrate
