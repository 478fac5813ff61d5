// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/snapshot_data.h"

// What happened to experiments at run time, as opposed to what was designed. The log of records is
// append-only and audited (server/ is its only writer); Apply folds it, and Snapshot =
// compile(definitions, controls). A reload of definitions therefore cannot revive what was stopped.
namespace fulcrum::core {

enum class ControlKind : uint8_t {
  kStop = 0,            // from ts_ms; `variant` is served to everyone, or nobody if empty
  kResume = 1,          // an explicit, audited act; undoes kStop
  kHoldRamp = 2,        // no later ramp step begins until advanced or released
  kReleaseRamp = 3,     // the ramp goes on; the rest of it is late by the time it was held
  kAdvanceRamp = 4,     // ramp step `step` begins now
  kSetWeights = 5,      // a new phase with `weights`
  kCloseEnrolment = 6,  // for all arms at one instant; units with a prior keep their variant, so it
                        // is of use where the host keeps priors (the server: where it is sticky)
  kEdit = 7,            // another definition is served from here on: a new phase. `weights` are the
                        // designed ones before it, where it changed them
};
inline constexpr int kControlKindCount = 8;
std::string_view ControlKindName(ControlKind kind);  // "stop", "resume", "hold_ramp", ...
std::optional<ControlKind> ParseControlKind(std::string_view name);

struct ArmWeight {
  std::string variant;
  uint32_t weight_ppm = 0;
  uint32_t floor_ppm = 0;  // never less than this, whatever the weight says
  bool operator==(const ArmWeight&) const = default;
};

// One entry of the log. `seq` orders entries; kinds use the fields their comment names.
struct ControlRecord {
  uint64_t seq = 0;
  int64_t ts_ms = 0;
  std::string actor;  // key name or loop that wrote it
  ControlKind kind = ControlKind::kStop;
  std::string experiment;
  std::string reason;  // why, in the actor's words
  std::string variant;
  int32_t step = -1;
  std::vector<ArmWeight> weights;
  bool operator==(const ControlRecord&) const = default;
};

struct Stop {
  int64_t at_ms = 0;
  std::string reason;
  std::string actor;
  std::string variant;  // empty: none
  bool operator==(const Stop&) const = default;
};

struct RampControl {
  enum class Kind : uint8_t { kHold, kRelease, kAdvance };
  Kind kind = Kind::kHold;
  int64_t at_ms = 0;
  int32_t step = -1;  // kAdvance
  bool operator==(const RampControl&) const = default;
};

struct WeightControl {
  int64_t at_ms = 0;
  std::vector<ArmWeight> weights;
  bool operator==(const WeightControl&) const = default;
};

struct ExperimentControls {
  std::string experiment;
  std::optional<Stop> stop;
  std::vector<RampControl> ramp;       // in time order
  std::vector<WeightControl> weights;  // in time order
  std::vector<WeightControl> edits;    // in time order; `weights` of each held before it
  std::optional<int64_t> enrolment_closed_at_ms;
  bool operator==(const ExperimentControls&) const = default;
};

struct Controls {
  uint64_t last_seq = 0;
  std::vector<ExperimentControls> experiments;  // sorted by key

  const ExperimentControls* Find(std::string_view experiment) const;
  bool operator==(const Controls&) const = default;
};

// Folds a log, in order of seq whatever order it is given in. A repeated seq counts once.
Controls Apply(std::span<const ControlRecord> records);

// ---- From a designed ramp and its controls to phases --------------------------------------------

// A designed step: from at_ms (dated) or elapsed_ms after the experiment's start.
struct RampStep {
  enum class Kind : uint8_t { kDated, kElapsed };
  Kind kind = Kind::kElapsed;
  int64_t at_ms = 0;
  int64_t elapsed_ms = 0;
  uint32_t traffic_ppm = kPpm;
};

// The phases of an experiment that starts at start_ms with the given weights: one per ramp step
// (one of full traffic where there is none), per weight control and per edit, as held, advanced and
// re-weighted by `controls` (nullptr: none). `experiment` supplies variants, hash, start and
// is_sticky. nullopt with *error set only where the design itself is at fault (a ramp by elapsed
// time without a start).
//
// A definition may be edited after a control was written. A control that no longer fits it is told
// in *unfit, one sentence each, and never stands in the way of the rest:
//  - an advance beyond the last ramp step begins the last one; one to no step at all does nothing;
//  - weights (for a variant that is gone, without one that has come, or of an experiment that is no
//    longer sticky) leave the weights as they were. The phase begins all the same, so that the
//    numbers of the phases after it, which exposures carry, keep their meaning.
std::optional<std::vector<PhaseData>> BuildPhases(const ExperimentData& experiment,
                                                  const std::vector<uint32_t>& weights_ppm,
                                                  const std::vector<RampStep>& ramp,
                                                  const ExperimentControls* controls,
                                                  std::vector<std::string>* unfit,
                                                  std::string* error);

// Folds `controls` into an experiment already filled in by its definition: stop, enrolment, and
// (through BuildPhases) phases. A stop with a variant that is gone serves nobody, and is told in
// *unfit. False with *error set as BuildPhases; the stop and the enrolment are folded even then.
bool FoldControls(const ExperimentControls* controls, const std::vector<uint32_t>& weights_ppm,
                  const std::vector<RampStep>& ramp, ExperimentData* experiment,
                  std::vector<std::string>* unfit, std::string* error);

}  // namespace fulcrum::core
