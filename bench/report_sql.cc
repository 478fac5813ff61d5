// SPDX-License-Identifier: Apache-2.0
#include "bench/report_sql.h"

#include <optional>
#include <utility>

#include "base/status.h"

namespace fulcrum::bench {
namespace {

namespace duckdb = store::duckdb;

constexpr const char* kEvents[] = {"browse", "order", "pay", "search"};

// The first exposure of each unit, as every statement begins.
constexpr char kFirst[] =
    "WITH x AS (SELECT unit, min(ts_ms) AS clock, arg_min(variant, ts_ms) AS arm "
    "FROM sql_exposures GROUP BY unit), ";

std::string EventJoin(const std::string& names, int64_t window_ms) {
  return " FROM x LEFT JOIN sql_events e ON e.unit = x.unit AND e.name IN (" + names +
         ") AND e.ts_ms >= x.clock AND e.ts_ms < x.clock + " + std::to_string(window_ms) +
         " GROUP BY x.unit)";
}

// `value` of each unit's events, then its mean and variance by arm.
std::string MeanOf(const std::string& value, const std::string& names, int64_t window_ms) {
  return kFirst + std::string("u AS (SELECT x.unit, any_value(arm) AS arm, ") + value + " AS v" +
         EventJoin(names, window_ms) +
         " SELECT arm, count(*)::DOUBLE, avg(v)::DOUBLE, var_samp(v)::DOUBLE FROM u GROUP BY arm";
}

// A metric of the catalogue.
struct Entry {
  int event = 0;
  int kind = 0;  // 0 did it, 1 how often, 2 how much.
  int64_t window_ms = 0;
};

std::vector<Entry> Catalogue() {
  std::vector<Entry> entries;
  for (const int days : {1, 3, 5, 7, 14}) {
    entries.push_back({0, 0, days * kDayMs});
    entries.push_back({1, 0, days * kDayMs});
    entries.push_back({2, 2, days * kDayMs});
    entries.push_back({3, 1, days * kDayMs});
  }
  return entries;
}

store::Plan EmptyPlan() {
  store::Plan plan;
  plan.population.experiment = "checkout";
  plan.population.unit_kind = "user";
  plan.population.arms = {{"control", 1}, {"one-page", 1}};
  return plan;
}

}  // namespace

store::Plan SixMetrics(bool sliced) {
  store::Plan plan = EmptyPlan();
  plan.funnels = {{"funnel",
                   {{"browse", {"browse"}, false, "", {}},
                    {"order", {"order"}, false, "", {}},
                    {"pay", {"pay"}, false, "", {}}},
                   {0, kWindowMs}}};
  for (int stage = 0; stage < 3; ++stage) {
    store::Column column;
    column.name = "stage " + std::to_string(stage);
    column.kind = store::ColumnKind::kStage;
    column.funnel = 0;
    column.stage = stage;
    plan.columns.push_back(column);
  }
  store::Column revenue;
  revenue.name = "revenue";
  revenue.terms = {{1, {"pay"}, "value", {}}};
  revenue.window = {0, kWindowMs};
  revenue.cap = store::CapRule{kCap, std::nullopt, false};
  plan.columns.push_back(revenue);
  store::Column orders = revenue;
  orders.name = "orders";
  orders.terms[0].property = "";
  orders.cap.reset();
  plan.columns.push_back(orders);
  plan.groups = {{0, {0, 1, 2, 3, 4}}};
  plan.time_to = {{"time to pay", {}, {"pay"}, kWindowMs}};
  if (sliced) {
    store::Column before = orders;
    before.name = "paid before";
    before.kind = store::ColumnKind::kPre;
    before.terms[0].property = "value";
    before.pre_ms = 14 * kDayMs;
    plan.columns.push_back(before);
    plan.groups[0].columns.push_back(5);
    plan.slices = {
        {"channel", {"channel"}, 20}, {"city", {"city"}, 20}, {"registered", {"registered"}, 20}};
  }
  return plan;
}

store::Plan TwentyMetrics() {
  store::Plan plan = EmptyPlan();
  plan.groups.emplace_back();
  for (const Entry& entry : Catalogue()) {
    store::Column column;
    column.name = "m" + std::to_string(plan.columns.size());
    column.kind = entry.kind == 0 ? store::ColumnKind::kAtLeast : store::ColumnKind::kSum;
    column.terms = {{1, {kEvents[entry.event]}, entry.kind == 2 ? "value" : "", {}}};
    column.window = {0, entry.window_ms};
    plan.groups[0].columns.push_back(static_cast<int>(plan.columns.size()));
    plan.columns.push_back(column);
  }
  return plan;
}

std::string OneStatement() {
  return kFirst +
         std::string(
             "u AS (SELECT x.unit, any_value(arm) AS arm, any_value(clock) AS clock, "
             "min(e.ts_ms) FILTER (WHERE name = 0) AS t0, min(e.ts_ms) FILTER (WHERE name = 1) AS "
             "t1, "
             "min(e.ts_ms) FILTER (WHERE name = 2) AS t2, "
             "coalesce(sum(value) FILTER (WHERE name = 2), 0) AS revenue, "
             "count(*) FILTER (WHERE name = 2) AS orders") +
         EventJoin("0, 1, 2", kWindowMs) +
         ", m AS (SELECT arm, (t0 IS NOT NULL)::INT AS s0, coalesce(t1 >= t0, false)::INT AS s1, "
         "coalesce(t2 >= t1 AND t1 >= t0, false)::INT AS s2, least(revenue, 400) AS revenue, "
         "orders, t2 - clock AS wait FROM u) "
         "SELECT arm, count(*)::DOUBLE, avg(s0), avg(s1), avg(s2), avg(revenue), avg(orders), "
         "covar_pop(revenue, orders) * count(*), "
         "coalesce(quantile_disc(wait, 0.5), 0)::DOUBLE, var_pop(revenue), var_pop(orders), "
         "covar_pop(s0, s1), covar_pop(s0, s2), covar_pop(s1, s2), covar_pop(s2, revenue) "
         "FROM m GROUP BY arm";
}

std::string PostgresStatement() {
  std::string sql = OneStatement();
  const std::pair<const char*, const char*> words[] = {
      {"SELECT unit, min(ts_ms) AS clock, arg_min(variant, ts_ms) AS arm FROM sql_exposures "
       "GROUP BY unit",
       "SELECT DISTINCT ON (unit) unit, ts_ms AS clock, variant AS arm FROM sql_exposures "
       "ORDER BY unit, ts_ms"},
      {"any_value(", "min("},
      {"quantile_disc(wait, 0.5)", "percentile_disc(0.5) WITHIN GROUP (ORDER BY wait)"},
      {"::DOUBLE", "::DOUBLE PRECISION"}};
  for (const auto& [ours, theirs] : words) {
    for (size_t at = 0; (at = sql.find(ours, at)) != std::string::npos;) {
      sql.replace(at, std::string(ours).size(), theirs);
      at += std::string(theirs).size();
    }
  }
  return sql;
}

std::vector<std::string> SixStatements() {
  const std::string t0 = "min(e.ts_ms) FILTER (WHERE name = 0)";
  const std::string t1 = "min(e.ts_ms) FILTER (WHERE name = 1)";
  const std::string t2 = "min(e.ts_ms) FILTER (WHERE name = 2)";
  const std::string revenue = "coalesce(sum(value), 0)";
  return {MeanOf("(" + t0 + " IS NOT NULL)::INT", "0", kWindowMs),
          MeanOf("coalesce(" + t1 + " >= " + t0 + ", false)::INT", "0, 1", kWindowMs),
          MeanOf("coalesce(" + t2 + " >= " + t1 + " AND " + t1 + " >= " + t0 + ", false)::INT",
                 "0, 1, 2", kWindowMs),
          MeanOf("least(" + revenue + ", 400)", "2", kWindowMs),
          kFirst + std::string("u AS (SELECT x.unit, any_value(arm) AS arm, ") + revenue +
              " AS v, count(e.unit) AS orders" + EventJoin("2", kWindowMs) +
              " SELECT arm, count(*)::DOUBLE, avg(v)::DOUBLE / avg(orders), "
              "var_samp(v) + var_samp(orders) + covar_samp(v, orders) FROM u GROUP BY arm",
          kFirst +
              std::string("u AS (SELECT x.unit, any_value(arm) AS arm, min(ts_ms) - "
                          "any_value(clock) AS v") +
              EventJoin("2", kWindowMs) +
              " SELECT arm, count(v)::DOUBLE, quantile_disc(v, 0.5)::DOUBLE, 0::DOUBLE FROM u "
              "GROUP BY arm"};
}

std::vector<std::string> TwentyStatements() {
  std::vector<std::string> statements;
  for (const Entry& entry : Catalogue()) {
    const char* values[] = {"(count(e.unit) > 0)::INT", "count(e.unit)", "coalesce(sum(value), 0)"};
    statements.push_back(MeanOf(values[entry.kind], std::to_string(entry.event), entry.window_ms));
  }
  return statements;
}

Answer RunOneStatement(const std::string& path) {
  duckdb::Database database = OpenDatabase(path);
  duckdb::Connection connection = Must(database.Connect());
  duckdb::Result rows = Must(connection.Query(OneStatement()));
  Answer answer;
  while (duckdb::Chunk chunk = Must(rows.Next())) {
    for (int64_t i = 0; i < chunk.size(); ++i) {
      const int arm = chunk.data<int32_t>(0)[i];
      answer.n[arm] = chunk.data<double>(1)[i];
      for (int c = 0; c < 5; ++c) answer.mean[arm][c] = chunk.data<double>(2 + c)[i];
      answer.revenue_x_orders[arm] = chunk.data<double>(7)[i];
      answer.median_ms[arm] = chunk.data<double>(8)[i];
    }
  }
  return answer;
}

std::vector<double> RunStatements(const std::string& path,
                                  const std::vector<std::string>& statements) {
  duckdb::Database database = OpenDatabase(path);
  duckdb::Connection connection = Must(database.Connect());
  std::vector<double> means(2 * statements.size());
  for (size_t s = 0; s < statements.size(); ++s) {
    duckdb::Result rows = Must(connection.Query(statements[s]));
    while (duckdb::Chunk chunk = Must(rows.Next())) {
      for (int64_t i = 0; i < chunk.size(); ++i) {
        means[2 * s + static_cast<size_t>(chunk.data<int32_t>(0)[i])] = chunk.data<double>(2)[i];
      }
    }
  }
  return means;
}

}  // namespace fulcrum::bench
