// SPDX-License-Identifier: Apache-2.0
//
// Coverage: the arms differ by effects that the crowds give exactly, and every interval the report
// prints must hold its truth in 95 of 100.
#include <cmath>
#include <memory>
#include <optional>

#include "calibrate/bench.h"
#include "calibrate/study.h"

namespace fulcrum::calibrate {
namespace {

constexpr int kUnits = 1000;
constexpr double kDayMsF = 86'400'000;

// A change that moves everything a little, some of it down.
Effects Change() {
  Effects effects;
  effects.pay = 1.12;
  effects.registers = 1.06;
  effects.value = 0.95;
  effects.minutes = 1.08;
  effects.speed = 0.85;
  effects.refunds = 1.5;
  return effects;
}

void AddHolds(Tally& tally, size_t row, const std::optional<double>& lo,
              const std::optional<double>& hi, double truth) {
  if (lo && hi) tally.Add(row, *lo <= truth && truth <= *hi);
}

struct Truth {
  double diff = 0;
  double lift = 0;
};
Truth MeanTruth(const Bench& bench, Trait trait) {
  const double control = bench.shop(0).Mean(trait);
  const double diff = bench.shop(1).Mean(trait) - control;
  return {diff, diff / control};
}
Truth RatioTruth(const Bench& bench) {
  const double control = bench.shop(0).RatioOf(kRevenue, kOrders);
  const double diff = bench.shop(1).RatioOf(kRevenue, kOrders) - control;
  return {diff, diff / control};
}

Study Plain() {
  Study study;
  study.key = "cover";
  study.rows = {
      {"miettinen_nurminen", "paid, difference: Miettinen-Nurminen", 0.95},
      {"newcombe", "paid, difference: Newcombe", 0.95},
      {"wald", "paid, difference: unpooled z", 0.95},
      {"score_lift", "paid, lift: score interval of the ratio", 0.95},
      {"rare",
       "refunded, 5 in 1,000, difference: Miettinen-Nurminen; discrete, so at "
       "least",
       0.95, Claim::kAtLeast},
      {"mean", "revenue, 85% zeros and a heavy tail: Welch", 0.95},
      {"mean_lift", "revenue, lift: Fieller", 0.95},
      {"smooth_mean", "minutes, skewed without zeros: Welch", 0.95},
      {"ratio",
       "order value, 150 buyers an arm: delta method; short of buyers, see "
       "cover_ratio",
       0.95, Claim::kExactly, true},
      {"ratio_lift", "order value, 150 buyers an arm, lift: Fieller", 0.95, Claim::kExactly, true}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment =
        "primary: [pay_rate, refund_rate, revenue, minutes, order_value]\n"
        "analysis: {correction: none, cuped: false}\n";
    options.arms = {{}, Change()};
    auto bench = std::make_shared<const Bench>(options);
    const Truth pay = MeanTruth(*bench, kPay);
    const Truth refund = MeanTruth(*bench, kRefund);
    const Truth revenue = MeanTruth(*bench, kRevenue);
    const Truth minutes = MeanTruth(*bench, kMinutes);
    const Truth value = RatioTruth(*bench);
    return [=](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      const auto& p = Find(report, "pay_rate");
      AddHolds(tally, 0, p.miettinen_nurminen_lo, p.miettinen_nurminen_hi, pay.diff);
      AddHolds(tally, 1, p.newcombe_lo, p.newcombe_hi, pay.diff);
      AddHolds(tally, 2, p.wald_lo, p.wald_hi, pay.diff);
      AddHolds(tally, 3, p.lift_lo, p.lift_hi, pay.lift);
      const auto& rare = Find(report, "refund_rate");
      AddHolds(tally, 4, rare.miettinen_nurminen_lo, rare.miettinen_nurminen_hi, refund.diff);
      const auto& m = Find(report, "revenue");
      AddHolds(tally, 5, m.ci_lo, m.ci_hi, revenue.diff);
      AddHolds(tally, 6, m.lift_lo, m.lift_hi, revenue.lift);
      const auto& smooth = Find(report, "minutes");
      AddHolds(tally, 7, smooth.ci_lo, smooth.ci_hi, minutes.diff);
      const auto& r = Find(report, "order_value");
      AddHolds(tally, 8, r.ci_lo, r.ci_hi, value.diff);
      AddHolds(tally, 9, r.lift_lo, r.lift_hi, value.lift);
    };
  };
  return study;
}

Study Ratios() {
  Study study;
  study.key = "cover_ratio";
  study.rows = {{"delta", "order value, 4,000 units and 590 buyers an arm: delta method", 0.95},
                {"lift", "the same, lift: Fieller", 0.95}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment = "primary: [order_value]\nanalysis: {cuped: false}\n";
    options.arms = {{}, Change()};
    auto bench = std::make_shared<const Bench>(options);
    const Truth value = RatioTruth(*bench);
    return [=](Random& random, Tally& tally) {
      constexpr std::array kArms = {4 * kUnits, 4 * kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      const auto& r = Find(report, "order_value");
      AddHolds(tally, 0, r.ci_lo, r.ci_hi, value.diff);
      AddHolds(tally, 1, r.lift_lo, r.lift_hi, value.lift);
    };
  };
  return study;
}

Study Covariates() {
  Study study;
  study.key = "cover_cuped";
  study.rows = {{"proportion", "paid, adjusted difference", 0.95},
                {"mean", "revenue, adjusted difference", 0.95},
                {"mean_lift", "revenue, lift of the adjusted difference: Fieller", 0.95},
                {"smooth_mean", "minutes, adjusted difference", 0.95},
                {"smooth_lift", "minutes, lift of the adjusted difference: Fieller", 0.95},
                {"ratio", "order value, adjusted difference", 0.95}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment =
        "primary: [pay_rate, revenue, minutes, order_value]\n"
        "analysis: {correction: none, cuped: true}\n";
    options.arms = {{}, Change()};
    auto bench = std::make_shared<const Bench>(options);
    const Truth pay = MeanTruth(*bench, kPay);
    const Truth revenue = MeanTruth(*bench, kRevenue);
    const Truth minutes = MeanTruth(*bench, kMinutes);
    const Truth value = RatioTruth(*bench);
    return [=](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      const auto add = [&](size_t row, const report::Comparison& c, double truth) {
        if (c.adjusted) tally.Add(row, c.adjusted->lo <= truth && truth <= c.adjusted->hi);
      };
      add(0, Find(report, "pay_rate"), pay.diff);
      const auto& m = Find(report, "revenue");
      add(1, m, revenue.diff);
      AddHolds(tally, 2, m.lift_lo, m.lift_hi, revenue.lift);
      const auto& smooth = Find(report, "minutes");
      add(3, smooth, minutes.diff);
      AddHolds(tally, 4, smooth.lift_lo, smooth.lift_hi, minutes.lift);
      add(5, Find(report, "order_value"), value.diff);
    };
  };
  return study;
}

Study Orders() {
  Study study;
  study.key = "cover_order";
  study.rows = {{"median", "median minutes of units, difference", 0.95},
                {"p90", "90th percentile of minutes, difference", 0.95},
                {"median_events", "median order of events, clustered by buyer, difference", 0.95},
                {"time_to", "restricted mean time to payment, censored, difference", 0.95},
                {"median_lift", "median minutes of units, lift: Fieller", 0.95}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment =
        "primary: [minutes_p50, minutes_p90, order_p50, time_to_pay]\n"
        "analysis: {correction: none, cuped: false}\n";
    options.arms = {{}, Change()};
    auto bench = std::make_shared<const Bench>(options);
    const auto diff = [&](auto&& of) { return of(bench->shop(1)) - of(bench->shop(0)); };
    const double p50 = diff([](const Shop& s) { return s.QuantileOf(kMinutes, 0.5); });
    const double p90 = diff([](const Shop& s) { return s.QuantileOf(kMinutes, 0.9); });
    const double order = diff([](const Shop& s) { return s.OrderQuantile(0.5); });
    const double days = diff([](const Shop& s) { return s.RestrictedDays(7); });
    const double lift = p50 / bench->shop(0).QuantileOf(kMinutes, 0.5);
    return [=](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      const auto& median = Find(report, "minutes_p50");
      AddHolds(tally, 0, median.ci_lo, median.ci_hi, p50);
      const auto& high = Find(report, "minutes_p90");
      AddHolds(tally, 1, high.ci_lo, high.ci_hi, p90);
      const auto& events = Find(report, "order_p50");
      AddHolds(tally, 2, events.ci_lo, events.ci_hi, order);
      const auto& time = Find(report, "time_to_pay");
      AddHolds(tally, 3, time.ci_lo, time.ci_hi, days * kDayMsF);
      AddHolds(tally, 4, median.lift_lo, median.lift_hi, lift);
    };
  };
  return study;
}

// A funnel's differences together, and its log steps together, which add up to the whole.
Study Funnel() {
  Study study;
  study.key = "cover_funnel";
  study.rows = {{"stages", "all stage rates together: max |z| of the joint normal", 0.95},
                {"steps", "all log steps together: max |z| of the joint normal", 0.95},
                {"total", "log lift of the last stage alone: delta method", 0.95}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment = "primary: [pay_rate]\nfunnel: funnel\nanalysis: {cuped: false}\n";
    options.arms = {{}, Change()};
    auto bench = std::make_shared<const Bench>(options);
    constexpr std::array kStages = {kRegister, kOrder, kPay};
    std::array<double, 3> diff{};
    std::array<double, 3> step{};
    double before = 0;
    for (size_t s = 0; s < kStages.size(); ++s) {
      diff[s] = MeanTruth(*bench, kStages[s]).diff;
      const double log_lift = std::log1p(MeanTruth(*bench, kStages[s]).lift);
      step[s] = log_lift - before;
      before = log_lift;
    }
    const double total = before;
    return [=](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      bool stages = true;
      bool steps = true;
      for (size_t s = 0; s < kStages.size(); ++s) {
        const auto& c = report.funnels.front().stages[s].comparisons.front();
        stages = stages && c.lo && *c.lo <= diff[s] && diff[s] <= *c.hi;
        steps = steps && c.log_step_lo && *c.log_step_lo <= step[s] && step[s] <= *c.log_step_hi;
      }
      tally.Add(0, stages);
      tally.Add(1, steps);
      const auto& last = report.funnels.front().stages.back().comparisons.front();
      constexpr double kZ = 1.959963984540054;
      if (last.se_log_lift) {
        tally.Add(2, std::fabs(*last.log_lift - total) <= kZ * *last.se_log_lift);
      }
    };
  };
  return study;
}

}  // namespace

void AddCoverageStudies(std::vector<Study>* out) {
  for (Study study : {Plain(), Ratios(), Covariates(), Orders(), Funnel()}) {
    study.group = "Coverage of 95% intervals, arms that differ";
    out->push_back(std::move(study));
  }
}

}  // namespace fulcrum::calibrate
