// SPDX-License-Identifier: Apache-2.0
//
// Looking while the data come in: the chance that a method is ever wrong, over all its looks.
#include <algorithm>
#include <cmath>
#include <memory>

#include "calibrate/bench.h"
#include "calibrate/study.h"
#include "stats/always_valid.h"
#include "stats/distributions.h"
#include "stats/group_sequential.h"

namespace fulcrum::calibrate {
namespace {

constexpr double kAlpha = 0.05;
constexpr double kZ = 1.959963984540054;

// Two arms of one crowd that grow batch by batch.
class Growing {
 public:
  Growing(const Shop& shop, std::span<const Trait> traits)
      : shop_(shop),
        traits_(traits),
        arms_{stats::Gram(traits.size()), stats::Gram(traits.size())} {}

  void Grow(Random& random, int each) {
    for (stats::Gram& arm : arms_) DrawInto(random, shop_, traits_, each, &arm);
  }
  double units() const { return static_cast<double>(arms_[0].n() + arms_[1].n()); }
  double Diff(size_t column) const { return arms_[1].mean(column) - arms_[0].mean(column); }
  double Variance(size_t column) const {
    return arms_[0].variance(column) / static_cast<double>(arms_[0].n()) +
           arms_[1].variance(column) / static_cast<double>(arms_[1].n());
  }
  // 0 while nothing has varied.
  double Z(size_t column) const {
    const double variance = Variance(column);
    return variance > 0 ? Diff(column) / std::sqrt(variance) : 0;
  }
  const stats::Gram& arm(size_t a) const { return arms_[a]; }

