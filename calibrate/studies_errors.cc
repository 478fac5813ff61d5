// SPDX-License-Identifier: Apache-2.0
//
// False positives: both arms draw from one crowd, and every p must be under 0.05 in 5 of 100.
#include <cmath>
#include <memory>
#include <optional>

#include "calibrate/bench.h"
#include "calibrate/study.h"
#include "stats/distributions.h"
#include "stats/proportions.h"

namespace fulcrum::calibrate {
namespace {

constexpr double kAlpha = 0.05;
constexpr int kUnits = 1000;
constexpr int kRatioUnits = 4000;
constexpr std::string_view kGroup = "False positives, two arms that are the same (p < 0.05)";

void AddP(Tally& tally, size_t row, const std::optional<double>& p) {
  if (p) tally.Add(row, *p < kAlpha);
}

// The planted error: the variance of a ratio as if orders were independent of their buyers.
double RawVarianceRatioP(Random& random, const Shop& shop) {
  constexpr std::array kTraitsUsed = {kRevenue, kOrders, kSquares};
  double z = 0;
  double variance = 0;
  for (const double sign : {1.0, -1.0}) {
    const stats::Gram gram = DrawGram(random, shop, kTraitsUsed, kRatioUnits);
    const double orders = gram.mean(1) * kRatioUnits;
    const double mean = gram.mean(0) / gram.mean(1);
    variance += (gram.mean(2) / gram.mean(1) - mean * mean) / orders;
    z += sign * mean;
  }
  return stats::TwoSidedNormalP(z / std::sqrt(variance));
}

Study Plain() {
  Study study;
  study.key = "aa";
  study.rows = {
      {"proportion", "paid: score test"},
      {"rare", "refunded, 5 in 1,000: score test; discrete, so at most", kAlpha, Claim::kAtMost},
      {"count", "orders per unit: Welch"},
      {"mean", "revenue, 85% zeros and a heavy tail: Welch"},
      {"smooth_mean", "minutes, skewed without zeros: Welch"}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment =
        "primary: [pay_rate, refund_rate, orders, revenue, minutes]\n"
        "analysis: {correction: none, cuped: false}\n";
    auto bench = std::make_shared<const Bench>(options);
    return [bench](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      constexpr std::array kMetrics = {"pay_rate", "refund_rate", "orders", "revenue", "minutes"};
      for (size_t row = 0; row < kMetrics.size(); ++row) {
        const report::Comparison& c = Find(report, kMetrics[row]);
        // Without a single event there is no p: nothing is claimed, so nothing is wrong.
        tally.Add(row, c.p && *c.p < kAlpha);
      }
    };
  };
  return study;
}

// A ratio's error rests on its buyers, 15 of 100 units: 590 an arm here.
Study Ratios() {
  Study study;
  study.key = "aa_ratio";
  study.rows = {{"delta", "order value, revenue / orders, 4,000 units an arm: delta method"},
                {"cuped", "the same, adjusted for both its parts before: CUPED"}};
  study.plant = Plant::kRawVarianceRatio;
  study.planted_row = "delta";
  study.prepare = [](Plant plant) -> Replicate {
    BenchOptions options;
    options.experiment = "primary: [order_value]\nanalysis: {cuped: false}\n";
    auto plain = std::make_shared<const Bench>(options);
    options.experiment = "primary: [order_value]\nanalysis: {cuped: true}\n";
    auto adjusted = std::make_shared<const Bench>(options);
    return [plain, adjusted, plant](Random& random, Tally& tally) {
      constexpr std::array kArms = {kRatioUnits, kRatioUnits};
      if (plant == Plant::kRawVarianceRatio) {
        tally.Add(0, RawVarianceRatioP(random, plain->shop(0)) < kAlpha);
      } else {
        AddP(tally, 0, Find(plain->Analyze(plain->Draw(random, kArms)), "order_value").p);
      }
      AddP(tally, 1, Find(adjusted->Analyze(adjusted->Draw(random, kArms)), "order_value").p);
    };
  };
  return study;
}

Study Covariates() {
  Study study;
  study.key = "aa_cuped";
  study.rows = {{"proportion", "paid, adjusted for orders before: CUPED"},
                {"mean", "revenue, adjusted for revenue before: CUPED"},
                {"smooth_mean", "minutes, adjusted for minutes before: CUPED"}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment =
        "primary: [pay_rate, revenue, minutes]\n"
        "analysis: {correction: none, cuped: true}\n";
    auto bench = std::make_shared<const Bench>(options);
    return [bench](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      AddP(tally, 0, Find(report, "pay_rate").p);
      AddP(tally, 1, Find(report, "revenue").p);
      AddP(tally, 2, Find(report, "minutes").p);
    };
  };
  return study;
}

Study Orders() {
  Study study;
  study.key = "aa_order";
  study.rows = {{"median", "median minutes of units: order statistics"},
                {"p90", "90th percentile of minutes: order statistics"},
                {"median_events",
                 "median order of events, clustered by buyer: order statistics "
                 "times design effect"},
                {"time_to", "time to payment, censored: restricted mean"},
                {"log_rank", "time to payment, censored: log-rank"}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment =
        "primary: [minutes_p50, minutes_p90, order_p50, time_to_pay]\n"
        "analysis: {correction: none, cuped: false}\n";
    auto bench = std::make_shared<const Bench>(options);
    return [bench](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      AddP(tally, 0, Find(report, "minutes_p50").p);
      AddP(tally, 1, Find(report, "minutes_p90").p);
      AddP(tally, 2, Find(report, "order_p50").p);
      AddP(tally, 3, Find(report, "time_to_pay").p);
      AddP(tally, 4, Find(report, "time_to_pay").log_rank_p);
    };
  };
  return study;
}

// Small and uneven arms, where every rate is known by enumeration: the simulation itself is held
// against arithmetic here, and what the classic unpooled z does is shown.
Study Enumerated() {
  Study study;
  study.key = "aa_exact";
  study.rows = {{"pooled_z", "10 of 100, 30 against 300 units: pooled z, by enumeration"},
                {"unpooled_z",
                 "the same: unpooled z rejects twice as often as it says, by "
                 "enumeration"}};
  const auto exact = stats::EnumerateTwoProportions(30, 0.1, 300, 0.1, kAlpha);
  study.rows[0].expected = exact.reject_pooled_z;
  study.rows[1].expected = exact.reject_unpooled_z;
  study.prepare = [](Plant) -> Replicate {
    return [](Random& random, Tally& tally) {
      const auto draw = [&](int n) {
        stats::Proportion p{0, n};
        for (int i = 0; i < n; ++i) p.events += random.Chance(0.1) ? 1 : 0;
        return p;
      };
      const auto r = stats::TwoProportions(draw(30), draw(300), kAlpha);
      tally.Add(0, r.p_pooled < kAlpha);
      tally.Add(1, r.p_unpooled ? *r.p_unpooled < kAlpha : r.diff != 0);
    };
  };
  return study;
}

// What is left of the promises in arms of 50, and of 900 against 100 with a heavy tail.
Study Few() {
  Study study;
  study.key = "few";
  study.rows = {
      {"proportion", "paid, 50 units an arm: score test", kAlpha, Claim::kExactly, true},
      {"smooth_mean", "minutes, 50 units an arm: Welch", kAlpha, Claim::kExactly, true},
      {"mean", "revenue, 50 units an arm, 7 payers each: Welch", kAlpha, Claim::kExactly, true},
      {"ratio", "order value, 50 units an arm: delta method", kAlpha, Claim::kExactly, true},
      {"cuped", "minutes adjusted for minutes before, 50 units an arm: CUPED", kAlpha,
       Claim::kExactly, true},
      {"uneven_mean", "revenue, 900 units against 100: Welch", kAlpha, Claim::kExactly, true},
      {"uneven_ratio", "order value, 900 units against 100: delta method", kAlpha, Claim::kExactly,
       true}};
  study.prepare = [](Plant) -> Replicate {
    struct World {
      Bench plain;
      Bench adjusted;
    };
    BenchOptions plain;
    plain.experiment =
        "primary: [pay_rate, minutes, revenue, order_value]\n"
        "analysis: {correction: none, cuped: false}\n";
    BenchOptions adjusted;
    adjusted.experiment = "primary: [minutes]\nanalysis: {correction: none, cuped: true}\n";
    auto world = std::make_shared<const World>(World{Bench(plain), Bench(adjusted)});
    return [world](Random& random, Tally& tally) {
      constexpr std::array kFew = {50, 50};
      constexpr std::array kUneven = {900, 100};
      const report::Report few = world->plain.Analyze(world->plain.Draw(random, kFew));
      AddP(tally, 0, Find(few, "pay_rate").p);
      AddP(tally, 1, Find(few, "minutes").p);
      AddP(tally, 2, Find(few, "revenue").p);
      constexpr std::array kBuyers = {kUnits, kUnits};
      AddP(tally, 3,
           Find(world->plain.Analyze(world->plain.Draw(random, kBuyers)), "order_value").p);
      const report::Report cuped = world->adjusted.Analyze(world->adjusted.Draw(random, kFew));
      AddP(tally, 4, Find(cuped, "minutes").p);
      const report::Report uneven = world->plain.Analyze(world->plain.Draw(random, kUneven));
      AddP(tally, 5, Find(uneven, "revenue").p);
      AddP(tally, 6, Find(uneven, "order_value").p);
    };
  };
  return study;
}

}  // namespace

void AddErrorStudies(std::vector<Study>* out) {
  for (Study study : {Plain(), Ratios(), Covariates(), Orders()}) {
    study.group = kGroup;
    out->push_back(std::move(study));
  }
  Study exact = Enumerated();
  exact.group = kGroup;
  out->push_back(std::move(exact));
  Study few = Few();
  few.group = "False positives in small and uneven arms: not promised, shown";
  out->push_back(std::move(few));
}

}  // namespace fulcrum::calibrate
