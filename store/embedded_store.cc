// SPDX-License-Identifier: Apache-2.0
#include "store/embedded_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/status.h"
#include "base/text.h"
#include "store/export.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

bool Exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

absl::Status CheckDirectory(const std::string& directory) {
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0) {
    const std::string message =
        "the data directory " + directory + " cannot be used: " + strerror(errno);
    if (errno == EACCES) return absl::PermissionDeniedError(message);
    return Unavailable(message + " (make it first: mkdir -p " + directory + ")");
  }
  if (!S_ISDIR(info.st_mode)) {
    return Unavailable(directory + " is not a directory; give the directory that holds the data");
  }
  if (access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
    return absl::PermissionDeniedError(
        "the data directory " + directory +
        " must be readable and writable by this process: " + strerror(errno));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenEmbedded(const EmbeddedOptions& options) {
  FULCRUM_ASSIGN_OR_RETURN(std::unique_ptr<Store> store, EmbeddedStore::Open(options));
  return store;
}

absl::StatusOr<std::unique_ptr<EmbeddedStore>> EmbeddedStore::Open(const EmbeddedOptions& options) {
  FULCRUM_RETURN_IF_ERROR(CheckDirectory(options.directory));
  std::unique_ptr<EmbeddedStore> store(new EmbeddedStore(options));
  FULCRUM_ASSIGN_OR_RETURN(store->lock_, LockFile::Acquire(options.directory + "/LOCK"));

  const std::string inbox_path = options.directory + "/inbox.sqlite";
  const std::string duckdb_path =
      options.duckdb_path.empty() ? options.directory + "/fulcrum.duckdb" : options.duckdb_path;
  const bool had_inbox = Exists(inbox_path);
  if (!had_inbox && Exists(duckdb_path)) {
    return absl::DataLossError("there is " + duckdb_path + " but no " + inbox_path +
                               ", which may hold batches that were not loaded yet; restore it, or "
                               "export the DuckDB file and start in an empty directory");
  }
  if (!had_inbox && options.read_only) {
    return Unavailable("there is no " + inbox_path + ": nothing was ever stored here");
  }
  FULCRUM_ASSIGN_OR_RETURN(
      store->inbox_,
      Inbox::Open({.path = inbox_path, .max_backlog_bytes = options.max_backlog_bytes}));
  FULCRUM_ASSIGN_OR_RETURN(
      store->analytics_,
      Analytics::Open({.path = duckdb_path,
                       .temp_directory = options.directory + "/tmp",
                       .memory_bytes = options.duckdb_memory_bytes,
                       .threads = options.threads},
                      store->inbox_->store_id(), store->inbox_->first_sequence() == 1));
  FULCRUM_ASSIGN_OR_RETURN(store->loader_,
                           Loader::Start(store->inbox_.get(), store->analytics_.get(),
                                         {.memory_bytes = options.loader_memory_bytes}));
  store->runner_ =
      std::make_unique<PlanRunner>(RunnerOptions{.threads = options.threads,
                                                 .spill_directory = options.directory + "/tmp",
                                                 .kept_bytes = options.report_kept_bytes});
  return store;
}

absl::Status EmbeddedStore::RefuseIfReadOnly() const {
  if (!options_.read_only) return absl::OkStatus();
  return FailedPrecondition("the store in " + options_.directory + " was opened for reading only");
}

absl::StatusOr<AppendResult> EmbeddedStore::Append(const AppendRequest& request) {
  FULCRUM_RETURN_IF_ERROR(RefuseIfReadOnly());
  return inbox_->Append(request);
}

absl::StatusOr<int64_t> EmbeddedStore::AppendControl(const core::ControlRecord& record) {
  FULCRUM_RETURN_IF_ERROR(RefuseIfReadOnly());
  return inbox_->AppendControl(record);
}

absl::StatusOr<std::vector<core::ControlRecord>> EmbeddedStore::ReadControls() {
  return inbox_->ReadControls();
}

absl::Status EmbeddedStore::PutSticky(std::string_view experiment, std::string_view unit,
                                      std::string_view variant, int32_t phase) {
  FULCRUM_RETURN_IF_ERROR(RefuseIfReadOnly());
  return inbox_->PutSticky(experiment, unit, variant, phase);
}

absl::StatusOr<std::vector<StickyAssignment>> EmbeddedStore::ReadSticky() {
  return inbox_->ReadSticky();
}

absl::Status EmbeddedStore::PutDefinition(const DefinitionRecord& record) {
  FULCRUM_RETURN_IF_ERROR(RefuseIfReadOnly());
  return inbox_->PutDefinition(record);
}

absl::StatusOr<std::vector<DefinitionRecord>> EmbeddedStore::ReadDefinitions() {
  return inbox_->ReadDefinitions();
}

absl::StatusOr<int64_t> EmbeddedStore::Freeze(int64_t now_ms) { return inbox_->Freeze(now_ms); }

absl::StatusOr<PlanResult> EmbeddedStore::Run(const Plan& plan) {
  FULCRUM_RETURN_IF_ERROR(Flush());
  FULCRUM_ASSIGN_OR_RETURN(const AnalyticsSession session, analytics_->Connect());
  Plan bounded = plan;
  bounded.memory_limit_bytes = std::min(plan.memory_limit_bytes, options_.report_memory_bytes);
  return runner_->Run(*session.database, bounded);
}

namespace {

constexpr char kOfUnit[] =
    "r.kind = (SELECT code FROM unit_kinds WHERE kind = $1) AND r.unit = "
    "(SELECT u.id FROM units u JOIN unit_kinds k ON k.code = u.kind WHERE k.kind = $1 AND "
    "u.text = $2) ";

struct AttributeColumn {
  std::string key;
  std::string sql;  // 't', 'n' or 'b', and the value as text.
};

absl::StatusOr<std::vector<AttributeColumn>> AttributeColumns(duckdb::Connection& connection) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      connection.Query("SELECT id, key, has_number, has_text, has_bool FROM properties "
                       "WHERE scope = $1 ORDER BY key",
                       {int32_t{kScopeExposure}}));
  std::vector<AttributeColumn> columns;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return columns;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const int32_t id = chunk.data<int32_t>(0)[row];
      std::string sql = "coalesce(NULL";
      if (chunk.data<bool>(2)[row]) sql += ", 'n' || (r." + NumberColumn(id) + ")::VARCHAR";
      if (chunk.data<bool>(3)[row]) {
        sql += ", 't' || (SELECT text FROM strings WHERE id = r." + TextColumn(id) + ")";
      }
      if (chunk.data<bool>(4)[row]) sql += ", 'b' || (r." + BoolColumn(id) + ")::VARCHAR";
      columns.push_back({std::string(chunk.text(1, row)), sql + ")"});
    }
  }
}

