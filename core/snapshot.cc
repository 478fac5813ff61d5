// SPDX-License-Identifier: Apache-2.0
#include "core/snapshot.h"

#include <optional>
#include <utility>

#include "core/compiled.h"
#include "core/hash.h"
#include "core/validate.h"
#include "core/wire.h"

namespace fulcrum::core {

Snapshot::Snapshot() : compiled_(std::make_unique<CompiledSnapshot>()) {}
Snapshot::~Snapshot() = default;

std::unique_ptr<const Snapshot> Snapshot::Make(SnapshotData data, BuildError* error) {
  if (!Validate(data, error)) return nullptr;
  std::unique_ptr<Snapshot> snapshot(new Snapshot());
  snapshot->compiled_->data = std::move(data);
  Compile(snapshot->compiled_.get());
  return snapshot;
}

std::unique_ptr<const Snapshot> Snapshot::FromBytes(std::string_view bytes, BuildError* error) {
  std::optional<SnapshotData> data = Decode(bytes, error);
  if (!data.has_value()) return nullptr;
  return Make(*std::move(data), error);
}

ExperimentHandle Snapshot::Find(std::string_view key) const {
  const CompiledSnapshot& compiled = *compiled_;
  const uint64_t hash = Xxh3(key);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (uint64_t i = hash & compiled.slot_mask;; i = (i + 1) & compiled.slot_mask) {
    const KeySlot& slot = compiled.slots[i];
    if (slot.experiment == -1) return {};
    if (slot.tag != tag) continue;
    const CompiledExperiment& experiment =
        compiled.experiments[static_cast<size_t>(slot.experiment)];
    Prefetch(&experiment);
    Prefetch(&experiment.last_phase);
    if (std::string_view(compiled.key_bytes.data() + slot.key.first, slot.key.count) == key) {
      return {slot.experiment};
    }
  }
}

int32_t Snapshot::experiment_count() const {
  return static_cast<int32_t>(compiled_->data.experiments.size());
}

const ExperimentData& Snapshot::experiment(ExperimentHandle handle) const& {
  return compiled_->data.experiments[static_cast<size_t>(handle.index)];
}

const SnapshotData& Snapshot::data() const& { return compiled_->data; }

std::string_view Snapshot::version() const& { return compiled_->data.version; }

}  // namespace fulcrum::core
