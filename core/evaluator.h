// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/bucket.h"
#include "core/compiled.h"
#include "core/condition_eval.h"
#include "core/context.h"
#include "core/decide.h"
#include "core/describe.h"
#include "core/tracer.h"

// The one evaluator behind Decide and Explain: the rules in the order decide.h states them. With
// NullTracer every report is compiled away. Internal to core/.
namespace fulcrum::core {

template <typename Tracer>
class Evaluator {
 public:
  Evaluator(const CompiledSnapshot& snapshot, const Context& context, Tracer tracer)
      : s_(snapshot), c_(context), tracer_(tracer) {}

  // Recursion (prerequisites, conditions) is bounded by Validate().
  Decision Run(int32_t index) {
    const CompiledExperiment& e = s_.experiments[static_cast<size_t>(index)];
    Decision d;
    // A condition's children usually come right before it.
    if (e.audience >= 0) {
      Prefetch(&s_.conditions[static_cast<size_t>(e.audience)]);
      Prefetch(&s_.conditions[static_cast<size_t>(e.audience > 2 ? e.audience - 2 : 0)]);
    }

    const bool is_stopped = c_.now_ms >= e.stopped_at_ms;
    if constexpr (Tracer::kOn) {
      Tell(index, "stop", !is_stopped, describe::Stop(Data(index), c_.now_ms));
    }
    if (is_stopped) {
      d.reason = Reason::kStopped;
      d.variant = Extras(index).stop_variant;
      return d;
    }

    UnitBuffer buffer;
    Reason unit_problem = Reason::kNoUnit;
    const std::string_view unit = Unit(index, &buffer, &unit_problem);
    d.phase = PhaseAt(e);
    if (e.features &
        (CompiledExperiment::kUnitOverrides | CompiledExperiment::kConditionOverrides)) {
      if (Override(index, unit, &d)) return d;
    }
    if (!InTime(index, e, &d)) return d;
    if constexpr (Tracer::kOn) {
      Tell(index, "unit", !unit.empty(), describe::Unit(Data(index), s_.data, unit));
    }
    if (unit.empty() && NeedsUnit(index, e)) {
      d.reason = unit_problem;
      d.detail = unit_problem == Reason::kTypeMismatch ? Extras(index).unit_attribute : -1;
      return d;
    }
    if (e.features & CompiledExperiment::kKeepsPrior) {
      if (Keep(index, e, &d)) return d;
    }
    if (!Eligible(index, e, unit, &d)) return d;
    Draw(index, e, unit, &d);
    return d;
  }

  // The unit id, empty where there is none. *problem tells kNoUnit from kTypeMismatch.
  std::string_view Unit(int32_t index, UnitBuffer* buffer, Reason* problem) const {
    const CompiledExperiment& e = s_.experiments[static_cast<size_t>(index)];
    if (!(e.features & (CompiledExperiment::kCluster | CompiledExperiment::kSwitchback))) {
      return UnitOfKind(e.unit_kind);
    }
    const int32_t attribute = Extras(index).unit_attribute;
    return attribute == -1 ? std::string_view() : AttributeUnit(attribute, buffer, problem);
  }

  std::string_view UnitOfKind(int32_t kind) const {
    const std::string_view name = s_.unit_kinds[static_cast<size_t>(kind)];
    for (const UnitId& unit : c_.units) {
      if (unit.kind == name) return unit.id;
    }
    return kind == s_.default_unit_kind ? c_.targeting_key : std::string_view();
  }

  HoldoutArm Holdout(const CompiledHoldout& holdout, std::string_view unit,
                     uint32_t* bucket) const {
    *bucket = BucketPpm(holdout.hash, holdout.salt, unit);
    if (*bucket < holdout.held_ppm) return HoldoutArm::kHeld;
    const bool compared = holdout.has_comparison && *bucket < 2 * holdout.held_ppm;
    return compared ? HoldoutArm::kComparison : HoldoutArm::kNone;
  }

 private:
  const ExperimentData& Data(int32_t index) const {
    return s_.data.experiments[static_cast<size_t>(index)];
  }

  const CompiledExtras& Extras(int32_t index) const {
    return s_.extras[static_cast<size_t>(index)];
  }

  // A switchback without a region attribute has one region, which needs no id.
  bool NeedsUnit(int32_t index, const CompiledExperiment& e) const {
    return !(e.features & CompiledExperiment::kSwitchback) || Extras(index).unit_attribute != -1;
  }

