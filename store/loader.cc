// SPDX-License-Identifier: Apache-2.0
#include "store/loader.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/status.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

constexpr int64_t kMinBackoffMs = 100;
constexpr int64_t kMaxBackoffMs = 5000;
constexpr int64_t kTriesBeforeSetAside = 3;

// Errors that lie in the data, so that trying again the same way cannot help; all others (disk,
// memory, a lost file) pass, and no batch is given up for them.
bool LiesInTheData(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kInternal:
      return true;
    default:
      return false;
  }
}

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Loader>> Loader::Start(Inbox* inbox, Analytics* analytics,
                                                      const LoaderOptions& options) {
  std::unique_ptr<Loader> loader(new Loader(inbox, analytics, options));
  loader->group_items_ = options.max_group_items;
  FULCRUM_RETURN_IF_ERROR(loader->Reconcile());
  loader->thread_ = std::thread([raw = loader.get()] { raw->Loop(); });
  return loader;
}

Loader::~Loader() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  inbox_->Wake();
  if (thread_.joinable()) thread_.join();
}

absl::Status Loader::Reconcile() {
  FULCRUM_ASSIGN_OR_RETURN(AnalyticsSession session, analytics_->Connect());
  duckdb::Connection& connection = session.connection;
  FULCRUM_ASSIGN_OR_RETURN(const int64_t loaded,
                           connection.QueryInt("SELECT sequence FROM watermark"));
  if (loaded + 1 < inbox_->first_sequence()) {
    return absl::DataLossError(
        "the analytical file is older than the inbox: it holds batches up to " +
        std::to_string(loaded) + ", the inbox begins at " +
        std::to_string(inbox_->first_sequence()) + "; restore the two from the same moment");
  }
  if (loaded > inbox_->durable_sequence()) {
    return absl::DataLossError("the inbox is older than the analytical file: it ends at batch " +
                               std::to_string(inbox_->durable_sequence()) + ", batch " +
                               std::to_string(loaded) +
                               " was already loaded; restore the two from the same moment");
  }
  // A crash may have come between the commit that set a batch aside and its move in the inbox.
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result aside,
      connection.Query("SELECT sequence, reason FROM set_aside WHERE sequence >= $1",
                       {inbox_->first_sequence()}));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, aside.Next());
    if (!chunk) break;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      FULCRUM_RETURN_IF_ERROR(inbox_->SetAside(chunk.data<int64_t>(0)[row], chunk.text(1, row)));
    }
  }
  FULCRUM_RETURN_IF_ERROR(inbox_->StartAt(loaded));
  FULCRUM_RETURN_IF_ERROR(CountRows(&connection));
  MutexLock lock(&mutex_);
  loaded_sequence_ = loaded;
  return absl::OkStatus();
}

absl::Status Loader::Flush() {
  const int64_t target = inbox_->durable_sequence();
  MutexLock lock(&mutex_);
  const int64_t failures = failures_;
  flush_target_ = std::max(flush_target_, target);
  changed_.SignalAll();
  while (loaded_sequence_ < target && failures_ == failures && !stopping_) {
    changed_.Wait(&mutex_);
  }
  if (loaded_sequence_ >= target) return absl::OkStatus();
  if (stopping_) return Unavailable("the store is closing");
  return Annotate(last_error_, "batches " + std::to_string(loaded_sequence_ + 1) + " to " +
                                   std::to_string(target) +
                                   " are safe in the inbox but cannot be loaded yet");
}

void Loader::AddStats(StoreStats* stats) const {
  MutexLock lock(&mutex_);
  stats->loaded_sequence = loaded_sequence_;
  stats->rows_exposures = counts_.rows_exposures;
  stats->rows_events = counts_.rows_events;
  stats->load_failures = failures_;
  stats->set_aside_batches = counts_.set_aside_batches;
  stats->last_load_ms = counts_.last_load_ms;
  stats->last_load_error = std::string(Message(last_error_));
}

