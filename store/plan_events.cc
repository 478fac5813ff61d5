// SPDX-License-Identifier: Apache-2.0
//
// Events out of the database. DuckDB reads coded columns of the rows that can matter; here ids
// become the fold's units by array look-ups, links included, and filters become bits.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/status.h"
#include "store/plan_scan.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

constexpr double kAbsentValue = std::numeric_limits<double>::quiet_NaN();

// Columns of a select list, each asked for once.
class SelectList {
 public:
  int Add(const std::string& column) {
    const auto it = std::find(columns_.begin(), columns_.end(), column);
    if (it != columns_.end()) return static_cast<int>(it - columns_.begin());
    columns_.push_back(column);
    return static_cast<int>(columns_.size()) - 1;
  }
  std::string Sql() const {
    std::string sql;
    for (const std::string& column : columns_) sql += (sql.empty() ? "" : ", ") + column;
    return sql;
  }

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

class EventReader {
 public:
  EventReader(duckdb::Connection& connection, const Scope& scope, const std::vector<Route>& routes)
      : connection_(connection), scope_(scope), routes_(routes) {}

  // Finds every column the fold needs.
  absl::Status Open(const FoldNeeds& needs, bool times_only) {
    ts_ = list_.Add("ts_ms");
    for (const Route& route : routes_) route_columns_.push_back(list_.Add(route.column));
    if (times_only) return absl::OkStatus();
    name_ = list_.Add("name");
    for (const std::string& property : needs.values) {
      std::vector<Slots> places;
      FULCRUM_RETURN_IF_ERROR(FindPlaces(property, &places, nullptr));
      values_.push_back(places);
    }
    value_buffers_.resize(values_.size());
    if (needs.order_keys) FULCRUM_RETURN_IF_ERROR(FindKey(kOrderKind, &order_key_));
    if (needs.session_keys) FULCRUM_RETURN_IF_ERROR(FindKey(kSessionKind, &session_key_));
    for (const EventFilter& filter : needs.filters) {
      CompiledFilter compiled;
      compiled.filter = filter;
      compiled.absent = FilterMatches(filter, nullptr);
      std::vector<Slots> places;
      std::vector<std::string> dictionaries;
      FULCRUM_RETURN_IF_ERROR(FindPlaces(filter.property, &places, &dictionaries));
      for (size_t p = 0; p < places.size(); ++p) {
        TextTest test;
        if (places[p].text >= 0) {
          FULCRUM_RETURN_IF_ERROR(test.Load(connection_, filter, dictionaries[p]));
        }
        compiled.places.emplace_back(places[p], std::move(test));
      }
      filters_.push_back(std::move(compiled));
    }
    return absl::OkStatus();
  }

  std::string Sql(const std::string& where) const {
    return "SELECT " + list_.Sql() + " FROM event_rows" + where;
  }
  int ts() const { return ts_; }
  int name() const { return name_; }

  // Rows of the chunk that lead to units, in unit()/row(); an event of several units comes several
  // times.
  void FindUnits(const duckdb::Chunk& chunk) {
    units_.clear();
    rows_.clear();
    const int64_t size = chunk.size();
    single_ = routes_.size() == 1 && routes_[0].own != nullptr && routes_[0].first.empty();
    if (single_) {
      FindOwn(chunk, size);
      return;
    }
    for (int64_t row = 0; row < size; ++row) {
      const size_t begin = units_.size();
      for (size_t r = 0; r < routes_.size(); ++r) {
        if (chunk.is_null(route_columns_[r], row)) continue;
        const auto id = static_cast<size_t>(chunk.data<int32_t>(route_columns_[r])[row]);
        const Route& route = routes_[r];
        if (route.own != nullptr && id < route.own->size()) AddUnit((*route.own)[id], begin, row);
        if (id + 1 >= route.first.size()) continue;
        for (uint32_t at = route.first[id]; at < route.first[id + 1]; ++at) {
          AddUnit(route.units[at], begin, row);
        }
      }
    }
  }
  const std::vector<uint32_t>& units() const { return units_; }
  const std::vector<int64_t>& rows() const { return rows_; }

