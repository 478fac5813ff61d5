// SPDX-License-Identifier: Apache-2.0
#include "core/snapshot.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "core/test_random.h"
#include "core/wire.h"

namespace fulcrum::core::test {

size_t AllocationCount();  // allocation_counter_test.cc

namespace {

// Compile-fail tests: a view into a temporary snapshot must not compile. The same expressions on a
// snapshot that lives do, so the tests can fail.
template <typename S>
concept HandsOutData = requires(S&& snapshot) {
  std::forward<S>(snapshot).data();
};
template <typename S>
concept HandsOutExperiments = requires(S&& snapshot) {
  std::forward<S>(snapshot).experiment(ExperimentHandle{0});
};
template <typename S>
concept HandsOutVersion = requires(S&& snapshot) {
  std::forward<S>(snapshot).version();
};
template <typename S>
concept HandsOutCompiled = requires(S&& snapshot) {
  std::forward<S>(snapshot).compiled();
};
template <typename S>
inline constexpr bool kHandsOutAny =
    HandsOutData<S> || HandsOutExperiments<S> || HandsOutVersion<S> || HandsOutCompiled<S>;
template <typename S>
inline constexpr bool kHandsOutAll =
    HandsOutData<S>&& HandsOutExperiments<S>&& HandsOutVersion<S>&& HandsOutCompiled<S>;
static_assert(kHandsOutAll<const Snapshot&>);
static_assert(!kHandsOutAny<Snapshot>);
static_assert(!kHandsOutAny<const Snapshot>);
static_assert(!std::is_copy_constructible_v<Snapshot> && !std::is_copy_assignable_v<Snapshot>);

// What an SDK downloads and loads: 1,000 experiments in under 1 MB.
TEST(Snapshot, ThousandExperimentsAreSmall) {
  SnapshotData data = Project();
  for (int i = 0; i < 1000; ++i) {
    ExperimentData experiment = Experiment("checkout-experiment-" + std::to_string(i), {1, 1, 1});
    experiment.audience =
        Join(&data, ConditionOp::kAll,
             {Compare(&data, ConditionOp::kIn, kCountry,
                      {Operand::String("DE"), Operand::String("AT"), Operand::String("CH")}),
              Compare(&data, ConditionOp::kGe, kAppVersion, {Operand::Version("2.10.1")})});
    for (int t = 0; t < 5; ++t)
      experiment.unit_overrides.push_back({"tester-" + std::to_string(t), 1});
    data.experiments.push_back(std::move(experiment));
  }
  const std::string bytes = Encode(data);
  EXPECT_LT(bytes.size(), size_t{1'000'000});
  BuildError error;
  EXPECT_NE(Snapshot::FromBytes(bytes, &error), nullptr) << error.message;
}

TEST(Snapshot, FindsEveryKeyAndNoOther) {
  SnapshotData data = Project();
  for (int i = 0; i < 5000; ++i) data.experiments.push_back(Experiment("e" + std::to_string(i)));
  const auto snapshot = Make(std::move(data));
  ASSERT_EQ(snapshot->experiment_count(), 5000);
  for (int i = 0; i < 5000; ++i) {
    const std::string key = "e" + std::to_string(i);
    const ExperimentHandle handle = snapshot->Find(key);
    ASSERT_EQ(handle.index, i);
    ASSERT_EQ(snapshot->experiment(handle).key, key);
    ASSERT_FALSE(snapshot->Find(key + "x"));
    ASSERT_FALSE(snapshot->Find("E" + std::to_string(i)));
  }
  EXPECT_FALSE(Make(Project())->Find("e0"));
}

// Decide, Find, UnitIdOf and HoldoutArmOf never allocate, whatever the snapshot uses.
TEST(Snapshot, DecidingDoesNotAllocate) {
  size_t decisions = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    RandomWorld world(seed);
    const auto snapshot = Make(world.Snapshot());
    for (int i = 0; i < 20; ++i) {
      const Context context = world.Ask();
      const size_t before = AllocationCount();
      for (int32_t e = 0; e < snapshot->experiment_count(); ++e) {
        const ExperimentHandle handle = snapshot->Find(snapshot->experiment({e}).key);
        UnitBuffer buffer;
        decisions += Decide(*snapshot, handle, context).has_variant() ? 1 : 0;
        decisions += UnitIdOf(*snapshot, handle, context, &buffer).empty() ? 0 : 1;
      }
      decisions += static_cast<size_t>(HoldoutArmOf(*snapshot, 0, context));
      ASSERT_EQ(AllocationCount(), before) << "seed " << seed;
    }
  }
  EXPECT_GT(decisions, 0u);
  const size_t before = AllocationCount();
  const std::vector<size_t> allocates(decisions);
  EXPECT_EQ(allocates.size(), decisions);
  EXPECT_GT(AllocationCount(), before);  // the counter counts
}

// The same evaluator in words: for any snapshot and context Explain agrees with Decide, and the
// reason can be read from the last step of the experiment asked about.
TEST(Explain, AgreesWithDecideEverywhere) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    RandomWorld world(seed);
    const auto snapshot = Make(world.Snapshot());
    for (int i = 0; i < 20; ++i) {
      const Context context = world.Ask();
      for (int32_t e = 0; e < snapshot->experiment_count(); ++e) {
        const std::string& key = snapshot->experiment({e}).key;
        const Decision d = Ask(*snapshot, key, context);
        Trace trace;
        Explain(*snapshot, {e}, context, &trace);
        const TraceStep& last = trace.steps.back();
        ASSERT_EQ(last.experiment, key);
        ASSERT_TRUE(d.has_variant() || !last.passed) << last.rule << ": " << last.detail;
        ASSERT_TRUE(d.reason != Reason::kAssigned || last.passed);
        for (const TraceStep& step : trace.steps) {
          ASSERT_FALSE(step.rule.empty());
          ASSERT_FALSE(step.detail.empty());
        }
      }
    }
  }
}