void Loader::WaitToGather() {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.gather_ms);
  MutexLock lock(&mutex_);
  // After a full group there is more waiting: go on at once.
  while (!stopping_ && flush_target_ <= loaded_sequence_ &&
         last_group_items_ < options_.max_group_items &&
         inbox_->backlog_bytes() < options_.gather_bytes) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    changed_.WaitFor(&mutex_, std::min(left, std::chrono::milliseconds(50)));
  }
}

void Loader::Loop() {
  int64_t backoff_ms = kMinBackoffMs;
  while (true) {
    int64_t loaded = 0;
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;
      loaded = loaded_sequence_;
    }
    if (!inbox_->WaitForMore(loaded, 1000)) continue;
    WaitToGather();
    const absl::Status status = LoadNext();
    if (status.ok()) {
      backoff_ms = kMinBackoffMs;
      continue;
    }
    AfterFailure(status);
    MutexLock lock(&mutex_);
    if (!stopping_) changed_.WaitFor(&mutex_, std::chrono::milliseconds(backoff_ms));
    backoff_ms = std::min(2 * backoff_ms, kMaxBackoffMs);
  }
}

// Stands the loader on what is durable: at the start, and after a failure, of which nobody knows
// how far it came.
absl::Status Loader::Refresh() {
  if (!session_.database) {
    FULCRUM_ASSIGN_OR_RETURN(session_, analytics_->Connect());
  }
  FULCRUM_RETURN_IF_ERROR(group_.Load(&session_.connection));
  FULCRUM_ASSIGN_OR_RETURN(const int64_t watermark,
                           session_.connection.QueryInt("SELECT sequence FROM watermark"));
  int64_t loaded = 0;
  {
    MutexLock lock(&mutex_);
    loaded = loaded_sequence_;
  }
  if (watermark < loaded) {
    return absl::DataLossError("the analytical file went back from batch " +
                               std::to_string(loaded) + " to " + std::to_string(watermark) +
                               "; stop the program and restore the file from a copy");
  }
  std::vector<InboxBatch> batches;
  if (watermark > loaded) {
    // A commit that was reported as failed had reached the disk after all.
    FULCRUM_RETURN_IF_ERROR(inbox_->ReadAfter(loaded, INT64_MAX, &batches));
    std::erase_if(batches, [&](const InboxBatch& batch) { return batch.sequence > watermark; });
    FULCRUM_RETURN_IF_ERROR(CountRows(&session_.connection));
    AfterCommit(batches, {}, 0);
  }
  fresh_ = true;
  return absl::OkStatus();
}

absl::Status Loader::CountRows(duckdb::Connection* connection) {
  FULCRUM_ASSIGN_OR_RETURN(const int64_t exposures,
                           connection->QueryInt("SELECT count(*) FROM exposure_rows"));
  FULCRUM_ASSIGN_OR_RETURN(const int64_t events,
                           connection->QueryInt("SELECT count(*) FROM event_rows"));
  FULCRUM_ASSIGN_OR_RETURN(const int64_t aside,
                           connection->QueryInt("SELECT count(*) FROM set_aside"));
  MutexLock lock(&mutex_);
  counts_.rows_exposures = exposures;
  counts_.rows_events = events;
  counts_.set_aside_batches = aside;
  return absl::OkStatus();
}

absl::Status Loader::LoadNext() {
  if (!fresh_) FULCRUM_RETURN_IF_ERROR(Refresh());
  int64_t loaded = 0;
  {
    MutexLock lock(&mutex_);
    loaded = loaded_sequence_;
  }
  std::vector<InboxBatch> batches;
  FULCRUM_RETURN_IF_ERROR(inbox_->ReadAfter(loaded, group_items_, &batches));
  last_group_items_ = 0;
  for (const InboxBatch& batch : batches) last_group_items_ += batch.items;
  last_group_batches_ = static_cast<int64_t>(batches.size());
  if (batches.empty()) return absl::OkStatus();
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    bool found_damaged = false;
    const absl::Status status = TryGroup(batches, &found_damaged);
    if (found_damaged) continue;  // Once more without that batch.
    if (!status.ok()) {
      if (session_.database) session_.connection.Execute("ROLLBACK").IgnoreError();
      fresh_ = false;
      return status;
    }
    break;
  }
  const LoadCounts counts = group_.counts();
  group_.Committed();
  AfterCommit(batches, counts, MillisecondsSince(start));
  return absl::OkStatus();
}

