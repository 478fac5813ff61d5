// SPDX-License-Identifier: Apache-2.0
#include "store/code_book.h"

#include <algorithm>

#include "base/status.h"
#include "base/text.h"
#include "core/hash.h"

namespace fulcrum::store {
namespace {

constexpr size_t kFixedSpaces = 5;

// By -1 - space.
struct FixedTable {
  const char* table;
  const char* id;
  const char* text;
};
constexpr FixedTable kFixedTables[kFixedSpaces] = {{"unit_kinds", "code", "kind"},
                                                   {"names", "id", "text"},
                                                   {"experiments", "id", "text"},
                                                   {"variants", "id", "text"},
                                                   {"strings", "id", "text"}};

// Units and strings may be millions; the rest is what people named.
bool Forgettable(Space space) { return space >= 0 || space == kStrings; }

size_t Fixed(Space space) { return static_cast<size_t>(-1 - space); }

}  // namespace

CodeBook::CodeBook(int64_t max_entries) : max_entries_(max_entries), known_(max_entries) {
  for (const FixedTable& fixed : kFixedTables) {
    fresh_.emplace_back(fixed.table,
                        std::vector<ColumnSpec>{{.name = fixed.id},
                                                {.name = fixed.text, .type = DUCKDB_TYPE_VARCHAR}});
  }
  fresh_.emplace_back(
      "units",
      std::vector<ColumnSpec>{
          {.name = "kind"}, {.name = "id"}, {.name = "text", .type = DUCKDB_TYPE_VARCHAR}});
}

CodeBook::Entry CodeBook::KeyOf(Space space, std::string_view text) {
  const uint64_t seed = static_cast<uint64_t>(static_cast<uint32_t>(space)) + 1;
  return {.high = core::SaltedHash({.seed = seed}, text),
          .low = static_cast<uint32_t>(core::SaltedHash({.seed = ~seed}, text)),
          .code = 0};
}

int32_t& CodeBook::NextCode(Space space) {
  if (space < 0) return next_fixed_[Fixed(space)];
  if (static_cast<size_t>(space) >= next_unit_.size()) {
    next_unit_.resize(static_cast<size_t>(space) + 1);
  }
  return next_unit_[static_cast<size_t>(space)];
}

const CodeBook::Entry* CodeBook::Find(Space space, const Entry& key) {
  if (Forgettable(space)) return known_.Find(key);
  const auto it = resident_.find(key);
  return it != resident_.end() ? &*it : nullptr;
}

void CodeBook::Put(Space space, const Entry& entry) {
  if (Forgettable(space)) {
    known_.Put(entry);
  } else {
    resident_.insert(entry);
  }
}

int32_t CodeBook::Code(Space space, std::string_view text) {
  Entry entry = KeyOf(space, text);
  if (const Entry* found = Find(space, entry)) return found->code;
  if (!IsValidUtf8(text)) return -1;
  entry.code = NextCode(space)++;
  Put(space, entry);
  StagedTable& fresh = space < 0 ? fresh_[Fixed(space)] : fresh_.back();
  fresh.BeginRow();
  int column = 0;
  if (space >= 0) fresh.Put(column++, space);
  fresh.Put(column++, entry.code);
  fresh.PutText(column, text);
  return entry.code;
}

absl::Status CodeBook::Load(duckdb::Connection* connection) {
  known_.Clear();
  resident_.clear();
  next_unit_.clear();
  next_fixed_.assign(kFixedSpaces, 0);
  for (StagedTable& fresh : fresh_) fresh.Clear();
  for (size_t i = 0; i < kFixedSpaces; ++i) {
    const FixedTable& fixed = kFixedTables[i];
    FULCRUM_RETURN_IF_ERROR(
        LoadTable(connection, -1 - static_cast<Space>(i),
                  std::string("SELECT ") + fixed.id + ", " + fixed.text + " FROM " + fixed.table));
  }
  return LoadTable(connection, 0, "SELECT kind, id, text FROM units");
}

absl::Status CodeBook::LoadTable(duckdb::Connection* connection, Space space,
                                 const std::string& sql) {
  const bool units = space >= 0;
  const std::string table = sql.substr(sql.find(" FROM ") + 6);
  // Codes are given out in order, so the largest of each dictionary says where to go on.
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result next,
      connection->Query(units ? "SELECT kind, max(id) + 1 FROM units GROUP BY kind"
                              : "SELECT 0, max(" + std::string(kFixedTables[Fixed(space)].id) +
                                    ") + 1 FROM " + table + " HAVING count(*) > 0"));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, next.Next());
    if (!chunk) break;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const Space kind = units ? chunk.data<int32_t>(0)[row] : space;
      NextCode(kind) = chunk.data<int32_t>(1)[row];
    }
  }
  FULCRUM_ASSIGN_OR_RETURN(const int64_t rows,
                           connection->QueryInt("SELECT count(*) FROM " + table));
  const int64_t room =
      Forgettable(space) ? std::max<int64_t>(0, max_entries_ / 2 - known_.size()) : rows;
  if (rows > room) known_.set_incomplete();
  // The newest are the ones most likely to come again.
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result result,
                           connection->Stream(sql + " WHERE rowid >= $1", {rows - room}));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return absl::OkStatus();
    const int id = units ? 1 : 0;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const Space in = units ? chunk.data<int32_t>(0)[row] : space;
      Entry entry = KeyOf(in, chunk.text(id + 1, row));
      entry.code = chunk.data<int32_t>(id)[row];
      Put(in, entry);
    }
  }
}

