// SPDX-License-Identifier: Apache-2.0
//
// OpenFeature Remote Evaluation Protocol 0.3.0, and the same question for people with curl.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/http.h"
#include "server/metrics.h"
#include "server/published.h"

namespace fulcrum::server {

// POST /ofrep/v1/evaluate/flags/{key}.
void EvaluateFlag(const Published& published, std::string_view key, std::string_view body,
                  int64_t now_ms, Metrics* metrics, Response* response);

// POST /ofrep/v1/evaluate/flags. The ETag hashes the body, because a client keeps its ETag when
// its attributes change. `stream_uri`: where refetch events are sent, "" = not advertised.
void EvaluateAllFlags(const Published& published, std::string_view body,
                      std::string_view if_none_match, std::string_view stream_uri, int64_t now_ms,
                      Metrics* metrics, Response* response);

// GET /v1/variant/{experiment}?unit=…&attribute=…[&explain=1].
void EvaluateVariant(const Published& published, std::string_view experiment,
                     std::string_view query, int64_t now_ms, Metrics* metrics, Response* response);

}  // namespace fulcrum::server