absl::Status Loader::TryGroup(const std::vector<InboxBatch>& batches, bool* found_damaged) {
  duckdb::Connection& connection = session_.connection;
  if (!fresh_) FULCRUM_RETURN_IF_ERROR(group_.Load(&connection));
  fresh_ = true;
  FULCRUM_RETURN_IF_ERROR(group_.Prepare(batches, &connection));
  for (const InboxBatch& batch : batches) {
    if (set_aside_.contains(batch.sequence)) continue;
    std::string error;
    if (group_.Add(batch, &error)) continue;
    set_aside_.emplace(batch.sequence, std::move(error));
    fresh_ = false;
    *found_damaged = true;
    return absl::OkStatus();
  }
  bool columns_added = false;
  FULCRUM_RETURN_IF_ERROR(connection.Execute("BEGIN"));
  FULCRUM_RETURN_IF_ERROR(group_.Write(&connection, batches.front().sequence - 1,
                                       batches.back().sequence, &columns_added));
  for (const InboxBatch& batch : batches) {
    const auto found = set_aside_.find(batch.sequence);
    if (found == set_aside_.end()) continue;
    FULCRUM_RETURN_IF_ERROR(RecordSetAside(batch, found->second));
  }
  if (columns_added) FULCRUM_RETURN_IF_ERROR(CreateViews(connection));
  return connection.Execute("COMMIT");
}

absl::Status Loader::RecordSetAside(const InboxBatch& batch, const std::string& reason) {
  return session_.connection.Execute("INSERT INTO set_aside VALUES ($1, $2, $3, $4)",
                                     {batch.sequence, batch.received_ms, batch.items, reason});
}

void Loader::AfterCommit(const std::vector<InboxBatch>& batches, const LoadCounts& counts,
                         double ms) {
  int64_t aside = 0;
  bool all_moved = true;
  for (const InboxBatch& batch : batches) {
    unmarked_bytes_ += static_cast<int64_t>(batch.payload.size());
    if (set_aside_.contains(batch.sequence)) ++aside;
  }
  for (auto it = set_aside_.begin(); it != set_aside_.end();) {
    const auto entry = it++;
    if (inbox_->SetAside(entry->first, entry->second).ok()) {
      set_aside_.erase(entry);
    } else {
      all_moved = false;
    }
  }
  // What could not be moved out of the way yet (the disk is full, say) must not be removed.
  if (all_moved) {
    inbox_->MarkLoaded(batches.back().sequence, std::exchange(unmarked_bytes_, 0));
  }
  group_items_ = std::min(2 * group_items_, options_.max_group_items);
  tries_ = 0;
  MutexLock lock(&mutex_);
  loaded_sequence_ = batches.back().sequence;
  counts_.rows_exposures += counts.exposures;
  counts_.rows_events += counts.events;
  counts_.set_aside_batches += aside;
  counts_.last_load_ms = ms;
  last_error_ = absl::OkStatus();
  changed_.SignalAll();
}

void Loader::AfterFailure(const absl::Status& status) {
  fresh_ = false;
  if (status.code() == absl::StatusCode::kDataLoss || !analytics_->is_open()) {
    // DuckDB gave the database up (a failed sync of its log, say). What is durable is intact.
    session_ = AnalyticsSession();
    analytics_->Reopen().IgnoreError();
  }
  group_items_ = std::max<int64_t>(1, std::min(group_items_, last_group_items_) / 2);
  MutexLock lock(&mutex_);
  ++failures_;
  last_error_ = status;
  if (last_group_batches_ == 1 && LiesInTheData(status) && ++tries_ >= kTriesBeforeSetAside) {
    set_aside_.emplace(loaded_sequence_ + 1, std::string(Message(status)));
    tries_ = 0;
  }
  changed_.SignalAll();
}

}  // namespace fulcrum::store
