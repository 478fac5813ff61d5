// SPDX-License-Identifier: Apache-2.0
//
// What the loader remembers of rows it has loaded: which exposures were first, which ids it saw.
// Both are bounded; what happens when something was forgotten is said at each class.
#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "store/duckdb_api.h"
#include "store/generations.h"

namespace fulcrum::store {

// Which exposures belong into first_exposures. Forgetting is harmless: the row is put there once
// more, and readers take the minimum. Not thread-safe.
class FirstExposures {
 public:
  explicit FirstExposures(int64_t max_entries) : max_entries_(max_entries), first_(max_entries) {}

  absl::Status Load(duckdb::Connection* connection);
  // True when no row received by `received_ms` of this unit in this variant has an earlier ts.
  bool IsFirst(int32_t experiment, int32_t variant, int32_t kind, int32_t unit, int64_t ts_ms,
               int64_t received_ms);
  void Committed() { first_.MaybeForget(); }

 private:
  uint64_t KeyOf(int32_t experiment, int32_t variant, int32_t kind, int32_t unit);

  const int64_t max_entries_;
  absl::flat_hash_map<std::tuple<int32_t, int32_t, int32_t>, uint32_t> arms_;
  Generations<absl::flat_hash_map<uint64_t, int64_t>> first_;  // (arm, unit) -> earliest ts_ms.
  int64_t latest_received_ms_ = INT64_MIN;
};

// Ids of events and exposures, to leave out those that come again. It holds at least the newest
// max_entries / 2 ids; an id that comes again after so many others is loaded again. One id in
// 10^12 is wrongly taken for seen (64-bit hashes). Not thread-safe.
class RecentIds {
 public:
  explicit RecentIds(int64_t max_entries) : max_entries_(max_entries), seen_(max_entries) {}

  absl::Status Load(duckdb::Connection* connection);
  static uint64_t HashOf(int scope, std::string_view id);
  // False when it was there.
  bool Add(uint64_t hash);
  void Committed() { seen_.MaybeForget(); }

 private:
  const int64_t max_entries_;
  Generations<absl::flat_hash_set<uint64_t>> seen_;
};

}  // namespace fulcrum::store
