// SPDX-License-Identifier: Apache-2.0
//
// The durable inbox: one SQLite file (WAL, synchronous=FULL), one row a batch. A writer thread
// gathers waiting calls into one transaction, so that one fdatasync serves all of them; each call
// returns after that commit. A second thread copies the WAL back into the file, so that no
// acknowledgement waits for it. Loaded batches are removed a few at a time.
//
// The same file keeps what is small and must never be lost: controls, sticky assignments,
// definitions, and batches set aside because they could not be loaded.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "store/sqlite_api.h"
#include "store/store.h"

namespace fulcrum::store {

struct InboxOptions {
  std::string path;
  int64_t max_backlog_bytes = 256LL << 20;

  // A replay of a batch_id is recognised while it is at most this old and among this many.
  int64_t keep_batch_ids_ms = 7LL * 24 * 3600 * 1000;
  int64_t keep_batch_ids = 4'000'000;

  // The WAL is copied back when it has grown to this. Pages of batches that were loaded meanwhile
  // have been used again by then, and are copied once.
  int64_t wal_target_bytes = 128LL << 20;

  // Only for the proof that the fault harness can see a loss: commits do not wait for the disk.
  bool unsafe_without_sync = false;
};

struct InboxBatch {
  int64_t sequence = 0;
  int64_t received_ms = 0;
  int64_t items = 0;
  uint64_t checksum = 0;  // core::Xxh3 of the payload when it arrived.
  std::string payload;
};

// Thread-safe but for ReadAfter, which belongs to the loader's thread.
class Inbox {
 public:
  // Creates the file when there is none. See store.h for the errors.
  static absl::StatusOr<std::unique_ptr<Inbox>> Open(const InboxOptions& options);
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  absl::StatusOr<AppendResult> Append(const AppendRequest& request);
  absl::StatusOr<int64_t> Freeze(int64_t now_ms);  // See Store::Freeze.
  absl::StatusOr<int64_t> AppendControl(const core::ControlRecord& record);
  absl::StatusOr<std::vector<core::ControlRecord>> ReadControls();
  absl::Status PutSticky(std::string_view experiment, std::string_view unit,
                         std::string_view variant, int32_t phase);
  absl::StatusOr<std::vector<StickyAssignment>> ReadSticky();
  absl::Status PutDefinition(const DefinitionRecord& record);
  absl::StatusOr<std::vector<DefinitionRecord>> ReadDefinitions();

  // --- For the loader.

  // The file's identity, which the analytical file carries too.
  const std::string& store_id() const { return store_id_; }
  // Batches first_sequence() … durable_sequence() are in the file (none when first > durable).
  int64_t first_sequence() const { return first_sequence_; }
  int64_t durable_sequence() const { return durable_sequence_.load(); }
  int64_t backlog_bytes() const { return backlog_bytes_.load(); }

  // Once, before anything else of this part: everything up to `sequence` is loaded.
  absl::Status StartAt(int64_t sequence);

  // Up to max_items items (at least one batch) after `sequence`, in order.
  absl::Status ReadAfter(int64_t sequence, int64_t max_items, std::vector<InboxBatch>* batches);

  // True as soon as there is a batch after `sequence` or Wake() was called; false after the time.
  bool WaitForMore(int64_t sequence, int64_t timeout_ms);
  void Wake();

  // Batches up to `sequence` are durable elsewhere; they had `bytes` of payload.
  void MarkLoaded(int64_t sequence, int64_t bytes);

  // Moves a batch out of the way, with its bytes. Safe to repeat.
  absl::Status SetAside(int64_t sequence, std::string_view reason);
  absl::StatusOr<int64_t> SetAsideCount();

 private:
  struct Task {
    std::function<absl::Status()> apply;  // On the writer's thread, inside a transaction.
    absl::Status status;
    bool done = false;
  };
  struct Statements;

  explicit Inbox(InboxOptions options);
  absl::Status OpenFiles();
  absl::Status PrepareStatements();
  absl::Status Submit(std::function<absl::Status()> apply);

  void WriterLoop();
  void RunGroup(const std::vector<Task*>& group);
  absl::Status Commit(const std::vector<Task*>& group);
  absl::Status RemoveSome(bool idle);
  absl::Status ReadReceived();
  absl::Status KeepReceived();
  int64_t ReceivedMs(const AppendRequest& request);
  absl::Status InsertBatch(const AppendRequest& request, uint64_t checksum, AppendResult* result);
  void FinishCheckpoint();
  void CheckpointLoop();
  static int OnCommit(void* inbox, sqlite3* connection, const char* database, int pages);

  const InboxOptions options_;
  std::string store_id_;
  int64_t first_sequence_ = 1;
  int64_t page_bytes_ = 0;

  // The writer's.
  sqlite::Connection writer_;
  std::unique_ptr<Statements> statements_;
  int64_t next_sequence_ = 1;       // Of the open transaction.
  int64_t removed_through_ = 0;     // Every batch up to here is gone.
  int64_t latest_received_ms_ = 0;  // Of any batch.
  int64_t live_floor_ms_ = 0;       // Nothing is received before: of live batches and Freeze().
  int64_t history_sequence_ = 0;    // The last batch of history.

  sqlite::Connection reader_;  // The loader's.
  sqlite::Statement read_after_;
  sqlite::Connection checkpointer_;  // The checkpoint thread's.

  std::atomic<int64_t> durable_sequence_{0};
  std::atomic<int64_t> loaded_sequence_{0};
  std::atomic<int64_t> backlog_bytes_{0};
  std::atomic<int64_t> wal_pages_{0};
  std::atomic<bool> finish_checkpoint_{false};

  Mutex mutex_;
  CondVar work_;        // The writer has something to do.
  CondVar done_;        // A group was committed or failed.
  CondVar more_;        // The loader has something to do.
  CondVar checkpoint_;  // The WAL has grown.
  std::deque<Task*> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool checkpoint_wanted_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread writer_thread_;
  std::thread checkpoint_thread_;
};

}  // namespace fulcrum::store