  void Tell([[maybe_unused]] int32_t index, [[maybe_unused]] std::string_view rule,
            [[maybe_unused]] bool passed, [[maybe_unused]] std::string detail) {
    if constexpr (Tracer::kOn) tracer_.Step(Data(index).key, rule, passed, std::move(detail));
  }

  std::string_view AttributeUnit(int32_t attribute, UnitBuffer* buffer, Reason* problem) const {
    const auto slot = static_cast<size_t>(attribute);
    const Value* value = FindAttribute(c_, s_.attribute_keys[slot]);
    if (value == nullptr) return {};
    Value converted;
    if (!ConvertTo(s_.attribute_types[slot], *value, &converted)) {
      *problem = Reason::kTypeMismatch;
      return {};
    }
    return describe::AsUnitId(converted, buffer);
  }

  // The last phase that has begun; -1 before the first.
  int32_t PhaseAt(const CompiledExperiment& e) const {
    auto last = static_cast<int32_t>(e.phases.count) - 1;
    if (e.last_phase.start_ms <= c_.now_ms) return last;
    const CompiledPhase* phases = s_.phases.data() + e.phases.first;
    while (last >= 0 && phases[last].start_ms > c_.now_ms) --last;
    return last;
  }

  bool Override(int32_t index, std::string_view unit, Decision* d) {
    const CompiledExtras& e = Extras(index);
    int32_t variant = -1;
    if (e.unit_overrides.count > 0 && !unit.empty()) {
      variant = UnitOverrideOf(e, unit);
      if constexpr (Tracer::kOn) {
        Tell(index, "override", variant == -1, describe::UnitOverride(Data(index), unit, variant));
      }
    }
    for (uint32_t i = 0; variant == -1 && i < e.condition_overrides.count; ++i) {
      const ConditionOverride& entry = s_.condition_overrides[e.condition_overrides.first + i];
      // An override that cannot be decided does not apply; the rules below still can.
      const bool holds = Evaluate(index, entry.condition, 1) == Tri::kTrue;
      if (holds) {
        variant = entry.variant;
        d->detail = static_cast<int32_t>(i);
      }
      if constexpr (Tracer::kOn) {
        Tell(index, "override", !holds,
             describe::ConditionOverride(Data(index), i, entry.variant, holds));
      }
    }
    problem_ = Reason::kAudienceMismatch;
    problem_attribute_ = -1;
    if (variant == -1) return false;
    d->reason = Reason::kOverride;
    d->variant = variant;
    return true;
  }

  int32_t UnitOverrideOf(const CompiledExtras& e, std::string_view unit) const {
    const CompiledUnitOverride* first = s_.unit_overrides.data() + e.unit_overrides.first;
    const uint64_t hash = Xxh3(unit);
    uint32_t low = 0;
    uint32_t high = e.unit_overrides.count;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (first[middle].hash < hash) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (; low < e.unit_overrides.count && first[low].hash == hash; ++low) {
      if (first[low].unit_id == unit) return first[low].variant;
    }
    return -1;
  }

  bool InTime(int32_t index, const CompiledExperiment& e, Decision* d) {
    bool in_time = true;
    if (e.is_draft) {
      d->reason = Reason::kDraft;
      in_time = false;
    } else if (c_.now_ms < e.start_ms || d->phase < 0) {
      d->reason = Reason::kNotStarted;
      in_time = false;
    } else if (c_.now_ms >= e.end_ms) {
      d->reason = Reason::kEnded;
      in_time = false;
    }
    if constexpr (Tracer::kOn) {
      Tell(index, "schedule", in_time, describe::Schedule(Data(index), c_.now_ms, d->phase));
    }
    return in_time;
  }

  // Sticky, and closed enrolment. True where `d` is decided.
  bool Keep(int32_t index, const CompiledExperiment& e, Decision* d) {
    const bool is_closed = c_.now_ms >= Extras(index).enrolment_closed_at_ms;
    if (!e.is_sticky && !is_closed) return false;
    const Prior* prior = nullptr;
    int32_t variant = -1;
    for (const Prior& candidate : c_.priors) {
      if (candidate.experiment != Data(index).key) continue;
      prior = &candidate;
      variant = VariantNamed(index, candidate.variant);
      break;
    }
    if constexpr (Tracer::kOn) {
      Tell(index, "prior", variant == -1, describe::PriorOf(prior, variant));
    }
    if (variant != -1) {
      if (prior->phase >= 0 && prior->phase < static_cast<int32_t>(e.phases.count)) {
        d->phase = prior->phase;
      }
      d->reason = Reason::kSticky;
      d->variant = variant;
      d->propensity_ppm = Weight(index, d->phase, variant);
      return true;
    }
    if constexpr (Tracer::kOn) {
      Tell(index, "enrolment", !is_closed, describe::Enrolment(Data(index), c_.now_ms));
    }
    if (is_closed) d->reason = Reason::kEnrolmentClosed;
    return is_closed;
  }