void CodeBook::Want(Space space, std::string_view text) {
  const Entry entry = KeyOf(space, text);
  if (Find(space, entry) != nullptr || !wanted_keys_.insert(entry).second) return;
  if (!IsValidUtf8(text)) return;
  wanted_.push_back({space, std::string(text)});
}

absl::Status CodeBook::Resolve(duckdb::Connection* connection) {
  if (wanted_.empty()) return absl::OkStatus();
  FULCRUM_RETURN_IF_ERROR(connection->Execute(
      "CREATE OR REPLACE TEMP TABLE wanted(space INTEGER NOT NULL, text VARCHAR NOT NULL)"));
  StagedTable staged("wanted", {{.name = "space"}, {.name = "text", .type = DUCKDB_TYPE_VARCHAR}});
  for (const Wanted& wanted : wanted_) {
    staged.BeginRow();
    staged.Put(0, wanted.space);
    staged.PutText(1, wanted.text);
  }
  wanted_.clear();
  wanted_keys_.clear();
  FULCRUM_RETURN_IF_ERROR(staged.AppendTo(connection));
  FULCRUM_RETURN_IF_ERROR(
      ResolveTable(connection,
                   "SELECT w.space, d.id, w.text FROM wanted w JOIN strings d ON d.text = w.text "
                   "WHERE w.space = " +
                       std::to_string(kStrings)));
  FULCRUM_RETURN_IF_ERROR(ResolveTable(connection,
                                       "SELECT w.space, d.id, w.text FROM wanted w JOIN units d "
                                       "ON d.text = w.text AND d.kind = w.space"));
  return connection->Execute("DROP TABLE wanted");
}

absl::Status CodeBook::ResolveTable(duckdb::Connection* connection, const std::string& sql) {
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result result, connection->Stream(sql));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      Entry entry = KeyOf(chunk.data<int32_t>(0)[row], chunk.text(2, row));
      entry.code = chunk.data<int32_t>(1)[row];
      known_.Put(entry);
    }
  }
}

absl::Status CodeBook::Write(duckdb::Connection* connection) const {
  for (const StagedTable& fresh : fresh_) {
    FULCRUM_RETURN_IF_ERROR(fresh.AppendTo(connection));
  }
  return absl::OkStatus();
}

void CodeBook::Committed() {
  for (StagedTable& fresh : fresh_) fresh.Clear();
  known_.MaybeForget();
}

}  // namespace fulcrum::store
