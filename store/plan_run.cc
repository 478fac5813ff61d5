// SPDX-License-Identifier: Apache-2.0
#include "store/plan_run.h"

#include <algorithm>
#include <limits>

#include "base/status.h"
#include "base/text.h"
#include "store/plan_scan.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

constexpr int64_t kOpen = std::numeric_limits<int64_t>::max();

absl::Status CheckMemory(const Fold& fold, int64_t units, const Plan& plan) {
  const int64_t bytes = fold.EstimateBytes(units);
  if (bytes <= plan.memory_limit_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "the report needs " + std::to_string(bytes >> 20) + " MiB for " + std::to_string(units) +
      " units and may take " + std::to_string(plan.memory_limit_bytes >> 20) +
      " MiB; raise the memory limit, or ask for fewer metrics at once");
}

// The latest arrival that the as-of lets in.
absl::StatusOr<int64_t> LastReceived(duckdb::Connection& connection, const Scope& scope) {
  if (scope.as_of_ms >= scope.received_ms) return scope.received_ms;
  std::string sql = "SELECT coalesce(max(latest), 0)::BIGINT FROM (";
  const char* separator = "";
  for (const char* table :
       {"event_rows", "exposure_rows", "link_rows", "duplicates", "client_count_rows"}) {
    sql += separator + std::string("SELECT max(received_ms) AS latest FROM ") + table;
    sql += scope.Where();
    separator = " UNION ALL ";
  }
  return connection.QueryInt(sql + ")");
}

}  // namespace

std::string Scope::Where() const {
  std::string sql = " WHERE seq < " + std::to_string(end_seq);
  if (as_of_ms < received_ms) sql += " AND received_ms <= " + std::to_string(as_of_ms);
  return sql;
}

absl::StatusOr<std::vector<int32_t>> CodesOf(duckdb::Connection& connection,
                                             const std::string& table,
                                             const std::vector<std::string>& texts) {
  std::vector<int32_t> codes(texts.size(), -1);
  if (texts.empty()) return codes;
  std::string sql = "SELECT id, text FROM " + table + " WHERE text IN (";
  duckdb::Params params;
  for (size_t i = 0; i < texts.size(); ++i) {
    sql += (i > 0 ? ", $" : "$") + std::to_string(i + 1);
    params.emplace_back(std::string_view(texts[i]));
  }
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result result, connection.Query(sql + ")", params));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return codes;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const auto it = std::find(texts.begin(), texts.end(), chunk.text(1, row));
      codes[static_cast<size_t>(it - texts.begin())] = chunk.data<int32_t>(0)[row];
    }
  }
}

namespace {

// Values of keys that came after the first kMaxProperties are not in columns. Read as absent they
// would make a wrong number out of nothing, so such a key is refused by name.
absl::Status RefuseKeyWithoutColumn(duckdb::Connection& connection, int scope,
                                    const std::string& key) {
  const absl::StatusOr<int64_t> keys =
      connection.QueryInt("SELECT count(*) FROM properties WHERE scope = $1", {int32_t{scope}});
  FULCRUM_RETURN_IF_ERROR(keys.status());
  if (*keys < kMaxProperties) return absl::OkStatus();
  std::string written;
  AppendJsonString(key, &written);
  const bool event = scope == kScopeEvent;
  const absl::StatusOr<int64_t> rows =
      connection.QueryInt(std::string("SELECT count(*) FROM (SELECT 1 FROM ") +
                              (event ? "event_rows" : "exposure_rows") +
                              " WHERE extra IS NOT NULL AND contains(extra, $1) LIMIT 1)",
                          {std::string_view(written + ":")});
  FULCRUM_RETURN_IF_ERROR(rows.status());
  if (*rows == 0) return absl::OkStatus();
  return FailedPrecondition(
      std::string(event ? "event property \"" : "attribute \"") + key + "\" came after " +
      std::to_string(kMaxProperties) +
      " others, so it has no column and a report cannot read it; send fewer different keys, or "
      "export the data, leave out columns that nobody needs and import it into a new directory");
}

}  // namespace

absl::StatusOr<TypedColumns> FindProperty(duckdb::Connection& connection, int scope,
                                          const std::string& key) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      connection.Query("SELECT id, has_number, has_text, has_bool FROM properties "
                       "WHERE scope = $1 AND key = $2",
                       {int32_t{scope}, std::string_view(key)}));
  FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
  TypedColumns columns;
  if (!chunk) {
    FULCRUM_RETURN_IF_ERROR(RefuseKeyWithoutColumn(connection, scope, key));
    return columns;
  }
  const int32_t id = chunk.data<int32_t>(0)[0];
  if (chunk.data<bool>(1)[0]) columns.number = NumberColumn(id);
  if (chunk.data<bool>(2)[0]) columns.text = TextColumn(id);
  if (chunk.data<bool>(3)[0]) columns.boolean = BoolColumn(id);
  return columns;
}