  void ReadValues(const duckdb::Chunk& chunk, std::vector<const double*>* values) {
    for (size_t v = 0; v < values_.size(); ++v) {
      std::vector<double>& buffer = value_buffers_[v];
      buffer.assign(rows_.size(), kAbsentValue);
      for (const Slots& place : values_[v]) {
        if (place.number >= 0) FillAbsent<double>(chunk, place.number, &buffer);
        if (place.boolean >= 0) FillAbsent<bool>(chunk, place.boolean, &buffer);
      }
      values->push_back(buffer.data());
    }
  }

  const uint32_t* ReadOrderKeys(const duckdb::Chunk& chunk) {
    return ReadKeys(chunk, order_key_, &order_keys_);
  }
  const uint32_t* ReadSessionKeys(const duckdb::Chunk& chunk) {
    return ReadKeys(chunk, session_key_, &session_keys_);
  }

  const uint64_t* ReadFilters(const duckdb::Chunk& chunk) {
    if (filters_.empty()) return nullptr;
    filter_bits_.assign(rows_.size(), 0);
    for (size_t f = 0; f < filters_.size(); ++f) {
      for (size_t i = 0; i < rows_.size(); ++i) {
        if (Holds(filters_[f], chunk, rows_[i])) filter_bits_[i] |= uint64_t{1} << f;
      }
    }
    return filter_bits_.data();
  }

 private:
  // Where no earlier place had a value.
  template <typename T>
  void FillAbsent(const duckdb::Chunk& chunk, int column, std::vector<double>* buffer) const {
    const T* data = chunk.data<T>(column);
    const uint64_t* validity = chunk.validity(column);
    for (size_t i = 0; i < rows_.size(); ++i) {
      double& value = (*buffer)[i];
      if (std::isnan(value) && duckdb::Chunk::IsValid(validity, rows_[i])) {
        value = static_cast<double>(data[rows_[i]]);
      }
    }
  }

  // Dense ids of units of the kind; -1 = no event has one.
  absl::Status FindKey(const char* kind, int* key) {
    return AddUnitKind(kind, [&](Slots slots, const std::string&) { *key = slots.text; });
  }

  const uint32_t* ReadKeys(const duckdb::Chunk& chunk, int key, std::vector<uint32_t>* keys) const {
    if (key < 0) return nullptr;
    keys->resize(rows_.size());
    const auto* data = chunk.data<int32_t>(key);
    const uint64_t* validity = chunk.validity(key);
    for (size_t i = 0; i < rows_.size(); ++i) {
      const bool valid = duckdb::Chunk::IsValid(validity, rows_[i]);
      (*keys)[i] = valid ? static_cast<uint32_t>(data[rows_[i]]) : kNoKey;
    }
    return keys->data();
  }

  void AddUnit(uint32_t unit, size_t begin, int64_t row) {
    if (unit == kNoUnit) return;
    for (size_t i = begin; i < units_.size(); ++i) {
      if (units_[i] == unit) return;
    }
    units_.push_back(unit);
    rows_.push_back(row);
  }

  void FindOwn(const duckdb::Chunk& chunk, int64_t size) {
    const UnitNumbers& own = *routes_[0].own;
    const auto* ids = chunk.data<int32_t>(route_columns_[0]);
    const uint64_t* validity = chunk.validity(route_columns_[0]);
    constexpr int64_t kAhead = 24;
    for (int64_t row = 0; row < size; ++row) {
      if (row + kAhead < size) {
        const auto ahead = static_cast<size_t>(ids[row + kAhead]);
        if (ahead < own.size()) __builtin_prefetch(&own[ahead], 0, 1);
      }
      if (!duckdb::Chunk::IsValid(validity, row)) continue;
      const auto id = static_cast<size_t>(ids[row]);
      if (id >= own.size() || own[id] == kNoUnit) continue;
      units_.push_back(own[id]);
      rows_.push_back(row);
    }
  }

