// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/snapshot.h"
#include "sdk/cpp/arms.h"

namespace fulcrum::sdk {

// A snapshot with what the client looks up for each decision. Immutable.
struct Ready {
  std::shared_ptr<const core::Snapshot> snapshot;
  std::vector<std::vector<Arm*>> arms;  // by experiment and variant; of the client's ArmTable
  // By experiment: the sticky experiments whose prior variant its decision may depend on, itself
  // and what its conditions and prerequisites name.
  std::vector<std::vector<int32_t>> sticky;
};

// `arms` is guarded by the client's mutex, which the caller holds.
std::shared_ptr<const Ready> MakeReady(std::shared_ptr<const core::Snapshot> snapshot,
                                       ArmTable* arms);

// The current Ready. Reading it costs one atomic load: each thread keeps a pointer of its own,
// which also keeps the snapshot alive that this thread used last.
class ReadyCell {
 public:
  ReadyCell();
  // nullptr before the first Set. Valid until this thread's next call on any ReadyCell.
  const std::shared_ptr<const Ready>& Get() const;
  void Set(std::shared_ptr<const Ready> ready);
  // Without this thread's own pointer, under the cell's lock.
  std::shared_ptr<const Ready> Copy() const;
  // Held over a fork; WhileLocked is for whoever holds it.
  std::mutex& mutex() const { return mutex_; }
  const std::shared_ptr<const Ready>& WhileLocked() const { return ready_; }

 private:
  const uint64_t serial_;  // of this cell, never used again
  mutable std::mutex mutex_;
  std::shared_ptr<const Ready> ready_;   // guarded by mutex_
  std::atomic<uint64_t> generation_{0};  // of ready_
};

// The last good snapshot on disk: a whole file or none, by writing beside it and renaming.
// False with a sentence in *error.
bool SaveSnapshot(const std::string& directory, std::string_view bytes, std::string* error);
// nullptr where there is none (*error is empty) or it is refused (*error says why).
std::shared_ptr<const core::Snapshot> LoadSnapshot(const std::string& directory,
                                                   std::string* error);

}  // namespace fulcrum::sdk
