// SPDX-License-Identifier: Apache-2.0
// The rules of decide.h, one by one, with their exact reasons; and what must hold for all units.
#include "core/decide.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/test_world.h"

namespace fulcrum::core::test {
namespace {

Reason ReasonOf(const ExperimentData& experiment, const Context& context) {
  SnapshotData data = Project();
  data.experiments = {experiment};
  return Ask(*Make(std::move(data)), experiment.key, context).reason;
}

TEST(Decide, AssignsByWeight) {
  SnapshotData data = Project();
  data.experiments = {Experiment("x", {70, 20, 10})};
  const auto snapshot = Make(std::move(data));
  std::vector<int> counts(3, 0);
  constexpr int kUnits = 100'000;
  for (int i = 0; i < kUnits; ++i) {
    const Decision d = Ask(*snapshot, "x", User("u" + std::to_string(i)));
    ASSERT_EQ(d.reason, Reason::kAssigned);
    ASSERT_EQ(d.phase, 0);
    ++counts[static_cast<size_t>(d.variant)];
    const uint32_t weights[] = {700'000, 200'000, 100'000};
    ASSERT_EQ(d.propensity_ppm, weights[d.variant]);
    ASSERT_TRUE(d.is_enrolled());
  }
  // Five standard deviations of a binomial count.
  EXPECT_NEAR(counts[0], 70'000, 725);
  EXPECT_NEAR(counts[1], 20'000, 633);
  EXPECT_NEAR(counts[2], 10'000, 475);
}

TEST(Decide, UnknownExperiment) {
  SnapshotData data = Project();
  data.experiments = {Experiment("x")};
  const auto snapshot = Make(std::move(data));
  EXPECT_FALSE(snapshot->Find("y"));
  EXPECT_FALSE(snapshot->Find(""));
  EXPECT_EQ(Ask(*snapshot, "y", User("u")).reason, Reason::kUnknownExperiment);
  EXPECT_EQ(Decide(*snapshot, ExperimentHandle{99}, User("u")).reason, Reason::kUnknownExperiment);
}

TEST(Decide, Schedule) {
  ExperimentData experiment = Experiment("x");
  experiment.start_ms = kNow;
  experiment.end_ms = kNow + kHourMs;
  EXPECT_EQ(ReasonOf(experiment, User("u", kNow - 1)), Reason::kNotStarted);
  EXPECT_EQ(ReasonOf(experiment, User("u", kNow)), Reason::kAssigned);
  EXPECT_EQ(ReasonOf(experiment, User("u", kNow + kHourMs - 1)), Reason::kAssigned);
  EXPECT_EQ(ReasonOf(experiment, User("u", kNow + kHourMs)), Reason::kEnded);
  experiment.phases[0].start_ms = kNow + 5;
  EXPECT_EQ(ReasonOf(experiment, User("u", kNow + 4)), Reason::kNotStarted);
  experiment.status = ExperimentStatus::kDraft;
  EXPECT_EQ(ReasonOf(experiment, User("u", kNow + 6)), Reason::kDraft);
}

TEST(Decide, StopBeatsEverythingAndIsDated) {
  ExperimentData experiment = Experiment("x");
  experiment.is_sticky = true;
  experiment.unit_overrides = {{"tester", 1}};
  experiment.stopped_at_ms = kNow;
  EXPECT_EQ(ReasonOf(experiment, User("tester", kNow)), Reason::kStopped);
  EXPECT_EQ(ReasonOf(experiment, User("tester", kNow - 1)), Reason::kOverride);
  const Prior prior{"x", "treatment", 0};
  Context context = User("u");
  context.priors = {&prior, 1};
  EXPECT_EQ(ReasonOf(experiment, context), Reason::kStopped);

  experiment.stop_variant = 1;
  SnapshotData data = Project();
  data.experiments = {experiment};
  const Decision served = Ask(*Make(std::move(data)), "x", User(""));
  EXPECT_EQ(served.reason, Reason::kStopped);
  EXPECT_EQ(served.variant, 1);
  EXPECT_FALSE(served.is_enrolled());
  EXPECT_EQ(ToOfrepReason(served.reason, served.has_variant()), OfrepReason::kStatic);

  experiment.stopped_at_ms = kDistantFutureMs;
  experiment.status = ExperimentStatus::kStopped;
  EXPECT_EQ(ReasonOf(experiment, User("u", 0)), Reason::kStopped);
}

TEST(Decide, Units) {
  ExperimentData experiment = Experiment("x");
  EXPECT_EQ(ReasonOf(experiment, User("")), Reason::kNoUnit);
  const UnitId device{"device", "d1"};
  Context context = User("");
  context.units = {&device, 1};
  EXPECT_EQ(ReasonOf(experiment, context), Reason::kNoUnit);
  experiment.unit_kind = 1;
  EXPECT_EQ(ReasonOf(experiment, context), Reason::kAssigned);
  // The targeting key stands for the default kind only.
  EXPECT_EQ(ReasonOf(experiment, User("u")), Reason::kNoUnit);
  // A named unit of the default kind comes before the targeting key.
  const UnitId user{"user", "someone"};
  Context named = User("other");
  named.units = {&user, 1};
  SnapshotData data = Project();
  data.experiments = {Experiment("x")};
  const auto snapshot = Make(std::move(data));
  UnitBuffer buffer;
  EXPECT_EQ(UnitIdOf(*snapshot, snapshot->Find("x"), named, &buffer), "someone");
  EXPECT_EQ(UnitIdOf(*snapshot, snapshot->Find("x"), User("other"), &buffer), "other");
}

TEST(Decide, Overrides) {
  SnapshotData data = Project();
  ExperimentData experiment = Experiment("x", {1, 1, 1});
  experiment.status = ExperimentStatus::kDraft;
  for (int i = 0; i < 100; ++i)
    experiment.unit_overrides.push_back({"t" + std::to_string(i), i % 3});
  experiment.condition_overrides = {
      {Compare(&data, ConditionOp::kEq, kCountry, {Operand::String("ZZ")}), 2},
      {Compare(&data, ConditionOp::kEq, kIsMember, {Operand::Bool(true)}), 1}};
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  for (int i = 0; i < 100; ++i) {
    const Decision d = Ask(*snapshot, "x", User("t" + std::to_string(i)));
    EXPECT_EQ(d.reason, Reason::kOverride);
    EXPECT_EQ(d.variant, i % 3);
    EXPECT_FALSE(d.is_enrolled());
  }
  const Attribute attributes[] = {{"is_member", Value::Bool(true)}};
  Context context = User("");  // a condition needs no unit
  context.attributes = attributes;
  EXPECT_EQ(Ask(*snapshot, "x", context).variant, 1);
  EXPECT_EQ(Ask(*snapshot, "x", context).detail, 1);
  EXPECT_EQ(Ask(*snapshot, "x", User("t")).reason, Reason::kDraft);
}

TEST(Decide, StickyKeepsThePriorWhereTheAudienceChanged) {
  SnapshotData data = Project();
  ExperimentData experiment = Experiment("x");
  experiment.is_sticky = true;
  experiment.audience = Compare(&data, ConditionOp::kEq, kCountry, {Operand::String("DE")});
  experiment.phases = {Phase({9, 1}), Phase({1, 1}, 0, kNow - kHourMs)};
  data.experiments = {experiment};
  experiment.is_sticky = false;
  experiment.key = "y";
  data.experiments.push_back(experiment);
  const auto snapshot = Make(std::move(data));

  const std::vector<Prior> priors = {{"x", "treatment", 0}, {"y", "treatment", 0}};
  Context context = User("u");
  context.priors = priors;
  const Decision kept = Ask(*snapshot, "x", context);
  EXPECT_EQ(kept.reason, Reason::kSticky);
  EXPECT_EQ(kept.variant, 1);
  EXPECT_EQ(kept.phase, 0);
  EXPECT_EQ(kept.propensity_ppm, 100'000u);
  EXPECT_EQ(Ask(*snapshot, "y", context).reason, Reason::kAudienceMismatch);

  const Prior unknown{"x", "removed", 0};
  context.priors = {&unknown, 1};
  EXPECT_EQ(Ask(*snapshot, "x", context).reason, Reason::kAudienceMismatch);
  const Prior no_phase{"x", "control", -1};
  context.priors = {&no_phase, 1};
  EXPECT_EQ(Ask(*snapshot, "x", context).phase, 1);
  EXPECT_EQ(Ask(*snapshot, "x", context).propensity_ppm, 500'000u);
}

TEST(Decide, ClosedEnrolmentKeepsWhoIsIn) {
  ExperimentData experiment = Experiment("x");
  experiment.enrolment_closed_at_ms = kNow;
  EXPECT_EQ(ReasonOf(experiment, User("u", kNow - 1)), Reason::kAssigned);
  EXPECT_EQ(ReasonOf(experiment, User("u", kNow)), Reason::kEnrolmentClosed);
  const Prior prior{"x", "treatment", 0};
  Context context = User("u");
  context.priors = {&prior, 1};
  EXPECT_EQ(ReasonOf(experiment, context), Reason::kSticky);
}

TEST(Decide, SingleArm) {
  const ExperimentData experiment = Experiment("x", {0, 1});
  SnapshotData data = Project();
  data.experiments = {experiment};
  const Decision d = Ask(*Make(std::move(data)), "x", User("u"));
  EXPECT_EQ(d.reason, Reason::kSingleArm);
  EXPECT_EQ(d.variant, 1);
  EXPECT_EQ(d.propensity_ppm, kPpm);
  EXPECT_EQ(ToOfrepReason(d.reason, true), OfrepReason::kStatic);
}

TEST(Decide, Prerequisites) {
  SnapshotData data = Project();
  ExperimentData first = Experiment("first");
  ExperimentData second = Experiment("second");
  second.prerequisites = {{0, {1}}};
  data.experiments = {first, second};
  const auto snapshot = Make(std::move(data));
  int in = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string id = "u" + std::to_string(i);
    const bool has = Ask(*snapshot, "first", User(id)).variant == 1;
    const Decision d = Ask(*snapshot, "second", User(id));
    EXPECT_EQ(d.reason, has ? Reason::kAssigned : Reason::kPrerequisiteFailed);
    EXPECT_EQ(d.detail, has ? -1 : 0);
    in += has ? 1 : 0;
  }
  EXPECT_NEAR(in, 1000, 112);
}

TEST(Decide, ClusterIsTheUnit) {
  SnapshotData data = Project();
  ExperimentData by_city = Experiment("by_city");
  by_city.cluster_attribute = kCity;
  ExperimentData by_store = Experiment("by_store");
  by_store.cluster_attribute = kStore;
  data.experiments = {by_city, by_store};
  const auto snapshot = Make(std::move(data));
  UnitBuffer buffer;
  for (int64_t store :
       {int64_t{0}, int64_t{-7}, int64_t{42}, std::numeric_limits<int64_t>::min()}) {
    const Attribute attributes[] = {{"city", Value::String("Köln")}, {"store", Value::Int(store)}};
    Context a = User("a");
    Context b = User("b");
    a.attributes = b.attributes = attributes;
    EXPECT_EQ(Ask(*snapshot, "by_city", a), Ask(*snapshot, "by_city", b));
    EXPECT_EQ(Ask(*snapshot, "by_store", a), Ask(*snapshot, "by_store", b));
    EXPECT_EQ(UnitIdOf(*snapshot, snapshot->Find("by_store"), a, &buffer), std::to_string(store));
  }
  EXPECT_EQ(Ask(*snapshot, "by_city", User("u")).reason, Reason::kNoUnit);
  const Attribute wrong[] = {{"city", Value::Bool(true)}};
  Context context = User("u");
  context.attributes = wrong;
  EXPECT_EQ(Ask(*snapshot, "by_city", context).reason, Reason::kTypeMismatch);
  EXPECT_EQ(Ask(*snapshot, "by_city", context).detail, kCity);
}

TEST(Decide, Switchback) {
  SnapshotData data = Project();
  ExperimentData experiment = Experiment("x");
  experiment.start_ms = kNow;
  experiment.switchback = {4 * kHourMs, kHourMs, kCity};
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  int treated = 0;
  for (int64_t block = 0; block < 400; ++block) {
    const Attribute attributes[] = {{"city", Value::String("Lyon")}};
    Context context = User("a", kNow + block * 4 * kHourMs);
    context.attributes = attributes;
    const Decision washout = Ask(*snapshot, "x", context);
    EXPECT_EQ(washout.reason, Reason::kWashout);
    EXPECT_EQ(washout.block, block);
    EXPECT_FALSE(washout.is_enrolled());
    // Everyone in the region has the same variant for the whole block, wash-out included.
    for (const int64_t into_ms : {kHourMs, 2 * kHourMs, 4 * kHourMs - 1}) {
      context.now_ms = kNow + block * 4 * kHourMs + into_ms;
      context.targeting_key = into_ms == kHourMs ? "a" : "b";
      const Decision d = Ask(*snapshot, "x", context);
      EXPECT_EQ(d.reason, Reason::kAssigned);
      EXPECT_EQ(d.variant, washout.variant);
    }
    treated += washout.variant;
  }
  EXPECT_NEAR(treated, 200, 50);
  EXPECT_EQ(Ask(*snapshot, "x", User("a")).reason, Reason::kNoUnit);
}

// Any time is a time: none overflows.
TEST(Decide, ExtremeTimes) {
  SnapshotData data = Project();
  ExperimentData experiment = Experiment("x");
  experiment.start_ms = kDistantPastMs + 1;
  experiment.switchback = {kHourMs, 1, -1};
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  for (const int64_t now : {kDistantPastMs, kDistantPastMs + 1, int64_t{-1}, int64_t{0},
                            kDistantFutureMs - 1, kDistantFutureMs}) {
    const Decision d = Ask(*snapshot, "x", User("", now));
    EXPECT_TRUE(d.has_variant() || d.reason == Reason::kNotStarted || d.reason == Reason::kEnded ||
                d.reason == Reason::kStopped)
        << ReasonName(d.reason);
  }
}

// Whoever was in stays in, in the same variant, as traffic grows; for both hashes.
TEST(Decide, RampIsMonotone) {
  for (const HashAlgorithm hash : {HashAlgorithm::kXxh3, HashAlgorithm::kGrowthBookV2}) {
    SnapshotData data = Project();
    ExperimentData experiment = Experiment("x");
    experiment.hash = hash;
    experiment.phases.clear();
    const std::vector<uint32_t> steps = {0, 1'000, 10'000, 50'000, 250'000, 500'000, kPpm};
    for (size_t i = 0; i < steps.size(); ++i) {
      experiment.phases.push_back(
          Phase({2, 1}, steps[i], kNow + static_cast<int64_t>(i) * kHourMs, hash));
    }
    data.experiments = {experiment};
    const auto snapshot = Make(std::move(data));
    std::vector<int> enrolled(steps.size(), 0);
    constexpr int kUnits = 50'000;
    for (int unit = 0; unit < kUnits; ++unit) {
      const std::string id = "u" + std::to_string(unit);
      int32_t variant = -1;
      for (size_t i = 0; i < steps.size(); ++i) {
        const Context context = User(id, kNow + static_cast<int64_t>(i) * kHourMs);
        const Decision d = Decide(*snapshot, snapshot->Find("x"), context);
        ASSERT_EQ(d.phase, static_cast<int32_t>(i));
        ASSERT_TRUE(variant == -1 || d.variant == variant) << id << " left at step " << i;
        ASSERT_EQ(d.reason, d.variant == -1 ? Reason::kNotInTraffic : Reason::kAssigned);
        variant = d.variant;
        enrolled[i] += variant != -1 ? 1 : 0;
      }
      ASSERT_NE(variant, -1);
    }
    for (size_t i = 0; i < steps.size(); ++i) {
      const double p = steps[i] / 1e6;
      EXPECT_NEAR(enrolled[i], kUnits * p, 5 * std::sqrt(kUnits * p * (1 - p)) + kUnits * 2e-4);
    }
  }
}

TEST(Decide, EveryReasonHasItsOwnName) {
  std::vector<std::string_view> names;
  for (int i = 0; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    for (const std::string_view name : names) EXPECT_NE(name, ReasonName(reason));
    names.push_back(ReasonName(reason));
    EXPECT_NE(names.back(), "unknown");
    EXPECT_FALSE(OfrepReasonName(ToOfrepReason(reason, false)).empty());
  }
}

}  // namespace
}  // namespace fulcrum::core::test
