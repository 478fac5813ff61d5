// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "nlohmann/json.hpp"
#include "store/store.h"

namespace fulcrum::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string data;
  std::string out;
  std::string key;
  std::string format = "parquet";
};

// The server writes beside its data; from there the files go to where they are wanted.
absl::Status FromServer(const Options& options, const std::string& url) {
  ServerSession session(url, options.key);
  absl::StatusOr<std::string> answer =
      session.Post("/v1/export?format=" + options.format, "", "application/json");
  FULCRUM_RETURN_IF_ERROR(answer.status());
  const auto json = nlohmann::json::parse(*answer, nullptr, false);
  if (!json.is_object() || !json.contains("directory")) {
    return absl::UnavailableError("the server does not answer an export as it should: " + *answer);
  }
  const fs::path made = fs::path(options.data) / json["directory"].get<std::string>();
  std::error_code error;
  fs::create_directories(options.out, error);
  for (const auto& name : json["files"]) {
    const fs::path from = made / name.get<std::string>();
    const fs::path to = fs::path(options.out) / name.get<std::string>();
    fs::rename(from, to, error);
    // Another file system.
    if (error) fs::copy_file(from, to, error);
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("cannot move ", from.string(), " to ", to.string(), ": ", error.message()));
    }
  }
  fs::remove_all(made, error);
  return absl::OkStatus();
}

absl::Status FromData(const Options& options) {
  store::EmbeddedOptions embedded;
  embedded.directory = options.data;
  embedded.read_only = true;
  // Rows only pass through; what does not fit is spilled beside the data.
  embedded.duckdb_memory_bytes = 512LL << 20;
  FULCRUM_ASSIGN_OR_RETURN(const auto opened, store::OpenEmbedded(embedded));
  return opened->Export(options.out, options.format);
}

absl::Status RunExport(const Options& options) {
  const std::string url = AnnouncedServer(options.data);
  // Found out before the work: no file is overwritten.
  for (const char* view : {"exposures", "events", "links", "client_counts", "results"}) {
    const fs::path path = fs::path(options.out) / absl::StrCat(view, ".", options.format);
    if (fs::exists(path)) {
      return InvalidArgument(path.string() + " is already there; give an empty directory.");
    }
  }
  const std::string where = url.empty() ? options.out : options.data + "/exports";
  {
    const ProgressLine line([&] { return "exporting: " + FormatBytes(BytesBelow(where)); });
    FULCRUM_RETURN_IF_ERROR(url.empty() ? FromData(options) : FromServer(options, url));
  }
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
  command->add_option("DIR", options->data, "Data directory (a server that holds it is asked)")
      ->required();
  command->add_option("--out", options->out, "Directory to write the files into")->required();
  command->add_option("--format", options->format, "parquet or csv")
      ->check(CLI::IsMember({"parquet", "csv"}))
      ->capture_default_str();
  command->add_option("--key", options->key, "Key with scope admin, where a server asks for one");
  command->callback([=] {
    *run = [=] {
      const absl::Status status = RunExport(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
