// SPDX-License-Identifier: Apache-2.0
//
// Notices that the project directory has changed. inotify tells at once; where there is none, or it
// is silent (network mounts, symbolic links that containers swap), a look at names, sizes, times
// and inodes of the YAML files five times a second tells as well. Which of the two it was makes no
// difference to what happens then.
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
  // Calls `changed` on the watcher's own thread once the directory is still after a change, so that
  // an editor's several writes are one change: no file is open for writing that was written to, and
  // nothing happened for some milliseconds; without inotify, two looks in a row saw the same.
  // `loaded` is the fingerprint of what is being served, taken before it was read.
  // `use_inotify` false is for tests of the other way.
  Watcher(std::string directory, uint64_t loaded, std::function<void()> changed,
          bool use_inotify = true);
  ~Watcher();

 private:
  void Run();

  const std::string directory_;
  const std::function<void()> changed_;
  const uint64_t loaded_;
  const bool use_inotify_;
  int wake_read_ = -1;  // A pipe: closing its other end ends the thread's wait.
  int wake_write_ = -1;
  std::thread thread_;
};

}  // namespace fulcrum::server
