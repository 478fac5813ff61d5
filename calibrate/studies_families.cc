// SPDX-License-Identifier: Apache-2.0
//
// Many comparisons at once: family-wise error of each correction, simultaneous coverage, slices.
#include <cmath>
#include <memory>

#include "calibrate/bench.h"
#include "calibrate/study.h"
#include "stats/multiplicity.h"

namespace fulcrum::calibrate {
namespace {

constexpr double kAlpha = 0.05;
constexpr int kUnits = 1000;
constexpr std::array kThreeArms = {kUnits, kUnits, kUnits};
constexpr std::array kMetrics = {"pay_rate", "orders", "minutes"};

BenchOptions ThreeArms(std::string_view correction) {
  BenchOptions options;
  options.experiment =
      "primary: [pay_rate, orders, minutes]\nanalysis: {correction: " + std::string(correction) +
      ", cuped: false}\n";
  options.arms = {{}, {}, {}};
  return options;
}

bool AnyRejected(const report::Report& report) {
  for (const char* metric : kMetrics) {
    for (size_t arm = 1; arm < kThreeArms.size(); ++arm) {
      const auto& c = Find(report, metric, arm);
      if (c.p_adjusted && *c.p_adjusted < kAlpha) return true;
    }
  }
  return false;
}

// Six true null hypotheses, correlated: two arms share a control, two metrics share their payers.
Study Nulls() {
  Study study;
  study.key = "family";
  study.rows = {{"simultaneous", "any of 2 arms x 3 metrics: max |z| of the joint normal"},
                {"bonferroni", "the same: Bonferroni", kAlpha, Claim::kAtMost},
                {"holm", "the same: Holm", kAlpha, Claim::kAtMost},
                {"benjamini_hochberg", "the same: Benjamini-Hochberg", kAlpha, Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    auto benches = std::make_shared<std::vector<Bench>>();
    for (const char* correction : {"simultaneous", "bonferroni", "holm", "benjamini_hochberg"}) {
      benches->emplace_back(ThreeArms(correction));
    }
    return [benches = std::shared_ptr<const std::vector<Bench>>(benches)](Random& random,
                                                                          Tally& tally) {
      const store::PlanResult result = benches->front().Draw(random, kThreeArms);
      for (size_t i = 0; i < benches->size(); ++i) {
        tally.Add(i, AnyRejected((*benches)[i].Analyze(result)));
      }
    };
  };
  return study;
}

// Two hypotheses are false: Holm must not be misled by them, and simultaneous intervals must hold
// all three truths.
Study Mixed() {
  Study study;
  study.key = "family_mixed";
  study.rows = {
      {"coverage", "all 3 metrics' intervals hold their truths: max |z| of the joint normal", 0.95},
      {"holm", "the metric without effect called changed beside two with one: Holm", kAlpha,
       Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    struct World {
      Bench simultaneous;
      Bench holm;
      std::array<double, 3> truth{};
    };
    const auto options = [](std::string_view correction) {
      BenchOptions out = ThreeArms(correction);
      out.arms = {{}, {}};
      out.arms[1].pay = 1.3;
      return out;
    };
    auto world =
        std::make_shared<World>(World{Bench(options("simultaneous")), Bench(options("holm")), {}});
    constexpr std::array kTraitsUsed = {kPay, kOrders, kMinutes};
    for (size_t m = 0; m < kMetrics.size(); ++m) {
      world->truth[m] = world->simultaneous.shop(1).Mean(kTraitsUsed[m]) -
                        world->simultaneous.shop(0).Mean(kTraitsUsed[m]);
    }
    return [world = std::shared_ptr<const World>(world)](Random& random, Tally& tally) {
      constexpr std::array kArms = {kUnits, kUnits};
      const store::PlanResult result = world->simultaneous.Draw(random, kArms);
      const report::Report all = world->simultaneous.Analyze(result);
      const report::Report stepwise = world->holm.Analyze(result);
      bool covered = true;
      for (size_t m = 0; m < kMetrics.size(); ++m) {
        const auto& c = Find(all, kMetrics[m]);
        covered =
            covered && c.sim_lo && *c.sim_lo <= world->truth[m] && world->truth[m] <= *c.sim_hi;
      }
      tally.Add(0, covered);
      tally.Add(1, *Find(stepwise, "minutes").p_adjusted < kAlpha);
    };
  };
  return study;
}

Study Dunnett() {
  Study study;
  study.key = "dunnett";
  study.rows = {{"unequal", "any of 3 arms against one control, minutes: Dunnett, large samples"}};
  study.prepare = [](Plant) -> Replicate {
    auto shop = std::make_shared<const Shop>();
    return [shop](Random& random, Tally& tally) {
      constexpr std::array kTrait = {kMinutes};
      const auto moments = [&](int n) { return DrawGram(random, *shop, kTrait, n).moments(0); };
      const stats::Moments control = moments(1500);
      const std::array treatments = {moments(1000), moments(700), moments(1000)};
      const auto r = stats::DunnettUnequal(treatments, control, kAlpha);
      bool any = false;
      for (const auto& c : r.comparisons) any = any || c.p_adjusted < kAlpha;
      tally.Add(0, any);
    };
  };
  return study;
}

// One effect everywhere: nothing tells the channels apart.
Study Slices() {
  Study study;
  study.key = "slices";
  study.rows = {{"heterogeneity", "channels called different where they are not: Cochran's Q"},
                {"coverage", "all 4 channels' intervals hold their truths: Sidak", 0.95},
                {"named", "any channel significant beside a whole of no effect: Holm", kAlpha,
                 Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment =
        "primary: [minutes]\nanalysis: {correction: none, cuped: false, dimensions: [channel]}\n";
    auto bench = std::make_shared<const Bench>(options);
    return [bench](Random& random, Tally& tally) {
      constexpr std::array kArms = {2 * kUnits, 2 * kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      const report::SliceReport& slice = report.slices.front();
      tally.Add(0, slice.heterogeneous);
      bool covered = true;
      bool named = false;
      for (const report::SliceEffect& effect : slice.effects) {
        covered = covered && effect.lo && *effect.lo <= 0 && 0 <= *effect.hi;
        named = named || (effect.p_adjusted && *effect.p_adjusted < kAlpha);
      }
      tally.Add(1, covered);
      tally.Add(2, named);
    };
  };
  return study;
}

// A yes-or-no metric, where a channel has few payers.
Study SlicesOfRates() {
  Study study;
  study.key = "slices_rate";
  study.rows = {{"heterogeneity", "the same for the share that paid: Cochran's Q"},
                {"coverage", "the same: all 4 channels' intervals", 0.95}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options;
    options.experiment =
        "primary: [pay_rate]\nanalysis: {correction: none, cuped: false, dimensions: [channel]}\n";
    auto bench = std::make_shared<const Bench>(options);
    return [bench](Random& random, Tally& tally) {
      constexpr std::array kArms = {2 * kUnits, 2 * kUnits};
      const report::Report report = bench->Analyze(bench->Draw(random, kArms));
      const report::SliceReport& slice = report.slices.front();
      tally.Add(0, slice.heterogeneous);
      bool covered = true;
      for (const report::SliceEffect& effect : slice.effects) {
        covered = covered && effect.lo && *effect.lo <= 0 && 0 <= *effect.hi;
      }
      tally.Add(1, covered);
    };
  };
  return study;
}

}  // namespace

void AddFamilyStudies(std::vector<Study>* out) {
  for (Study study : {Nulls(), Mixed(), Dunnett(), Slices(), SlicesOfRates()}) {
    study.group = "Many comparisons at once";
    out->push_back(std::move(study));
  }
}

}  // namespace fulcrum::calibrate
