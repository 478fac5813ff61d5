// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/value.h"

// The content of a snapshot as plain structs: what experiments/compile fills in, what snapshot.h
// checks and builds from, and what goes over the wire (wire.h). References between parts are
// indices into the vectors of SnapshotData; -1 is "none". Nothing here is checked by itself:
// Validate() in validate.h states and checks every rule.
//
// Shares are parts per million (ppm) of kPpm buckets, so a decision needs no floating point.
namespace fulcrum::core {

inline constexpr uint32_t kPpm = 1'000'000;
inline constexpr int64_t kDistantPastMs = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kDistantFutureMs = std::numeric_limits<int64_t>::max();

enum class HashAlgorithm : uint8_t {
  kXxh3 = 0,  // XXH3-64 of the id, seeded by the salt's own XXH3-64
  kGrowthBookV2 =
      1  // fnv1a32(decimal(fnv1a32(salt + id))) % 10000; shares are multiples of 100 ppm
};

// ---- Conditions ---------------------------------------------------------------------------------

// A condition on an absent attribute is false, and its negation true: kNe is exactly not kEq, and
// kNotIn not kIn. A value that cannot be converted to the declared type makes the condition
// neither: all/any/not then follow Kleene's three-valued logic (false wins in `all`, true in
// `any`), and if the audience as a whole stays undecided the decision is Reason::kTypeMismatch.
enum class ConditionOp : uint8_t {
  kAll = 0,      // children; true when there are none
  kAny = 1,      // children; false when there are none
  kNot = 2,      // exactly one child
  kEq = 3,       // attribute, one operand (any type but float is exact; floats compare as doubles)
  kNe = 4,       // attribute, one operand
  kIn = 5,       // attribute, operands
  kNotIn = 6,    // attribute, operands
  kLt = 7,       // attribute (int, float, version, time), one operand
  kLe = 8,       // "
  kGt = 9,       // "
  kGe = 10,      // "
  kPrefix = 11,  // attribute (string), operands: any of them matches
  kSuffix = 12,  // "
  kContains = 13,    // "
  kPresent = 14,     // attribute
  kAbsent = 15,      // attribute
  kNowBefore = 16,   // one time operand: now_ms < operand
  kNowAfter = 17,    // one time operand: now_ms >= operand
  kPercentage = 18,  // unit_kind, salt, hash, ppm: a salted share of units
  kSegment = 19,     // ref: index of a segment
  kExperiment = 20,  // ref: index of an experiment, variants: the unit has one of these variants
};
inline constexpr int kConditionOpCount = 21;

// A constant of a condition, with the type of the attribute it is compared with.
struct Operand {
  AttributeType type = AttributeType::kBool;
  int64_t integer = 0;  // bool, int, time
  double real = 0;      // float
  std::string text;     // string, version

  static Operand Bool(bool value) { return {AttributeType::kBool, value ? 1 : 0, 0, {}}; }
  static Operand Int(int64_t value) { return {AttributeType::kInt, value, 0, {}}; }
  static Operand TimeMs(int64_t value) { return {AttributeType::kTimeMs, value, 0, {}}; }
  static Operand Float(double value) { return {AttributeType::kFloat, 0, value, {}}; }
  static Operand String(std::string v) { return {AttributeType::kString, 0, 0, std::move(v)}; }
  static Operand Version(std::string v) { return {AttributeType::kVersion, 0, 0, std::move(v)}; }
  bool operator==(const Operand&) const = default;
};

// One node of the shared pool SnapshotData::conditions. Only the fields its op names are used.
struct ConditionData {
  ConditionOp op = ConditionOp::kAll;
  int32_t attribute = -1;
  std::vector<Operand> operands;
  std::vector<int32_t> children;  // indices into the pool; the pool may share nodes, not loop
  int32_t ref = -1;
  std::vector<int32_t> variants;              // kExperiment
  int32_t unit_kind = -1;                     // kPercentage
  HashAlgorithm hash = HashAlgorithm::kXxh3;  // kPercentage
  std::string salt;                           // kPercentage
  uint32_t ppm = 0;                           // kPercentage
  bool operator==(const ConditionData&) const = default;
};

// ---- The project --------------------------------------------------------------------------------

struct AttributeData {
  std::string key;
  AttributeType type = AttributeType::kString;
  bool operator==(const AttributeData&) const = default;
};

struct SegmentData {
  std::string key;
  int32_t condition = -1;
  bool operator==(const SegmentData&) const = default;
};

// Experiments of one layer own disjoint ranges of its buckets, so no unit is in two of them.
struct LayerData {
  std::string key;
  std::string salt;
  HashAlgorithm hash = HashAlgorithm::kXxh3;
  int32_t unit_kind = 0;  // every experiment of the layer has this unit kind
  bool operator==(const LayerData&) const = default;
};

// Units kept out of its member experiments, to measure what they add up to. Buckets [0, held_ppm)
// are held out; with a comparison arm, [held_ppm, 2 held_ppm) is the equal-sized group that is
// treated like everyone else and that the holdout is compared with.
struct HoldoutData {
  std::string key;
  std::string salt;
  HashAlgorithm hash = HashAlgorithm::kXxh3;
  int32_t unit_kind = 0;
  int32_t layer = -1;  // -1: global, else only experiments of this layer may be members
  uint32_t held_ppm = 0;
  bool has_comparison = true;
  bool operator==(const HoldoutData&) const = default;
};

// ---- Experiments --------------------------------------------------------------------------------

enum class ExperimentStatus : uint8_t { kDraft = 0, kRunning = 1, kStopped = 2 };
enum class ParameterType : uint8_t { kBool = 0, kInt = 1, kFloat = 2, kString = 3, kObject = 4 };

// Half-open, in ppm buckets.
struct BucketRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  bool operator==(const BucketRange&) const = default;
};

