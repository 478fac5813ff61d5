// SPDX-License-Identifier: Apache-2.0
#include "report/analyze.h"

#include <filesystem>
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/render.h"
#include "report/plan.h"
#include "store/store.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string file;
  std::string input;
  OutputOptions output;
};

absl::Status RunAnalyze(const Options& options) {
  experiments::LoadResult loaded = experiments::LoadAnalyzeFile(options.file);
  for (const auto& diagnostic : loaded.diagnostics) {
    std::cerr << experiments::Format(diagnostic) << "\n";
  }
  if (!loaded.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", options.file, "' is not valid; mend what is listed above."));
  }
  const experiments::Definitions& definitions = loaded.definitions;
  const experiments::ExperimentDefinition& experiment = definitions.experiments.front();
  FULCRUM_ASSIGN_OR_RETURN(const store::Plan plan, report::MakePlan(definitions, experiment));
  FULCRUM_ASSIGN_OR_RETURN(
      const store::FileSource source,
      report::MakeFileSource(experiment, options.input,
                             std::filesystem::path(options.file).parent_path().string()));
  FULCRUM_ASSIGN_OR_RETURN(const store::PlanResult result, store::RunOnFile(source, plan));
  return WriteReport(report::Analyze(definitions, experiment, plan, result), options.output);
}

}  // namespace

void AddAnalyze(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "analyze",
      "The report on data you already have (CSV, Parquet, a DuckDB file), no server needed.\n"
      "Example: fulcrum analyze examples/hillstrom.yaml --input hillstrom.csv --format json");
  command->add_option("FILE", options->file, "Experiment with a data: section (YAML)")->required();
  command->add_option("--input", options->input, "The data, instead of the one FILE names");
  AddOutputOptions(command, &options->output);
  command->callback([=] {
    *run = [=] {
      const absl::Status status = RunAnalyze(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
