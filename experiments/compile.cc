// SPDX-License-Identifier: Apache-2.0
#include "experiments/compile.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "core/bucket.h"
#include "core/validate.h"

namespace fulcrum::experiments {
namespace {

uint32_t PercentToPpm(double percent) {
  return static_cast<uint32_t>(std::llround(percent * (core::kPpm / 100.0)));
}

// The finest a hash can tell apart; validate.h refuses what would be rounded here.
uint32_t PercentToPpm(double percent, core::HashAlgorithm hash) {
  const uint32_t step = core::BucketStepPpm(hash);
  return static_cast<uint32_t>(std::llround(percent * (core::kPpm / 100.0) / step)) * step;
}

core::HashAlgorithm ToCore(HashAlgorithm hash) {
  return hash == HashAlgorithm::kGrowthbookV2 ? core::HashAlgorithm::kGrowthBookV2
                                              : core::HashAlgorithm::kXxh3;
}

core::AttributeType ToCore(AttributeType type) {
  switch (type) {
    case AttributeType::kBool:
      return core::AttributeType::kBool;
    case AttributeType::kInt:
      return core::AttributeType::kInt;
    case AttributeType::kFloat:
      return core::AttributeType::kFloat;
    case AttributeType::kString:
      return core::AttributeType::kString;
    case AttributeType::kVersion:
      return core::AttributeType::kVersion;
    case AttributeType::kTime:
      return core::AttributeType::kTimeMs;
  }
  return core::AttributeType::kString;
}

core::ExperimentStatus ToCore(ExperimentStatus status) {
  switch (status) {
    case ExperimentStatus::kDraft:
      return core::ExperimentStatus::kDraft;
    case ExperimentStatus::kRunning:
      return core::ExperimentStatus::kRunning;
    case ExperimentStatus::kStopped:
      return core::ExperimentStatus::kStopped;
  }
  return core::ExperimentStatus::kDraft;
}

core::ParameterType ToCore(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return core::ParameterType::kBool;
    case ValueType::kString:
      return core::ParameterType::kString;
    case ValueType::kInt:
      return core::ParameterType::kInt;
    case ValueType::kFloat:
      return core::ParameterType::kFloat;
    case ValueType::kObject:
      return core::ParameterType::kObject;
  }
  return core::ParameterType::kString;
}

core::ConditionOp ToCore(ConditionOp op) {
  switch (op) {
    case ConditionOp::kAll:
      return core::ConditionOp::kAll;
    case ConditionOp::kAny:
      return core::ConditionOp::kAny;
    case ConditionOp::kNot:
      return core::ConditionOp::kNot;
    case ConditionOp::kEq:
      return core::ConditionOp::kEq;
    case ConditionOp::kNe:
      return core::ConditionOp::kNe;
    case ConditionOp::kIn:
      return core::ConditionOp::kIn;
    case ConditionOp::kNotIn:
      return core::ConditionOp::kNotIn;
    case ConditionOp::kLt:
      return core::ConditionOp::kLt;
    case ConditionOp::kLe:
      return core::ConditionOp::kLe;
    case ConditionOp::kGt:
      return core::ConditionOp::kGt;
    case ConditionOp::kGe:
      return core::ConditionOp::kGe;
    case ConditionOp::kPrefix:
      return core::ConditionOp::kPrefix;
    case ConditionOp::kSuffix:
      return core::ConditionOp::kSuffix;
    case ConditionOp::kContains:
      return core::ConditionOp::kContains;
    case ConditionOp::kPresent:
      return core::ConditionOp::kPresent;
    case ConditionOp::kAbsent:
      return core::ConditionOp::kAbsent;
    case ConditionOp::kPercentage:
      return core::ConditionOp::kPercentage;
    case ConditionOp::kSegment:
      return core::ConditionOp::kSegment;
    case ConditionOp::kPrerequisite:
      return core::ConditionOp::kExperiment;
    case ConditionOp::kNowBefore:
      return core::ConditionOp::kNowBefore;
    case ConditionOp::kNowAfter:
      return core::ConditionOp::kNowAfter;
  }
  return core::ConditionOp::kAll;
}

template <typename T>
int32_t IndexOf(const std::vector<T>& parts, const std::string& key) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].key == key) return static_cast<int32_t>(i);
  }
  return -1;
}

