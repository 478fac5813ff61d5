// SPDX-License-Identifier: Apache-2.0
//
// What does a report cost, next to the least it could cost? Six metrics of a shop (three funnel
// steps in 7 days, capped revenue, order value as a ratio, time to pay) on N units and 5 N events:
//
//   floor        a hand-written loop over arrays in memory, sorted by unit, two threads
//   sql          the best single DuckDB statement for the same moments, over hashed ids
//   sql_each     one statement for each of the six metrics
//   plan         RunPlan on the store's own database file, opened cold
//   sliced       the same with one covariate and three slices
//   sql_each_20  one statement for each of twenty metrics
//   plan_20      the same twenty as one plan
//   fresh        a running experiment's report, all of it cold
//   repeated     the same after the last 1% of its events, by a runner that saw all before
//   by_unit      plan, where the events lie in the file in order of units
//
//   report_bench [--units N] [--repeats R] [--ways a,b,…] [--json FILE]
//   report_bench profile FILE [units]   only the plan, ten times, on a file kept at FILE
//   report_bench keep FILE units        only the data
//   report_bench csv FILE DIRECTORY     a kept file's data, for another database
//   report_bench statement              the single statement as PostgreSQL reads it
//
// Each runs in a process of its own, so that peak memory is its own, in turn with the others;
// medians; all must agree on the numbers or the run fails.
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
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "bench/report_data.h"
#include "bench/report_sql.h"
#include "store/plan_run.h"

