// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate_http.h"

#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <queue>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/time.h"
#include "cli/simulate_body.h"
#include "sim/life.h"

namespace fulcrum::cli {
namespace {

constexpr int kMaxAttempts = 20;

// One connection with the calls that a client makes. Used by one thread at a time.
class Connection {
 public:
  Connection(const std::string& url, const std::string& key) : client_(url) {
    client_.set_keep_alive(true);
    client_.set_tcp_nodelay(true);
    client_.set_connection_timeout(10);
    client_.set_read_timeout(60);
    if (!key.empty()) client_.set_bearer_token_auth(key);
  }

  absl::StatusOr<std::string> Post(const std::string& path, const std::string& body) {
    for (int attempt = 1;; ++attempt) {
      const httplib::Result result = client_.Post(path, body, "application/json");
      if (result && result->status == 200) return result->body;
      // A kept-alive connection may have been closed; a batch id makes sending again harmless.
      const bool again = !result || result->status == 429 || result->status == 503;
      if (!again || attempt == kMaxAttempts) {
        if (!result) {
          return Unavailable(
              absl::StrCat(path, " was not answered (", httplib::to_string(result.error()), ")"));
        }
        return Internal(absl::StrCat(path, " answered ", result->status, ": ", result->body));
      }
      ++retries;
      int seconds = 0;
      if (result && absl::SimpleAtoi(result->get_header_value("Retry-After"), &seconds)) {
        std::this_thread::sleep_for(std::chrono::seconds(std::clamp(seconds, 0, 10)));
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(20 * attempt));
      }
    }
  }

  absl::StatusOr<nlohmann::json> GetJson(const std::string& path) {
    const httplib::Result result = client_.Get(path);
    if (!result) {
      return Unavailable(absl::StrCat("no server answers ", path, " (",
                                      httplib::to_string(result.error()),
                                      "); start one with 'fulcrum serve'"));
    }
    nlohmann::json body = nlohmann::json::parse(result->body, nullptr, false);
    if (result->status != 200 || !body.is_object()) {
      return Internal(absl::StrCat(path, " answered ", result->status, ": ", result->body));
    }
    return body;
  }

  int64_t retries = 0;

 private:
  httplib::Client client_;
};

struct LaterFirst {
  bool operator()(const sim::Record& a, const sim::Record& b) const {
    return a.received_ms > b.received_ms;
  }
};

bool SameVariants(std::span<const sim::Assignment> a, std::span<const sim::Assignment> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.variant == y.variant; });
}

// Owns one worker's connection and what it produced in the slice.
struct Worker {
  Worker(const std::string& url, const std::string& key) : connection(url, key) {}
  Connection connection;
  std::vector<sim::Record> records;
  int64_t evaluations = 0;
  int64_t disagreements = 0;
  absl::Status status;
};

class Traffic {
 public:
  Traffic(const sim::World& world, const sim::AssignFn& expected, const TrafficOptions& options)
      : world_(world), expected_(expected), options_(options) {
    for (int i = 0; i < std::max(1, options.clients); ++i) {
      workers_.push_back(std::make_unique<Worker>(options.url, options.key));
    }
    lives_.reserve(static_cast<size_t>(world.options().users));
    for (uint32_t user = 0; user < world.options().users; ++user) {
      lives_.emplace_back(world, user);
      turns_.emplace(lives_.back().next_visit_ms(), user);
    }
  }

  absl::StatusOr<TrafficStats> Run() {
    FULCRUM_RETURN_IF_ERROR(ReadClock());
    const int64_t begin_ms = world_.begin_ms();
    const int64_t end_ms = world_.end_ms();
    for (int64_t slice_ms = begin_ms; slice_ms < end_ms; slice_ms += options_.slice_ms) {
      const int64_t slice_end_ms = std::min(end_ms, slice_ms + options_.slice_ms);
      FULCRUM_RETURN_IF_ERROR(LiveSlice(slice_end_ms));
      FULCRUM_RETURN_IF_ERROR(SetClock(slice_end_ms));
      FULCRUM_RETURN_IF_ERROR(SendSlice(slice_end_ms));
      if (options_.progress) {
        options_.progress(static_cast<double>(slice_end_ms - begin_ms) /
                          static_cast<double>(end_ms - begin_ms));
      }
    }
    for (const auto& worker : workers_) {
      stats_.evaluations += worker->evaluations;
      stats_.disagreements += worker->disagreements;
      stats_.retries += worker->connection.retries;
    }
    return stats_;
  }

