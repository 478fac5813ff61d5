// SPDX-License-Identifier: Apache-2.0
#include "store/import.h"

#include <unistd.h>

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
  std::string data;
  std::string exposures;
  std::string events;
  std::string links;
  std::string rejected;
};

absl::Status ImportOne(store::Store* store, store::ImportKind kind, const std::string& name,
                       const std::string& path, const std::string& rejected) {
  if (path.empty()) return absl::OkStatus();
  store::ImportRequest request;
  request.kind = kind;
  request.path = path;
  request.received_ms = WallClockMs();
  if (!rejected.empty()) request.rejected_path = rejected + "/rejected-" + name + ".csv";
  if (isatty(STDERR_FILENO) != 0) {
    request.progress = [&](int64_t rows) {
      std::cerr << "\r" << name << ": " << rows << " rows" << std::flush;
    };
  }
  const auto result = store::ImportFile(store, request);
  if (request.progress) std::cerr << "\r";
  if (!result.ok()) return Annotate(result.status(), path);
  std::cout << name << ": " << result->rows << " rows, " << result->accepted << " accepted ("
            << result->replayed << " of them imported before), " << result->rejected << " rejected";
  if (result->rejected > 0 && !rejected.empty()) std::cout << ", see " << request.rejected_path;
  std::cout << "\n";
  return absl::OkStatus();
}

absl::Status RunImport(const Options& options) {
  store::EmbeddedOptions embedded;
  embedded.directory = options.data;
  FULCRUM_ASSIGN_OR_RETURN(const auto opened, store::OpenEmbedded(embedded));
  store::Store* store = opened.get();
  FULCRUM_RETURN_IF_ERROR(ImportOne(store, store::ImportKind::kExposures, "exposures",
                                    options.exposures, options.rejected));
  FULCRUM_RETURN_IF_ERROR(
      ImportOne(store, store::ImportKind::kLinks, "links", options.links, options.rejected));
  FULCRUM_RETURN_IF_ERROR(
      ImportOne(store, store::ImportKind::kEvents, "events", options.events, options.rejected));
  return store->Flush();
}

}  // namespace

void AddImport(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "import",
      "History from CSV, Parquet or DuckDB files (docs/sql.md names the columns; what `export` "
      "wrote\n"
      "reads back as it is). Importing the same file twice counts it once.\n"
      "Example: fulcrum import data --exposures exposures.csv --events events.parquet");
  command->add_option("DIR", options->data, "Data directory of a server that is not running")
      ->required();
  CLI::Option* exposures = command->add_option("--exposures", options->exposures, "File or glob");
  CLI::Option* events = command->add_option("--events", options->events, "File or glob");
  CLI::Option* links = command->add_option("--links", options->links, "File or glob");
  command->add_option("--rejected", options->rejected,
                      "Existing directory for rows that cannot be used, each with the reason");
  command->callback([=] {
    if (exposures->count() + events->count() + links->count() == 0) {
      throw CLI::RequiredError("--exposures, --events or --links");
    }
    *run = [=] {
      const absl::Status status = RunImport(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
