// SPDX-License-Identifier: Apache-2.0
//
// The C++ client against the real program: what it decides, how soon it knows of an edit, and that
// every item arrives once, or is counted as dropped, while the server is killed and started again.
#include <fulcrum/client.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/service/program.h"

namespace fulcrum::tests {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kProject[] = R"(project: test
title: Test shop
timezone: UTC
currency: CNY
units:
  user: {}
  device: {links_to: user}
attributes:
  channel: {type: string, values: [search, organic, social]}
  age: {type: int}
  since: {type: time}
  app: {type: version}
events:
  pay: [pay]
metrics:
  pay_rate: {title: Paid within 7 days, kind: proportion, event: pay, window: 7d}
)";

std::string Experiment(const std::string& key, const std::string& more) {
  return "experiment: " + key + "\ntitle: T\nhypothesis: H.\nowner: team\nsalt: " + key + "-1\n" +
         more + "primary: [pay_rate]\n";
}

constexpr char kTwo[] =
    "unit: user\nvariants:\n  control: {weight: 50, control: true, value: old}\n"
    "  treatment: {weight: 50, value: new}\n";

class ClientService : public testing::Test {
 protected:
  ClientService() {
    std::filesystem::create_directories(dir_ / "project/experiments");
    Write("project.yaml", kProject);
    Write("experiments/page.yaml", Experiment("page", kTwo));
    Write("experiments/price.yaml",
          Experiment("price",
                     "unit: user\naudience:\n  channel: {in: [search, organic]}\n"
                     "  age: {gte: 30}\n  app: {gte: 2.0.0}\n"
                     "variants:\n  full: {weight: 1, control: true, value: 1.0}\n"
                     "  less: {weight: 1, value: 0.9}\n  least: {weight: 1, value: 0.8}\n"));
    Write("experiments/banner.yaml", Experiment("banner",
                                                "unit: device\nvariants:\n"
                                                "  none: {weight: 1, control: true, value: false}\n"
                                                "  shown: {weight: 1, value: true}\n"));
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / ("project/" + name)) << text;
  }
  void Serve(const std::string& listen = "127.0.0.1:0") {
    server_ = std::make_unique<ServerProcess>(dir_ / "project", dir_ / "data",
                                              std::vector<std::string>{}, listen);
    ASSERT_TRUE(server_->running()) << server_->Log();
  }
  std::unique_ptr<Client> Connect(ClientOptions options = {}) {
    options.url = server_->url();
    std::string error;
    auto client = Client::Start(std::move(options), &error);
    EXPECT_NE(client, nullptr) << error;
    EXPECT_TRUE(client->WaitUntilReady(seconds(30)));
    return client;
  }
  static Context Who(int i) {
    static const char* const kChannels[] = {"search", "organic", "social"};
    return Context("u" + std::to_string(i))
        .SetUnit("device", "d" + std::to_string(i % 50))
        .Set("channel", kChannels[i % 3])
        .Set("age", 20 + i % 40)
        .Set("app", Value::Version(i % 5 == 0 ? "1.9.0" : "2.1.0"));
  }
  // Rows of an exported file, as a map from column to cell.
  std::vector<std::map<std::string, std::string>> Export(const std::string& table) {
    const Outcome exported =
        RunProgram({"export", dir_ / "data", "--out", dir_ / table, "--format", "csv"});
    EXPECT_EQ(exported.exit_code, 0) << exported.err;
    std::ifstream file(dir_ / (table + "/" + table + ".csv"));
    std::vector<std::map<std::string, std::string>> rows;
    std::vector<std::string> names;
    for (std::string line; std::getline(file, line);) {
      std::vector<std::string> cells(1);
      bool is_quoted = false;
      for (const char c : line) {
        if (c == '"') {
          is_quoted = !is_quoted;
        } else if (c == ',' && !is_quoted) {
          cells.emplace_back();
        } else {
          cells.back() += c;
        }
      }
      if (names.empty()) {
        names = cells;
        continue;
      }
      auto& row = rows.emplace_back();
      for (size_t i = 0; i < std::min(names.size(), cells.size()); ++i) row[names[i]] = cells[i];
    }
    return rows;
  }

  TempDir dir_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(ClientService, LocalAndRemoteDecideAsTheServer) {
  Serve();
  ClientOptions options;
  options.drain_timeout = milliseconds(200);  // the server is gone by then
  const auto local = Connect(options);
  options.mode = ClientOptions::Mode::kRemote;
  const auto remote = Connect(options);
  httplib::Client http(server_->url());
  int given = 0, devices = 0;
  for (int i = 0; i < 200; ++i) {
    const Context who = Who(i);
    const std::string query =
        "?unit=" + who.targeting_key + "&channel=" + who.attributes[0].value.text() +
        "&age=" + std::to_string(20 + i % 40) + "&app=" + who.attributes[2].value.text();
    const auto price = local->GetDouble("price", who, 7);
    const auto from_remote = remote->GetDouble("price", who, 7);
    const json served = json::parse(http.Get("/v1/variant/price" + query)->body);
    ASSERT_EQ(price.variant, served.value("variant", "")) << i;
    ASSERT_EQ(price.reason, served["metadata"]["detail"].get<std::string>()) << i;
    ASSERT_EQ(price.value, served.value("value", 7.0)) << i;
    ASSERT_EQ(from_remote.variant, price.variant) << i;
    ASSERT_EQ(from_remote.value, price.value) << i;
    ASSERT_EQ(from_remote.reason, price.reason) << i;
    ASSERT_EQ(from_remote.phase, price.phase) << i;
    ASSERT_EQ(from_remote.propensity, price.propensity) << i;
    ASSERT_EQ(from_remote.is_exposure, price.is_exposure) << i;
    const auto banner = local->GetBool("banner", who, false);
    const auto from_banner = remote->GetBool("banner", who, false);
    ASSERT_EQ(from_banner.variant, banner.variant) << i;
    ASSERT_EQ(from_banner.unit_id, banner.unit_id) << "an experiment of devices";
    devices += remote->LogExposure(from_banner) ? 1 : 0;
    given += price.is_exposure ? 1 : 0;
  }
  EXPECT_GT(given, 40);
  EXPECT_LT(given, 160);
  EXPECT_EQ(devices, 50) << "each once";
  EXPECT_TRUE(remote->Flush(seconds(30)));
  EXPECT_EQ(remote->stats().exposures_sent, 50) << remote->stats().last_problem;
  ASSERT_TRUE(remote->Prefetch(Who(1)));
  server_->Kill();
  EXPECT_EQ(remote->GetString("page", Who(1), "").variant,
            local->GetString("page", Who(1), "").variant)
      << "what was fetched before is there";
  EXPECT_EQ(remote->GetString("page", Who(2), "mine").value, "mine");
  EXPECT_EQ(remote->GetString("page", Who(2), "mine").error, Error::kNotReady);
  for (auto row : Export("exposures")) {
    EXPECT_EQ(row["unit_kind"], "device");
    EXPECT_EQ(row["unit"].substr(0, 1), "d");
  }
}

