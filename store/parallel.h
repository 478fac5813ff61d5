// SPDX-License-Identifier: Apache-2.0
//
// Work cut into parts that a few threads take one after another.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace fulcrum::store {

// Calls fn(part, lane) for every part in [0, parts), on at most `threads` threads; calls of one
// lane (0 <= lane < threads) never overlap. Returns when all are done. `fn` must not throw.
template <typename Fn>
void ForParts(int threads, size_t parts, const Fn& fn) {
  std::atomic<size_t> next{0};
  const auto work = [&](int lane) {
    for (size_t part = next++; part < parts; part = next++) fn(part, lane);
  };
  std::vector<std::thread> others;
  const int used = static_cast<int>(std::min<size_t>(static_cast<size_t>(threads), parts));
  for (int lane = 1; lane < used; ++lane) others.emplace_back(work, lane);
  work(0);
  for (std::thread& other : others) other.join();
}

// The same over [0, size) in ranges: fn(begin, end, lane).
template <typename Fn>
void ForRanges(int threads, size_t size, size_t range, const Fn& fn) {
  ForParts(threads, (size + range - 1) / range, [&](size_t part, int lane) {
    fn(part * range, std::min(size, (part + 1) * range), lane);
  });
}

}  // namespace fulcrum::store
