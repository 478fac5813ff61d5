// SPDX-License-Identifier: Apache-2.0
#include "server/connection_threads.h"

#include <system_error>

namespace fulcrum::server {

bool ConnectionThreads::TryRun(std::function<void()>& work) {
  const int limit = limit_();
  MutexLock lock(&mutex_);
  if (stop_ || busy_ >= limit) return false;
  if (waiting_ > 0) {
    --waiting_;  // Promised: the next arrival must not count on the same thread.
  } else {
    try {
      threads_.emplace_back([this] { Loop(); });
    } catch (const std::system_error&) {
      return false;  // The system has no thread to give: the same as being full.
    }
  }
  ++busy_;
  work_.push_back(std::move(work));
  arrived_.Signal();
  return true;
}

void ConnectionThreads::Loop() {
  for (;;) {
    std::function<void()> work;
    {
      MutexLock lock(&mutex_);
      while (work_.empty() && !stop_) arrived_.Wait(&mutex_);
      if (work_.empty()) return;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
    work = nullptr;
    MutexLock lock(&mutex_);
    --busy_;
    ++waiting_;
  }
}

void ConnectionThreads::Join() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(&mutex_);
    stop_ = true;
    threads.swap(threads_);
  }
  arrived_.SignalAll();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace fulcrum::server
