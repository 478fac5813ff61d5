// SPDX-License-Identifier: Apache-2.0
//
// The whole HTTP API as one function from a Request to a Response (http.h). The routes, their
// shapes and their errors are docs/openapi.yaml; docs/http.md tells them to people.
//
//   absl::StatusOr<std::unique_ptr<App>> app = App::Make(options);
//   Response response;
//   (*app)->Handle({.method = "GET", .path = "/healthz"}, &response);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/snapshot.h"
#include "server/clock.h"
#include "server/http.h"
#include "store/store.h"

namespace fulcrum::server {

struct Limits {
  size_t max_body_bytes = 16 << 20;
  int max_batch_items = 50'000;
  int64_t max_future_ms = 24 * 3600 * 1000LL;  // An item's ts may be this far ahead of the clock.
  int max_long_polls = 64;                     // Further ones are answered at once.
  int max_wait_s = 60;                         // ?wait= is cut to this.
  int max_reports = 2;                         // Computed at once; further ones wait, then 503.
  int max_waiting_reports = 8;
};

struct AppOptions {
  std::string project_dir;
  store::Store* store = nullptr;  // Not owned; outlives the App.
  Clock* clock = nullptr;         // Not owned; outlives the App.
  // JSON: {"keys": [{"name", "key", "scopes": ["client" | "server" | "read" | "admin"],
  // "requests_per_second"?}]}. "" = no keys: everyone may do everything, so loopback only.
  std::string keys_file;
  // Where exports are written, a directory each, below the data directory; "" = none are made.
  std::string data_dir;
  // Edits that are unsafe while an experiment runs are served all the same; audited.
  bool allow_unsafe_edits = false;
  Limits limits;
  // One line without a newline; called from any thread. Empty = stderr.
  std::function<void(std::string_view)> log;
};

struct AppState;

// Thread-safe: Handle may be called from any number of threads.
class App {
 public:
  // InvalidArgument: the project does not load (every error, one a line, as file:line:col: error).
  // Other codes: the store or the key file cannot be read.
  static absl::StatusOr<std::unique_ptr<App>> Make(AppOptions options);
  ~App();

  // Never throws and always fills in a complete response. Blocks for durable writes, reports and
  // ?wait= only.
  void Handle(const Request& request, Response* response);

  // Reads the project directory again. On errors the old snapshot keeps serving and the message
  // holds every error.
  absl::Status Reload();

  // Ends long polls and event streams, and makes /readyz say no, so that listeners can drain.
  void BeginDrain();

  std::shared_ptr<const core::Snapshot> snapshot() const;
  bool has_keys() const;
  // To where the options say; one line, any thread.
  void Log(std::string_view line) const;

  // Requests that do nothing but wait (long polls, event streams): the listener admits as many more
  // connections, so that waiting takes no one's place. At most Limits::max_long_polls.
  int WaitingConnections() const;

  // Told by the listener, for /metrics.
  void CountRefusedConnection();
  void SetConnections(int64_t open);

 private:
  explicit App(std::unique_ptr<AppState> state);
  std::unique_ptr<AppState> state_;
};

}  // namespace fulcrum::server
