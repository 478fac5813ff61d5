// SPDX-License-Identifier: Apache-2.0
//
// The service over loopback sockets: keep-alive, admission, draining, reload, restart.
#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/server.h"
#include "server/test_support.h"

namespace fulcrum::server {
namespace {

using nlohmann::json;

constexpr char kPrice[] = "/ofrep/v1/evaluate/flags/price";
constexpr char kUser[] = R"({"context":{"targetingKey":"u1"}})";

struct Service {
  explicit Service(ServerOptions more = {}) {
    WriteTestProject(directory);
    options = std::move(more);
    Start();
  }

  // Also after a Stop: the same project and, if it has one, the same data.
  void Start() {
    ServerOptions now;
    now.project_dir = directory.path();
    now.data_dir = options.data_dir;
    now.port = 0;
    now.keys_file = options.keys_file;
    now.max_connections = options.max_connections;
    now.idle_timeout_s = options.idle_timeout_s;
    now.request_timeout_s = options.request_timeout_s;
    now.drain_timeout_s = 3;
    now.limits = options.limits;
    now.simulated_clock = true;
    now.simulated_start_ms = kTestNowMs;
    if (now.data_dir.empty()) {
      auto fake = std::make_unique<FakeStore>();
      store = fake.get();
      now.store = std::move(fake);
    }
    now.log = [](std::string_view) {};
    absl::StatusOr<std::unique_ptr<Server>> started = StartServer(std::move(now));
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
  }

  std::unique_ptr<httplib::Client> Connect(bool keep_alive = true) const {
    auto client = std::make_unique<httplib::Client>("127.0.0.1", server->port());
    client->set_keep_alive(keep_alive);
    client->set_tcp_nodelay(true);
    client->set_connection_timeout(5);
    client->set_read_timeout(20);
    return client;
  }

