// SPDX-License-Identifier: Apache-2.0
//
// The truth test. Hundreds of small worlds go through the real path (durable batches, the loader,
// the plan, the report) with lost, repeated, late and shuffled records, late refunds and links, on
// a simulated clock. Then the report must
//  1. count exactly what the simulator counts by its own reading of the definitions, and
//  2. cover the true effect as often as it claims: its coverage over all worlds lies in the exact
//     binomial band of 99.9% around the nominal level.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "report/analyze.h"
#include "report/plan.h"
#include "report/report.h"
#include "tests/e2e/store_sink.h"
#include "tests/e2e/truth_worlds.h"

namespace fulcrum::e2e {
namespace {

constexpr int64_t kFirstStartMs = 1772380800000;  // 2026-03-02T00:00:00+08:00, a Monday.
constexpr int64_t kSpacingMs = 35 * kDayMs;       // Whole weeks: the seasons fall alike.
constexpr int kWorldsPerStore = 40;               // Many experiments in one store, yet quick scans.
constexpr uint64_t kSeed = 20260302;

// FULCRUM_TRUTH_WORLDS sets how many; the nightly run asks for more.
int WorldCount() {
  const char* text = std::getenv("FULCRUM_TRUTH_WORLDS");
  const int count = text == nullptr ? 0 : std::atoi(text);
  return count > 0 ? count : 520;
}

struct Coverage {
  double level = 0;  // What the intervals claim.
  int64_t worlds = 0;
  int64_t covered = 0;

  void Add(bool holds) {
    ++worlds;
    covered += holds ? 1 : 0;
  }
};

bool Holds(std::optional<double> lower, std::optional<double> upper, double truth) {
  return lower && upper && *lower <= truth && truth <= *upper;
}

// A world after its way through the store, and what the report and the simulator make of it.
struct Outcome {
  std::unique_ptr<SmallWorld> small;
  std::vector<store::Plan> plans;
  std::vector<store::PlanResult> results;
  std::vector<report::Report> reports;
  sim::Truth truth;
};

// Pure work on every outcome, on two threads.
void Analyse(std::vector<Outcome>* outcomes) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < outcomes->size(); i = next++) {
      Outcome& outcome = (*outcomes)[i];
      const SmallWorld& small = *outcome.small;
      outcome.truth = sim::ComputeTruth(*small.world, small.assign, {});
      for (int e = 0; e < 2; ++e) {
        const auto index = static_cast<size_t>(e);
        outcome.reports.push_back(report::Analyze(small.definitions, small.experiment(e),
                                                  outcome.plans[index], outcome.results[index]));
      }
    }
  };
  std::thread other(work);
  work();
  other.join();
}

class Truths : public testing::Test {
 protected:
  void SetUp() override { OpenFresh(); }

  void TearDown() override { Discard(); }

