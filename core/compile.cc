// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/bucket.h"
#include "core/compiled.h"

namespace fulcrum::core {
namespace {

// Up to this many operands a linear scan is as fast as a search.
constexpr size_t kLinearOperands = 8;

template <typename T>
uint32_t Size32(const std::vector<T>& pool) {
  return static_cast<uint32_t>(pool.size());
}

template <typename T>
Slice AppendTo(std::vector<T>* pool, const std::vector<T>& items) {
  const Slice slice{Size32(*pool), Size32(items)};
  pool->insert(pool->end(), items.begin(), items.end());
  return slice;
}

void CompileSingleOperand(const Operand& operand, CompiledCondition* result) {
  switch (operand.type) {
    case AttributeType::kFloat:
      result->real = operand.real;
      return;
    case AttributeType::kString:
    case AttributeType::kVersion:
      result->slice.count = static_cast<uint32_t>(operand.text.size());
      if (operand.text.size() <= CompiledCondition::kInlineBytes) {
        std::copy(operand.text.begin(), operand.text.end(), result->bytes);
      } else {
        result->data = operand.text.data();
      }
      return;
    default:
      result->integer = operand.integer;
      return;
  }
}

void CompileOperands(const ConditionData& node, CompiledSnapshot* out, CompiledCondition* result) {
  if (node.op == ConditionOp::kPresent || node.op == ConditionOp::kAbsent) return;
  if (node.operands.size() == 1 && CompiledCondition::HasSingleOperand(node.op)) {
    return CompileSingleOperand(node.operands[0], result);
  }
  result->slice = {Size32(out->operands), Size32(node.operands)};
  for (const Operand& operand : node.operands) {
    CompiledOperand compiled;
    if (operand.type == AttributeType::kFloat) {
      compiled.real = operand.real;
    } else {
      compiled.integer = operand.integer;
    }
    compiled.text = operand.text;
    out->operands.push_back(compiled);
  }
  const bool is_set = node.op == ConditionOp::kIn || node.op == ConditionOp::kNotIn;
  if (!is_set || node.operands.size() <= kLinearOperands) return;
  const auto begin = out->operands.begin() + result->slice.first;
  switch (result->type) {
    case AttributeType::kInt:
    case AttributeType::kTimeMs:
      std::sort(begin, out->operands.end(),
                [](const auto& a, const auto& b) { return a.integer < b.integer; });
      result->is_direct = true;
      break;
    case AttributeType::kString:
      std::sort(begin, out->operands.end(),
                [](const auto& a, const auto& b) { return TextLess(a.text, b.text); });
      result->is_direct = true;
      break;
    default:
      break;
  }
}

void CompileChildren(const ConditionData& node, CompiledSnapshot* out, CompiledCondition* result) {
  bool is_direct = !node.children.empty() && node.op != ConditionOp::kNot;
  for (size_t i = 1; i < node.children.size(); ++i) {
    is_direct = is_direct && node.children[i] == node.children[i - 1] + 1;
  }
  result->is_direct = is_direct;
  if (is_direct) {
    result->slice = {static_cast<uint32_t>(node.children[0]), Size32(node.children)};
  } else {
    result->slice = AppendTo(&out->children, node.children);
  }
}

CompiledCondition CompileCondition(const ConditionData& node, CompiledSnapshot* out) {
  CompiledCondition result;
  result.op = node.op;
  switch (node.op) {
    case ConditionOp::kAll:
    case ConditionOp::kAny:
    case ConditionOp::kNot:
      CompileChildren(node, out, &result);
      break;
    case ConditionOp::kSegment:
      result.ref = node.ref;
      break;
    case ConditionOp::kExperiment:
      result.ref = node.ref;
      result.slice = AppendTo(&out->variant_refs, node.variants);
      break;
    case ConditionOp::kPercentage:
      result.ref = node.unit_kind;
      result.hash = node.hash;
      result.slice = {Size32(out->percentage_salts), node.ppm};
      out->percentage_salts.push_back(PrepareSalt(node.salt, SaltRole::kPercentage));
      break;
    case ConditionOp::kNowBefore:
    case ConditionOp::kNowAfter:
      CompileSingleOperand(node.operands[0], &result);
      break;
    default:
      result.ref = node.attribute;
      result.type = out->data.attributes[static_cast<size_t>(node.attribute)].type;
      CompileOperands(node, out, &result);
      break;
  }
  return result;
}

void CompilePhases(const ExperimentData& data, CompiledSnapshot* out, CompiledExperiment* result) {
  result->phases = {Size32(out->phases), Size32(data.phases)};
  for (const PhaseData& phase : data.phases) {
    CompiledPhase compiled{phase.start_ms, phase.traffic_ppm, Size32(out->variant_ranges), -1};
    for (size_t i = 0; i < data.variants.size(); ++i) {
      out->variant_ranges.push_back(VariantRange(phase, data.hash, i));
      if (phase.weights_ppm[i] == kPpm) compiled.single_arm = static_cast<int32_t>(i);
    }
    out->phases.push_back(compiled);
  }
  result->variant_count = Size32(data.variants);
  result->last_phase = out->phases.back();
  if (result->variant_count > CompiledExperiment::kInlineRanges) return;
  std::copy_n(out->variant_ranges.begin() + result->last_phase.first_range, result->variant_count,
              result->ranges);
}

void CompileOverrides(const ExperimentData& data, CompiledSnapshot* out, CompiledExtras* result) {
  result->unit_overrides = {Size32(out->unit_overrides), Size32(data.unit_overrides)};
  for (const UnitOverride& entry : data.unit_overrides) {
    out->unit_overrides.push_back({Xxh3(entry.unit_id), entry.unit_id, entry.variant});
  }
  std::sort(out->unit_overrides.begin() + result->unit_overrides.first, out->unit_overrides.end(),
            [](const CompiledUnitOverride& a, const CompiledUnitOverride& b) {
              return a.hash != b.hash ? a.hash < b.hash : a.unit_id < b.unit_id;
            });
  result->condition_overrides = AppendTo(&out->condition_overrides, data.condition_overrides);
}

uint8_t Features(const ExperimentData& data) {
  int features = 0;
  if (!data.unit_overrides.empty()) features |= CompiledExperiment::kUnitOverrides;
  if (!data.condition_overrides.empty()) features |= CompiledExperiment::kConditionOverrides;
  if (!data.holdouts.empty()) features |= CompiledExperiment::kHoldouts;
  if (!data.prerequisites.empty()) features |= CompiledExperiment::kPrerequisites;
  if (data.cluster_attribute != -1) features |= CompiledExperiment::kCluster;
  if (data.switchback.block_ms != 0) features |= CompiledExperiment::kSwitchback;
  if (data.is_sticky || data.enrolment_closed_at_ms != kDistantFutureMs) {
    features |= CompiledExperiment::kKeepsPrior;
  }
  return static_cast<uint8_t>(features);
}

CompiledExperiment CompileExperiment(const ExperimentData& data, CompiledSnapshot* out) {
  CompiledExperiment result;
  result.salt = PrepareSalt(data.salt, SaltRole::kExperiment);
  result.start_ms = data.start_ms;
  result.end_ms = data.end_ms;
  const bool is_stopped = data.status == ExperimentStatus::kStopped;
  // A stop dated by the definition keeps its date, so that past decisions can be reproduced.
  result.stopped_at_ms =
      is_stopped && data.stopped_at_ms == kDistantFutureMs ? kDistantPastMs : data.stopped_at_ms;
  result.hash = data.hash;
  result.features = Features(data);
  result.is_draft = data.status == ExperimentStatus::kDraft;
  result.is_sticky = data.is_sticky;
  result.unit_kind = data.unit_kind;
  result.audience = data.audience;
  result.layer = data.layer;
  CompilePhases(data, out, &result);
  return result;
}

CompiledExtras CompileExtras(const ExperimentData& data, CompiledSnapshot* out) {
  CompiledExtras result;
  result.enrolment_closed_at_ms = data.enrolment_closed_at_ms;
  result.stop_variant = data.stop_variant;
  result.block_ms = data.switchback.block_ms;
  result.washout_ms = data.switchback.washout_ms;
  result.unit_attribute =
      result.block_ms != 0 ? data.switchback.region_attribute : data.cluster_attribute;
  result.layer_ranges = AppendTo(&out->layer_ranges, data.layer_ranges);
  CompileOverrides(data, out, &result);
  result.holdouts = AppendTo(&out->holdout_refs, data.holdouts);
  result.prerequisites = {Size32(out->prerequisites), Size32(data.prerequisites)};
  for (const PrerequisiteData& entry : data.prerequisites) {
    out->prerequisites.push_back({entry.experiment, AppendTo(&out->variant_refs, entry.variants)});
  }
  return result;
}

void BuildKeyTable(CompiledSnapshot* out) {
  size_t size = 8;
  while (size < 2 * out->data.experiments.size()) size *= 2;
  out->slots.assign(size, KeySlot{});
  out->slot_mask = size - 1;
  for (size_t i = 0; i < out->data.experiments.size(); ++i) {
    const std::string& key = out->data.experiments[i].key;
    const Slice bytes{static_cast<uint32_t>(out->key_bytes.size()),
                      static_cast<uint32_t>(key.size())};
    out->key_bytes += key;
    const uint64_t hash = Xxh3(key);
    uint64_t slot = hash & out->slot_mask;
    while (out->slots[slot].experiment != -1) slot = (slot + 1) & out->slot_mask;
    out->slots[slot] = {static_cast<uint32_t>(hash >> 32), static_cast<int32_t>(i), bytes};
  }
}

}  // namespace

bool TextLess(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

void Compile(CompiledSnapshot* out) {
  const SnapshotData& data = out->data;
  for (const AttributeData& attribute : data.attributes) {
    out->attribute_keys.push_back(attribute.key);
    out->attribute_types.push_back(attribute.type);
  }
  out->unit_kinds.assign(data.unit_kinds.begin(), data.unit_kinds.end());
  out->default_unit_kind = data.default_unit_kind;
  for (const ConditionData& node : data.conditions) {
    out->conditions.push_back(CompileCondition(node, out));
  }
  for (const LayerData& layer : data.layers) {
    out->layers.push_back({PrepareSalt(layer.salt, SaltRole::kLayer), layer.hash});
  }
  for (const HoldoutData& holdout : data.holdouts) {
    out->holdouts.push_back({PrepareSalt(holdout.salt, SaltRole::kHoldout), holdout.hash,
                             holdout.unit_kind, holdout.held_ppm, holdout.has_comparison});
  }
  out->experiments.reserve(data.experiments.size());
  for (const ExperimentData& experiment : data.experiments) {
    out->experiments.push_back(CompileExperiment(experiment, out));
    out->extras.push_back(CompileExtras(experiment, out));
  }
  BuildKeyTable(out);
}

}  // namespace fulcrum::core
