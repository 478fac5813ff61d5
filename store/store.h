// SPDX-License-Identifier: Apache-2.0
//
// Start here: the store keeps every event and gives back sufficient statistics for a plan.
//
// Durability: Append() returns only after the batch is on disk (inbox, fdatasync). A background
// loader moves batches to the analytical database in one transaction with its watermark, so nothing
// acknowledged is lost and nothing is counted twice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/controls.h"
#include "store/batch.h"
#include "store/plan.h"

namespace fulcrum::store {

struct AppendRequest {
  std::string_view batch_id;  // "" = the store makes one; then a replay cannot be recognised.
  uint64_t body_hash = 0;     // Same batch_id with another body_hash is AlreadyExists.
  std::string_view payload;   // BatchBuilder::payload().
  int64_t items = 0;
  // The server's clock: as-of and maturity stand on it. What arrives alive is never received before
  // what arrived earlier, nor by an instant that was frozen: it is moved up to that.
  int64_t received_ms = 0;
  // Rows of the past with the time they were received then: kept, but not before anything live.
  bool history = false;
};

struct AppendResult {
  int64_t sequence = 0;
  bool replayed = false;  // This batch_id with this body was already durable.
};

struct StoreStats {
  int64_t backlog_batches = 0;  // Durable, not yet loaded.
  int64_t backlog_bytes = 0;
  int64_t loaded_sequence = 0;
  int64_t durable_sequence = 0;
  int64_t rows_exposures = 0;
  int64_t rows_events = 0;
  int64_t load_failures = 0;
  int64_t set_aside_batches = 0;  // Could not be loaded; kept in the inbox with a reason.
  std::string last_load_error;
  double last_load_ms = 0;
};

struct StickyAssignment {
  std::string experiment, unit, variant;
  int32_t phase = 0;
};

// Something that reports depend on besides events: a definition, a cost table. Kept as it was at
// every instant, so that a past report can be reproduced.
struct DefinitionRecord {
  int64_t sequence = 0;  // Set by the store.
  int64_t received_ms = 0;
  std::string kind;  // "experiment", "project", "cost", …
  std::string key;
  std::string hash;
  std::string content;
};

// A variant that a unit saw. Phase, propensity, snapshot and attributes are those of the first
// exposure to it.
struct UnitSighting {
  std::string experiment, variant;
  int64_t first_ms = 0, last_ms = 0, exposures = 0;
  int32_t phase = 0;
  double propensity = 0;  // 0: it was not told.
  std::string snapshot;
  std::map<std::string, std::string> attributes;  // Values as JSON.
};

// Thread-safe. Implementations: OpenEmbedded (SQLite inbox + DuckDB file).
class Store {
 public:
  virtual ~Store() = default;

  // Blocks until durable. ResourceExhausted: the backlog is full, retry later (429/503).
  // AlreadyExists: the batch_id was used with another body (409).
  virtual absl::StatusOr<AppendResult> Append(const AppendRequest& request) = 0;

  // The append-only control log, in the same durable place.
  virtual absl::StatusOr<int64_t> AppendControl(const core::ControlRecord& record) = 0;
  virtual absl::StatusOr<std::vector<core::ControlRecord>> ReadControls() = 0;

  // Durable sticky assignments: (experiment, unit) -> (variant, phase). First write wins.
  virtual absl::Status PutSticky(std::string_view experiment, std::string_view unit,
                                 std::string_view variant, int32_t phase) = 0;

  virtual absl::StatusOr<std::vector<StickyAssignment>> ReadSticky() = 0;

  // Keeps a definition from record.received_ms on; nothing happens when the latest one of the same
  // kind and key has the same hash.
  virtual absl::Status PutDefinition(const DefinitionRecord& record) = 0;
  virtual absl::StatusOr<std::vector<DefinitionRecord>> ReadDefinitions() = 0;

  // The instant that a report made now stands for: `now_ms`, or when the last thing was received
  // where that is later. From here on nothing is received by then, whatever is under way: what a
  // report shows as of that instant, it shows for ever. Call it before Run().
  virtual absl::StatusOr<int64_t> Freeze(int64_t now_ms) = 0;

  // Runs a plan on everything received at or before plan.as_of_ms. Flushes the loader first, so
  // what was acknowledged before the call is in the answer.
  virtual absl::StatusOr<PlanResult> Run(const Plan& plan) = 0;

  virtual absl::StatusOr<std::vector<UnitSighting>> Unit(std::string_view kind,
                                                         std::string_view id) = 0;

  // A report's numbers for the analysts' `results` view.
  struct ResultRow {
    std::string experiment, metric, arm, statistic;
    double value = 0;
    int64_t as_of_ms = 0;
  };
  virtual absl::Status PutResults(const std::vector<ResultRow>& rows) = 0;

  // Writes exposures, events, links (and views) as files into `directory`; format parquet | csv.
  virtual absl::Status Export(const std::string& directory, const std::string& format) = 0;

  // Waits until everything durable is loaded.
  virtual absl::Status Flush() = 0;
  virtual StoreStats stats() const = 0;
};

struct EmbeddedOptions {
  std::string directory;    // Holds inbox.sqlite, fulcrum.duckdb and a lock file.
  std::string duckdb_path;  // "" = directory/fulcrum.duckdb.
  bool read_only = false;   // `report`, `export` without a server.
  int64_t max_backlog_bytes = 256LL << 20;
  int64_t duckdb_memory_bytes = 2LL << 30;
  int64_t loader_memory_bytes = 1LL << 30;  // Dictionaries, first exposures, recent ids.
  int threads = 2;
  // Of one report's units; what needs more is done in passes and spilled beside the data.
  int64_t report_memory_bytes = 4LL << 30;
  // Units' state of recent reports, so that the next one reads only what arrived since.
  int64_t report_kept_bytes = 1LL << 30;
};

// FailedPrecondition: another process holds the directory. Unavailable/DataLoss/PermissionDenied:
// the directory or a file cannot be used; nothing is overwritten.
absl::StatusOr<std::unique_ptr<Store>> OpenEmbedded(const EmbeddedOptions& options);

// What a data directory keeps besides events, read beside a server that may hold it. NotFound: the
// directory has no data.
struct KeptRecords {
  std::vector<core::ControlRecord> controls;
  std::vector<DefinitionRecord> definitions;
};
absl::StatusOr<KeptRecords> ReadKept(const std::string& directory);
// What sticky experiments keep for the unit; also beside a server.
absl::StatusOr<std::vector<StickyAssignment>> ReadStickyOf(const std::string& directory,
                                                           std::string_view unit);

// --- Data on files (`fulcrum analyze`), no store needed -----------------------------------------

struct FileSource {
  std::string path;    // CSV, Parquet or DuckDB; globs allowed for the first two.
  std::string format;  // csv | parquet | duckdb | "" = by extension.
  std::string table;   // duckdb.
  bool per_event = false;
  std::string arm_column;
  std::string unit_column;                  // per_event; optional per unit.
  std::string event_column;                 // per_event.
  std::string exposure_event;               // per_event: the event name that is the exposure.
  std::string time_column;                  // per_event; timestamps or Unix milliseconds.
  std::string value_column;                 // per_event, optional.
  std::map<std::string, std::string> arms;  // Data value -> Arm::key; empty = the same text.
};

// Streams the file (never loads it whole) and runs the plan on it. On unit rows every planned
// column must name its source_column.
absl::StatusOr<PlanResult> RunOnFile(const FileSource& source, const Plan& plan);

}  // namespace fulcrum::store
