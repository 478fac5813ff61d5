// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <utility>

#include "base/mutex.h"
#include "base/status.h"
#include "base/time.h"
#include "server/listener.h"
#include "server/watcher.h"

namespace fulcrum::server {
namespace {

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

absl::Status CheckOptions(const ServerOptions& options) {
  if (options.port < 0 || options.port > 65535) {
    return InvalidArgument("The port " + std::to_string(options.port) +
                           " is not one; choose 1 to 65535, or 0 for any free one.");
  }
  if (options.keys_file.empty() && !IsLoopback(options.host)) {
    return InvalidArgument("Without a key file everyone may do everything, so " + options.host +
                           " is not listened on: give a key file, or listen on 127.0.0.1.");
  }
  if (options.max_connections < 1) {
    return InvalidArgument("max_connections must be at least 1.");
  }
  if (options.simulated_clock &&
      (options.simulated_start_ms < kMinInstantMs || options.simulated_start_ms >= kMaxInstantMs)) {
    return InvalidArgument("A simulated clock needs a time to start at, from 2000 to 2200.");
  }
  return absl::OkStatus();
}

class ServerImpl : public Server {
 public:
  explicit ServerImpl(ServerOptions options) : options_(std::move(options)) {}
  ~ServerImpl() override { Stop(); }

  absl::Status Start() {
    FULCRUM_RETURN_IF_ERROR(CheckOptions(options_));
    if (options_.simulated_clock) {
      clock_ = std::make_unique<SimulatedClock>(options_.simulated_start_ms);
    } else {
      clock_ = std::make_unique<SystemClock>();
    }
    store_ = std::move(options_.store);
    if (store_ == nullptr) {
      store::EmbeddedOptions embedded;
      embedded.directory = options_.data_dir;
      embedded.duckdb_path = options_.duckdb_path;
      embedded.report_memory_bytes = options_.report_memory_bytes;
      embedded.report_kept_bytes = options_.report_kept_bytes;
      FULCRUM_ASSIGN_OR_RETURN(store_, store::OpenEmbedded(embedded));
    }
    AppOptions app;
    app.project_dir = options_.project_dir;
    app.store = store_.get();
    app.clock = clock_.get();
    app.keys_file = options_.keys_file;
    app.data_dir = options_.data_dir;
    app.allow_unsafe_edits = options_.allow_unsafe_edits;
    app.limits = options_.limits;
    app.limits.max_long_polls = options_.max_streams;
    app.log = options_.log;
    const uint64_t loaded = ProjectFingerprint(options_.project_dir);
    FULCRUM_ASSIGN_OR_RETURN(app_, App::Make(std::move(app)));

    ListenerOptions listener;
    listener.host = options_.host;
    listener.port = options_.port;
    listener.max_connections = options_.max_connections;
    listener.idle_timeout_s = options_.idle_timeout_s;
    listener.request_timeout_s = options_.request_timeout_s;
    listener.drain_timeout_s = options_.drain_timeout_s;
    listener.max_body_bytes = options_.limits.max_body_bytes;
    FULCRUM_ASSIGN_OR_RETURN(listener_, StartListener(app_.get(), listener));
    port_ = listener_->port();
    if (options_.watch) {
      watcher_ = std::make_unique<Watcher>(options_.project_dir, loaded, [this] {
        // What is wrong has been logged, with file, line and column; the old snapshot serves on.
        app_->Reload().IgnoreError();
      });
    }
    app_->Log("listening on " + url() +
              (app_->has_keys() ? std::string()
                                : "; no key file: this machine only, and everyone on it may do "
                                  "everything"));
    return absl::OkStatus();
  }

  int port() const override { return port_; }
  std::string url() const override {
    const bool is_v6 = options_.host.find(':') != std::string::npos;
    return "http://" + (is_v6 ? "[" + options_.host + "]" : options_.host) + ":" +
           std::to_string(port_);
  }
  App& app() override { return *app_; }
  store::Store& store() override { return *store_; }

  void Stop() override {
    MutexLock lock(&stop_mutex_);
    if (stopped_) return;
    stopped_ = true;
    watcher_.reset();
    if (app_ != nullptr) app_->BeginDrain();
    if (listener_ != nullptr) listener_->Stop();
    if (store_ == nullptr) return;
    if (const absl::Status flushed = store_->Flush(); !flushed.ok() && app_ != nullptr) {
      // Nothing is lost: it is durable in the inbox and is loaded at the next start.
      app_->Log("the last batches will be loaded at the next start: " +
                std::string(Message(flushed)));
    }
  }

 private:
  ServerOptions options_;
  // In the order of use: each is destroyed before what it uses.
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<App> app_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Watcher> watcher_;
  int port_ = 0;
  Mutex stop_mutex_;
  bool stopped_ ABSL_GUARDED_BY(stop_mutex_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> StartServer(ServerOptions options) {
  auto server = std::make_unique<ServerImpl>(std::move(options));
  FULCRUM_RETURN_IF_ERROR(server->Start());
  return server;
}

}  // namespace fulcrum::server
