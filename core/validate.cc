// SPDX-License-Identifier: Apache-2.0
#include "core/validate.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/bucket.h"
#include "core/graph.h"
#include "core/text.h"
#include "core/version.h"

namespace fulcrum::core {
namespace {

using text::Cat;
using text::Quoted;

bool InRange(int32_t index, size_t size) { return index >= 0 && static_cast<size_t>(index) < size; }

// Collects the rules as methods that return false at the first one broken.
class Validator {
 public:
  Validator(const SnapshotData& data, BuildError* error) : data_(data), error_(error) {}

  bool Run() {
    return Project() && Layers() && Holdouts() && Segments() && Conditions() && Experiments() &&
           LayerRanges() && CheckGraph(data_, error_);
  }

 private:
  bool Fail(std::string message) {
    error_->message = std::move(message);
    return false;
  }

  template <typename Part, typename KeyOf>
  bool Keys(std::string_view what, const std::vector<Part>& parts, KeyOf key_of) {
    std::vector<std::string_view> keys;
    keys.reserve(parts.size());
    for (const Part& part : parts) {
      const std::string_view key = key_of(part);
      if (!IsKey(key)) {
        return Fail(Cat(what, " key ", Quoted(key), " must be 1 to ", uint64_t{kMaxKeyBytes},
                        " of the characters A-Z a-z 0-9 . _ -"));
      }
      keys.push_back(key);
    }
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) return Fail(Cat(what, " ", Quoted(*twice), " is defined twice"));
    return true;
  }
  template <typename Part>
  bool Keys(std::string_view what, const std::vector<Part>& parts) {
    return Keys(what, parts, [](const Part& part) { return std::string_view(part.key); });
  }

  bool Hash(const std::string& where, HashAlgorithm hash) {
    if (hash == HashAlgorithm::kXxh3 || hash == HashAlgorithm::kGrowthBookV2) return true;
    return Fail(Cat(where, ": unknown hash ", static_cast<uint32_t>(hash)));
  }
  bool UnitKind(const std::string& where, int32_t unit_kind) {
    return InRange(unit_kind, data_.unit_kinds.size()) ||
           Fail(Cat(where, ": unit kind ", unit_kind, " does not exist"));
  }
  bool Share(const std::string& where, std::string_view what, uint32_t ppm, HashAlgorithm hash) {
    if (ppm > kPpm) return Fail(Cat(where, ": ", what, " is over 100%"));
    if (ppm % BucketStepPpm(hash) != 0) {
      return Fail(Cat(where, ": ", what, " must be a multiple of ", BucketStepPpm(hash),
                      " ppm, the smallest share of its hash"));
    }
    return true;
  }

  bool Project() {
    const auto self = [](const std::string& key) { return std::string_view(key); };
    if (!Keys("unit kind", data_.unit_kinds, self) || !Keys("attribute", data_.attributes)) {
      return false;
    }
    if (!UnitKind("default unit kind", data_.default_unit_kind)) return false;
    for (const AttributeData& attribute : data_.attributes) {
      if (static_cast<int>(attribute.type) >= kAttributeTypeCount) {
        return Fail(Cat("attribute ", Quoted(attribute.key), ": unknown type"));
      }
    }
    return true;
  }

  bool Layers() {
    if (!Keys("layer", data_.layers)) return false;
    for (const LayerData& layer : data_.layers) {
      const std::string where = Cat("layer ", Quoted(layer.key));
      if (!Hash(where, layer.hash) || !UnitKind(where, layer.unit_kind)) return false;
      if (layer.salt.empty()) return Fail(Cat(where, ": the salt is empty"));
    }
    return true;
  }

