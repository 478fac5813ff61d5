// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/snapshot_data.h"

// Start here: a Snapshot is everything needed to decide, immutable and ready for core/decide.h.
//
//   core::BuildError error;
//   std::unique_ptr<const core::Snapshot> snapshot = core::Snapshot::Make(std::move(data), &error);
//   if (snapshot == nullptr) return error.message;  // what is wrong, and where
//   core::Decision d = core::Decide(*snapshot, snapshot->Find("one-page-checkout"), context);
namespace fulcrum::core {

// Why content was refused, as one sentence that names the part ("experiment 'x': ...").
struct BuildError {
  std::string message;
};

// Names an experiment of one snapshot; means nothing in another one.
struct ExperimentHandle {
  int32_t index = -1;
  constexpr explicit operator bool() const { return index >= 0; }
  constexpr bool operator==(const ExperimentHandle&) const = default;
};

struct CompiledSnapshot;  // core/compiled.h; the evaluator's flat form

// Thread-safe: immutable after Make, so any number of threads may read it without locks; share it
// by std::shared_ptr and replace the pointer. Accessors hand out views into the snapshot and
// cannot be called on a temporary.
class Snapshot {
 public:
  // nullptr with *error set where `data` breaks a rule of Validate() (validate.h).
  static std::unique_ptr<const Snapshot> Make(SnapshotData data, BuildError* error);
  // Make(Decode(bytes)): for bytes from outside, see wire.h.
  static std::unique_ptr<const Snapshot> FromBytes(std::string_view bytes, BuildError* error);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // One hash, no allocation; a false handle where there is no such experiment.
  ExperimentHandle Find(std::string_view key) const;

  // Experiments in the order of SnapshotData, handles {0} .. {experiment_count() - 1}.
  int32_t experiment_count() const;
  const ExperimentData& experiment(ExperimentHandle handle) const&;
  const ExperimentData& experiment(ExperimentHandle handle) const&& = delete;

  const SnapshotData& data() const&;
  const SnapshotData& data() const&& = delete;
  std::string_view version() const&;
  std::string_view version() const&& = delete;

  // For the evaluator only.
  const CompiledSnapshot& compiled() const& { return *compiled_; }
  const CompiledSnapshot& compiled() const&& = delete;

 private:
  Snapshot();
  std::unique_ptr<CompiledSnapshot> compiled_;
};

}  // namespace fulcrum::core
