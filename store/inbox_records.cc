// SPDX-License-Identifier: Apache-2.0
//
// The inbox's small tables: controls, sticky assignments, definitions, batches set aside.
#include <unistd.h>

#include "base/status.h"
#include "store/inbox.h"
#include "store/inbox_statements.h"

namespace fulcrum::store {
namespace {

// Readers of these tables are rare; each takes a connection of its own, so that none waits.
absl::StatusOr<sqlite::Connection> OpenReader(const std::string& path) {
  FULCRUM_ASSIGN_OR_RETURN(sqlite::Connection connection,
                           sqlite::Connection::Open(path, SQLITE_OPEN_READWRITE));
  FULCRUM_RETURN_IF_ERROR(connection.Execute("PRAGMA wal_autocheckpoint=0"));
  return connection;
}

}  // namespace

absl::Status Inbox::PrepareStatements() {
  statements_ = std::make_unique<Statements>();
  const struct {
    sqlite::Statement* statement;
    const char* sql;
  } all[] = {
      {&statements_->find_batch, "SELECT sequence, body_hash FROM batch_ids WHERE key=?1"},
      {&statements_->insert_batch, "INSERT INTO inbox VALUES(?1, ?2, ?3, ?4, ?5)"},
      {&statements_->insert_batch_id, "INSERT INTO batch_ids VALUES(?1, ?2, ?3, ?4)"},
      {&statements_->keep_received,
       "INSERT OR REPLACE INTO meta VALUES('live_received_ms', ?1), ('latest_received_ms', ?2), "
       "('history_sequence', ?3)"},
      {&statements_->set_last_sequence, "UPDATE meta SET value=?1 WHERE key='last_sequence'"},
      {&statements_->remove_loaded, "DELETE FROM inbox WHERE sequence<=?1"},
      // Only the oldest are looked at: the table is never scanned.
      {&statements_->forget_batch_ids,
       "DELETE FROM batch_ids WHERE sequence IN "
       "(SELECT sequence FROM batch_ids ORDER BY sequence LIMIT 256) "
       "AND (received_ms<?1 OR sequence<=?2)"},
      {&statements_->copy_aside,
       "INSERT OR IGNORE INTO set_aside "
       "SELECT sequence, received_ms, items, checksum, ?2, payload FROM inbox WHERE sequence=?1"},
      {&statements_->remove_one, "DELETE FROM inbox WHERE sequence=?1"},
      {&statements_->insert_control,
       "INSERT INTO controls(ts_ms, actor, kind, experiment, reason, variant, step) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
      {&statements_->insert_weight, "INSERT INTO control_weights VALUES(?1, ?2, ?3, ?4, ?5)"},
      {&statements_->insert_sticky, "INSERT OR IGNORE INTO sticky VALUES(?1, ?2, ?3, ?4)"},
      {&statements_->latest_definition,
       "SELECT hash FROM definitions WHERE kind=?1 AND key=?2 ORDER BY sequence DESC LIMIT 1"},
      {&statements_->insert_definition,
       "INSERT INTO definitions(received_ms, kind, key, hash, content) "
       "VALUES(?1, ?2, ?3, ?4, ?5)"},
  };
  for (const auto& [statement, sql] : all) {
    FULCRUM_ASSIGN_OR_RETURN(*statement, writer_.Prepare(sql));
  }
  FULCRUM_ASSIGN_OR_RETURN(read_after_,
                           reader_.Prepare("SELECT sequence, received_ms, items, checksum, payload "
                                           "FROM inbox WHERE sequence>?1 ORDER BY sequence"));
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Inbox::AppendControl(const core::ControlRecord& record) {
  int64_t seq = 0;
  const absl::Status status = Submit([&]() -> absl::Status {
    sqlite::Statement& insert = statements_->insert_control;
    insert.Bind(1, record.ts_ms);
    insert.Bind(2, record.actor);
    insert.Bind(3, static_cast<int64_t>(record.kind));
    insert.Bind(4, record.experiment);
    insert.Bind(5, record.reason);
    insert.Bind(6, record.variant);
    insert.Bind(7, static_cast<int64_t>(record.step));
    FULCRUM_RETURN_IF_ERROR(insert.Run());
    seq = sqlite3_last_insert_rowid(writer_.raw());
    for (size_t i = 0; i < record.weights.size(); ++i) {
      sqlite::Statement& weight = statements_->insert_weight;
      weight.Bind(1, seq);
      weight.Bind(2, static_cast<int64_t>(i));
      weight.Bind(3, record.weights[i].variant);
      weight.Bind(4, static_cast<int64_t>(record.weights[i].weight_ppm));
      weight.Bind(5, static_cast<int64_t>(record.weights[i].floor_ppm));
      FULCRUM_RETURN_IF_ERROR(weight.Run());
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return seq;
}

namespace {

absl::StatusOr<std::vector<core::ControlRecord>> ReadControlsOf(const std::string& path) {
  FULCRUM_ASSIGN_OR_RETURN(sqlite::Connection reader, OpenReader(path));
  FULCRUM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      reader.Prepare("SELECT seq, ts_ms, actor, kind, experiment, reason, variant, step "
                     "FROM controls ORDER BY seq"));
  FULCRUM_ASSIGN_OR_RETURN(
      sqlite::Statement weights,
      reader.Prepare("SELECT variant, weight_ppm, floor_ppm FROM control_weights WHERE seq=?1 "
                     "ORDER BY position"));
  std::vector<core::ControlRecord> records;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return records;
    const int64_t kind = rows.Int(3);
    if (kind < 0 || kind >= core::kControlKindCount) {
      return absl::DataLossError(path + ": control " + std::to_string(rows.Int(0)) +
                                 " is of unknown kind " + std::to_string(kind) +
                                 "; a newer program wrote it, use that one");
    }
    core::ControlRecord record;
    record.seq = static_cast<uint64_t>(rows.Int(0));
    record.ts_ms = rows.Int(1);
    record.actor = rows.Text(2);
    record.kind = static_cast<core::ControlKind>(kind);
    record.experiment = rows.Text(4);
    record.reason = rows.Text(5);
    record.variant = rows.Text(6);
    record.step = static_cast<int32_t>(rows.Int(7));
    weights.Bind(1, rows.Int(0));
    while (true) {
      FULCRUM_ASSIGN_OR_RETURN(const bool weight, weights.Step());
      if (!weight) break;
      record.weights.push_back({.variant = std::string(weights.Text(0)),
                                .weight_ppm = static_cast<uint32_t>(weights.Int(1)),
                                .floor_ppm = static_cast<uint32_t>(weights.Int(2))});
    }
    weights.Reset();
    records.push_back(std::move(record));
  }
}

absl::StatusOr<std::vector<DefinitionRecord>> ReadDefinitionsOf(const std::string& path) {
  FULCRUM_ASSIGN_OR_RETURN(sqlite::Connection reader, OpenReader(path));
  FULCRUM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      reader.Prepare("SELECT sequence, received_ms, kind, key, hash, content FROM definitions "
                     "ORDER BY sequence"));
  std::vector<DefinitionRecord> records;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return records;
    records.push_back({.sequence = rows.Int(0),
                       .received_ms = rows.Int(1),
                       .kind = std::string(rows.Text(2)),
                       .key = std::string(rows.Text(3)),
                       .hash = std::string(rows.Text(4)),
                       .content = std::string(rows.Text(5))});
  }
}

}  // namespace

absl::StatusOr<std::vector<core::ControlRecord>> Inbox::ReadControls() {
  return ReadControlsOf(options_.path);
}

absl::StatusOr<std::vector<DefinitionRecord>> Inbox::ReadDefinitions() {
  return ReadDefinitionsOf(options_.path);
}

namespace {

// The inbox of a directory that this process does not hold.
absl::StatusOr<std::string> InboxIn(const std::string& directory) {
  std::string path = directory + "/inbox.sqlite";
  if (access(path.c_str(), R_OK) == 0) return path;
  return absl::NotFoundError(directory +
                             " holds no data: give the directory that `fulcrum serve --data` was "
                             "given");
}

absl::StatusOr<std::vector<StickyAssignment>> AllSticky(sqlite::Statement rows) {
  std::vector<StickyAssignment> all;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return all;
    all.push_back({.experiment = std::string(rows.Text(0)),
                   .unit = std::string(rows.Text(1)),
                   .variant = std::string(rows.Text(2)),
                   .phase = static_cast<int32_t>(rows.Int(3))});
  }
}

}  // namespace

absl::StatusOr<KeptRecords> ReadKept(const std::string& directory) {
  FULCRUM_ASSIGN_OR_RETURN(const std::string path, InboxIn(directory));
  KeptRecords kept;
  FULCRUM_ASSIGN_OR_RETURN(kept.controls, ReadControlsOf(path));
  FULCRUM_ASSIGN_OR_RETURN(kept.definitions, ReadDefinitionsOf(path));
  return kept;
}

absl::StatusOr<std::vector<StickyAssignment>> ReadStickyOf(const std::string& directory,
                                                           std::string_view unit) {
  FULCRUM_ASSIGN_OR_RETURN(const std::string path, InboxIn(directory));
  FULCRUM_ASSIGN_OR_RETURN(sqlite::Connection reader, OpenReader(path));
  FULCRUM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      reader.Prepare("SELECT experiment, unit, variant, phase FROM sticky WHERE unit=?1"));
  rows.Bind(1, unit);
  return AllSticky(std::move(rows));
}