  TempDirectory directory;
  ServerOptions options;
  FakeStore* store = nullptr;
  std::unique_ptr<Server> server;
};

// A socket by hand, for what no decent client sends.
class RawSocket {
 public:
  explicit RawSocket(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    timeval time{};
    time.tv_sec = 10;
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  }
  ~RawSocket() { close(fd_); }
  bool connected() const { return connected_; }
  void Send(const std::string& text) { send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  // Until the other side closes, or nothing comes for ten seconds.
  std::string ReadAll() {
    std::string all;
    char bytes[4096];
    for (ssize_t n; (n = recv(fd_, bytes, sizeof bytes, 0)) > 0;) {
      all.append(bytes, static_cast<size_t>(n));
    }
    return all;
  }

 private:
  const int fd_;
  bool connected_ = false;
};

TEST(Service, KeepsConnectionsAliveAndAnswersWithoutDelay) {
  Service service;
  const auto client = service.Connect();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) {
    const auto answer = client->Post(kPrice, kUser, "application/json");
    ASSERT_TRUE(answer) << i;
    ASSERT_EQ(answer->status, 200) << answer->body;
  }
  // Without no-delay each of these takes 40 ms; a connection each would show in the next test.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
}

TEST(Service, ManyRequestsOnOneSocketAlsoPipelined) {
  Service service;
  RawSocket socket(service.server->port());
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += "POST " + std::string(kPrice) +
           " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(sizeof kUser - 1) +
           (i == 49 ? "\r\nConnection: close" : "") + "\r\n\r\n" + kUser;
  }
  socket.Send(all);
  const std::string answers = socket.ReadAll();
  int count = 0;
  for (size_t at = 0; (at = answers.find("HTTP/1.1 200 ", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 50);
}

// Four times as many paced clients as threads: none may be left without an answer.
TEST(Service, NobodyStarvesWhenConnectionsAreShort) {
  ServerOptions options;
  options.max_connections = 16;
  Service service(std::move(options));
  constexpr int kClients = 64;
  std::vector<int> answered(kClients), refused(kClients), failed(kClients);
  std::atomic<int64_t> slowest_ms{0};
  std::vector<std::thread> clients;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      auto client = service.Connect();
      while (std::chrono::steady_clock::now() < end) {
        const auto begin = std::chrono::steady_clock::now();
        const auto answer = client->Post(kPrice, kUser, "application/json");
        const int64_t took_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::steady_clock::now() - begin)
                                    .count();
        int64_t seen = slowest_ms.load();
        while (seen < took_ms && !slowest_ms.compare_exchange_weak(seen, took_ms)) {
        }
        if (!answer) {
          ++failed[static_cast<size_t>(c)];
        } else if (answer->status == 200) {
          ++answered[static_cast<size_t>(c)];
        } else {
          EXPECT_EQ(answer->status, 503);
          EXPECT_TRUE(answer->has_header("Retry-After"));
          EXPECT_TRUE(json::parse(answer->body)["metadata"].is_object());
          ++refused[static_cast<size_t>(c)];
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  int starved = 0, lost = 0, all_refused = 0;
  for (size_t c = 0; c < kClients; ++c) {
    if (answered[c] + refused[c] == 0) ++starved;
    lost += failed[c];
    all_refused += refused[c];
  }
  EXPECT_EQ(starved, 0);
  EXPECT_EQ(lost, 0) << "a refusal must arrive, not a reset";
  EXPECT_GT(all_refused, 0);
  EXPECT_LT(slowest_ms.load(), 5000);
}

TEST(Service, WaitingForNewsTakesNoOnesPlace) {
  ServerOptions options;
  options.max_connections = 2;
  Service service(std::move(options));
  // A place is free again a moment after its connection was closed, and a connection counts as
  // waiting a moment after it was admitted: so whoever is refused here asks again, as clients do.
  const auto insist = [&](auto ask) {
    for (int i = 0;; ++i) {
      auto answer = ask(*service.Connect(false));
      if (i == 200 || (answer && answer->status != 503)) return answer;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  };
  const auto snapshot = insist([](httplib::Client& client) { return client.Get("/v1/snapshot"); });
  ASSERT_TRUE(snapshot);
  const std::string etag = snapshot->get_header_value("ETag");
  std::vector<std::thread> waiting;
  std::atomic<int> news{0};
  for (int i = 0; i < 4; ++i) {  // Twice as many as there are places.
    waiting.emplace_back([&] {
      const auto answer = insist([&](httplib::Client& client) {
        return client.Get("/v1/snapshot?wait=30", {{"If-None-Match", etag}});
      });
      if (answer && answer->status == 200) ++news;
    });
  }
  const auto all_wait = [&] { return service.server->app().WaitingConnections() == 4; };
  for (int i = 0; i < 500 && !all_wait(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(all_wait());
  const auto stopped =
      insist([](httplib::Client& client) { return client.Post("/v1/experiments/price/stop"); });
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->status, 200) << stopped->body;
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(news.load(), 4);
}

TEST(Service, StreamsReachTheClientAndEndWithTheServer) {
  Service service;
  std::string received;
  std::atomic<bool> connected{false};
  std::thread listening([&] {
    service.Connect()->Get("/ofrep/v1/stream", [&](const char* bytes, size_t size) {
      received.append(bytes, size);
      // The first event says that something may have been missed, the second that there is news.
      const size_t first = received.find("refetchEvaluation");
      connected = first != std::string::npos;
      return !connected || received.find("refetchEvaluation", first + 1) == std::string::npos;
    });
  });
  for (int i = 0; i < 100 && !connected; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(connected);
  ASSERT_EQ(service.Connect()->Post("/v1/experiments/price/stop")->status, 200);
  listening.join();
  EXPECT_NE(received.find("event: message\ndata: {"), std::string::npos) << received;

  std::thread open([&] {
    service.Connect()->Get("/ofrep/v1/stream", [](const char*, size_t) { return true; });
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto begin = std::chrono::steady_clock::now();
  service.server->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  open.join();
}

TEST(Service, DrainsWhatIsUnderWayAndThenIsGone) {
  Service service;
  const int port = service.server->port();
  const auto idle = service.Connect();
  ASSERT_TRUE(idle->Post(kPrice, kUser, "application/json"));
  // A request of which half has arrived when the server is told to stop.
  RawSocket half(port);
  const std::string body = R"([{"name":"pay","ts":1772500000000,"unit":"u1"}])";
  half.Send("POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body.substr(0, 10));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  std::thread stopping([&] { service.server->Stop(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  half.Send(body.substr(10));
  const std::string answer = half.ReadAll();
  stopping.join();
  EXPECT_NE(answer.find("HTTP/1.1 200 "), std::string::npos) << answer;
  EXPECT_NE(answer.find("\"accepted\":1"), std::string::npos) << answer;
  EXPECT_FALSE(RawSocket(port).connected());
  service.server->Stop();  // Once more does nothing.
}

TEST(Service, APortInUseIsSaidClearly) {
  Service service;
  ServerOptions options;
  options.project_dir = service.directory.path();
  options.port = service.server->port();
  options.store = std::make_unique<FakeStore>();
  options.log = [](std::string_view) {};
  const auto second = StartServer(std::move(options));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  const std::string message(second.status().message());
  EXPECT_NE(message.find(std::to_string(service.server->port())), std::string::npos) << message;
  EXPECT_NE(message.find("another program is using the port"), std::string::npos) << message;
}

TEST(Service, WithoutKeysItListensOnThisMachineOnly) {
  TempDirectory directory;
  WriteTestProject(directory);
  ServerOptions options;
  options.project_dir = directory.path();
  options.host = "0.0.0.0";
  options.port = 0;
  options.store = std::make_unique<FakeStore>();
  const auto server = StartServer(std::move(options));
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Service, AWrongProjectIsInvalidArgumentWithEveryError) {
  TempDirectory directory;
  WriteTestProject(directory);
  directory.Write("experiments/price.yaml", "experiment: price\nwieght: 3\nnuit: user\n");
  ServerOptions options;
  options.project_dir = directory.path();
  options.port = 0;
  options.store = std::make_unique<FakeStore>();
  const auto server = StartServer(std::move(options));
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(server.status().message());
  EXPECT_NE(message.find("price.yaml:2:1"), std::string::npos) << message;
  EXPECT_NE(message.find("price.yaml:3:1"), std::string::npos) << message;
}

TEST(Service, ReloadsByItselfAndRefusesABadEdit) {
  Service service;
  const auto client = service.Connect();
  const auto until = [&](auto holds) {
    for (int i = 0; i < 100; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  };
  service.directory.Write("experiments/banner.yaml", "experiment: banner\nunti: user\n");
  EXPECT_TRUE(until([&] {
    return client->Get("/metrics")->body.find("fulcrum_reloads_total{outcome=\"refused\"} 1") !=
           std::string::npos;
  }));
  EXPECT_EQ(client->Get("/v1/variant/banner?unit=d1")->status, 200);
  service.directory.Write("experiments/banner.yaml", R"(experiment: banner
title: Animated banner
hypothesis: A banner is seen.
owner: front page team
salt: banner-1
unit: device
variants:
  off: {weight: 1, control: true, value: false}
  on: {weight: 1, value: true}
primary: [pay_rate]
)");
  EXPECT_TRUE(until([&] {
    return client->Get("/v1/experiments/banner")->body.find("Animated") != std::string::npos;
  }));
  // A running experiment's units are not moved by a saved file.
  service.directory.Write("experiments/banner.yaml",
                          "experiment: banner\nsalt: other\nunit: device\n"
                          "variants:\n  off: {weight: 1, control: true, value: false}\n"
                          "  on: {weight: 1, value: true}\nprimary: [pay_rate]\n");
  EXPECT_TRUE(until([&] {
    return client->Get("/metrics")->body.find("fulcrum_reloads_total{outcome=\"refused\"} 2") !=
           std::string::npos;
  }));
  EXPECT_NE(client->Get("/v1/experiments/banner")->body.find("Animated"), std::string::npos);
}

TEST(Service, AStopAndTheEventsSurviveARestart) {
  TempDirectory data;
  ServerOptions options;
  options.data_dir = data.path();
  Service service(std::move(options));
  ASSERT_NE(service.server, nullptr);
  {
    const auto client = service.Connect();
    ASSERT_EQ(client->Post("/v1/experiments/price/stop", R"({"reason":"harm"})", "application/json")
                  ->status,
              200);
    const auto kept = client->Post(
        "/v1/exposures",
        R"({"batch_id":"b1","exposures":[{"experiment":"price","variant":"less","unit":"u1",
            "ts":1772500000000}]})",
        "application/json");
    ASSERT_EQ(kept->status, 200) << kept->body;
  }
  service.server->Stop();
  service.server.reset();
  service.Start();
  const auto client = service.Connect();
  const json flag = json::parse(client->Post(kPrice, kUser, "application/json")->body);
  EXPECT_EQ(flag["reason"], "DISABLED");
  EXPECT_FALSE(flag.contains("variant"));
  const json unit = json::parse(client->Get("/v1/units/u1")->body);
  ASSERT_EQ(unit["exposures"].size(), 1u) << unit;
  EXPECT_EQ(unit["exposures"][0]["variant"], "less");
  EXPECT_EQ(client->Get("/v1/experiments/price/report")->status, 200);
}

TEST(Service, BodiesInEveryFraming) {
  ServerOptions options;
  options.limits.max_body_bytes = 100'000;
  Service service(std::move(options));
  const int port = service.server->port();
  const std::string body = R"([{"name":"pay","ts":1772500000000,"unit":"u1"}])";
  const auto send = [&](const std::string& text) {
    RawSocket socket(port);
    socket.Send(text);
    return socket.ReadAll();
  };
  const std::string head = "POST /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
  const auto chunk = [](const std::string& text) {
    char size[16];
    snprintf(size, sizeof size, "%zx\r\n", text.size());
    return size + text + "\r\n";
  };
  EXPECT_NE(send(head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(body.substr(0, 20)) +
                 chunk(body.substr(20)) + "0\r\n\r\n")
                .find("\"accepted\":1"),
            std::string::npos);
  EXPECT_NE(send(head + "Expect: 100-continue\r\nContent-Length: " + std::to_string(body.size()) +
                 "\r\n\r\n" + body)
                .find("\"accepted\":1"),
            std::string::npos);
  // Larger than allowed: announced, chunked, or only after decompression.
  EXPECT_NE(send(head + "Content-Length: 200000\r\n\r\n").find(" 413 "), std::string::npos);
  EXPECT_NE(send(head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(std::string(200'000, ' ')) +
                 "0\r\n\r\n")
                .find(" 413 "),
            std::string::npos);
  // What two readers could read differently.
  EXPECT_NE(
      send(head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n").find(" 400 "),
      std::string::npos);
  EXPECT_NE(send(head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef").find(" 400 "),
            std::string::npos);
  EXPECT_NE(send(head + "Content-Length: -1\r\n\r\n").find(" 400 "), std::string::npos);
  EXPECT_NE(send(head + "Content-Length: 1x\r\n\r\nabc").find(" 400 "), std::string::npos);
  EXPECT_NE(send(head + "\r\n").find(" 400 "), std::string::npos);
  // No header may grow for ever, no line either.
  EXPECT_EQ(send("GET / HTTP/1.1\r\nX: " + std::string(200'000, 'a')).find(" 200 "),
            std::string::npos);
  EXPECT_EQ(send(std::string(100'000, 'a')).find(" 200 "), std::string::npos);
  // A body where none belongs does not become the next request.
  const std::string smuggled = send(
      "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\n"
      "GET /v1/experiments HTTP/1.1\r\nX: y\r\n");
  EXPECT_EQ(smuggled.find("experiments\":["), std::string::npos);
  EXPECT_EQ(service.store->events().size(), 2u);
  EXPECT_EQ(service.Connect()->Get("/healthz")->status, 200);
}

TEST(Service, ASlowRequestIsCutOff) {
  ServerOptions options;
  options.request_timeout_s = 1;
  Service service(std::move(options));
  RawSocket socket(service.server->port());
  socket.Send("POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n[");
  const auto begin = std::chrono::steady_clock::now();
  socket.ReadAll();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(Service, AnIdleConnectionIsClosed) {
  ServerOptions options;
  options.idle_timeout_s = 1;
  Service service(std::move(options));
  RawSocket socket(service.server->port());
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(socket.ReadAll(), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace fulcrum::server
