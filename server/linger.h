// SPDX-License-Identifier: Apache-2.0
//
// Closing without losing the answer. A socket that is closed while bytes from its peer are unread
// resets the connection, and the peer may never see what was sent last (a 503, a 413). So the
// sending side is shut, and one thread reads and drops what still comes, for a moment.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace fulcrum::server {

// Thread-safe.
class Linger {
 public:
  Linger();
  ~Linger();  // Closes what is left.

  // Takes the descriptor, never blocks. When very many linger already it is closed at once.
  void Close(int fd);

 private:
  struct Socket {
    int fd;
    int64_t deadline_ms;
  };
  void Run();

  Mutex mutex_;
  std::vector<Socket> arrivals_ ABSL_GUARDED_BY(mutex_);
  int lingering_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int wake_read_ = -1;
  int wake_write_ = -1;
  std::thread thread_;
};

}  // namespace fulcrum::server
