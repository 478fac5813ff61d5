// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/simulate_strategies.h"
#include "core/snapshot.h"
#include "experiments/compile.h"
#include "report/json.h"

namespace fulcrum::cli {
namespace {

struct CommandOptions {
  std::string dir;
  std::string truth;  // File of the true effects.
  std::string check;  // Directory of reports, KEY.json.
  SimulateOptions simulate;
};

absl::Status RunCheck(const CommandOptions& options) {
  FULCRUM_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.truth));
  FULCRUM_ASSIGN_OR_RETURN(const TruthFile file, TruthFromJson(text));
  FULCRUM_ASSIGN_OR_RETURN(const experiments::Definitions definitions, LoadProject(options.dir));
  CheckResult result;
  for (const auto& experiment : definitions.experiments) {
    const std::string path = options.check + "/" + experiment.key + ".json";
    FULCRUM_ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
    const absl::StatusOr<report::Report> report = report::FromJson(json);
    if (!report.ok()) return Annotate(report.status(), path);
    CheckReport(file, *report, &result);
  }
  std::cout << CheckTable(result) << std::flush;
  if (result.ok()) return absl::OkStatus();
  return InvalidArgument("the reports do not agree with the true effects; see the table above.");
}

absl::Status RunStrategies(const experiments::Definitions& definitions,
                           const SimulateOptions& options, const std::string& truth) {
  if (!options.server.empty()) {
    return InvalidArgument(
        "the strategies are simulated to files: write --out DIR instead of --server, and read them "
        "with `fulcrum import`.");
  }
  FULCRUM_ASSIGN_OR_RETURN(const sim::StrategyWorld world, MakeStrategies(definitions, options));
  if (!options.out.empty()) {
    FULCRUM_RETURN_IF_ERROR(StrategiesToFiles(world, options.out));
    std::cerr << absl::StreamFormat("%d exposures, %d events\n", world.exposures.size(),
                                    world.events.size());
  }
  return WriteOutput(truth, StrategyTable(world));
}

absl::Status RunSimulate(CommandOptions options) {
  SimulateOptions& simulate = options.simulate;
  simulate.progress = ProgressBar();
  FULCRUM_ASSIGN_OR_RETURN(const experiments::Definitions definitions, LoadProject(options.dir));
  if (AreStrategies(definitions)) return RunStrategies(definitions, simulate, options.truth);
  FULCRUM_ASSIGN_OR_RETURN(const Simulation simulation, MakeSimulation(definitions, simulate));
  if (!simulate.server.empty() || !simulate.out.empty()) {
    const auto started = std::chrono::steady_clock::now();
    FULCRUM_ASSIGN_OR_RETURN(const TrafficStats stats,
                             simulate.server.empty() ? SimulateToFiles(simulation, simulate)
                                                     : SimulateOverHttp(simulation, simulate));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    std::cerr << absl::StreamFormat(
        "%d evaluations, %d exposures, %d events and %d links in %.1f s\n", stats.evaluations,
        stats.exposures, stats.events, stats.links, took.count());
    if (stats.disagreements > 0) {
      std::cerr << absl::StreamFormat(
          "note: %d answers of the server differ from the definitions (an experiment was stopped "
          "or changed meanwhile); the true effects are those of the definitions\n",
          stats.disagreements);
    }
  }
  const TruthFile file = TrueEffects(simulation, simulate);
  if (!options.truth.empty()) return WriteOutput(options.truth, TruthToJson(file));
  return WriteOutput("", TruthTable(file));
}

}  // namespace