 private:
  const Shop& shop_;
  std::span<const Trait> traits_;
  stats::Gram arms_[2];
};

// A look after every 25 units an arm, up to 2,500 an arm: 100 looks.
Study AlwaysValid() {
  Study study;
  study.key = "looks";
  study.rows = {
      {"asymptotic_mean", "revenue, zeros and a heavy tail: asymptotic confidence sequence", kAlpha,
       Claim::kAtMost},
      {"asymptotic_rate", "paid: asymptotic confidence sequence", kAlpha, Claim::kAtMost},
      {"asymptotic_rare", "refunded, 5 in 1,000: asymptotic confidence sequence", kAlpha,
       Claim::kAtMost},
      {"msprt", "minutes: mixture sequential probability ratio test", kAlpha, Claim::kAtMost},
      {"anytime_t", "minutes: anytime-valid t of a regression", kAlpha, Claim::kAtMost},
      {"bernoulli", "one arm's share that paid: exact Bernoulli sequence", kAlpha, Claim::kAtMost}};
  study.plant = Plant::kPeeking;
  study.planted_row = "asymptotic_rate";
  study.prepare = [](Plant plant) -> Replicate {
    auto shop = std::make_shared<const Shop>();
    const double pay_rate = shop->Mean(kPay);
    const double tau2 = std::pow(0.1 * shop->Mean(kMinutes), 2);
    constexpr double kTuned = 2000;
    const double rho = stats::AsympCsRho(kTuned, kAlpha);
    const double g = stats::AnytimeOptimalG(kTuned, 2, kAlpha);
    return [=](Random& random, Tally& tally) {
      constexpr std::array kTraitsUsed = {kRevenue, kPay, kRefund, kMinutes};
      Growing data(*shop, kTraitsUsed);
      std::array<bool, 6> wrong{};
      for (int look = 0; look < 100; ++look) {
        data.Grow(random, 25);
        const double n = data.units();
        const double reach = stats::AsympCsMultiplier(n, rho, kAlpha);
        for (size_t column = 0; column < 3; ++column) {
          const bool fixed = plant == Plant::kPeeking && column == 1;
          wrong[column] |= std::fabs(data.Z(column)) > (fixed ? kZ : reach);
        }
        wrong[3] |= stats::MixtureSprt(data.Diff(3), data.Variance(3), tau2, kAlpha).p < kAlpha;
        wrong[4] |= stats::AnytimeLogE(data.Z(3), n, 2, g) > std::log(1 / kAlpha);
        const double paid = data.arm(0).mean(1) * n / 2;
        wrong[5] |= !stats::BernoulliSequence(std::round(paid), n / 2, kTuned, kAlpha, kAlpha)
                         .Contains(pay_rate);
      }
      for (size_t row = 0; row < wrong.size(); ++row) tally.Add(row, wrong[row]);
    };
  };
  return study;
}

// 5 looks, 250 units an arm each, one of them late.
Study GroupSequential() {
  Study study;
  study.key = "group";
  study.rows = {
      {"obrien_fleming", "minutes, 5 looks: O'Brien-Fleming"},
      {"pocock", "minutes, 5 looks: Pocock"},
      {"lan_demets", "minutes, 5 looks unevenly spaced: Lan-DeMets spending"},
      {"hwang_shih_decani", "minutes, 5 looks unevenly spaced: Hwang-Shih-DeCani spending"},
      {"peeking",
       "what a fixed test really does in 10 looks: wrong in 19.3 of 100, by "
       "integration"}};
  study.prepare = [](Plant) -> Replicate {
    auto shop = std::make_shared<const Shop>();
    struct Design {
      std::vector<int> batches;  // 50 units an arm each.
      std::vector<double> bound;
    };
    auto designs = std::make_shared<std::vector<Design>>();
    const std::vector<double> even = {1, 2, 3, 4, 5};
    const std::vector<int> at_even = {4, 8, 12, 16, 20};
    const std::vector<double> uneven = {2, 5, 11, 14, 20};
    const std::vector<int> at_uneven = {2, 5, 11, 14, 20};
    designs->push_back({at_even, stats::OBrienFlemingBoundary(even, kAlpha, 2).z});
    designs->push_back({at_even, stats::PocockBoundary(even, kAlpha, 2).z});
    designs->push_back({at_uneven, stats::SpendingBoundary(uneven, 20, {}, kAlpha / 2, 2).z});
    const stats::Spending hsd{stats::Spending::Kind::kHwangShihDeCani, -2};
    designs->push_back({at_uneven, stats::SpendingBoundary(uneven, 20, hsd, kAlpha / 2, 2).z});
    std::vector<int> ten;
    for (int i = 2; i <= 20; i += 2) ten.push_back(i);
    designs->push_back({ten, std::vector<double>(10, kZ)});
    return [shop, designs](Random& random, Tally& tally) {
      constexpr std::array kTraitsUsed = {kMinutes};
      Growing data(*shop, kTraitsUsed);
      std::array<bool, 5> wrong{};
      for (int batch = 1; batch <= 20; ++batch) {
        data.Grow(random, 50);
        for (size_t d = 0; d < designs->size(); ++d) {
          const Design& design = (*designs)[d];
          const auto at = std::find(design.batches.begin(), design.batches.end(), batch);
          if (at == design.batches.end()) continue;
          const double bound = design.bound[static_cast<size_t>(at - design.batches.begin())];
          wrong[d] |= std::fabs(data.Z(0)) > bound;
        }
      }
      for (size_t row = 0; row < wrong.size(); ++row) tally.Add(row, wrong[row]);
    };
  };
  study.rows.back().expected = stats::PeekingError(10, kZ);
  return study;
}

// The report itself, read every day of the fourteen that were planned.
Study Hybrid() {
  Study study;
  study.key = "hybrid";
  study.rows = {
      {"look",
       "paid, minutes: the report's band for looking ever wrong in 13 daily "
       "looks, both metrics",
       0.01, Claim::kAtMost},
      {"final", "the report's simultaneous intervals at the planned end, both metrics", 0.04},
      {"both", "either of the two", kAlpha, Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment = "primary: [pay_rate, minutes]\nanalysis: {cuped: false}\n";
    options.arms[1].pay = 1.1;
    options.planned_days = 14;
    auto bench = std::make_shared<const Bench>(options);
    const std::array truth = {bench->shop(1).Mean(kPay) - bench->shop(0).Mean(kPay), 0.0};
    return [bench, truth](Random& random, Tally& tally) {
      constexpr std::array kDaily = {75, 75};
      constexpr std::array kMetrics = {"pay_rate", "minutes"};
      store::PlanResult result = bench->Empty();
      bool look = false;
      bool final = false;
      for (int day = 1; day <= 14; ++day) {
        bench->Extend(random, kDaily, 0, &result);
        const report::Report report = bench->AnalyzeOnDay(&result, day);
        for (size_t m = 0; m < kMetrics.size(); ++m) {
          const auto& c = Find(report, kMetrics[m]);
          if (report.analysis.final) {
            final |= c.sim_lo && (truth[m] < *c.sim_lo || truth[m] > *c.sim_hi);
          } else {
            look |= c.look_lo && (truth[m] < *c.look_lo || truth[m] > *c.look_hi);
          }
        }
      }
      tally.Add(0, look);
      tally.Add(1, final);
      tally.Add(2, look || final);
    };
  };
  return study;
}

}  // namespace

void AddSequentialStudies(std::vector<Study>* out) {
  for (Study study : {AlwaysValid(), GroupSequential(), Hybrid()}) {
    study.group = "Error over all looks";
    out->push_back(std::move(study));
  }
}

}  // namespace fulcrum::calibrate
