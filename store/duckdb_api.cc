// SPDX-License-Identifier: Apache-2.0
#include "store/duckdb_api.h"

#include <algorithm>
#include <exception>
#include <map>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "base/mutex.h"
#include "base/status.h"

namespace fulcrum::store::duckdb {
namespace {

using PreparedHandle = Handle<duckdb_prepared_statement, duckdb_destroy_prepare>;
using PendingHandle = Handle<duckdb_pending_result, duckdb_destroy_pending>;
using ConfigHandle = Handle<duckdb_config, duckdb_destroy_config>;

// A long statement is cut: the message is for people.
std::string Brief(std::string_view sql) {
  constexpr size_t kMax = 300;
  return sql.size() <= kMax ? std::string(sql) : std::string(sql.substr(0, kMax)) + " …";
}

absl::StatusCode CodeOf(duckdb_error_type type) {
  switch (type) {
    case DUCKDB_ERROR_OUT_OF_MEMORY:
      return absl::StatusCode::kResourceExhausted;
    case DUCKDB_ERROR_IO:
    case DUCKDB_ERROR_CONNECTION:
      return absl::StatusCode::kUnavailable;
    case DUCKDB_ERROR_FATAL:
    case DUCKDB_ERROR_SERIALIZATION:
      return absl::StatusCode::kDataLoss;
    case DUCKDB_ERROR_PERMISSION:
      return absl::StatusCode::kPermissionDenied;
    case DUCKDB_ERROR_INTERRUPT:
      return absl::StatusCode::kCancelled;
    case DUCKDB_ERROR_TRANSACTION:
      return absl::StatusCode::kAborted;
    case DUCKDB_ERROR_CATALOG:
      return absl::StatusCode::kNotFound;
    case DUCKDB_ERROR_OUT_OF_RANGE:
    case DUCKDB_ERROR_CONVERSION:
    case DUCKDB_ERROR_MISMATCH_TYPE:
    case DUCKDB_ERROR_INVALID_TYPE:
    case DUCKDB_ERROR_INVALID_INPUT:
    case DUCKDB_ERROR_BINDER:
    case DUCKDB_ERROR_PARSER:
    case DUCKDB_ERROR_SYNTAX:
    case DUCKDB_ERROR_CONSTRAINT:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status QueryError(const char* message, duckdb_error_type type, std::string_view sql) {
  std::string text = message != nullptr && *message != 0 ? message : "unknown DuckDB error";
  text.append(" [in: ").append(Brief(sql)).append("]");
  return absl::Status(CodeOf(type), text);
}

absl::Status Bind(duckdb_prepared_statement statement, idx_t index, const Param& param,
                  std::string_view sql) {
  duckdb_state state = DuckDBError;
  if (std::holds_alternative<std::monostate>(param)) {
    state = duckdb_bind_null(statement, index);
  } else if (const bool* boolean = std::get_if<bool>(&param)) {
    state = duckdb_bind_boolean(statement, index, *boolean);
  } else if (const int32_t* small = std::get_if<int32_t>(&param)) {
    state = duckdb_bind_int32(statement, index, *small);
  } else if (const int64_t* integer = std::get_if<int64_t>(&param)) {
    state = duckdb_bind_int64(statement, index, *integer);
  } else if (const double* number = std::get_if<double>(&param)) {
    state = duckdb_bind_double(statement, index, *number);
  } else {
    const std::string_view text = std::get<std::string_view>(param);
    state = duckdb_bind_varchar_length(statement, index, text.data(), text.size());
  }
  if (state == DuckDBSuccess) return absl::OkStatus();
  return QueryError(duckdb_prepare_error(statement), DUCKDB_ERROR_INVALID_INPUT, sql);
}

// --- ScanInto: a scalar function that hands its arguments to a sink -----------------------------

constexpr char kSinkFunction[] = "fulcrum_sink";

// One running ScanInto. Threads get their worker number at their first chunk.
class RunningScan {
 public:
  explicit RunningScan(RowSink* sink) : sink_(sink) {}
  RowSink* sink() const { return sink_; }
  int WorkerOfThisThread() {
    const std::thread::id self = std::this_thread::get_id();
    MutexLock lock(&mutex_);
    for (size_t w = 0; w < threads_.size(); ++w) {
      if (threads_[w] == self) return static_cast<int>(w);
    }
    threads_.push_back(self);
    return static_cast<int>(threads_.size()) - 1;
  }

 private:
  RowSink* const sink_;
  Mutex mutex_;
  std::vector<std::thread::id> threads_ ABSL_GUARDED_BY(mutex_);
};

// Which scan a call belongs to: SQL can carry a number, not a pointer.
class RunningScans {
 public:
  static RunningScans& Get() {
    static RunningScans scans;
    return scans;
  }
  int64_t Add(RunningScan* scan) {
    MutexLock lock(&mutex_);
    scans_[++last_] = scan;
    return last_;
  }
  void Remove(int64_t token) {
    MutexLock lock(&mutex_);
    scans_.erase(token);
  }
  RunningScan* Find(int64_t token) {
    MutexLock lock(&mutex_);
    const auto it = scans_.find(token);
    return it == scans_.end() ? nullptr : it->second;
  }

 private:
  Mutex mutex_;
  int64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int64_t, RunningScan*> scans_ ABSL_GUARDED_BY(mutex_);
};

// The last argument is the scan's token; nothing is thrown into DuckDB.
void SinkRows(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const ChunkView rows(input);
  const auto size = static_cast<size_t>(rows.size());
  auto* out = static_cast<bool*>(duckdb_vector_get_data(output));
  std::fill(out, out + size, true);
  if (size == 0) return;
  RunningScan* scan = RunningScans::Get().Find(rows.data<int64_t>(rows.columns() - 1)[0]);
  if (scan == nullptr) {
    duckdb_scalar_function_set_error(info, "fulcrum_sink is for the program's own scans");
    return;
  }
  const int worker = scan->WorkerOfThisThread();
  if (worker >= RowSink::kMaxWorkers) {
    duckdb_scalar_function_set_error(info, "the scan runs on more than 64 threads; set fewer");
    return;
  }
  try {
    scan->sink()->AddRows(rows, worker);
  } catch (const std::exception& error) {
    duckdb_scalar_function_set_error(info, error.what());
  }
}

absl::Status RegisterSink(duckdb_connection connection) {
  Handle<duckdb_scalar_function, duckdb_destroy_scalar_function> function(
      duckdb_create_scalar_function());
  const LogicalTypeHandle any(duckdb_create_logical_type(DUCKDB_TYPE_ANY));
  const LogicalTypeHandle boolean(duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN));
  duckdb_scalar_function_set_name(function.get(), kSinkFunction);
  duckdb_scalar_function_set_varargs(function.get(), any.get());
  duckdb_scalar_function_set_return_type(function.get(), boolean.get());
  duckdb_scalar_function_set_special_handling(function.get());
  duckdb_scalar_function_set_volatile(function.get());
  duckdb_scalar_function_set_function(function.get(), SinkRows);
  if (duckdb_register_scalar_function(connection, function.get()) == DuckDBSuccess) {
    return absl::OkStatus();
  }
  return Internal("DuckDB did not take the function fulcrum_sink");
}

}  // namespace

Result::~Result() {
  if (owned_) duckdb_destroy_result(&result_);
}

Result::Result(Result&& other) noexcept
    : result_(other.result_),
      owned_(std::exchange(other.owned_, false)),
      query_(std::move(other.query_)) {}

Result& Result::operator=(Result&& other) noexcept {
  if (this != &other) {
    if (owned_) duckdb_destroy_result(&result_);
    result_ = other.result_;
    owned_ = std::exchange(other.owned_, false);
    query_ = std::move(other.query_);
  }
  return *this;
}

int Result::columns() const {
  return static_cast<int>(duckdb_column_count(const_cast<duckdb_result*>(&result_)));
}

std::string_view Result::column_name(int column) const {
  return duckdb_column_name(const_cast<duckdb_result*>(&result_), static_cast<idx_t>(column));
}

duckdb_type Result::column_type(int column) const {
  return duckdb_column_type(const_cast<duckdb_result*>(&result_), static_cast<idx_t>(column));
}

int64_t Result::rows_changed() const {
  return static_cast<int64_t>(duckdb_rows_changed(const_cast<duckdb_result*>(&result_)));
}

absl::StatusOr<Chunk> Result::Next() {
  while (true) {
    Chunk chunk(duckdb_fetch_chunk(result_));
    if (!chunk) {
      const char* error = duckdb_result_error(&result_);
      if (error != nullptr && *error != 0) {
        return QueryError(error, duckdb_result_error_type(&result_), query_);
      }
      return chunk;
    }
    if (chunk.size() > 0) return chunk;
  }
}

absl::Status Connection::Execute(std::string_view sql) {
  const std::string text(sql);
  duckdb_result result{};
  absl::Cleanup destroy = [&result] { duckdb_destroy_result(&result); };
  if (duckdb_query(connection_.get(), text.c_str(), &result) == DuckDBSuccess) {
    return absl::OkStatus();
  }
  return QueryError(duckdb_result_error(&result), duckdb_result_error_type(&result), sql);
}

absl::Status Connection::Execute(std::string_view sql, const Params& params) {
  return Run(sql, params, false).status();
}

absl::StatusOr<Result> Connection::Query(std::string_view sql, const Params& params) {
  return Run(sql, params, false);
}

absl::StatusOr<Result> Connection::Stream(std::string_view sql, const Params& params) {
  return Run(sql, params, true);
}

absl::StatusOr<int64_t> Connection::ScanInto(std::string_view columns, std::string_view from,
                                             RowSink* sink) {
  RunningScan scan(sink);
  const int64_t token = RunningScans::Get().Add(&scan);
  absl::Cleanup remove = [token] { RunningScans::Get().Remove(token); };
  std::string sql = "SELECT count(";
  sql.append(kSinkFunction).append("(").append(columns).append(", ").append(std::to_string(token));
  return QueryInt(sql.append("::BIGINT)) ").append(from));
}

absl::StatusOr<Result> Connection::Run(std::string_view sql, const Params& params, bool streaming) {
  const std::string text(sql);
  PreparedHandle statement;
  if (duckdb_prepare(connection_.get(), text.c_str(), statement.out()) != DuckDBSuccess) {
    return QueryError(duckdb_prepare_error(statement.get()), DUCKDB_ERROR_BINDER, sql);
  }
  for (size_t i = 0; i < params.size(); ++i) {
    FULCRUM_RETURN_IF_ERROR(Bind(statement.get(), i + 1, params[i], sql));
  }
  Result result;
  result.query_ = text;
  result.owned_ = true;
  duckdb_state state = DuckDBError;
  if (streaming) {
    PendingHandle pending;
    if (duckdb_pending_prepared_streaming(statement.get(), pending.out()) != DuckDBSuccess) {
      return QueryError(duckdb_pending_error(pending.get()), DUCKDB_ERROR_INVALID, sql);
    }
    state = duckdb_execute_pending(pending.get(), &result.result_);
  } else {
    state = duckdb_execute_prepared(statement.get(), &result.result_);
  }
  if (state != DuckDBSuccess) {
    return QueryError(duckdb_result_error(&result.result_),
                      duckdb_result_error_type(&result.result_), sql);
  }
  return result;
}

absl::StatusOr<int64_t> Connection::QueryInt(std::string_view sql, const Params& params) {
  // One cast, so that every integer type reads the same way.
  std::string query("SELECT CAST(c AS BIGINT) FROM (");
  query.append(sql).append(") AS t(c)");
  FULCRUM_ASSIGN_OR_RETURN(Result result, Query(query, params));
  FULCRUM_ASSIGN_OR_RETURN(const Chunk chunk, result.Next());
  if (!chunk || chunk.is_null(0, 0)) return NotFound("no row from: " + Brief(sql));
  return chunk.data<int64_t>(0)[0];
}

absl::StatusOr<double> Connection::QueryDouble(std::string_view sql, const Params& params) {
  std::string query("SELECT CAST(c AS DOUBLE) FROM (");
  query.append(sql).append(") AS t(c)");
  FULCRUM_ASSIGN_OR_RETURN(Result result, Query(query, params));
  FULCRUM_ASSIGN_OR_RETURN(const Chunk chunk, result.Next());
  if (!chunk || chunk.is_null(0, 0)) return NotFound("no row from: " + Brief(sql));
  return chunk.data<double>(0)[0];
}

absl::StatusOr<std::string> Connection::QueryText(std::string_view sql, const Params& params) {
  std::string query("SELECT CAST(c AS VARCHAR) FROM (");
  query.append(sql).append(") AS t(c)");
  FULCRUM_ASSIGN_OR_RETURN(Result result, Query(query, params));
  FULCRUM_ASSIGN_OR_RETURN(const Chunk chunk, result.Next());
  if (!chunk || chunk.is_null(0, 0)) return NotFound("no row from: " + Brief(sql));
  return std::string(chunk.text(0, 0));
}

void Connection::Interrupt() { duckdb_interrupt(connection_.get()); }

absl::StatusOr<Database> Database::Open(const std::string& path,
                                        const std::vector<Setting>& settings) {
  ConfigHandle config;
  if (duckdb_create_config(config.out()) != DuckDBSuccess) {
    return Internal("DuckDB made no configuration object");
  }
  std::vector<Setting> all = {{"autoinstall_known_extensions", "false"},
                              {"autoload_known_extensions", "false"}};
  all.insert(all.end(), settings.begin(), settings.end());
  for (const Setting& setting : all) {
    if (duckdb_set_config(config.get(), setting.name.c_str(), setting.value.c_str()) !=
        DuckDBSuccess) {
      return InvalidArgument("DuckDB refused the setting " + setting.name + " = " + setting.value);
    }
  }
  Database database;
  database.path_ = path;
  char* error = nullptr;
  absl::Cleanup free_error = [&error] { duckdb_free(error); };
  const char* target = path.empty() ? nullptr : path.c_str();
  if (duckdb_open_ext(target, database.database_.out(), config.get(), &error) == DuckDBSuccess) {
    FULCRUM_ASSIGN_OR_RETURN(const Connection connection, database.Connect());
    FULCRUM_RETURN_IF_ERROR(RegisterSink(connection.raw()));
    return database;
  }
  std::string message = error != nullptr ? error : "unknown error";
  // The C API gives no error type here, so the text decides between "busy" and "damaged".
  absl::StatusCode code = absl::StatusCode::kDataLoss;
  if (message.find("lock") != std::string::npos) code = absl::StatusCode::kFailedPrecondition;
  if (message.find("Permission denied") != std::string::npos) {
    code = absl::StatusCode::kPermissionDenied;
  }
  if (message.find("No such file") != std::string::npos ||
      message.find("does not exist") != std::string::npos) {
    code = absl::StatusCode::kNotFound;
  }
  if (message.find("No space left") != std::string::npos) code = absl::StatusCode::kUnavailable;
  return absl::Status(code, "DuckDB cannot open " + path + ": " + message);
}

absl::StatusOr<Connection> Database::Connect() {
  Connection connection;
  if (duckdb_connect(database_.get(), connection.connection_.out()) != DuckDBSuccess) {
    return Unavailable("DuckDB gave no connection to " + path_);
  }
  return connection;
}

WriteChunk::WriteChunk(std::span<const duckdb_type> types) {
  std::vector<LogicalTypeHandle> owned;
  std::vector<duckdb_logical_type> raw;
  for (const duckdb_type type : types) {
    owned.emplace_back(duckdb_create_logical_type(type));
    raw.push_back(owned.back().get());
  }
  chunk_ = DataChunkHandle(duckdb_create_data_chunk(raw.data(), raw.size()));
}

uint64_t* WriteChunk::validity(int column) {
  const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk_.get(), Index(column));
  duckdb_vector_ensure_validity_writable(vector);
  return duckdb_vector_get_validity(vector);
}

void WriteChunk::SetText(int column, int64_t row, std::string_view text) {
  duckdb_vector_assign_string_element_len(duckdb_data_chunk_get_vector(chunk_.get(), Index(column)),
                                          static_cast<idx_t>(row), text.data(), text.size());
}

absl::StatusOr<Appender> Appender::Open(Connection* connection, const std::string& table,
                                        std::span<const std::string> columns) {
  Appender appender;
  appender.table_ = table;
  if (duckdb_appender_create(connection->raw(), nullptr, table.c_str(), appender.appender_.out()) !=
      DuckDBSuccess) {
    return appender.ToStatus("opening");
  }
  for (const std::string& column : columns) {
    if (duckdb_appender_add_column(appender.appender_.get(), column.c_str()) != DuckDBSuccess) {
      return appender.ToStatus("choosing column " + column);
    }
  }
  return appender;
}

absl::Status Appender::Append(WriteChunk* chunk, int64_t rows) {
  if (rows == 0) return absl::OkStatus();
  duckdb_data_chunk_set_size(chunk->chunk_.get(), static_cast<idx_t>(rows));
  if (duckdb_append_data_chunk(appender_.get(), chunk->chunk_.get()) != DuckDBSuccess) {
    return ToStatus("appending");
  }
  return absl::OkStatus();
}

absl::Status Appender::Close() {
  if (duckdb_appender_close(appender_.get()) != DuckDBSuccess) return ToStatus("flushing");
  return absl::OkStatus();
}

absl::Status Appender::ToStatus(std::string_view doing) const {
  duckdb_error_data error = duckdb_appender_error_data(appender_.get());
  absl::Cleanup destroy = [&error] { duckdb_destroy_error_data(&error); };
  const char* message = error != nullptr ? duckdb_error_data_message(error) : nullptr;
  const duckdb_error_type type =
      error != nullptr ? duckdb_error_data_error_type(error) : DUCKDB_ERROR_INTERNAL;
  std::string where(doing);
  where.append(" table ").append(table_);
  return QueryError(message, type, where);
}

std::string QuoteText(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + "'";
}

std::string QuoteName(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace fulcrum::store::duckdb
