// SPDX-License-Identifier: Apache-2.0
#include "experiments/diff.h"

#include <cstdio>
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "base/status.h"
#include "base/time.h"
#include "cli/command.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string before;
  std::string after;
  std::string now;
};

absl::StatusOr<experiments::DiffReport> Compare(const Options& options) {
  FULCRUM_ASSIGN_OR_RETURN(const auto before, LoadProject(options.before));
  FULCRUM_ASSIGN_OR_RETURN(const auto after, LoadProject(options.after));
  if (options.now.empty()) return experiments::Diff(before, after);
  const auto now_ms = ParseRfc3339(options.now);
  if (!now_ms) return InvalidArgument("--now is an instant, as 2026-03-02T00:00:00+08:00.");
  return experiments::Diff(before, after, *now_ms);
}

int RunDiff(const Options& options) {
  const auto report = Compare(options);
  if (!report.ok()) return Fail(report.status());
  if (report->edits.empty()) std::cout << "no edits\n";
  for (const experiments::Edit& edit : report->edits) {
    std::cout << (edit.experiment.empty() ? "project" : edit.experiment) << ": " << edit.what
              << ": " << (edit.before.empty() ? "(absent)" : edit.before) << " -> "
              << (edit.after.empty() ? "(absent)" : edit.after) << "\n    "
              << experiments::EditClassName(edit.edit_class) << ": " << edit.reason << "\n";
  }
  for (const experiments::Move& move : report->moves) {
    std::printf("%s: %.4f%% of units move from %s to %s\n", move.experiment.c_str(),
                100 * move.share, move.from.empty() ? "no variant" : move.from.c_str(),
                move.to.empty() ? "no variant" : move.to.c_str());
  }
  return report->unsafe() ? kInputWrong : kDone;
}

}  // namespace

void AddDiff(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "diff",
      "Who changes variant between two versions of a project, and which edits are unsafe while an\n"
      "experiment runs (exit code 1 if any is).\n"
      "Example: fulcrum diff shop-before shop-after");
  command->add_option("DIR_OLD", options->before, "Project directory as it is")->required();
  command->add_option("DIR_NEW", options->after, "Project directory as it would be")->required();
  command->add_option("--now", options->now,
                      "Where ramps are and what runs at this instant (else: at their last step)");
  command->callback([=] { *run = [=] { return RunDiff(*options); }; });
}

}  // namespace fulcrum::cli
