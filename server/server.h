// SPDX-License-Identifier: Apache-2.0
//
// Start here to run the service: store, app, directory watcher and listener put together.
//
//   server::ServerOptions options;
//   options.project_dir = "examples/shop";
//   options.data_dir = "data";
//   absl::StatusOr<std::unique_ptr<server::Server>> server = server::StartServer(options);
//   if (!server.ok()) return Fail(server.status());  // One sentence.
//   ...                                              // Wait for SIGTERM.
//   (*server)->Stop();
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/app.h"

namespace fulcrum::server {

struct ServerOptions {
  std::string project_dir;
  std::string data_dir;
  std::string duckdb_path;                  // "" = inside data_dir.
  int64_t report_memory_bytes = 4LL << 30;  // Of one report; the rest is done in passes.
  int64_t report_kept_bytes = 1LL << 30;    // Of units' state, so that the next report is quick.
  std::string host = "127.0.0.1";
  int port = 8080;                  // 0 = any free one; see Server::port().
  std::string keys_file;            // "" = no keys; then `host` must be a loopback address.
  bool watch = true;                // Reload when the project directory changes.
  bool allow_unsafe_edits = false;  // See AppOptions.
  // The clock stands still until POST /v1/clock (or a Fulcrum-Now header) moves it.
  bool simulated_clock = false;
  int64_t simulated_start_ms = 0;

  int max_connections = 1024;  // Threads: one for each open connection. Further ones get 503.
  int max_streams = 64;        // Event streams and long polls, beside the connections above.
  int idle_timeout_s = 75;     // A keep-alive connection without a request is closed.
  int request_timeout_s = 10;  // A request that does not arrive whole in this time is cut off.
  int drain_timeout_s = 10;    // Stop() waits this long for requests under way.
  Limits limits;

  std::unique_ptr<store::Store> store;        // Instead of opening data_dir (tests, other stores).
  std::function<void(std::string_view)> log;  // One line a call, any thread. Empty = stderr.
};

// Thread-safe. Owns the store and every thread it starts.
class Server {
 public:
  virtual ~Server() = default;  // Stops.
  virtual int port() const = 0;
  virtual std::string url() const = 0;  // "http://127.0.0.1:8080"
  virtual App& app() = 0;
  virtual store::Store& store() = 0;
  // Stops accepting, lets requests under way finish, closes the store. Idempotent.
  virtual void Stop() = 0;
};

// InvalidArgument: the project, the key file or the options are wrong (the user's input).
// Anything else: the environment (port in use, data directory held by another server, …).
absl::StatusOr<std::unique_ptr<Server>> StartServer(ServerOptions options);

}  // namespace fulcrum::server