  // Columns of a property, or of the event's own field of that name and then the property.
  absl::Status FindPlaces(const std::string& property, std::vector<Slots>* places,
                          std::vector<std::string>* dictionaries) {
    const auto add = [&](Slots slots, const std::string& dictionary) {
      places->push_back(slots);
      if (dictionaries != nullptr) dictionaries->push_back(dictionary);
    };
    const std::string strings = "SELECT id, text FROM strings WHERE true";
    if (property == kOwnValue) add({list_.Add("value"), -1, -1}, "");
    if (property == kOwnCurrency) add({-1, list_.Add("currency"), -1}, strings);
    if (property == kOwnOrderId || property == kOwnSessionId) {
      FULCRUM_RETURN_IF_ERROR(
          AddUnitKind(property == kOwnOrderId ? kOrderKind : kSessionKind, add));
    }
    FULCRUM_ASSIGN_OR_RETURN(const TypedColumns columns,
                             FindProperty(connection_, kScopeEvent, property));
    if (columns.empty()) return absl::OkStatus();
    Slots slots;
    if (!columns.number.empty()) slots.number = list_.Add(columns.number);
    if (!columns.text.empty()) slots.text = list_.Add(columns.text);
    if (!columns.boolean.empty()) slots.boolean = list_.Add(columns.boolean);
    add(slots, strings);
    return absl::OkStatus();
  }

  template <typename Add>
  absl::Status AddUnitKind(const char* kind, const Add& add) {
    const absl::StatusOr<int64_t> code = connection_.QueryInt(
        "SELECT code FROM unit_kinds WHERE kind = $1", {std::string_view(kind)});
    if (absl::IsNotFound(code.status())) return absl::OkStatus();
    FULCRUM_RETURN_IF_ERROR(code.status());
    const std::string column = UnitColumn(static_cast<int32_t>(*code));
    if (scope_.event_columns.count(column) == 0) return absl::OkStatus();
    add({-1, list_.Add(column), -1},
        "SELECT id, text FROM units WHERE kind = " + std::to_string(*code));
    return absl::OkStatus();
  }

  static bool Holds(const CompiledFilter& filter, const duckdb::Chunk& chunk, int64_t row) {
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

  duckdb::Connection& connection_;
  const Scope& scope_;
  const std::vector<Route>& routes_;
  SelectList list_;
  int ts_ = -1, name_ = -1;
  int order_key_ = -1, session_key_ = -1;
  std::vector<uint32_t> order_keys_, session_keys_;
  bool single_ = false;
  std::vector<int> route_columns_;
  std::vector<std::vector<Slots>> values_;
  std::vector<std::vector<double>> value_buffers_;
  std::vector<CompiledFilter> filters_;
  std::vector<uint64_t> filter_bits_;
  std::vector<uint32_t> units_;
  std::vector<int64_t> rows_;
};

// " AND name IN (…)", or nullopt when no event has any of the names.
std::optional<std::string> NameSql(const std::vector<int32_t>& codes) {
  std::string list;
  for (const int32_t code : codes) {
    if (code >= 0) list += (list.empty() ? "" : ", ") + std::to_string(code);
  }
  if (list.empty()) return std::nullopt;
  return " AND name IN (" + list + ")";
}

}  // namespace

absl::StatusOr<std::vector<Route>> FindRoutes(duckdb::Connection& connection, const Scope& scope,
                                              const UnitNumbers& numbers) {
  std::vector<Route> routes;
  if (scope.kind < 0) return routes;
  struct Link {
    int32_t known;
    uint32_t unit;
  };
  absl::flat_hash_map<int32_t, std::vector<Link>> by_kind;
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result links,
      connection.Stream("SELECT DISTINCT known_kind, known, anonymous FROM link_rows" +
                        scope.Where() + " AND anonymous_kind = " + std::to_string(scope.kind)));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, links.Next());
    if (!chunk) break;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const auto anonymous = static_cast<size_t>(chunk.data<int32_t>(2)[row]);
      if (anonymous >= numbers.size() || numbers[anonymous] == kNoUnit) continue;
      by_kind[chunk.data<int32_t>(0)[row]].push_back(
          {chunk.data<int32_t>(1)[row], numbers[anonymous]});
    }
  }
  by_kind[scope.kind];
  for (auto& [kind, list] : by_kind) {
    Route route;
    route.column = UnitColumn(kind);
    if (scope.event_columns.count(route.column) == 0) continue;  // No event ever had one.
    if (kind == scope.kind) route.own = &numbers;
    std::sort(list.begin(), list.end(), [](const Link& a, const Link& b) {
      return a.known != b.known ? a.known < b.known : a.unit < b.unit;
    });
    if (!list.empty()) route.first.resize(static_cast<size_t>(list.back().known) + 2, 0);
    for (const Link& link : list) {
      ++route.first[static_cast<size_t>(link.known) + 1];
      route.units.push_back(link.unit);
    }
    for (size_t i = 1; i < route.first.size(); ++i) route.first[i] += route.first[i - 1];
    routes.push_back(std::move(route));
  }
  return routes;
}

