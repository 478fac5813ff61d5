// SPDX-License-Identifier: Apache-2.0
//
// What the handlers share. Internal to server/.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "server/app.h"
#include "server/keys.h"
#include "server/metrics.h"
#include "server/published.h"
#include "server/sticky.h"

namespace fulcrum::server {

// At most `limit` at once in a part of the program. Thread-safe.
class Slots {
 public:
  explicit Slots(int limit) : limit_(limit) {}
  bool TryTake() {
    int used = used_.load(std::memory_order_relaxed);
    while (used < limit_) {
      if (used_.compare_exchange_weak(used, used + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }
  void Give() { used_.fetch_sub(1, std::memory_order_release); }
  int used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const int limit_;
  std::atomic<int> used_{0};
};

// Who has an event stream open, by a tag of the targeting key. Thread-safe.
class StreamHolders {
 public:
  void Add(const std::string& holder);
  void Remove(const std::string& holder);
  bool Has(const std::string& holder) const;

 private:
  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, int> open_ ABSL_GUARDED_BY(mutex_);
};

// Thread-safe.
struct AppState {
  explicit AppState(AppOptions app_options)
      : options(std::move(app_options)),
        long_polls(options.limits.max_long_polls),
        reports_waiting(options.limits.max_reports + options.limits.max_waiting_reports) {}

  AppOptions options;
  std::unique_ptr<KeyRing> keys;  // nullptr = no key file.
  Metrics metrics;
  StickyTable sticky;

  std::shared_ptr<const Published> published() const {
    MutexLock lock(&mutex);
    return current;
  }
  // Replaces what is served and wakes whoever waits for news.
  void Serve(std::shared_ptr<const Published> next);
  // Blocks until something other than `etag` is served, the time is over or draining begins.
  std::shared_ptr<const Published> WaitForOther(std::string_view etag, int64_t wait_ms);
  void Log(std::string_view line) const;

  mutable Mutex mutex;
  mutable CondVar changed;
  std::shared_ptr<const Published> current ABSL_GUARDED_BY(mutex);
  bool draining ABSL_GUARDED_BY(mutex) = false;

  // Held while definitions or controls change, so that each change builds on the one before.
  Mutex change_mutex;
  std::vector<std::string> kept_files
      ABSL_GUARDED_BY(change_mutex);  // Of the project, in the store.
  bool kept_files_known ABSL_GUARDED_BY(change_mutex) = false;
  // The latest instant that a report stood for: changes are later.
  std::atomic<int64_t> last_report_ms{0};
  std::atomic<bool> last_reload_ok{true};

  Slots long_polls;
  StreamHolders streams;
  Slots reports_waiting;
  Slots exports{1};
  Mutex report_mutex;
  CondVar report_done;
  int reports_running ABSL_GUARDED_BY(report_mutex) = 0;
};

// Handlers of the routes that look at or change the state; see app.cc for who calls them.
struct Caller {
  std::string_view name;        // Of the key, or "local" without keys; for the audit.
  std::string_view public_key;  // Where the key is a client's, which may stand in an address.
};

// Where this caller may be told of changes: "" where no more can be waited for (unless the
// targeting key holds a stream already), or where the key is not one that may stand in an address.
std::string StreamUri(AppState& state, const Caller& caller, std::string_view targeting_key);
void OpenStream(AppState& state, const Request& request, Response* response);
void ServeSnapshot(AppState& state, const Request& request, Response* response);
void ListExperiments(AppState& state, int64_t now_ms, Response* response);
void ShowExperiment(AppState& state, std::string_view key, int64_t now_ms, Response* response);
void MakeReport(AppState& state, std::string_view key, const Request& request, Response* response);
void ShowUnit(AppState& state, std::string_view unit, const Request& request, int64_t now_ms,
              Response* response);
void ImportBatch(AppState& state, const Request& request, int64_t now_ms, Response* response);
void ExportData(AppState& state, const Request& request, Response* response);
void ShowHistory(AppState& state, const Request& request, Response* response);

// One of the few places for slow work; waits for one. False: too many wait already, the reply is
// made. Give it back with LeaveReports.
bool EnterReports(AppState& state, Response* response);
void LeaveReports(AppState& state);
void ShowMetrics(AppState& state, Response* response);

void StopOrResume(AppState& state, core::ControlKind kind, std::string_view key,
                  const Request& request, const Caller& caller, int64_t now_ms, Response* response);
void ShowAudit(AppState& state, const Request& request, Response* response);
void ServeClock(AppState& state, const Request& request, Response* response);

// Who reads the directory again, and whether an edit that is unsafe while experiments run may go
// through; `reason` is for the audit.
struct ReloadBy {
  bool allow_unsafe = false;
  std::string actor = "reload";
  std::string reason;
};
// InvalidArgument: the directory has errors. FailedPrecondition: it has unsafe edits. Each message
// has a line for every one. At a start after which unsafe edits lie in the directory, what was
// served last is served.
absl::Status ReloadProject(AppState& state, const ReloadBy& by, int64_t now_ms);
void ReloadRoute(AppState& state, const Request& request, const Caller& caller, int64_t now_ms,
                 Response* response);

// The bytes of docs/openapi.yaml as JSON, put into the program when it is built.
std::string_view OpenApiJson();

}  // namespace fulcrum::server