// Phase, propensity, snapshot and attributes of the first exposure to each variant.
absl::Status AddFirsts(duckdb::Connection& connection, std::string_view kind, std::string_view id,
                       std::vector<UnitSighting>* sightings) {
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<AttributeColumn> attributes,
                           AttributeColumns(connection));
  std::string sql =
      "SELECT e.text, v.text, r.phase, coalesce(r.propensity, 0), "
      "(SELECT text FROM strings WHERE id = r.snapshot)";
  for (const AttributeColumn& attribute : attributes) sql += ", " + attribute.sql;
  sql +=
      " FROM first_exposures r JOIN experiments e ON e.id = r.experiment "
      "JOIN variants v ON v.id = r.variant WHERE ";
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      connection.Query(sql + kOfUnit + "ORDER BY r.ts_ms DESC, r.seq DESC", {kind, id}));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const auto sighting =
          std::find_if(sightings->begin(), sightings->end(), [&](const UnitSighting& s) {
            return s.experiment == chunk.text(0, row) && s.variant == chunk.text(1, row);
          });
      if (sighting == sightings->end()) continue;
      sighting->phase = chunk.data<int32_t>(2)[row];  // The earliest comes last.
      sighting->propensity = chunk.data<double>(3)[row];
      sighting->snapshot = chunk.is_null(4, row) ? "" : std::string(chunk.text(4, row));
      sighting->attributes.clear();
      for (size_t i = 0; i < attributes.size(); ++i) {
        const int column = static_cast<int>(i) + 5;
        if (chunk.is_null(column, row)) continue;
        const std::string_view text = chunk.text(column, row);
        sighting->attributes[attributes[i].key] =
            text[0] == 't' ? JsonString(text.substr(1)) : std::string(text.substr(1));
      }
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<UnitSighting>> EmbeddedStore::Unit(std::string_view kind,
                                                              std::string_view id) {
  FULCRUM_RETURN_IF_ERROR(Flush());
  FULCRUM_ASSIGN_OR_RETURN(AnalyticsSession session, analytics_->Connect());
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      session.connection.Query(
          std::string("SELECT e.text, v.text, min(r.ts_ms), max(r.ts_ms), count(*) "
                      "FROM exposure_rows r JOIN experiments e ON e.id = r.experiment "
                      "JOIN variants v ON v.id = r.variant WHERE ") +
              kOfUnit + "GROUP BY ALL ORDER BY 3, 1, 2",
          {kind, id}));
  std::vector<UnitSighting> sightings;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) break;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      UnitSighting sighting;
      sighting.experiment = chunk.text(0, row);
      sighting.variant = chunk.text(1, row);
      sighting.first_ms = chunk.data<int64_t>(2)[row];
      sighting.last_ms = chunk.data<int64_t>(3)[row];
      sighting.exposures = chunk.data<int64_t>(4)[row];
      sightings.push_back(std::move(sighting));
    }
  }
  FULCRUM_RETURN_IF_ERROR(AddFirsts(session.connection, kind, id, &sightings));
  return sightings;
}

