// SPDX-License-Identifier: Apache-2.0
//
// OpenFeature Remote Evaluation Protocol 0.3.0, and the same question for people with curl.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/decide.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/published.h"
#include "server/sticky.h"
#include "store/store.h"

namespace fulcrum::server {

struct EvaluationContext {
  const Published& published;
  StickyTable& sticky;
  store::Store& store;
  Metrics& metrics;
  int64_t now_ms = 0;
};

// POST /ofrep/v1/evaluate/flags/{key}.
void EvaluateFlag(const EvaluationContext& evaluation, std::string_view key, std::string_view body,
                  Response* response);

// POST /ofrep/v1/evaluate/flags. The ETag hashes the body, because a client keeps its ETag when
// its attributes change. `stream_uri` of the targeting key: where refetch events are sent, "" = not
// advertised.
void EvaluateAllFlags(const EvaluationContext& evaluation, std::string_view body,
                      std::string_view if_none_match,
                      const std::function<std::string(std::string_view)>& stream_uri,
                      Response* response);

// [{"experiment", "rule", "passed", "detail", "depth"}…]
void AppendRules(const core::Trace& trace, std::string* out);

// GET /v1/variant/{experiment}?unit=…&attribute=…[&explain=1].
void EvaluateVariant(const EvaluationContext& evaluation, std::string_view experiment,
                     std::string_view query, Response* response);

}  // namespace fulcrum::server
