// SPDX-License-Identifier: Apache-2.0
#include "report/report.h"

#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/render.h"
#include "report/json.h"
#include "server/past.h"
#include "store/store.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string dir;
  std::string experiment;
  std::string data;
  std::string server;
  std::string key;
  std::string as_of;
  int64_t memory_bytes = 4LL << 30;
  OutputOptions output;
};

absl::StatusOr<report::Report> FromServer(const Options& options, const std::string& url) {
  std::string path = absl::StrCat("/v1/experiments/", options.experiment, "/report?format=json");
  // An offset's '+' would be read as a space in a query.
  if (!options.as_of.empty()) {
    absl::StrAppend(&path, "&as_of=", FormatRfc3339(*ParseRfc3339(options.as_of)));
  }
  FULCRUM_ASSIGN_OR_RETURN(const std::string json, Get(url, path, options.key));
  return report::FromJson(json);
}

absl::StatusOr<report::Report> FromData(const Options& options) {
  FULCRUM_ASSIGN_OR_RETURN(const auto definitions, LoadProject(options.dir));
  FULCRUM_RETURN_IF_ERROR(FindExperiment(definitions, options.experiment).status());
  store::EmbeddedOptions embedded;
  embedded.directory = options.data;
  embedded.read_only = true;
  embedded.report_memory_bytes = options.memory_bytes;
  embedded.report_kept_bytes = 0;
  FULCRUM_ASSIGN_OR_RETURN(const auto opened, store::OpenEmbedded(embedded));
  FULCRUM_ASSIGN_OR_RETURN(auto controls, opened->ReadControls());
  FULCRUM_ASSIGN_OR_RETURN(auto published,
                           server::Publish({definitions, {}}, std::move(controls), 0));
  int64_t as_of_ms = INT64_MAX;
  if (!options.as_of.empty()) {
    as_of_ms = *ParseRfc3339(options.as_of);
    FULCRUM_ASSIGN_OR_RETURN(published, server::PublishedAt(*opened, *published, as_of_ms));
  }
  const auto* experiment = published->FindDefinition(options.experiment);
  if (experiment == nullptr) {
    return NotFound("there was no experiment '" + options.experiment + "' as of " + options.as_of +
                    " in the project that was served then");
  }
  return server::ComputeReport(*opened, *published, *experiment, as_of_ms);
}

absl::Status RunReport(const Options& options) {
  if (!options.as_of.empty() && !ParseRfc3339(options.as_of)) {
    return InvalidArgument("--as-of is an instant with its offset, as 2026-03-09T00:00:00+08:00.");
  }
  std::string url = options.server;
  if (url.empty()) url = AnnouncedServer(options.data);
  FULCRUM_ASSIGN_OR_RETURN(const report::Report report,
                           url.empty() ? FromData(options) : FromServer(options, url));
  return WriteReport(report, options.output);
}

}  // namespace

void AddReport(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "report",
      "Did it work, for whom, at what cost: the report on one experiment.\n"
      "Example: fulcrum report examples/shop one-page-checkout --data data");
  command->add_option("DIR", options->dir, "Project directory")->required();
  command->add_option("EXPERIMENT", options->experiment, "Key of the experiment")->required();
  CLI::Option* data = command->add_option(
      "--data", options->data, "Data directory (a server that holds it is asked instead)");
  CLI::Option* server = command->add_option("--server", options->server, "URL of a running server");
  command->add_option("--key", options->key, "Key for --server, where it asks for one");
  command->add_option("--as-of", options->as_of, "Only what was received by then (RFC 3339)");
  command
      ->add_option("--memory", options->memory_bytes,
                   "What it may hold of its units, as 4GiB; beyond it works in passes. With --data")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  AddOutputOptions(command, &options->output);
  command->callback([=] {
    if (data->count() + server->count() == 0) throw CLI::RequiredError("--data or --server");
    *run = [=] {
      const absl::Status status = RunReport(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
