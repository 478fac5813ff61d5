// SPDX-License-Identifier: Apache-2.0
#include "core/describe.h"

#include "core/text.h"

namespace fulcrum::core::describe {

using text::Cat;
using text::Percent;
using text::Quoted;
using text::TimeMs;

namespace {

std::string Of(const Value& value) {
  switch (value.type()) {
    case AttributeType::kBool:
      return value.bool_value() ? "true" : "false";
    case AttributeType::kInt:
      return Cat(value.integer());
    case AttributeType::kFloat:
      return text::Real(value.real());
    case AttributeType::kTimeMs:
      return TimeMs(value.integer());
    case AttributeType::kString:
    case AttributeType::kVersion:
      break;
  }
  return Quoted(value.text());
}

std::string Of(const Operand& operand) {
  switch (operand.type) {
    case AttributeType::kBool:
      return operand.integer != 0 ? "true" : "false";
    case AttributeType::kInt:
      return Cat(operand.integer);
    case AttributeType::kFloat:
      return text::Real(operand.real);
    case AttributeType::kTimeMs:
      return TimeMs(operand.integer);
    case AttributeType::kString:
    case AttributeType::kVersion:
      break;
  }
  return Quoted(operand.text);
}

std::string Of(const std::vector<Operand>& operands) {
  constexpr size_t kShown = 10;
  std::string out;
  for (size_t i = 0; i < operands.size() && i < kShown; ++i) {
    if (i > 0) out += ", ";
    out += Of(operands[i]);
  }
  if (operands.size() > kShown) out += Cat(" and ", uint64_t{operands.size() - kShown}, " more");
  return out;
}

std::string_view Verb(ConditionOp op) {
  switch (op) {
    case ConditionOp::kEq:
      return "equals";
    case ConditionOp::kNe:
      return "differs from";
    case ConditionOp::kIn:
      return "is one of";
    case ConditionOp::kNotIn:
      return "is none of";
    case ConditionOp::kLt:
      return "is less than";
    case ConditionOp::kLe:
      return "is at most";
    case ConditionOp::kGt:
      return "is greater than";
    case ConditionOp::kGe:
      return "is at least";
    case ConditionOp::kPrefix:
      return "begins with";
    case ConditionOp::kSuffix:
      return "ends with";
    case ConditionOp::kContains:
      return "contains";
    case ConditionOp::kPresent:
      return "is present";
    case ConditionOp::kAbsent:
      return "is absent";
    default:
      return "";
  }
}

std::string Range(const BucketRange& range) { return Cat("[", range.begin, ", ", range.end, ")"); }

std::string VariantName(const ExperimentData& experiment, int32_t variant) {
  if (variant < 0) return "no variant";
  return Cat("variant ", Quoted(experiment.variants[static_cast<size_t>(variant)].key));
}

std::string OfAttribute(const SnapshotData& data, const ConditionData& node,
                        const Context& context) {
  const AttributeData& attribute = data.attributes[static_cast<size_t>(node.attribute)];
  const Value* value = FindAttribute(context, attribute.key);
  std::string out = Cat(attribute.key, " ", Verb(node.op));
  if (!node.operands.empty()) out += Cat(" ", Of(node.operands));
  if (value == nullptr) return out + "; the context has none";
  out += Cat("; it is ", Of(*value));
  Value converted;
  if (!ConvertTo(attribute.type, *value, &converted)) {
    out += Cat(" of type ", AttributeTypeName(value->type()), ", declared ",
               AttributeTypeName(attribute.type));
  }
  return out;
}

std::string Statement(const SnapshotData& data, const ConditionData& node, const Context& context) {
  switch (node.op) {
    case ConditionOp::kAll:
      return Cat("all of ", uint64_t{node.children.size()});
    case ConditionOp::kAny:
      return Cat("any of ", uint64_t{node.children.size()});
    case ConditionOp::kNot:
      return "not";
    case ConditionOp::kSegment:
      return Cat("segment ", Quoted(data.segments[static_cast<size_t>(node.ref)].key));
    case ConditionOp::kExperiment: {
      const ExperimentData& experiment = data.experiments[static_cast<size_t>(node.ref)];
      std::string out = Cat("experiment ", Quoted(experiment.key), " gives");
      for (const int32_t variant : node.variants) {
        out +=
            Cat(variant == node.variants.front() ? " " : " or ", VariantName(experiment, variant));
      }
      return out;
    }
    case ConditionOp::kNowBefore:
      return Cat("now, ", TimeMs(context.now_ms), ", is before ", Of(node.operands));
    case ConditionOp::kNowAfter:
      return Cat("now, ", TimeMs(context.now_ms), ", is at or after ", Of(node.operands));
    case ConditionOp::kPercentage:
      return Cat("the ", data.unit_kinds[static_cast<size_t>(node.unit_kind)], " is in ",
                 Percent(node.ppm), " of traffic salted ", Quoted(node.salt));
    default:
      return OfAttribute(data, node, context);
  }
}

}  // namespace

std::string_view AsUnitId(const Value& value, UnitBuffer* buffer) {
  switch (value.type()) {
    case AttributeType::kBool:
      return value.bool_value() ? "true" : "false";
    case AttributeType::kString:
    case AttributeType::kVersion:
      return value.text();
    case AttributeType::kFloat:
      return {};  // refused by Validate: a float has no canonical text
    case AttributeType::kInt:
    case AttributeType::kTimeMs:
      break;
  }
  const int64_t number = value.integer();
  uint64_t size = number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : uint64_t(number);
  size_t first = sizeof(buffer->bytes);
  do {
    buffer->bytes[--first] = static_cast<char>('0' + size % 10);
    size /= 10;
  } while (size != 0);
  if (number < 0) buffer->bytes[--first] = '-';
  return {buffer->bytes + first, sizeof(buffer->bytes) - first};
}

std::string Stop(const ExperimentData& experiment, int64_t now_ms) {
  if (experiment.status == ExperimentStatus::kStopped &&
      experiment.stopped_at_ms == kDistantFutureMs) {
    return Cat("stopped; it serves ", VariantName(experiment, experiment.stop_variant));
  }
  if (now_ms < experiment.stopped_at_ms) return "not stopped";
  return Cat("stopped at ", TimeMs(experiment.stopped_at_ms), "; it serves ",
             VariantName(experiment, experiment.stop_variant));
}

std::string Unit(const ExperimentData& experiment, const SnapshotData& data,
                 std::string_view unit) {
  std::string source = data.unit_kinds[static_cast<size_t>(experiment.unit_kind)];
  const bool is_switchback = experiment.switchback.block_ms != 0;
  const int32_t attribute =
      is_switchback ? experiment.switchback.region_attribute : experiment.cluster_attribute;
  if (attribute != -1) {
    source = Cat(is_switchback ? "region " : "cluster ",
                 data.attributes[static_cast<size_t>(attribute)].key);
  } else if (is_switchback) {
    return "time blocks of one region";
  }
  if (unit.empty()) return Cat("the context has no ", source);
  return Cat(source, " ", Quoted(unit));
}

std::string UnitOverride(const ExperimentData& experiment, std::string_view unit, int32_t variant) {
  if (variant < 0) return Cat("unit ", Quoted(unit), " is not overridden");
  return Cat("unit ", Quoted(unit), " is given ", VariantName(experiment, variant));
}

std::string ConditionOverride(const ExperimentData& experiment, uint32_t index, int32_t variant,
                              bool holds) {
  return Cat("override ", index + 1, " to ", VariantName(experiment, variant),
             holds ? " applies" : " does not apply");
}

std::string Schedule(const ExperimentData& experiment, int64_t now_ms, int32_t phase) {
  if (experiment.status == ExperimentStatus::kDraft) return "it is a draft";
  std::string out = Cat("runs from ", TimeMs(experiment.start_ms), " to ",
                        TimeMs(experiment.end_ms), "; it is ", TimeMs(now_ms));
  if (phase < 0) return Cat(out, ", before the first phase");
  return Cat(out, ", phase ", phase);
}

std::string PriorOf(const Prior* prior, int32_t variant) {
  if (prior == nullptr) return "no prior variant";
  if (variant < 0) return Cat("the prior variant ", Quoted(prior->variant), " no longer exists");
  return Cat("keeps its prior variant ", Quoted(prior->variant));
}

std::string Enrolment(const ExperimentData& experiment, int64_t now_ms) {
  if (now_ms < experiment.enrolment_closed_at_ms) return "open";
  return Cat("closed at ", TimeMs(experiment.enrolment_closed_at_ms));
}

std::string Holdout(const HoldoutData& holdout, uint32_t bucket, HoldoutArm arm) {
  const std::string in = Cat("holdout ", Quoted(holdout.key), ": bucket ", bucket);
  switch (arm) {
    case HoldoutArm::kHeld:
      return Cat(in, " is held out, in ", Range({0, holdout.held_ppm}));
    case HoldoutArm::kComparison:
      return Cat(in, " is in the comparison arm ", Range({holdout.held_ppm, 2 * holdout.held_ppm}));
    case HoldoutArm::kNone:
      break;
  }
  return Cat(in, " is outside ", Range({0, holdout.held_ppm}));
}

std::string Layer(const LayerData& layer, const ExperimentData& experiment, uint32_t bucket) {
  std::string out = Cat("layer ", Quoted(layer.key), ": bucket ", bucket, ", its ranges are");
  for (const BucketRange& range : experiment.layer_ranges) out += Cat(" ", Range(range));
  return out;
}

std::string GivenBy(const ExperimentData& experiment, int32_t variant) {
  return Cat("experiment ", Quoted(experiment.key), " gives ", VariantName(experiment, variant));
}

std::string Audience(Tri result) {
  switch (result) {
    case Tri::kFalse:
      return "not in the audience";
    case Tri::kTrue:
      return "in the audience";
    case Tri::kUnknown:
      break;
  }
  return "cannot be decided";
}

std::string Traffic(uint32_t bucket, int32_t phase, uint32_t traffic_ppm) {
  return Cat("traffic bucket ", bucket, "; phase ", phase, " enrols ", Range({0, traffic_ppm}),
             ", ", Percent(traffic_ppm));
}

std::string Variant(const ExperimentData& experiment, uint32_t bucket, const BucketRange* ranges,
                    uint32_t variant) {
  if (variant < experiment.variants.size()) {
    return Cat("bucket ", bucket, " is in ", Range(ranges[variant]), " of variant ",
               Quoted(experiment.variants[variant].key));
  }
  std::string out = Cat("bucket ", bucket, " is in no range of this phase's traffic:");
  for (size_t i = 0; i < experiment.variants.size(); ++i) out += Cat(" ", Range(ranges[i]));
  return out;
}

std::string Washout(int64_t block, int64_t into_block_ms, int64_t washout_ms) {
  return Cat("block ", block, " began ", into_block_ms, " ms ago; its first ", washout_ms,
             " ms are not analysed");
}

std::string Condition(const SnapshotData& data, const ConditionData& node, const Context& context,
                      Tri result) {
  const std::string_view verdict = result == Tri::kTrue    ? "holds: "
                                   : result == Tri::kFalse ? "fails: "
                                                           : "undecided: ";
  return Cat(verdict, Statement(data, node, context));
}

}  // namespace fulcrum::core::describe
