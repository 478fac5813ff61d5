// SPDX-License-Identifier: Apache-2.0
//
// From the project directory to what is served. An edit that has errors, or that is unsafe while an
// experiment runs, is refused and what was served serves on; docs/definitions.md says which are.
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "experiments/diff.h"
#include "server/app_state.h"
#include "server/json_in.h"
#include "server/past.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

constexpr size_t kMaxReasonBytes = 2000;
constexpr std::string_view kHowToAllow =
    "these edits would move or mix units that are being analysed. Undo them, stop the experiment "
    "first, or allow them: POST /v1/reload {\"allow_unsafe\": true, \"reason\": \"...\"}, or "
    "serve --allow-unsafe-edits.";

// A line for each error, so that every one can be found by its file, line and column.
void LogLines(const AppState& state, std::string_view lines) {
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    state.Log(lines.substr(0, end));
    lines = end == std::string_view::npos ? std::string_view() : lines.substr(end + 1);
  }
}

// What was served before: by this server, or by the one before it.
struct Before {
  std::shared_ptr<const Published> serving;  // By this one; else `kept`.
  LoadedProject kept;

  const experiments::Definitions& definitions() const {
    return serving == nullptr ? kept.definitions : serving->definitions;
  }
};

// nullopt where nothing is known that `next` could be held against.
std::optional<Before> WhatWasServed(AppState& state, const experiments::Definitions& next) {
  Before before{state.published(), {}};
  if (before.serving != nullptr) return before;
  const auto records = state.options.store->ReadDefinitions();
  if (!records.ok()) return std::nullopt;
  const std::map<std::string, std::string> files = FilesAt(*records, INT64_MAX);
  if (files.empty()) return std::nullopt;
  // It loaded once; a newer program may be stricter, and then there is nothing to hold against.
  experiments::LoadResult loaded = experiments::LoadFromFiles(files);
  if (!loaded.ok()) return std::nullopt;
  // A directory that another project was served from: nobody edits one project into another.
  if (loaded.definitions.project.key != next.project.key) return std::nullopt;
  before.kept = {std::move(loaded.definitions), std::move(loaded.files)};
  return before;
}

std::string Joined(const std::vector<experiments::Diagnostic>& diagnostics) {
  std::string out;
  for (const experiments::Diagnostic& diagnostic : diagnostics) {
    out += (out.empty() ? "" : "\n") + experiments::Format(diagnostic);
  }
  return out;
}

// What a reload came to. `unsafe` is set where that is why it was refused.
struct Attempt {
  std::shared_ptr<const Published> next;
  std::vector<core::ControlRecord> begun;  // Phases the edit begins, for the log; the last ones of
                                           // next->log, with the numbers they will get.
  std::string unsafe;
  std::vector<std::string> warnings;
};

absl::StatusOr<Attempt> Try(AppState& state, const ReloadBy& by, int64_t now_ms) {
  Attempt attempt;
  FULCRUM_ASSIGN_OR_RETURN(LoadedProject project,
                           LoadProject(state.options.project_dir, &attempt.warnings));
  FULCRUM_ASSIGN_OR_RETURN(std::vector<core::ControlRecord> log,
                           state.options.store->ReadControls());
  if (std::optional<Before> before = WhatWasServed(state, project.definitions)) {
    const core::Controls controls = core::Apply(log);
    FULCRUM_ASSIGN_OR_RETURN(
        const experiments::DiffReport report,
        experiments::Diff(before->definitions(), project.definitions, now_ms, &controls));
    attempt.unsafe = Joined(experiments::UnsafeEdits(report));
    if (!attempt.unsafe.empty() && !by.allow_unsafe) {
      if (before->serving != nullptr) return attempt;
      project = std::move(before->kept);  // The edit stays refused through a restart.
    } else {
      attempt.begun = experiments::PhasesBegun(before->definitions(), report);
    }
  }
  uint64_t seq = log.empty() ? 0 : log.back().seq;
  for (core::ControlRecord& record : attempt.begun) {
    record.seq = ++seq;
    record.ts_ms = now_ms;
    record.actor = by.actor;
    if (!by.reason.empty()) record.reason = by.reason + ": " + record.reason;
    log.push_back(record);
  }
  FULCRUM_ASSIGN_OR_RETURN(attempt.next, Publish(std::move(project), std::move(log), now_ms));
  return attempt;
}

// The log is durable before what it says is served.
absl::Status WriteDown(AppState& state, const Attempt& attempt) {
  for (const core::ControlRecord& record : attempt.begun) {
    FULCRUM_ASSIGN_OR_RETURN(const int64_t seq, state.options.store->AppendControl(record));
    if (static_cast<uint64_t>(seq) != record.seq) {
      return absl::InternalError("the control log was written by somebody else: load again");
    }
  }
  return absl::OkStatus();
}

void Refused(AppState& state, std::string_view errors) {
  state.metrics.CountReload(false);
  state.last_reload_ok.store(false, std::memory_order_relaxed);
  if (const auto serving = state.published()) {
    LogLines(state, errors);
    state.Log("reload refused; snapshot " + std::string(serving->snapshot->version()) +
              " keeps serving");
  }
}

