// SPDX-License-Identifier: Apache-2.0
//
// SQLite behind owned handles: errors become Status with what was being done. A connection belongs
// to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fulcrum::store::sqlite {

// Unavailable: disk full or an I/O error. DataLoss: the file is damaged or no SQLite file.
// FailedPrecondition: locked by another process. PermissionDenied: read-only.
absl::Status ToStatus(sqlite3* connection, int code, std::string_view doing);

// A prepared statement, reused: Reset() is called by Run() and by the destructor of Rows.
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3_stmt* statement, std::string_view sql) : statement_(statement), sql_(sql) {}

  void Bind(int index, int64_t value) { sqlite3_bind_int64(statement_.get(), index, value); }
  void Bind(int index, std::string_view value);      // TEXT; must stay alive until Reset().
  void BindBlob(int index, std::string_view value);  // The same.

  absl::StatusOr<bool> Step();  // True: there is a row.
  absl::Status Run();           // To the end, then Reset().
  void Reset();

  int64_t Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::string_view Text(int column) const;  // Of TEXT or BLOB; valid until the next Step().

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  std::string sql_;
};

class Connection {
 public:
  // `flags` as of sqlite3_open_v2.
  static absl::StatusOr<Connection> Open(const std::string& path, int flags);

  absl::Status Execute(const std::string& sql);
  absl::StatusOr<Statement> Prepare(std::string_view sql);
  absl::StatusOr<int64_t> QueryInt(std::string_view sql);
  absl::StatusOr<std::string> QueryText(std::string_view sql);
  sqlite3* raw() const { return connection_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  std::unique_ptr<sqlite3, Close> connection_;
};

}  // namespace fulcrum::store::sqlite
