// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <random>
#include <string>
#include <vector>

#include "core/test_world.h"

// Random valid snapshots that use everything a snapshot can hold, and contexts to ask them with.
namespace fulcrum::core::test {

class RandomWorld {
 public:
  explicit RandomWorld(uint64_t seed) : random_(seed) {}

  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  bool Chance(uint32_t percent) { return Below(100) < percent; }

  SnapshotData Snapshot() {
    data_ = Project();
    data_.version = "v" + std::to_string(random_());
    data_.created_ms = static_cast<int64_t>(random_());
    data_.layers = {{"l0", "layer-0", HashAlgorithm::kXxh3, 0},
                    {"l1", "layer-1", HashAlgorithm::kGrowthBookV2, 1}};
    data_.holdouts = {
        {"h0", "hold-0", HashAlgorithm::kXxh3, 0, -1, Below(200'000), true},
        {"h1", "hold-1", HashAlgorithm::kGrowthBookV2, 1, 1, 100 * Below(900), false}};
    const uint32_t count = 1 + Below(6);
    for (uint32_t i = 0; i < count; ++i) AddExperiment(i);
    return data_;
  }

  // Attributes of right and wrong types, ids of any bytes; views into this object.
  Context Ask() {
    texts_.clear();
    texts_.reserve(32);
    attributes_.clear();
    for (const AttributeData& attribute : Project().attributes) {
      if (Chance(70)) attributes_.push_back({Keep(attribute.key), RandomValue(attribute.type)});
    }
    if (Chance(5)) attributes_.push_back({"undeclared", Value::Bool(true)});
    units_.clear();
    if (Chance(80)) units_.push_back({"device", Keep("d" + std::to_string(Below(1000)))});
    priors_.clear();
    if (Chance(30)) {
      priors_.push_back({Keep("e" + std::to_string(Below(6))),
                         Keep(Chance(50) ? "control" : "gone"),
                         static_cast<int32_t>(Below(5)) - 1});
    }
    Context context;
    context.targeting_key = Chance(90) ? Keep("u" + std::to_string(Below(100))) : Keep("");
    context.units = units_;
    context.attributes = attributes_;
    context.priors = priors_;
    context.now_ms = kNow + (static_cast<int64_t>(Below(40)) - 10) * kHourMs;
    return context;
  }

 private:
  std::string_view Keep(std::string text) {
    texts_.push_back(std::move(text));
    return texts_.back();
  }

  Value RandomValue(AttributeType type) {
    if (Chance(5)) type = static_cast<AttributeType>(Below(kAttributeTypeCount));
    switch (type) {
      case AttributeType::kBool:
        return Value::Bool(Chance(50));
      case AttributeType::kInt:
        return Value::Int(Below(20));
      case AttributeType::kFloat:
        return Value::Float(Below(40) / 2.0);
      case AttributeType::kVersion:
        return Value::String(Keep("1." + std::to_string(Below(20))));
      case AttributeType::kTimeMs:
        return Value::TimeMs(kNow + Below(20));
      case AttributeType::kString:
        break;
    }
    return Value::String(Keep("t" + std::to_string(Below(20))));
  }

  Operand RandomOperand(AttributeType type) {
    switch (type) {
      case AttributeType::kBool:
        return Operand::Bool(Chance(50));
      case AttributeType::kInt:
        return Operand::Int(Below(20));
      case AttributeType::kFloat:
        return Operand::Float(Below(40) / 2.0);
      case AttributeType::kVersion:
        return Operand::Version("1." + std::to_string(Below(20)));
      case AttributeType::kTimeMs:
        return Operand::TimeMs(kNow + Below(20));
      case AttributeType::kString:
        break;
    }
    return Operand::String("t" + std::to_string(Below(20)));
  }

  int32_t RandomCondition(int depth, uint32_t experiment) {
    ConditionData node;
    if (depth > 0 && Chance(45)) {
      node.op = static_cast<ConditionOp>(Below(3));
      const uint32_t children = node.op == ConditionOp::kNot ? 1 : Below(4);
      for (uint32_t i = 0; i < children; ++i) {
        node.children.push_back(RandomCondition(depth - 1, experiment));
      }
      return Add(&data_, node);
    }
    node.op = static_cast<ConditionOp>(3 + Below(kConditionOpCount - 3));
    if (node.op == ConditionOp::kSegment && data_.segments.empty()) node.op = ConditionOp::kPresent;
    if (node.op == ConditionOp::kExperiment && experiment == 0) node.op = ConditionOp::kPresent;
    switch (node.op) {
      case ConditionOp::kNowBefore:
      case ConditionOp::kNowAfter:
        node.operands = {Operand::TimeMs(kNow + Below(20) * kHourMs)};
        break;
      case ConditionOp::kPercentage:
        node.unit_kind = static_cast<int32_t>(Below(2));
        node.salt = "p" + std::to_string(Below(3));
        node.hash = static_cast<HashAlgorithm>(Below(2));
        node.ppm = 100 * Below(10'001);
        break;
      case ConditionOp::kSegment:
        node.ref = static_cast<int32_t>(Below(static_cast<uint32_t>(data_.segments.size())));
        break;
      case ConditionOp::kExperiment:
        node.ref = static_cast<int32_t>(Below(experiment));
        node.variants = {0};
        break;
      default:
        FillComparison(&node);
    }
    return Add(&data_, node);
  }

  void FillComparison(ConditionData* node) {
    node->attribute = static_cast<int32_t>(Below(static_cast<uint32_t>(data_.attributes.size())));
    const auto type_of = [&] {
      return data_.attributes[static_cast<size_t>(node->attribute)].type;
    };
    const bool orders = node->op >= ConditionOp::kLt && node->op <= ConditionOp::kGe;
    const bool searches = node->op >= ConditionOp::kPrefix && node->op <= ConditionOp::kContains;
    if (orders) node->attribute = Chance(50) ? kAge : kAppVersion;
    if (searches) node->attribute = kCountry;
    if (node->op == ConditionOp::kPresent || node->op == ConditionOp::kAbsent) return;
    const bool many = searches || node->op == ConditionOp::kIn || node->op == ConditionOp::kNotIn;
    const uint32_t count = many ? 1 + Below(15) : 1;
    for (uint32_t i = 0; i < count; ++i) node->operands.push_back(RandomOperand(type_of()));
  }

  void AddExperiment(uint32_t index) {
    std::vector<uint64_t> weights(1 + Below(6));
    for (uint64_t& weight : weights) weight = Below(4);
    weights[0] += 1;
    ExperimentData e = Experiment("e" + std::to_string(index), weights);
    e.hash = static_cast<HashAlgorithm>(Below(2));
    e.unit_kind = static_cast<int32_t>(Below(2));
    e.status = Chance(90) ? ExperimentStatus::kRunning : static_cast<ExperimentStatus>(Below(3));
    e.value_type = static_cast<ParameterType>(Below(5));
    if (Chance(30)) e.start_ms = kNow - Below(5) * kHourMs;
    if (Chance(30)) e.end_ms = kNow + (1 + Below(20)) * kHourMs;
    if (Chance(20)) e.stopped_at_ms = kNow + Below(20) * kHourMs;
    if (Chance(30)) e.stop_variant = 0;
    if (Chance(20)) e.enrolment_closed_at_ms = kNow + Below(20) * kHourMs;
    e.is_sticky = Chance(30);
    if (Chance(50)) e.audience = RandomCondition(3, index);
    if (index > 0 && Chance(30)) e.prerequisites = {{static_cast<int32_t>(Below(index)), {0}}};
    for (uint32_t i = Below(4); i > 0; --i)
      e.unit_overrides.push_back({"u" + std::to_string(i), 0});
    if (Chance(20)) e.condition_overrides = {{RandomCondition(1, index), 0}};
    if (Chance(20)) {
      e.hash = HashAlgorithm::kXxh3;
      e.is_sticky = false;
      e.start_ms = kNow - kHourMs;
      e.switchback = {2 * kHourMs, kHourMs / 2, Chance(50) ? -1 : int32_t{kCity}};
    } else if (Chance(30)) {
      e.cluster_attribute = kStore;
    } else if (Chance(50)) {
      e.layer = e.unit_kind;
      e.layer_ranges = {{index * 100'000, index * 100'000 + 50'000},
                        {index * 100'000 + 60'000, index * 100'000 + 100'000}};
      e.holdouts = {e.layer};
    }
    e.phases.clear();
    for (uint32_t i = 0; i < 1 + Below(3); ++i) {
      const int64_t start_ms = i == 0 ? kDistantPastMs : kNow + i * kHourMs;
      e.phases.push_back(Phase(weights, Below(kPpm + 1), start_ms, e.hash));
    }
    e.has_default = Chance(50);
    e.default_value = e.has_default ? std::string("\0\xff", 2) : "";
    if (Chance(30)) {
      data_.segments.push_back({"s" + std::to_string(index), RandomCondition(2, 0)});
    }
    data_.experiments.push_back(std::move(e));
  }

  std::mt19937_64 random_;
  SnapshotData data_;
  std::vector<std::string> texts_;
  std::vector<Attribute> attributes_;
  std::vector<UnitId> units_;
  std::vector<Prior> priors_;
};

}  // namespace fulcrum::core::test
