// SPDX-License-Identifier: Apache-2.0
#include "server/app.h"

#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "server/app_state.h"
#include "server/ingest.h"
#include "server/ofrep.h"
#include "server/reply.h"

namespace fulcrum::server {

std::string_view ConsolePage();

namespace {

int64_t SteadyUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// The key as sent, wherever clients put it; "" where there is none.
std::string_view KeyOf(const RouteInfo& info, const Request& request, std::string* buffer) {
  const std::string_view authorization = request.Find("authorization");
  if (!authorization.empty()) return KeyFromAuthorization(authorization, buffer);
  const std::string_view header = request.Find("x-api-key");
  if (!header.empty() || !info.query_key) return header;
  std::vector<std::pair<std::string, std::string>> query;
  if (!ParseQuery(request.query, &query)) return {};
  for (auto& [name, value] : query) {
    if (name != "key" && name != "client_key" && name != "token") continue;
    *buffer = std::move(value);
    return *buffer;
  }
  return {};
}

// "https://a.example" or "http://localhost:8080" against "localhost:8080".
bool IsSameOrigin(std::string_view origin, std::string_view host) {
  const size_t slashes = origin.find("://");
  return slashes != std::string_view::npos && origin.substr(slashes + 3) == host;
}

bool IsLoopbackHost(std::string_view host) {
  if (host.starts_with("[::1]")) return true;
  const std::string_view name = host.substr(0, host.find(':'));
  return name == "localhost" || name == "127.0.0.1" || name.ends_with(".localhost");
}

// Without keys, being on this machine is what allows reading and operating; a web page that is open
// in a browser here must not borrow it.
bool IsForeignPage(const Request& request) {
  const std::string_view origin = request.Find("origin"), host = request.Find("host");
  if (!origin.empty() && !IsSameOrigin(origin, host)) return true;
  return !host.empty() && !IsLoopbackHost(host);
}

// True where the request may go on; else the reply is made.
bool Authorize(AppState& state, const RouteInfo& info, const Request& request, Caller* caller,
               Response* response) {
  if (state.keys == nullptr) {
    caller->name = "local";
    if (info.cors || info.scopes == kScopeNone || !IsForeignPage(request)) return true;
    ReplyError(403, "FORBIDDEN",
               "Without a key file this may be asked from this machine only, and not by a page of "
               "another site; start the server with a key file to allow more.",
               response);
    return false;
  }
  if (info.scopes == kScopeNone) return true;
  std::string buffer;
  const std::string_view secret = KeyOf(info, request, &buffer);
  const KeyRing::Entry* entry = secret.empty() ? nullptr : state.keys->Find(secret);
  if (entry == nullptr) {
    ReplyError(401, "UNAUTHENTICATED",
               secret.empty() ? "A key is needed: send Authorization: Bearer KEY or X-API-Key: KEY."
                              : "The key is not known.",
               response);
    response->Set("WWW-Authenticate", "Bearer");
    return false;
  }
  if ((entry->key.scopes & info.scopes) == 0) {
    ReplyError(403, "FORBIDDEN", "The key '" + entry->key.name + "' has not the scope for this.",
               response);
    return false;
  }
  int retry_after_s = 1;
  if (entry->limit != nullptr && !entry->limit->Take(SteadyUs() / 1000, &retry_after_s)) {
    state.metrics.CountRateLimited();
    ReplyBusy(429, "RATE_LIMITED", "The key '" + entry->key.name + "' is over its rate.",
              retry_after_s, response);
    return false;
  }
  caller->name = entry->key.name;
  if ((entry->key.scopes & kScopeClient) != 0) caller->public_key = entry->key.secret;
  return true;
}

void AddCors(Response* response) {
  response->Set("Access-Control-Allow-Origin", "*");
  response->Set("Access-Control-Expose-Headers", "ETag, Retry-After");
}

void Preflight(const RouteInfo& info, Response* response) {
  response->status = 204;
  response->Set("Access-Control-Allow-Methods", (info.methods & kPost) != 0 ? "POST" : "GET");
  response->Set("Access-Control-Allow-Headers",
                "authorization, content-type, if-none-match, x-api-key, idempotency-key");
  response->Set("Access-Control-Max-Age", "86400");
}

// The request's own instant: with a simulated clock, a Fulcrum-Now header moves the clock first.
bool ReadNow(AppState& state, const Request& request, int64_t* now_ms, Response* response) {
  Clock& clock = *state.options.clock;
  if (clock.simulated()) {
    if (const std::string_view text = request.Find("fulcrum-now"); !text.empty()) {
      std::optional<int64_t> asked = ParseInt(text);
      if (!asked) asked = ParseRfc3339(text);
      if (!asked || *asked < kMinInstantMs || *asked >= kMaxInstantMs) {
        ReplyError(400, "INVALID_ARGUMENT",
                   "Fulcrum-Now must be RFC 3339 with an offset or Unix milliseconds.", response);
        return false;
      }
      clock.SetMs(*asked);  // An older one is late, not wrong: the clock stays.
    }
  }
  *now_ms = clock.NowMs();
  return true;
}

void ShowReady(AppState& state, Response* response) {
  bool draining;
  {
    MutexLock lock(&state.mutex);
    draining = state.draining;
  }
  if (draining) {
    return ReplyBusy(503, "DRAINING", "The server is about to stop.", 5, response);
  }
  const store::StoreStats stats = state.options.store->stats();
  response->body = "{\"status\":\"ready\"";
  AppendField("snapshot", state.published()->snapshot->version(), &response->body);
  AppendField("last_reload_ok", state.last_reload_ok.load(), &response->body);
  AppendField("backlog_batches", stats.backlog_batches, &response->body);
  response->body += "}\n";
}

bool DispatchEvaluation(AppState& state, Route route, std::string_view parameter,
                        const Request& request, const Caller& caller, int64_t now_ms,
                        Response* response) {
  const auto published = state.published();
  const EvaluationContext evaluation{*published, state.sticky, *state.options.store, state.metrics,
                                     now_ms};
  switch (route) {
    case Route::kOfrepFlag:
      EvaluateFlag(evaluation, parameter, request.body, response);
      return true;
    case Route::kOfrepBulk:
      EvaluateAllFlags(
          evaluation, request.body, request.Find("if-none-match"),
          [&](std::string_view key) { return StreamUri(state, caller, key); }, response);
      return true;
    case Route::kOfrepStream:
      OpenStream(state, request, response);
      return true;
    case Route::kVariant:
      EvaluateVariant(evaluation, parameter, request.query, response);
      return true;
    case Route::kSnapshot:
      ServeSnapshot(state, request, response);
      return true;
    default:
      return false;
  }
}

bool DispatchIngest(AppState& state, Route route, const Request& request, int64_t now_ms,
                    Response* response) {
  const auto published = state.published();
  const IngestContext context{*published, *state.options.store, state.metrics, state.options.limits,
                              now_ms};
  switch (route) {
    case Route::kExposures:
      IngestNative(ItemKind::kExposure, context, request, response);
      return true;
    case Route::kEvents:
      IngestNative(ItemKind::kEvent, context, request, response);
      return true;
    case Route::kLinks:
      IngestNative(ItemKind::kLink, context, request, response);
      return true;
    case Route::kSegmentBatch:
      IngestSegment(context, request, response);
      return true;
    case Route::kTrack:
      IngestTrack(context, request, response);
      return true;
    case Route::kCloudEvents:
      IngestCloudEvents(context, request, response);
      return true;
    case Route::kOtlpLogs:
      IngestOtlpLogs(context, request, response);
      return true;
    default:
      return false;
  }
}

void DispatchRest(AppState& state, Route route, std::string_view parameter, const Request& request,
                  const Caller& caller, int64_t now_ms, Response* response) {
  switch (route) {
    case Route::kExperiments:
      return ListExperiments(state, now_ms, response);
    case Route::kExperiment:
      return ShowExperiment(state, parameter, now_ms, response);
    case Route::kReport:
      return MakeReport(state, parameter, request, response);
    case Route::kUnit:
      return ShowUnit(state, parameter, request, now_ms, response);
    case Route::kStop:
      return StopOrResume(state, core::ControlKind::kStop, parameter, request, caller, now_ms,
                          response);
    case Route::kResume:
      return StopOrResume(state, core::ControlKind::kResume, parameter, request, caller, now_ms,
                          response);
    case Route::kReload:
      return ReloadRoute(state, request, caller, now_ms, response);
    case Route::kImport:
      return ImportBatch(state, request, now_ms, response);
    case Route::kExport:
      return ExportData(state, request, response);
    case Route::kHistory:
      return ShowHistory(state, request, response);
    case Route::kAudit:
      return ShowAudit(state, request, response);
    case Route::kClock:
      return ServeClock(state, request, response);
    case Route::kHealth:
      response->body = "{\"status\":\"ok\"}\n";
      return;
    case Route::kReady:
      return ShowReady(state, response);
    case Route::kMetrics:
      return ShowMetrics(state, response);
    case Route::kOpenApi:
      response->body = OpenApiJson();
      return;
    case Route::kConsole:
      response->content_type = "text/html; charset=utf-8";
      response->Set("Cache-Control", "no-cache");
      response->body = ConsolePage();
      return;
    default:
      return ReplyError(404, "NOT_FOUND",
                        "There is nothing at this path; /openapi.json lists what there is.",
                        response);
  }
}

void Serve(AppState& state, const RouteMatch& match, const Request& request, Response* response) {
  const RouteInfo& info = InfoOf(match.route);
  if (info.cors) AddCors(response);
  if (request.method == "OPTIONS" && info.cors) return Preflight(info, response);
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  const uint8_t method = is_get ? kGet : request.method == "POST" ? kPost : 0;
  if (match.route != Route::kNone && (info.methods & method) == 0) {
    const char* allow = info.methods == kGet ? "GET" : info.methods == kPost ? "POST" : "GET, POST";
    ReplyError(405, "METHOD_NOT_ALLOWED", std::string("This path takes ") + allow + " only.",
               response);
    response->Set("Allow", allow);
    return;
  }
  Caller caller;
  if (!Authorize(state, info, request, &caller, response)) return;
  if (request.body_too_large || request.body.size() > state.options.limits.max_body_bytes) {
    return ReplyError(413, "TOO_LARGE",
                      "The body is larger than " +
                          std::to_string(state.options.limits.max_body_bytes) + " bytes.",
                      response);
  }
  int64_t now_ms = 0;
  if (!ReadNow(state, request, &now_ms, response)) return;

  std::string decoded;
  std::string_view parameter = match.parameter;
  if (parameter.find('%') != std::string_view::npos) {
    if (!PercentDecode(parameter, false, &decoded) || !IsValidUtf8(decoded)) {
      return ReplyError(400, "PARSE_ERROR", "The path has a broken %-escape.", response);
    }
    parameter = decoded;
  }
  if (DispatchEvaluation(state, match.route, parameter, request, caller, now_ms, response)) return;
  if (DispatchIngest(state, match.route, request, now_ms, response)) return;
  DispatchRest(state, match.route, parameter, request, caller, now_ms, response);
}

}  // namespace

void AppState::Log(std::string_view line) const {
  if (options.log) return options.log(line);
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

App::App(std::unique_ptr<AppState> state) : state_(std::move(state)) {}
App::~App() = default;

absl::StatusOr<std::unique_ptr<App>> App::Make(AppOptions options) {
  auto state = std::make_unique<AppState>(std::move(options));
  if (!state->options.keys_file.empty()) {
    FULCRUM_ASSIGN_OR_RETURN(state->keys, KeyRing::Load(state->options.keys_file));
  }
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<store::StickyAssignment> given,
                           state->options.store->ReadSticky());
  state->sticky.Load(given);
  auto app = std::unique_ptr<App>(new App(std::move(state)));
  FULCRUM_RETURN_IF_ERROR(app->Reload());
  return app;
}

void App::Handle(const Request& request, Response* response) {
  const int64_t begin_us = SteadyUs();
  response->Clear();
  const RouteMatch match = MatchRoute(request.path);
  try {
    Serve(*state_, match, request, response);
  } catch (const std::exception& e) {
    state_->Log("internal error at " + std::string(request.path) + ": " + e.what());
    response->Clear();
    ReplyError(500, "GENERAL", "The server failed at this request; its log says where.", response);
  }
  state_->metrics.CountRequest(match.route, response->status, SteadyUs() - begin_us);
}

absl::Status App::Reload() {
  ReloadBy by;
  by.allow_unsafe = state_->options.allow_unsafe_edits;
  if (by.allow_unsafe) by.reason = "allowed by --allow-unsafe-edits";
  return ReloadProject(*state_, by, state_->options.clock->NowMs());
}

void App::BeginDrain() {
  {
    MutexLock lock(&state_->mutex);
    state_->draining = true;
  }
  state_->changed.SignalAll();
}

std::shared_ptr<const core::Snapshot> App::snapshot() const {
  return state_->published()->snapshot;
}

int App::WaitingConnections() const { return state_->long_polls.used(); }
void App::Log(std::string_view line) const { state_->Log(line); }
bool App::has_keys() const { return state_->keys != nullptr; }
void App::CountRefusedConnection() { state_->metrics.CountRefusedConnection(); }
void App::SetConnections(int64_t open) { state_->metrics.SetConnections(open); }

}  // namespace fulcrum::server