 private:
  // Runs task(worker, index) for every index below `count`, on all workers; the first error.
  template <typename Task>
  absl::Status Everywhere(size_t count, const Task& task) {
    std::atomic<size_t> next{0};
    const auto work = [&](Worker& worker) {
      for (size_t i = next++; i < count && worker.status.ok(); i = next++) task(worker, i);
    };
    std::vector<std::thread> threads;
    const size_t helpers = count > 1 ? std::min(workers_.size(), count) : 1;
    for (size_t i = 1; i < helpers; ++i) threads.emplace_back(work, std::ref(*workers_[i]));
    work(*workers_[0]);
    for (std::thread& thread : threads) thread.join();
    for (const auto& worker : workers_) FULCRUM_RETURN_IF_ERROR(worker->status);
    return absl::OkStatus();
  }

  absl::Status ReadClock() {
    FULCRUM_ASSIGN_OR_RETURN(const nlohmann::json clock,
                             workers_[0]->connection.GetJson("/v1/clock"));
    if (!clock.value("simulated", false)) {
      return FailedPrecondition(
          "the server's clock is the machine's; start it with --simulated-clock and an instant at "
          "or before the first experiment, so that simulated weeks can pass");
    }
    clock_ms_ = clock.value("now_ms", int64_t{0});
    if (clock_ms_ > world_.options().start_ms) {
      return FailedPrecondition(absl::StrCat(
          "the server's clock is at ", FormatRfc3339(clock_ms_), ", past the world's start ",
          FormatRfc3339(world_.options().start_ms), "; start a server on an empty data directory"));
    }
    return absl::OkStatus();
  }

  absl::Status SetClock(int64_t now_ms) {
    if (now_ms <= clock_ms_) return absl::OkStatus();
    clock_ms_ = now_ms;
    return workers_[0]
        ->connection.Post("/v1/clock", absl::StrCat("{\"now\":", now_ms, "}"))
        .status();
  }

  // Every visit that begins before `until_ms`, each user's in order.
  absl::Status LiveSlice(int64_t until_ms) {
    std::vector<uint32_t> users;
    while (!turns_.empty() && turns_.top().first < until_ms) {
      users.push_back(turns_.top().second);
      turns_.pop();
    }
    // A few users per task, so that an answer of the server is rarely waited for by all.
    constexpr size_t kUsers = 8;
    const auto task = [&](Worker& worker, size_t index) {
      const size_t end = std::min(users.size(), (index + 1) * kUsers);
      for (size_t i = index * kUsers; i < end; ++i) LiveUser(users[i], until_ms, worker);
    };
    FULCRUM_RETURN_IF_ERROR(Everywhere((users.size() + kUsers - 1) / kUsers, task));
    for (const uint32_t user : users) {
      if (lives_[user].next_visit_ms() < world_.end_ms()) {
        turns_.emplace(lives_[user].next_visit_ms(), user);
      }
    }
    for (const auto& worker : workers_) {
      for (const sim::Record& record : worker->records) Keep(record);
      worker->records.clear();
    }
    return absl::OkStatus();
  }

  void LiveUser(uint32_t user, int64_t until_ms, Worker& worker) {
    const sim::AssignFn assign = [&](const sim::Visitor& visitor,
                                     std::span<sim::Assignment> assignments) {
      if (!worker.status.ok()) return;
      const auto answer =
          worker.connection.Post("/ofrep/v1/evaluate/flags", EvaluateBody(world_, visitor));
      worker.status = answer.ok() ? ReadEvaluation(world_, *answer, assignments) : answer.status();
      ++worker.evaluations;
      std::vector<sim::Assignment> expected(assignments.size());
      expected_(visitor, expected);
      if (!SameVariants(assignments, expected)) ++worker.disagreements;
    };
    while (lives_[user].next_visit_ms() < until_ms && worker.status.ok()) {
      lives_[user].RunVisit(assign, &worker.records);
    }
  }