  bool Holdouts() {
    if (!Keys("holdout", data_.holdouts)) return false;
    for (const HoldoutData& holdout : data_.holdouts) {
      const std::string where = Cat("holdout ", Quoted(holdout.key));
      if (!Hash(where, holdout.hash) || !UnitKind(where, holdout.unit_kind) ||
          !Share(where, "its share", holdout.held_ppm, holdout.hash)) {
        return false;
      }
      if (holdout.salt.empty()) return Fail(Cat(where, ": the salt is empty"));
      if (holdout.layer != -1 && !InRange(holdout.layer, data_.layers.size())) {
        return Fail(Cat(where, ": layer ", holdout.layer, " does not exist"));
      }
      if (holdout.has_comparison && holdout.held_ppm > kPpm / 2) {
        return Fail(Cat(where, ": held out units and an equal-sized comparison arm exceed 100%"));
      }
    }
    return true;
  }

  bool Segments() {
    if (!Keys("segment", data_.segments)) return false;
    for (const SegmentData& segment : data_.segments) {
      if (!InRange(segment.condition, data_.conditions.size())) {
        return Fail(Cat("segment ", Quoted(segment.key), ": its condition does not exist"));
      }
    }
    return true;
  }

  bool Conditions() {
    for (size_t i = 0; i < data_.conditions.size(); ++i) {
      if (!Condition(Cat("condition ", uint64_t{i}), data_.conditions[i])) return false;
    }
    return true;
  }

  bool Condition(const std::string& where, const ConditionData& node) {
    for (const int32_t child : node.children) {
      if (!InRange(child, data_.conditions.size())) {
        return Fail(Cat(where, ": child ", child, " does not exist"));
      }
    }
    switch (node.op) {
      case ConditionOp::kAll:
      case ConditionOp::kAny:
        return true;
      case ConditionOp::kNot:
        return node.children.size() == 1 || Fail(Cat(where, ": `not` takes exactly one condition"));
      case ConditionOp::kPresent:
      case ConditionOp::kAbsent:
        return HasAttribute(where, node);
      case ConditionOp::kNowBefore:
      case ConditionOp::kNowAfter:
        return Operands(where, node, AttributeType::kTimeMs, true);
      case ConditionOp::kPercentage:
        if (node.salt.empty()) return Fail(Cat(where, ": a percentage needs a salt"));
        return Hash(where, node.hash) && UnitKind(where, node.unit_kind) &&
               Share(where, "the percentage", node.ppm, node.hash);
      case ConditionOp::kSegment:
        return InRange(node.ref, data_.segments.size()) ||
               Fail(Cat(where, ": segment ", node.ref, " does not exist"));
      case ConditionOp::kExperiment:
        return ExperimentRef(where, node.ref, node.variants);
      default:
        return Comparison(where, node);
    }
  }

  bool HasAttribute(const std::string& where, const ConditionData& node) {
    return InRange(node.attribute, data_.attributes.size()) ||
           Fail(Cat(where, ": attribute ", node.attribute, " does not exist"));
  }

  bool Operands(const std::string& where, const ConditionData& node, AttributeType type,
                bool exactly_one) {
    if (node.operands.empty() || (exactly_one && node.operands.size() != 1)) {
      return Fail(Cat(where, exactly_one ? ": takes exactly one value" : ": needs a value"));
    }
    for (const Operand& operand : node.operands) {
      if (operand.type != type) {
        return Fail(Cat(where, ": a value must be of type ", AttributeTypeName(type)));
      }
      if (type == AttributeType::kFloat && operand.real != operand.real) {
        return Fail(Cat(where, ": NaN compares with nothing"));
      }
      if (type == AttributeType::kVersion && !IsVersion(operand.text)) {
        return Fail(Cat(where, ": ", Quoted(operand.text), " is not a version"));
      }
    }
    return true;
  }