absl::Status EmbeddedStore::PutResults(const std::vector<ResultRow>& rows) {
  FULCRUM_RETURN_IF_ERROR(RefuseIfReadOnly());
  FULCRUM_ASSIGN_OR_RETURN(AnalyticsSession session, analytics_->Connect());
  duckdb::Connection& connection = session.connection;
  FULCRUM_RETURN_IF_ERROR(connection.Execute("BEGIN"));
  // A connection that is dropped rolls back, so every early return leaves nothing half-done.
  for (const ResultRow& row : rows) {
    FULCRUM_RETURN_IF_ERROR(connection.Execute(
        "DELETE FROM result_rows WHERE experiment = $1 AND metric = $2 AND arm = $3 AND "
        "statistic = $4 AND as_of_ms = $5",
        {row.experiment, row.metric, row.arm, row.statistic, row.as_of_ms}));
    FULCRUM_RETURN_IF_ERROR(connection.Execute(
        "INSERT INTO result_rows VALUES ($1, $2, $3, $4, $5, $6)",
        {row.experiment, row.metric, row.arm, row.statistic, row.value, row.as_of_ms}));
  }
  return connection.Execute("COMMIT");
}

absl::Status EmbeddedStore::Export(const std::string& directory, const std::string& format) {
  FULCRUM_RETURN_IF_ERROR(Flush());
  FULCRUM_ASSIGN_OR_RETURN(AnalyticsSession session, analytics_->Connect());
  return ExportTo(session.connection, directory, format);
}

absl::Status EmbeddedStore::Flush() { return loader_->Flush(); }

StoreStats EmbeddedStore::stats() const {
  StoreStats stats;
  loader_->AddStats(&stats);
  stats.durable_sequence = inbox_->durable_sequence();
  stats.backlog_batches = stats.durable_sequence - stats.loaded_sequence;
  stats.backlog_bytes = inbox_->backlog_bytes();
  return stats;
}

}  // namespace fulcrum::store
