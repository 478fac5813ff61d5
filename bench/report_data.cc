// SPDX-License-Identifier: Apache-2.0
#include "bench/report_data.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include "base/status.h"
#include "store/schema.h"

namespace fulcrum::bench {

namespace duckdb = store::duckdb;

void Die(const std::string& message) {
  std::fprintf(stderr, "report_bench: %s\n", message.c_str());
  std::exit(1);
}

void Must(const absl::Status& status) {
  if (!status.ok()) Die(std::string(Message(status)));
}

duckdb::Database OpenDatabase(const std::string& path, int threads) {
  return Must(duckdb::Database::Open(
      path, {{"threads", std::to_string(threads)}, {"memory_limit", "4GB"}}));
}

void Generate(const std::string& path, int64_t units, Extent extent, bool by_unit) {
  duckdb::Database database = OpenDatabase(path);
  duckdb::Connection connection = Must(database.Connect());
  Must(connection.Execute("BEGIN"));
  Must(store::CreateSchema(connection, "bench"));
  const std::string n = std::to_string(units);
  const std::string start = std::to_string(kStartMs);
  // u01(i, k): a uniform number that depends on both.
  Must(connection.Execute(
      "CREATE MACRO u01(i, k) AS (hash(i * 64 + k) >> 11)::DOUBLE / 9007199254740992.0;"
      "INSERT INTO unit_kinds VALUES (0, 'user');"
      "INSERT INTO experiments VALUES (0, 'checkout');"
      "INSERT INTO variants VALUES (0, 'control'), (1, 'one-page');"
      "INSERT INTO names VALUES (0, 'browse'), (1, 'order'), (2, 'pay'), (3, 'search');"
      "INSERT INTO strings SELECT i, 'value-' || i FROM range(40) t(i);"
      "ALTER TABLE event_rows ADD COLUMN u_0 INTEGER;"
      "ALTER TABLE exposure_rows ADD COLUMN s_0 INTEGER;"
      "ALTER TABLE exposure_rows ADD COLUMN s_1 INTEGER;"
      "ALTER TABLE exposure_rows ADD COLUMN b_2 BOOLEAN;"
      "ALTER TABLE first_exposures ADD COLUMN s_0 INTEGER;"
      "ALTER TABLE first_exposures ADD COLUMN s_1 INTEGER;"
      "ALTER TABLE first_exposures ADD COLUMN b_2 BOOLEAN;"
      "INSERT INTO properties VALUES (1, 0, 'channel', false, true, false), "
      "(1, 1, 'city', false, true, false), (1, 2, 'registered', false, false, true);"));
  Must(
      connection.Execute("INSERT INTO units SELECT 0, i, 'user-' || i FROM range(" + n + ") t(i)"));
  Must(connection.Execute("CREATE TEMP TABLE shown AS SELECT i::INTEGER AS unit, (" + start +
                          " + u01(i, 0) * 14 * " + std::to_string(kDayMs) +
                          ")::BIGINT AS ts FROM range(" + n + ") t(i)"));
  // Ids are given in order of first sight.
  Must(connection.Execute(
      "CREATE TEMP TABLE arrived AS SELECT (row_number() OVER (ORDER BY ts, unit) - 1)::INTEGER "
      "AS unit, unit AS i, ts FROM shown"));
  Must(connection.Execute(
      "CREATE TEMP TABLE shown_rows AS SELECT * FROM exposure_rows LIMIT 0;"
      "INSERT INTO shown_rows SELECT unit, ts, ts, 0, CASE WHEN u01(i, 1) < 0.5 THEN 0 ELSE 1 "
      "END, 0, unit, 1, NULL, NULL, NULL, (u01(i, 2) * 5)::INTEGER, (u01(i, 3) * 30)::INTEGER, "
      "u01(i, 4) < 0.5 FROM arrived ORDER BY ts, unit"));
  // Five events a unit: one before, browse, order (60%), pay (40%) and one that no metric wants,
  // or a second payment.
  const std::string before = "(ts - u01(i, 5) * 86400000 * 5)::BIGINT";
  Must(connection.Execute(
      "CREATE TEMP TABLE happened AS "
      "SELECT unit, " +
      before +
      " AS ts, 2 AS name, round(u01(i, 6) * 200) / 2 AS value FROM "
      "arrived UNION ALL "
      "SELECT unit, (ts + u01(i, 7) * 86400000 * 3)::BIGINT, 0, NULL FROM arrived UNION ALL "
      "SELECT unit, (ts + 259200000 + u01(i, 8) * 86400000 * 3)::BIGINT, "
      "CASE WHEN u01(i, 9) < 0.6 THEN 1 ELSE 3 END, NULL FROM arrived UNION ALL "
      "SELECT unit, (ts + 518400000 + u01(i, 10) * 86400000 * 2)::BIGINT, "
      "CASE WHEN u01(i, 11) < 0.4 THEN 2 ELSE 3 END, round(exp(u01(i, 12) * 6) * 4) / 4 FROM "
      "arrived UNION ALL "
      "SELECT unit, (ts + 691200000 + u01(i, 13) * 86400000 * 2)::BIGINT, 2, 1 FROM arrived"));
  int64_t cut_ms = INT64_MAX;
  if (extent == Extent::kRunning) {
    Must(connection.Execute("DELETE FROM happened WHERE ts >= (SELECT max(ts) FROM arrived)"));
    cut_ms = Must(connection.QueryInt("SELECT quantile_disc(ts, 0.99) FROM happened"));
  }
  const std::string cut = std::to_string(cut_ms);
  const std::string order = by_unit ? "unit, ts" : "ts, unit";
  const std::string events = "SELECT " + n + " + row_number() OVER (ORDER BY " + order +
                             "), ts, ts, name, value, NULL, NULL, unit FROM happened ";
  Must(connection.Execute(
      "INSERT INTO exposure_rows SELECT * FROM shown_rows WHERE ts_ms <= " + cut +
      "; INSERT INTO first_exposures SELECT * FROM exposure_rows; INSERT INTO event_rows " +
      events + "WHERE ts <= " + cut + " ORDER BY " + order +
      "; CREATE TABLE rest_exposures AS SELECT * FROM shown_rows WHERE ts_ms > " + cut +
      "; CREATE TABLE rest_events AS SELECT * FROM event_rows LIMIT 0; INSERT INTO rest_events " +
      events + "WHERE ts > " + cut + " ORDER BY " + order + "; UPDATE watermark SET next_seq = " +
      n + " * 6 + 1, received_ms = (SELECT max(ts_ms) FROM event_rows)"));
  // Hashed ids for the SQL baseline, as warehouses have them.
  Must(connection.Execute(
      "CREATE TABLE sql_exposures AS SELECT hash(unit) AS unit, variant, ts_ms FROM exposure_rows;"
      "CREATE TABLE sql_events AS SELECT hash(u_0) AS unit, name, ts_ms, value FROM event_rows"));
  Must(connection.Execute(
      "DROP TABLE arrived; DROP TABLE shown; DROP TABLE shown_rows; DROP TABLE happened; COMMIT"));
  Must(connection.Execute("CHECKPOINT"));
}

int64_t AddRest(const std::string& path) {
  duckdb::Database database = OpenDatabase(path);
  duckdb::Connection connection = Must(database.Connect());
  Must(connection.Execute(
      "BEGIN; CREATE TEMP TABLE base AS SELECT next_seq AS n FROM watermark;"
      "INSERT INTO exposure_rows SELECT * REPLACE ((SELECT n FROM base) + row_number() OVER "
      "(ORDER BY ts_ms) AS seq) FROM rest_exposures ORDER BY ts_ms;"
      "INSERT INTO first_exposures SELECT * REPLACE ((SELECT n FROM base) + row_number() OVER "
      "(ORDER BY ts_ms) AS seq) FROM rest_exposures ORDER BY ts_ms;"
      "INSERT INTO event_rows SELECT * REPLACE ((SELECT n + count(*) FROM base, rest_exposures "
      "GROUP BY n) + row_number() OVER (ORDER BY ts_ms) AS seq) FROM rest_events ORDER BY ts_ms;"
      "UPDATE watermark SET next_seq = (SELECT max(seq) + 1 FROM event_rows), "
      "received_ms = (SELECT max(ts_ms) FROM event_rows); DROP TABLE base; COMMIT"));
  return Must(connection.QueryInt("SELECT count(*) FROM rest_events"));
}

void ExportCsv(const std::string& path, const std::string& directory) {
  duckdb::Database database = OpenDatabase(path);
  duckdb::Connection connection = Must(database.Connect());
  const auto copy = [&](const char* select, const char* file) {
    Must(connection.Execute(std::string("COPY (") + select + ") TO " +
                            duckdb::QuoteText(directory + "/" + file) + " (HEADER false)"));
  };
  // PostgreSQL has no unsigned numbers: half of the hash, moved into the signed range.
  copy("SELECT (unit >> 1)::BIGINT, variant, ts_ms FROM sql_exposures", "exposures.csv");
  copy("SELECT (unit >> 1)::BIGINT, name, ts_ms, value FROM sql_events", "events.csv");
}

namespace {

double Median(std::vector<double>* values) {
  if (values->empty()) return 0;
  const auto middle = values->begin() + static_cast<std::ptrdiff_t>(values->size() / 2);
  std::nth_element(values->begin(), middle, values->end());
  return *middle;
}

struct Sums {
  double n = 0, sum[5] = {}, cross[5][5] = {};
  std::vector<double> times;
};

}  // namespace

Arrays LoadArrays(const std::string& path) {
  duckdb::Database database = OpenDatabase(path);
  duckdb::Connection connection = Must(database.Connect());
  Arrays arrays;
  duckdb::Result units =
      Must(connection.Stream("SELECT ts_ms, variant FROM first_exposures ORDER BY unit"));
  while (duckdb::Chunk chunk = Must(units.Next())) {
    for (int64_t i = 0; i < chunk.size(); ++i) {
      arrays.clock_ms.push_back(chunk.data<int64_t>(0)[i]);
      arrays.arm.push_back(static_cast<uint8_t>(chunk.data<int32_t>(1)[i]));
    }
  }
  duckdb::Result events = Must(connection.Stream(
      "SELECT u_0, ts_ms, name, coalesce(value, 0) FROM event_rows ORDER BY u_0, ts_ms"));
  arrays.first.assign(arrays.clock_ms.size() + 1, 0);
  while (duckdb::Chunk chunk = Must(events.Next())) {
    for (int64_t i = 0; i < chunk.size(); ++i) {
      ++arrays.first[static_cast<size_t>(chunk.data<int32_t>(0)[i]) + 1];
      arrays.ts_ms.push_back(chunk.data<int64_t>(1)[i]);
      arrays.name.push_back(static_cast<uint8_t>(chunk.data<int32_t>(2)[i]));
      arrays.value.push_back(chunk.data<double>(3)[i]);
    }
  }
  for (size_t u = 1; u < arrays.first.size(); ++u) arrays.first[u] += arrays.first[u - 1];
  return arrays;
}

namespace {

void FloorPart(const Arrays& arrays, size_t begin, size_t end, Sums* sums) {
  for (size_t u = begin; u < end; ++u) {
    const int64_t clock_ms = arrays.clock_ms[u];
    double row[5] = {};
    double pay_ms = -1;
    for (uint32_t e = arrays.first[u]; e < arrays.first[u + 1]; ++e) {
      const int64_t dt_ms = arrays.ts_ms[e] - clock_ms;
      if (dt_ms < 0 || dt_ms >= kWindowMs) continue;
      if (arrays.name[e] == 0) row[0] = 1;
      if (arrays.name[e] == 1 && row[0] > 0) row[1] = 1;
      if (arrays.name[e] == 2) {
        if (row[1] > 0) row[2] = 1;
        row[3] += arrays.value[e];
        row[4] += 1;
        if (pay_ms < 0) pay_ms = static_cast<double>(dt_ms);
      }
    }
    row[3] = std::min(row[3], kCap);
    Sums& of = sums[arrays.arm[u]];
    of.n += 1;
    for (int i = 0; i < 5; ++i) {
      of.sum[i] += row[i];
      for (int j = 0; j <= i; ++j) of.cross[i][j] += row[i] * row[j];
    }
    if (pay_ms >= 0) of.times.push_back(pay_ms);
  }
}

}  // namespace

Answer RunFloor(const Arrays& arrays) {
  const size_t units = arrays.clock_ms.size();
  Sums parts[2][kArms];
  std::thread other([&] { FloorPart(arrays, units / 2, units, parts[1]); });
  FloorPart(arrays, 0, units / 2, parts[0]);
  other.join();
  Answer answer;
  for (int arm = 0; arm < kArms; ++arm) {
    Sums& a = parts[0][arm];
    const Sums& b = parts[1][arm];
    a.n += b.n;
    for (int i = 0; i < 5; ++i) a.sum[i] += b.sum[i];
    const double cross = a.cross[4][3] + b.cross[4][3];
    a.times.insert(a.times.end(), b.times.begin(), b.times.end());
    answer.n[arm] = a.n;
    for (int i = 0; i < 5; ++i) answer.mean[arm][i] = a.sum[i] / a.n;
    answer.revenue_x_orders[arm] = cross - a.sum[3] * a.sum[4] / a.n;
    answer.median_ms[arm] = Median(&a.times);
  }
  return answer;
}

}  // namespace fulcrum::bench