  int32_t VariantNamed(int32_t index, std::string_view key) const {
    const std::vector<VariantData>& variants = Data(index).variants;
    for (size_t i = 0; i < variants.size(); ++i) {
      if (variants[i].key == key) return static_cast<int32_t>(i);
    }
    return -1;
  }

  // The designed weight, not the width of a range that traffic may have shortened.
  uint32_t Weight(int32_t index, int32_t phase, int32_t variant) const {
    return Data(index).phases[static_cast<size_t>(phase)].weights_ppm[static_cast<size_t>(variant)];
  }

  // Holdouts, layer, prerequisites, audience.
  bool Eligible(int32_t index, const CompiledExperiment& e, std::string_view unit, Decision* d) {
    if ((e.features & CompiledExperiment::kHoldouts) && !NotHeldOut(index, d)) return false;
    if (e.layer != -1 && !InLayer(index, e, unit)) {
      d->reason = Reason::kLayerExcluded;
      return false;
    }
    if ((e.features & CompiledExperiment::kPrerequisites) && !HasPrerequisites(index, d)) {
      return false;
    }
    if (e.audience == -1) return true;
    const Tri in_audience = Evaluate(index, e.audience, 1);
    if constexpr (Tracer::kOn) {
      Tell(index, "audience", in_audience == Tri::kTrue, describe::Audience(in_audience));
    }
    if (in_audience == Tri::kTrue) return true;
    d->reason = in_audience == Tri::kFalse ? Reason::kAudienceMismatch : problem_;
    d->detail = in_audience == Tri::kFalse ? -1 : problem_attribute_;
    return false;
  }

  bool NotHeldOut(int32_t index, Decision* d) {
    const CompiledExtras& e = Extras(index);
    for (uint32_t i = 0; i < e.holdouts.count; ++i) {
      const int32_t ref = s_.holdout_refs[e.holdouts.first + i];
      const CompiledHoldout& holdout = s_.holdouts[static_cast<size_t>(ref)];
      const std::string_view unit = UnitOfKind(holdout.unit_kind);
      // Without the holdout's own unit nobody can say whether it is held out: treat as in none, as
      // the analysis of the holdout does.
      if (unit.empty()) continue;
      uint32_t bucket = 0;
      const HoldoutArm arm = Holdout(holdout, unit, &bucket);
      if constexpr (Tracer::kOn) {
        Tell(index, "holdout", arm != HoldoutArm::kHeld,
             describe::Holdout(s_.data.holdouts[static_cast<size_t>(ref)], bucket, arm));
      }
      if (arm == HoldoutArm::kHeld) {
        d->reason = Reason::kHoldout;
        d->detail = ref;
        return false;
      }
    }
    return true;
  }

  bool InLayer(int32_t index, const CompiledExperiment& e, std::string_view unit) {
    const CompiledLayer& layer = s_.layers[static_cast<size_t>(e.layer)];
    const uint32_t bucket = BucketPpm(layer.hash, layer.salt, unit);
    const Slice slice = Extras(index).layer_ranges;
    const BucketRange* ranges = s_.layer_ranges.data() + slice.first;
    bool inside = false;
    for (uint32_t i = 0; i < slice.count && bucket >= ranges[i].begin; ++i) {
      inside = bucket < ranges[i].end;
      if (inside) break;
    }
    if constexpr (Tracer::kOn) {
      Tell(index, "layer", inside,
           describe::Layer(s_.data.layers[static_cast<size_t>(e.layer)], Data(index), bucket));
    }
    return inside;
  }

  bool HasPrerequisites(int32_t index, Decision* d) {
    const CompiledExtras& e = Extras(index);
    for (uint32_t i = 0; i < e.prerequisites.count; ++i) {
      const CompiledPrerequisite& entry = s_.prerequisites[e.prerequisites.first + i];
      const int32_t variant = VariantIn(entry.experiment);
      const bool holds = Contains(entry.variants, variant);
      if constexpr (Tracer::kOn) {
        Tell(index, "prerequisite", holds, describe::GivenBy(Data(entry.experiment), variant));
      }
      if (!holds) {
        d->reason = Reason::kPrerequisiteFailed;
        d->detail = static_cast<int32_t>(i);
        return false;
      }
    }
    return true;
  }

