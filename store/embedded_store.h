// SPDX-License-Identifier: Apache-2.0
//
// The store in one directory: a SQLite inbox, a DuckDB file, a loader between them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/analytics.h"
#include "store/inbox.h"
#include "store/loader.h"
#include "store/lock_file.h"
#include "store/plan_run.h"
#include "store/store.h"

namespace fulcrum::store {

// Thread-safe. Made by OpenEmbedded().
class EmbeddedStore : public Store {
 public:
  static absl::StatusOr<std::unique_ptr<EmbeddedStore>> Open(const EmbeddedOptions& options);

  absl::StatusOr<AppendResult> Append(const AppendRequest& request) override;
  absl::StatusOr<int64_t> AppendControl(const core::ControlRecord& record) override;
  absl::StatusOr<std::vector<core::ControlRecord>> ReadControls() override;
  absl::Status PutSticky(std::string_view experiment, std::string_view unit,
                         std::string_view variant, int32_t phase) override;
  absl::StatusOr<std::vector<StickyAssignment>> ReadSticky() override;
  absl::Status PutDefinition(const DefinitionRecord& record) override;
  absl::StatusOr<std::vector<DefinitionRecord>> ReadDefinitions() override;
  absl::StatusOr<int64_t> Freeze(int64_t now_ms) override;
  absl::StatusOr<PlanResult> Run(const Plan& plan) override;
  absl::StatusOr<std::vector<UnitSighting>> Unit(std::string_view kind,
                                                 std::string_view id) override;
  absl::Status PutResults(const std::vector<ResultRow>& rows) override;
  absl::Status Export(const std::string& directory, const std::string& format) override;
  absl::Status Flush() override;
  StoreStats stats() const override;

  // For tests and tools: a session on the analytical database.
  absl::StatusOr<AnalyticsSession> Connect() { return analytics_->Connect(); }

 private:
  explicit EmbeddedStore(EmbeddedOptions options) : options_(std::move(options)) {}
  absl::Status RefuseIfReadOnly() const;

  const EmbeddedOptions options_;
  // Destroyed from the last to the first: the loader uses both files, the lock outlives all.
  LockFile lock_;
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<Analytics> analytics_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<PlanRunner> runner_;
};

}  // namespace fulcrum::store
