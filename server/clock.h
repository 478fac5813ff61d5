// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace fulcrum::server {

// What time it is for decisions (ramps, schedules), for what is received and for reports.
// Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t NowMs() const = 0;  // UTC Unix milliseconds.
  // Simulated clocks only; false where the clock cannot be set (or would go back).
  virtual bool SetMs(int64_t) { return false; }
  virtual bool simulated() const { return false; }
};

class SystemClock : public Clock {
 public:
  int64_t NowMs() const override;
};

// Stands still until it is set; never goes back, so that what was received stays in order.
class SimulatedClock : public Clock {
 public:
  explicit SimulatedClock(int64_t now_ms) : now_ms_(now_ms) {}
  int64_t NowMs() const override { return now_ms_.load(std::memory_order_acquire); }
  bool SetMs(int64_t now_ms) override;
  bool simulated() const override { return true; }

 private:
  std::atomic<int64_t> now_ms_;
};

}  // namespace fulcrum::server
