// SPDX-License-Identifier: Apache-2.0
//
// Rows on their way into one table of the analytical database: cells are collected row by row,
// whatever columns each row has, and appended as column chunks.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "store/duckdb_api.h"

namespace fulcrum::store {

struct ColumnSpec {
  std::string name;
  duckdb_type type = DUCKDB_TYPE_INTEGER;  // BIGINT, UBIGINT, INTEGER, DOUBLE, BOOLEAN, VARCHAR.
  bool nullable = false;                   // A row that puts nothing into it holds NULL there.
};

// Not thread-safe. Clear() keeps capacity.
class StagedTable {
 public:
  StagedTable(std::string table, std::vector<ColumnSpec> columns)
      : table_(std::move(table)), columns_(std::move(columns)) {}

  const std::string& table() const { return table_; }
  int64_t rows() const { return row_ + 1; }
  int AddColumn(ColumnSpec column) {
    columns_.push_back(std::move(column));
    return static_cast<int>(columns_.size()) - 1;
  }

  void BeginRow() { ++row_; }
  void Put(int column, int64_t value) { cells_.push_back({row_, column, value}); }
  void PutDouble(int column, double value) { Put(column, std::bit_cast<int64_t>(value)); }
  void PutText(int column, std::string_view text) {
    Put(column, static_cast<int64_t>(texts_.size()));
    texts_.emplace_back(text);
  }
  // Copies the last row of a table with the same columns.
  void CopyLastRow(const StagedTable& other);

  // Forgets the rows from `rows` on.
  void Truncate(int64_t rows);
  void Clear();

  absl::Status AppendTo(duckdb::Connection* connection) const;

 private:
  struct Cell {
    int32_t row;
    int32_t column;
    int64_t bits;
  };
  void Fill(const Cell& cell, int64_t first_row, std::vector<void*>& data,
            std::vector<uint64_t*>& validity, duckdb::WriteChunk* chunk) const;

  std::string table_;
  std::vector<ColumnSpec> columns_;
  std::vector<Cell> cells_;  // In row order.
  std::vector<std::string> texts_;
  int32_t row_ = -1;
};

}  // namespace fulcrum::store
