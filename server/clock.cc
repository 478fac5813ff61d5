// SPDX-License-Identifier: Apache-2.0
#include "server/clock.h"

#include "base/time.h"

namespace fulcrum::server {

int64_t SystemClock::NowMs() const { return WallClockMs(); }

bool SimulatedClock::SetMs(int64_t now_ms) {
  int64_t before = now_ms_.load(std::memory_order_acquire);
  while (before < now_ms) {
    if (now_ms_.compare_exchange_weak(before, now_ms, std::memory_order_acq_rel)) return true;
  }
  return before == now_ms;
}

}  // namespace fulcrum::server
