// SPDX-License-Identifier: Apache-2.0
//
// Before an edit goes live: who would change variant, and which edits are unsafe mid-flight.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/controls.h"
#include "experiments/definition.h"
#include "experiments/load.h"

namespace fulcrum::experiments {

enum class EditClass {
  kSafe,           // No analysed unit changes variant or leaves: it only widens, or assigns nobody.
  kNeedsNewPhase,  // Units keep their variant (sticky), but what is compared changes: analyse by
                   // phase.
  kUnsafe,  // Analysed units would change variant or leave, or the arms would mix treatments.
};
const char* EditClassName(EditClass edit_class);  // "safe", "needs a new phase", "unsafe"

struct Edit {
  std::string experiment;  // "" for an edit of the project.
  std::string what;        // "salt", "variants.one-page.weight", "layers.checkout.salt" …
  std::string before;      // For people; "" = absent.
  std::string after;
  EditClass edit_class = EditClass::kSafe;
  std::string reason;  // One sentence: why it is in that class, and what to do instead.
  Position pos;        // In the new definitions (in the old ones where it was removed).
};

// The share, of all units, of those that had `from` and would have `to` ("" = no variant).
struct Move {
  std::string experiment;
  std::string from;
  std::string to;
  double share = 0;  // In (0, 1].
};

struct DiffReport {
  std::vector<Edit> edits;           // By experiment, in the order of the new definitions.
  std::vector<Move> moves;           // from != to, largest share first within an experiment.
  std::vector<std::string> running;  // Experiments that ran before the edit.

  bool unsafe() const;
};

// `now_ms` says where ramps are, and which experiments have begun and not ended; without it they
// are compared at their last step, and whatever has status `running` counts as running. `controls`
// (nullptr: none) are what was done at run time: an experiment that was stopped is not running.
// Shares are exact: bucket ranges intersected, not sampled. They are of units that both audiences
// accept; what an edited audience does is told by its edit, since its effect depends on who comes.
// Edits of what is not running are safe. REQUIRES: both passed Validate() in project mode.
absl::StatusOr<DiffReport> Diff(const Definitions& before, const Definitions& after,
                                std::optional<int64_t> now_ms = std::nullopt,
                                const core::Controls* controls = nullptr);

// An error for each unsafe edit, at its place: "shop/experiments/x.yaml:5:1: error: unsafe while
// 'x' runs: salt: …". Empty where there is none.
std::vector<Diagnostic> UnsafeEdits(const DiffReport& report);

// Running experiments that begin a new phase with this edit (weights, traffic, audience or a value
// changed, or the edit is unsafe): for each, core::ControlKind::kEdit records without seq, ts_ms
// and actor, with what was edited as their reason and the weights that held before.
std::vector<core::ControlRecord> PhasesBegun(const Definitions& before, const DiffReport& report);

}  // namespace fulcrum::experiments
