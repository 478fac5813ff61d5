// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/text.h"
#include "cli/command.h"
#include "core/snapshot.h"
#include "experiments/compile.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string dir;
  bool json = false;
};

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
  CLI::App* command =
      program->add_subcommand("validate",
                              "Check a project directory and report every problem at once.\n"
                              "Example: fulcrum validate examples/shop");
  command->add_option("DIR", options->dir, "Project directory")->required();
  command->add_flag("--json", options->json, "For editors and CI");
  command->callback([=] { *run = [=] { return RunValidate(*options); }; });
}

}  // namespace fulcrum::cli
