// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/simulate.h"
#include "report/json.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string dir;
  std::string truth;
  std::string check;
  SimulateOptions simulate;
};

// On a terminal one line that fills up; silent in a pipe.
std::function<void(double)> ProgressBar() {
  if (isatty(STDERR_FILENO) == 0) return {};
  return [](double done) {
    constexpr int kWidth = 50;
    const int filled = static_cast<int>(done * kWidth);
    std::fprintf(stderr, "\r[%s%s] %3.0f%%%s",
                 std::string(static_cast<size_t>(filled), '=').c_str(),
                 std::string(static_cast<size_t>(kWidth - filled), ' ').c_str(), 100 * done,
                 done >= 1 ? "\n" : "");
  };
}

absl::Status Send(const Options& options) {
  FULCRUM_ASSIGN_OR_RETURN(const auto definitions, LoadProject(options.dir));
  SimulateOptions simulate = options.simulate;
  simulate.progress = ProgressBar();
  FULCRUM_ASSIGN_OR_RETURN(const Simulation simulation, MakeSimulation(definitions, simulate));
  FULCRUM_ASSIGN_OR_RETURN(const TrafficStats stats, simulate.server.empty()
                                                         ? SimulateToFiles(simulation, simulate)
                                                         : SimulateOverHttp(simulation, simulate));
  std::cerr << stats.evaluations << " evaluations, " << stats.exposures << " exposures, "
            << stats.events << " events, " << stats.links << " links in " << stats.batches
            << " batches\n";
  if (stats.disagreements > 0) {
    std::cerr << "warning: " << stats.disagreements
              << " evaluations differ from the definitions; the true effects are not theirs\n";
  }
  const TruthFile truth = TrueEffects(simulation, simulate);
  if (!options.truth.empty()) return WriteOutput(options.truth, TruthToJson(truth));
  return WriteOutput("", TruthTable(truth));
}

// Every *.json of the directory that is a report, in name order.
absl::StatusOr<CheckResult> Check(const Options& options) {
  FULCRUM_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.truth));
  FULCRUM_ASSIGN_OR_RETURN(const TruthFile truth, TruthFromJson(text));
  CheckResult result;
  for (const PlantedExperiment& planted : truth.planted) {
    const std::string path = absl::StrCat(options.check, "/", planted.experiment, ".json");
    FULCRUM_ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
    const auto report = report::FromJson(json);
    if (!report.ok()) return Annotate(report.status(), path);
    CheckReport(truth, *report, &result);
  }
  return result;
}

int RunSimulate(const Options& options) {
  if (options.check.empty()) {
    const absl::Status status = Send(options);
    return status.ok() ? kDone : Fail(status);
  }
  const auto result = Check(options);
  if (!result.ok()) return Fail(result.status());
  std::cout << CheckTable(*result);
  return result->ok() ? kDone : kInputWrong;
}

}  // namespace

void AddSimulate(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  SimulateOptions& simulate = options->simulate;
  CLI::App* command = program->add_subcommand(
      "simulate",
      "Realistic shop traffic with known true effects, seeded: to a server that was started with\n"
      "--simulated-clock, or to CSV files; and reports held against the true effects.\n"
      "Example: fulcrum simulate examples/shop --server http://127.0.0.1:8080 --truth truth.json");
  command->add_option("DIR", options->dir, "Project directory")->required();
  CLI::Option* server = command->add_option("--server", simulate.server, "URL to send traffic to");
  CLI::Option* out = command->add_option("--out", simulate.out, "Directory for CSV files instead");
  CLI::Option* check = command->add_option(
      "--check", options->check, "Directory of reports (EXPERIMENT.json) to hold against --truth");
  CLI::Option* truth = command->add_option(
      "--truth", options->truth, "File of true effects to write (or, with --check, read)");
  command->add_option("--seed", simulate.seed)->capture_default_str();
  command->add_option("--users", simulate.users)
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  command->add_option("--days", simulate.days)->check(CLI::Range(1, 3650))->capture_default_str();
  command->add_option("--key", simulate.key, "Key for --server, where it asks for one");
  command->callback([=] {
    if (server->count() + out->count() + check->count() != 1) {
      throw CLI::RequiredError("exactly one of --server, --out and --check");
    }
    if (check->count() == 1 && truth->count() == 0) throw CLI::RequiredError("--truth");
    *run = [=] { return RunSimulate(*options); };
  });
}

}  // namespace fulcrum::cli
