// SPDX-License-Identifier: Apache-2.0
//
// The sample shop in examples/ and the planted effects fit together: every file is valid, every
// planted experiment exists, and the world it makes has the effects that the demonstration shows.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "core/snapshot.h"
#include "experiments/compile.h"
#include "experiments/load.h"
#include "sim/decide.h"
#include "sim/truth.h"

namespace fulcrum::sim {
namespace {

std::string Problems(const experiments::LoadResult& loaded) {
  std::string text;
  for (const auto& diagnostic : loaded.diagnostics) text += Format(diagnostic) + "\n";
  return text;
}

class Shop : public testing::Test {
 protected:
  void SetUp() override {
    loaded_ = experiments::LoadDirectory("examples/shop");
    ASSERT_TRUE(loaded_.ok() && loaded_.diagnostics.empty()) << Problems(loaded_);
    auto data = experiments::Compile(loaded_.definitions, core::Controls{});
    ASSERT_TRUE(data.ok()) << data.status();
    core::BuildError error;
    snapshot_ = core::Snapshot::Make(*std::move(data), &error);
    ASSERT_NE(snapshot_, nullptr) << error.message;
  }

  World MakeWorld(uint64_t seed, int64_t users) const {
    WorldOptions options;
    options.seed = seed;
    options.users = users;
    options.start_ms = *loaded_.definitions.experiments.front().start_ms;
    return World(options, ShopModel{}, SampleShopExperiments(), Faults{}, loaded_.definitions);
  }

  experiments::LoadResult loaded_;
  std::shared_ptr<const core::Snapshot> snapshot_;
};

TEST_F(Shop, EveryPlantedExperimentAndVariantExists) {
  for (const auto& model : SampleShopExperiments()) {
    const auto* experiment = loaded_.definitions.FindExperiment(model.experiment);
    ASSERT_NE(experiment, nullptr) << model.experiment;
    for (const auto& [key, effect] : model.effects) {
      bool found = false;
      for (const auto& variant : experiment->variants) found = found || variant.key == key;
      EXPECT_TRUE(found) << model.experiment << " has no variant " << key;
    }
  }
}

TEST_F(Shop, EffectsPointWhereTheyWerePlanted) {
  const World world = MakeWorld(1, 8000);
  TruthOptions options;
  options.threads = 2;
  const Truth truth = ComputeTruth(world, DecideWith(world, snapshot_, 3600 * 1000), options);
  std::set<std::string> measured;
  for (const auto& effect : truth.effects) measured.insert(effect.experiment);
  EXPECT_EQ(measured.size(), loaded_.definitions.experiments.size());
  const auto lift = [&](const char* experiment, const char* variant, const char* metric) {
    const TrueEffect* effect = truth.Find(experiment, variant, metric);
    EXPECT_NE(effect, nullptr) << experiment << " " << metric;
    return effect == nullptr ? std::nan("") : effect->lift;
  };
  EXPECT_GT(lift("one-page-checkout", "one-page", "pay_rate"), 0.05);
  EXPECT_LT(lift("one-page-checkout", "one-page", "time_to_pay"), 0);
  EXPECT_GT(lift("phone-registration", "phone", "register_rate"), 0.05);
  EXPECT_GT(lift("coupon-depth", "twenty-off", "pay_rate"),
            lift("coupon-depth", "ten-off", "pay_rate"));
  // The deeper coupon sells more and earns less.
  EXPECT_LT(lift("coupon-depth", "twenty-off", "contribution"), 0);
  EXPECT_LT(lift("high-resolution-images", "high-resolution", "pay_rate"), -0.08);
  for (const auto& effect : truth.effects) {
    EXPECT_TRUE(std::isfinite(effect.effect)) << effect.experiment << " " << effect.metric;
    EXPECT_GT(effect.units, 100) << effect.experiment << " " << effect.metric;
  }
}

TEST_F(Shop, AssignmentIsTheEvaluatorsAndIsKeptForLife) {
  const World world = MakeWorld(2, 3000);
  class Watch : public Sink {
   public:
    void OnRecord(const Record& record) override {
      if (record.kind != RecordKind::kExposure) return;
      const auto unit =
          std::make_tuple(record.experiment, record.user, record.names_user ? 9 : record.device);
      const auto [it, fresh] = variants.try_emplace(unit, record.variant);
      if (!fresh) {
        EXPECT_EQ(it->second, record.variant);
      }
    }
    std::map<std::tuple<int, uint32_t, int>, int> variants;
  } watch;
  world.Run(DecideWith(world, snapshot_, 1), watch);
  std::map<std::pair<int, int>, double> arms;
  for (const auto& [unit, variant] : watch.variants) ++arms[{std::get<0>(unit), variant}];
  for (int e = 0; e < world.experiment_count(); ++e) {
    const auto& experiment = loaded_.definitions.experiments[static_cast<size_t>(e)];
    if (experiment.key == "search-ranking") continue;  // Its mismatch is planted.
    const double a = arms[{e, 0}];
    const double b = arms[{e, 1}];
    EXPECT_GT(a + b, 150) << experiment.key;
    EXPECT_NEAR(a / (a + b), 0.5, 4 * std::sqrt(0.25 / (a + b))) << experiment.key;
  }
}

TEST(Examples, TheFileForAnalyzeIsValid) {
  const auto loaded = experiments::LoadAnalyzeFile("examples/hillstrom.yaml");
  EXPECT_TRUE(loaded.ok() && loaded.diagnostics.empty()) << Problems(loaded);
}

}  // namespace
}  // namespace fulcrum::sim
