// SPDX-License-Identifier: Apache-2.0
//
// A thread for every admitted connection, started on demand and kept for the next one. Admission is
// decided at once: whoever cannot have a thread now is told so now. (A queue in front of threads
// that hold keep-alive connections is a queue that may never move.)
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace fulcrum::server {

// Thread-safe.
class ConnectionThreads {
 public:
  // `limit` is asked at each admission, since connections that wait for news do not count.
  explicit ConnectionThreads(std::function<int()> limit) : limit_(std::move(limit)) {}
  ~ConnectionThreads() { Join(); }

  // False, and `work` is left alone, when all are busy or no thread can be had.
  bool TryRun(std::function<void()>& work);

  // Waits until every piece of work is done; none is admitted from here on.
  void Join();

  int busy() const {
    MutexLock lock(&mutex_);
    return busy_;
  }

 private:
  void Loop();

  const std::function<int()> limit_;
  mutable Mutex mutex_;
  CondVar arrived_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;  // Threads without work and without a promise of it.
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;     // Admitted and not yet done.
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace fulcrum::server
