// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/hash.h"
#include "core/snapshot_data.h"

// The form the evaluator reads: small fixed-size records that refer to slices of shared pools, so
// that a decision touches few cache lines and never follows a vector of vectors. Internal to core/.
namespace fulcrum::core {

// A slice of a pool.
struct Slice {
  uint32_t first = 0;
  uint32_t count = 0;
};

// 24 bytes. Numbers in `integer` (bool, int, time) or `real`; text in `text`.
struct CompiledOperand {
  union {
    int64_t integer = 0;
    double real;
  };
  std::string_view text;
};

// 32 bytes. A single operand is held inline, short texts with it, so that a comparison reads one
// cache line besides the context.
struct CompiledCondition {
  static constexpr uint32_t kInlineBytes = 16;

  ConditionOp op = ConditionOp::kAll;
  AttributeType type = AttributeType::kBool;  // of the attribute
  HashAlgorithm hash = HashAlgorithm::kXxh3;
  // kIn, kNotIn: operands may be searched by bisection. kAll, kAny: the children are the nodes
  // [slice.first, + count) themselves rather than a slice of `children`.
  bool is_direct = false;
  int32_t ref = -1;  // attribute, segment's condition, experiment or unit kind, by op
  Slice slice;       // of operands, children or variants, by op; kPercentage: {salt, ppm};
                     // a single text: {unused, its length}
  union {
    char bytes[kInlineBytes] = {};
    const char* data;  // a longer text
    int64_t integer;   // bool, int, time
    double real;
  };

  std::string_view text() const {
    return {slice.count <= kInlineBytes ? bytes : data, slice.count};
  }
  static constexpr bool HasSingleOperand(ConditionOp op) {
    return op == ConditionOp::kEq || op == ConditionOp::kNe ||
           (op >= ConditionOp::kLt && op <= ConditionOp::kGe);
  }
};
static_assert(sizeof(CompiledCondition) == 32);

struct CompiledPhase {
  int64_t start_ms = 0;
  uint32_t traffic_ppm = 0;
  uint32_t first_range = 0;  // variant_ranges[first_range + variant]
  int32_t single_arm = -1;   // the variant that has all the weight
};

struct CompiledLayer {
  SaltState salt;
  HashAlgorithm hash = HashAlgorithm::kXxh3;
};

struct CompiledHoldout {
  SaltState salt;
  HashAlgorithm hash = HashAlgorithm::kXxh3;
  int32_t unit_kind = 0;
  uint32_t held_ppm = 0;
  bool has_comparison = false;
};

struct CompiledPrerequisite {
  int32_t experiment = -1;
  Slice variants;  // of variant_refs
};

// What every decision reads: two cache lines. The only phase, or the last one, is held inline, with
// its variants' ranges where there are few.
struct alignas(64) CompiledExperiment {
  // What only some experiments have, so that the common path tests it once. Their data is in
  // CompiledExtras.
  enum Feature : uint8_t {
    kUnitOverrides = 1,
    kConditionOverrides = 2,
    kHoldouts = 4,
    kPrerequisites = 8,
    kCluster = 16,
    kSwitchback = 32,
    kKeepsPrior = 64,  // sticky, or enrolment closes at some time
  };
  static constexpr uint32_t kInlineRanges = 4;

  SaltState salt;
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  int64_t stopped_at_ms = 0;  // kDistantPastMs where the status is stopped
  HashAlgorithm hash = HashAlgorithm::kXxh3;
  uint8_t features = 0;
  bool is_draft = false;
  bool is_sticky = false;
  int32_t unit_kind = 0;
  int32_t audience = -1;
  int32_t layer = -1;
  uint32_t variant_count = 0;
  Slice phases;
  CompiledPhase last_phase;
  BucketRange ranges[kInlineRanges];  // of last_phase, where variant_count <= kInlineRanges
};
static_assert(sizeof(CompiledExperiment) == 128);

// The rest, one per experiment.
struct CompiledExtras {
  int64_t enrolment_closed_at_ms = 0;
  int32_t stop_variant = -1;
  int32_t unit_attribute = -1;  // cluster or region
  int64_t block_ms = 0;
  int64_t washout_ms = 0;
  Slice layer_ranges;
  Slice unit_overrides;
  Slice condition_overrides;
  Slice holdouts;
  Slice prerequisites;
};

// Sorted by hash, then id.
struct CompiledUnitOverride {
  uint64_t hash = 0;
  std::string_view unit_id;
  int32_t variant = -1;
};

struct KeySlot {
  uint32_t tag = 0;  // high bits of the key's hash, to skip most comparisons
  int32_t experiment = -1;
  Slice key;  // of key_bytes
};

struct CompiledSnapshot {
  SnapshotData data;  // owns every text; not changed after Make

  std::vector<KeySlot> slots;  // open addressing, a power of two, at most half full
  uint64_t slot_mask = 0;
  std::vector<CompiledExperiment> experiments;
  std::vector<CompiledExtras> extras;
  std::string key_bytes;  // all keys, one after the other
  std::vector<CompiledPhase> phases;
  std::vector<BucketRange> variant_ranges;
  std::vector<BucketRange> layer_ranges;
  std::vector<CompiledCondition> conditions;  // as numbered in SnapshotData
  std::vector<CompiledOperand> operands;
  std::vector<int32_t> children;
  std::vector<int32_t> variant_refs;
  std::vector<SaltState> percentage_salts;
  std::vector<CompiledLayer> layers;
  std::vector<CompiledHoldout> holdouts;
  std::vector<int32_t> holdout_refs;
  std::vector<CompiledPrerequisite> prerequisites;
  std::vector<CompiledUnitOverride> unit_overrides;
  std::vector<ConditionOverride> condition_overrides;
  std::vector<std::string_view> attribute_keys;
  std::vector<AttributeType> attribute_types;
  std::vector<std::string_view> unit_kinds;
  int32_t default_unit_kind = 0;
};

// Starts to load what a decision is about to read, while it still computes something else.
inline void Prefetch(const void* address) { __builtin_prefetch(address); }

// Fills the compiled form from `compiled->data`. REQUIRES: Validate(data).
void Compile(CompiledSnapshot* compiled);

// How operands of kIn are ordered where they are sorted: texts by length, then bytes.
bool TextLess(std::string_view a, std::string_view b);

}  // namespace fulcrum::core
