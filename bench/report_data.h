// SPDX-License-Identifier: Apache-2.0
//
// The data and the yardstick of report_bench: a shop's events in the store's own tables, the loop
// that a person would write by hand for them, and what every way of computing must agree on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/duckdb_api.h"

namespace fulcrum::bench {

inline constexpr int64_t kStartMs = 1'770'000'000'000;
inline constexpr int64_t kDayMs = 86'400'000;
inline constexpr int64_t kWindowMs = 7 * kDayMs;
inline constexpr double kCap = 400;
inline constexpr int kArms = 2;

// Per arm.
struct Answer {
  double n[kArms] = {};
  double mean[kArms][5] = {};           // browse, order, pay, revenue, orders
  double revenue_x_orders[kArms] = {};  // Centred sum of products.
  double median_ms[kArms] = {};         // Time to pay among those who did, within the window.
};

[[noreturn]] void Die(const std::string& message);
void Must(const absl::Status& status);
template <typename T>
T Must(absl::StatusOr<T> value) {
  Must(value.status());
  return *std::move(value);
}

store::duckdb::Database OpenDatabase(const std::string& path, int threads = 2);

// What of the shop's 23 days is in the file. Every unit is shown in the first 14 days.
enum class Extent {
  kAll,      // All of it: N exposed units and 5 N events.
  kRunning,  // Up to the last exposure, without the last 1% of the events (and the exposures of
             // that time), which are in tables beside: AddRest moves them in.
};

// Fills the store's tables directly, as a loader would after the events arrived in time order;
// `by_unit` lays the events in order of units instead, to see what that would give.
void Generate(const std::string& path, int64_t units, Extent extent, bool by_unit = false);
int64_t AddRest(const std::string& path);  // Returns the number of events.
// As CSV for another database: exposures(unit, variant, ts), events(unit, name, ts, value).
void ExportCsv(const std::string& path, const std::string& directory);

// --- The floor: arrays in memory, sorted by unit, one loop on two threads -----------------------

struct Arrays {
  std::vector<int64_t> clock_ms;
  std::vector<uint8_t> arm;
  std::vector<uint32_t> first;  // Of unit u's events; one more at the end.
  std::vector<int64_t> ts_ms;
  std::vector<uint8_t> name;
  std::vector<double> value;
};
Arrays LoadArrays(const std::string& path);
Answer RunFloor(const Arrays& arrays);

}  // namespace fulcrum::bench