absl::Status ScanEnrolments(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                            const std::vector<Route>& routes, Fold* fold) {
  if (routes.empty()) return absl::OkStatus();
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<int32_t> codes,
                           CodesOf(connection, "names", plan.population.enrol_events));
  const std::optional<std::string> names = NameSql(codes);
  if (!names) return absl::OkStatus();
  EventReader reader(connection, scope, routes);
  FULCRUM_RETURN_IF_ERROR(reader.Open(fold->needs(), true));
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result rows,
                           connection.Stream(reader.Sql(scope.Where() + *names)));
  std::vector<int64_t> ts_ms;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    reader.FindUnits(chunk);
    ts_ms.clear();
    for (const int64_t row : reader.rows()) {
      ts_ms.push_back(chunk.data<int64_t>(reader.ts())[row]);
    }
    fold->AddEnrolments(ts_ms.size(), reader.units().data(), ts_ms.data());
  }
}

absl::Status ScanEvents(duckdb::Connection& connection, const Scope& scope,
                        const std::vector<Route>& routes, bool replay, Fold* fold,
                        double* scanned) {
  const FoldNeeds& needs = fold->needs();
  if (routes.empty()) return absl::OkStatus();
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<int32_t> codes,
                           CodesOf(connection, "names", needs.events));
  const std::optional<std::string> names = NameSql(codes);
  if (!names && !needs.every_event) return absl::OkStatus();
  std::vector<uint32_t> code_of_name;
  for (size_t code = 0; code < codes.size(); ++code) {
    if (codes[code] < 0) continue;
    const auto name = static_cast<size_t>(codes[code]);
    if (name >= code_of_name.size()) code_of_name.resize(name + 1, kOtherEvent);
    code_of_name[name] = static_cast<uint32_t>(code);
  }
  EventReader reader(connection, scope, routes);
  FULCRUM_RETURN_IF_ERROR(reader.Open(needs, false));
  std::string where = scope.Where();
  // Rows that no unit's windows reach: whole row groups are skipped by their times.
  if (fold->earliest_ms() > 0) where += " AND ts_ms >= " + std::to_string(fold->earliest_ms());
  if (fold->latest_ms() != std::numeric_limits<int64_t>::max()) {
    where += " AND ts_ms < " + std::to_string(fold->latest_ms());
  }
  if (!needs.every_event || replay) where += names.value_or(" AND false");
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result rows, connection.Stream(reader.Sql(where)));
  std::vector<int64_t> ts_ms;
  std::vector<uint32_t> code;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    if (!replay) *scanned += static_cast<double>(chunk.size());
    reader.FindUnits(chunk);
    const std::vector<int64_t>& kept = reader.rows();
    ts_ms.resize(kept.size());
    code.resize(kept.size());
    const auto* all_ts_ms = chunk.data<int64_t>(reader.ts());
    const auto* all_names = chunk.data<int32_t>(reader.name());
    for (size_t i = 0; i < kept.size(); ++i) {
      ts_ms[i] = all_ts_ms[kept[i]];
      const auto name = static_cast<size_t>(all_names[kept[i]]);
      code[i] = name < code_of_name.size() ? code_of_name[name] : kOtherEvent;
    }
    EventBatch batch;
    batch.size = kept.size();
    batch.unit = reader.units().data();
    batch.ts_ms = ts_ms.data();
    batch.code = code.data();
    reader.ReadValues(chunk, &batch.values);
    batch.filters = reader.ReadFilters(chunk);
    batch.order_keys = reader.ReadOrderKeys(chunk);
    batch.session_keys = reader.ReadSessionKeys(chunk);
    fold->AddEvents(batch);
  }
}

}  // namespace fulcrum::store
