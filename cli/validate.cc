// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/command.h"
#include "core/controls.h"
#include "core/snapshot.h"
#include "experiments/compile.h"
#include "experiments/diff.h"
#include "server/past.h"
#include "store/store.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string dir;
  std::string against;
  std::string data;
  std::string now;
  bool allow_unsafe = false;
  bool json = false;
};

// What the directory is held against.
struct Baseline {
  experiments::Definitions definitions;
  core::Controls controls;
};

absl::StatusOr<Baseline> ReadBaseline(const Options& options) {
  Baseline baseline;
  if (!options.data.empty()) {
    FULCRUM_ASSIGN_OR_RETURN(const store::KeptRecords kept, store::ReadKept(options.data));
    baseline.controls = core::Apply(kept.controls);
    if (options.against.empty()) {
      const auto files = server::FilesAt(kept.definitions, INT64_MAX);
      if (files.empty()) {
        return absl::NotFoundError(absl::StrCat(
            options.data, " does not hold a project that was served: give --against DIR instead."));
      }
      experiments::LoadResult loaded = experiments::LoadFromFiles(files);
      if (!loaded.ok()) {
        return InvalidArgument("The project served from " + options.data +
                               " no longer loads: " + experiments::Format(loaded.diagnostics[0]));
      }
      baseline.definitions = std::move(loaded.definitions);
      return baseline;
    }
  }
  FULCRUM_ASSIGN_OR_RETURN(baseline.definitions, LoadProject(options.against));
  return baseline;
}

// Unsafe edits of what runs become errors (with --allow-unsafe: warnings).
absl::Status AddUnsafeEdits(const Options& options, experiments::LoadResult* loaded) {
  int64_t now_ms = WallClockMs();
  if (!options.now.empty()) {
    const auto at = ParseRfc3339(options.now);
    if (!at) return InvalidArgument("--now is an instant, as 2026-03-02T00:00:00+08:00.");
    now_ms = *at;
  }
  FULCRUM_ASSIGN_OR_RETURN(const Baseline baseline, ReadBaseline(options));
  FULCRUM_ASSIGN_OR_RETURN(
      const experiments::DiffReport report,
      experiments::Diff(baseline.definitions, loaded->definitions, now_ms, &baseline.controls));
  for (experiments::Diagnostic& diagnostic : experiments::UnsafeEdits(report)) {
    if (options.allow_unsafe) diagnostic.severity = experiments::Severity::kWarning;
    loaded->diagnostics.push_back(std::move(diagnostic));
  }
  return absl::OkStatus();
}

std::string ToJson(const experiments::LoadResult& loaded) {
  std::string out = absl::StrCat("{\"valid\": ", loaded.ok() ? "true" : "false",
                                 ", \"experiments\": ", loaded.definitions.experiments.size(),
                                 ", \"diagnostics\": [");
  const char* separator = "\n";
  for (const experiments::Diagnostic& d : loaded.diagnostics) {
    absl::StrAppend(&out, separator, "  {\"file\": ", JsonString(d.file), ", \"line\": ", d.line,
                    ", \"column\": ", d.column, ", \"severity\": ",
                    d.severity == experiments::Severity::kError ? "\"error\"" : "\"warning\"",
                    ", \"message\": ", JsonString(d.message), "}");
    separator = ",\n";
  }
  absl::StrAppend(&out, loaded.diagnostics.empty() ? "]}\n" : "\n]}\n");
  return out;
}

// What only the compiled form can refuse is reported like the rest.
void AddCompileError(experiments::LoadResult* loaded, const std::string& dir) {
  const auto data = experiments::Compile(loaded->definitions, core::Controls());
  core::BuildError error;
  if (data.ok() && core::Snapshot::Make(*data, &error) != nullptr) return;
  experiments::Diagnostic diagnostic;
  diagnostic.file = dir;
  diagnostic.message =
      data.ok() ? error.message
                : std::string(data.status().message().data(), data.status().message().size());
  loaded->diagnostics.push_back(diagnostic);
}

int RunValidate(const Options& options) {
  experiments::LoadResult loaded = experiments::LoadDirectory(options.dir);
  if (loaded.ok()) AddCompileError(&loaded, options.dir);
  if (loaded.ok() && !(options.against.empty() && options.data.empty())) {
    const absl::Status held = AddUnsafeEdits(options, &loaded);
    if (!held.ok()) return Fail(held);
  }
  if (options.json) {
    std::cout << ToJson(loaded);
  } else {
    for (const auto& diagnostic : loaded.diagnostics) {
      std::cerr << experiments::Format(diagnostic) << "\n";
    }
    if (loaded.ok()) {
      std::cout << options.dir << ": valid, " << loaded.definitions.experiments.size()
                << " experiments, " << loaded.definitions.project.metrics.size() << " metrics\n";
    } else {
      std::cerr << loaded.diagnostics.size() << " problems\n";
    }
  }
  return loaded.ok() ? kDone : kInputWrong;
}

}  // namespace

void AddValidate(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "validate",
      "Check a project directory and report every problem at once; with\n"
      "--against or --data also edits that are unsafe while experiments run.\n"
      "Example: fulcrum validate examples/shop --data data");
  command->add_option("DIR", options->dir, "Project directory")->required();
  command->add_option("--against", options->against,
                      "Project directory as it is served: refuse unsafe edits of what runs");
  command->add_option("--data", options->data,
                      "Data directory of the service: as --against, with the project as it was "
                      "served last, and knowing what was stopped");
  command->add_flag("--allow-unsafe", options->allow_unsafe, "Unsafe edits are warnings");
  command->add_option("--now", options->now,
                      "What runs at this instant (the clock's unless given)");
  command->add_flag("--json", options->json, "For editors and CI");
  command->callback([=] { *run = [=] { return RunValidate(*options); }; });
}

}  // namespace fulcrum::cli
