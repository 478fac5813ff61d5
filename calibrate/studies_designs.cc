// SPDX-License-Identifier: Apache-2.0
//
// Designs beyond independent units at one instant: clusters, effects that change with the days,
// coupons, estimates after a stop.
#include <cmath>
#include <memory>

#include "calibrate/bench.h"
#include "calibrate/study.h"
#include "stats/cluster.h"
#include "stats/coupon.h"
#include "stats/group_sequential.h"
#include "stats/means.h"
#include "stats/novelty.h"
#include "stats/randomisation.h"
#include "stats/shrinkage.h"

namespace fulcrum::calibrate {
namespace {

constexpr double kAlpha = 0.05;

struct DrawnCluster {
  stats::ClusterRow row;
  stats::Moments units;
};

// A shop whose visitors share its luck: 20 to 60 units, an intra-cluster correlation of about 0.1.
DrawnCluster DrawCluster(Random& random, const Shop& shop) {
  const int size = 20 + static_cast<int>(40 * random.Uniform());
  const double luck = std::exp(0.25 * random.Normal());
  DrawnCluster out;
  for (const size_t person : DrawPeople(random, size)) {
    out.units.Add(luck * shop.at(person, kMinutes));
  }
  out.row = {static_cast<double>(size), out.units.Sum()};
  return out;
}

Study Clusters() {
  Study study;
  study.key = "clusters";
  study.rows = {{"cr2", "minutes, 20 clusters an arm of unlike sizes: CR2, Satterthwaite"},
                {"few", "the same, 6 clusters an arm: CR2, Satterthwaite"},
                {"randomisation",
                 "the same, 6 clusters an arm: randomisation inference; discrete, "
                 "so at most",
                 kAlpha, Claim::kAtMost},
                {"units", "the same, 20 clusters an arm: Welch over units as if independent",
                 kAlpha, Claim::kExactly, true}};
  study.prepare = [](Plant) -> Replicate {
    auto shop = std::make_shared<const Shop>();
    return [shop](Random& random, Tally& tally) {
      std::vector<stats::ClusterRow> arms[2];
      stats::Moments units[2];
      for (size_t arm = 0; arm < 2; ++arm) {
        for (int c = 0; c < 20; ++c) {
          const DrawnCluster drawn = DrawCluster(random, *shop);
          arms[arm].push_back(drawn.row);
          units[arm].Merge(drawn.units);
        }
      }
      tally.Add(0, stats::ClusterDifference(arms[1], arms[0], kAlpha).p < kAlpha);
      tally.Add(3, stats::Welch(units[1], units[0], kAlpha).p < kAlpha);
      std::vector<stats::RandomisedRow> rows;
      for (size_t arm = 0; arm < 2; ++arm) {
        arms[arm].resize(6);
        for (const stats::ClusterRow& row : arms[arm]) rows.push_back({row, arm == 1, 0});
      }
      tally.Add(1, stats::ClusterDifference(arms[1], arms[0], kAlpha).p < kAlpha);
      tally.Add(2, stats::RandomisationTest(rows, {}).p <= kAlpha);
    };
  };
  return study;
}

constexpr size_t kDays = 3;
using DailyRow = std::array<double, kDays>;

// Minutes of three days of one unit: its own level, a little of each day's own.
stats::Gram DrawDays(Random& random, const Shop& shop, int count, const DailyRow& effect) {
  std::vector<double> rows;
  for (const size_t person : DrawPeople(random, count)) {
    for (size_t d = 0; d < kDays; ++d) {
      rows.push_back(shop.at(person, kMinutes) * (0.8 + 0.4 * random.Uniform()) + effect[d]);
    }
  }
  stats::Gram gram(kDays);
  gram.AddRows(rows);
  return gram;
}

Study Novelty() {
  Study study;
  study.key = "novelty";
  study.rows = {{"trend",
                 "a lasting effect called fading or growing: trend over days that share "
                 "their units"},
                {"equal", "the same: days called different by chi-squared"},
                {"slope", "a fading effect: interval of its slope", 0.95},
                {"days", "a fading effect: all 3 days' intervals hold their truths", 0.95}};
  study.prepare = [](Plant) -> Replicate {
    auto shop = std::make_shared<const Shop>();
    return [shop](Random& random, Tally& tally) {
      constexpr std::array<size_t, kDays> kColumns = {0, 1, 2};
      constexpr DailyRow kAxis = {0, 1, 2};
      constexpr DailyRow kNone = {0, 0, 0};
      constexpr DailyRow kLasting = {0.5, 0.5, 0.5};
      constexpr DailyRow kFading = {0.6, 0.4, 0.2};
      const stats::Gram control = DrawDays(random, *shop, 1000, kNone);
      const auto lasting = stats::AnalyseNovelty(DrawDays(random, *shop, 1000, kLasting), control,
                                                 kColumns, kAxis, kAlpha);
      tally.Add(0, lasting.per_day.p < kAlpha);
      tally.Add(1, lasting.p_equal < kAlpha);
      const auto fading = stats::AnalyseNovelty(DrawDays(random, *shop, 1000, kFading), control,
                                                kColumns, kAxis, kAlpha);
      tally.Add(2, fading.per_day.slope_interval.Contains(-0.2));
      bool covered = true;
      for (size_t d = 0; d < kDays; ++d) {
        covered = covered && fading.interval[d].Contains(kFading[d]);
      }
      tally.Add(3, covered);
    };
  };
  return study;
}

Study Subsidies() {
  Study study;
  study.key = "subsidy";
  study.rows = {
      {"through_use",
       "share of coupons that went to those who would have bought anyway: "
       "interval where the coupon works through its use",
       0.95},
      {"monotone", "the same share: bounds where a coupon stops no order", 0.95, Claim::kAtLeast},
      {"no_assumption", "the same share: bounds without an assumption", 0.95, Claim::kAtLeast},
      {"profit", "incremental profit per exposed unit: Welch", 0.95}};
  study.prepare = [](Plant) -> Replicate {
    struct World {
      Shop control;
      Shop treatment;
    };
    Effects effects;
    effects.pay = 1.2;
    effects.coupon = 0.1;
    auto world = std::make_shared<const World>(World{Shop(), Shop(effects)});
    // Who pays without a coupon pays with one, and every buyer redeems.
    const double anyway = world->control.Mean(kPay) / world->treatment.Mean(kPay);
    const double profit = world->treatment.Mean(kProfit) - world->control.Mean(kProfit);
    return [=](Random& random, Tally& tally) {
      constexpr std::array kTraitsUsed = {kPay, kProfit, kCouponCost, kRedeemed};
      const auto r = stats::AnalyseCoupon(DrawGram(random, world->treatment, kTraitsUsed, 2000),
                                          DrawGram(random, world->control, kTraitsUsed, 2000),
                                          stats::CouponColumns{}, kAlpha);
      if (r.to_always_buyers.reason == stats::Reason::kNone) {
        tally.Add(0, r.to_always_buyers.through_use_interval.Contains(anyway));
        tally.Add(1, r.to_always_buyers.monotone.interval.Contains(anyway));
        tally.Add(2, r.to_always_buyers.no_assumption.interval.Contains(anyway));
      }
      tally.Add(3, r.profit_per_unit.interval.Contains(profit));
    };
  };
  return study;
}

// What is left of an effect after an experiment stopped on it, 3 looks by Pocock.
Study Stopped() {
  Study study;
  study.key = "stopped";
  study.rows = {
      {"interval", "minutes, stopped at a crossed Pocock bound: interval given the stop", 0.95},
      {"median", "the same: the median-unbiased estimate is over the truth", 0.5},
      {"naive", "the same: the uncorrected estimate is over the truth", 0.5, Claim::kExactly,
       true}};
  study.prepare = [](Plant) -> Replicate {
    struct World {
      Shop control;
      Shop treatment;
    };
    Effects effects;
    effects.minutes = 1.08;
    auto world = std::make_shared<const World>(World{Shop(), Shop(effects)});
    const double truth = world->treatment.Mean(kMinutes) - world->control.Mean(kMinutes);
    const std::vector<double> looks = {1, 2, 3};
    const std::vector<double> bound = stats::PocockBoundary(looks, kAlpha, 2).z;
    return [=](Random& random, Tally& tally) {
      constexpr std::array kTrait = {kMinutes};
      stats::Gram treatment(1);
      stats::Gram control(1);
      std::vector<double> information;
      for (size_t look = 0; look < bound.size(); ++look) {
        DrawInto(random, world->treatment, kTrait, 300, &treatment);
        DrawInto(random, world->control, kTrait, 300, &control);
        const auto r = stats::Welch(treatment.moments(0), control.moments(0), kAlpha);
        information.push_back(1 / (r.se * r.se));
        if (std::fabs(r.t) < bound[look]) continue;
        const std::span<const double> reached(bound.data(), look + 1);
        const auto given = stats::GivenStop(information, reached, look + 1, r.t, kAlpha);
        tally.Add(0, given.interval.Contains(truth));
        tally.Add(1, given.median_unbiased > truth);
        tally.Add(2, r.diff > truth);
        return;
      }
    };
  };
  return study;
}

}  // namespace

void AddDesignStudies(std::vector<Study>* out) {
  for (Study study : {Clusters(), Novelty(), Subsidies(), Stopped()}) {
    study.group = "Clusters, days, coupons, stops";
    out->push_back(std::move(study));
  }
}

}  // namespace fulcrum::calibrate
