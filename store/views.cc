// SPDX-License-Identifier: Apache-2.0
//
// The views for people, documented in docs/sql.md: coded columns as texts, times as TIMESTAMP
// (UTC). They are made from the columns there are, and again after one was added.
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

struct Property {
  int32_t id = 0;
  std::string key;
  bool has_number = false, has_text = false, has_bool = false;
};

struct UnitKind {
  int32_t code = 0;
  std::string kind;
};

absl::StatusOr<std::vector<Property>> ReadProperties(duckdb::Connection& connection, int scope) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      connection.Query("SELECT id, key, has_number, has_text, has_bool FROM properties "
                       "WHERE scope = $1 ORDER BY key",
                       {int32_t{scope}}));
  std::vector<Property> properties;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return properties;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      properties.push_back({chunk.data<int32_t>(0)[row], std::string(chunk.text(1, row)),
                            chunk.data<bool>(2)[row], chunk.data<bool>(3)[row],
                            chunk.data<bool>(4)[row]});
    }
  }
}

// The kinds that events carry, which are the u_ columns of event_rows.
absl::StatusOr<std::vector<UnitKind>> ReadEventKinds(duckdb::Connection& connection) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      connection.Query("SELECT code, kind FROM unit_kinds WHERE 'u_' || code IN (SELECT "
                       "column_name FROM duckdb_columns() WHERE table_name = 'event_rows') "
                       "ORDER BY code"));
  std::vector<UnitKind> kinds;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return kinds;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      kinds.push_back({chunk.data<int32_t>(0)[row], std::string(chunk.text(1, row))});
    }
  }
}

std::string StringText(const std::string& code) {
  return "(SELECT text FROM strings WHERE id = " + code + ")";
}

// SQL names ignore case, so "City" and "city" need different ones; and a control character in a key
// that someone sent must not break the statement.
std::string UniqueName(std::string name, std::set<std::string>* taken) {
  for (char& c : name) c = static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '_' : c;
  std::string unique = name;
  for (int i = 2;; ++i) {
    std::string lower = unique;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (taken->insert(lower).second) return unique;
    unique = name + "_" + std::to_string(i);
  }
}

// One column a key, with the type it came with; text when it came with several.
std::string PropertyColumnsSql(const std::vector<Property>& properties, const std::string& prefix,
                               const std::string& table) {
  std::string sql;
  std::set<std::string> taken;
  for (const Property& property : properties) {
    const int types = property.has_number + property.has_text + property.has_bool;
    const char* cast = types > 1 ? "::VARCHAR" : "";
    std::vector<std::string> values;
    if (property.has_text) values.push_back(StringText(table + "." + TextColumn(property.id)));
    if (property.has_number) values.push_back(table + "." + NumberColumn(property.id) + cast);
    if (property.has_bool) values.push_back(table + "." + BoolColumn(property.id) + cast);
    std::string value = values.front();
    for (size_t i = 1; i < values.size(); ++i) value += ", " + values[i];
    if (types > 1) value = "coalesce(" + value + ")";
    sql += ",\n  " + value + " AS " + duckdb::QuoteName(UniqueName(prefix + property.key, &taken));
  }
  return sql;
}

std::string ExposuresSql(const std::vector<Property>& attributes) {
  return "CREATE OR REPLACE VIEW exposures AS SELECT\n"
         "  r.seq, epoch_ms(r.ts_ms) AS ts, epoch_ms(r.received_ms) AS received,\n"
         "  (SELECT text FROM experiments WHERE id = r.experiment) AS experiment,\n"
         "  (SELECT text FROM variants WHERE id = r.variant) AS variant,\n"
         "  (SELECT kind FROM unit_kinds WHERE code = r.kind) AS unit_kind,\n"
         "  u.text AS unit, r.phase, r.propensity,\n"
         "  " +
         StringText("r.snapshot") + " AS snapshot" + PropertyColumnsSql(attributes, "attr_", "r") +
         ",\n  r.extra\nFROM exposure_rows r LEFT JOIN units u ON u.kind = r.kind AND u.id = "
         "r.unit";
}

std::string EventsSql(const std::vector<Property>& properties, const std::vector<UnitKind>& kinds) {
  std::string sql =
      "CREATE OR REPLACE VIEW events AS SELECT\n"
      "  r.seq, epoch_ms(r.ts_ms) AS ts, epoch_ms(r.received_ms) AS received,\n"
      "  (SELECT text FROM names WHERE id = r.name) AS name, r.value,\n"
      "  " +
      StringText("r.currency") + " AS currency";
  std::set<std::string> taken;
  for (const UnitKind& kind : kinds) {
    sql += ",\n  (SELECT text FROM units WHERE kind = " + std::to_string(kind.code) +
           " AND id = r." + UnitColumn(kind.code) + ") AS " +
           duckdb::QuoteName(UniqueName("unit_" + kind.kind, &taken));
  }
  return sql + PropertyColumnsSql(properties, "prop_", "r") + ",\n  r.extra\nFROM event_rows r";
}