  // Closes and removes the store, if there is one, and opens an empty one.
  void OpenFresh() {
    Discard();
    // Durability is proved elsewhere: in memory, where there is such a place, a thousand syncs cost
    // nothing and wait for nobody.
    const std::filesystem::path memory = "/dev/shm";
    const bool in_memory = ::access(memory.c_str(), W_OK) == 0;
    directory_ = (in_memory ? memory : std::filesystem::temp_directory_path()) /
                 ("fulcrum-truth-" + std::to_string(::getpid()) + "-" + std::to_string(++stores_));
    std::filesystem::create_directories(directory_);
    store::EmbeddedOptions options;
    options.directory = directory_.string();
    auto opened = store::OpenEmbedded(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  void Discard() {
    store_.reset();
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }

  // Sends the world through the store and runs the plans of its experiments at its end.
  Outcome Send(std::unique_ptr<SmallWorld> small) {
    Outcome outcome;
    StoreSink sink(*small->world, store_.get(), 1000);
    small->world->Run(small->assign, sink);
    const absl::Status sent = sink.Finish();
    EXPECT_TRUE(sent.ok()) << sent;
    for (int e = 0; e < 2; ++e) {
      auto plan =
          report::MakePlan(small->definitions, small->experiment(e), small->world->end_ms());
      EXPECT_TRUE(plan.ok()) << plan.status();
      auto result = plan.ok() ? store_->Run(*plan) : plan.status();
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok()) return outcome;
      outcome.plans.push_back(*std::move(plan));
      outcome.results.push_back(*std::move(result));
    }
    outcome.small = std::move(small);
    return outcome;
  }

  std::filesystem::path directory_;
  std::unique_ptr<store::Store> store_;
  int stores_ = 0;
};

// --- 1. Counts -----------------------------------------------------------------------------------

const report::ArmValue* FindArm(const report::MetricReport& metric, const std::string& arm) {
  for (const auto& value : metric.arms) {
    if (value.arm == arm) return &value;
  }
  return nullptr;
}

void ExpectSameFigure(const sim::ArmFigure& figure, const report::Report& report) {
  const std::string where =
      figure.experiment + " " + figure.variant + " " + figure.metric + " " + figure.stage;
  if (!figure.stage.empty()) {
    for (const auto& funnel : report.funnels) {
      for (const auto& stage : funnel.stages) {
        if (funnel.key != figure.metric || stage.key != figure.stage) continue;
        for (const auto& arm : stage.arms) {
          if (arm.arm != figure.variant) continue;
          EXPECT_EQ(arm.n, static_cast<double>(figure.n)) << where;
          EXPECT_EQ(arm.x, figure.sum) << where;
          return;
        }
      }
    }
    ADD_FAILURE() << where << " is not in the report";
    return;
  }
  const report::MetricReport* metric = report.FindMetric(figure.metric);
  const report::ArmValue* arm = metric == nullptr ? nullptr : FindArm(*metric, figure.variant);
  ASSERT_NE(arm, nullptr) << where << " is not in the report";
  EXPECT_EQ(arm->n, static_cast<double>(figure.n)) << where;
  if (arm->x) {
    EXPECT_EQ(*arm->x, figure.sum) << where;
    return;
  }
  const auto mean = figure.denominator ? arm->mean_denominator : arm->mean;
  if (figure.n == 0) return;
  ASSERT_TRUE(mean.has_value()) << where;
  EXPECT_NEAR(*mean * arm->n, figure.sum, 1e-9 * std::max(1.0, std::fabs(figure.sum))) << where;
}

void ExpectSameCounts(const sim::Truth& truth, const std::string& experiment,
                      const report::Report& report) {
  for (const auto& count : truth.arms) {
    if (count.experiment != experiment) continue;
    const report::ArmInfo* arm = report.FindArm(count.variant);
    ASSERT_NE(arm, nullptr);
    EXPECT_EQ(arm->units, static_cast<double>(count.units)) << experiment << " " << count.variant;
  }
  for (const auto& figure : truth.figures) {
    if (figure.experiment == experiment) ExpectSameFigure(figure, report);
  }
}

TEST_F(Truths, CountsWithoutFaultsAreExact) {
  std::vector<Outcome> outcomes;
  int64_t start_ms = kFirstStartMs;
  for (int i = 0; i < 12; ++i, start_ms += kSpacingMs) {
    auto small = MakeSmallWorld("-clean" + std::to_string(i),
                                kSeed + 1000 + static_cast<uint64_t>(i), 400, start_ms, {});
    ASSERT_NE(small, nullptr);
    outcomes.push_back(Send(std::move(small)));
    ASSERT_FALSE(HasFailure()) << "world " << i;
  }
  Analyse(&outcomes);
  for (const Outcome& outcome : outcomes) {
    for (int e = 0; e < 2; ++e) {
      const report::Report& report = outcome.reports[static_cast<size_t>(e)];
      const std::string& key = outcome.small->experiment(e).key;
      ExpectSameCounts(outcome.truth, key, report);
      EXPECT_EQ(report.health.duplicate_events, 0);
      EXPECT_EQ(report.health.duplicate_exposures, 0);
      for (const auto& count : outcome.truth.arms) {
        if (count.experiment != key) continue;
        EXPECT_EQ(report.FindArm(count.variant)->exposures, static_cast<double>(count.exposures));
      }
      ASSERT_FALSE(HasFailure()) << key;
    }
  }
}

// --- 2. Coverage ---------------------------------------------------------------------------------

class CoverageTable {
 public:
  // The intervals of one report against the effects on the population the world was drawn from.
  void Add(const std::string& name, const report::Report& report, const sim::Truth& population) {
    const double level = 1 - report.analysis.alpha_final;
    const auto note = [&](const std::string& row, bool holds) {
      rows_[row].level = level;
      rows_[row].Add(holds);
    };
    std::map<report::Role, bool> joint;
    for (const auto& metric : report.metrics) {
      for (const auto& comparison : metric.comparisons) {
        const sim::TrueEffect* effect = population.Find(name, comparison.arm, metric.key);
        if (effect == nullptr || !comparison.estimate) continue;
        const double truth = effect->effect;
        const std::string row = name + " " + comparison.arm + " " + metric.key;
        const auto add = [&](const char* interval, std::optional<double> lower,
                             std::optional<double> upper) {
          if (lower && upper) note(row + " " + interval, Holds(lower, upper, truth));
        };
        add("Miettinen-Nurminen", comparison.miettinen_nurminen_lo,
            comparison.miettinen_nurminen_hi);
        add("Newcombe", comparison.newcombe_lo, comparison.newcombe_hi);
        add("interval", comparison.ci_lo, comparison.ci_hi);
        if (comparison.adjusted) add("adjusted", comparison.adjusted->lo, comparison.adjusted->hi);
        if (comparison.lift_lo && comparison.lift_hi) {
          note(row + " lift", Holds(comparison.lift_lo, comparison.lift_hi, effect->lift));
        }
        const bool holds = Holds(comparison.sim_lo, comparison.sim_hi, truth);
        joint.try_emplace(metric.role, true).first->second &= holds;
      }
    }
    for (const auto& [role, all] : joint) {
      const char* words = role == report::Role::kPrimary ? "primary" : "secondary";
      note(name + " " + words + " metrics together", all);
    }
    for (const auto& funnel : report.funnels) {
      bool all = true;
      for (const auto& stage : funnel.stages) {
        for (const auto& comparison : stage.comparisons) {
          const auto* effect = population.Find(name, comparison.arm, funnel.key, stage.key);
          if (effect != nullptr && comparison.lo) {
            all = all && Holds(comparison.lo, comparison.hi, effect->effect);
          }
        }
      }
      note(name + " funnel together", all);
    }
  }

