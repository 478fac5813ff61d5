// SPDX-License-Identifier: Apache-2.0
//
// Drives a running server with a simulated shop over real HTTP: every visit evaluates by OFREP,
// every variant shown is an exposure, everything done is an event, and the server's simulated clock
// moves with the world's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "sim/decide.h"
#include "sim/world.h"

namespace fulcrum::cli {

struct TrafficOptions {
  std::string url;
  std::string key;                 // Bearer token with client and admin scopes; "" = none.
  int clients = 4;                 // Connections, each with a thread.
  int64_t slice_ms = 3600 * 1000;  // The clock moves in steps of this.
  int batch_items = 1000;
  // Told after each slice, from the calling thread: the share done in [0, 1]. May be empty.
  std::function<void(double done)> progress;
};

struct TrafficStats {
  int64_t evaluations = 0;
  int64_t exposures = 0;
  int64_t events = 0;
  int64_t links = 0;
  int64_t batches = 0;
  int64_t retries = 0;  // After 429 or 503.
  // Evaluations in which the server's answer differed from `expected`: an experiment was stopped or
  // changed by hand while the traffic ran, so its true effects are not those of the definitions.
  int64_t disagreements = 0;
};

// Sends the whole world. `expected` is asked beside the server and only compared.
// FailedPrecondition: the server's clock is not simulated, or is past the world's start.
// Unavailable: nobody answers. Internal: the server refused an item, with its reason.
absl::StatusOr<TrafficStats> SendTraffic(const sim::World& world, const sim::AssignFn& expected,
                                         const TrafficOptions& options);

}  // namespace fulcrum::cli