  // Clients know what they showed even where the exposure never got through.
  void Keep(const sim::Record& record) {
    if (record.kind == sim::RecordKind::kExposure && !record.copy) {
      auto found = std::find_if(counts_.begin(), counts_.end(), [&](const ClientCounts& counts) {
        return counts.experiment == record.experiment && counts.variant == record.variant;
      });
      if (found == counts_.end()) {
        counts_.push_back({record.experiment, record.variant, 0, 0});
        found = counts_.end() - 1;
      }
      ++found->shown;
      if (!record.lost) ++found->sent;
    }
    if (!record.lost) pending_.push(record);
  }

  // Whatever reaches the collector before `until_ms`.
  absl::Status SendSlice(int64_t until_ms) {
    std::vector<sim::Record> by_kind[3];
    while (!pending_.empty() && pending_.top().received_ms < until_ms) {
      by_kind[static_cast<size_t>(pending_.top().kind)].push_back(pending_.top());
      pending_.pop();
    }
    struct Task {
      sim::RecordKind kind;
      std::span<const sim::Record> records;
      bool with_counts;
    };
    std::vector<Task> tasks;
    const auto items = static_cast<size_t>(std::max(1, options_.batch_items));
    for (size_t kind = 0; kind < 3; ++kind) {
      const std::vector<sim::Record>& records = by_kind[kind];
      for (size_t from = 0; from < records.size(); from += items) {
        const size_t size = std::min(items, records.size() - from);
        tasks.push_back({static_cast<sim::RecordKind>(kind), std::span(records).subspan(from, size),
                         kind == 0 && from == 0});
      }
    }
    stats_.exposures += static_cast<int64_t>(by_kind[0].size());
    stats_.events += static_cast<int64_t>(by_kind[1].size());
    stats_.links += static_cast<int64_t>(by_kind[2].size());
    const int64_t first_batch = stats_.batches;
    stats_.batches += static_cast<int64_t>(tasks.size());
    const auto send = [&](Worker& worker, size_t index) {
      const Task& task = tasks[index];
      const std::string id = absl::StrCat("sim-", world_.options().seed, "-",
                                          first_batch + static_cast<int64_t>(index));
      absl::StatusOr<std::string> answer;
      if (task.kind == sim::RecordKind::kExposure) {
        const std::span<const ClientCounts> counts = task.with_counts
                                                         ? std::span<const ClientCounts>(counts_)
                                                         : std::span<const ClientCounts>();
        answer = worker.connection.Post("/v1/exposures",
                                        ExposuresBody(world_, id, task.records, counts));
      } else if (task.kind == sim::RecordKind::kEvent) {
        answer = worker.connection.Post("/v1/events", EventsBody(world_, id, task.records));
      } else {
        answer = worker.connection.Post("/v1/links", LinksBody(world_, id, task.records));
      }
      worker.status = answer.ok() ? CheckAccepted(*answer) : answer.status();
    };
    const bool counted = !by_kind[0].empty();
    FULCRUM_RETURN_IF_ERROR(Everywhere(tasks.size(), send));
    if (counted) counts_.clear();
    return absl::OkStatus();
  }

  const sim::World& world_;
  const sim::AssignFn& expected_;
  const TrafficOptions& options_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<sim::Life> lives_;
  using Turn = std::pair<int64_t, uint32_t>;
  std::priority_queue<Turn, std::vector<Turn>, std::greater<Turn>> turns_;
  std::priority_queue<sim::Record, std::vector<sim::Record>, LaterFirst> pending_;
  std::vector<ClientCounts> counts_;
  TrafficStats stats_;
  int64_t clock_ms_ = 0;
};

}  // namespace

absl::StatusOr<TrafficStats> SendTraffic(const sim::World& world, const sim::AssignFn& expected,
                                         const TrafficOptions& options) {
  if (options.slice_ms <= 0) return InvalidArgument("a slice of the clock must be above 0 ms");
  return Traffic(world, expected, options).Run();
}

}  // namespace fulcrum::cli
