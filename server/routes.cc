// SPDX-License-Identifier: Apache-2.0
#include "server/routes.h"

#include <array>

namespace fulcrum::server {
namespace {

constexpr uint8_t kEvaluate = kScopeClient | kScopeServer;
constexpr uint8_t kLook = kScopeRead | kScopeAdmin;

constexpr std::array<RouteInfo, kRouteCount> kRoutes = {{
    {Route::kOfrepFlag, "/ofrep/v1/evaluate/flags/{key}", kPost, kEvaluate, true, false},
    {Route::kOfrepBulk, "/ofrep/v1/evaluate/flags", kPost, kEvaluate, true, false},
    {Route::kOfrepStream, "/ofrep/v1/stream", kGet, kEvaluate, true, true},
    {Route::kVariant, "/v1/variant/{experiment}", kGet, kEvaluate, true, false},
    {Route::kSnapshot, "/v1/snapshot", kGet, kScopeServer, true, false},
    {Route::kExposures, "/v1/exposures", kPost, kEvaluate, true, true},
    {Route::kEvents, "/v1/events", kPost, kEvaluate, true, true},
    {Route::kLinks, "/v1/links", kPost, kEvaluate, true, true},
    {Route::kSegmentBatch, "/v1/batch", kPost, kEvaluate, true, true},
    {Route::kTrack, "/track", kPost, kEvaluate, true, true},
    {Route::kCloudEvents, "/events", kPost, kEvaluate, true, true},
    {Route::kOtlpLogs, "/v1/logs", kPost, kEvaluate, true, false},
    {Route::kExperiments, "/v1/experiments", kGet, kLook, false, false},
    {Route::kExperiment, "/v1/experiments/{key}", kGet, kLook, false, false},
    {Route::kReport, "/v1/experiments/{key}/report", kGet, kLook, false, false},
    {Route::kUnit, "/v1/units/{unit}", kGet, kLook, false, false},
    {Route::kStop, "/v1/experiments/{key}/stop", kPost, kScopeAdmin, false, false},
    {Route::kResume, "/v1/experiments/{key}/resume", kPost, kScopeAdmin, false, false},
    {Route::kReload, "/v1/reload", kPost, kScopeAdmin, false, false},
    {Route::kImport, "/v1/import", kPost, kScopeAdmin, false, false},
    {Route::kExport, "/v1/export", kPost, kScopeAdmin, false, false},
    {Route::kHistory, "/v1/history", kPost, kLook, false, false},
    {Route::kAudit, "/v1/audit", kGet, kScopeAdmin, false, false},
    {Route::kClock, "/v1/clock", kGet | kPost, kScopeAdmin, false, false},
    {Route::kHealth, "/healthz", kGet, kScopeNone, false, false},
    {Route::kReady, "/readyz", kGet, kScopeNone, false, false},
    {Route::kMetrics, "/metrics", kGet, kLook, false, false},
    {Route::kOpenApi, "/openapi.json", kGet, kScopeNone, true, false},
    {Route::kConsole, "/", kGet, kScopeNone, false, false},
    {Route::kNone, "other", kGet | kPost, kScopeNone, false, false},
}};

constexpr bool InOrder() {
  for (int i = 0; i < kRouteCount; ++i) {
    if (static_cast<int>(kRoutes[static_cast<size_t>(i)].route) != i) return false;
  }
  return true;
}
static_assert(InOrder());

// Whether `path` is `pattern`, where the pattern may have one {part} that is one path segment.
bool Matches(std::string_view pattern, std::string_view path, std::string_view* parameter) {
  const size_t open = pattern.find('{');
  if (open == std::string_view::npos) return pattern == path;
  const std::string_view before = pattern.substr(0, open);
  const std::string_view after = pattern.substr(pattern.find('}') + 1);
  if (!path.starts_with(before) || !path.ends_with(after)) return false;
  if (path.size() <= before.size() + after.size()) return false;
  *parameter = path.substr(before.size(), path.size() - before.size() - after.size());
  return parameter->find('/') == std::string_view::npos;
}

}  // namespace

const RouteInfo& InfoOf(Route route) { return kRoutes[static_cast<size_t>(route)]; }

RouteMatch MatchRoute(std::string_view path) {
  // In the order of the table: the evaluation routes, asked for most, come first.
  for (const RouteInfo& info : kRoutes) {
    RouteMatch match{info.route, {}};
    if (info.route != Route::kNone && Matches(info.pattern, path, &match.parameter)) return match;
  }
  return {};
}

}  // namespace fulcrum::server