absl::StatusOr<Scope> MakeScope(duckdb::Connection& connection, const Plan& plan) {
  Scope scope;
  {
    FULCRUM_ASSIGN_OR_RETURN(duckdb::Result result,
                             connection.Query("SELECT next_seq, received_ms FROM watermark"));
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return Internal("the database has no watermark; it was not made by this program");
    scope.end_seq = chunk.data<int64_t>(0)[0];
    scope.received_ms = chunk.data<int64_t>(1)[0];
  }
  scope.as_of_ms = plan.as_of_ms;
  if (!plan.population.active_units) {
    FULCRUM_ASSIGN_OR_RETURN(const std::vector<int32_t> experiment,
                             CodesOf(connection, "experiments", {plan.population.experiment}));
    scope.experiment = experiment[0];
  }
  const absl::StatusOr<int64_t> kind = connection.QueryInt(
      "SELECT code FROM unit_kinds WHERE kind = $1", {std::string_view(plan.population.unit_kind)});
  if (kind.ok()) {
    scope.kind = static_cast<int32_t>(*kind);
  } else if (!absl::IsNotFound(kind.status())) {
    return kind.status();
  }
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result columns,
      connection.Query("SELECT column_name FROM duckdb_columns() WHERE table_name = 'event_rows'"));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, columns.Next());
    if (!chunk) return scope;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      scope.event_columns.emplace(chunk.text(0, row));
    }
  }
}

absl::StatusOr<PlanResult> RunPlan(duckdb::Database& database, const Plan& plan,
                                   const RunOptions& options) {
  FULCRUM_ASSIGN_OR_RETURN(Fold fold, Fold::Compile(plan));
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Connection connection, database.Connect());
  FULCRUM_ASSIGN_OR_RETURN(const Scope scope, MakeScope(connection, plan));
  UnitNumbers numbers;
  Health activity;
  if (plan.population.active_units) {
    if (scope.kind >= 0) {
      FULCRUM_ASSIGN_OR_RETURN(
          const int64_t units,
          connection.QueryInt("SELECT count(*) FROM units WHERE kind = $1", {scope.kind}));
      FULCRUM_RETURN_IF_ERROR(CheckMemory(fold, units, plan));
      FULCRUM_RETURN_IF_ERROR(ScanActiveUnits(connection, plan, scope, &fold, &numbers, &activity));
    }
  } else if (scope.experiment >= 0 && scope.kind >= 0) {
    FULCRUM_ASSIGN_OR_RETURN(
        const int64_t rows,
        connection.QueryInt("SELECT count(*) FROM first_exposures" + scope.Where() +
                            " AND experiment = " + std::to_string(scope.experiment) +
                            " AND kind = " + std::to_string(scope.kind)));
    FULCRUM_RETURN_IF_ERROR(CheckMemory(fold, rows, plan));
    fold.ReserveUnits(static_cast<size_t>(rows));
    FULCRUM_RETURN_IF_ERROR(ScanExposures(connection, plan, scope, &fold, &numbers));
  }
  fold.CloseExposures();
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<Route> routes, FindRoutes(connection, scope, numbers));
  if (fold.wants_enrolments()) {
    FULCRUM_RETURN_IF_ERROR(ScanEnrolments(connection, plan, scope, routes, &fold));
  }
  FULCRUM_ASSIGN_OR_RETURN(const int64_t last_received_ms, LastReceived(connection, scope));
  fold.CloseCohort(plan.as_of_ms == kOpen ? last_received_ms : plan.as_of_ms);
  double scanned = 0;
  FULCRUM_RETURN_IF_ERROR(ScanEvents(connection, scope, routes, false, &fold, &scanned));
  if (fold.wants_replay()) {
    fold.BeginReplay();
    FULCRUM_RETURN_IF_ERROR(ScanEvents(connection, scope, routes, true, &fold, &scanned));
  }
  FULCRUM_ASSIGN_OR_RETURN(PlanResult result, fold.Finish(options.threads));
  FULCRUM_RETURN_IF_ERROR(ReadHealth(connection, plan, scope, &result.health));
  if (plan.population.active_units) {
    result.health.first_exposure_ms = activity.first_exposure_ms;
    result.health.last_exposure_ms = activity.last_exposure_ms;
  }
  result.health.events_scanned = scanned;
  result.health.last_received_ms = last_received_ms;
  return result;
}

}  // namespace fulcrum::store
