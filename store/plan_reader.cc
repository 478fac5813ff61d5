// SPDX-License-Identifier: Apache-2.0
#include "store/plan_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/status.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

constexpr double kAbsentValue = std::numeric_limits<double>::quiet_NaN();

// Where no earlier place had a value.
template <typename T>
void FillAbsent(const duckdb::ChunkView& chunk, int column, std::vector<double>* buffer) {
  const T* data = chunk.data<T>(column);
  const uint64_t* validity = chunk.validity(column);
  for (size_t row = 0; row < buffer->size(); ++row) {
    double& value = (*buffer)[row];
    if (std::isnan(value) && duckdb::ChunkView::IsValid(validity, static_cast<int64_t>(row))) {
      value = static_cast<double>(data[row]);
    }
  }
}

bool Holds(const CompiledFilter& filter, const duckdb::ChunkView& chunk, int64_t row) {
  for (const auto& [slots, texts] : filter.places) {
    if (slots.number >= 0 && !chunk.is_null(slots.number, row)) {
      const Literal number(chunk.data<double>(slots.number)[row]);
      return FilterMatches(filter.filter, &number);
    }
    if (slots.text >= 0 && !chunk.is_null(slots.text, row)) {
      return texts.Matches(chunk.data<int32_t>(slots.text)[row]);
    }
    if (slots.boolean >= 0 && !chunk.is_null(slots.boolean, row)) {
      const Literal boolean(chunk.data<bool>(slots.boolean)[row]);
      return FilterMatches(filter.filter, &boolean);
    }
  }
  return filter.absent;
}

void AddUnit(uint32_t unit, uint32_t code, int32_t row, size_t begin, EventScratch* scratch) {
  for (size_t i = begin; i < scratch->units.size(); ++i) {
    if (scratch->units[i] == unit) return;
  }
  scratch->units.push_back(unit);
  scratch->rows.push_back(row);
  scratch->codes.push_back(code);
}

}  // namespace

int SelectList::Add(const std::string& column) {
  const auto it = std::find(columns_.begin(), columns_.end(), column);
  if (it != columns_.end()) return static_cast<int>(it - columns_.begin());
  columns_.push_back(column);
  return static_cast<int>(columns_.size()) - 1;
}

std::string SelectList::Sql() const {
  std::string sql;
  for (const std::string& column : columns_) sql += (sql.empty() ? "" : ", ") + column;
  return sql;
}

absl::Status TextTest::Load(duckdb::Connection& connection, const EventFilter& filter,
                            const std::string& sql) {
  const Literal unlike(std::string("\x01 a text that no filter names \x01"));
  const bool ordered = filter.op == CompareOp::kLt || filter.op == CompareOp::kLe ||
                       filter.op == CompareOp::kGt || filter.op == CompareOp::kGe;
  usual_ = !ordered && FilterMatches(filter, &unlike);
  std::string query = sql;
  duckdb::Params params;
  if (!ordered) {
    // Only named texts can differ from the usual.
    std::string list;
    for (const Literal& value : filter.values) {
      const auto* text = std::get_if<std::string>(&value);
      if (text == nullptr) continue;
      params.emplace_back(std::string_view(*text));
      list += (list.empty() ? "$" : ", $") + std::to_string(params.size());
    }
    if (list.empty()) return absl::OkStatus();
    query += " AND text IN (" + list + ")";
  }
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result rows, connection.Stream(query, params));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const Literal text{std::string(chunk.text(1, row))};
      if (FilterMatches(filter, &text) == usual_) continue;
      const auto code = static_cast<size_t>(chunk.data<int32_t>(0)[row]);
      if (code >= unusual_.size()) unusual_.resize(code + 1, 0);
      unusual_[code] = 1;
    }
  }
}

absl::Status EventReader::Open(duckdb::Connection& connection, const FoldNeeds& needs,
                               bool times_only) {
  ts_ = list_.Add("ts_ms");
  for (const Route& route : routes_) route_columns_.push_back(list_.Add(route.column));
  if (times_only) return OpenNames(connection, needs);
  every_event_ = needs.every_event;
  name_ = list_.Add("name");
  FULCRUM_RETURN_IF_ERROR(OpenNames(connection, needs));
  for (const std::string& property : needs.values) {
    std::vector<Slots> places;
    FULCRUM_RETURN_IF_ERROR(FindPlaces(connection, property, &places, nullptr));
    values_.push_back(places);
  }
  if (needs.order_keys) FULCRUM_RETURN_IF_ERROR(OpenKey(connection, kOrderKind, &order_key_));
  if (needs.session_keys) {
    FULCRUM_RETURN_IF_ERROR(OpenKey(connection, kSessionKind, &session_key_));
  }
  for (const EventFilter& filter : needs.filters) {
    FULCRUM_RETURN_IF_ERROR(OpenFilter(connection, filter));
  }
  filters_of_code_ = needs.filters_of_event;
  return absl::OkStatus();
}

