// SPDX-License-Identifier: Apache-2.0
//
// For the tests of server/: a project in a directory of its own, a store in memory, and an App over
// both with a clock that is set by hand.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "server/app.h"
#include "store/store.h"

namespace fulcrum::server {

inline constexpr int64_t kTestNowMs = 1772600000000;  // 2026-03-04T04:53:20Z.

// A directory that goes away with the object.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  std::string path() const { return path_.string(); }
  void Write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

// Experiments: checkout (user, 50/50, searchers and organic), price (user, float values, everyone),
// banner (device), later (starts in 2030).
void WriteTestProject(const TempDirectory& directory);

// What Append was given, read back into plain values.
struct KeptEvent {
  std::string name, event_id, order_id, session_id, currency;
  int64_t ts_ms = 0;
  std::vector<std::pair<std::string, std::string>> ids;
  double value = 0;
  bool has_value = false;
  std::map<std::string, std::string> properties;
};
struct KeptExposure {
  std::string experiment, variant, kind, id, exposure_id, snapshot;
  int64_t ts_ms = 0;
  int phase = 0;
  double propensity = 0;
  std::map<std::string, std::string> attributes;
};
struct KeptLink {
  std::string anonymous_kind, anonymous, known_kind, known;
};

// Thread-safe.
class FakeStore : public store::Store {
 public:
  absl::StatusOr<store::AppendResult> Append(const store::AppendRequest& request) override;
  absl::StatusOr<int64_t> AppendControl(const core::ControlRecord& record) override;
  absl::StatusOr<std::vector<core::ControlRecord>> ReadControls() override;
  absl::Status PutSticky(std::string_view experiment, std::string_view unit,
                         std::string_view variant, int32_t phase) override;
  absl::StatusOr<std::vector<store::StickyAssignment>> ReadSticky() override;
  absl::Status PutDefinition(const store::DefinitionRecord& record) override;
  absl::StatusOr<std::vector<store::DefinitionRecord>> ReadDefinitions() override;
  absl::StatusOr<int64_t> Freeze(int64_t now_ms) override { return now_ms; }
  absl::StatusOr<store::PlanResult> Run(const store::Plan& plan) override;
  absl::StatusOr<std::vector<store::UnitSighting>> Unit(std::string_view kind,
                                                        std::string_view id) override;
  absl::Status PutResults(const std::vector<ResultRow>& rows) override;
  absl::Status Export(const std::string&, const std::string&) override;
  absl::Status Flush() override { return absl::OkStatus(); }
  store::StoreStats stats() const override { return {}; }

  std::vector<KeptEvent> events() const;
  std::vector<KeptExposure> exposures() const;
  std::vector<KeptLink> links() const;
  int client_counts() const;
  store::Plan last_plan() const;  // Of the last Run.
  // The next Appends fail with it.
  void FailWith(absl::Status status);

 private:
  mutable Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  int64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, std::pair<uint64_t, int64_t>> batches_ ABSL_GUARDED_BY(mutex_);
  std::vector<core::ControlRecord> controls_ ABSL_GUARDED_BY(mutex_);
  std::vector<KeptEvent> events_ ABSL_GUARDED_BY(mutex_);
  std::vector<KeptExposure> exposures_ ABSL_GUARDED_BY(mutex_);
  std::vector<KeptLink> links_ ABSL_GUARDED_BY(mutex_);
  std::vector<store::StickyAssignment> sticky_ ABSL_GUARDED_BY(mutex_);
  std::vector<store::DefinitionRecord> definitions_ ABSL_GUARDED_BY(mutex_);
  int client_counts_ ABSL_GUARDED_BY(mutex_) = 0;
  store::Plan plan_ ABSL_GUARDED_BY(mutex_);
};

// An App over a TempDirectory and a FakeStore.
struct TestApp {
  explicit TestApp(const std::string& keys_json = "", Limits limits = {});

  // A request by hand: "name: value" headers.
  Response Send(std::string_view method, std::string_view target, std::string_view body = "",
                const std::vector<std::pair<std::string, std::string>>& headers = {});
  Response Get(std::string_view target) { return Send("GET", target); }
  Response Post(std::string_view target, std::string_view body) {
    return Send("POST", target, body, {{"Content-Type", "application/json"}});
  }
  std::vector<std::string> log_lines() const;

  TempDirectory directory;
  FakeStore store;
  SimulatedClock clock{kTestNowMs};
  std::unique_ptr<App> app;

 private:
  mutable Mutex mutex_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fulcrum::server
