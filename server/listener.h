// SPDX-License-Identifier: Apache-2.0
//
// Carries App::Handle over TCP with cpp-httplib. One thread for each admitted connection, started
// on demand; a connection beyond the limit is answered 503 with Retry-After at once, never queued.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/app.h"

namespace fulcrum::server {

struct ListenerOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0 = any free one.
  int max_connections = 1024;
  int idle_timeout_s = 75;
  int request_timeout_s = 10;
  int drain_timeout_s = 10;
  size_t max_body_bytes = 16 << 20;
};

// Thread-safe.
class Listener {
 public:
  virtual ~Listener() = default;  // Stops.
  virtual int port() const = 0;
  // Refuses new connections, lets requests under way finish within the drain time. Idempotent.
  virtual void Stop() = 0;
};

// Unavailable: the address cannot be listened on; the message says which and why.
absl::StatusOr<std::unique_ptr<Listener>> StartListener(App* app, const ListenerOptions& options);

}  // namespace fulcrum::server