class Compiler {
 public:
  Compiler(const Definitions& definitions, const core::Controls& controls)
      : definitions_(definitions), project_(definitions.project), controls_(controls) {}

  absl::StatusOr<core::SnapshotData> Run(int64_t created_ms) {
    data_.version = definitions_.version + "+" + std::to_string(controls_.last_seq);
    data_.created_ms = created_ms;
    for (const UnitKind& unit : project_.units) data_.unit_kinds.push_back(unit.key);
    for (const AttributeDecl& attribute : project_.attributes) {
      data_.attributes.push_back({attribute.key, ToCore(attribute.type)});
    }
    Layers();
    Holdouts();
    for (const Segment& segment : project_.segments) {
      const Draw draw{segment.key + "/percentage", 0};
      data_.segments.push_back({segment.key, AddCondition(segment.condition, draw)});
    }
    for (const ExperimentDefinition& experiment : definitions_.experiments) {
      FULCRUM_RETURN_IF_ERROR(Experiment(experiment));
    }
    core::BuildError error;
    if (!core::Validate(data_, &error)) return InvalidArgument(error.message);
    return std::move(data_);
  }

  const std::vector<std::string>& unfit() const { return unfit_; }

 private:
  // What a `percentage` within a condition draws on.
  struct Draw {
    std::string salt;
    int32_t unit_kind;
  };

  int32_t UnitIndex(const std::string& key) const { return IndexOf(project_.units, key); }

  void Layers() {
    for (const Layer& layer : project_.layers) {
      core::LayerData out{layer.key, layer.salt, ToCore(layer.hash), 0};
      for (const ExperimentDefinition& experiment : definitions_.experiments) {
        // All of a layer have one unit kind; validate.h has seen to it.
        if (experiment.layer == layer.key) out.unit_kind = UnitIndex(experiment.unit);
      }
      data_.layers.push_back(std::move(out));
    }
  }

  void Holdouts() {
    for (const Holdout& holdout : project_.holdouts) {
      core::HoldoutData out;
      out.key = holdout.key;
      out.salt = holdout.salt;
      out.hash = ToCore(holdout.hash);
      out.unit_kind = UnitIndex(holdout.unit);
      if (!holdout.layer.empty()) out.layer = IndexOf(project_.layers, holdout.layer);
      out.held_ppm = PercentToPpm(holdout.percent, out.hash);
      data_.holdouts.push_back(std::move(out));
    }
  }

  core::Operand ToOperand(const Scalar& value, core::AttributeType type) const {
    const auto text = [&] {
      const std::string* held = std::get_if<std::string>(&value);
      return held == nullptr ? std::string() : *held;
    };
    const auto integer = [&] {
      const int64_t* held = std::get_if<int64_t>(&value);
      return held == nullptr ? 0 : *held;
    };
    switch (type) {
      case core::AttributeType::kBool: {
        const bool* held = std::get_if<bool>(&value);
        return core::Operand::Bool(held != nullptr && *held);
      }
      case core::AttributeType::kInt:
        return core::Operand::Int(integer());
      case core::AttributeType::kTimeMs:
        return core::Operand::TimeMs(integer());
      case core::AttributeType::kFloat: {
        const double* held = std::get_if<double>(&value);
        return core::Operand::Float(held != nullptr ? *held : static_cast<double>(integer()));
      }
      case core::AttributeType::kVersion:
        return core::Operand::Version(text());
      case core::AttributeType::kString:
        break;
    }
    return core::Operand::String(text());
  }

