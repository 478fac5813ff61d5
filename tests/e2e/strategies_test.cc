// SPDX-License-Identifier: Apache-2.0
//
// The strategies of examples/strategies through the real path: assigned by the evaluator, events
// late, repeated and out of order, stored, planned and reported. The reports must count what
// happened and cover the true effects as often as they claim.
#include "sim/strategies.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "experiments/compile.h"
#include "experiments/load.h"
#include "report/analyze.h"
#include "report/plan.h"
#include "report/render.h"
#include "store/store.h"
#include "tests/e2e/truth_worlds.h"

namespace fulcrum::e2e {
namespace {

constexpr int64_t kStartMs = 1772380800000;  // 2026-03-02T00:00:00+08:00.
constexpr int64_t kMuchLaterMs = kStartMs + 150 * kDayMs;

std::string FailuresOf(const experiments::LoadResult& loaded) {
  std::string text;
  for (const auto& diagnostic : loaded.diagnostics) text += Format(diagnostic) + "\n";
  return text;
}

store::PropertyView PropertyOf(const std::string& key,
                               const std::variant<bool, double, std::string>& value) {
  store::PropertyView view;
  view.key = key;
  if (const auto* flag = std::get_if<bool>(&value)) {
    view.type = store::PropertyType::kBool;
    view.boolean = *flag;
  } else if (const auto* number = std::get_if<double>(&value)) {
    view.type = store::PropertyType::kNumber;
    view.number = *number;
  } else {
    view.text = std::get<std::string>(value);
  }
  return view;
}

class Strategies : public testing::Test {
 protected:
  void SetUp() override {
    loaded_ = experiments::LoadDirectory("examples/strategies");
    ASSERT_EQ(FailuresOf(loaded_), "");
    auto data = experiments::Compile(loaded_.definitions, core::Controls{});
    ASSERT_TRUE(data.ok()) << data.status();
    core::BuildError error;
    snapshot_ = core::Snapshot::Make(*std::move(data), &error);
    ASSERT_NE(snapshot_, nullptr) << error.message;
  }

  void TearDown() override { Discard(); }

  void Discard() {
    store_.reset();
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }

