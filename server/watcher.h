// SPDX-License-Identifier: Apache-2.0
//
// Notices that the project directory has changed. It compares names, sizes, times and inodes of the
// YAML files five times a second: the same on every file system (network mounts and the symbolic
// links that containers swap give no inotify events), and cheap at this size.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "base/mutex.h"

namespace fulcrum::server {

// A number that differs when what is on disk differs; 0 when the directory cannot be read.
uint64_t ProjectFingerprint(const std::string& directory);

// Thread-safe.
class Watcher {
 public:
  // Calls `changed` on the watcher's own thread, once the directory has been still for one look
  // after a change, so that an editor's several writes are one change.
  // `loaded` is the fingerprint of what is being served, taken before it was read.
  Watcher(std::string directory, uint64_t loaded, std::function<void()> changed);
  ~Watcher();

 private:
  void Run();

  const std::string directory_;
  const std::function<void()> changed_;
  const uint64_t loaded_;
  Mutex mutex_;
  CondVar stopping_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace fulcrum::server
