// SPDX-License-Identifier: Apache-2.0
//
// Nothing acknowledged is lost, nothing is counted twice: the server is killed with SIGKILL under
// load at random moments, started again on the same data, and at the end every id is counted.
// (The page cache survives SIGKILL; tests/faults/ covers writes that were not synced.)
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "tests/service/program.h"

namespace fulcrum::tests {
namespace {

constexpr int kRounds = 20;
constexpr int kClients = 3;
constexpr int kBatch = 40;

struct Sender {
  // Batches whose 200 arrived, and the one under way when the server died.
  std::vector<int> acknowledged;
  int next = 0;
};

std::string Id(int client, int batch, int item) {
  return "c" + std::to_string(client) + "-" + std::to_string(batch) + "-" + std::to_string(item);
}

// The same batch has the same bytes whenever it is sent: one instant for the whole run.
const int64_t kNowMs = WallClockMs();

std::string Body(int client, int batch) {
  std::string body = "{\"batch_id\":\"b" + std::to_string(client) + "-" + std::to_string(batch) +
                     "\",\"events\":[";
  for (int item = 0; item < kBatch; ++item) {
    const std::string id = Id(client, batch, item);
    body += (item == 0 ? "" : ",");
    body += "{\"event_id\":\"" + id + "\",\"order_id\":\"" + id +
            "\",\"name\":\"pay\",\"ts\":" + std::to_string(kNowMs) +
            ",\"unit\":{\"kind\":\"user\",\"id\":\"u" + std::to_string(batch % 97) +
            "\"},\"value\":12.5}";
  }
  return body + "]}";
}

// Sends until the server is gone. The batch that got no answer is sent again, under the same
// batch_id, to the next server, as a client would.
void SendUntilDead(const std::string& url, int client, Sender* sender) {
  httplib::Client http(url);
  http.set_tcp_nodelay(true);
  http.set_keep_alive(true);
  while (true) {
    const auto result = http.Post("/v1/events", Body(client, sender->next), "application/json");
    if (!result) return;
    ASSERT_EQ(result->status, 200) << result->body;
    sender->acknowledged.push_back(sender->next++);
  }
}

// How often each order (column unit_order) occurs in the exported events.
std::unordered_map<std::string, int> CountIds(const std::string& path) {
  std::unordered_map<std::string, int> counts;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  size_t column = 0;
  std::stringstream header(line);
  std::string cell;
  while (std::getline(header, cell, ',') && cell != "unit_order") ++column;
  while (std::getline(file, line)) {
    std::stringstream row(line);
    for (size_t i = 0; i <= column; ++i) std::getline(row, cell, ',');
    ++counts[cell];
  }
  return counts;
}

TEST(Kill, EveryAcknowledgedEventIsThereOnceAfterTwentyKills) {
  const TempDir dir;
  std::vector<Sender> senders(kClients);
  std::mt19937 random(20260302);
  for (int round = 0; round < kRounds; ++round) {
    ServerProcess server("examples/shop", dir / "data");
    ASSERT_TRUE(server.running()) << server.Log();
    std::vector<std::thread> threads;
    for (int client = 0; client < kClients; ++client) {
      threads.emplace_back(SendUntilDead, server.url(), client,
                           &senders[static_cast<size_t>(client)]);
    }
    std::this_thread::sleep_for(
        std::chrono::milliseconds(std::uniform_int_distribution<int>(20, 600)(random)));
    server.Kill();
    for (std::thread& thread : threads) thread.join();
  }
  {
    ServerProcess server("examples/shop", dir / "data");
    ASSERT_TRUE(server.running()) << server.Log();
    EXPECT_EQ(server.Stop(), 0) << server.Log();
  }
  const Outcome exported =
      RunProgram({"export", dir / "data", "--out", dir / "out", "--format", "csv"});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  const auto counts = CountIds(dir / "out/events.csv");
  size_t acknowledged = 0, lost = 0, repeated = 0;
  for (int client = 0; client < kClients; ++client) {
    for (const int batch : senders[static_cast<size_t>(client)].acknowledged) {
      for (int item = 0; item < kBatch; ++item, ++acknowledged) {
        lost += counts.count(Id(client, batch, item)) == 0 ? 1 : 0;
      }
    }
  }
  for (const auto& [id, count] : counts) repeated += count > 1 ? 1 : 0;
  RecordProperty("acknowledged", static_cast<int>(acknowledged));
  EXPECT_GT(acknowledged, static_cast<size_t>(kRounds * kBatch)) << "the load was too small";
  EXPECT_EQ(lost, 0u) << "of " << acknowledged;
  EXPECT_EQ(repeated, 0u);
  // Beyond what was acknowledged, at most the last unanswered batch of each client.
  EXPECT_LE(counts.size(), acknowledged + static_cast<size_t>(kClients * kBatch));
}

}  // namespace
}  // namespace fulcrum::tests
