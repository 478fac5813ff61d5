// SPDX-License-Identifier: Apache-2.0
//
// What does a report cost, next to the least it could cost? Six metrics of a shop (three funnel
// steps in 7 days, capped revenue, order value as a ratio, time to pay) on N units and 5 N events:
//
//   floor   a hand-written loop over arrays in memory, sorted by unit, two threads
//   sql     the best single DuckDB statement for the same moments, over hashed ids
//   plan    RunPlan on the store's own database file, opened cold
//   sliced  the same with one covariate and three slices
//
//   report_bench [units] [repeats]      default 1,000,000 and 3
//   report_bench profile FILE [units]   only the plan, ten times, on a file kept at FILE
//
// Each runs in a process of its own, so that peak memory is its own; medians; all must agree on
// the numbers or the run fails.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "store/duckdb_api.h"
#include "store/plan_run.h"
#include "store/schema.h"

namespace {

namespace store = fulcrum::store;
namespace duckdb = fulcrum::store::duckdb;

constexpr int64_t kStartMs = 1'770'000'000'000;
constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kWindowMs = 7 * kDayMs;
constexpr double kCap = 400;
constexpr int kArms = 2;

// What every way of computing must agree on, per arm.
struct Answer {
  double n[kArms] = {};
  double mean[kArms][5] = {};           // browse, order, pay, revenue, orders
  double revenue_x_orders[kArms] = {};  // Centred sum of products.
  double median_ms[kArms] = {};         // Time to pay among those who did, within the window.
};

struct Outcome {
  double seconds = 0;
  double cpu_seconds = 0;  // Of all threads: steadier than seconds where others use the machine.
  double peak_mb = 0;
  Answer answer;
};

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "report_bench: %s\n", message.c_str());
  std::exit(1);
}

void Must(const absl::Status& status) {
  if (!status.ok()) Die(std::string(fulcrum::Message(status)));
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  Must(value.status());
  return *std::move(value);
}

duckdb::Database OpenDatabase(const std::string& path) {
  return Must(duckdb::Database::Open(path, {{"threads", "2"}, {"memory_limit", "4GB"}}));
}

// Fills the store's tables directly, as a loader would after the events arrived in time order.
void Generate(const std::string& path, int64_t units) {
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
      "INSERT INTO exposure_rows SELECT unit, ts, ts, 0, CASE WHEN u01(i, 1) < 0.5 THEN 0 ELSE 1 "
      "END, 0, unit, 1, NULL, NULL, NULL, (u01(i, 2) * 5)::INTEGER, (u01(i, 3) * 30)::INTEGER, "
      "u01(i, 4) < 0.5 FROM arrived ORDER BY ts, unit;"
      "INSERT INTO first_exposures SELECT * FROM exposure_rows"));
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
  Must(connection.Execute("INSERT INTO event_rows SELECT " + n +
                          " + row_number() OVER (ORDER BY ts, unit), ts, ts, "
                          "name, value, NULL, NULL, unit FROM happened ORDER BY ts, unit"));
  Must(connection.Execute("UPDATE watermark SET next_seq = " + n +
                          " * 6 + 1, received_ms = " + "(SELECT max(ts) FROM happened)"));
  // Hashed ids for the SQL baseline, as warehouses have them.
  Must(connection.Execute(
      "CREATE TABLE sql_exposures AS SELECT hash(unit) AS unit, variant, ts_ms FROM exposure_rows;"
      "CREATE TABLE sql_events AS SELECT hash(u_0) AS unit, name, ts_ms, value FROM event_rows"));
  Must(connection.Execute("COMMIT"));
  Must(connection.Execute("CHECKPOINT"));
}

double Median(std::vector<double>* values) {
  if (values->empty()) return 0;
  const auto middle = values->begin() + static_cast<std::ptrdiff_t>(values->size() / 2);
  std::nth_element(values->begin(), middle, values->end());
  return *middle;
}

// --- floor
// -----------------------------------------------------------------------------------------

struct Sums {
  double n = 0, sum[5] = {}, cross[5][5] = {};
  std::vector<double> times;
};

