// SPDX-License-Identifier: Apache-2.0
//
// Inside RunPlan: what a chunk of event_rows says to the fold. Ids become the fold's units by array
// look-ups, names become its codes, properties its values, and filters become bits. Included by
// plan_*.cc only.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "store/duckdb_api.h"
#include "store/fold.h"
#include "store/plan_scan.h"

namespace fulcrum::store {

// Columns of a select list, each asked for once.
class SelectList {
 public:
  int Add(const std::string& column);
  std::string Sql() const;

 private:
  std::vector<std::string> columns_;
};

// Where in the chunk a property's columns are, -1 = nowhere.
struct Slots {
  int number = -1, text = -1, boolean = -1;
};

// Texts by code, only those that a filter asks about.
class TextTest {
 public:
  // Decides once per text in the dictionary whether the filter holds; NE and the like hold for
  // nearly all, so the exceptions are kept.
  absl::Status Load(duckdb::Connection& connection, const EventFilter& filter,
                    const std::string& sql);
  bool Matches(int32_t code) const {
    const auto index = static_cast<size_t>(code);
    return (index < unusual_.size() && unusual_[index] != 0) != usual_;
  }

 private:
  bool usual_ = false;
  std::vector<uint8_t> unusual_;
};

struct CompiledFilter {
  EventFilter filter;
  bool absent = false;                             // What it says of an event without the property.
  std::vector<std::pair<Slots, TextTest>> places;  // Own field first, then the property.
};

// A value slot of the fold in a chunk: NaN = absent.
struct EventValueColumn {
  const double* data = nullptr;
  const uint64_t* validity = nullptr;
  double At(int32_t row) const {
    if (data == nullptr || !duckdb::ChunkView::IsValid(validity, row)) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    return data[row];
  }
};

// What one thread reads of a chunk. An event of several units comes several times.
struct EventScratch {
  std::vector<uint32_t> units;
  std::vector<int32_t> rows;    // Of the chunk, beside `units`.
  std::vector<uint32_t> codes;  // The fold's, beside `units`.
  std::vector<uint64_t> filters;
  std::vector<EventValueColumn> columns;
  std::vector<std::vector<double>> values;  // By row, where a value has several places.
};

// Thread-safe once open; each thread brings its own scratch.
class EventReader {
 public:
  EventReader(const Scope& scope, const std::vector<Route>& routes)
      : scope_(scope), routes_(routes) {}

  // Finds every column the fold needs; `times_only` where enrolments are read.
  absl::Status Open(duckdb::Connection& connection, const FoldNeeds& needs, bool times_only);
  std::string Columns() const { return list_.Sql(); }
  // " AND name IN (…)" of the names the fold needs, or nothing when no event has any of them.
  std::string NamesSql() const;
  bool any_name() const { return !names_.empty(); }

  // Rows that lead to units in [first, end) and are something to the fold.
  void FindUnits(const duckdb::ChunkView& chunk, uint32_t first, uint32_t end,
                 EventScratch* scratch) const;
  using Value = EventValueColumn;
  const std::vector<Value>& ReadValues(const duckdb::ChunkView& chunk, EventScratch* scratch) const;
  void ReadFilters(const duckdb::ChunkView& chunk, EventScratch* scratch) const;
  // RecordShape::Keys of a row.
  uint64_t KeysOf(const duckdb::ChunkView& chunk, int32_t row) const {
    return RecordShape::Keys(KeyOf(chunk, order_key_, row), KeyOf(chunk, session_key_, row));
  }
  const int64_t* ts_ms(const duckdb::ChunkView& chunk) const { return chunk.data<int64_t>(ts_); }

 private:
  absl::Status FindPlaces(duckdb::Connection& connection, const std::string& property,
                          std::vector<Slots>* places, std::vector<std::string>* dictionaries);
  // The column of ids of units of a kind, with the kind's code; column "" = no event has one.
  absl::StatusOr<std::pair<std::string, int64_t>> FindKind(duckdb::Connection& connection,
                                                           const char* kind) const;
  absl::Status OpenKey(duckdb::Connection& connection, const char* kind, int* key);
  // Dense ids of orders and sessions are their codes.
  static uint32_t KeyOf(const duckdb::ChunkView& chunk, int key, int32_t row) {
    if (key < 0 || chunk.is_null(key, row)) return kNoKey;
    return static_cast<uint32_t>(chunk.data<int32_t>(key)[row]);
  }
  absl::Status OpenFilter(duckdb::Connection& connection, const EventFilter& filter);
  absl::Status OpenNames(duckdb::Connection& connection, const FoldNeeds& needs);
  uint32_t CodeOf(const int32_t* names, int32_t row) const {
    if (names == nullptr) return 0;  // Enrolments: any name that was asked for.
    const auto name = static_cast<size_t>(names[row]);
    return name < code_of_name_.size() ? code_of_name_[name] : kOtherEvent;
  }
  void FindOwn(const duckdb::ChunkView& chunk, uint32_t first, uint32_t end,
               EventScratch* scratch) const;
  void FindLinked(const duckdb::ChunkView& chunk, uint32_t first, uint32_t end,
                  EventScratch* scratch) const;

  const Scope& scope_;
  const std::vector<Route>& routes_;
  SelectList list_;
  int ts_ = -1, name_ = -1;
  int order_key_ = -1, session_key_ = -1;
  bool every_event_ = false;
  std::vector<int32_t> names_;          // Codes in the database of the names the fold needs.
  std::vector<uint32_t> code_of_name_;  // Database's -> the fold's.
  std::vector<int> route_columns_;
  std::vector<std::vector<Slots>> values_;
  std::vector<CompiledFilter> filters_;
  std::vector<uint64_t> filters_of_code_;  // Those that an event of this code is asked for.
};

}  // namespace fulcrum::store