absl::StatusOr<std::pair<std::string, int64_t>> EventReader::FindKind(
    duckdb::Connection& connection, const char* kind) const {
  const absl::StatusOr<int64_t> code =
      connection.QueryInt("SELECT code FROM unit_kinds WHERE kind = $1", {std::string_view(kind)});
  if (!code.ok() && !absl::IsNotFound(code.status())) return code.status();
  std::string column = code.ok() ? UnitColumn(static_cast<int32_t>(*code)) : "";
  if (scope_.event_columns.count(column) == 0) return std::pair<std::string, int64_t>();
  return std::pair(std::move(column), *code);
}

absl::Status EventReader::OpenKey(duckdb::Connection& connection, const char* kind, int* key) {
  FULCRUM_ASSIGN_OR_RETURN(const auto found, FindKind(connection, kind));
  if (!found.first.empty()) *key = list_.Add(found.first);
  return absl::OkStatus();
}

absl::Status EventReader::OpenFilter(duckdb::Connection& connection, const EventFilter& filter) {
  CompiledFilter compiled;
  compiled.filter = filter;
  compiled.absent = FilterMatches(filter, nullptr);
  std::vector<Slots> places;
  std::vector<std::string> dictionaries;
  FULCRUM_RETURN_IF_ERROR(FindPlaces(connection, filter.property, &places, &dictionaries));
  for (size_t p = 0; p < places.size(); ++p) {
    TextTest test;
    if (places[p].text >= 0) {
      FULCRUM_RETURN_IF_ERROR(test.Load(connection, filter, dictionaries[p]));
    }
    compiled.places.emplace_back(places[p], std::move(test));
  }
  filters_.push_back(std::move(compiled));
  return absl::OkStatus();
}

absl::Status EventReader::OpenNames(duckdb::Connection& connection, const FoldNeeds& needs) {
  const std::vector<std::string>& texts = name_ < 0 ? needs.enrolments : needs.events;
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<int32_t> codes, CodesOf(connection, "names", texts));
  for (size_t code = 0; code < codes.size(); ++code) {
    if (codes[code] < 0) continue;
    names_.push_back(codes[code]);
    const auto name = static_cast<size_t>(codes[code]);
    if (name >= code_of_name_.size()) code_of_name_.resize(name + 1, kOtherEvent);
    code_of_name_[name] = static_cast<uint32_t>(code);
  }
  return absl::OkStatus();
}

std::string EventReader::NamesSql() const {
  std::string list;
  for (const int32_t name : names_) list += (list.empty() ? "" : ", ") + std::to_string(name);
  return list.empty() ? " AND false" : " AND name IN (" + list + ")";
}

void EventReader::FindUnits(const duckdb::ChunkView& chunk, uint32_t first, uint32_t end,
                            EventScratch* scratch) const {
  if (routes_.size() == 1 && routes_[0].own != nullptr && routes_[0].first.empty()) {
    FindOwn(chunk, first, end, scratch);
  } else {
    FindLinked(chunk, first, end, scratch);
  }
}

void EventReader::FindOwn(const duckdb::ChunkView& chunk, uint32_t first, uint32_t end,
                          EventScratch* scratch) const {
  const UnitNumbers& own = *routes_[0].own;
  const auto size = static_cast<int32_t>(chunk.size());
  const auto* ids = chunk.data<int32_t>(route_columns_[0]);
  const uint64_t* validity = chunk.validity(route_columns_[0]);
  const int32_t* names = name_ < 0 ? nullptr : chunk.data<int32_t>(name_);
  scratch->units.resize(static_cast<size_t>(size));
  scratch->rows.resize(static_cast<size_t>(size));
  scratch->codes.resize(static_cast<size_t>(size));
  uint32_t* units = scratch->units.data();
  int32_t* rows = scratch->rows.data();
  uint32_t* codes = scratch->codes.data();
  const uint32_t unwanted = every_event_ ? kOtherEvent - 1 : kOtherEvent;  // No code is that large.
  const uint32_t width = end - first;
  const size_t known = own.size();
  size_t kept = 0;
  constexpr int32_t kAhead = 24;
  for (int32_t row = 0; row < size; ++row) {
    if (row + kAhead < size) {
      const auto ahead = static_cast<size_t>(ids[row + kAhead]);
      if (ahead < known) __builtin_prefetch(&own[ahead], 0, 1);
    }
    if (!duckdb::ChunkView::IsValid(validity, row)) continue;
    const auto id = static_cast<size_t>(ids[row]);
    const uint32_t unit = id < known ? own[id] : kNoUnit;
    const uint32_t code = CodeOf(names, row);
    units[kept] = unit;
    rows[kept] = row;
    codes[kept] = code;
    kept += unit - first < width && code != unwanted ? 1 : 0;
  }
  scratch->units.resize(kept);
  scratch->rows.resize(kept);
  scratch->codes.resize(kept);
}