absl::StatusOr<Simulation> MakeSimulation(const experiments::Definitions& definitions,
                                          const SimulateOptions& options) {
  if (options.users <= 0 || options.users > 10'000'000) {
    return InvalidArgument("--users must be from 1 to 10000000.");
  }
  if (options.days <= 0 || options.days > 365) {
    return InvalidArgument("--days must be from 1 to 365.");
  }
  sim::WorldOptions world;
  world.seed = options.seed;
  world.users = options.users;
  world.days = options.days;
  world.history_days = options.history_days;
  for (const auto& experiment : definitions.experiments) {
    if (!experiment.start_ms) continue;
    if (world.start_ms == 0 || *experiment.start_ms < world.start_ms) {
      world.start_ms = *experiment.start_ms;
    }
  }
  if (world.start_ms == 0) {
    return InvalidArgument(
        "no experiment of this project says when it starts; write `schedule: {start: …}` in one.");
  }
  FULCRUM_ASSIGN_OR_RETURN(core::SnapshotData data,
                           experiments::Compile(definitions, core::Controls{}));
  core::BuildError error;
  std::shared_ptr<const core::Snapshot> snapshot = core::Snapshot::Make(std::move(data), &error);
  if (snapshot == nullptr) return InvalidArgument(error.message);
  Simulation simulation;
  simulation.world = std::make_unique<sim::World>(
      world, sim::ShopModel{}, sim::SampleShopExperiments(), sim::Faults{}, definitions);
  simulation.assign = sim::DecideWith(*simulation.world, snapshot, options.slice_ms);
  return simulation;
}

absl::StatusOr<TrafficStats> SimulateOverHttp(const Simulation& simulation,
                                              const SimulateOptions& options) {
  TrafficOptions traffic;
  traffic.url = options.server;
  traffic.key = options.key;
  traffic.clients = options.clients;
  traffic.slice_ms = options.slice_ms;
  traffic.progress = options.progress;
  return SendTraffic(*simulation.world, simulation.assign, traffic);
}

TruthFile TrueEffects(const Simulation& simulation, const SimulateOptions& options) {
  TruthFile file;
  file.seed = options.seed;
  file.users = options.users;
  file.as_of_ms = simulation.world->end_ms();
  sim::TruthOptions truth;
  truth.threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 8U));
  file.truth = sim::ComputeTruth(*simulation.world, simulation.assign, truth);
  for (const auto& model : sim::SampleShopExperiments()) {
    if (model.planted != sim::Planted::kNothing) {
      file.planted.push_back({model.experiment, model.planted});
    }
  }
  return file;
}

void AddSimulate(CLI::App* program, Run* run) {
  auto options = std::make_shared<CommandOptions>();
  SimulateOptions& simulate = options->simulate;
  CLI::App* command = program->add_subcommand(
      "simulate",
      "Realistic shop traffic with known true effects, seeded: over HTTP to a server with a\n"
      "simulated clock (--server), to CSV files (--out), or only its true effects.\n"
      "On examples/strategies: a growth team's strategies, to CSV files that `import` reads.\n"
      "Example: fulcrum simulate examples/shop --server http://127.0.0.1:8080 --seed 7");
  command->add_option("DIR", options->dir, "Project directory")->required();
  CLI::Option* server = command->add_option("--server", simulate.server, "URL of a running server");
  command
      ->add_option("--out", simulate.out,
                   "Directory for exposures.csv, events.csv, links.csv, as `import` reads them")
      ->excludes(server);
  command->add_option("--key", simulate.key, "Key with the scopes server and admin");
  command->add_option("--seed", simulate.seed, "The same seed is the same world")
      ->capture_default_str();
  command->add_option("--users", simulate.users, "Visitors in all")->capture_default_str();
  command->add_option("--days", simulate.days, "Days after the first experiment's start")
      ->capture_default_str();
  command->add_option("--clients", simulate.clients, "Connections to the server")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  CLI::Option* truth = command->add_option(
      "--truth", options->truth, "Write the true effects here as JSON instead of printing a table");
  command
      ->add_option("--check", options->check,
                   "Send nothing; hold the reports DIR/KEY.json against --truth")
      ->needs(truth);
  command->callback([options, run] {
    *run = [options] {
      const absl::Status status =
          options->check.empty() ? RunSimulate(*options) : RunCheck(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