  void OpenFresh() {
    Discard();
    const std::filesystem::path memory = "/dev/shm";
    const bool in_memory = ::access(memory.c_str(), W_OK) == 0;
    directory_ = (in_memory ? memory : std::filesystem::temp_directory_path()) /
                 ("fulcrum-strategies-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_);
    store::EmbeddedOptions options;
    options.directory = directory_.string();
    auto opened = store::OpenEmbedded(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  void Append(store::BatchBuilder* batch, int64_t received_ms) {
    store::AppendRequest request;
    request.batch_id = "b" + std::to_string(batches_++);
    request.payload = batch->payload();
    request.items = batch->size();
    request.received_ms = received_ms;
    const auto result = store_->Append(request);
    ASSERT_TRUE(result.ok()) << result.status();
    batch->Clear();
  }

  // A batch an hour: what reached the collector in it.
  void Send(const sim::StrategyWorld& world) {
    OpenFresh();
    store::BatchBuilder batch;
    size_t exposure = 0, event = 0;
    while (exposure < world.exposures.size() || event < world.events.size()) {
      int64_t next_ms = INT64_MAX;
      if (exposure < world.exposures.size()) next_ms = world.exposures[exposure].received_ms;
      if (event < world.events.size()) next_ms = std::min(next_ms, world.events[event].received_ms);
      const int64_t until_ms = next_ms + kHourMs;
      for (; event < world.events.size() && world.events[event].received_ms < until_ms; ++event) {
        AddEvent(world.events[event], &batch);
      }
      for (; exposure < world.exposures.size() && world.exposures[exposure].received_ms < until_ms;
           ++exposure) {
        AddExposure(world.exposures[exposure], &batch);
      }
      Append(&batch, until_ms);
    }
    const absl::Status flushed = store_->Flush();
    ASSERT_TRUE(flushed.ok()) << flushed;
  }

  static void AddExposure(const sim::StrategyExposure& exposure, store::BatchBuilder* batch) {
    std::vector<store::PropertyView> attributes;
    for (const auto& [key, value] : exposure.attributes) {
      attributes.push_back(PropertyOf(key, value));
    }
    store::ExposureView view;
    view.experiment = exposure.experiment;
    view.variant = exposure.variant;
    view.unit = {exposure.kind, exposure.unit};
    view.ts_ms = exposure.ts_ms;
    view.attributes = attributes;
    batch->Add(view);
  }

  static void AddEvent(const sim::StrategyEvent& event, store::BatchBuilder* batch) {
    std::vector<store::PropertyView> properties;
    for (const auto& [key, value] : event.properties) properties.push_back(PropertyOf(key, value));
    const store::UnitRef ids[] = {{"user", event.user}};
    store::EventView view;
    view.event_id = event.event_id;
    view.name = event.name;
    view.ts_ms = event.ts_ms;
    view.ids = ids;
    view.order_id = event.order_id;
    view.session_id = event.session_id;
    if (event.value != 0) view.value = event.value;
    view.properties = properties;
    batch->Add(view);
  }

  report::Report ReportOf(const std::string& key, int64_t as_of_ms) {
    const auto* experiment = loaded_.definitions.FindExperiment(key);
    auto plan = report::MakePlan(loaded_.definitions, *experiment, as_of_ms);
    EXPECT_TRUE(plan.ok()) << plan.status();
    if (!plan.ok()) return {};
    auto result = store_->Run(*plan);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    return report::Analyze(loaded_.definitions, *experiment, *plan, *result);
  }

  sim::StrategyWorld WorldOf(uint64_t seed, int64_t users) {
    auto world = sim::MakeStrategyWorld(loaded_.definitions, *snapshot_, {seed, users});
    EXPECT_TRUE(world.ok()) << world.status();
    return world.ok() ? *std::move(world) : sim::StrategyWorld{};
  }

  experiments::LoadResult loaded_;
  std::shared_ptr<const core::Snapshot> snapshot_;
  std::filesystem::path directory_;
  std::unique_ptr<store::Store> store_;
  int64_t batches_ = 0;
};

double Total(const report::Report& report, double report::ArmInfo::*field) {
  double sum = 0;
  for (const auto& arm : report.arms) sum += arm.*field;
  return sum;
}

double UnitsOf(const report::Report& report, const std::string& metric,
               double report::ArmValue::*field) {
  double sum = 0;
  const auto* found = report.FindMetric(metric);
  if (found == nullptr) return -1;
  for (const auto& arm : found->arms) sum += arm.*field;
  return sum;
}

TEST_F(Strategies, CountWhatHappened) {
  const sim::StrategyWorld world = WorldOf(3, 1500);
  Send(world);
  const auto fact = [&](const std::string& what) {
    return static_cast<double>(world.facts.count(what) > 0 ? world.facts.at(what) : 0);
  };

  // Triggered enrolment: every order is shown its arm, only abandoned ones are analysed.
  const report::Report recovery = ReportOf("order-recovery", kMuchLaterMs);
  EXPECT_EQ(Total(recovery, &report::ArmInfo::triggered_units), fact("order-recovery/abandoned"));
  EXPECT_EQ(Total(recovery, &report::ArmInfo::units),
            fact("order-recovery/abandoned") + fact("order-recovery/paid at once"));
  ASSERT_TRUE(recovery.health.triggered.has_value());
  EXPECT_FALSE(recovery.health.triggered->mismatch);
  EXPECT_EQ(UnitsOf(recovery, "recovered", &report::ArmValue::n), fact("order-recovery/abandoned"));
  // Orders are the units and users the clusters: fewer of them.
  const auto* recovered = recovery.FindMetric("recovered");
  ASSERT_TRUE(recovered->arms[0].n_clusters.has_value());
  EXPECT_LT(*recovered->arms[0].n_clusters, recovered->arms[0].n);
  // Some orders come back by themselves, and that is what the others are compared with.
  EXPECT_GT(*recovered->arms[0].rate, 0.1);

  // Dormancy as it was at enrolment; bots by attribute and brushers by what they did are left out.
  const report::Report quiet = ReportOf("reactivation", kMuchLaterMs);
  EXPECT_GT(fact("reactivation/bots"), 0);
  EXPECT_GT(fact("reactivation/brushers"), 0);
  EXPECT_EQ(Total(quiet, &report::ArmInfo::burst_units), fact("reactivation/brushers"));
  EXPECT_EQ(Total(quiet, &report::ArmInfo::excluded_units),
            fact("reactivation/bots") + fact("reactivation/brushers"));
  EXPECT_EQ(Total(quiet, &report::ArmInfo::units) + Total(quiet, &report::ArmInfo::excluded_units),
            1500 - fact("reactivation/not dormant"));
  ASSERT_TRUE(quiet.health.srm_before.has_value());
  EXPECT_FALSE(quiet.health.srm_before->mismatch);
  EXPECT_FALSE(quiet.health.srm.mismatch);
  EXPECT_NE(quiet.FindMetric("unsubscribed@7d"), nullptr);

  EXPECT_GT(recovery.health.duplicate_events, 0);  // They came twice and count once.

  const report::Report rescue = ReportOf("after-sale-rescue", kMuchLaterMs);
  EXPECT_EQ(UnitsOf(rescue, "kept", &report::ArmValue::n),
            fact("after-sale-rescue/return asked for"));

  const report::Report landing = ReportOf("channel-landing", kMuchLaterMs);
  ASSERT_TRUE(landing.channels.has_value());
  double costs = 0;
  for (const auto& row : landing.channels->rows) {
    if (row.total) continue;
    EXPECT_EQ(row.units, fact("channel-landing/of " + row.key)) << row.key;
    costs += row.cost;
  }
  // All days of the table but the first and last, on which nobody came for a few minutes.
  EXPECT_NEAR(costs, 14000 + 6500 + 5600 + 7000, 100);
  ASSERT_EQ(landing.channels->rows.size(), 9u);  // Five channels, two lines, paid and free.
  EXPECT_EQ(landing.channels->rows[5].key, "traffic");
}

// Enrolment ends with the experiment, outcomes do not: those of the last day are complete a month
// later, and a report as of the end is the same whenever it is asked for.
TEST_F(Strategies, OutcomesMatureAfterTheEnd) {
  Send(WorldOf(4, 800));
  const int64_t end_ms = *loaded_.definitions.FindExperiment("after-sale-rescue")->end_ms;
  const report::Report at_end = ReportOf("after-sale-rescue", end_ms);
  const report::Report later = ReportOf("after-sale-rescue", end_ms + 20 * kDayMs);
  const report::Report all = ReportOf("after-sale-rescue", kMuchLaterMs);
  EXPECT_EQ(UnitsOf(at_end, "refunded_value", &report::ArmValue::n), 0);
  EXPECT_GT(UnitsOf(later, "refunded_value", &report::ArmValue::n), 0);
  EXPECT_GT(UnitsOf(later, "refunded_value", &report::ArmValue::maturing), 0);
  EXPECT_EQ(UnitsOf(all, "refunded_value", &report::ArmValue::maturing), 0);
  EXPECT_EQ(Total(at_end, &report::ArmInfo::units), Total(all, &report::ArmInfo::units));
}

// A channel that was not known at exposure is filled in by logging the exposure again, a
// millisecond earlier, with the attribute; what was reported before can still be had.
TEST_F(Strategies, AChannelCanBeFilledInLater) {
  OpenFresh();
  store::BatchBuilder batch;
  const auto show = [&](int64_t ts_ms, const sim::Properties& attributes) {
    for (int u = 0; u < 6; ++u) {
      AddExposure({"channel-landing", u % 2 == 0 ? "home" : "best-sellers", "user",
                   "u" + std::to_string(u), ts_ms, ts_ms, 0, attributes},
                  &batch);
    }
  };
  show(kStartMs + kDayMs, {});
  Append(&batch, kStartMs + kDayMs);
  show(kStartMs + kDayMs - 1, {{"channel", std::string("search")}});
  Append(&batch, kStartMs + 20 * kDayMs);
  ASSERT_TRUE(store_->Flush().ok());
  const auto units_by_channel = [&](int64_t as_of_ms) {
    std::map<std::string, double> units;
    const report::Report report = ReportOf("channel-landing", as_of_ms);
    if (!report.channels) return units;
    for (const auto& row : report.channels->rows) {
      if (!row.total) units[row.key] = row.units;
    }
    return units;
  };
  EXPECT_EQ(units_by_channel(kStartMs + 19 * kDayMs),
            (std::map<std::string, double>{{"(none)", 6}}));
  EXPECT_EQ(units_by_channel(kStartMs + 21 * kDayMs),
            (std::map<std::string, double>{{"search", 6}}));
}

struct Tally {
  int64_t worlds = 0;
  int64_t covered = 0;
};

std::optional<std::pair<double, double>> IntervalOf(const report::Comparison& c) {
  if (c.adjusted) return std::pair(c.adjusted->lo, c.adjusted->hi);
  if (c.ci_lo) return std::pair(*c.ci_lo, *c.ci_hi);
  if (c.miettinen_nurminen_lo) return std::pair(*c.miettinen_nurminen_lo, *c.miettinen_nurminen_hi);
  return std::nullopt;
}

// Every interval of one world against its true effect.
void Judge(const report::Report& report, const sim::StrategyWorld& world,
           std::map<std::string, Tally>* tallies) {
  const std::string& key = report.experiment.key;
  const auto add = [&](const std::string& name, std::optional<double> lo, std::optional<double> hi,
                       double truth) {
    Tally& tally = (*tallies)[key + " " + name];
    ++tally.worlds;
    tally.covered += lo && *lo <= truth && truth <= *hi ? 1 : 0;
  };
  for (const auto& metric : report.metrics) {
    for (const auto& c : metric.comparisons) {
      const auto* effect = world.Find(key, c.arm, metric.key);
      if (effect == nullptr) continue;
      const auto interval = IntervalOf(c);
      const double truth = effect->variant_value - effect->control_value;
      if (!interval) {
        add(metric.key, std::nullopt, std::nullopt, truth);
        continue;
      }
      add(metric.key, interval->first, interval->second, truth);
    }
  }
  for (const auto& funnel : report.funnels) {
    for (const auto& stage : funnel.stages) {
      for (const auto& c : stage.comparisons) {
        const auto* effect = world.Find(key, c.arm, funnel.key, stage.key);
        if (effect == nullptr) continue;
        add(funnel.key + "." + stage.key, c.lo, c.hi,
            effect->variant_value - effect->control_value);
      }
    }
  }
  for (const auto& slice : report.slices) {
    for (const auto& value : slice.effects) {
      const auto* effect = world.Find(key, slice.arm, slice.metric, value.value);
      if (!slice.of_events || effect == nullptr) continue;
      add(slice.metric + " of " + value.value, value.lo, value.hi,
          effect->variant_value - effect->control_value);
    }
  }
  if (!report.channels) return;
  for (const auto& row : report.channels->rows) {
    if (row.total) continue;
    for (size_t a = 0; a < row.arms.size(); ++a) {
      const auto* effect = world.Find(key, report.arms[1].key, report.channels->metric, row.key);
      ASSERT_NE(effect, nullptr) << row.key;
      const double truth = a == 0 ? effect->control_value : effect->variant_value;
      add("margin", row.arms[a].margin_lo, row.arms[a].margin_hi, truth - row.cost_per_unit);
    }
  }
}

TEST_F(Strategies, IntervalsCoverTheTruthAsOftenAsTheyClaim) {
  constexpr int kWorlds = 40;
  std::map<std::string, Tally> tallies;
  for (int w = 0; w < kWorlds; ++w) {
    const sim::StrategyWorld world = WorldOf(1000 + static_cast<uint64_t>(w), 600);
    Send(world);
    for (const auto& experiment : loaded_.definitions.experiments) {
      Judge(ReportOf(experiment.key, kMuchLaterMs), world, &tallies);
    }
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(tallies.size(), 20u);
  for (const auto& [name, tally] : tallies) {
    // Units are a world's whole population, so intervals may cover more often, never less.
    const Band band = BinomialBand(tally.worlds, 0.95, 0.0005);
    EXPECT_GE(tally.covered, band.lower) << name << ": " << tally.covered << " of " << tally.worlds;
    std::printf("%-45s %4lld of %4lld\n", name.c_str(), static_cast<long long>(tally.covered),
                static_cast<long long>(tally.worlds));
  }
}

}  // namespace
}  // namespace fulcrum::e2e
