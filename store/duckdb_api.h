// SPDX-License-Identifier: Apache-2.0
//
// The one pair of files over DuckDB's C API: owned handles, errors that name the query, prepared
// parameters, chunks in and out. Nothing here knows what is stored.
//
// Threads: a Database may be used from several threads, each with its own Connection. Connection,
// Result, Chunk and Appender belong to one thread at a time.
#pragma once

#include <duckdb.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fulcrum::store::duckdb {

// Owns a C handle, which `Destroy` frees and nulls.
template <typename T, auto Destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) : value_(value) {}
  ~Handle() { Reset(); }
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      Reset();
      value_ = std::exchange(other.value_, T{});
    }
    return *this;
  }
  T get() const { return value_; }
  T* out() {
    Reset();
    return &value_;
  }
  explicit operator bool() const { return value_ != T{}; }
  void Reset() {
    if (value_ != T{}) Destroy(&value_);
    value_ = T{};
  }

 private:
  T value_{};
};

using LogicalTypeHandle = Handle<duckdb_logical_type, duckdb_destroy_logical_type>;
using ValueHandle = Handle<duckdb_value, duckdb_destroy_value>;
using DataChunkHandle = Handle<duckdb_data_chunk, duckdb_destroy_data_chunk>;

// A prepared parameter; monostate is NULL.
using Param = std::variant<std::monostate, bool, int32_t, int64_t, double, std::string_view>;
using Params = std::vector<Param>;

// Up to 2,048 rows, column by column, of a chunk that someone else owns. A value type.
class ChunkView {
 public:
  explicit ChunkView(duckdb_data_chunk chunk = nullptr) : raw_(chunk) {}

  int64_t size() const { return static_cast<int64_t>(duckdb_data_chunk_get_size(raw_)); }
  int columns() const { return static_cast<int>(duckdb_data_chunk_get_column_count(raw_)); }
  explicit operator bool() const { return raw_ != nullptr; }

  // T is the column's physical type: bool, int32_t, int64_t, uint64_t, double, …; rows that are
  // NULL hold anything. TIMESTAMP is int64_t microseconds.
  template <typename T>
  const T* data(int column) const {
    return static_cast<const T*>(duckdb_vector_get_data(Vector(column)));
  }
  // One bit a row, set = not NULL; nullptr = no row is NULL.
  const uint64_t* validity(int column) const { return duckdb_vector_get_validity(Vector(column)); }
  static bool IsValid(const uint64_t* validity, int64_t row) {
    return validity == nullptr || ((validity[row >> 6] >> (row & 63)) & 1) != 0;
  }
  bool is_null(int column, int64_t row) const { return !IsValid(validity(column), row); }
  // VARCHAR and BLOB columns.
  std::string_view text(int column, int64_t row) const {
    return TextOf(data<duckdb_string_t>(column)[row]);
  }
  static std::string_view TextOf(const duckdb_string_t& text) {
    const uint32_t length = text.value.inlined.length;
    return {length <= 12 ? text.value.inlined.inlined : text.value.pointer.ptr, length};
  }

 private:
  duckdb_vector Vector(int column) const {
    return duckdb_data_chunk_get_vector(raw_, static_cast<idx_t>(column));
  }
  duckdb_data_chunk raw_;
};

// The same, owned: views are valid until it is destroyed.
class Chunk : public ChunkView {
 public:
  Chunk() = default;
  explicit Chunk(duckdb_data_chunk chunk) : ChunkView(chunk), owned_(chunk) {}

 private:
  DataChunkHandle owned_;
};

// Takes the rows of Connection::ScanInto.
class RowSink {
 public:
  static constexpr int kMaxWorkers = 64;
  virtual ~RowSink() = default;
  // Called on DuckDB's threads and the caller's, several at once. Calls of one `worker`
  // (0 <= worker < kMaxWorkers) never overlap; numbers are given from 0 as threads turn up.
  virtual void AddRows(const ChunkView& rows, int worker) = 0;
};

// Owns its rows, or (streaming) the running query. Must not outlive its Connection.
class Result {
 public:
  Result() = default;
  ~Result();
  Result(Result&& other) noexcept;
  Result& operator=(Result&& other) noexcept;

  int columns() const;
  std::string_view column_name(int column) const;
  duckdb_type column_type(int column) const;  // DUCKDB_TYPE_INTEGER, …
  int64_t rows_changed() const;               // Of an INSERT, UPDATE or DELETE.

