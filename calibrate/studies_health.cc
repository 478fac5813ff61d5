// SPDX-License-Identifier: Apache-2.0
//
// Sample-ratio mismatch: alarms where assignment is right, one look and many; phases of different
// weights.
#include <cmath>
#include <memory>

#include "calibrate/bench.h"
#include "calibrate/study.h"
#include "stats/srm.h"

namespace fulcrum::calibrate {
namespace {

// Units that went to the first arm of two, out of n at this share. Exact, 64 at a time for 1/2.
int CountOfFirst(Random& random, int n, double share) {
  int count = 0;
  if (share == 0.5) {
    for (; n >= 64; n -= 64) count += std::popcount(random.Bits());
    if (n > 0) count += std::popcount(random.Bits() >> (64 - n));
    return count;
  }
  for (int i = 0; i < n; ++i) count += random.Chance(share) ? 1 : 0;
  return count;
}

Study OneLook() {
  Study study;
  study.key = "srm";
  study.rows = {{"fixed", "an alarm at 0.01, 3,000 units 50/50: chi-squared", 0.01},
                {"default", "an alarm at the default level, 0.001", 0.001, Claim::kAtMost},
                {"phases",
                 "an alarm at 0.01, phases of 90/10 and 50/50: each phase's expected "
                 "counts summed; conservative",
                 0.01, Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    return [](Random& random, Tally& tally) {
      constexpr std::array kEven = {1.0, 1.0};
      const auto first = static_cast<double>(CountOfFirst(random, 3000, 0.5));
      const std::array observed = {first, 3000 - first};
      const double p = stats::SrmChiSquare(observed, kEven).p;
      tally.Add(0, p < 0.01);
      tally.Add(1, p < 0.001);
      const double early = CountOfFirst(random, 1000, 0.9);
      const std::array both = {early + first, 4000 - early - first};
      constexpr std::array kExpected = {900.0 + 1500, 100.0 + 1500};
      tally.Add(2, stats::SrmAgainstExpected(both, kExpected).p < 0.01);
    };
  };
  return study;
}

// 14 days, 500 units each.
Study ManyLooks() {
  Study study;
  study.key = "srm_looks";
  study.rows = {{"sequential", "an alarm at 0.05 in any of 140 looks: Dirichlet-multinomial", 0.05,
                 Claim::kAtMost},
                {"daily_fixed",
                 "what 14 daily chi-squared tests at 0.01 really do: alarms in 5.53 "
                 "of 100, by integration",
                 0.05525349217683241}};
  study.prepare = [](Plant) -> Replicate {
    return [](Random& random, Tally& tally) {
      constexpr int kDaily = 10;
      stats::SequentialSrm sequential({0.5, 0.5}, {100, 100});
      constexpr std::array kEven = {1.0, 1.0};
      std::array<double, 2> total = {0, 0};
      bool daily = false;
      for (int look = 1; look <= 14 * kDaily; ++look) {
        const auto first = static_cast<double>(CountOfFirst(random, 640, 0.5));
        const std::array batch = {first, 640 - first};
        sequential.Add(batch);
        for (size_t a = 0; a < 2; ++a) total[a] += batch[a];
        if (look % kDaily == 0) daily = daily || stats::SrmChiSquare(total, kEven).p < 0.01;
      }
      tally.Add(0, sequential.p_value() < 0.05);
      tally.Add(1, daily);
    };
  };
  return study;
}

// Weights changed from 90/10 to 50/50 while the shop changed too: pooled, an arm that does nothing
// looks different.
Study Phases() {
  Study study;
  study.key = "phases";
  study.rows = {{"stratified",
                 "minutes, two phases of other weights: false positives (p < 0.05), "
                 "stratified by phase"},
                {"proportion", "the same for the share that paid"}};
  study.prepare = [](Plant) -> Replicate {
    struct World {
      Bench early;
      Bench late;
    };
    BenchOptions options;
    options.experiment =
        "primary: [minutes, pay_rate]\nanalysis: {correction: none, cuped: false}\n";
    BenchOptions late = options;
    for (Effects& arm : late.arms) {
      arm.minutes = 1.5;
      arm.pay = 0.7;
    }
    auto world = std::make_shared<const World>(World{Bench(options), Bench(late)});
    return [world](Random& random, Tally& tally) {
      constexpr std::array kEarly = {1800, 200};
      constexpr std::array kLate = {700, 700};
      store::PlanResult result = world->early.Empty();
      world->early.Extend(random, kEarly, 0, &result);
      world->late.Extend(random, kLate, 1, &result);
      report::AnalyzeOptions shares;
      shares.phases = {{0, {9, 1}}};
      const report::Report report = world->early.Analyze(result, shares);
      tally.Add(0, *Find(report, "minutes").p < 0.05);
      tally.Add(1, *Find(report, "pay_rate").p < 0.05);
    };
  };
  return study;
}

}  // namespace

void AddHealthStudies(std::vector<Study>* out) {
  for (Study study : {OneLook(), ManyLooks(), Phases()}) {
    study.group = "Sample-ratio mismatch and phases";
    out->push_back(std::move(study));
  }
}

}  // namespace fulcrum::calibrate