  // All variants where none is named.
  std::vector<int32_t> VariantsOf(const std::string& experiment,
                                  const std::vector<Scalar>& named) const {
    std::vector<int32_t> out;
    const ExperimentDefinition* other = definitions_.FindExperiment(experiment);
    if (other == nullptr) return out;
    for (size_t i = 0; i < other->variants.size(); ++i) {
      const bool is_named =
          std::find(named.begin(), named.end(), Scalar(other->variants[i].key)) != named.end();
      if (named.empty() || is_named) out.push_back(static_cast<int32_t>(i));
    }
    return out;
  }

  int32_t AddCondition(const Condition& condition, const Draw& draw) {
    core::ConditionData out;
    out.op = ToCore(condition.op);
    for (const Condition& child : condition.children) {
      out.children.push_back(AddCondition(child, draw));
    }
    switch (condition.op) {
      case ConditionOp::kPercentage:
        out.salt = draw.salt;
        out.unit_kind = draw.unit_kind;
        out.ppm = PercentToPpm(condition.percent);
        break;
      case ConditionOp::kSegment:
        out.ref = IndexOf(project_.segments, condition.ref);
        break;
      case ConditionOp::kPrerequisite:
        out.ref = IndexOf(definitions_.experiments, condition.ref);
        out.variants = VariantsOf(condition.ref, condition.values);
        break;
      case ConditionOp::kNowBefore:
      case ConditionOp::kNowAfter:
        for (const Scalar& value : condition.values) {
          out.operands.push_back(ToOperand(value, core::AttributeType::kTimeMs));
        }
        break;
      default:
        if (condition.attribute.empty()) break;
        out.attribute = IndexOf(project_.attributes, condition.attribute);
        for (const Scalar& value : condition.values) {
          out.operands.push_back(
              ToOperand(value, out.attribute < 0
                                   ? core::AttributeType::kString
                                   : data_.attributes[static_cast<size_t>(out.attribute)].type));
        }
    }
    data_.conditions.push_back(std::move(out));
    return static_cast<int32_t>(data_.conditions.size()) - 1;
  }

  // Prerequisites every unit must meet become rules of their own; the rest is the audience.
  void Audience(const ExperimentDefinition& experiment, const Draw& draw,
                core::ExperimentData* out) {
    if (!experiment.audience) return;
    const Condition& audience = *experiment.audience;
    Condition rest;
    const auto take = [&](const Condition& condition) {
      if (condition.op == ConditionOp::kPrerequisite) {
        out->prerequisites.push_back({IndexOf(definitions_.experiments, condition.ref),
                                      VariantsOf(condition.ref, condition.values)});
      } else {
        rest.children.push_back(condition);
      }
    };
    if (audience.op == ConditionOp::kAll) {
      for (const Condition& child : audience.children) take(child);
    } else {
      take(audience);
    }
    if (rest.children.size() == 1) {
      out->audience = AddCondition(rest.children.front(), draw);
    } else if (!rest.children.empty()) {
      out->audience = AddCondition(rest, draw);
    }
  }

  void LayerAndHoldouts(const ExperimentDefinition& experiment, core::ExperimentData* out) {
    if (!experiment.layer.empty()) {
      out->layer = IndexOf(project_.layers, experiment.layer);
      const core::HashAlgorithm hash = out->layer < 0
                                           ? core::HashAlgorithm::kXxh3
                                           : data_.layers[static_cast<size_t>(out->layer)].hash;
      for (const auto& [from, to] : experiment.layer_ranges) {
        out->layer_ranges.push_back({PercentToPpm(from, hash), PercentToPpm(to, hash)});
      }
      std::sort(out->layer_ranges.begin(), out->layer_ranges.end(),
                [](const auto& a, const auto& b) { return a.begin < b.begin; });
    }
    // A block of time cannot be held out.
    if (experiment.switchback) return;
    for (size_t i = 0; i < project_.holdouts.size(); ++i) {
      const Holdout& holdout = project_.holdouts[i];
      if (holdout.unit != experiment.unit) continue;
      if (!holdout.layer.empty() && holdout.layer != experiment.layer) continue;
      out->holdouts.push_back(static_cast<int32_t>(i));
    }
  }