struct Arrays {
  std::vector<int64_t> clock_ms;
  std::vector<uint8_t> arm;
  std::vector<uint32_t> first;  // Of unit u's events; one more at the end.
  std::vector<int64_t> ts_ms;
  std::vector<uint8_t> name;
  std::vector<double> value;
};

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

// --- sql
// -------------------------------------------------------------------------------------------

Answer RunSql(const std::string& path) {
  duckdb::Database database = OpenDatabase(path);
  duckdb::Connection connection = Must(database.Connect());
  const std::string window = std::to_string(kWindowMs);
  duckdb::Result rows = Must(connection.Query(
      "WITH x AS (SELECT unit, min(ts_ms) AS clock, arg_min(variant, ts_ms) AS arm "
      "FROM sql_exposures GROUP BY unit), "
      "u AS (SELECT x.unit, any_value(arm) AS arm, any_value(clock) AS clock, "
      "min(ts_ms) FILTER (name = 0) AS t0, min(ts_ms) FILTER (name = 1) AS t1, "
      "min(ts_ms) FILTER (name = 2) AS t2, coalesce(sum(value) FILTER (name = 2), 0) AS revenue, "
      "count(*) FILTER (name = 2) AS orders FROM x LEFT JOIN sql_events e ON e.unit = x.unit AND "
      "e.name <= 2 AND e.ts_ms >= x.clock AND e.ts_ms < x.clock + " +
      window +
      " GROUP BY x.unit), "
      "m AS (SELECT arm, (t0 IS NOT NULL)::INT AS s0, coalesce(t1 >= t0, false)::INT AS s1, "
      "coalesce(t2 >= t1 AND t1 >= t0, false)::INT AS s2, least(revenue, 400) AS revenue, orders, "
      "t2 - clock AS wait FROM u) "
      "SELECT arm, count(*)::DOUBLE, avg(s0), avg(s1), avg(s2), avg(revenue), avg(orders), "
      "covar_pop(revenue, orders) * count(*), "
      "coalesce(quantile_disc(wait, 0.5), 0)::DOUBLE, var_pop(revenue), var_pop(orders), "
      "covar_pop(s0, s1), covar_pop(s0, s2), covar_pop(s1, s2), covar_pop(s2, revenue) "
      "FROM m GROUP BY arm"));
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

// --- plan
// ------------------------------------------------------------------------------------------

store::Plan MakePlan(bool sliced) {
  store::Plan plan;
  plan.population.experiment = "checkout";
  plan.population.unit_kind = "user";
  plan.population.arms = {{"control", 1}, {"one-page", 1}};
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

Answer RunOurs(const std::string& path, bool sliced) {
  duckdb::Database database = OpenDatabase(path);
  const store::PlanResult result = Must(store::RunPlan(database, MakePlan(sliced)));
  Answer answer;
  for (const store::Cell& cell : result.cells) {
    if (cell.slice >= 0) continue;
    answer.n[cell.arm] = static_cast<double>(cell.gram.n());
    for (size_t c = 0; c < 5; ++c) answer.mean[cell.arm][c] = cell.gram.mean(c);
    answer.revenue_x_orders[cell.arm] = cell.gram.centred(3, 4);
  }
  for (const store::SurvivalTable& table : result.survival) {
    double events = 0;
    for (const store::RiskRow& row : table.rows) events += row.events;
    double seen = 0;
    for (const store::RiskRow& row : table.rows) {
      seen += row.events;
      if (row.events > 0 && seen >= events / 2) {
        answer.median_ms[table.arm] = row.time_ms;
        break;
      }
    }
  }
  return answer;
}

// --- Running and comparing
// -------------------------------------------------------------------------

// In a child, so that its peak memory is its own. `run` gives seconds and the answer.
Outcome InChild(const std::function<Outcome()>& run) {
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0) Die("cannot make a pipe");
  const pid_t child = ::fork();
  if (child < 0) Die("cannot fork");
  if (child == 0) {
    const Outcome outcome = run();
    const bool written = ::write(pipe_ends[1], &outcome, sizeof outcome) == sizeof outcome;
    ::_exit(written ? 0 : 1);
  }
  ::close(pipe_ends[1]);
  Outcome outcome;
  const ssize_t got = ::read(pipe_ends[0], &outcome, sizeof outcome);
  ::close(pipe_ends[0]);
  int status = 0;
  rusage usage{};
  if (::wait4(child, &status, 0, &usage) != child || status != 0 || got != sizeof outcome) {
    Die("a run failed");
  }
  outcome.peak_mb = static_cast<double>(usage.ru_maxrss) / 1024;
  return outcome;
}

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Outcome Timed(const std::function<Answer()>& run) {
  const double cpu_begin = CpuSeconds();
  const auto begin = std::chrono::steady_clock::now();
  Outcome outcome;
  outcome.answer = run();
  outcome.cpu_seconds = CpuSeconds() - cpu_begin;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return outcome;
}

bool Near(double a, double b) { return std::abs(a - b) <= 1e-6 * std::max(1.0, std::abs(b)); }

void Check(const char* what, const Answer& got, const Answer& want) {
  for (int arm = 0; arm < kArms; ++arm) {
    bool same =
        got.n[arm] == want.n[arm] && Near(got.revenue_x_orders[arm], want.revenue_x_orders[arm]);
    for (int c = 0; c < 5; ++c) same = same && Near(got.mean[arm][c], want.mean[arm][c]);
    // The middle of an even number of times is either of two.
    same = same && std::abs(got.median_ms[arm] - want.median_ms[arm]) < 60'000;
    if (!same) Die(std::string(what) + " disagrees with the floor in arm " + std::to_string(arm));
  }
}

Outcome Best(int repeats, const std::function<Outcome()>& run) {
  std::vector<Outcome> outcomes;
  for (int i = 0; i < repeats; ++i) outcomes.push_back(InChild(run));
  std::sort(outcomes.begin(), outcomes.end(),
            [](const Outcome& a, const Outcome& b) { return a.seconds < b.seconds; });
  return outcomes[outcomes.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::strcmp(argv[1], "profile") == 0) {
    const std::string file = argv[2];
    if (!std::filesystem::exists(file)) {
      Generate(file, argc > 3 ? std::atoll(argv[3]) : 1'000'000);
    }
    for (int i = 0; i < 10; ++i) {
      const Outcome outcome = Timed([&] { return RunOurs(file, false); });
      std::printf("%.3f s, CPU %.3f s\n", outcome.seconds, outcome.cpu_seconds);
    }
    return 0;
  }
  const int64_t units = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 3;
  if (units < 1 || repeats < 1) Die("usage: report_bench [units] [repeats]");
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("fulcrum-bench-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  const std::string path = (directory / "bench.duckdb").string();
  std::printf("%lld units, %lld events; medians of %d\n", static_cast<long long>(units),
              static_cast<long long>(5 * units), repeats);
  InChild([&] { return Timed([&] { return Generate(path, units), Answer(); }); });
  const Outcome floor = Best(repeats, [&] {
    const Arrays arrays = LoadArrays(path);
    return Timed([&] { return RunFloor(arrays); });
  });
  const Outcome sql = Best(repeats, [&] { return Timed([&] { return RunSql(path); }); });
  const Outcome plan = Best(repeats, [&] { return Timed([&] { return RunOurs(path, false); }); });
  const Outcome sliced = Best(repeats, [&] { return Timed([&] { return RunOurs(path, true); }); });
  std::filesystem::remove_all(directory);
  const auto print = [&](const char* name, const Outcome& outcome, bool memory) {
    std::printf("%-8s %8.3f s  %6.1f x floor; CPU %8.3f s  %6.1f x floor", name, outcome.seconds,
                outcome.seconds / floor.seconds, outcome.cpu_seconds,
                outcome.cpu_seconds / floor.cpu_seconds);
    if (memory) std::printf("  %6.0f MB peak", outcome.peak_mb);
    std::printf("\n");
  };
  print("floor", floor, false);
  print("sql", sql, true);
  print("plan", plan, true);
  print("sliced", sliced, true);
  std::printf(
      "plan is %.1f times as fast as sql, with %.0f%% of its memory; sliced costs %.2f "
      "times plan\n",
      sql.seconds / plan.seconds, 100 * plan.peak_mb / sql.peak_mb, sliced.seconds / plan.seconds);
  Check("sql", sql.answer, floor.answer);
  Check("plan", plan.answer, floor.answer);
  Check("sliced", sliced.answer, floor.answer);
  return 0;
}