TEST(Explain, TellsEachRuleInWords) {
  SnapshotData data = Project();
  data.holdouts = {{"winter", "h", HashAlgorithm::kXxh3, 0, -1, 50'000, true}};
  data.layers = {{"checkout", "l", HashAlgorithm::kXxh3, 0}};
  ExperimentData experiment = Experiment("one-page");
  experiment.start_ms = 1'772'323'200'000;
  experiment.holdouts = {0};
  experiment.layer = 0;
  experiment.layer_ranges = {{0, kPpm}};
  experiment.unit_overrides = {{"tester", 1}};
  experiment.audience = Join(
      &data, ConditionOp::kAll,
      {Compare(&data, ConditionOp::kIn, kCountry, {Operand::String("DE"), Operand::String("AT")}),
       Compare(&data, ConditionOp::kGe, kAppVersion, {Operand::Version("2.4")})});
  experiment.phases = {Phase({1, 1}, 250'000)};
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  const Attribute attributes[] = {{"country", Value::String("DE")},
                                  {"app_version", Value::String("2.10.1")}};
  for (int i = 0; i < 200; ++i) {
    const std::string id = "u" + std::to_string(i);
    Context context = User(id);
    context.attributes = attributes;
    Trace trace;
    if (Explain(*snapshot, {0}, context, &trace).reason != Reason::kAssigned) continue;
    std::string told;
    for (const TraceStep& step : trace.steps) told += step.rule + ": " + step.detail + "\n";
    for (const char* part :
         {"stop: not stopped", "override: unit 'u", "is not overridden",
          "schedule: runs from 2026-03-01T00:00:00.000Z to never", "unit: user 'u",
          "holdout: holdout 'winter': bucket ", "layer: layer 'checkout': bucket ",
          "ranges are [0, 1000000)", "condition: holds: all of 2",
          "condition: holds: country is one of 'DE', 'AT'; it is 'DE'",
          "condition: holds: app_version is at least '2.4'; it is '2.10.1'",
          "audience: in the audience", "phase 0 enrols [0, 250000), 25%", "variant: bucket "}) {
      EXPECT_NE(told.find(part), std::string::npos) << part << " in\n" << told;
    }
    return;
  }
  FAIL() << "no unit was assigned";
}

}  // namespace
}  // namespace fulcrum::core::test