  void Judge() const {
    std::printf("%-52s %6s %7s %9s   %s\n", "interval", "claims", "worlds", "coverage",
                "band of 99.9%");
    for (const auto& [row, coverage] : rows_) {
      const Band band = BinomialBand(coverage.worlds, coverage.level, 0.0005);
      const auto worlds = static_cast<double>(coverage.worlds);
      std::printf("%-52s %5.1f%% %7lld %8.2f%%   [%.2f%%, %.2f%%]\n", row.c_str(),
                  100 * coverage.level, static_cast<long long>(coverage.worlds),
                  100 * static_cast<double>(coverage.covered) / worlds,
                  100 * static_cast<double>(band.lower) / worlds,
                  100 * static_cast<double>(band.upper) / worlds);
      EXPECT_GE(coverage.covered, band.lower) << row << " covers too rarely";
      EXPECT_LE(coverage.covered, band.upper) << row << " covers too often";
    }
  }

  size_t size() const { return rows_.size(); }

 private:
  std::map<std::string, Coverage> rows_;
};

TEST_F(Truths, IntervalsCoverTheTrueEffectsAsOftenAsTheyClaim) {
  // The population: the same causes and the same faults, 200,000 users.
  const auto everyone = MakeSmallWorld("", kSeed, 200'000, kFirstStartMs, Faulty());
  ASSERT_NE(everyone, nullptr);
  sim::TruthOptions two_threads;
  two_threads.threads = 2;
  const sim::Truth population = sim::ComputeTruth(*everyone->world, everyone->assign, two_threads);

  std::vector<Outcome> outcomes;
  const int worlds = WorldCount();
  int64_t start_ms = kFirstStartMs;
  for (int i = 0; i < worlds; ++i, start_ms += kSpacingMs) {
    if (i > 0 && i % kWorldsPerStore == 0) {
      ASSERT_NO_FATAL_FAILURE(OpenFresh());
    }
    const uint64_t seed = kSeed + 1 + static_cast<uint64_t>(i);
    const auto users = static_cast<int64_t>(300 + sim::Mix(seed) % 501);
    auto small = MakeSmallWorld("-w" + std::to_string(i), seed, users, start_ms, Faulty());
    ASSERT_NE(small, nullptr);
    outcomes.push_back(Send(std::move(small)));
    ASSERT_FALSE(HasFailure()) << "world " << i;
  }
  Analyse(&outcomes);

  CoverageTable table;
  double duplicates = 0;
  for (const Outcome& outcome : outcomes) {
    for (int e = 0; e < 2; ++e) {
      const report::Report& report = outcome.reports[static_cast<size_t>(e)];
      ExpectSameCounts(outcome.truth, outcome.small->experiment(e).key, report);
      ASSERT_FALSE(HasFailure()) << outcome.small->experiment(e).key;
      table.Add(e == 0 ? kPage : kTill, report, population);
      duplicates += report.health.duplicate_events;
    }
  }
  EXPECT_GT(table.size(), 20u);
  EXPECT_GT(duplicates, 0) << "the faults did not reach the store";
  table.Judge();
}

TEST(Band, IsTheExactBinomialOne) {
  // Binomial(10, 0.5): P(X <= 1) = 11 / 1024, P(X <= 0) = 1 / 1024.
  EXPECT_EQ(BinomialBand(10, 0.5, 11.0 / 1024).lower, 1);
  EXPECT_EQ(BinomialBand(10, 0.5, 11.5 / 1024).lower, 2);
  EXPECT_EQ(BinomialBand(10, 0.5, 11.5 / 1024).upper, 8);
  EXPECT_EQ(BinomialBand(10, 0.5, 0.0005).lower, 0);
}

}  // namespace
}  // namespace fulcrum::e2e
