// SPDX-License-Identifier: Apache-2.0
// Audience conditions: every operator, absent values, conversions, and three-valued logic.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/test_world.h"

namespace fulcrum::core::test {
namespace {

using Build = std::function<int32_t(SnapshotData*)>;

// The reason an experiment with this audience gives.
Decision DecisionOf(const Build& audience, std::vector<Attribute> attributes,
                    std::string_view id = "u", int64_t now_ms = kNow) {
  SnapshotData data = Project();
  ExperimentData experiment = Experiment("x");
  experiment.audience = audience(&data);
  data.experiments = {experiment};
  Context context = User(id, now_ms);
  context.attributes = attributes;
  return Ask(*Make(std::move(data)), "x", context);
}

bool Holds(const Build& audience, std::vector<Attribute> attributes = {}) {
  const Decision d = DecisionOf(audience, std::move(attributes));
  EXPECT_TRUE(d.reason == Reason::kAssigned || d.reason == Reason::kAudienceMismatch)
      << ReasonName(d.reason);
  return d.reason == Reason::kAssigned;
}

Build On(ConditionOp op, int32_t attribute, std::vector<Operand> operands = {}) {
  return [=](SnapshotData* data) { return Compare(data, op, attribute, operands); };
}

TEST(Condition, Text) {
  const std::vector<Attribute> de = {{"country", Value::String("DE")}};
  EXPECT_TRUE(Holds(On(ConditionOp::kEq, kCountry, {Operand::String("DE")}), de));
  EXPECT_FALSE(Holds(On(ConditionOp::kEq, kCountry, {Operand::String("de")}), de));
  EXPECT_FALSE(Holds(On(ConditionOp::kNe, kCountry, {Operand::String("DE")}), de));
  EXPECT_TRUE(
      Holds(On(ConditionOp::kPrefix, kCountry, {Operand::String("F"), Operand::String("D")}), de));
  EXPECT_FALSE(Holds(On(ConditionOp::kPrefix, kCountry, {Operand::String("DEU")}), de));
  EXPECT_TRUE(Holds(On(ConditionOp::kSuffix, kCountry, {Operand::String("E")}), de));
  EXPECT_FALSE(Holds(On(ConditionOp::kSuffix, kCountry, {Operand::String("D")}), de));
  EXPECT_TRUE(Holds(On(ConditionOp::kContains, kCountry, {Operand::String("DE")}), de));
  EXPECT_TRUE(Holds(On(ConditionOp::kContains, kCountry, {Operand::String("")}), de));
  EXPECT_FALSE(Holds(On(ConditionOp::kContains, kCountry, {Operand::String("ED")}), de));
}

TEST(Condition, Numbers) {
  const std::vector<Attribute> age = {{"age", Value::Int(30)}};
  const std::vector<std::pair<ConditionOp, std::vector<bool>>> expected = {
      // against 29, 30, 31
      {ConditionOp::kEq, {false, true, false}}, {ConditionOp::kNe, {true, false, true}},
      {ConditionOp::kLt, {false, false, true}}, {ConditionOp::kLe, {false, true, true}},
      {ConditionOp::kGt, {true, false, false}}, {ConditionOp::kGe, {true, true, false}}};
  for (const auto& [op, results] : expected) {
    for (int64_t i = 0; i < 3; ++i) {
      const bool result = results[static_cast<size_t>(i)];
      EXPECT_EQ(Holds(On(op, kAge, {Operand::Int(29 + i)}), age), result);
      EXPECT_EQ(Holds(On(op, kSpend, {Operand::Float(29.5 + static_cast<double>(i))}),
                      {{"spend", Value::Float(30.5)}}),
                result);
      EXPECT_EQ(
          Holds(On(op, kSignedUp, {Operand::TimeMs(29 + i)}), {{"signed_up", Value::TimeMs(30)}}),
          result);
      EXPECT_EQ(Holds(On(op, kAppVersion, {Operand::Version("1." + std::to_string(29 + i))}),
                      {{"app_version", Value::Version("1.30.0")}}),
                result);
    }
  }
  EXPECT_TRUE(
      Holds(On(ConditionOp::kGt, kAge, {Operand::Int(std::numeric_limits<int64_t>::min())}), age));
}

// Sets of every size, so that both the scan and the bisection are covered, against a plain search.
TEST(Condition, SetsAgreeWithAPlainSearch) {
  std::mt19937 random(3);
  for (const size_t size : {1u, 2u, 8u, 9u, 40u, 1000u}) {
    std::vector<Operand> texts;
    std::vector<Operand> numbers;
    for (size_t i = 0; i < size; ++i) {
      numbers.push_back(Operand::Int(static_cast<int64_t>(random() % (2 * size)) - 5));
      texts.push_back(Operand::String(std::to_string(numbers.back().integer * 7919)));
    }
    for (int64_t probe = -8; probe < static_cast<int64_t>(2 * size) && probe < 60; ++probe) {
      bool found = false;
      for (const Operand& operand : numbers) found |= operand.integer == probe;
      const std::string text = std::to_string(probe * 7919);
      const std::vector<Attribute> attributes = {{"age", Value::Int(probe)},
                                                 {"country", Value::String(text)}};
      ASSERT_EQ(Holds(On(ConditionOp::kIn, kAge, numbers), attributes), found);
      ASSERT_EQ(Holds(On(ConditionOp::kNotIn, kAge, numbers), attributes), !found);
      ASSERT_EQ(Holds(On(ConditionOp::kIn, kCountry, texts), attributes), found);
      ASSERT_EQ(Holds(On(ConditionOp::kNotIn, kCountry, texts), attributes), !found);
    }
  }
  EXPECT_TRUE(
      Holds(On(ConditionOp::kIn, kAppVersion, {Operand::Version("1.0"), Operand::Version("2")}),
            {{"app_version", Value::String("v2.0.0")}}));
}

TEST(Condition, AbsentIsFalseAndItsNegationTrue) {
  EXPECT_FALSE(Holds(On(ConditionOp::kEq, kCountry, {Operand::String("DE")})));
  EXPECT_TRUE(Holds(On(ConditionOp::kNe, kCountry, {Operand::String("DE")})));
  EXPECT_FALSE(Holds(On(ConditionOp::kIn, kCountry, {Operand::String("DE")})));
  EXPECT_TRUE(Holds(On(ConditionOp::kNotIn, kCountry, {Operand::String("DE")})));
  EXPECT_FALSE(Holds(On(ConditionOp::kLt, kAge, {Operand::Int(3)})));
  EXPECT_FALSE(Holds(On(ConditionOp::kGe, kAge, {Operand::Int(3)})));
  EXPECT_FALSE(Holds(On(ConditionOp::kContains, kCountry, {Operand::String("")})));
  EXPECT_FALSE(Holds(On(ConditionOp::kPresent, kCountry)));
  EXPECT_TRUE(Holds(On(ConditionOp::kAbsent, kCountry)));
  const std::vector<Attribute> empty = {{"country", Value::String("")}};
  EXPECT_TRUE(Holds(On(ConditionOp::kPresent, kCountry), empty));
  EXPECT_FALSE(Holds(On(ConditionOp::kAbsent, kCountry), empty));
  // The first of repeated keys counts.
  EXPECT_TRUE(Holds(On(ConditionOp::kEq, kAge, {Operand::Int(1)}),
                    {{"age", Value::Int(1)}, {"age", Value::Int(2)}}));
}

TEST(Condition, Conversions) {
  const auto age_is_30 = On(ConditionOp::kEq, kAge, {Operand::Int(30)});
  EXPECT_TRUE(Holds(age_is_30, {{"age", Value::Float(30.0)}}));
  EXPECT_TRUE(
      Holds(On(ConditionOp::kEq, kSpend, {Operand::Float(30)}), {{"spend", Value::Int(30)}}));
  EXPECT_TRUE(Holds(On(ConditionOp::kGe, kAppVersion, {Operand::Version("2.1")}),
                    {{"app_version", Value::String("2.10")}}));
  EXPECT_TRUE(
      Holds(On(ConditionOp::kEq, kSignedUp, {Operand::TimeMs(5)}), {{"signed_up", Value::Int(5)}}));
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<Build, Attribute>> refused = {
      {age_is_30, {"age", Value::Float(30.5)}},
      {age_is_30, {"age", Value::Float(1e300)}},
      {age_is_30, {"age", Value::Float(nan)}},
      {age_is_30, {"age", Value::Float(infinity)}},
      {age_is_30, {"age", Value::String("30")}},
      {age_is_30, {"age", Value::Bool(true)}},
      {On(ConditionOp::kNe, kSpend, {Operand::Float(1)}), {"spend", Value::Float(nan)}},
      {On(ConditionOp::kEq, kIsMember, {Operand::Bool(true)}), {"is_member", Value::Int(1)}},
      {On(ConditionOp::kEq, kCountry, {Operand::String("1")}), {"country", Value::Int(1)}},
      {On(ConditionOp::kLt, kAppVersion, {Operand::Version("2")}),
       {"app_version", Value::String("latest")}},
      {On(ConditionOp::kLt, kSignedUp, {Operand::TimeMs(2)}), {"signed_up", Value::Float(1)}}};
  for (size_t i = 0; i < refused.size(); ++i) {
    const Decision d = DecisionOf(refused[i].first, {refused[i].second});
    EXPECT_EQ(d.reason, Reason::kTypeMismatch) << i;
    EXPECT_GE(d.detail, 0);
    EXPECT_EQ(d.variant, -1);
  }
  EXPECT_TRUE(Holds(On(ConditionOp::kLt, kSpend, {Operand::Float(1)}),
                    {{"spend", Value::Float(-infinity)}}));
}

// Kleene: what is undecided matters only where it could change the result, in either order.
TEST(Condition, ThreeValuedLogic) {
  const std::vector<Attribute> attributes = {{"age", Value::String("x")},
                                             {"is_member", Value::Bool(true)}};
  enum Leaf { kFalse, kTrue, kUnknown };
  const auto leaf = [](SnapshotData* data, int which) {
    if (which == kUnknown) return Compare(data, ConditionOp::kEq, kAge, {Operand::Int(1)});
    return Compare(data, ConditionOp::kEq, kIsMember, {Operand::Bool(which == kTrue)});
  };
  const auto value = [](const Decision& d) {
    return d.reason == Reason::kAssigned       ? kTrue
           : d.reason == Reason::kTypeMismatch ? kUnknown
                                               : kFalse;
  };
  for (int a = 0; a < 3; ++a) {
    EXPECT_EQ(
        value(DecisionOf(
            [&](SnapshotData* data) { return Join(data, ConditionOp::kNot, {leaf(data, a)}); },
            attributes)),
        a == kUnknown ? kUnknown
        : a == kTrue  ? kFalse
                      : kTrue);
    for (int b = 0; b < 3; ++b) {
      const auto join = [&](ConditionOp op) {
        return value(DecisionOf(
            [&](SnapshotData* data) {
              return Join(data, op, {leaf(data, a), leaf(data, b)});
            },
            attributes));
      };
      const bool any_false = a == kFalse || b == kFalse;
      const bool any_true = a == kTrue || b == kTrue;
      const bool any_unknown = a == kUnknown || b == kUnknown;
      EXPECT_EQ(join(ConditionOp::kAll), any_false ? kFalse : any_unknown ? kUnknown : kTrue);
      EXPECT_EQ(join(ConditionOp::kAny), any_true ? kTrue : any_unknown ? kUnknown : kFalse);
    }
  }
  EXPECT_TRUE(Holds([](SnapshotData* data) { return Join(data, ConditionOp::kAll, {}); }));
  EXPECT_FALSE(Holds([](SnapshotData* data) { return Join(data, ConditionOp::kAny, {}); }));
}

TEST(Condition, Time) {
  const Build before = [](SnapshotData* data) {
    return Compare(data, ConditionOp::kNowBefore, -1, {Operand::TimeMs(kNow)});
  };
  const Build after = [](SnapshotData* data) {
    return Compare(data, ConditionOp::kNowAfter, -1, {Operand::TimeMs(kNow)});
  };
  EXPECT_EQ(DecisionOf(before, {}, "u", kNow - 1).reason, Reason::kAssigned);
  EXPECT_EQ(DecisionOf(before, {}, "u", kNow).reason, Reason::kAudienceMismatch);
  EXPECT_EQ(DecisionOf(after, {}, "u", kNow - 1).reason, Reason::kAudienceMismatch);
  EXPECT_EQ(DecisionOf(after, {}, "u", kNow).reason, Reason::kAssigned);
}

TEST(Condition, PercentageIsASaltedShareAndNeedsAUnit) {
  const auto share = [](uint32_t ppm, int32_t unit_kind) -> Build {
    return [=](SnapshotData* data) {
      ConditionData node;
      node.op = ConditionOp::kPercentage;
      node.unit_kind = unit_kind;
      node.salt = "preview";
      node.ppm = ppm;
      return Add(data, node);
    };
  };
  int in = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string id = "u" + std::to_string(i);
    const bool small = DecisionOf(share(200'000, 0), {}, id).has_variant();
    const bool large = DecisionOf(share(300'000, 0), {}, id).has_variant();
    EXPECT_TRUE(large || !small);
    in += small ? 1 : 0;
  }
  EXPECT_NEAR(in, 1000, 5 * std::sqrt(5000 * 0.2 * 0.8));
  EXPECT_EQ(DecisionOf(share(kPpm, 1), {}).reason, Reason::kNoUnit);
  EXPECT_FALSE(Holds(share(0, 0)));
  EXPECT_TRUE(Holds(share(kPpm, 0)));
}

TEST(Condition, SegmentsAndExperiments) {
  SnapshotData data = Project();
  data.segments = {{"members", Compare(&data, ConditionOp::kEq, kIsMember, {Operand::Bool(true)})}};
  ConditionData segment;
  segment.op = ConditionOp::kSegment;
  segment.ref = 0;
  ExperimentData members = Experiment("members");
  members.audience = Add(&data, segment);
  ConditionData experiment;
  experiment.op = ConditionOp::kExperiment;
  experiment.ref = 0;
  experiment.variants = {0, 1};
  ExperimentData rest = Experiment("rest");
  rest.audience = Join(&data, ConditionOp::kNot, {Add(&data, experiment)});
  data.experiments = {members, rest};
  const auto snapshot = Make(std::move(data));
  for (const bool is_member : {false, true}) {
    const Attribute attributes[] = {{"is_member", Value::Bool(is_member)}};
    Context context = User("u");
    context.attributes = attributes;
    EXPECT_EQ(Ask(*snapshot, "members", context).has_variant(), is_member);
    EXPECT_EQ(Ask(*snapshot, "rest", context).has_variant(), !is_member);
  }
  // A mismatch inside the other experiment is its own affair: it gives no variant there.
  const Attribute wrong[] = {{"is_member", Value::Int(1)}};
  Context context = User("u");
  context.attributes = wrong;
  EXPECT_EQ(Ask(*snapshot, "members", context).reason, Reason::kTypeMismatch);
  EXPECT_EQ(Ask(*snapshot, "rest", context).reason, Reason::kAssigned);
}

}  // namespace
}  // namespace fulcrum::core::test