  bool Comparison(const std::string& where, const ConditionData& node) {
    if (static_cast<int>(node.op) >= kConditionOpCount) {
      return Fail(Cat(where, ": unknown operator ", static_cast<uint32_t>(node.op)));
    }
    if (!HasAttribute(where, node)) return false;
    const AttributeData& attribute = data_.attributes[static_cast<size_t>(node.attribute)];
    const bool orders = node.op >= ConditionOp::kLt && node.op <= ConditionOp::kGe;
    const bool searches = node.op >= ConditionOp::kPrefix && node.op <= ConditionOp::kContains;
    const bool has_order =
        attribute.type != AttributeType::kBool && attribute.type != AttributeType::kString;
    if ((orders && !has_order) || (searches && attribute.type != AttributeType::kString)) {
      return Fail(Cat(where, ": attribute ", Quoted(attribute.key), " of type ",
                      AttributeTypeName(attribute.type), " cannot be compared in this way"));
    }
    const bool exactly_one = orders || node.op == ConditionOp::kEq || node.op == ConditionOp::kNe;
    return Operands(where, node, attribute.type, exactly_one);
  }

  bool ExperimentRef(const std::string& where, int32_t ref, const std::vector<int32_t>& variants) {
    if (!InRange(ref, data_.experiments.size())) {
      return Fail(Cat(where, ": experiment ", ref, " does not exist"));
    }
    const ExperimentData& experiment = data_.experiments[static_cast<size_t>(ref)];
    if (variants.empty()) return Fail(Cat(where, ": names no variant of ", Quoted(experiment.key)));
    for (const int32_t variant : variants) {
      if (!InRange(variant, experiment.variants.size())) {
        return Fail(
            Cat(where, ": experiment ", Quoted(experiment.key), " has no variant ", variant));
      }
    }
    return true;
  }

  bool Experiments() {
    if (!Keys("experiment", data_.experiments)) return false;
    for (const ExperimentData& experiment : data_.experiments) {
      const std::string where = Cat("experiment ", Quoted(experiment.key));
      if (!Basics(where, experiment) || !Unit(where, experiment) || !Variants(where, experiment) ||
          !Phases(where, experiment) || !Exclusions(where, experiment) ||
          !Overrides(where, experiment)) {
        return false;
      }
    }
    return true;
  }

  bool Basics(const std::string& where, const ExperimentData& experiment) {
    if (!Hash(where, experiment.hash) || !UnitKind(where, experiment.unit_kind)) return false;
    if (experiment.salt.empty()) return Fail(Cat(where, ": the salt is empty"));
    if (experiment.status > ExperimentStatus::kStopped) return Fail(Cat(where, ": unknown status"));
    if (experiment.value_type > ParameterType::kObject) {
      return Fail(Cat(where, ": unknown value type"));
    }
    if (experiment.start_ms >= experiment.end_ms) {
      return Fail(Cat(where, ": it ends at or before its start"));
    }
    if (experiment.audience != -1 && !InRange(experiment.audience, data_.conditions.size())) {
      return Fail(Cat(where, ": its audience does not exist"));
    }
    for (const PrerequisiteData& prerequisite : experiment.prerequisites) {
      if (!ExperimentRef(where, prerequisite.experiment, prerequisite.variants)) return false;
    }
    return true;
  }

  bool Unit(const std::string& where, const ExperimentData& experiment) {
    const auto attribute_is_unit = [&](int32_t attribute) {
      if (!InRange(attribute, data_.attributes.size())) {
        return Fail(Cat(where, ": attribute ", attribute, " does not exist"));
      }
      const AttributeData& declared = data_.attributes[static_cast<size_t>(attribute)];
      return declared.type != AttributeType::kFloat ||
             Fail(Cat(where, ": float attribute ", Quoted(declared.key), " cannot name a unit"));
    };
    const int32_t cluster = experiment.cluster_attribute;
    if (cluster != -1 && !attribute_is_unit(cluster)) return false;

    const SwitchbackData& switchback = experiment.switchback;
    if (switchback.block_ms == 0) {
      return (switchback.washout_ms == 0 && switchback.region_attribute == -1) ||
             Fail(Cat(where, ": a switchback needs the length of its blocks"));
    }
    if (switchback.block_ms < 0 || switchback.washout_ms < 0 ||
        switchback.washout_ms >= switchback.block_ms) {
      return Fail(Cat(where, ": a switchback's wash-out must be shorter than its block"));
    }
    if (switchback.region_attribute != -1 && !attribute_is_unit(switchback.region_attribute)) {
      return false;
    }
    if (experiment.start_ms == kDistantPastMs) {
      return Fail(Cat(where, ": a switchback needs a start, from which its blocks are counted"));
    }
    if (experiment.is_sticky || cluster != -1 || experiment.layer != -1 ||
        experiment.hash != HashAlgorithm::kXxh3 || !experiment.holdouts.empty()) {
      return Fail(Cat(where, ": a switchback's unit is a block of time, so it cannot be sticky, ",
                      "clustered, in a layer or holdout, or hashed by growthbook-v2"));
    }
    return true;
  }