TEST_F(ClientService, AnEditArrivesAndABrokenOneDoesNot) {
  Serve();
  const auto client = Connect();
  EXPECT_EQ(client->GetString("later", Who(1), "").error, Error::kUnknownExperiment);
  const auto begin = std::chrono::steady_clock::now();
  Write("experiments/later.yaml", Experiment("later", kTwo));
  while (client->GetString("later", Who(1), "").error != Error::kNone &&
         std::chrono::steady_clock::now() - begin < seconds(60)) {
    std::this_thread::sleep_for(milliseconds(2));
  }
  EXPECT_EQ(client->GetString("later", Who(1), "").error, Error::kNone);
  RecordProperty("edit_seen_after_ms",
                 static_cast<int>((std::chrono::steady_clock::now() - begin) / milliseconds(1)));
  Write("experiments/later.yaml", "experiment: later\nnonsense: [");
  std::this_thread::sleep_for(milliseconds(600));
  EXPECT_EQ(client->GetString("later", Who(1), "").error, Error::kNone);
}

// Two threads log all the while; the server is killed five times and comes back each time on the
// same port and data. At the end everything is counted on both sides.
TEST_F(ClientService, NothingIsLostOrDoubledWhileTheServerIsKilled) {
  Serve();
  const std::string listen = server_->url().substr(std::string("http://").size());
  ClientOptions options;
  options.state_directory = dir_ / "state";
  options.batch_items = 40;
  options.flush_interval = milliseconds(50);
  options.retry_base = milliseconds(20);
  options.retry_max = milliseconds(200);
  auto client = Connect(options);
  std::atomic<bool> stop{false};
  std::atomic<int> exposures{0}, events{0}, next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const int i = next++;
        if (client->LogExposure(client->GetString("page", Who(i), ""))) ++exposures;
        if (client->LogEvent(Event("pay", "user", "u" + std::to_string(i)).Value(1))) ++events;
        if (i % 20 == 0) std::this_thread::sleep_for(milliseconds(2));
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(milliseconds(150 + 70 * round));
    server_->Kill();
    std::this_thread::sleep_for(milliseconds(round % 2 == 0 ? 50 : 300));
    Serve(listen);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(client->Flush(seconds(60)));
  const ClientStats stats = client->stats();
  EXPECT_GT(stats.batches_retried, 0) << "the server was never away";
  EXPECT_EQ(stats.exposures_dropped, 0);
  EXPECT_EQ(stats.events_dropped, 0);
  EXPECT_EQ(stats.exposures_sent, exposures);
  EXPECT_EQ(stats.events_sent, events);
  client.reset();
  EXPECT_EQ(server_->Stop(), 0) << server_->Log();
  RecordProperty("exposures", exposures);
  RecordProperty("batches_retried", static_cast<int>(stats.batches_retried));

  const auto logged = Export("exposures");
  EXPECT_EQ(logged.size(), static_cast<size_t>(exposures));
  EXPECT_EQ(Export("events").size(), static_cast<size_t>(events));
  std::map<std::string, int> by_arm, told_shown, told_sent, told_dropped;
  for (auto row : logged) ++by_arm[row["variant"]];
  for (auto row : Export("client_counts")) {
    told_shown[row["variant"]] += std::stoi(row["shown"]);
    told_sent[row["variant"]] += std::stoi(row["sent"]);
    told_dropped[row["variant"]] += std::stoi(row["dropped"]);
  }
  EXPECT_EQ(by_arm.size(), 2u);
  EXPECT_EQ(told_shown, by_arm);
  EXPECT_EQ(told_sent, by_arm);
  for (const auto& [variant, dropped] : told_dropped) EXPECT_EQ(dropped, 0) << variant;
}

