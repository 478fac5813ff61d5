// SPDX-License-Identifier: Apache-2.0
#include "store/staged_table.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"

namespace fulcrum::store {

void StagedTable::CopyLastRow(const StagedTable& other) {
  BeginRow();
  size_t first = other.cells_.size();
  while (first > 0 && other.cells_[first - 1].row == other.row_) --first;
  for (size_t i = first; i < other.cells_.size(); ++i) {
    const Cell& cell = other.cells_[i];
    if (columns_[static_cast<size_t>(cell.column)].type == DUCKDB_TYPE_VARCHAR) {
      PutText(cell.column, other.texts_[static_cast<size_t>(cell.bits)]);
    } else {
      Put(cell.column, cell.bits);
    }
  }
}

void StagedTable::Truncate(int64_t rows) {
  while (!cells_.empty() && cells_.back().row >= rows) cells_.pop_back();
  row_ = static_cast<int32_t>(rows) - 1;
}

void StagedTable::Clear() {
  cells_.clear();
  texts_.clear();
  row_ = -1;
}

void StagedTable::Fill(const Cell& cell, int64_t first_row, std::vector<void*>& data,
                       std::vector<uint64_t*>& validity, duckdb::WriteChunk* chunk) const {
  const int64_t row = cell.row - first_row;
  const auto column = static_cast<size_t>(cell.column);
  switch (columns_[column].type) {
    case DUCKDB_TYPE_INTEGER:
      static_cast<int32_t*>(data[column])[row] = static_cast<int32_t>(cell.bits);
      break;
    case DUCKDB_TYPE_BOOLEAN:
      static_cast<bool*>(data[column])[row] = cell.bits != 0;
      break;
    case DUCKDB_TYPE_VARCHAR:
      chunk->SetText(cell.column, row, texts_[static_cast<size_t>(cell.bits)]);
      break;
    default:  // BIGINT, UBIGINT, DOUBLE: the bits as they are.
      static_cast<int64_t*>(data[column])[row] = cell.bits;
  }
  if (validity[column] != nullptr) validity[column][row >> 6] |= uint64_t{1} << (row & 63);
}

absl::Status StagedTable::AppendTo(duckdb::Connection* connection) const {
  if (rows() == 0) return absl::OkStatus();
  std::vector<std::string> names;
  std::vector<duckdb_type> types;
  for (const ColumnSpec& column : columns_) {
    names.push_back(column.name);
    types.push_back(column.type);
  }
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Appender appender,
                           duckdb::Appender::Open(connection, table_, names));
  duckdb::WriteChunk chunk(types);
  std::vector<void*> data(columns_.size());
  std::vector<uint64_t*> validity(columns_.size());
  size_t next = 0;
  for (int64_t first = 0; first < rows(); first += duckdb::WriteChunk::kRows) {
    const int64_t count = std::min(duckdb::WriteChunk::kRows, rows() - first);
    chunk.Reset();
    for (size_t i = 0; i < columns_.size(); ++i) {
      data[i] = chunk.data<void>(static_cast<int>(i));
      if (!columns_[i].nullable) continue;
      validity[i] = chunk.validity(static_cast<int>(i));
      std::memset(validity[i], 0, duckdb::WriteChunk::kRows / 8);
    }
    for (; next < cells_.size() && cells_[next].row < first + count; ++next) {
      Fill(cells_[next], first, data, validity, &chunk);
    }
    FULCRUM_RETURN_IF_ERROR(appender.Append(&chunk, count));
  }
  return appender.Close();
}

}  // namespace fulcrum::store
