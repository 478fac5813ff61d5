// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite_api.h"

#include "base/status.h"

namespace fulcrum::store::sqlite {

absl::Status ToStatus(sqlite3* connection, int code, std::string_view doing) {
  std::string text(doing);
  text.append(": ").append(connection != nullptr ? sqlite3_errmsg(connection)
                                                 : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return Unavailable(text + " (free some disk space; nothing was lost, send it again)");
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return Unavailable(text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return FailedPrecondition(text);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(text);
    case SQLITE_CANTOPEN:
      return Unavailable(text + " (check that the directory exists and may be read and written)");
    default:
      return Internal(text);
  }
}

void Statement::Bind(int index, std::string_view value) {
  sqlite3_bind_text64(statement_.get(), index, value.data() != nullptr ? value.data() : "",
                      value.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void Statement::BindBlob(int index, std::string_view value) {
  sqlite3_bind_blob64(statement_.get(), index, value.data() != nullptr ? value.data() : "",
                      value.size(), SQLITE_STATIC);
}

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return ToStatus(sqlite3_db_handle(statement_.get()), code, sql_);
}

absl::Status Statement::Run() {
  while (true) {
    const absl::StatusOr<bool> row = Step();
    if (!row.ok() || !*row) {
      Reset();
      return row.status();
    }
  }
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::string_view Statement::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<size_t>(size)};
}

absl::StatusOr<Connection> Connection::Open(const std::string& path, int flags) {
  Connection connection;
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  connection.connection_.reset(raw);  // Also after a failure, when it carries the message.
  if (code != SQLITE_OK) return ToStatus(raw, code, "opening " + path);
  sqlite3_extended_result_codes(raw, 1);
  return connection;
}

absl::Status Connection::Execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return absl::OkStatus();
  return ToStatus(connection_.get(), code, sql);
}

absl::StatusOr<Statement> Connection::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return ToStatus(connection_.get(), code, sql);
  return Statement(statement, sql);
}

absl::StatusOr<int64_t> Connection::QueryInt(std::string_view sql) {
  FULCRUM_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  FULCRUM_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return NotFound("no row from: " + std::string(sql));
  return statement.Int(0);
}

absl::StatusOr<std::string> Connection::QueryText(std::string_view sql) {
  FULCRUM_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  FULCRUM_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return NotFound("no row from: " + std::string(sql));
  return std::string(statement.Text(0));
}

}  // namespace fulcrum::store::sqlite