absl::Status Inbox::PutSticky(std::string_view experiment, std::string_view unit,
                              std::string_view variant, int32_t phase) {
  return Submit([&] {
    sqlite::Statement& insert = statements_->insert_sticky;
    insert.Bind(1, experiment);
    insert.Bind(2, unit);
    insert.Bind(3, variant);
    insert.Bind(4, static_cast<int64_t>(phase));
    return insert.Run();
  });
}

absl::StatusOr<std::vector<StickyAssignment>> Inbox::ReadSticky() {
  FULCRUM_ASSIGN_OR_RETURN(sqlite::Connection reader, OpenReader(options_.path));
  FULCRUM_ASSIGN_OR_RETURN(sqlite::Statement rows,
                           reader.Prepare("SELECT experiment, unit, variant, phase FROM sticky"));
  return AllSticky(std::move(rows));
}

absl::Status Inbox::PutDefinition(const DefinitionRecord& record) {
  return Submit([&]() -> absl::Status {
    sqlite::Statement& latest = statements_->latest_definition;
    latest.Bind(1, record.kind);
    latest.Bind(2, record.key);
    const absl::StatusOr<bool> found = latest.Step();
    const bool same = found.ok() && *found && latest.Text(0) == record.hash;
    latest.Reset();
    FULCRUM_RETURN_IF_ERROR(found.status());
    if (same) return absl::OkStatus();
    sqlite::Statement& insert = statements_->insert_definition;
    insert.Bind(1, record.received_ms);
    insert.Bind(2, record.kind);
    insert.Bind(3, record.key);
    insert.Bind(4, record.hash);
    insert.Bind(5, record.content);
    return insert.Run();
  });
}

absl::Status Inbox::SetAside(int64_t sequence, std::string_view reason) {
  return Submit([&]() -> absl::Status {
    statements_->copy_aside.Bind(1, sequence);
    statements_->copy_aside.Bind(2, reason);
    FULCRUM_RETURN_IF_ERROR(statements_->copy_aside.Run());
    statements_->remove_one.Bind(1, sequence);
    return statements_->remove_one.Run();
  });
}

absl::StatusOr<int64_t> Inbox::SetAsideCount() {
  FULCRUM_ASSIGN_OR_RETURN(sqlite::Connection reader, OpenReader(options_.path));
  return reader.QueryInt("SELECT count(*) FROM set_aside");
}

}  // namespace fulcrum::store