// Everything that was ever served is kept, so that a past report can be made again, any report can
// say whether the definition changed, and an edit can be held against what was served last.
absl::Status Keep(AppState& state, const Published& next, int64_t now_ms)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.change_mutex) {
  const auto serving = state.published();
  const bool known = state.kept_files_known && serving != nullptr;
  if (!state.kept_files_known) {
    FULCRUM_ASSIGN_OR_RETURN(state.kept_files, KeptFiles(*state.options.store));
  }
  state.kept_files_known = false;  // Until all of it is kept.
  FULCRUM_RETURN_IF_ERROR(KeepProject(*state.options.store, next.definitions, next.files,
                                      known ? serving->files : std::map<std::string, std::string>(),
                                      now_ms, &state.kept_files));
  state.kept_files_known = true;
  return absl::OkStatus();
}

}  // namespace

absl::Status ReloadProject(AppState& state, const ReloadBy& by, int64_t now_ms) {
  MutexLock change(&state.change_mutex);
  now_ms = std::max(now_ms, state.last_report_ms.load() + 1);
  absl::StatusOr<Attempt> attempt = Try(state, by, now_ms);
  if (attempt.ok() && attempt->next != nullptr) {
    if (absl::Status written = WriteDown(state, *attempt); !written.ok()) attempt = written;
  }
  if (!attempt.ok()) {
    Refused(state, Message(attempt.status()));
    return attempt.status();
  }
  const bool is_unsafe = !attempt->unsafe.empty() && !by.allow_unsafe;
  if (attempt->next == nullptr) {
    const std::string errors = attempt->unsafe + "\n" + std::string(kHowToAllow);
    Refused(state, errors);
    return absl::FailedPreconditionError(errors);
  }
  for (const std::string& warning : attempt->warnings) state.Log(warning);
  for (const std::string& unfit : attempt->next->unfit) {
    state.Log("a control does not fit the definition it was written for: " + unfit);
  }
  LogLines(state, attempt->unsafe);
  if (is_unsafe) {
    state.Log(kHowToAllow);
    state.Log("the directory was refused; what was served before this start is served");
  }
  state.Log("serving snapshot " + std::string(attempt->next->snapshot->version()) + " of " +
            state.options.project_dir + " (" +
            std::to_string(attempt->next->snapshot->experiment_count()) + " experiments)");
  state.metrics.CountReload(!is_unsafe);
  state.last_reload_ok.store(!is_unsafe, std::memory_order_relaxed);
  // Before it is served, so that no exposure is older than the definition it belongs to.
  if (const absl::Status kept = Keep(state, *attempt->next, now_ms); !kept.ok()) {
    state.Log("the project could not be kept, so past reports cannot be made with it: " +
              std::string(Message(kept)));
  }
  state.Serve(std::move(attempt->next));
  return absl::OkStatus();
}

namespace {

// {"allow_unsafe"?: true, "reason"?: "…"}; the body may be empty.
bool ReadReloadBody(std::string_view body, ReloadBy* by, Response* response) {
  if (body.empty()) return true;
  const auto bad = [&](const std::string& details) {
    ReplyError(400, "INVALID_ARGUMENT", details, response);
    return false;
  };
  std::string problem;
  const std::optional<JsonElement> root = ParseJson(body, &problem);
  JsonObject object;
  if (!root) return bad("The body cannot be read: " + problem + ".");
  if (root->get_object().get(object) != simdjson::SUCCESS) {
    return bad("The body must be an object like {\"allow_unsafe\": true, \"reason\": \"…\"}.");
  }
  for (const auto [key, value] : object) {
    if (key == "allow_unsafe" && value.is_bool()) {
      by->allow_unsafe = value.get_bool().value_unsafe();
      continue;
    }
    const std::optional<std::string_view> text = AsText(value);
    if (key != "reason" || !text || text->size() > kMaxReasonBytes) {
      return bad("'" + std::string(key) +
                 "' is not a field here or has the wrong type; send allow_unsafe (a bool) and "
                 "reason (text of at most 2000 bytes).");
    }
    by->reason.assign(*text);
  }
  if (by->allow_unsafe && by->reason.empty()) {
    return bad("allow_unsafe needs a reason, because the audit is asked for it later.");
  }
  return true;
}

}  // namespace

void ReloadRoute(AppState& state, const Request& request, const Caller& caller, int64_t now_ms,
                 Response* response) {
  ReloadBy by;
  by.allow_unsafe = state.options.allow_unsafe_edits;
  by.actor = std::string(caller.name);
  if (!ReadReloadBody(request.body, &by, response)) return;
  const absl::Status status = ReloadProject(state, by, now_ms);
  if (!status.ok()) {
    const bool unsafe = status.code() == absl::StatusCode::kFailedPrecondition;
    return ReplyError(unsafe ? 409 : 400, unsafe ? "UNSAFE_EDIT" : "INVALID_PROJECT",
                      Message(status), response);
  }
  response->body = "{\"status\":\"ok\"";
  AppendField("snapshot", state.published()->snapshot->version(), &response->body);
  response->body += "}\n";
}

}  // namespace fulcrum::server