  // The variant another experiment gives in this context. Its own undecided conditions are its own
  // affair: they must not leak into the reason of the experiment that asked.
  int32_t VariantIn(int32_t experiment) {
    const Reason problem = problem_;
    const int32_t attribute = problem_attribute_;
    const int32_t variant = Run(experiment).variant;
    problem_ = problem;
    problem_attribute_ = attribute;
    return variant;
  }

  bool Contains(Slice variants, int32_t variant) const {
    for (uint32_t i = 0; i < variants.count; ++i) {
      if (s_.variant_refs[variants.first + i] == variant) return true;
    }
    return false;
  }

  // Traffic, then the variant.
  void Draw(int32_t index, const CompiledExperiment& e, std::string_view unit, Decision* d) {
    const bool is_last = d->phase + 1 == static_cast<int32_t>(e.phases.count);
    const CompiledPhase& phase =
        is_last ? e.last_phase : s_.phases[e.phases.first + static_cast<uint32_t>(d->phase)];
    SaltState salt = e.salt;
    if (e.features & CompiledExperiment::kSwitchback) {
      const auto block_ms = static_cast<uint64_t>(Extras(index).block_ms);
      d->block = static_cast<int64_t>(SinceStartMs(e.start_ms) / block_ms);
      salt = BlockSalt(salt, d->block);
    }
    uint32_t bucket = 0;
    if (e.hash == HashAlgorithm::kXxh3) {
      const uint64_t hash = SaltedHash(salt, unit);
      const uint32_t traffic_bucket = Reduce(static_cast<uint32_t>(hash), kPpm);
      const bool enrolled = traffic_bucket < phase.traffic_ppm;
      if constexpr (Tracer::kOn) {
        Tell(index, "traffic", enrolled,
             describe::Traffic(traffic_bucket, d->phase, phase.traffic_ppm));
      }
      if (!enrolled) {
        d->reason = Reason::kNotInTraffic;
        return;
      }
      bucket = Reduce(static_cast<uint32_t>(hash >> 32), kPpm);
    } else {
      bucket = BucketPpm(e.hash, salt, unit);
    }
    const bool is_inline = is_last && e.variant_count <= CompiledExperiment::kInlineRanges;
    const BucketRange* ranges = is_inline ? e.ranges : s_.variant_ranges.data() + phase.first_range;
    uint32_t variant = 0;
    while (variant < e.variant_count && bucket >= ranges[variant].end) ++variant;
    const bool in_range = variant < e.variant_count && bucket >= ranges[variant].begin;
    if constexpr (Tracer::kOn) {
      Tell(index, "variant", in_range,
           describe::Variant(Data(index), bucket, ranges, in_range ? variant : e.variant_count));
    }
    if (!in_range) {  // growthbook-v2 only: traffic shortens the ranges
      d->reason = Reason::kNotInTraffic;
      return;
    }
    d->variant = static_cast<int32_t>(variant);
    d->propensity_ppm = phase.single_arm >= 0 || e.hash != HashAlgorithm::kXxh3
                            ? Weight(index, d->phase, d->variant)
                            : ranges[variant].end - ranges[variant].begin;
    d->reason = phase.single_arm >= 0 ? Reason::kSingleArm : Reason::kAssigned;
    if (e.features & CompiledExperiment::kSwitchback) WashOut(index, e.start_ms, d);
  }

  // InTime has held that now is at or after the start; unsigned, because the distance of two times
  // need not fit a signed number.
  uint64_t SinceStartMs(int64_t start_ms) const {
    return static_cast<uint64_t>(c_.now_ms) - static_cast<uint64_t>(start_ms);
  }

  void WashOut(int32_t index, int64_t start_ms, Decision* d) {
    const CompiledExtras& e = Extras(index);
    const auto into_block_ms =
        static_cast<int64_t>(SinceStartMs(start_ms) % static_cast<uint64_t>(e.block_ms));
    const bool is_washout = into_block_ms < e.washout_ms;
    if (is_washout) d->reason = Reason::kWashout;
    if constexpr (Tracer::kOn) {
      Tell(index, "washout", !is_washout, describe::Washout(d->block, into_block_ms, e.washout_ms));
    }
  }

