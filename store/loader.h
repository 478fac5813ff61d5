// SPDX-License-Identifier: Apache-2.0
//
// The thread that moves batches from the inbox to the analytical tables: a group of batches and the
// watermark in one transaction, so that each batch is loaded exactly once whatever happens.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "store/analytics.h"
#include "store/inbox.h"
#include "store/load_group.h"

namespace fulcrum::store {

struct LoaderOptions {
  int64_t memory_bytes = 1LL << 30;
  // Large groups are written in compressed form at once; small ones go through DuckDB's log first,
  // in five times the bytes.
  int64_t max_group_items = 250'000;
  // A group is loaded this long after its first batch arrived, or when about so many bytes wait, or
  // at a Flush.
  int64_t gather_ms = 1000;
  int64_t gather_bytes = 16LL << 20;
};

// Thread-safe.
class Loader {
 public:
  // Checks that the two files belong together, then starts the thread. Both must outlive it.
  static absl::StatusOr<std::unique_ptr<Loader>> Start(Inbox* inbox, Analytics* analytics,
                                                       const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Returns when all that was durable at the call is loaded, or with the error that stops loading
  // (which is retried all the same).
  absl::Status Flush();

  // Fills in the loader's part.
  void AddStats(StoreStats* stats) const;

 private:
  Loader(Inbox* inbox, Analytics* analytics, const LoaderOptions& options)
      : inbox_(inbox), analytics_(analytics), options_(options), group_(options.memory_bytes) {}

  absl::Status Reconcile();
  void Loop();
  void WaitToGather();
  absl::Status Refresh();
  absl::Status CountRows(duckdb::Connection* connection);
  absl::Status LoadNext();
  absl::Status TryGroup(const std::vector<InboxBatch>& batches, bool* found_damaged);
  absl::Status RecordSetAside(const InboxBatch& batch, const std::string& reason);
  void AfterFailure(const absl::Status& status);
  void AfterCommit(const std::vector<InboxBatch>& batches, const LoadCounts& counts, double ms);

  Inbox* const inbox_;
  Analytics* const analytics_;
  const LoaderOptions options_;

  // The thread's.
  LoadGroup group_;
  AnalyticsSession session_;
  bool fresh_ = false;            // group_ stands for what is durable.
  int64_t group_items_ = 0;       // How many to try at once; fewer after a failure.
  int64_t last_group_items_ = 0;  // How many were tried.
  int64_t last_group_batches_ = 0;
  int64_t tries_ = 0;                                    // Of the same single batch.
  absl::flat_hash_map<int64_t, std::string> set_aside_;  // Damaged batches: sequence -> reason.

  int64_t unmarked_bytes_ = 0;  // Loaded, the inbox not yet told.

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t flush_target_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t loaded_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t failures_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status last_error_ ABSL_GUARDED_BY(mutex_);
  StoreStats counts_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace fulcrum::store
