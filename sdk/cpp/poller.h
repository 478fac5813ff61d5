// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "core/snapshot.h"
#include "sdk/cpp/include/fulcrum/client.h"
#include "sdk/cpp/transport.h"

namespace fulcrum::sdk {

// Asks for the snapshot, again and again. Used by one thread.
class Poller {
 public:
  struct Result {
    std::shared_ptr<const core::Snapshot> snapshot;  // a new one; nullptr: none
    std::string bytes;                               // of it
    std::string problem;                             // one sentence, "" where all is well
    bool is_refused = false;                         // the server's bytes were
    int64_t wait_ms = 0;                             // until the next request
  };
  Poller(const ClientOptions& options, const Clock* clock, uint64_t seed);

  // One request: a long poll where there is a snapshot to wait beyond.
  Result Poll(Connection* connection);

 private:
  int64_t Backoff(int retry_after_s);

  const ClientOptions& options_;
  const Clock* clock_;
  std::mt19937_64 random_;
  std::string etag_;  // of the last good one from the server
  std::string version_;
  int failures_ = 0;  // in a row
};

}  // namespace fulcrum::sdk
