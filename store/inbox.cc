// SPDX-License-Identifier: Apache-2.0
#include "store/inbox.h"

#include <algorithm>
#include <random>

#include "base/status.h"
#include "core/hash.h"
#include "store/inbox_statements.h"

namespace fulcrum::store {
namespace {

constexpr char kTables[] = R"sql(
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox(
  sequence INTEGER PRIMARY KEY, received_ms INTEGER NOT NULL, items INTEGER NOT NULL,
  checksum INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS batch_ids(
  sequence INTEGER PRIMARY KEY, received_ms INTEGER NOT NULL, key BLOB NOT NULL UNIQUE,
  body_hash INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside(
  sequence INTEGER PRIMARY KEY, received_ms INTEGER NOT NULL, items INTEGER NOT NULL,
  checksum INTEGER NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS controls(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, ts_ms INTEGER NOT NULL, actor TEXT NOT NULL,
  kind INTEGER NOT NULL, experiment TEXT NOT NULL, reason TEXT NOT NULL, variant TEXT NOT NULL,
  step INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS control_weights(
  seq INTEGER NOT NULL, position INTEGER NOT NULL, variant TEXT NOT NULL,
  weight_ppm INTEGER NOT NULL, floor_ppm INTEGER NOT NULL,
  PRIMARY KEY(seq, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sticky(
  experiment TEXT NOT NULL, unit TEXT NOT NULL, variant TEXT NOT NULL, phase INTEGER NOT NULL,
  PRIMARY KEY(experiment, unit)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS definitions(
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, received_ms INTEGER NOT NULL, kind TEXT NOT NULL,
  key TEXT NOT NULL, hash TEXT NOT NULL, content TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS definitions_by_key ON definitions(kind, key, sequence);
INSERT OR IGNORE INTO meta VALUES('schema_version', '1'), ('last_sequence', '0');
)sql";

// A transaction larger than this would make the calls behind it wait.
constexpr size_t kMaxGroupTasks = 64;
constexpr int64_t kRemoveBatches = 64;
constexpr int64_t kMaxPayloadBytes = 64 << 20;

std::string RandomId() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 32; ++i) id += "0123456789abcdef"[device() & 15];
  return id;
}

// 128 bits of the batch_id, so that the table of recent ids stays small whatever clients send.
std::string BatchKey(std::string_view batch_id) {
  const uint64_t halves[2] = {core::Xxh3(batch_id),
                              core::SaltedHash({.seed = 0x6261746368ull}, batch_id)};
  return {reinterpret_cast<const char*>(halves), sizeof halves};
}

}  // namespace

Inbox::Inbox(InboxOptions options) : options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<Inbox>> Inbox::Open(const InboxOptions& options) {
  std::unique_ptr<Inbox> inbox(new Inbox(options));
  FULCRUM_RETURN_IF_ERROR(inbox->OpenFiles());
  FULCRUM_RETURN_IF_ERROR(inbox->PrepareStatements());
  sqlite3_wal_hook(inbox->writer_.raw(), &Inbox::OnCommit, inbox.get());
  inbox->writer_thread_ = std::thread([raw = inbox.get()] { raw->WriterLoop(); });
  inbox->checkpoint_thread_ = std::thread([raw = inbox.get()] { raw->CheckpointLoop(); });
  return inbox;
}

absl::Status Inbox::OpenFiles() {
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  FULCRUM_ASSIGN_OR_RETURN(writer_, sqlite::Connection::Open(options_.path, kFlags));
  // Larger than usual: a batch of a thousand events is 50 to 100 kB, and each page costs a WAL
  // frame; but every commit also rewrites a few pages that change little.
  FULCRUM_RETURN_IF_ERROR(writer_.Execute("PRAGMA page_size=8192"));
  FULCRUM_ASSIGN_OR_RETURN(const std::string mode, writer_.QueryText("PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return Unavailable(options_.path + " cannot use a write-ahead log (mode " + mode +
                       "): put the data directory on a local disk");
  }
  FULCRUM_RETURN_IF_ERROR(writer_.Execute(
      options_.unsafe_without_sync ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL"));
  FULCRUM_RETURN_IF_ERROR(writer_.Execute(
      "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY"));
  FULCRUM_ASSIGN_OR_RETURN(const std::string check, writer_.QueryText("PRAGMA quick_check(1)"));
  if (check != "ok") {
    return absl::DataLossError(options_.path + " is damaged (" + check +
                               "): restore it from a copy, nothing was changed");
  }
  FULCRUM_RETURN_IF_ERROR(writer_.Execute("BEGIN IMMEDIATE"));
  FULCRUM_RETURN_IF_ERROR(writer_.Execute(kTables));
  FULCRUM_RETURN_IF_ERROR(
      writer_.Execute("INSERT OR IGNORE INTO meta VALUES('store_id', '" + RandomId() + "')"));
  FULCRUM_RETURN_IF_ERROR(writer_.Execute("COMMIT"));
  FULCRUM_ASSIGN_OR_RETURN(store_id_,
                           writer_.QueryText("SELECT value FROM meta WHERE key='store_id'"));
  FULCRUM_ASSIGN_OR_RETURN(page_bytes_, writer_.QueryInt("PRAGMA page_size"));
  FULCRUM_ASSIGN_OR_RETURN(const int64_t last,
                           writer_.QueryInt("SELECT max((SELECT CAST(value AS INTEGER) FROM meta "
                                            "WHERE key='last_sequence'), "
                                            "(SELECT ifnull(max(sequence), 0) FROM inbox), "
                                            "(SELECT ifnull(max(sequence), 0) FROM set_aside))"));
  next_sequence_ = last + 1;
  durable_sequence_ = last;
  FULCRUM_ASSIGN_OR_RETURN(
      first_sequence_, writer_.QueryInt("SELECT ifnull(min(sequence), " + std::to_string(last + 1) +
                                        ") FROM inbox"));
  removed_through_ = first_sequence_ - 1;
  FULCRUM_RETURN_IF_ERROR(ReadReceived());
  FULCRUM_ASSIGN_OR_RETURN(reader_, sqlite::Connection::Open(options_.path, kFlags));
  FULCRUM_RETURN_IF_ERROR(reader_.Execute("PRAGMA wal_autocheckpoint=0"));
  FULCRUM_ASSIGN_OR_RETURN(checkpointer_, sqlite::Connection::Open(options_.path, kFlags));
  return checkpointer_.Execute(options_.unsafe_without_sync
                                   ? "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF"
                                   : "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=FULL");
}

// A report may have been made of what there is, so what comes now is later than all of it.
absl::Status Inbox::ReadReceived() {
  const auto kept = [&](const std::string& key) {
    return "(SELECT CAST(value AS INTEGER) FROM meta WHERE key='" + key + "')";
  };
  FULCRUM_ASSIGN_OR_RETURN(
      latest_received_ms_,
      writer_.QueryInt("SELECT max(ifnull(" + kept("latest_received_ms") +
                       ", 0), ifnull((SELECT max(received_ms) FROM inbox), 0), "
                       "ifnull((SELECT received_ms FROM batch_ids ORDER BY sequence DESC LIMIT 1), "
                       "0))"));
  FULCRUM_ASSIGN_OR_RETURN(history_sequence_,
                           writer_.QueryInt("SELECT ifnull(" + kept("history_sequence") + ", 0)"));
  // A file that does not say it yet holds live batches only.
  FULCRUM_ASSIGN_OR_RETURN(live_floor_ms_,
                           writer_.QueryInt("SELECT max(ifnull(" + kept("live_received_ms") + ", " +
                                            std::to_string(latest_received_ms_) +
                                            "), ifnull((SELECT max(received_ms) FROM inbox "
                                            "WHERE sequence > " +
                                            std::to_string(history_sequence_) + "), 0))"));
  ++latest_received_ms_;
  if (live_floor_ms_ > 0) ++live_floor_ms_;
  return absl::OkStatus();
}

Inbox::~Inbox() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    work_.SignalAll();
    checkpoint_.SignalAll();
    more_.SignalAll();
  }
  if (writer_thread_.joinable()) writer_thread_.join();
  if (checkpoint_thread_.joinable()) checkpoint_thread_.join();
}

absl::Status Inbox::Submit(std::function<absl::Status()> apply) {
  Task task{.apply = std::move(apply)};
  MutexLock lock(&mutex_);
  if (stopping_) return Unavailable("the store is closing");
  queue_.push_back(&task);
  work_.Signal();
  while (!task.done) done_.Wait(&mutex_);
  return task.status;
}

absl::StatusOr<AppendResult> Inbox::Append(const AppendRequest& request) {
  const auto bytes = static_cast<int64_t>(request.payload.size());
  if (bytes > kMaxPayloadBytes) {
    return InvalidArgument("a batch of " + std::to_string(bytes) + " bytes is too large (at most " +
                           std::to_string(kMaxPayloadBytes) + "); send it in parts");
  }
  if (backlog_bytes_.fetch_add(bytes) + bytes > options_.max_backlog_bytes) {
    backlog_bytes_ -= bytes;
    return absl::ResourceExhaustedError("the inbox holds as many bytes as it may (" +
                                        std::to_string(options_.max_backlog_bytes) +
                                        "); send the batch again a little later");
  }
  const uint64_t checksum = core::Xxh3(request.payload);
  AppendResult result;
  const absl::Status status = Submit([&] { return InsertBatch(request, checksum, &result); });
  if (!status.ok() || result.replayed) backlog_bytes_ -= bytes;
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<int64_t> Inbox::Freeze(int64_t now_ms) {
  int64_t as_of_ms = 0;
  // On the writer's thread: before or after each batch, never during.
  FULCRUM_RETURN_IF_ERROR(Submit([&] {
    as_of_ms = std::max(now_ms, latest_received_ms_);
    live_floor_ms_ = std::max(live_floor_ms_, as_of_ms + 1);
    return absl::OkStatus();
  }));
  return as_of_ms;
}

int64_t Inbox::ReceivedMs(const AppendRequest& request) {
  int64_t received_ms = std::max(request.received_ms, live_floor_ms_);
  if (!request.history) {
    received_ms = std::max(received_ms, latest_received_ms_);
    live_floor_ms_ = received_ms;
  }
  latest_received_ms_ = std::max(latest_received_ms_, received_ms);
  return received_ms;
}

absl::Status Inbox::InsertBatch(const AppendRequest& request, uint64_t checksum,
                                AppendResult* result) {
  Statements& sql = *statements_;
  std::string key;
  if (!request.batch_id.empty()) {
    key = BatchKey(request.batch_id);
    sql.find_batch.BindBlob(1, key);
    const absl::StatusOr<bool> found = sql.find_batch.Step();
    const int64_t sequence = found.ok() && *found ? sql.find_batch.Int(0) : 0;
    const auto body_hash = static_cast<uint64_t>(found.ok() && *found ? sql.find_batch.Int(1) : 0);
    sql.find_batch.Reset();
    FULCRUM_RETURN_IF_ERROR(found.status());
    if (*found && body_hash != request.body_hash) {
      return absl::AlreadyExistsError(
          ToAbsl("batch_id " + std::string(request.batch_id) +
                 " was already used with another body; send this one under an id of its own"));
    }
    if (*found) {
      *result = {.sequence = sequence, .replayed = true};
      return absl::OkStatus();
    }
  }
  const int64_t sequence = next_sequence_;
  const int64_t received_ms = ReceivedMs(request);
  sql.insert_batch.Bind(1, sequence);
  sql.insert_batch.Bind(2, received_ms);
  sql.insert_batch.Bind(3, request.items);
  sql.insert_batch.Bind(4, static_cast<int64_t>(checksum));
  sql.insert_batch.BindBlob(5, request.payload);
  FULCRUM_RETURN_IF_ERROR(sql.insert_batch.Run());
  if (!key.empty()) {
    sql.insert_batch_id.Bind(1, sequence);
    // Kept from now on, also where the rows are of long ago.
    sql.insert_batch_id.Bind(2, latest_received_ms_);
    sql.insert_batch_id.BindBlob(3, key);
    sql.insert_batch_id.Bind(4, static_cast<int64_t>(request.body_hash));
    FULCRUM_RETURN_IF_ERROR(sql.insert_batch_id.Run());
  }
  if (request.history) {
    history_sequence_ = sequence;
    FULCRUM_RETURN_IF_ERROR(KeepReceived());
  }
  ++next_sequence_;
  result->sequence = sequence;
  return absl::OkStatus();
}

absl::Status Inbox::KeepReceived() {
  sqlite::Statement& keep = statements_->keep_received;
  keep.Bind(1, live_floor_ms_);
  keep.Bind(2, latest_received_ms_);
  keep.Bind(3, history_sequence_);
  return keep.Run();
}

void Inbox::WriterLoop() {
  std::vector<Task*> group;
  while (true) {
    bool stop = false;
    {
      MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_ && removed_through_ >= loaded_sequence_.load() &&
             !finish_checkpoint_.load()) {
        work_.Wait(&mutex_);
      }
      while (!queue_.empty() && group.size() < kMaxGroupTasks) {
        group.push_back(queue_.front());
        queue_.pop_front();
      }
      stop = stopping_ && group.empty();
    }
    if (stop) return;
    if (finish_checkpoint_.exchange(false)) FinishCheckpoint();
    RunGroup(group);
    group.clear();
  }
}

void Inbox::RunGroup(const std::vector<Task*>& group) {
  const int64_t first = next_sequence_;
  const int64_t removed = removed_through_;
  const absl::Status status = Commit(group);
  if (!status.ok()) {
    if (sqlite3_get_autocommit(writer_.raw()) == 0) writer_.Execute("ROLLBACK").IgnoreError();
    next_sequence_ = first;
    removed_through_ = removed;
  }
  MutexLock lock(&mutex_);
  for (Task* task : group) {
    if (!status.ok()) task->status = status;
    task->done = true;
  }
  if (status.ok() && next_sequence_ != first) {
    durable_sequence_ = next_sequence_ - 1;
    more_.SignalAll();
  }
  done_.SignalAll();
  // With the disk full, removing fails too: do not spin on it.
  if (!status.ok() && group.empty() && !stopping_) {
    work_.WaitFor(&mutex_, std::chrono::milliseconds(500));
  }
}

absl::Status Inbox::Commit(const std::vector<Task*>& group) {
  FULCRUM_RETURN_IF_ERROR(writer_.Execute("BEGIN IMMEDIATE"));
  for (Task* task : group) {
    task->status = task->apply();
    // A refusal (AlreadyExists) touches nothing; a failed write may have undone the transaction.
    const absl::StatusCode code = task->status.code();
    if (!task->status.ok() && code != absl::StatusCode::kAlreadyExists) return task->status;
  }
  FULCRUM_RETURN_IF_ERROR(RemoveSome(group.empty()));
  return writer_.Execute("COMMIT");
}

// Under load in strides, so that few commits pay for it, and faster than batches come; when idle a
// few at a time.
absl::Status Inbox::RemoveSome(bool idle) {
  const int64_t loaded = loaded_sequence_.load();
  const int64_t ready = loaded - removed_through_;
  if (ready <= 0 || (!idle && ready < kRemoveBatches)) return absl::OkStatus();
  const int64_t through = std::min(loaded, removed_through_ + kRemoveBatches);
  Statements& sql = *statements_;
  sql.remove_loaded.Bind(1, through);
  FULCRUM_RETURN_IF_ERROR(sql.remove_loaded.Run());
  sql.forget_batch_ids.Bind(1, latest_received_ms_ - options_.keep_batch_ids_ms);
  sql.forget_batch_ids.Bind(2, through - options_.keep_batch_ids);
  FULCRUM_RETURN_IF_ERROR(sql.forget_batch_ids.Run());
  // Numbers are never given twice, also when no batch is left to tell the last one.
  sql.set_last_sequence.Bind(1, through);
  FULCRUM_RETURN_IF_ERROR(sql.set_last_sequence.Run());
  FULCRUM_RETURN_IF_ERROR(KeepReceived());
  removed_through_ = through;
  return absl::OkStatus();
}

int Inbox::OnCommit(void* self, sqlite3*, const char*, int pages) {
  auto* inbox = static_cast<Inbox*>(self);
  inbox->wal_pages_ = pages;
  if (pages * inbox->page_bytes_ >= inbox->options_.wal_target_bytes) {
    MutexLock lock(&inbox->mutex_);
    inbox->checkpoint_wanted_ = true;
    inbox->checkpoint_.Signal();
  }
  return SQLITE_OK;
}

// While the writer goes on, a checkpoint never catches up with it, and the WAL is only reused once
// all of it was copied. So the bulk is copied here, beside the writer, and the writer copies the
// few pages that came meanwhile.
void Inbox::CheckpointLoop() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      while (!checkpoint_wanted_ && !stopping_) checkpoint_.Wait(&mutex_);
      if (stopping_) return;
      checkpoint_wanted_ = false;
    }
    int log_pages = 0;
    int copied_pages = 0;
    const int code = sqlite3_wal_checkpoint_v2(
        checkpointer_.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &log_pages, &copied_pages);
    MutexLock lock(&mutex_);
    if (code == SQLITE_OK) {
      finish_checkpoint_ = true;
      work_.Signal();
    } else if (!stopping_) {
      checkpoint_.WaitFor(&mutex_, std::chrono::milliseconds(500));
    }
  }
}

void Inbox::FinishCheckpoint() {
  int log_pages = 0;
  int copied_pages = 0;
  // A failure here only leaves the WAL longer; the next round tries again.
  sqlite3_wal_checkpoint_v2(writer_.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &log_pages,
                            &copied_pages);
}

absl::Status Inbox::StartAt(int64_t sequence) {
  FULCRUM_ASSIGN_OR_RETURN(
      const int64_t bytes,
      reader_.QueryInt("SELECT ifnull(sum(length(payload)), 0) FROM inbox WHERE sequence > " +
                       std::to_string(sequence)));
  backlog_bytes_ += bytes;
  MutexLock lock(&mutex_);
  loaded_sequence_ = sequence;
  work_.Signal();
  return absl::OkStatus();
}

absl::Status Inbox::ReadAfter(int64_t sequence, int64_t max_items,
                              std::vector<InboxBatch>* batches) {
  batches->clear();
  read_after_.Bind(1, sequence);
  int64_t items = 0;
  while (items < max_items) {
    const absl::StatusOr<bool> row = read_after_.Step();
    if (!row.ok()) {
      read_after_.Reset();
      return row.status();
    }
    if (!*row) break;
    batches->push_back({.sequence = read_after_.Int(0),
                        .received_ms = read_after_.Int(1),
                        .items = read_after_.Int(2),
                        .checksum = static_cast<uint64_t>(read_after_.Int(3)),
                        .payload = std::string(read_after_.Text(4))});
    items += std::max<int64_t>(batches->back().items, 1);
  }
  read_after_.Reset();
  return absl::OkStatus();
}

bool Inbox::WaitForMore(int64_t sequence, int64_t timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  MutexLock lock(&mutex_);
  while (durable_sequence_.load() <= sequence && !woken_ && !stopping_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    more_.WaitFor(&mutex_, left);
  }
  woken_ = false;
  return true;
}

void Inbox::Wake() {
  MutexLock lock(&mutex_);
  woken_ = true;
  more_.SignalAll();
}

void Inbox::MarkLoaded(int64_t sequence, int64_t bytes) {
  backlog_bytes_ -= bytes;
  MutexLock lock(&mutex_);
  loaded_sequence_ = sequence;
  work_.Signal();
}

}  // namespace fulcrum::store
