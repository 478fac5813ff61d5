// SPDX-License-Identifier: Apache-2.0
// Layers, holdouts, and the independence of assignments that are meant to be independent.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/test_world.h"

namespace fulcrum::core::test {
namespace {

constexpr int kUnits = 40'000;

// Chi-square of a 2x2 table of counts against independence, one degree of freedom.
double ChiSquare2x2(const double n[2][2]) {
  const double total = n[0][0] + n[0][1] + n[1][0] + n[1][1];
  const double determinant = n[0][0] * n[1][1] - n[0][1] * n[1][0];
  return total * determinant * determinant /
         ((n[0][0] + n[0][1]) * (n[1][0] + n[1][1]) * (n[0][0] + n[1][0]) * (n[0][1] + n[1][1]));
}
constexpr double kChiSquareAllowed = 20;  // p < 1e-5

ExperimentData InLayer(std::string key, int32_t layer, std::vector<BucketRange> ranges) {
  ExperimentData experiment = Experiment(std::move(key));
  experiment.layer = layer;
  experiment.layer_ranges = std::move(ranges);
  return experiment;
}

class Layers : public ::testing::TestWithParam<HashAlgorithm> {};

TEST_P(Layers, ExcludeEachOtherAndAreIndependent) {
  SnapshotData data = Project();
  data.layers = {{"checkout", "l1", GetParam(), 0}, {"search", "l2", GetParam(), 0}};
  data.experiments = {InLayer("a", 0, {{0, 300'000}, {700'000, 800'000}}),
                      InLayer("b", 0, {{300'000, 700'000}}), InLayer("c", 1, {{0, 500'000}}),
                      Experiment("free")};
  for (ExperimentData& experiment : data.experiments) experiment.hash = GetParam();
  const auto snapshot = Make(std::move(data));
  double in[3] = {0, 0, 0};
  double a_by_c[2][2] = {{0, 0}, {0, 0}};
  double a_by_free[2][2] = {{0, 0}, {0, 0}};
  for (int i = 0; i < kUnits; ++i) {
    const std::string id = "u" + std::to_string(i);
    const Decision a = Decide(*snapshot, {0}, User(id));
    const Decision b = Decide(*snapshot, {1}, User(id));
    const Decision c = Decide(*snapshot, {2}, User(id));
    ASSERT_FALSE(a.has_variant() && b.has_variant());
    for (const Decision& d : {a, b, c}) {
      ASSERT_EQ(d.reason, d.has_variant() ? Reason::kAssigned : Reason::kLayerExcluded);
    }
    in[0] += a.has_variant();
    in[1] += b.has_variant();
    in[2] += c.has_variant();
    ++a_by_c[a.has_variant()][c.has_variant()];
    if (a.has_variant()) ++a_by_free[a.variant][Decide(*snapshot, {3}, User(id)).variant];
  }
  EXPECT_NEAR(in[0] / kUnits, 0.4, 0.0125);
  EXPECT_NEAR(in[1] / kUnits, 0.4, 0.0125);
  EXPECT_NEAR(in[2] / kUnits, 0.5, 0.0125);
  EXPECT_LT(ChiSquare2x2(a_by_c), kChiSquareAllowed);
  EXPECT_LT(ChiSquare2x2(a_by_free), kChiSquareAllowed);
}

// A freed range given to another experiment moves nobody in the others.
TEST_P(Layers, FreedRangesAreReusedWithoutReshuffling) {
  SnapshotData before = Project();
  before.layers = {{"checkout", "l1", GetParam(), 0}};
  before.experiments = {InLayer("a", 0, {{0, 300'000}}), InLayer("b", 0, {{300'000, 600'000}})};
  SnapshotData after = before;
  after.experiments[0].status = ExperimentStatus::kStopped;
  after.experiments.push_back(InLayer("c", 0, {{0, 300'000}, {600'000, 700'000}}));
  const auto old_snapshot = Make(std::move(before));
  const auto new_snapshot = Make(std::move(after));
  for (int i = 0; i < kUnits; ++i) {
    const std::string id = "u" + std::to_string(i);
    ASSERT_EQ(Decide(*old_snapshot, {1}, User(id)), Decide(*new_snapshot, {1}, User(id)));
    const bool was_in_a = Decide(*old_snapshot, {0}, User(id)).has_variant();
    const Decision c = Decide(*new_snapshot, {2}, User(id));
    ASSERT_TRUE(!was_in_a || c.has_variant());
  }
}

INSTANTIATE_TEST_SUITE_P(Hashes, Layers,
                         ::testing::Values(HashAlgorithm::kXxh3, HashAlgorithm::kGrowthBookV2));

TEST(Holdout, HoldsOutAndCompares) {
  SnapshotData data = Project();
  data.layers = {{"checkout", "l1", HashAlgorithm::kXxh3, 0}};
  data.holdouts = {{"global", "h1", HashAlgorithm::kXxh3, 0, -1, 50'000, true},
                   {"of_layer", "h2", HashAlgorithm::kXxh3, 0, 0, 100'000, true}};
  data.experiments = {Experiment("a"), InLayer("b", 0, {{0, kPpm}}), Experiment("not_a_member")};
  data.experiments[0].holdouts = {0};
  data.experiments[1].holdouts = {0, 1};
  const auto snapshot = Make(std::move(data));
  double held[2] = {0, 0};
  double compared[2] = {0, 0};
  double treated[2] = {0, 0};  // of experiment a: in the comparison arm, elsewhere
  double elsewhere = 0;
  for (int i = 0; i < kUnits; ++i) {
    const std::string id = "u" + std::to_string(i);
    const Context context = User(id);
    const HoldoutArm arms[2] = {HoldoutArmOf(*snapshot, 0, context),
                                HoldoutArmOf(*snapshot, 1, context)};
    for (int h = 0; h < 2; ++h) {
      held[h] += arms[h] == HoldoutArm::kHeld;
      compared[h] += arms[h] == HoldoutArm::kComparison;
    }
    const Decision a = Decide(*snapshot, {0}, context);
    const Decision b = Decide(*snapshot, {1}, context);
    EXPECT_EQ(a.reason, arms[0] == HoldoutArm::kHeld ? Reason::kHoldout : Reason::kAssigned);
    const bool b_held = arms[0] == HoldoutArm::kHeld || arms[1] == HoldoutArm::kHeld;
    EXPECT_EQ(b.reason, b_held ? Reason::kHoldout : Reason::kAssigned);
    EXPECT_EQ(b.detail, !b_held ? -1 : arms[0] == HoldoutArm::kHeld ? 0 : 1);
    EXPECT_TRUE(Decide(*snapshot, {2}, context).has_variant());
    if (arms[0] == HoldoutArm::kComparison) treated[0] += a.variant;
    if (arms[0] == HoldoutArm::kNone) {
      treated[1] += a.variant;
      ++elsewhere;
    }
  }
  EXPECT_NEAR(held[0] / kUnits, 0.05, 0.006);
  EXPECT_NEAR(compared[0] / kUnits, 0.05, 0.006);
  EXPECT_NEAR(held[1] / kUnits, 0.1, 0.0075);
  EXPECT_NEAR(compared[1] / kUnits, 0.1, 0.0075);
  // The comparison arm is treated like everyone else.
  EXPECT_NEAR(treated[0] / compared[0], 0.5, 5 * 0.5 / std::sqrt(compared[0]));
  EXPECT_NEAR(treated[1] / elsewhere, 0.5, 5 * 0.5 / std::sqrt(elsewhere));
  EXPECT_EQ(HoldoutArmOf(*snapshot, 7, User("u")), HoldoutArm::kNone);
  EXPECT_EQ(HoldoutArmOf(*snapshot, 0, User("")), HoldoutArm::kNone);
}

// One unit's variants in 20 experiments are pairwise independent, and of a shared salt between an
// experiment and its layer.
TEST(Independence, BetweenExperiments) {
  constexpr int kExperiments = 20;
  SnapshotData data = Project();
  data.layers = {{"l", "e0-salt", HashAlgorithm::kXxh3, 0}};
  for (int i = 0; i < kExperiments; ++i) {
    data.experiments.push_back(Experiment("e" + std::to_string(i)));
  }
  data.experiments[0].layer = 0;
  data.experiments[0].layer_ranges = {{0, 500'000}};
  const auto snapshot = Make(std::move(data));
  std::vector<std::vector<int8_t>> variants(kExperiments);
  double first[2] = {0, 0};
  for (int i = 0; i < kUnits; ++i) {
    const std::string id = std::to_string(i);
    for (int e = 0; e < kExperiments; ++e) {
      const Decision d = Decide(*snapshot, {e}, User(id));
      variants[static_cast<size_t>(e)].push_back(static_cast<int8_t>(d.variant));
      if (e == 0 && d.has_variant()) ++first[d.variant];
    }
  }
  EXPECT_NEAR(first[0] / (first[0] + first[1]), 0.5, 0.018);
  for (size_t a = 1; a < kExperiments; ++a) {
    for (size_t b = a + 1; b < kExperiments; ++b) {
      double table[2][2] = {{0, 0}, {0, 0}};
      for (size_t i = 0; i < kUnits; ++i) ++table[variants[a][i]][variants[b][i]];
      EXPECT_LT(ChiSquare2x2(table), kChiSquareAllowed) << a << " and " << b;
    }
  }
}

}  // namespace
}  // namespace fulcrum::core::test
