// SPDX-License-Identifier: Apache-2.0
//
// What /metrics tells, in Prometheus text format 0.0.4.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "core/decide.h"
#include "server/routes.h"
#include "store/store.h"

namespace fulcrum::server {

enum class ItemKind : uint8_t { kExposure, kEvent, kLink, kClientCounts };
inline constexpr int kItemKindCount = 4;
enum class ItemOutcome : uint8_t { kAccepted, kDuplicate, kRejected };
inline constexpr int kItemOutcomeCount = 3;

// Thread-safe and lock-free: relaxed counters, summed up by whoever reads them. Plain arrays and
// not a registry of named metrics, because a request counts in several and must not wait for any.
class Metrics {
 public:
  void CountRequest(Route route, int status, int64_t elapsed_us);
  void CountEvaluation(core::Reason reason) { Add(&evaluations_[static_cast<size_t>(reason)], 1); }
  void CountItems(ItemKind kind, ItemOutcome outcome, int64_t n) {
    Add(&items_[static_cast<size_t>(kind)][static_cast<size_t>(outcome)], n);
  }
  void CountReload(bool ok) { Add(ok ? &reloads_ok_ : &reloads_refused_, 1); }
  void CountRefusedConnection() { Add(&connections_refused_, 1); }
  void CountRateLimited() { Add(&rate_limited_, 1); }
  void SetConnections(int64_t open) { connections_.store(open, std::memory_order_relaxed); }
  int64_t reloads_refused() const { return reloads_refused_.load(std::memory_order_relaxed); }

  struct Gauges {
    std::string snapshot_version;
    int64_t experiments = 0;
    int64_t snapshot_created_ms = 0;
    int64_t long_polls = 0;
    bool last_reload_ok = true;
    store::StoreStats store;
  };
  std::string Text(const Gauges& gauges) const;

 private:
  using Counter = std::atomic<int64_t>;
  static void Add(Counter* counter, int64_t n) { counter->fetch_add(n, std::memory_order_relaxed); }

  static constexpr std::array<int, 15> kStatuses = {200, 202, 204, 304, 400, 401, 403, 404,
                                                    405, 409, 413, 415, 429, 500, 503};
  // Upper bounds in microseconds; the last one is everything.
  static constexpr std::array<int64_t, 12> kBoundsUs = {
      100, 250, 500, 1'000, 2'500, 5'000, 10'000, 25'000, 50'000, 100'000, 500'000, 2'500'000};
  struct RouteCounters {
    std::array<Counter, kStatuses.size()> by_status{};
    std::array<Counter, kBoundsUs.size() + 1> by_time{};
    Counter total_us{0};
  };

  std::array<RouteCounters, kRouteCount> routes_{};
  std::array<Counter, core::kReasonCount> evaluations_{};
  std::array<std::array<Counter, kItemOutcomeCount>, kItemKindCount> items_{};
  Counter reloads_ok_{0};
  Counter reloads_refused_{0};
  Counter connections_refused_{0};
  Counter rate_limited_{0};
  Counter connections_{0};
};

}  // namespace fulcrum::server
