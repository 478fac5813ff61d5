// SPDX-License-Identifier: Apache-2.0
#include "experiments/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <numeric>

#include "base/status.h"
#include "base/time.h"
#include "core/decide.h"
#include "core/wire.h"
#include "experiments/load.h"
#include "experiments/sample_test_data.h"

namespace fulcrum::experiments {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kDuringMs = 1773000000000;  // 2026-03-08, in the second ramp step.

Definitions LoadSound(const std::map<std::string, std::string>& files) {
  LoadResult loaded = LoadFromFiles(files);
  for (const Diagnostic& d : loaded.diagnostics) ADD_FAILURE() << Format(d);
  return loaded.definitions;
}

std::unique_ptr<const core::Snapshot> Build(const Definitions& definitions,
                                            const core::Controls& controls = {}) {
  auto data = Compile(definitions, controls);
  EXPECT_TRUE(data.ok()) << Message(data.status());
  if (!data.ok()) return nullptr;
  core::BuildError error;
  auto snapshot = core::Snapshot::Make(*std::move(data), &error);
  EXPECT_NE(snapshot, nullptr) << error.message;
  return snapshot;
}

struct Person {
  std::string id;
  std::string channel = "search";
  std::string version = "2.3.0";
  bool tester = false;
};

core::Decision Ask(const core::Snapshot& snapshot, std::string_view experiment,
                   const Person& person, int64_t now_ms = kDuringMs) {
  const core::Attribute attributes[] = {{"channel", core::Value::String(person.channel)},
                                        {"app_version", core::Value::String(person.version)},
                                        {"tester", core::Value::Bool(person.tester)}};
  core::Context context;
  context.targeting_key = person.id;
  context.attributes = attributes;
  context.now_ms = now_ms;
  return core::Decide(snapshot, snapshot.Find(experiment), context);
}

TEST(CompileTest, SameInputsGiveTheSameBytes) {
  const Definitions definitions = LoadSound(SampleFiles());
  const auto first = Compile(definitions, {}, 5);
  const auto second = Compile(LoadSound(SampleFiles()), {}, 5);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(core::Encode(*first), core::Encode(*second));
  EXPECT_EQ(first->version, definitions.version + "+0");
  core::BuildError error;
  const auto decoded = core::Decode(core::Encode(*first), &error);
  ASSERT_TRUE(decoded.has_value()) << error.message;
  EXPECT_EQ(*decoded, *first);
}

TEST(CompileTest, EveryPartArrives) {
  const auto data = Compile(LoadSound(SampleFiles()), {});
  ASSERT_TRUE(data.ok()) << Message(data.status());
  const core::ExperimentData& e = data->experiments[0];
  EXPECT_EQ(e.key, "one-page-checkout");
  EXPECT_EQ(e.salt, "checkout-2026-03");
  EXPECT_EQ(data->unit_kinds[static_cast<size_t>(e.unit_kind)], "user");
  EXPECT_EQ(e.layer_ranges, (std::vector<core::BucketRange>{{0, 500'000}}));
  EXPECT_EQ(e.holdouts, std::vector<int32_t>{0});
  EXPECT_EQ(data->holdouts[0].held_ppm, 20'000u);
  ASSERT_EQ(e.prerequisites.size(), 1u);
  EXPECT_EQ(data->experiments[static_cast<size_t>(e.prerequisites[0].experiment)].key, "other");
  EXPECT_EQ(e.prerequisites[0].variants, std::vector<int32_t>{1});
  ASSERT_EQ(e.phases.size(), 2u);
  EXPECT_EQ(e.phases[0].traffic_ppm, 100'000u);
  EXPECT_EQ(e.phases[1].traffic_ppm, 1'000'000u);
  EXPECT_EQ(e.phases[1].start_ms - e.phases[0].start_ms, 2 * kDayMs);
  EXPECT_EQ(e.unit_overrides[0].unit_id, "tester-1");
  EXPECT_TRUE(e.variants[0].is_control);
  EXPECT_EQ(e.variants[1].value, "\"one-page\"");
  const core::ExperimentData& other = data->experiments[1];
  EXPECT_EQ(other.value_type, core::ParameterType::kFloat);
  EXPECT_EQ(other.phases[0].weights_ppm, (std::vector<uint32_t>{333'333, 666'667}));
}

TEST(CompileTest, UnitsAreDecidedAsWritten) {
  const auto snapshot = Build(LoadSound(SampleFiles()));
  ASSERT_NE(snapshot, nullptr);
  std::map<core::Reason, int> reasons;
  std::map<int32_t, int> variants;
  constexpr int kUnits = 40'000;
  for (int i = 0; i < kUnits; ++i) {
    const Person person{"user-" + std::to_string(i)};
    const core::Decision decision = Ask(*snapshot, "one-page-checkout", person);
    ++reasons[decision.reason];
    if (!decision.is_enrolled()) continue;
    ++variants[decision.variant];
    // Whoever is enrolled has the variant of the other experiment that is asked for.
    EXPECT_EQ(Ask(*snapshot, "other", person).variant, 1);
  }
  const auto share = [&](core::Reason reason) { return reasons[reason] / double{kUnits}; };
  // In order: 2% held out, half of the rest outside the layer's range, a third of those lacks the
  // prerequisite, half of those is not in the percentage. Four standard errors.
  const auto near = [](double value, double expected) {
    EXPECT_NEAR(value, expected, 4 * std::sqrt(expected * (1 - expected) / kUnits));
  };
  near(share(core::Reason::kHoldout), 0.02);
  near(share(core::Reason::kLayerExcluded), 0.98 * 0.5);
  near(share(core::Reason::kPrerequisiteFailed), 0.98 * 0.5 / 3);
  near(share(core::Reason::kAudienceMismatch), 0.98 * 0.5 * 2 / 3 * 0.5);
  near(share(core::Reason::kAssigned), 0.98 * 0.5 * 2 / 3 * 0.5);
  near(variants[0] / double{kUnits}, 0.98 * 0.5 * 2 / 3 * 0.25);

  Person eligible;
  for (int i = 0; eligible.id.empty(); ++i) {
    const Person person{"user-" + std::to_string(i)};
    if (Ask(*snapshot, "one-page-checkout", person).is_enrolled()) eligible = person;
  }
  const auto reason = [&](const Person& person, int64_t now_ms = kDuringMs) {
    return Ask(*snapshot, "one-page-checkout", person, now_ms).reason;
  };
  EXPECT_EQ(reason({eligible.id, "media"}), core::Reason::kAudienceMismatch);
  EXPECT_EQ(reason({eligible.id, "search", "2.2.9"}), core::Reason::kAudienceMismatch);
  EXPECT_EQ(reason({eligible.id, "search", "2.10"}), core::Reason::kAssigned);
  EXPECT_EQ(reason({eligible.id, "search", "3", true}), core::Reason::kAudienceMismatch);
  EXPECT_EQ(reason(eligible, 1772000000000), core::Reason::kNotStarted);
  EXPECT_EQ(reason(eligible, 1775000000000), core::Reason::kEnded);
  EXPECT_EQ(reason({"tester-1", "media"}), core::Reason::kOverride);
}

// Within one step of exact proportion, every positive weight above zero, whatever the unit.
TEST(CompileTest, WeightsBecomeSharesByLargestRemainder) {
  const std::vector<std::vector<double>> tables = {{1, 1, 1},
                                                   {50, 50},
                                                   {0.1, 0.2, 0.7},
                                                   {9e6, 0.000001},
                                                   {0, 1},
                                                   {1, 2, 3, 4, 5, 6, 7},
                                                   {33.333333, 33.333333, 33.333334}};
  Definitions definitions = LoadSound(SampleFiles());
  for (const HashAlgorithm hash : {HashAlgorithm::kXxh3, HashAlgorithm::kGrowthbookV2}) {
    for (const std::vector<double>& weights : tables) {
      ExperimentDefinition& other = definitions.experiments[1];
      other.hash = hash;
      other.variants.resize(2, other.variants[1]);
      for (size_t i = 2; i < weights.size(); ++i) {
        other.variants.push_back(other.variants[1]);
        other.variants.back().key = "v" + std::to_string(i);
      }
      for (size_t i = 0; i < weights.size(); ++i) other.variants[i].weight = weights[i];
      const auto data = Compile(definitions, {});
      ASSERT_TRUE(data.ok()) << Message(data.status());
      const std::vector<uint32_t>& ppm = data->experiments[1].phases[0].weights_ppm;
      const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
      const double step = hash == HashAlgorithm::kXxh3 ? 1 : 100;
      EXPECT_EQ(std::accumulate(ppm.begin(), ppm.end(), uint64_t{0}), core::kPpm);
      for (size_t i = 0; i < weights.size(); ++i) {
        EXPECT_EQ(ppm[i] > 0, weights[i] > 0);
        EXPECT_NEAR(ppm[i], weights[i] / sum * core::kPpm, step * 1.0001);
      }
    }
  }
}

TEST(CompileTest, ControlsOutliveTheDefinitions) {
  const Definitions definitions = LoadSound(SampleFiles());
  core::ControlRecord record;
  record.seq = 7;
  record.ts_ms = kDuringMs;
  record.actor = "ops";
  record.kind = core::ControlKind::kStop;
  record.experiment = "other";
  const core::Controls controls = core::Apply(std::vector<core::ControlRecord>{record});
  const auto snapshot = Build(definitions, controls);
  ASSERT_NE(snapshot, nullptr);
  EXPECT_EQ(Ask(*snapshot, "other", {"u"}, kDuringMs).reason, core::Reason::kStopped);
  EXPECT_TRUE(Ask(*snapshot, "other", {"u"}, kDuringMs - 1).has_variant());
  EXPECT_EQ(snapshot->version(), definitions.version + "+7");
}

TEST(CompileTest, AControlThatDoesNotFitRefusesNothingAndSaysSo) {
  core::ControlRecord record;
  record.seq = 1;
  record.kind = core::ControlKind::kAdvanceRamp;
  record.experiment = "one-page-checkout";
  record.step = 9;
  std::vector<std::string> unfit;
  const auto data = Compile(LoadSound(SampleFiles()),
                            core::Apply(std::vector<core::ControlRecord>{record}), 0, &unfit);
  ASSERT_TRUE(data.ok()) << Message(data.status());
  ASSERT_EQ(unfit.size(), 1u);
  EXPECT_THAT(unfit[0], HasSubstr("'one-page-checkout': an advance to ramp step 9"));
}

TEST(CompileTest, ConditionsOfEveryKindCompile) {
  auto files = SampleFiles();
  files["experiments/other.yaml"] += R"(audience:
  any:
    - all: [{age: {gte: 18, lt: 65}}, {spend: {gt: 10}}, {joined: {lt: 2026-01-01T00:00:00Z}}]
    - city: {prefix: [Bei, Shang], contains: an, suffix: hai}
    - registered: true
      channel: [search, media]
    - app_version: {in: [1.0, 2.0.0-rc.1]}
    - age: {present: true}
      city: {absent: true}
      channel: {ne: media, not_in: [social]}
    - now: {after: 2026-01-01T00:00:00Z, before: 2027-01-01T00:00:00Z}
overrides:
  - {when: {segment: testers}, variant: on}
)";
  const auto snapshot = Build(LoadSound(files));
  ASSERT_NE(snapshot, nullptr);
  EXPECT_EQ(Ask(*snapshot, "other", {"u", "search", "2", true}).reason, core::Reason::kOverride);
  // The last alternative holds for everyone in 2026, and for nobody before.
  EXPECT_TRUE(Ask(*snapshot, "other", {"u", "media", "9"}).has_variant());
  EXPECT_FALSE(Ask(*snapshot, "other", {"u", "media", "9"}, 1750000000000).has_variant());
}

TEST(CompileTest, SwitchbacksAndClustersCompile) {
  auto files = SampleFiles();
  files["experiments/delivery.yaml"] = R"(experiment: delivery
salt: delivery-2026
switchback: {block: 4h, washout: 30m, region: city}
variants:
  slow: {control: true}
  fast: {}
schedule: {start: 2026-03-01T00:00:00Z}
primary: [pay_rate]
)";
  files["experiments/prices.yaml"] = R"(experiment: prices
salt: prices-2026
hash: growthbook-v2
cluster: city
sticky: true
variants:
  a: {control: true}
  b: {}
primary: [pay_rate]
)";
  LoadResult loaded = LoadFromFiles(files);
  ASSERT_TRUE(loaded.ok());
  const auto data = Compile(loaded.definitions, {});
  ASSERT_TRUE(data.ok()) << Message(data.status());
  EXPECT_EQ(data->experiments[0].switchback.block_ms, 4 * kHourMs);
  EXPECT_TRUE(data->experiments[0].holdouts.empty());
  EXPECT_EQ(data->experiments[3].hash, core::HashAlgorithm::kGrowthBookV2);
  EXPECT_TRUE(data->experiments[3].is_sticky);
  EXPECT_GE(data->experiments[3].cluster_attribute, 0);
}

}  // namespace
}  // namespace fulcrum::experiments
