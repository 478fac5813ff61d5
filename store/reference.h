// SPDX-License-Identifier: Apache-2.0
//
// The same meaning as `Fold`, said slowly: every unit looks at every event, in plain loops over
// plain values. Nothing here is shared with the fold but the filter rules (fold_filter.h) and the
// order-statistic arithmetic (MakeQuantile). Differential tests hold every execution to it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "store/batch.h"
#include "store/plan.h"

namespace fulcrum::store {

using UnitKey = std::pair<std::string, std::string>;  // Kind, id.

struct PastExposure {
  std::string exposure_id, experiment, variant;
  UnitKey unit;
  int64_t ts_ms = 0;
  int32_t phase = 0;
  std::map<std::string, Literal> attributes;
  int64_t received_ms = 0;
};

struct PastEvent {
  std::string event_id, name;
  int64_t ts_ms = 0;
  std::vector<UnitKey> ids;
  std::string order_id, session_id;
  std::optional<double> value;
  std::string currency;
  std::map<std::string, Literal> properties;
  int64_t received_ms = 0;
};

struct PastLink {
  UnitKey anonymous, known;
  int64_t ts_ms = 0;
  int64_t received_ms = 0;
};

// Everything that arrived; each list in order of ingestion, received_ms never falling.
struct History {
  std::vector<PastExposure> exposures;
  std::vector<PastEvent> events;
  std::vector<PastLink> links;
};

struct ReferenceResult {
  PlanResult result;                            // client_* counts are not in a History.
  std::map<UnitKey, std::vector<double>> rows;  // Of analysed units, before caps.
};

// REQUIRES a plan that Fold::Compile accepts.
ReferenceResult RunReference(const History& history, const Plan& plan);

}  // namespace fulcrum::store
