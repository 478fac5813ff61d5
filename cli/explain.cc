// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/context.h"
#include "core/decide.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string dir;
  std::string experiment;
  std::string context;
};

absl::Status RunExplain(const Options& options) {
  FULCRUM_ASSIGN_OR_RETURN(const auto definitions, LoadProject(options.dir));
  FULCRUM_ASSIGN_OR_RETURN(const auto snapshot, CompileProject(definitions));
  FULCRUM_ASSIGN_OR_RETURN(const core::ExperimentHandle handle,
                           FindHandle(definitions, *snapshot, options.experiment));
  FULCRUM_ASSIGN_OR_RETURN(const OwnedContext context,
                           OwnedContext::FromJson(options.context, snapshot->data()));
  core::Trace trace;
  const core::Decision decision = core::Explain(*snapshot, handle, context.View(), &trace);
  for (const core::TraceStep& step : trace.steps) {
    std::cout << std::string(2 * static_cast<size_t>(step.depth), ' ')
              << (step.passed ? "yes  " : "no   ") << step.experiment << " / " << step.rule << ": "
              << step.detail << "\n";
  }
  const auto& experiment = snapshot->experiment(handle);
  std::cout << "=> "
            << (decision.has_variant()
                    ? experiment.variants[static_cast<size_t>(decision.variant)].key
                    : std::string("no variant (the application's default)"))
            << ", because: " << core::ReasonName(decision.reason);
  if (decision.phase >= 0) std::cout << ", phase " << decision.phase;
  if (decision.propensity_ppm > 0) {
    std::cout << ", with probability " << FormatDouble(decision.propensity());
  }
  std::cout << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddExplain(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program->add_subcommand("explain",
                              "Why a unit gets its variant: each rule, bucket and range.\n"
                              "Example: fulcrum explain examples/shop one-page-checkout --context "
                              "'{\"targetingKey\": \"u1\", \"platform\": \"desktop\"}'");
  command->add_option("DIR", options->dir, "Project directory")->required();
  command->add_option("EXPERIMENT", options->experiment, "Key of the experiment")->required();
  command->add_option("--context", options->context, "Evaluation context, as OFREP's (JSON)")
      ->required();
  command->callback([=] {
    *run = [=] {
      const absl::Status status = RunExplain(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
