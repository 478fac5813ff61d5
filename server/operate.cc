// SPDX-License-Identifier: Apache-2.0
//
// What changes the state: stop and resume, the clock (reload.cc has the reload). The control log is
// made durable before what it says is served, so no restart can forget it.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "server/app_state.h"
#include "server/json_in.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

constexpr size_t kMaxReasonBytes = 2000;
struct StopBody {
  std::string reason;
  std::string variant;
};

bool Bad(std::string details, Response* response) {
  ReplyError(400, "INVALID_ARGUMENT", details, response);
  return false;
}

// {"reason": "…", "variant"?: "…"}; the body may be empty, a reason is what the audit is for.
bool ReadStopBody(std::string_view body, bool with_variant, StopBody* out, Response* response) {
  if (body.empty()) return true;
  std::string problem;
  const std::optional<JsonElement> root = ParseJson(body, &problem);
  JsonObject object;
  if (!root) return Bad("The body cannot be read: " + problem + ".", response);
  if (root->get_object().get(object) != simdjson::SUCCESS) {
    return Bad("The body must be an object like {\"reason\": \"…\"}.", response);
  }
  for (const auto [key, value] : object) {
    const std::optional<std::string_view> text = AsText(value);
    if (key != "reason" && !(with_variant && key == "variant")) {
      return Bad("'" + std::string(key) + "' is not a field here; send reason" +
                     (with_variant ? " and, if everyone shall get one, variant." : "."),
                 response);
    }
    if (!text || text->size() > kMaxReasonBytes) {
      return Bad("'" + std::string(key) + "' must be text of at most 2000 bytes.", response);
    }
    (key == "reason" ? out->reason : out->variant).assign(*text);
  }
  return true;
}

void PrintControl(const core::ControlRecord& record, std::string* out) {
  *out += "{";
  AppendField("seq", static_cast<int64_t>(record.seq), out);
  AppendField("ts", FormatRfc3339(record.ts_ms), out);
  AppendField("actor", record.actor, out);
  AppendField("kind", core::ControlKindName(record.kind), out);
  AppendField("experiment", record.experiment, out);
  AppendField("reason", record.reason, out);
  if (!record.variant.empty()) AppendField("variant", record.variant, out);
  if (record.step >= 0) AppendField("step", static_cast<int64_t>(record.step), out);
  if (!record.weights.empty()) {
    AppendName("weights", out);
    *out += "{";
    for (const core::ArmWeight& arm : record.weights) {
      AppendField(arm.variant, static_cast<int64_t>(arm.weight_ppm), out);
    }
    *out += "}";
  }
  *out += "}";
}

// nullopt where the text is neither RFC 3339 nor Unix milliseconds.
std::optional<int64_t> ReadInstant(std::string_view text) {
  std::optional<int64_t> time_ms = ParseRfc3339(text);
  if (!time_ms) time_ms = ParseInt(text);
  if (time_ms && (*time_ms < kMinInstantMs || *time_ms >= kMaxInstantMs)) return std::nullopt;
  return time_ms;
}

}  // namespace

