// SPDX-License-Identifier: Apache-2.0
//
// POST /v1/import, /v1/export and /v1/history: what the command line asks of the server that holds
// its data directory.
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "core/hash.h"
#include "experiments/load.h"
#include "report/history.h"
#include "server/app_state.h"
#include "server/reply.h"
#include "store/batch.h"

namespace fulcrum::server {
namespace {

void Refuse(const std::string& details, Response* response) {
  ReplyError(400, "INVALID_ARGUMENT", details, response);
}

// How many items the payload holds; an error where it is damaged.
absl::StatusOr<int64_t> CountItems(std::string_view payload) {
  int64_t items = 0;
  const store::BatchVisitor visitor{
      .exposure = [&](const store::ExposureView&) { ++items; },
      .event = [&](const store::EventView&) { ++items; },
      .link = [&](const store::LinkView&) { ++items; },
      .client_counts = [&](const store::ClientCountsView&) { ++items; }};
  std::string error;
  if (!store::ReadBatch(payload, visitor, &error)) return InvalidArgument(error);
  return items;
}

}  // namespace

// The body is a batch as the store keeps it, made and checked row by row by `fulcrum import`.
void ImportBatch(AppState& state, const Request& request, int64_t now_ms, Response* response) {
  std::vector<std::pair<std::string, std::string>> query;
  if (!ParseQuery(request.query, &query))
    return Refuse("The query has a broken %-escape.", response);
  store::AppendRequest append;
  std::string batch_id;
  append.received_ms = now_ms;
  for (auto& [name, value] : query) {
    if (name == "batch_id") {
      batch_id = std::move(value);
    } else if (name == "received") {
      const std::optional<int64_t> received_ms = ParseInt(value);
      if (!received_ms || *received_ms < kMinInstantMs || *received_ms > now_ms) {
        return Refuse("received must be Unix milliseconds, not of the future.", response);
      }
      append.received_ms = *received_ms;
      append.history = true;
    } else {
      return Refuse("'" + name + "' is not a parameter; an import takes batch_id and received.",
                    response);
    }
  }
  const absl::StatusOr<int64_t> items = CountItems(request.body);
  if (!items.ok() || *items == 0) {
    return Refuse(
        "The body is not a batch of `fulcrum import`, or of another version of it" +
            (items.ok() ? std::string(".") : " (" + std::string(Message(items.status())) + ")."),
        response);
  }
  append.batch_id = batch_id;
  append.body_hash = core::Xxh3(request.body);
  append.payload = request.body;
  append.items = *items;
  const absl::StatusOr<store::AppendResult> result = state.options.store->Append(append);
  if (!result.ok()) {
    if (absl::IsResourceExhausted(result.status())) {
      return ReplyBusy(503, "BACKLOG_FULL", Message(result.status()), 1, response);
    }
    return ReplyStatus(result.status(), response);
  }
  response->body = "{";
  AppendField("sequence", result->sequence, &response->body);
  AppendField("replayed", result->replayed, &response->body);
  response->body += "}\n";
}

void ExportData(AppState& state, const Request& request, Response* response) {
  namespace fs = std::filesystem;
  std::vector<std::pair<std::string, std::string>> query;
  if (!ParseQuery(request.query, &query))
    return Refuse("The query has a broken %-escape.", response);
  std::string format = "parquet";
  for (const auto& [name, value] : query) {
    if (name != "format" || (value != "parquet" && value != "csv")) {
      return Refuse("An export takes format=parquet or format=csv.", response);
    }
    format = value;
  }
  if (state.options.data_dir.empty()) {
    return Refuse("This server has no data directory to export into.", response);
  }
  if (!state.exports.TryTake()) {
    return ReplyBusy(503, "BUSY", "Another export is being written; ask again later.", 10,
                     response);
  }
  const absl::Cleanup leave = [&state] { state.exports.Give(); };
  const fs::path exports = fs::path(state.options.data_dir) / "exports";
  std::error_code error;
  // What an export that nobody fetched has left.
  fs::remove_all(exports, error);
  fs::create_directories(exports, error);
  if (error) {
    return ReplyError(500, "GENERAL", "cannot make " + exports.string() + ": " + error.message(),
                      response);
  }
  const std::string name = "export-" + std::to_string(WallClockMs());
  const absl::Status status = state.options.store->Export((exports / name).string(), format);
  if (!status.ok()) {
    fs::remove_all(exports, error);
    return ReplyStatus(status, response);
  }
  nlohmann::json files = nlohmann::json::array();
  for (const auto& entry : fs::directory_iterator(exports / name, error)) {
    files.push_back(entry.path().filename().string());
  }
  response->body =
      nlohmann::json{{"directory", "exports/" + name}, {"files", std::move(files)}}.dump() + "\n";
}

// Body: {"experiment": KEY, "files": {"project.yaml": TEXT, …}}. The project is the caller's: the
// experiment that is being planned need not be served yet.
void ShowHistory(AppState& state, const Request& request, Response* response) {
  const auto body = nlohmann::json::parse(request.body, nullptr, false);
  if (!body.is_object() || !body.contains("experiment") || !body["experiment"].is_string() ||
      !body.contains("files") || !body["files"].is_object()) {
    return Refuse("The body must be {\"experiment\": KEY, \"files\": {NAME: TEXT}}.", response);
  }
  std::map<std::string, std::string> files;
  for (const auto& [name, text] : body["files"].items()) {
    if (!text.is_string()) return Refuse("The file " + name + " must be text.", response);
    files[name] = text.get<std::string>();
  }
  const experiments::LoadResult loaded = experiments::LoadFromFiles(files);
  if (!loaded.ok()) {
    std::string errors;
    for (const auto& diagnostic : loaded.diagnostics) {
      errors += (errors.empty() ? "" : "\n") + experiments::Format(diagnostic);
    }
    return ReplyError(400, "INVALID_PROJECT", errors, response);
  }
  const std::string key = body["experiment"].get<std::string>();
  const auto* experiment = loaded.definitions.FindExperiment(key);
  if (experiment == nullptr) {
    return ReplyError(404, "NOT_FOUND", "There is no experiment '" + key + "' in these files.",
                      response);
  }
  if (!EnterReports(state, response)) return;
  const absl::Cleanup leave = [&state] { LeaveReports(state); };
  const absl::StatusOr<report::History> history =
      report::ReadHistory(loaded.definitions, *experiment,
                          [&](const store::Plan& plan) { return state.options.store->Run(plan); });
  if (!history.ok()) return ReplyStatus(history.status(), response);
  response->body = report::HistoryToJson(*history);
}

}  // namespace fulcrum::server