  bool Variants(const std::string& where, const ExperimentData& experiment) {
    if (experiment.variants.empty() || experiment.variants.size() > kMaxVariants) {
      return Fail(Cat(where, ": must have 1 to ", uint64_t{kMaxVariants}, " variants"));
    }
    if (!Keys(Cat(where, ": variant"), experiment.variants)) return false;
    if (experiment.stop_variant != -1 &&
        !InRange(experiment.stop_variant, experiment.variants.size())) {
      return Fail(Cat(where, ": the variant to serve once stopped does not exist"));
    }
    return true;
  }

  bool Phases(const std::string& where, const ExperimentData& experiment) {
    if (experiment.phases.empty()) return Fail(Cat(where, ": it has no phase"));
    for (size_t i = 0; i < experiment.phases.size(); ++i) {
      const PhaseData& phase = experiment.phases[i];
      const std::string at = Cat(where, ": phase ", uint64_t{i});
      if (i > 0 && phase.start_ms <= experiment.phases[i - 1].start_ms) {
        return Fail(Cat(at, " does not start after the one before it"));
      }
      // growthbook-v2 rounds a variant's share of traffic itself, see VariantRange.
      if (!Share(at, "traffic", phase.traffic_ppm, HashAlgorithm::kXxh3)) return false;
      if (phase.weights_ppm.size() != experiment.variants.size()) {
        return Fail(Cat(at, " must have one weight per variant"));
      }
      uint64_t sum = 0;
      for (const uint32_t weight : phase.weights_ppm) {
        if (!Share(at, "a weight", weight, experiment.hash)) return false;
        sum += weight;
      }
      if (sum != kPpm) return Fail(Cat(at, ": the weights sum to ", sum, " ppm, not to ", kPpm));
    }
    return true;
  }

  bool Exclusions(const std::string& where, const ExperimentData& experiment) {
    if ((experiment.layer == -1) != experiment.layer_ranges.empty()) {
      return Fail(Cat(where, ": a layer and ranges of it go together"));
    }
    if (experiment.layer != -1) {
      if (!InRange(experiment.layer, data_.layers.size())) {
        return Fail(Cat(where, ": layer ", experiment.layer, " does not exist"));
      }
      const LayerData& layer = data_.layers[static_cast<size_t>(experiment.layer)];
      if (!Independent(where, experiment, layer.key, layer.salt, layer.hash)) return false;
      if (layer.unit_kind != experiment.unit_kind || experiment.cluster_attribute != -1) {
        return Fail(Cat(where, ": layer ", Quoted(layer.key), " excludes by another unit"));
      }
      uint32_t end = 0;
      for (const BucketRange& range : experiment.layer_ranges) {
        if (range.begin < end || range.begin >= range.end || range.end > kPpm ||
            range.begin % BucketStepPpm(layer.hash) != 0 ||
            range.end % BucketStepPpm(layer.hash) != 0) {
          return Fail(Cat(where,
                          ": its ranges of the layer must be ascending, disjoint, not empty ",
                          "and in steps of the layer's hash"));
        }
        end = range.end;
      }
    }
    for (const int32_t index : experiment.holdouts) {
      if (!InRange(index, data_.holdouts.size())) {
        return Fail(Cat(where, ": holdout ", index, " does not exist"));
      }
      const HoldoutData& holdout = data_.holdouts[static_cast<size_t>(index)];
      if (!Independent(where, experiment, holdout.key, holdout.salt, holdout.hash)) return false;
      if (holdout.layer != -1 && holdout.layer != experiment.layer) {
        return Fail(Cat(where, ": holdout ", Quoted(holdout.key), " belongs to another layer"));
      }
    }
    return true;
  }

