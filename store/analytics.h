// SPDX-License-Identifier: Apache-2.0
//
// The analytical database of an embedded store: opened with the settings it needs, its schema made
// or checked, and opened again should DuckDB declare it unusable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "store/duckdb_api.h"

namespace fulcrum::store {

struct AnalyticsOptions {
  std::string path;
  std::string temp_directory;
  int64_t memory_bytes = 2LL << 30;
  int threads = 2;
  int64_t checkpoint_bytes = 256LL << 20;  // Size of DuckDB's log that starts a checkpoint.
};

// Connection and the database it keeps open.
struct AnalyticsSession {
  std::shared_ptr<duckdb::Database> database;  // Outlives the connection: members die in reverse.
  duckdb::Connection connection;
};

// Thread-safe.
class Analytics {
 public:
  // DataLoss: damaged, or it does not belong to the inbox `store_id`. `may_create`: the tables may
  // be made in an empty or absent file.
  static absl::StatusOr<std::unique_ptr<Analytics>> Open(const AnalyticsOptions& options,
                                                         const std::string& store_id,
                                                         bool may_create);
  absl::StatusOr<AnalyticsSession> Connect();

  // After a fatal error (DataLoss from any session): waits for the other sessions to end, at most
  // a few seconds, and opens the file again.
  absl::Status Reopen();
  bool is_open();  // False after a Reopen() that failed.

 private:
  explicit Analytics(AnalyticsOptions options) : options_(std::move(options)) {}
  absl::StatusOr<std::shared_ptr<duckdb::Database>> OpenDatabase() const;
  absl::Status CheckOrCreate(const std::string& store_id, bool may_create);

  const AnalyticsOptions options_;
  Mutex mutex_;
  std::shared_ptr<duckdb::Database> database_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fulcrum::store