  // The next chunk, an empty one (false) after the last. An error met while streaming is a Status.
  absl::StatusOr<Chunk> Next();

 private:
  friend class Connection;
  duckdb_result result_{};
  bool owned_ = false;
  std::string query_;
};

class Connection {
 public:
  Connection() = default;
  Connection(Connection&&) = default;
  Connection& operator=(Connection&&) = default;

  // Statements without parameters, one or several, without a result.
  absl::Status Execute(std::string_view sql);
  // One statement with parameters ($1, $2, … or ?), without a result.
  absl::Status Execute(std::string_view sql, const Params& params);
  // One statement; the whole result is materialised.
  absl::StatusOr<Result> Query(std::string_view sql, const Params& params = {});
  // One statement; rows are computed as Next() asks for them, so memory stays bounded. Nothing
  // else may run on this connection until the result is destroyed.
  absl::StatusOr<Result> Stream(std::string_view sql, const Params& params = {});
  // `SELECT columns FROM …`, each chunk handed to `sink` by the thread that read it, without a copy
  // and in no order. Twice as fast as Stream where the rows are many: nothing waits for one thread.
  // Returns the number of rows.
  absl::StatusOr<int64_t> ScanInto(std::string_view columns, std::string_view from, RowSink* sink);
  // The single number of a one-row result; NULL or no row is NotFound.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql, const Params& params = {});
  absl::StatusOr<double> QueryDouble(std::string_view sql, const Params& params = {});
  absl::StatusOr<std::string> QueryText(std::string_view sql, const Params& params = {});

  // Stops what runs on this connection; the only call that another thread may make.
  void Interrupt();
  duckdb_connection raw() const { return connection_.get(); }

 private:
  friend class Database;
  absl::StatusOr<Result> Run(std::string_view sql, const Params& params, bool streaming);
  Handle<duckdb_connection, duckdb_disconnect> connection_;
};

struct Setting {
  std::string name;
  std::string value;
};

class Database {
 public:
  Database() = default;
  Database(Database&&) = default;
  Database& operator=(Database&&) = default;

  // `path` "" or ":memory:" is a database in memory. Extensions are never installed or loaded by
  // themselves. DataLoss: the file is not (or no longer) a DuckDB file.
  static absl::StatusOr<Database> Open(const std::string& path,
                                       const std::vector<Setting>& settings = {});
  absl::StatusOr<Connection> Connect();

 private:
  Handle<duckdb_database, duckdb_close> database_;
  std::string path_;
};

// Writable columns of one chunk: fill rows 0 … kRows-1, then Appender::Append(rows).
class WriteChunk {
 public:
  static constexpr int64_t kRows = 2048;

  explicit WriteChunk(std::span<const duckdb_type> types);
  template <typename T>
  T* data(int column) {
    return static_cast<T*>(
        duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk_.get(), Index(column))));
  }
  // All rows valid at first; a cleared bit is NULL.
  uint64_t* validity(int column);
  static void SetNull(uint64_t* validity, int64_t row) {
    validity[row >> 6] &= ~(uint64_t{1} << (row & 63));
  }
  void SetText(int column, int64_t row, std::string_view text);
  void Reset() { duckdb_data_chunk_reset(chunk_.get()); }

 private:
  friend class Appender;
  static idx_t Index(int column) { return static_cast<idx_t>(column); }
  DataChunkHandle chunk_;
};

// Appends to a table inside the connection's transaction. After an error the transaction must be
// rolled back.
class Appender {
 public:
  // `columns` names the table's columns that chunks carry, in order; empty = all. Others are NULL.
  static absl::StatusOr<Appender> Open(Connection* connection, const std::string& table,
                                       std::span<const std::string> columns = {});
  absl::Status Append(WriteChunk* chunk, int64_t rows);
  absl::Status Close();  // Flushes; without it nothing is sure to be in the table.

 private:
  absl::Status ToStatus(std::string_view doing) const;
  Handle<duckdb_appender, duckdb_appender_destroy> appender_;
  std::string table_;
};

// "it''s" -> the SQL text literal 'it''s', for the few statements that take no parameters (COPY,
// ATTACH, SET). Identifiers: QuoteName.
std::string QuoteText(std::string_view text);
std::string QuoteName(std::string_view name);

}  // namespace fulcrum::store::duckdb