std::string UnitOutcomesSql(const std::vector<UnitKind>& kinds) {
  std::string unit_events;
  for (const UnitKind& kind : kinds) {
    const std::string column = UnitColumn(kind.code);
    unit_events +=
        (unit_events.empty() ? "" : " UNION ALL ") +
        ("SELECT " + std::to_string(kind.code) + " AS kind, " + column +
         " AS unit, name, ts_ms, value FROM event_rows WHERE " + column + " IS NOT NULL");
  }
  if (unit_events.empty()) {
    unit_events = "SELECT 0 AS kind, 0 AS unit, name, ts_ms, value FROM event_rows WHERE false";
  }
  return "CREATE OR REPLACE VIEW unit_outcomes AS WITH first AS (\n"
         "  SELECT experiment, kind, unit, arg_min(variant, (ts_ms, seq)) AS variant,\n"
         "    arg_min(phase, (ts_ms, seq)) AS phase, min(ts_ms) AS ts_ms,\n"
         "    count(DISTINCT variant) AS variants_seen\n"
         "  FROM first_exposures GROUP BY experiment, kind, unit),\n"
         "unit_events AS (" +
         unit_events +
         "),\n"
         "outcomes AS (\n"
         "  SELECT f.experiment, f.kind, f.unit, e.name, count(*) AS events,\n"
         "    sum(e.value) AS value, min(e.ts_ms) AS first_ms, max(e.ts_ms) AS last_ms\n"
         "  FROM first f JOIN unit_events e\n"
         "    ON e.kind = f.kind AND e.unit = f.unit AND e.ts_ms >= f.ts_ms\n"
         "  GROUP BY f.experiment, f.kind, f.unit, e.name)\n"
         "SELECT (SELECT text FROM experiments WHERE id = f.experiment) AS experiment,\n"
         "  (SELECT text FROM variants WHERE id = f.variant) AS variant,\n"
         "  (SELECT kind FROM unit_kinds WHERE code = f.kind) AS unit_kind, u.text AS unit,\n"
         "  epoch_ms(f.ts_ms) AS first_exposed, f.phase, f.variants_seen,\n"
         "  (SELECT text FROM names WHERE id = o.name) AS event,\n"
         "  coalesce(o.events, 0) AS events, o.value,\n"
         "  epoch_ms(o.first_ms) AS first_ts, epoch_ms(o.last_ms) AS last_ts\n"
         "FROM first f LEFT JOIN outcomes o USING (experiment, kind, unit)\n"
         "LEFT JOIN units u ON u.kind = f.kind AND u.id = f.unit";
}

constexpr char kPlainViews[] = R"sql(
CREATE OR REPLACE VIEW links AS SELECT r.seq, epoch_ms(r.ts_ms) AS ts,
  epoch_ms(r.received_ms) AS received,
  (SELECT kind FROM unit_kinds WHERE code = r.anonymous_kind) AS anonymous_kind,
  a.text AS anonymous,
  (SELECT kind FROM unit_kinds WHERE code = r.known_kind) AS known_kind,
  k.text AS known
FROM link_rows r LEFT JOIN units a ON a.kind = r.anonymous_kind AND a.id = r.anonymous
LEFT JOIN units k ON k.kind = r.known_kind AND k.id = r.known;
CREATE OR REPLACE VIEW client_counts AS SELECT r.seq, epoch_ms(r.received_ms) AS received,
  (SELECT text FROM experiments WHERE id = r.experiment) AS experiment,
  (SELECT text FROM variants WHERE id = r.variant) AS variant,
  r.assigned, r.shown, r.sent, r.dropped
FROM client_count_rows r;
CREATE OR REPLACE VIEW results AS SELECT experiment, metric, arm, statistic, value,
  epoch_ms(as_of_ms) AS as_of
FROM result_rows;
)sql";

}  // namespace

absl::Status CreateViews(duckdb::Connection& connection) {
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<Property> properties,
                           ReadProperties(connection, kScopeEvent));
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<Property> attributes,
                           ReadProperties(connection, kScopeExposure));
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<UnitKind> kinds, ReadEventKinds(connection));
  FULCRUM_RETURN_IF_ERROR(connection.Execute(ExposuresSql(attributes)));
  FULCRUM_RETURN_IF_ERROR(connection.Execute(EventsSql(properties, kinds)));
  FULCRUM_RETURN_IF_ERROR(connection.Execute(UnitOutcomesSql(kinds)));
  return connection.Execute(kPlainViews);
}

}  // namespace fulcrum::store