  // growthbook-v2 knows no salt roles: two parts with one salt would draw the same bucket.
  bool Independent(const std::string& where, const ExperimentData& experiment,
                   const std::string& key, const std::string& salt, HashAlgorithm hash) {
    if (hash != HashAlgorithm::kGrowthBookV2 || experiment.hash != hash ||
        salt != experiment.salt) {
      return true;
    }
    return Fail(Cat(where, ": it shares its salt with ", Quoted(key),
                    ", so with growthbook-v2 its variants would not be independent of it"));
  }

  bool Overrides(const std::string& where, const ExperimentData& experiment) {
    std::vector<std::string_view> ids;
    for (const UnitOverride& entry : experiment.unit_overrides) {
      if (!InRange(entry.variant, experiment.variants.size())) {
        return Fail(Cat(where, ": the override of ", Quoted(entry.unit_id), " names no variant"));
      }
      if (entry.unit_id.empty()) return Fail(Cat(where, ": an override has an empty unit id"));
      ids.push_back(entry.unit_id);
    }
    std::sort(ids.begin(), ids.end());
    const auto twice = std::adjacent_find(ids.begin(), ids.end());
    if (twice != ids.end()) return Fail(Cat(where, ": ", Quoted(*twice), " is overridden twice"));
    for (const ConditionOverride& entry : experiment.condition_overrides) {
      if (!InRange(entry.variant, experiment.variants.size()) ||
          !InRange(entry.condition, data_.conditions.size())) {
        return Fail(Cat(where, ": an override names no variant or no condition"));
      }
    }
    return true;
  }

  // Ranges may be reused, but not by two experiments that can run at the same time.
  bool LayerRanges() {
    struct Claim {
      int32_t layer;
      BucketRange range;
      const ExperimentData* experiment;
    };
    std::vector<Claim> claims;
    for (const ExperimentData& experiment : data_.experiments) {
      if (experiment.status != ExperimentStatus::kRunning) continue;
      for (const BucketRange& range : experiment.layer_ranges) {
        claims.push_back({experiment.layer, range, &experiment});
      }
    }
    std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
      return a.layer != b.layer ? a.layer < b.layer : a.range.begin < b.range.begin;
    });
    constexpr uint64_t kMaxComparisons = 10'000'000;  // a bound for hostile content
    uint64_t comparisons = 0;
    const auto last_ms = [](const ExperimentData& e) {
      return std::min(e.end_ms, e.stopped_at_ms);
    };
    for (size_t i = 0; i < claims.size(); ++i) {
      const Claim& a = claims[i];
      for (size_t j = i + 1; j < claims.size(); ++j) {
        const Claim& b = claims[j];
        if (b.layer != a.layer || b.range.begin >= a.range.end) break;
        if (++comparisons > kMaxComparisons) return Fail("layers: too many overlapping ranges");
        const bool at_once = a.experiment->start_ms < last_ms(*b.experiment) &&
                             b.experiment->start_ms < last_ms(*a.experiment);
        if (!at_once) continue;
        return Fail(Cat("experiments ", Quoted(a.experiment->key), " and ",
                        Quoted(b.experiment->key), " claim the same range of layer ",
                        Quoted(data_.layers[static_cast<size_t>(a.layer)].key),
                        " at the same time"));
      }
    }
    return true;
  }

  const SnapshotData& data_;
  BuildError* error_;
};

}  // namespace

bool IsKey(std::string_view text) {
  if (text.empty() || text.size() > kMaxKeyBytes) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool Validate(const SnapshotData& data, BuildError* error) { return Validator(data, error).Run(); }

}  // namespace fulcrum::core
