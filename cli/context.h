// SPDX-License-Identifier: Apache-2.0
//
// An evaluation context from the command line, owning what core::Context only views.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/context.h"
#include "core/controls.h"
#include "core/snapshot.h"
#include "experiments/definition.h"

namespace fulcrum::cli {

class OwnedContext {
 public:
  // An OFREP context object: {"targetingKey": "u1", "channel": "search", "now": "2026-…"}. A unit
  // of another kind than the project's default is "device": "d9", or goes in "units"; `now` is when
  // to decide; "priors": {"experiment": "variant"} are what the unit was given before.
  static absl::StatusOr<OwnedContext> FromJson(std::string_view json,
                                               const core::SnapshotData& snapshot);

  // Unless the context says itself what the unit was given there.
  void AddPrior(std::string_view experiment, std::string_view variant, int32_t phase);

  // Valid until this changes.
  core::Context View() const&;

 private:
  std::string_view Keep(std::string_view text);

  std::string targeting_key_;
  std::deque<std::string> texts_;  // A deque: views into it survive growth (and moves).
  std::vector<core::UnitId> units_;
  std::vector<core::Attribute> attributes_;
  std::vector<core::Prior> priors_;
  int64_t now_ms_ = 0;
};

// The snapshot of a project directory; without controls, what the files alone say.
absl::StatusOr<std::unique_ptr<const core::Snapshot>> CompileProject(
    const experiments::Definitions& definitions, const core::Controls& controls = {});

// The handle, or NotFound naming the experiments there are.
absl::StatusOr<core::ExperimentHandle> FindHandle(const experiments::Definitions& definitions,
                                                  const core::Snapshot& snapshot,
                                                  const std::string& experiment);

}  // namespace fulcrum::cli
