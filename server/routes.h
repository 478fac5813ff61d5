// SPDX-License-Identifier: Apache-2.0
//
// The table of routes: what there is, who may use it, and which pages of other sites may.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/keys.h"

namespace fulcrum::server {

enum class Route : uint8_t {
  kOfrepFlag,
  kOfrepBulk,
  kOfrepStream,
  kVariant,
  kSnapshot,
  kExposures,
  kEvents,
  kLinks,
  kSegmentBatch,
  kTrack,
  kCloudEvents,
  kOtlpLogs,
  kExperiments,
  kExperiment,
  kReport,
  kUnit,
  kStop,
  kResume,
  kReload,
  kImport,
  kExport,
  kHistory,
  kAudit,
  kClock,
  kHealth,
  kReady,
  kMetrics,
  kOpenApi,
  kConsole,
  kNone,  // No such path.
};
inline constexpr int kRouteCount = static_cast<int>(Route::kNone) + 1;

enum Method : uint8_t { kGet = 1, kPost = 2 };

struct RouteInfo {
  Route route;
  std::string_view pattern;  // "/v1/experiments/{key}/report": the metric label too.
  uint8_t methods;           // Method bits; HEAD goes with GET.
  uint8_t scopes;            // Any of these will do; kScopeNone = no key needed.
  bool cors;                 // Pages of other sites may call it.
  bool query_key;            // A public key may come as ?key= (a closing page sends no headers).
};

const RouteInfo& InfoOf(Route route);

struct RouteMatch {
  Route route = Route::kNone;
  std::string_view parameter;  // The {part} of the pattern, still percent-encoded.
};
RouteMatch MatchRoute(std::string_view path);

}  // namespace fulcrum::server