void StopOrResume(AppState& state, core::ControlKind kind, std::string_view key,
                  const Request& request, const Caller& caller, int64_t now_ms,
                  Response* response) {
  const bool stop = kind == core::ControlKind::kStop;
  StopBody body;
  if (!ReadStopBody(request.body, stop, &body, response)) return;

  MutexLock change(&state.change_mutex);
  now_ms = std::max(now_ms, state.last_report_ms.load() + 1);
  const std::shared_ptr<const Published> before = state.published();
  const core::ExperimentHandle handle = before->snapshot->Find(key);
  if (!handle) {
    return ReplyError(404, "NOT_FOUND", "There is no experiment '" + std::string(key) + "'.",
                      response, key);
  }
  if (const auto& variants = before->snapshot->experiment(handle).variants;
      !body.variant.empty() &&
      std::none_of(variants.begin(), variants.end(),
                   [&](const core::VariantData& v) { return v.key == body.variant; })) {
    return ReplyError(
        400, "INVALID_ARGUMENT",
        "Experiment '" + std::string(key) + "' has no variant '" + body.variant + "' to serve.",
        response, key);
  }
  const core::ExperimentControls* controls = before->controls.Find(key);
  if (!stop && (controls == nullptr || !controls->stop)) {
    return ReplyError(409, "CONFLICT",
                      "Experiment '" + std::string(key) +
                          "' is not stopped, so there is nothing "
                          "to resume.",
                      response, key);
  }
  core::ControlRecord record;
  record.ts_ms = now_ms;
  record.actor = std::string(caller.name);
  record.kind = kind;
  record.experiment = key;
  record.reason = body.reason;
  record.variant = body.variant;

  // Whether it can apply is found out before it is written down for good.
  std::vector<core::ControlRecord> log = before->log;
  record.seq = before->controls.last_seq + 1;
  log.push_back(record);
  const absl::StatusOr<std::shared_ptr<const Published>> tried =
      Publish({before->definitions, before->files}, log, now_ms);
  if (!tried.ok()) return ReplyStatus(tried.status(), response);

  const absl::StatusOr<int64_t> seq = state.options.store->AppendControl(record);
  if (!seq.ok()) return ReplyStatus(seq.status(), response);
  log.back().seq = static_cast<uint64_t>(*seq);
  record.seq = static_cast<uint64_t>(*seq);
  absl::StatusOr<std::shared_ptr<const Published>> next =
      Publish({before->definitions, before->files}, std::move(log), now_ms);
  if (!next.ok()) return ReplyStatus(next.status(), response);
  const std::string version((*next)->snapshot->version());
  state.Serve(*std::move(next));
  state.Log(std::string(core::ControlKindName(kind)) + " of " + std::string(key) + " by " +
            std::string(caller.name) + (body.reason.empty() ? "" : ": " + body.reason));
  response->body = "{";
  AppendName("control", &response->body);
  PrintControl(record, &response->body);
  AppendField("snapshot", version, &response->body);
  response->body += "}\n";
}

void ShowAudit(AppState& state, const Request& request, Response* response) {
  std::vector<std::pair<std::string, std::string>> query;
  std::string experiment;
  if (!ParseQuery(request.query, &query)) {
    return ReplyError(400, "PARSE_ERROR", "The query has a broken %-escape.", response);
  }
  for (const auto& [name, value] : query) {
    if (name != "experiment") {
      return ReplyError(400, "INVALID_ARGUMENT",
                        "'" + name + "' is not a parameter; the audit takes experiment.", response);
    }
    experiment = value;
  }
  absl::StatusOr<std::vector<core::ControlRecord>> log = state.options.store->ReadControls();
  if (!log.ok()) return ReplyStatus(log.status(), response);
  response->body = "{\"controls\":[";
  for (const core::ControlRecord& record : *log) {
    if (!experiment.empty() && record.experiment != experiment) continue;
    if (response->body.back() == '}') response->body += ",\n";
    PrintControl(record, &response->body);
  }
  response->body += "]}\n";
}

void ServeClock(AppState& state, const Request& request, Response* response) {
  Clock& clock = *state.options.clock;
  if (request.method == "POST") {
    if (!clock.simulated()) {
      return ReplyError(409, "CONFLICT",
                        "The clock is the machine's; start the server with --simulated-clock to "
                        "set it.",
                        response);
    }
    std::string problem = "it must be an object";
    const std::optional<JsonElement> root = ParseJson(request.body, &problem);
    JsonElement now;
    if (!root || root->at_key("now").get(now) != simdjson::SUCCESS) {
      return ReplyError(400, "PARSE_ERROR",
                        "The body must be {\"now\": RFC 3339 or Unix milliseconds}.", response);
    }
    std::optional<int64_t> now_ms;
    if (int64_t number = 0; now.get_int64().get(number) == simdjson::SUCCESS) {
      now_ms = ReadInstant(std::to_string(number));
    } else if (const std::optional<std::string_view> text = AsText(now)) {
      now_ms = ReadInstant(*text);
    }
    if (!now_ms) {
      return ReplyError(400, "INVALID_ARGUMENT",
                        "'now' must be RFC 3339 with an offset or Unix milliseconds, from 2000 "
                        "to 2200.",
                        response);
    }
    if (!clock.SetMs(*now_ms)) {
      return ReplyError(
          409, "CONFLICT",
          "The clock is at " + FormatRfc3339(clock.NowMs()) + " already and does not go back.",
          response);
    }
  }
  response->body = "{";
  AppendField("now", FormatRfc3339(clock.NowMs()), &response->body);
  AppendField("now_ms", clock.NowMs(), &response->body);
  AppendField("simulated", clock.simulated(), &response->body);
  response->body += "}\n";
}

}  // namespace fulcrum::server
