// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/status.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/context.h"
#include "core/controls.h"
#include "core/decide.h"
#include "store/store.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string dir;
  std::string experiment;
  std::string context;
  std::string data;
};

// What happened at run time: controls, and what the context's unit was given before.
struct History {
  core::Controls controls;
  std::vector<store::StickyAssignment> given;
};

absl::StatusOr<History> ReadHistory(const Options& options, const OwnedContext& context) {
  History history;
  if (options.data.empty()) return history;
  FULCRUM_ASSIGN_OR_RETURN(const store::KeptRecords kept, store::ReadKept(options.data));
  history.controls = core::Apply(kept.controls);
  const core::Context view = context.View();
  std::vector<std::string_view> ids = {view.targeting_key};
  for (const core::UnitId& unit : view.units) ids.push_back(unit.id);
  for (const std::string_view id : ids) {
    if (id.empty()) continue;
    FULCRUM_ASSIGN_OR_RETURN(auto given, store::ReadStickyOf(options.data, id));
    history.given.insert(history.given.end(), given.begin(), given.end());
  }
  return history;
}

absl::Status RunExplain(const Options& options) {
  FULCRUM_ASSIGN_OR_RETURN(const auto definitions, LoadProject(options.dir));
  FULCRUM_ASSIGN_OR_RETURN(const auto designed, CompileProject(definitions));
  FULCRUM_ASSIGN_OR_RETURN(OwnedContext context,
                           OwnedContext::FromJson(options.context, designed->data()));
  FULCRUM_ASSIGN_OR_RETURN(const History history, ReadHistory(options, context));
  FULCRUM_ASSIGN_OR_RETURN(const auto snapshot, CompileProject(definitions, history.controls));
  FULCRUM_ASSIGN_OR_RETURN(const core::ExperimentHandle handle,
                           FindHandle(definitions, *snapshot, options.experiment));
  for (const store::StickyAssignment& given : history.given) {
    const core::ExperimentHandle of = snapshot->Find(given.experiment);
    core::UnitBuffer buffer;
    if (of && core::UnitIdOf(*snapshot, of, context.View(), &buffer) == given.unit) {
      context.AddPrior(given.experiment, given.variant, given.phase);
    }
  }
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
  command->add_option(
      "--data", options->data,
      "Data directory of the service: also what was stopped, held or set there, and "
      "what the unit was given before");
  command->callback([=] {
    *run = [=] {
      const absl::Status status = RunExplain(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