  void Overrides(const ExperimentDefinition& experiment, const Draw& draw,
                 core::ExperimentData* out) {
    for (const Override& one : experiment.overrides) {
      const int32_t variant = IndexOf(experiment.variants, one.variant);
      for (const std::string& unit : one.units) out->unit_overrides.push_back({unit, variant});
      if (one.when) out->condition_overrides.push_back({AddCondition(*one.when, draw), variant});
    }
  }

  absl::Status Experiment(const ExperimentDefinition& experiment) {
    core::ExperimentData out;
    out.key = experiment.key;
    out.salt = experiment.salt;
    out.hash = ToCore(experiment.hash);
    out.unit_kind = UnitIndex(experiment.unit);
    if (!experiment.cluster.empty()) {
      out.cluster_attribute = IndexOf(project_.attributes, experiment.cluster);
    }
    if (experiment.switchback) {
      const Switchback& rule = *experiment.switchback;
      out.switchback = {
          rule.block_ms, rule.washout_ms,
          rule.region_attribute.empty() ? -1 : IndexOf(project_.attributes, rule.region_attribute)};
    }
    out.status = ToCore(experiment.status);
    if (experiment.start_ms) out.start_ms = *experiment.start_ms;
    if (experiment.end_ms) out.end_ms = *experiment.end_ms;
    out.is_sticky = experiment.sticky;
    const Draw draw{experiment.salt + "/percentage", out.unit_kind};
    LayerAndHoldouts(experiment, &out);
    Audience(experiment, draw, &out);
    Overrides(experiment, draw, &out);
    out.value_type = ToCore(experiment.value_type);
    std::vector<uint64_t> weights;
    for (const VariantDefinition& variant : experiment.variants) {
      out.variants.push_back({variant.key, variant.value_json, variant.control});
      // Six decimals and a sum of at most 1e7 (validate.h), so this is exact.
      weights.push_back(static_cast<uint64_t>(std::llround(variant.weight * 1e6)));
    }
    const std::vector<uint32_t> weights_ppm = core::WeightsToPpm(weights, out.hash);
    if (weights_ppm.empty()) {
      return InvalidArgument("experiment '" + experiment.key +
                             "': its weights cannot be turned into shares");
    }
    std::vector<core::RampStep> ramp;
    for (const RampStep& step : experiment.ramp) {
      core::RampStep to;
      to.kind = step.elapsed ? core::RampStep::Kind::kElapsed : core::RampStep::Kind::kDated;
      (step.elapsed ? to.elapsed_ms : to.at_ms) = step.at_ms;
      to.traffic_ppm = PercentToPpm(step.percent);
      ramp.push_back(to);
    }
    std::string error;
    if (!core::FoldControls(controls_.Find(experiment.key), weights_ppm, ramp, &out, &unfit_,
                            &error)) {
      return InvalidArgument(error);
    }
    data_.experiments.push_back(std::move(out));
    return absl::OkStatus();
  }

  const Definitions& definitions_;
  const Project& project_;
  const core::Controls& controls_;
  core::SnapshotData data_;
  std::vector<std::string> unfit_;
};

}  // namespace

absl::StatusOr<core::SnapshotData> Compile(const Definitions& definitions,
                                           const core::Controls& controls, int64_t created_ms,
                                           std::vector<std::string>* unfit) {
  Compiler compiler(definitions, controls);
  absl::StatusOr<core::SnapshotData> data = compiler.Run(created_ms);
  if (unfit != nullptr) *unfit = compiler.unfit();
  return data;
}

}  // namespace fulcrum::experiments
