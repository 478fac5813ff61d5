// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/snapshot.h"
#include "core/wire.h"
#include "sdk/cpp/transport.h"

// What the client's tests share: a server that is a function, a clock that is set, a snapshot.
namespace fulcrum::sdk {

class TempDir {
 public:
  TempDir() {
    std::string pattern = std::filesystem::temp_directory_path() / "fulcrum-client-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class FakeClock : public Clock {
 public:
  int64_t WallMs() const override { return 1'775'000'000'000 + steady_ms; }
  int64_t SteadyMs() const override { return steady_ms; }
  std::atomic<int64_t> steady_ms{1'000'000};
};

// Answers by a function; a long poll waits until Cancel or a change of the function.
class FakeServer : public Transport {
 public:
  using Answer = std::function<HttpResponse(const HttpRequest&)>;
  explicit FakeServer(Answer answer) : answer_(std::move(answer)) {}

  std::unique_ptr<Connection> Connect() override { return std::make_unique<FakeConnection>(this); }
  void Become(Answer answer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    answer_ = std::move(answer);
    ++changes_;
    changed_.notify_all();
  }
  std::mutex& mutex() { return mutex_; }  // held over a fork, as a real transport needs none
  std::vector<HttpRequest> Requests() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return requests_;
  }

 private:
  class FakeConnection : public Connection {
   public:
    explicit FakeConnection(FakeServer* server) : server_(server) {}
    HttpResponse Send(const HttpRequest& request) override {
      std::unique_lock<std::mutex> lock(server_->mutex_);
      server_->requests_.push_back(request);
      const int before = server_->changes_;
      const Answer answer = server_->answer_;
      lock.unlock();
      HttpResponse response = answer(request);
      lock.lock();
      if (response.status != 304 || request.path.find("wait=") == std::string::npos) {
        return response;
      }
      is_cancelled_ = false;
      const auto end = std::chrono::system_clock::now() + request.timeout;
      server_->changed_.wait_until(lock, end,
                                   [&] { return is_cancelled_ || server_->changes_ != before; });
      return is_cancelled_ ? HttpResponse{0, "cancelled", "", "", -1} : server_->answer_(request);
    }
    void Cancel() override {
      const std::lock_guard<std::mutex> lock(server_->mutex_);
      is_cancelled_ = true;
      server_->changed_.notify_all();
    }

   private:
    FakeServer* server_;
    bool is_cancelled_ = false;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  Answer answer_;
  std::vector<HttpRequest> requests_;
  int changes_ = 0;
};

inline HttpResponse Reply(int status, std::string body = "{}", std::string etag = "",
                          int retry_after_s = -1) {
  return {status, status == 0 ? "Connection refused" : "", std::move(body), std::move(etag),
          retry_after_s};
}

// Experiments of each type for the project's kind `user`; `page` is sticky.
inline core::SnapshotData SampleData(const std::string& version = "v1") {
  core::SnapshotData data;
  data.version = version;
  data.unit_kinds = {"user", "device"};
  data.attributes = {{"country", core::AttributeType::kString}, {"age", core::AttributeType::kInt}};
  core::ConditionData german;
  german.op = core::ConditionOp::kEq;
  german.attribute = 0;
  german.operands = {core::Operand::String("DE")};
  data.conditions.push_back(german);
  const auto add = [&data](std::string key, core::ParameterType type, std::string control,
                           std::string treatment) {
    core::ExperimentData experiment;
    experiment.key = std::move(key);
    experiment.salt = "salt-" + experiment.key;
    experiment.status = core::ExperimentStatus::kRunning;
    experiment.value_type = type;
    experiment.variants = {{"control", std::move(control), true},
                           {"treatment", std::move(treatment), false}};
    experiment.phases = {{core::kDistantPastMs, core::kPpm, {500'000, 500'000}}};
    data.experiments.push_back(std::move(experiment));
  };
  add("flag", core::ParameterType::kBool, "false", "true");
  add("count", core::ParameterType::kInt, "3", "5");
  add("price", core::ParameterType::kFloat, "1.0", "0.9");
  add("text", core::ParameterType::kString, "\"plain\"", "\"a \\\"quoted\\\" one\"");
  add("object", core::ParameterType::kObject, "{\"a\":1}", "{\"a\":2}");
  add("page", core::ParameterType::kString, "\"old\"", "\"new\"");
  data.experiments.back().is_sticky = true;
  add("german", core::ParameterType::kBool, "false", "true");
  data.experiments.back().audience = 0;
  return data;
}

inline std::shared_ptr<const core::Snapshot> Sample(const std::string& version = "v1") {
  core::BuildError error;
  std::shared_ptr<const core::Snapshot> snapshot =
      core::Snapshot::Make(SampleData(version), &error);
  if (snapshot == nullptr) std::abort();
  return snapshot;
}

}  // namespace fulcrum::sdk