namespace fulcrum::bench {
namespace {

struct Outcome {
  double seconds = 0;
  double cpu_seconds = 0;  // Of all threads: steadier than seconds where others use the machine.
  double peak_mb = 0;
  Answer answer;
  double means[40] = {};
};

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void Time(Outcome* outcome, const std::function<void(Outcome*)>& run) {
  const double cpu_begin = CpuSeconds();
  const auto begin = std::chrono::steady_clock::now();
  run(outcome);
  outcome->cpu_seconds = CpuSeconds() - cpu_begin;
  outcome->seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// In a child, so that its peak memory is its own.
Outcome InChild(const std::function<void(Outcome*)>& run) {
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0) Die("cannot make a pipe");
  const pid_t child = ::fork();
  if (child < 0) Die("cannot fork");
  if (child == 0) {
    Outcome outcome;
    run(&outcome);
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

Answer AnswerOf(const store::PlanResult& result) {
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

Answer RunOurs(const std::string& path, const store::Plan& plan) {
  store::duckdb::Database database = OpenDatabase(path);
  return AnswerOf(Must(store::RunPlan(database, plan)));
}

// --- The ways ------------------------------------------------------------------------------------

using Way = std::function<void(Outcome*)>;

struct Files {
  std::string all, running, running_copy, by_unit;
};

void RunRepeated(const Files& files, Outcome* outcome) {
  std::filesystem::copy_file(files.running, files.running_copy,
                             std::filesystem::copy_options::overwrite_existing);
  store::PlanRunner runner({.threads = 2});
  {
    store::duckdb::Database database = OpenDatabase(files.running_copy);
    Must(runner.Run(database, SixMetrics(false)).status());
  }
  AddRest(files.running_copy);
  store::duckdb::Database database = OpenDatabase(files.running_copy);
  Time(outcome, [&](Outcome* out) {
    out->answer = AnswerOf(Must(runner.Run(database, SixMetrics(false))));
  });
}

std::map<std::string, Way> Ways(const Files& files) {
  const auto timed = [](const std::function<void(Outcome*)>& run) {
    return [run](Outcome* outcome) { Time(outcome, run); };
  };
  const auto ours = [&](const std::string& path, bool sliced) {
    return timed([path, sliced](Outcome* out) { out->answer = RunOurs(path, SixMetrics(sliced)); });
  };
  const std::string all = files.all;
  std::map<std::string, Way> ways;
  ways["floor"] = [all](Outcome* outcome) {
    const Arrays arrays = LoadArrays(all);
    Time(outcome, [&](Outcome* out) { out->answer = RunFloor(arrays); });
  };
  ways["sql"] = timed([all](Outcome* out) { out->answer = RunOneStatement(all); });
  ways["sql_each"] = timed([all](Outcome* out) {
    const std::vector<double> means = RunStatements(all, SixStatements());
    std::copy(means.begin(), means.end(), out->means);
  });
  ways["sql_each_20"] = timed([all](Outcome* out) {
    const std::vector<double> means = RunStatements(all, TwentyStatements());
    std::copy(means.begin(), means.end(), out->means);
  });
  ways["plan_20"] = timed([all](Outcome* out) {
    store::duckdb::Database database = OpenDatabase(all);
    const store::PlanResult result = Must(store::RunPlan(database, TwentyMetrics()));
    for (const store::Cell& cell : result.cells) {
      for (size_t c = 0; c < 20; ++c) out->means[2 * c + cell.arm] = cell.gram.mean(c);
    }
  });
  ways["plan"] = ours(all, false);
  ways["sliced"] = ours(all, true);
  ways["by_unit"] = ours(files.by_unit, false);
  ways["fresh"] = [files](Outcome* outcome) {
    std::filesystem::copy_file(files.running, files.running_copy,
                               std::filesystem::copy_options::overwrite_existing);
    AddRest(files.running_copy);
    Time(outcome,
         [&](Outcome* out) { out->answer = RunOurs(files.running_copy, SixMetrics(false)); });
  };
  ways["repeated"] = [files](Outcome* outcome) { RunRepeated(files, outcome); };
  return ways;
}

// --- Comparing -----------------------------------------------------------------------------------

bool Near(double a, double b) { return std::abs(a - b) <= 1e-6 * std::max(1.0, std::abs(b)); }

void Check(const std::string& what, const Answer& got, const Answer& want) {
  for (int arm = 0; arm < kArms; ++arm) {
    bool same =
        got.n[arm] == want.n[arm] && Near(got.revenue_x_orders[arm], want.revenue_x_orders[arm]);
    for (int c = 0; c < 5; ++c) same = same && Near(got.mean[arm][c], want.mean[arm][c]);
    // The middle of an even number of times is either of two.
    same = same && std::abs(got.median_ms[arm] - want.median_ms[arm]) < 60'000;
    if (!same) Die(what + " gives other numbers in arm " + std::to_string(arm));
  }
}

void CheckAll(const std::map<std::string, Outcome>& outcomes) {
  const auto check = [&](const char* what, const char* against) {
    if (outcomes.count(what) == 0 || outcomes.count(against) == 0) return;
    Check(what, outcomes.at(what).answer, outcomes.at(against).answer);
  };
  for (const char* way : {"sql", "plan", "sliced", "by_unit"}) check(way, "floor");
  check("plan", "sql");
  check("repeated", "fresh");
  if (outcomes.count("plan_20") > 0 && outcomes.count("sql_each_20") > 0) {
    for (int i = 0; i < 40; ++i) {
      if (!Near(outcomes.at("plan_20").means[i], outcomes.at("sql_each_20").means[i])) {
        Die("twenty metrics: number " + std::to_string(i) + " differs between plan and SQL");
      }
    }
  }
  if (outcomes.count("plan") > 0 && outcomes.count("sql_each") > 0) {
    const Outcome& each = outcomes.at("sql_each");
    for (int c = 0; c < 4; ++c) {
      for (int arm = 0; arm < kArms; ++arm) {
        if (!Near(each.means[2 * c + arm], outcomes.at("plan").answer.mean[arm][c])) {
          Die("one statement a metric gives other numbers than the plan");
        }
      }
    }
  }
}

Outcome Median(std::vector<Outcome> outcomes) {
  std::sort(outcomes.begin(), outcomes.end(),
            [](const Outcome& a, const Outcome& b) { return a.seconds < b.seconds; });
  return outcomes[outcomes.size() / 2];
}

struct Options {
  int64_t units = 1'000'000;
  int repeats = 5;
  std::vector<std::string> ways = {"floor",       "sql",     "sql_each", "plan",     "sliced",
                                   "sql_each_20", "plan_20", "fresh",    "repeated", "by_unit"};
  std::string json;
};

Options ReadOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--units") options.units = std::atoll(value.c_str());
    if (name == "--repeats") options.repeats = std::atoi(value.c_str());
    if (name == "--json") options.json = value;
    if (name != "--ways") continue;
    options.ways.clear();
    for (size_t at = 0; at < value.size();) {
      const size_t comma = std::min(value.find(',', at), value.size());
      options.ways.push_back(value.substr(at, comma - at));
      at = comma + 1;
    }
  }
  if (options.units < 1000 || options.repeats < 1 || argc % 2 == 0) {
    Die("usage: report_bench [--units N] [--repeats R] [--ways a,b,…] [--json FILE]");
  }
  return options;
}

void Print(const Options& options, const std::map<std::string, Outcome>& outcomes) {
  const double unit = outcomes.count("floor") > 0 ? outcomes.at("floor").seconds : 0;
  for (const std::string& way : options.ways) {
    const Outcome& outcome = outcomes.at(way);
    std::printf("%-12s %8.3f s  CPU %8.3f s", way.c_str(), outcome.seconds, outcome.cpu_seconds);
    if (unit > 0) std::printf("  %6.1f x floor", outcome.seconds / unit);
    std::printf("  %6.0f MB peak\n", outcome.peak_mb);
  }
  if (options.json.empty()) return;
  std::ofstream out(options.json);
  out << "{\"units\": " << options.units << ", \"repeats\": " << options.repeats << ", \"ways\": {";
  const char* comma = "";
  for (const auto& [way, outcome] : outcomes) {
    out << comma << "\"" << way << "\": {\"seconds\": " << outcome.seconds
        << ", \"cpu_seconds\": " << outcome.cpu_seconds << ", \"peak_mb\": " << outcome.peak_mb
        << "}";
    comma = ", ";
  }
  out << "}}\n";
}

void Measure(const Options& options) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("fulcrum-bench-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  const auto file = [&](const char* name) { return (directory / name).string(); };
  const Files files = {file("all.duckdb"), file("running.duckdb"), file("copy.duckdb"),
                       file("by_unit.duckdb")};
  const auto wanted = [&](const std::string& way) {
    return std::find(options.ways.begin(), options.ways.end(), way) != options.ways.end();
  };
  std::printf("%lld units, %lld events; medians of %d\n", static_cast<long long>(options.units),
              static_cast<long long>(5 * options.units), options.repeats);
  std::fflush(stdout);
  InChild([&](Outcome*) { Generate(files.all, options.units, Extent::kAll); });
  if (wanted("fresh") || wanted("repeated")) {
    InChild([&](Outcome*) { Generate(files.running, options.units, Extent::kRunning); });
  }
  if (wanted("by_unit")) {
    InChild([&](Outcome*) { Generate(files.by_unit, options.units, Extent::kAll, true); });
  }
  const std::map<std::string, Way> ways = Ways(files);
  std::map<std::string, std::vector<Outcome>> runs;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const std::string& way : options.ways) {
      if (ways.count(way) == 0) Die("there is no way \"" + way + "\"");
      runs[way].push_back(InChild(ways.at(way)));
    }
  }
  std::filesystem::remove_all(directory);
  std::map<std::string, Outcome> outcomes;
  for (auto& [way, list] : runs) outcomes[way] = Median(std::move(list));
  Print(options, outcomes);
  CheckAll(outcomes);
}

void Profile(const std::string& file, int64_t units) {
  if (!std::filesystem::exists(file)) Generate(file, units, Extent::kAll);
  for (int i = 0; i < 10; ++i) {
    Outcome outcome;
    Time(&outcome, [&](Outcome* out) { out->answer = RunOurs(file, SixMetrics(false)); });
    std::printf("%.3f s, CPU %.3f s\n", outcome.seconds, outcome.cpu_seconds);
  }
}

}  // namespace
}  // namespace fulcrum::bench

int main(int argc, char** argv) {
  namespace bench = fulcrum::bench;
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "profile" && argc > 2) {
    bench::Profile(argv[2], argc > 3 ? std::atoll(argv[3]) : 1'000'000);
  } else if (command == "keep" && argc > 3) {
    bench::Generate(argv[2], std::atoll(argv[3]), bench::Extent::kAll);
  } else if (command == "csv" && argc > 3) {
    bench::ExportCsv(argv[2], argv[3]);
  } else if (command == "statement") {
    std::printf("%s\n", bench::PostgresStatement().c_str());
  } else {
    bench::Measure(bench::ReadOptions(argc, argv));
  }
  return 0;
}
