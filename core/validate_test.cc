// SPDX-License-Identifier: Apache-2.0
#include "core/validate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/test_random.h"

namespace fulcrum::core::test {
namespace {

SnapshotData Rich() {
  SnapshotData data = Project();
  data.layers = {{"l0", "s0", HashAlgorithm::kXxh3, 0}, {"l1", "s1", HashAlgorithm::kXxh3, 1}};
  data.holdouts = {{"h0", "s2", HashAlgorithm::kXxh3, 0, -1, 50'000, true},
                   {"h1", "s3", HashAlgorithm::kXxh3, 0, 0, 50'000, true}};
  data.segments = {{"s", Compare(&data, ConditionOp::kPresent, kCountry)}};
  data.experiments = {Experiment("a"), Experiment("b"), Experiment("c")};
  data.experiments[0].layer = 0;
  data.experiments[0].layer_ranges = {{0, 500'000}};
  data.experiments[0].holdouts = {0, 1};
  data.experiments[1].prerequisites = {{0, {0, 1}}};
  data.experiments[2].audience = 0;
  return data;
}

TEST(Validate, AcceptsWhatIsRight) {
  EXPECT_EQ(Refusal(Rich()), "");
  EXPECT_EQ(Refusal(Project()), "");
  for (uint64_t seed = 0; seed < 200; ++seed) {
    EXPECT_EQ(Refusal(RandomWorld(seed).Snapshot()), "") << seed;
  }
}

struct Broken {
  const char* says;  // part of the message
  std::function<void(SnapshotData*)> edit;
};

void Condition(SnapshotData* data, ConditionOp op, int32_t attribute,
               std::vector<Operand> operands) {
  Compare(data, op, attribute, std::move(operands));
}

const std::vector<Broken>& Edits() {
  static const std::vector<Broken> edits = {
      {"unit kind", [](auto* d) { d->unit_kinds.clear(); }},
      {"default unit kind", [](auto* d) { d->default_unit_kind = 3; }},
      {"defined twice", [](auto* d) { d->unit_kinds[1] = "user"; }},
      {"defined twice", [](auto* d) { d->attributes[1].key = "country"; }},
      {"defined twice", [](auto* d) { d->experiments[1].key = "a"; }},
      {"characters", [](auto* d) { d->experiments[1].key = "a b"; }},
      {"characters", [](auto* d) { d->experiments[1].key = ""; }},
      {"characters", [](auto* d) { d->experiments[1].key = std::string(257, 'k'); }},
      {"characters", [](auto* d) { d->experiments[0].variants[0].key = "\n"; }},
      {"unknown type", [](auto* d) { d->attributes[0].type = static_cast<AttributeType>(9); }},
      {"unknown hash", [](auto* d) { d->experiments[0].hash = static_cast<HashAlgorithm>(2); }},
      {"unknown status",
       [](auto* d) { d->experiments[0].status = static_cast<ExperimentStatus>(3); }},
      {"salt is empty", [](auto* d) { d->experiments[0].salt = ""; }},
      {"salt is empty", [](auto* d) { d->layers[0].salt = ""; }},
      {"exceed 100%", [](auto* d) { d->holdouts[0].held_ppm = 500'001; }},
      {"over 100%", [](auto* d) { d->holdouts[0].held_ppm = kPpm + 1; }},
      {"multiple of 100",
       [](auto* d) {
         d->holdouts[0].hash = HashAlgorithm::kGrowthBookV2;
         d->holdouts[0].held_ppm = 50;
       }},
      {"ends at or before", [](auto* d) { d->experiments[0].end_ms = kDistantPastMs; }},
      {"audience does not exist", [](auto* d) { d->experiments[0].audience = 99; }},
      {"experiment 9 does not exist",
       [](auto* d) {
         d->experiments[0].prerequisites = {{9, {0}}};
       }},
      {"names no variant",
       [](auto* d) {
         d->experiments[0].prerequisites = {{1, {}}};
       }},
      {"no variant 2",
       [](auto* d) {
         d->experiments[0].prerequisites = {{1, {2}}};
       }},
      {"lead back to itself",
       [](auto* d) {
         d->experiments[0].prerequisites = {{1, {0}}};
       }},
      {"lead back to itself",
       [](auto* d) {
         d->experiments[2].prerequisites = {{2, {0}}};
       }},
      {"float attribute", [](auto* d) { d->experiments[1].cluster_attribute = kSpend; }},
      {"excludes by another unit", [](auto* d) { d->experiments[0].cluster_attribute = kCity; }},
      {"excludes by another unit", [](auto* d) { d->experiments[0].unit_kind = 1; }},
      {"length of its blocks", [](auto* d) { d->experiments[1].switchback.washout_ms = 1; }},
      {"wash-out must be shorter",
       [](auto* d) {
         d->experiments[1].switchback = {5, 5, -1};
       }},
      {"needs a start",
       [](auto* d) {
         d->experiments[1].switchback = {5, 1, -1};
       }},
      {"cannot be sticky",
       [](auto* d) {
         d->experiments[1].start_ms = 0;
         d->experiments[1].switchback = {5, 1, -1};
         d->experiments[1].is_sticky = true;
       }},
      {"1 to 256 variants", [](auto* d) { d->experiments[1].variants.clear(); }},
      {"once stopped", [](auto* d) { d->experiments[1].stop_variant = 2; }},
      {"no phase", [](auto* d) { d->experiments[1].phases.clear(); }},
      {"does not start after",
       [](auto* d) { d->experiments[1].phases.push_back(d->experiments[1].phases[0]); }},
      {"one weight per variant", [](auto* d) { d->experiments[1].phases[0].weights_ppm = {kPpm}; }},
      {"sum to 999999", [](auto* d) { d->experiments[1].phases[0].weights_ppm[0] = 499'999; }},
      {"over 100%", [](auto* d) { d->experiments[1].phases[0].traffic_ppm = kPpm + 1; }},
      {"go together", [](auto* d) { d->experiments[0].layer = -1; }},
      {"layer 2 does not exist", [](auto* d) { d->experiments[0].layer = 2; }},
      {"ascending",
       [](auto* d) {
         d->experiments[0].layer_ranges = {{5, 9}, {8, 12}};
       }},
      {"ascending",
       [](auto* d) {
         d->experiments[0].layer_ranges = {{5, 5}};
       }},
      {"ascending",
       [](auto* d) {
         d->experiments[0].layer_ranges = {{5, kPpm + 1}};
       }},
      {"holdout 5", [](auto* d) { d->experiments[0].holdouts = {5}; }},
      {"another layer", [](auto* d) { d->experiments[1].holdouts = {1}; }},
      {"would not be independent",
       [](auto* d) {
         d->experiments[0].hash = d->layers[0].hash = HashAlgorithm::kGrowthBookV2;
         d->layers[0].salt = d->experiments[0].salt;
       }},
      {"claim the same range",
       [](auto* d) {
         d->experiments[1].layer = 0;
         d->experiments[1].layer_ranges = {{499'999, 500'001}};
       }},
      {"overridden twice",
       [](auto* d) {
         d->experiments[1].unit_overrides = {{"u", 0}, {"u", 1}};
       }},
      {"names no variant",
       [](auto* d) {
         d->experiments[1].unit_overrides = {{"u", 2}};
       }},
      {"empty unit id",
       [](auto* d) {
         d->experiments[1].unit_overrides = {{"", 0}};
       }},
      {"no condition",
       [](auto* d) {
         d->experiments[1].condition_overrides = {{7, 0}};
       }},
      {"its condition does not exist", [](auto* d) { d->segments[0].condition = 5; }},
      {"unknown operator", [](auto* d) { d->conditions[0].op = static_cast<ConditionOp>(21); }},
      {"child 4", [](auto* d) { Join(d, ConditionOp::kAll, {4}); }},
      {"contains itself", [](auto* d) { Join(d, ConditionOp::kAll, {1}); }},
      {"exactly one condition",
       [](auto* d) {
         Join(d, ConditionOp::kNot, {0, 0});
       }},
      {"attribute 99", [](auto* d) { Condition(d, ConditionOp::kPresent, 99, {}); }},
      {"exactly one value", [](auto* d) { Condition(d, ConditionOp::kEq, kAge, {}); }},
      {"exactly one value",
       [](auto* d) {
         Condition(d, ConditionOp::kLt, kAge, {Operand::Int(1), Operand::Int(2)});
       }},
      {"needs a value", [](auto* d) { Condition(d, ConditionOp::kIn, kAge, {}); }},
      {"of type int", [](auto* d) { Condition(d, ConditionOp::kEq, kAge, {Operand::Float(1)}); }},
      {"NaN",
       [](auto* d) { Condition(d, ConditionOp::kEq, kSpend, {Operand::Float(std::nan(""))}); }},
      {"not a version",
       [](auto* d) { Condition(d, ConditionOp::kEq, kAppVersion, {Operand::Version("x")}); }},
      {"cannot be compared",
       [](auto* d) { Condition(d, ConditionOp::kLt, kCountry, {Operand::String("x")}); }},
      {"cannot be compared",
       [](auto* d) { Condition(d, ConditionOp::kPrefix, kAge, {Operand::Int(1)}); }},
      {"cannot be compared",
       [](auto* d) { Condition(d, ConditionOp::kGe, kIsMember, {Operand::Bool(true)}); }},
  };
  return edits;
}

TEST(Validate, EachRuleSaysWhatIsWrong) {
  for (size_t i = 0; i < Edits().size(); ++i) {
    SnapshotData data = Rich();
    Edits()[i].edit(&data);
    EXPECT_NE(Refusal(std::move(data)).find(Edits()[i].says), std::string::npos)
        << "edit " << i << " should say '" << Edits()[i].says << "', said '" <<
        [&] {
          SnapshotData again = Rich();
          Edits()[i].edit(&again);
          return Refusal(std::move(again));
        }()
        << "'";
  }
}

TEST(Validate, RangesMayBeReusedOneAfterTheOther) {
  SnapshotData data = Rich();
  data.experiments[1].layer = 0;
  data.experiments[1].layer_ranges = {{0, 500'000}};
  EXPECT_NE(Refusal(data), "");
  data.experiments[0].end_ms = kNow;
  data.experiments[1].start_ms = kNow;
  EXPECT_EQ(Refusal(data), "");
  data.experiments[1].start_ms = kNow - 1;
  EXPECT_NE(Refusal(data), "");
  data.experiments[0].stopped_at_ms = kNow - 1;
  EXPECT_EQ(Refusal(data), "");
}

// Chains beyond the bounds are refused, chains at the bounds are not, and neither recursion nor
// time gets out of hand.
TEST(Validate, DepthsAndCostAreBounded) {
  const auto nested = [](int depth) {
    SnapshotData data = Rich();
    int32_t root = 0;
    for (int i = 1; i < depth; ++i) root = Join(&data, ConditionOp::kNot, {root});
    data.experiments[2].audience = root;
    return Refusal(std::move(data));
  };
  EXPECT_EQ(nested(kMaxConditionDepth), "");
  EXPECT_NE(nested(kMaxConditionDepth + 1).find("nested"), std::string::npos);
  EXPECT_NE(nested(200'000).find("nested"), std::string::npos);

  const auto chained = [](int length) {
    SnapshotData data = Project();
    for (int i = 0; i < length; ++i) {
      data.experiments.push_back(Experiment("e" + std::to_string(i)));
      if (i > 0) data.experiments.back().prerequisites = {{i - 1, {0}}};
    }
    return Refusal(std::move(data));
  };
  EXPECT_EQ(chained(kMaxPrerequisiteDepth), "");
  EXPECT_NE(chained(kMaxPrerequisiteDepth + 1).find("chain of prerequisites"), std::string::npos);
  EXPECT_NE(chained(50'000).find("chain of prerequisites"), std::string::npos);

  // 30 levels that each name the level below twice: 2^30 evaluations from 30 nodes.
  SnapshotData bomb = Rich();
  int32_t root = 0;
  for (int i = 0; i < 29; ++i) root = Join(&bomb, ConditionOp::kAny, {root, root});
  EXPECT_NE(Refusal(std::move(bomb)).find("look at more than"), std::string::npos);
}

}  // namespace
}  // namespace fulcrum::core::test
