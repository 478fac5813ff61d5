// SPDX-License-Identifier: Apache-2.0
#include "store/recent.h"

#include <algorithm>

#include "base/status.h"
#include "core/hash.h"

namespace fulcrum::store {

uint64_t FirstExposures::KeyOf(int32_t experiment, int32_t variant, int32_t kind, int32_t unit) {
  const auto next = static_cast<uint32_t>(arms_.size());
  const uint32_t arm = arms_.try_emplace({experiment, variant, kind}, next).first->second;
  return (static_cast<uint64_t>(arm) << 32) | static_cast<uint32_t>(unit);
}

absl::Status FirstExposures::Load(duckdb::Connection* connection) {
  first_.Clear();
  arms_.clear();
  FULCRUM_ASSIGN_OR_RETURN(latest_received_ms_,
                           connection->QueryInt("SELECT received_ms FROM watermark"));
  FULCRUM_ASSIGN_OR_RETURN(const int64_t rows,
                           connection->QueryInt("SELECT count(*) FROM first_exposures"));
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      connection->Stream("SELECT experiment, variant, kind, unit, ts_ms FROM first_exposures "
                         "WHERE rowid >= $1",
                         {std::max<int64_t>(0, rows - max_entries_ / 2)}));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const uint64_t key = KeyOf(chunk.data<int32_t>(0)[row], chunk.data<int32_t>(1)[row],
                                 chunk.data<int32_t>(2)[row], chunk.data<int32_t>(3)[row]);
      const int64_t ts_ms = chunk.data<int64_t>(4)[row];
      if (auto* found = first_.Find(key)) {
        found->second = std::min(found->second, ts_ms);
      } else {
        first_.Put({key, ts_ms});
      }
    }
  }
}

bool FirstExposures::IsFirst(int32_t experiment, int32_t variant, int32_t kind, int32_t unit,
                             int64_t ts_ms, int64_t received_ms) {
  // After the clock was set back, "received by" no longer follows the order of arrival: keep every
  // row, so that any as-of stays exact.
  if (received_ms < latest_received_ms_) return true;
  latest_received_ms_ = received_ms;
  const uint64_t key = KeyOf(experiment, variant, kind, unit);
  auto* found = first_.Find(key);
  if (found == nullptr) {
    first_.Put({key, ts_ms});
    return true;
  }
  if (found->second <= ts_ms) return false;
  found->second = ts_ms;
  return true;
}

absl::Status RecentIds::Load(duckdb::Connection* connection) {
  seen_.Clear();
  FULCRUM_ASSIGN_OR_RETURN(const int64_t rows,
                           connection->QueryInt("SELECT count(*) FROM seen_ids"));
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result result,
                           connection->Stream("SELECT hash FROM seen_ids WHERE rowid >= $1",
                                              {std::max<int64_t>(0, rows - max_entries_ / 2)}));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) seen_.Put(chunk.data<uint64_t>(0)[row]);
  }
}

uint64_t RecentIds::HashOf(int scope, std::string_view id) {
  return core::SaltedHash({.seed = 0x6964730aull + static_cast<uint64_t>(scope)}, id);
}

bool RecentIds::Add(uint64_t hash) { return seen_.Insert(hash, hash); }

}  // namespace fulcrum::store
