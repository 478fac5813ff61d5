// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/snapshot.h"

// Start here to ask for a variant. Deciding is a pure function of snapshot, experiment and context:
// no clock, no randomness, no I/O, no locks, and no allocation. It never fails and never logs; the
// caller records an exposure when the variant is shown.
//
// Rules, in this order; the first that answers decides:
//   1. unknown experiment                      -> kUnknownExperiment
//   2. stopped                                 -> kStopped (with stop_variant, if one is served)
//   3. override by unit id, then by condition  -> kOverride (drafts too: testers look first)
//   4. draft, before start, after end          -> kDraft, kNotStarted, kEnded
//   5. no unit id (or an empty one)            -> kNoUnit
//   6. sticky (or enrolment closed) with prior -> kSticky
//   7. enrolment closed                        -> kEnrolmentClosed
//   8. holdouts                                -> kHoldout
//   9. layer range                             -> kLayerExcluded
//  10. prerequisites                           -> kPrerequisiteFailed
//  11. audience                                -> kAudienceMismatch, kTypeMismatch, kNoUnit
//  12. traffic of the current phase            -> kNotInTraffic
//  13. variant by weight                       -> kAssigned, kSingleArm, kWashout
namespace fulcrum::core {

enum class Reason : uint8_t {
  kAssigned = 0,
  kSingleArm = 1,  // one variant has all the weight: nothing was drawn
  kSticky = 2,
  kOverride = 3,
  kWashout = 4,  // switchback: the block's variant, not to be analysed
  kStopped = 5,
  kDraft = 6,
  kNotStarted = 7,
  kEnded = 8,
  kNoUnit = 9,
  kEnrolmentClosed = 10,
  kHoldout = 11,
  kLayerExcluded = 12,
  kPrerequisiteFailed = 13,
  kAudienceMismatch = 14,
  kNotInTraffic = 15,
  kTypeMismatch = 16,
  kUnknownExperiment = 17,
};
inline constexpr int kReasonCount = 18;

// "assigned", "single_arm", ...: stable, for logs and metadata.
std::string_view ReasonName(Reason reason);

// OFREP's reasons. `has_variant` matters for kStopped only.
enum class OfrepReason : uint8_t {
  kStatic,
  kTargetingMatch,
  kSplit,
  kDisabled,
  kDefault,
  kUnknown
};
OfrepReason ToOfrepReason(Reason reason, bool has_variant);
std::string_view OfrepReasonName(OfrepReason reason);  // "STATIC", "TARGETING_MATCH", ...

struct Decision {
  int32_t variant = -1;  // index into ExperimentData::variants; -1: none, use the default
  Reason reason = Reason::kUnknownExperiment;
  int32_t phase = -1;           // index into ExperimentData::phases
  uint32_t propensity_ppm = 0;  // probability of this variant for an enrolled unit, 0 if none drawn
  int32_t detail = -1;          // index of the holdout, prerequisite (of its experiment), condition
                                // override or mismatched attribute that decided
  int64_t block = -1;           // switchback: number of the time block

  constexpr bool has_variant() const { return variant >= 0; }
  constexpr bool is_override() const { return reason == Reason::kOverride; }
  // Whether an exposure to this variant belongs in the analysis.
  constexpr bool is_enrolled() const {
    return reason == Reason::kAssigned || reason == Reason::kSingleArm || reason == Reason::kSticky;
  }
  constexpr double propensity() const { return static_cast<double>(propensity_ppm) / kPpm; }
  bool operator==(const Decision&) const = default;
};

Decision Decide(const Snapshot& snapshot, ExperimentHandle experiment, const Context& context);

// One rule that was looked at, in words.
struct TraceStep {
  std::string experiment;  // whose rule it is (a prerequisite's rules are told too)
  std::string rule;        // "holdout", "layer", "audience", "traffic", "variant", ...
  bool passed = false;     // whether evaluation went on (or, for a condition, whether it holds)
  std::string detail;      // "bucket 412803 of 1000000, in [400000, 700000)"
  int depth = 0;           // nesting of conditions
};

struct Trace {
  std::vector<TraceStep> steps;
};

// The same evaluation as Decide, by the same code, that also tells every rule it looked at.
Decision Explain(const Snapshot& snapshot, ExperimentHandle experiment, const Context& context,
                 Trace* trace);

// Where the context's unit falls in a holdout, to compare the two groups.
enum class HoldoutArm : uint8_t { kNone = 0, kHeld = 1, kComparison = 2 };
HoldoutArm HoldoutArmOf(const Snapshot& snapshot, int32_t holdout, const Context& context);

// The id that the experiment hashes for this context: the one to log exposures under, so that the
// analysis unit is the randomisation unit. Empty where the context has none. A switchback's unit
// is its region (the block is Decision::block). `buffer` is used where the id is not a text.
struct UnitBuffer {
  char bytes[24];
};
std::string_view UnitIdOf(const Snapshot& snapshot, ExperimentHandle experiment,
                          const Context& context, UnitBuffer* buffer);

}  // namespace fulcrum::core