struct VariantData {
  std::string key;
  std::string value;  // canonical JSON bytes of the experiment's value_type, opaque to core
  bool is_control = false;
  bool operator==(const VariantData&) const = default;
};

// Weights and traffic from start_ms until the next phase. A change of either is a new phase.
struct PhaseData {
  int64_t start_ms = kDistantPastMs;
  uint32_t traffic_ppm = kPpm;        // share of eligible units that is enrolled (the ramp)
  std::vector<uint32_t> weights_ppm;  // one per variant, sum kPpm; use WeightsToPpm (bucket.h)
  bool operator==(const PhaseData&) const = default;
};

struct PrerequisiteData {
  int32_t experiment = -1;
  std::vector<int32_t> variants;  // of that experiment; any of them satisfies
  bool operator==(const PrerequisiteData&) const = default;
};

struct UnitOverride {
  std::string unit_id;  // of the experiment's unit kind
  int32_t variant = -1;
  bool operator==(const UnitOverride&) const = default;
};

struct ConditionOverride {
  int32_t condition = -1;
  int32_t variant = -1;
  bool operator==(const ConditionOverride&) const = default;
};

// Time x region blocks: the unit is (region, block), block k is [start_ms + k block_ms, +
// block_ms). In the first washout_ms of a block its variant is served but must not be analysed.
struct SwitchbackData {
  int64_t block_ms = 0;  // 0: not a switchback
  int64_t washout_ms = 0;
  int32_t region_attribute = -1;  // -1: one region
  bool operator==(const SwitchbackData&) const = default;
};

struct ExperimentData {
  std::string key;
  std::string salt;  // kept when the key changes, so that a rename reshuffles nobody
  HashAlgorithm hash = HashAlgorithm::kXxh3;
  int32_t unit_kind = 0;
  int32_t cluster_attribute = -1;  // the unit is this attribute's value (city, store) instead
  SwitchbackData switchback;
  ExperimentStatus status = ExperimentStatus::kDraft;
  int64_t start_ms = kDistantPastMs;  // inclusive
  int64_t end_ms = kDistantFutureMs;  // exclusive
  int64_t stopped_at_ms = kDistantFutureMs;
  int32_t stop_variant = -1;  // served to everyone once stopped; -1: nobody gets a variant
  int64_t enrolment_closed_at_ms = kDistantFutureMs;
  bool is_sticky = false;
  int32_t layer = -1;
  std::vector<BucketRange> layer_ranges;  // ascending, disjoint; empty exactly if layer is -1
  std::vector<int32_t> holdouts;
  int32_t audience = -1;  // condition; -1: everyone
  std::vector<PrerequisiteData> prerequisites;
  std::vector<UnitOverride> unit_overrides;
  std::vector<ConditionOverride> condition_overrides;  // the first that holds wins
  std::vector<PhaseData> phases;                       // at least one, start_ms ascending
  ParameterType value_type = ParameterType::kString;
  std::vector<VariantData> variants;
  bool has_default = false;   // whether default_value is served to whoever gets no variant;
  std::string default_value;  // otherwise the application's own default is used
  bool operator==(const ExperimentData&) const = default;
};

struct SnapshotData {
  std::string version;     // names the definitions and controls it was compiled from
  int64_t created_ms = 0;  // UTC
  std::vector<std::string> unit_kinds;
  int32_t default_unit_kind = 0;
  std::vector<AttributeData> attributes;
  std::vector<ConditionData> conditions;
  std::vector<SegmentData> segments;
  std::vector<LayerData> layers;
  std::vector<HoldoutData> holdouts;
  std::vector<ExperimentData> experiments;
  bool operator==(const SnapshotData&) const = default;
};

}  // namespace fulcrum::core