TEST_F(ClientService, WhatOneProcessCouldNotSendTheNextOneDoes) {
  Serve();
  const std::string listen = server_->url().substr(std::string("http://").size());
  ClientOptions options;
  options.state_directory = dir_ / "state";
  options.drain_timeout = milliseconds(500);
  options.flush_interval = seconds(60);
  auto client = Connect(options);
  server_->Kill();
  int queued = 0;
  for (int i = 0; i < 1'500; ++i) {
    queued += client->LogExposure(client->GetString("page", Who(i), "")) ? 1 : 0;
  }
  EXPECT_EQ(queued, 1'500);
  client.reset();
  Serve(listen);
  client = Connect(options);
  EXPECT_TRUE(client->Flush(seconds(60)));
  EXPECT_EQ(client->stats().exposures_sent, queued);
  client.reset();
  EXPECT_EQ(server_->Stop(), 0);
  EXPECT_EQ(Export("exposures").size(), static_cast<size_t>(queued));
}

// As a server that forks its workers: over real connections, with the parent's open at the fork.
TEST_F(ClientService, WorkersThatAreForkedSendTheirOwn) {
  Serve();
  ClientOptions options;
  options.state_directory = dir_ / "state";
  options.flush_interval = seconds(60);
  auto client = Connect(options);
  EXPECT_TRUE(client->LogEvent(Event("pay", "user", "before")));
  EXPECT_TRUE(client->Flush(seconds(30)));
  for (int i = 0; i < 20; ++i) client->LogEvent(Event("pay", "user", "p" + std::to_string(i)));
  std::vector<pid_t> workers;
  for (int worker = 0; worker < 3; ++worker) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      alarm(60);
      bool ok = true;
      for (int i = 0; i < 5; ++i) {
        const std::string id = "w" + std::to_string(worker) + "-" + std::to_string(i);
        ok = ok && client->LogExposure(client->GetString("page", Context(id), "")) &&
             client->LogEvent(Event("pay", "user", id));
      }
      ok = ok && client->Flush(seconds(30)) && client->stats().events_sent == 5;
      client.reset();
      _exit(ok ? 0 : 1);
    }
    workers.push_back(pid);
  }
  for (const pid_t pid : workers) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(client->Flush(seconds(30)));
  EXPECT_EQ(client->stats().events_sent, 21);
  client.reset();
  EXPECT_EQ(server_->Stop(), 0);
  EXPECT_EQ(Export("events").size(), 21u + 15u);
  EXPECT_EQ(Export("exposures").size(), 15u);
}

}  // namespace
}  // namespace fulcrum::tests
