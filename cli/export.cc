// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "base/status.h"
#include "cli/command.h"
#include "store/store.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string data;
  std::string out;
  std::string format = "parquet";
};

absl::Status RunExport(const Options& options) {
  store::EmbeddedOptions embedded;
  embedded.directory = options.data;
  embedded.read_only = true;
  FULCRUM_ASSIGN_OR_RETURN(const auto opened, store::OpenEmbedded(embedded));
  FULCRUM_RETURN_IF_ERROR(opened->Export(options.out, options.format));
  std::cerr << "exported to " << options.out << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddExport(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program->add_subcommand("export",
                              "Everything logged, as Parquet or CSV files.\n"
                              "Example: fulcrum export data --out exported --format csv");
  command->add_option("DIR", options->data, "Data directory of a server that is not running")
      ->required();
  command->add_option("--out", options->out, "Directory to write the files into")->required();
  command->add_option("--format", options->format, "parquet or csv")
      ->check(CLI::IsMember({"parquet", "csv"}))
      ->capture_default_str();
  command->callback([=] {
    *run = [=] {
      const absl::Status status = RunExport(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
