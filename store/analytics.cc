// SPDX-License-Identifier: Apache-2.0
#include "store/analytics.h"

#include <chrono>
#include <thread>

#include "base/status.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

std::string Bytes(int64_t bytes) { return std::to_string(bytes / 1024) + "KiB"; }

}  // namespace

absl::StatusOr<std::unique_ptr<Analytics>> Analytics::Open(const AnalyticsOptions& options,
                                                           const std::string& store_id,
                                                           bool may_create) {
  std::unique_ptr<Analytics> analytics(new Analytics(options));
  {
    FULCRUM_ASSIGN_OR_RETURN(std::shared_ptr<duckdb::Database> database, analytics->OpenDatabase());
    MutexLock lock(&analytics->mutex_);
    analytics->database_ = std::move(database);
  }
  if (const absl::Status status = analytics->CheckOrCreate(store_id, may_create); !status.ok()) {
    return Annotate(status, options.path);
  }
  return analytics;
}

absl::StatusOr<std::shared_ptr<duckdb::Database>> Analytics::OpenDatabase() const {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Database database,
      duckdb::Database::Open(options_.path,
                             {{"memory_limit", Bytes(options_.memory_bytes)},
                              {"threads", std::to_string(options_.threads)},
                              {"temp_directory", options_.temp_directory},
                              {"checkpoint_threshold", Bytes(options_.checkpoint_bytes)}}));
  return std::make_shared<duckdb::Database>(std::move(database));
}

absl::Status Analytics::CheckOrCreate(const std::string& store_id, bool may_create) {
  FULCRUM_ASSIGN_OR_RETURN(AnalyticsSession session, Connect());
  duckdb::Connection& connection = session.connection;
  FULCRUM_ASSIGN_OR_RETURN(const int64_t tables,
                           connection.QueryInt("SELECT count(*) FROM duckdb_tables()"));
  if (tables == 0) {
    if (!may_create) {
      return absl::DataLossError(
          "the file is missing or empty, but batches were already moved from the inbox to it; put "
          "it back from a copy, or start anew by moving the inbox away too");
    }
    FULCRUM_RETURN_IF_ERROR(connection.Execute("BEGIN"));
    FULCRUM_RETURN_IF_ERROR(CreateSchema(connection, store_id));
    FULCRUM_RETURN_IF_ERROR(CreateViews(connection));
    FULCRUM_RETURN_IF_ERROR(connection.Execute("COMMIT"));
  }
  FULCRUM_RETURN_IF_ERROR(CheckSchema(connection));
  FULCRUM_ASSIGN_OR_RETURN(const std::string id,
                           connection.QueryText("SELECT value FROM meta WHERE key = 'store_id'"));
  if (id != store_id) {
    return absl::DataLossError(
        "it belongs to another inbox than the one in the data directory; give the pair that "
        "belongs together");
  }
  return connection.Execute("SET lock_configuration = true");
}

absl::StatusOr<AnalyticsSession> Analytics::Connect() {
  AnalyticsSession session;
  {
    MutexLock lock(&mutex_);
    session.database = database_;
  }
  if (session.database == nullptr) {
    return Unavailable(options_.path + " is being opened again; try again in a few seconds");
  }
  FULCRUM_ASSIGN_OR_RETURN(session.connection, session.database->Connect());
  return session;
}

bool Analytics::is_open() {
  MutexLock lock(&mutex_);
  return database_ != nullptr;
}

absl::Status Analytics::Reopen() {
  std::shared_ptr<duckdb::Database> old;
  {
    MutexLock lock(&mutex_);
    old = std::move(database_);
    database_ = nullptr;
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (old.use_count() > 1 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (old.use_count() > 1) {
    MutexLock lock(&mutex_);
    database_ = std::move(old);
    return Unavailable(options_.path + " cannot be opened again while reports run on it");
  }
  old.reset();
  FULCRUM_ASSIGN_OR_RETURN(std::shared_ptr<duckdb::Database> database, OpenDatabase());
  MutexLock lock(&mutex_);
  database_ = std::move(database);
  return absl::OkStatus();
}

}  // namespace fulcrum::store
