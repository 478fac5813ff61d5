// SPDX-License-Identifier: Apache-2.0
//
// Units out of their activity, for planning from history (Population::active_units).
#include <algorithm>
#include <limits>

#include "base/status.h"
#include "store/plan_scan.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

std::string Between(const Population& population) {
  std::string sql;
  if (population.from_ms != std::numeric_limits<int64_t>::min()) {
    sql += " AND ts_ms >= " + std::to_string(population.from_ms);
  }
  if (population.to_ms != std::numeric_limits<int64_t>::max()) {
    sql += " AND ts_ms < " + std::to_string(population.to_ms);
  }
  return sql;
}

// Rows (unit, ts_ms) of everything that counts as activity; "" = there can be none.
absl::StatusOr<std::string> ActivitySql(duckdb::Connection& connection, const Plan& plan,
                                        const Scope& scope) {
  const Population& population = plan.population;
  const std::string where = scope.Where() + Between(population);
  const std::string column = UnitColumn(scope.kind);
  std::string sql;
  if (scope.event_columns.contains(column)) {
    sql = "SELECT " + column + " AS unit, ts_ms FROM event_rows" + where + " AND " + column +
          " IS NOT NULL";
    if (!population.active_events.empty()) {
      FULCRUM_ASSIGN_OR_RETURN(const std::vector<int32_t> codes,
                               CodesOf(connection, "names", population.active_events));
      std::string list;
      for (const int32_t code : codes) {
        if (code >= 0) list += (list.empty() ? "" : ", ") + std::to_string(code);
      }
      if (list.empty()) return std::string();
      sql += " AND name IN (" + list + ")";
    }
  }
  if (population.active_events.empty()) {
    sql += std::string(sql.empty() ? "" : " UNION ALL ") + "SELECT unit, ts_ms FROM exposure_rows" +
           where + " AND kind = " + std::to_string(scope.kind);
  }
  return sql;
}

}  // namespace

absl::Status ScanActiveUnits(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                             Fold* fold, UnitNumbers* numbers, Health* health) {
  FULCRUM_ASSIGN_OR_RETURN(const std::string activity, ActivitySql(connection, plan, scope));
  if (activity.empty()) return absl::OkStatus();
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result rows,
                           connection.Stream("SELECT unit, min(ts_ms), max(ts_ms) FROM (" +
                                             activity + ") GROUP BY unit"));
  const std::vector<int32_t> arm(duckdb_vector_size(), 0);
  const std::vector<int32_t> phase(duckdb_vector_size(), 0);
  const std::vector<int64_t> sequence(duckdb_vector_size(), 0);
  // There are no exposures, so nobody has an attribute: code 0.
  const std::vector<uint32_t> absent(duckdb_vector_size(), 0);
  std::vector<uint32_t> unit;
  uint32_t next = 0;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    const auto size = static_cast<size_t>(chunk.size());
    unit.clear();
    for (size_t i = 0; i < size; ++i) {
      const auto id = static_cast<size_t>(chunk.data<int32_t>(0)[i]);
      if (id >= numbers->size()) numbers->resize(id + 1, kNoUnit);
      (*numbers)[id] = next;
      unit.push_back(next++);
      const int64_t first_ms = chunk.data<int64_t>(1)[i];
      if (health->first_exposure_ms == 0 || first_ms < health->first_exposure_ms) {
        health->first_exposure_ms = first_ms;
      }
      health->last_exposure_ms = std::max(health->last_exposure_ms, chunk.data<int64_t>(2)[i]);
    }
    ExposureBatch batch;
    batch.size = size;
    batch.unit = unit.data();
    batch.arm = arm.data();
    batch.phase = phase.data();
    batch.ts_ms = chunk.data<int64_t>(1);
    batch.sequence = sequence.data();
    batch.attributes.assign(fold->needs().attributes.size(), absent.data());
    fold->AddExposures(batch);
  }
}

}  // namespace fulcrum::store
