// SPDX-License-Identifier: Apache-2.0
#include "store/import.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "nlohmann/json.hpp"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string data;
  std::string exposures;
  std::string events;
  std::string links;
  std::string table;
  std::string rejected;
  std::string key;
};

// Batches to the server that holds the data directory: the same durable inbox.
class RemoteStore {
 public:
  RemoteStore(const std::string& url, const std::string& key) : session_(url, key) {}

  absl::StatusOr<store::AppendResult> Append(const store::AppendRequest& request) {
    std::string path = absl::StrCat("/v1/import?batch_id=", QueryText(request.batch_id));
    if (request.history) absl::StrAppend(&path, "&received=", request.received_ms);
    FULCRUM_ASSIGN_OR_RETURN(const std::string answer,
                             session_.Post(path, request.payload, "application/octet-stream"));
    const auto json = nlohmann::json::parse(answer, nullptr, false);
    if (!json.is_object() || !json.contains("sequence")) {
      return absl::UnavailableError("the server does not answer an import as it should: " + answer);
    }
    return store::AppendResult{.sequence = json["sequence"].get<int64_t>(),
                               .replayed = json.value("replayed", false)};
  }

  // The server loads as fast as it can; it only has to be waited for.
  static absl::Status Wait() {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return absl::OkStatus();
  }

 private:
  ServerSession session_;
};

absl::Status ImportOne(const store::ImportSink& sink, store::ImportKind kind,
                       const std::string& name, const std::string& path, const Options& options,
                       std::string rejected) {
  if (path.empty()) return absl::OkStatus();
  store::ImportRequest request;
  request.kind = kind;
  request.path = path;
  request.table = options.table;
  request.received_ms = WallClockMs();
  request.rejected_path = std::move(rejected);
  std::atomic<int64_t> rows{0};
  if (ErrorIsTerminal()) request.progress = [&](int64_t done) { rows = done; };
  absl::StatusOr<store::ImportResult> result;
  {
    const ProgressLine line(
        [&] { return absl::StrCat("importing ", name, ": ", rows.load(), " rows"); });
    result = store::ImportFile(sink, request);
  }
  if (!result.ok()) return Annotate(result.status(), path);
  std::cout << name << ": " << result->rows << " rows, " << result->accepted << " accepted ("
            << result->replayed << " of them imported before), " << result->rejected << " rejected";
  if (result->rejected > 0 && !request.rejected_path.empty()) {
    std::cout << ", see " << request.rejected_path;
  } else if (result->rejected > 0) {
    std::cout << "; --rejected FILE says why";
  }
  std::cout << "\n";
  return absl::OkStatus();
}

absl::Status ImportAll(const store::ImportSink& sink, const Options& options) {
  const int files = static_cast<int>(!options.exposures.empty()) +
                    static_cast<int>(!options.links.empty()) +
                    static_cast<int>(!options.events.empty());
  std::error_code ignored;
  const bool directory = std::filesystem::is_directory(options.rejected, ignored);
  // One file for each, so that a row's number says where it is.
  const auto rejected = [&](const std::string& name) -> std::string {
    if (options.rejected.empty()) return "";
    if (directory) return options.rejected + "/rejected-" + name + ".csv";
    if (files == 1) return options.rejected;
    const std::filesystem::path path(options.rejected);
    return (path.parent_path() / (path.stem().string() + "-" + name + path.extension().string()))
        .string();
  };
  FULCRUM_RETURN_IF_ERROR(ImportOne(sink, store::ImportKind::kExposures, "exposures",
                                    options.exposures, options, rejected("exposures")));
  FULCRUM_RETURN_IF_ERROR(ImportOne(sink, store::ImportKind::kLinks, "links", options.links,
                                    options, rejected("links")));
  return ImportOne(sink, store::ImportKind::kEvents, "events", options.events, options,
                   rejected("events"));
}

absl::Status RunImport(const Options& options) {
  if (const std::string url = AnnouncedServer(options.data); !url.empty()) {
    RemoteStore remote(url, options.key);
    return ImportAll({.append = [&](const auto& request) { return remote.Append(request); },
                      .flush = [] { return RemoteStore::Wait(); }},
                     options);
  }
  store::EmbeddedOptions embedded;
  embedded.directory = options.data;
  // Rows only pass through: what is written need not stay in memory.
  embedded.duckdb_memory_bytes = 512LL << 20;
  FULCRUM_ASSIGN_OR_RETURN(const auto opened, store::OpenEmbedded(embedded));
  store::Store* store = opened.get();
  return ImportAll({.append = [=](const auto& request) { return store->Append(request); },
                    .flush = [=] { return store->Flush(); }},
                   options);
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
  command
      ->add_option("DIR", options->data, "Data directory (a server that holds it is sent the rows)")
      ->required();
  CLI::Option* exposures = command->add_option("--exposures", options->exposures, "File or glob");
  CLI::Option* events = command->add_option("--events", options->events, "File or glob");
  CLI::Option* links = command->add_option("--links", options->links, "File or glob");
  command->add_option("--table", options->table, "Table, where a file is a DuckDB database");
  command->add_option("--rejected", options->rejected,
                      "CSV file for rows that cannot be used, each with the reason (with several "
                      "inputs, one a kind: rejected-events.csv)");
  command->add_option("--key", options->key, "Key with scope admin, where a server asks for one");
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
