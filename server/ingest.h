// SPDX-License-Identifier: Apache-2.0
//
// Batches in: parse, check each item by itself, make what is good durable, answer.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/app.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/published.h"
#include "store/store.h"

namespace fulcrum::server {

struct IngestContext {
  const Published& published;
  store::Store& store;
  Metrics& metrics;
  const Limits& limits;
  int64_t now_ms = 0;
};

// POST /v1/exposures, /v1/events, /v1/links. The body is {"batch_id"?, "<list>": [...], "client"?},
// a bare array, one item, or newline-delimited items. 200 with {"accepted", "duplicates",
// "rejected": [{"index", "error"}]} once what was accepted is on disk; 400 in the same shape where
// nothing was acceptable.
void IngestNative(ItemKind kind, const IngestContext& context, const Request& request,
                  Response* response);

// The same for senders that are already there (docs/http.md): Segment and RudderStack, GrowthBook's
// plugin, CloudEvents, OpenTelemetry logs.
void IngestSegment(const IngestContext& context, const Request& request, Response* response);
void IngestTrack(const IngestContext& context, const Request& request, Response* response);
void IngestCloudEvents(const IngestContext& context, const Request& request, Response* response);
void IngestOtlpLogs(const IngestContext& context, const Request& request, Response* response);

}  // namespace fulcrum::server