void EventReader::FindLinked(const duckdb::ChunkView& chunk, uint32_t first, uint32_t end,
                             EventScratch* scratch) const {
  const auto size = static_cast<int32_t>(chunk.size());
  const int32_t* names = name_ < 0 ? nullptr : chunk.data<int32_t>(name_);
  scratch->units.clear();
  scratch->rows.clear();
  scratch->codes.clear();
  const auto wanted = [first, end](uint32_t unit) { return unit >= first && unit < end; };
  for (int32_t row = 0; row < size; ++row) {
    const uint32_t code = CodeOf(names, row);
    if (code == kOtherEvent && !every_event_) continue;
    const size_t begin = scratch->units.size();
    for (size_t r = 0; r < routes_.size(); ++r) {
      if (chunk.is_null(route_columns_[r], row)) continue;
      const auto id = static_cast<size_t>(chunk.data<int32_t>(route_columns_[r])[row]);
      const Route& route = routes_[r];
      if (route.own != nullptr && id < route.own->size() && wanted((*route.own)[id])) {
        AddUnit((*route.own)[id], code, row, begin, scratch);
      }
      if (id + 1 >= route.first.size()) continue;
      for (uint32_t at = route.first[id]; at < route.first[id + 1]; ++at) {
        if (wanted(route.units[at])) AddUnit(route.units[at], code, row, begin, scratch);
      }
    }
  }
}

const std::vector<EventValueColumn>& EventReader::ReadValues(const duckdb::ChunkView& chunk,
                                                             EventScratch* scratch) const {
  scratch->columns.resize(values_.size());
  scratch->values.resize(values_.size());
  for (size_t v = 0; v < values_.size(); ++v) {
    EventValueColumn& column = scratch->columns[v];
    const std::vector<Slots>& places = values_[v];
    column = {};
    if (places.size() == 1 && places[0].boolean < 0) {
      if (places[0].number < 0) continue;
      column = {chunk.data<double>(places[0].number), chunk.validity(places[0].number)};
      continue;
    }
    std::vector<double>& buffer = scratch->values[v];
    buffer.assign(static_cast<size_t>(chunk.size()), kAbsentValue);
    for (const Slots& place : places) {
      if (place.number >= 0) FillAbsent<double>(chunk, place.number, &buffer);
      if (place.boolean >= 0) FillAbsent<bool>(chunk, place.boolean, &buffer);
    }
    column.data = buffer.data();
  }
  return scratch->columns;
}

void EventReader::ReadFilters(const duckdb::ChunkView& chunk, EventScratch* scratch) const {
  if (filters_.empty()) return;
  scratch->filters.assign(scratch->rows.size(), 0);
  for (size_t f = 0; f < filters_.size(); ++f) {
    const uint64_t bit = uint64_t{1} << f;
    for (size_t i = 0; i < scratch->rows.size(); ++i) {
      const uint32_t code = scratch->codes[i];
      if (code == kOtherEvent || (filters_of_code_[code] & bit) == 0) continue;
      if (Holds(filters_[f], chunk, scratch->rows[i])) scratch->filters[i] |= bit;
    }
  }
}

// Columns of a property, or of the event's own field of that name and then the property.
absl::Status EventReader::FindPlaces(duckdb::Connection& connection, const std::string& property,
                                     std::vector<Slots>* places,
                                     std::vector<std::string>* dictionaries) {
  const auto add = [&](Slots slots, const std::string& dictionary) {
    places->push_back(slots);
    if (dictionaries != nullptr) dictionaries->push_back(dictionary);
  };
  const std::string strings = "SELECT id, text FROM strings WHERE true";
  if (property == kOwnValue) add({list_.Add("value"), -1, -1}, "");
  if (property == kOwnCurrency) add({-1, list_.Add("currency"), -1}, strings);
  if (property == kOwnOrderId || property == kOwnSessionId) {
    FULCRUM_ASSIGN_OR_RETURN(
        const auto found,
        FindKind(connection, property == kOwnOrderId ? kOrderKind : kSessionKind));
    if (!found.first.empty()) {
      add({-1, list_.Add(found.first), -1},
          "SELECT id, text FROM units WHERE kind = " + std::to_string(found.second));
    }
  }
  FULCRUM_ASSIGN_OR_RETURN(const TypedColumns columns,
                           FindProperty(connection, kScopeEvent, property));
  if (columns.empty()) return absl::OkStatus();
  Slots slots;
  if (!columns.number.empty()) slots.number = list_.Add(columns.number);
  if (!columns.text.empty()) slots.text = list_.Add(columns.text);
  if (!columns.boolean.empty()) slots.boolean = list_.Add(columns.boolean);
  add(slots, strings);
  return absl::OkStatus();
}

}  // namespace fulcrum::store