  Tri Evaluate(int32_t experiment, int32_t index, int depth) {
    const CompiledCondition& node = s_.conditions[static_cast<size_t>(index)];
    if constexpr (Tracer::kOn) {
      const size_t place = tracer_.Open();
      const Tri result = EvaluateNode(experiment, node, depth);
      tracer_.Close(
          place, Data(experiment).key, "condition", result == Tri::kTrue,
          describe::Condition(s_.data, s_.data.conditions[static_cast<size_t>(index)], c_, result),
          depth);
      return result;
    } else {
      // Comparisons are most nodes: they skip the recursion's own cost.
      if (node.op >= ConditionOp::kEq && node.op <= ConditionOp::kAbsent) return OfAttribute(node);
      return EvaluateNode(experiment, node, depth);
    }
  }

  Tri EvaluateNode(int32_t experiment, const CompiledCondition& node, int depth) {
    switch (node.op) {
      case ConditionOp::kAll:
        return Combine(experiment, node, Tri::kFalse, depth);
      case ConditionOp::kAny:
        return Combine(experiment, node, Tri::kTrue, depth);
      case ConditionOp::kNot:
        return Not(Evaluate(experiment, s_.children[node.slice.first], depth + 1));
      case ConditionOp::kSegment:
        return Evaluate(experiment, s_.data.segments[static_cast<size_t>(node.ref)].condition,
                        depth + 1);
      case ConditionOp::kExperiment:
        return ToTri(Contains(node.slice, VariantIn(node.ref)));
      case ConditionOp::kNowBefore:
        return ToTri(c_.now_ms < node.integer);
      case ConditionOp::kNowAfter:
        return ToTri(c_.now_ms >= node.integer);
      case ConditionOp::kPercentage:
        return Percentage(node);
      default:
        return OfAttribute(node);
    }
  }

  // kAll ends at the first false, kAny at the first true; undecided ones do not end it, so that the
  // result does not depend on the order they were written in.
  Tri Combine(int32_t experiment, const CompiledCondition& node, Tri decisive, int depth) {
    Tri result = Not(decisive);
    for (uint32_t i = 0; i < node.slice.count; ++i) {
      const uint32_t at = node.slice.first + i;
      const int32_t child = node.is_direct ? static_cast<int32_t>(at) : s_.children[at];
      const Tri one = Evaluate(experiment, child, depth + 1);
      if (one == decisive) return decisive;
      if (one == Tri::kUnknown) result = Tri::kUnknown;
    }
    return result;
  }

  Tri Percentage(const CompiledCondition& node) {
    const std::string_view unit = UnitOfKind(node.ref);
    if (unit.empty()) return Problem(Reason::kNoUnit, -1);
    const uint32_t bucket = BucketPpm(node.hash, s_.percentage_salts[node.slice.first], unit);
    return ToTri(bucket < node.slice.count);
  }

  Tri OfAttribute(const CompiledCondition& node) {
    const auto slot = static_cast<size_t>(node.ref);
    const Value* value = FindAttribute(c_, s_.attribute_keys[slot]);
    if (node.op == ConditionOp::kPresent) return ToTri(value != nullptr);
    if (node.op == ConditionOp::kAbsent) return ToTri(value == nullptr);
    if (value == nullptr) {
      return ToTri(node.op == ConditionOp::kNe || node.op == ConditionOp::kNotIn);
    }
    const CompiledOperand* operands = s_.operands.data() + node.slice.first;
    // The common case needs no conversion: same type, and no value of it is invalid.
    if (value->type() == node.type && node.type != AttributeType::kFloat &&
        node.type != AttributeType::kVersion) {
      return ToTri(Compare(node, operands, *value));
    }
    Value converted;
    if (!ConvertTo(node.type, *value, &converted)) {
      return Problem(Reason::kTypeMismatch, node.ref);
    }
    return ToTri(Compare(node, operands, converted));
  }

  Tri Problem(Reason reason, int32_t attribute) {
    problem_ = reason;
    problem_attribute_ = attribute;
    return Tri::kUnknown;
  }

  const CompiledSnapshot& s_;
  const Context& c_;
  [[no_unique_address]] Tracer tracer_;
  // Why the last undecided condition was undecided.
  Reason problem_ = Reason::kAudienceMismatch;
  int32_t problem_attribute_ = -1;
};

}  // namespace fulcrum::core
