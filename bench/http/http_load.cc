// SPDX-License-Identifier: Apache-2.0
//
// A bounded load on one HTTP server on this machine: N keep-alive connections in one epoll loop,
// each sending its next request when the last was answered (or every --pace-ms). Prints one line of
// JSON: requests per second, latencies, errors, and connections that never got an answer.
//
//   http_load --port 8080 --mode ofrep --flag one-page-checkout --connections 64 --seconds 5
//   http_load --port 8080 --mode events --batch 1000 --connections 8 --seconds 60
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  int port = 0;
  std::string mode = "ofrep";
  std::string flag = "one-page-checkout";
  int connections = 64;
  double seconds = 5;
  int batch = 1000;
  int users = 1'000'000;
  int64_t ts_ms = 0;
  double pace_ms = 0;
  std::string run_id = "r";
};

struct Connection {
  int fd = -1;
  std::string out;
  size_t sent = 0;
  std::string in;
  Clock::time_point started;
  Clock::time_point next;
  int64_t answered = 0;
  bool waiting = false;
};

// Deterministic and cheap; quality does not matter here.
uint64_t Mix(uint64_t x) {
  x ^= x >> 31;
  x *= 0x9E3779B97F4A7C15u;
  x ^= x >> 29;
  return x;
}

std::string Head(const std::string& path, size_t length) {
  return "POST " + path +
         " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(length) + "\r\n\r\n";
}

void MakeOfrep(const Options& options, uint64_t number, std::string* out) {
  char body[256];
  const int length = std::snprintf(
      body, sizeof body,
      "{\"context\":{\"targetingKey\":\"user-%07" PRIu64
      "\",\"platform\":\"desktop\",\"channel\":\"search\",\"app_version\":\"2.4.1\"}}",
      Mix(number) % static_cast<uint64_t>(options.users));
  *out = Head("/ofrep/v1/evaluate/flags/" + options.flag, static_cast<size_t>(length));
  out->append(body, static_cast<size_t>(length));
}

void MakeEvents(const Options& options, uint64_t number, std::string* out) {
  static constexpr const char* kNames[] = {"browse", "browse", "browse", "consult", "order", "pay"};
  std::string body =
      "{\"batch_id\":\"" + options.run_id + "-" + std::to_string(number) + "\",\"events\":[";
  char event[320];
  for (int i = 0; i < options.batch; ++i) {
    const uint64_t id = number * static_cast<uint64_t>(options.batch) + static_cast<uint64_t>(i);
    const uint64_t random = Mix(id + 1);
    const int length = std::snprintf(
        event, sizeof event,
        "%s{\"event_id\":\"%s-%012" PRIu64 "\",\"name\":\"%s\",\"ts\":%" PRId64
        ",\"unit\":{\"kind\":\"user\",\"id\":\"user-%07" PRIu64
        "\"},\"value\":%u.5,\"properties\":{\"channel\":\"search\",\"items\":%u,\"page\":\"p%u\"}}",
        i == 0 ? "" : ",", options.run_id.c_str(), id, kNames[random % 6],
        options.ts_ms + static_cast<int64_t>(id % 1000),
        (random >> 8) % static_cast<uint64_t>(options.users),
        static_cast<unsigned>(random >> 40) % 500, static_cast<unsigned>(random >> 50) % 9,
        static_cast<unsigned>(random >> 44) % 50);
    body.append(event, static_cast<size_t>(length));
  }
  body += "]}";
  *out = Head("/v1/events", body.size()) + body;
}

int Dial(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

// The length of the whole response at the front of `in`, 0 while it has not all arrived.
size_t CompleteResponse(const std::string& in, int* status) {
  const size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos) return 0;
  *status = std::atoi(in.c_str() + 9);
  size_t length = 0;
  for (size_t at = 0; at < end;) {
    const size_t line = in.find("\r\n", at);
    if (strncasecmp(in.c_str() + at, "content-length:", 15) == 0) {
      length = std::strtoul(in.c_str() + at + 15, nullptr, 10);
    }
    at = line + 2;
  }
  return in.size() >= end + 4 + length ? end + 4 + length : 0;
}

class Load {
 public:
  explicit Load(const Options& options) : options_(options), epoll_(epoll_create1(0)) {}

  int Run() {
    connections_.resize(static_cast<size_t>(options_.connections));
    const auto begin = Clock::now();
    const auto end = begin + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(options_.seconds));
    for (size_t i = 0; i < connections_.size(); ++i) {
      if (!Open(i)) {
        std::fprintf(stderr, "error: nothing listens on 127.0.0.1:%d.\n", options_.port);
        return 3;
      }
    }
    while (Clock::now() < end) {
      if (options_.pace_ms > 0) StartDue();
      Poll(options_.pace_ms > 0 ? 1 : 100);
    }
    Print(std::chrono::duration<double>(Clock::now() - begin).count());
    return 0;
  }

 private:
  bool Open(size_t index) {
    Connection& connection = connections_[index];
    connection.fd = Dial(options_.port);
    if (connection.fd < 0) return false;
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = index;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    connection.in.clear();
    connection.next = Clock::now();
    Start(&connection);
    return true;
  }

  void Start(Connection* connection) {
    if (options_.mode == "ofrep") {
      MakeOfrep(options_, ++made_, &connection->out);
    } else {
      MakeEvents(options_, ++made_, &connection->out);
    }
    connection->sent = 0;
    connection->started = Clock::now();
    connection->waiting = true;
    Send(connection);
  }

  void StartDue() {
    const auto now = Clock::now();
    for (Connection& connection : connections_) {
      if (!connection.waiting && connection.fd >= 0 && now >= connection.next) Start(&connection);
    }
  }

  // Blocking sends are fine: a server that reads slowly slows this connection's peers down, which
  // is what a saturated loopback does anyway.
  void Send(Connection* connection) {
    while (connection->sent < connection->out.size()) {
      const ssize_t n = send(connection->fd, connection->out.data() + connection->sent,
                             connection->out.size() - connection->sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      connection->sent += static_cast<size_t>(n);
    }
  }

  void Poll(int timeout_ms) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_, events, 64, timeout_ms);
    for (int i = 0; i < count; ++i) Receive(events[i].data.u64);
  }

  void Receive(size_t index) {
    Connection& connection = connections_[index];
    char buffer[16384];
    const ssize_t n = recv(connection.fd, buffer, sizeof buffer, 0);
    if (n <= 0) {
      ++errors_;
      close(connection.fd);
      connection.waiting = false;
      connection.fd = -1;
      Open(index);
      return;
    }
    connection.in.append(buffer, static_cast<size_t>(n));
    int status = 0;
    const size_t length = CompleteResponse(connection.in, &status);
    if (length == 0) return;
    connection.in.erase(0, length);
    const auto now = Clock::now();
    latencies_ms_.push_back(
        std::chrono::duration<double, std::milli>(now - connection.started).count());
    if (status == 200) {
      ++ok_;
    } else {
      ++refused_;
    }
    ++connection.answered;
    connection.waiting = false;
    connection.next += std::chrono::microseconds(static_cast<int64_t>(options_.pace_ms * 1000));
    if (options_.pace_ms == 0) Start(&connection);
  }

  void Print(double elapsed_s) {
    std::sort(latencies_ms_.begin(), latencies_ms_.end());
    const auto quantile = [&](double q) {
      if (latencies_ms_.empty()) return 0.0;
      return latencies_ms_[static_cast<size_t>(q * static_cast<double>(latencies_ms_.size() - 1))];
    };
    const auto starved = std::count_if(connections_.begin(), connections_.end(),
                                       [](const Connection& c) { return c.answered == 0; });
    std::printf(
        "{\"ok\": %" PRId64 ", \"refused\": %" PRId64 ", \"errors\": %" PRId64
        ", \"per_second\": %.1f, \"items_per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
        "\"max_ms\": %.3f, \"starved\": %" PRId64 "}\n",
        ok_, refused_, errors_, static_cast<double>(ok_) / elapsed_s,
        static_cast<double>(ok_) * (options_.mode == "ofrep" ? 1 : options_.batch) / elapsed_s,
        quantile(0.5), quantile(0.99), quantile(1), static_cast<int64_t>(starved));
  }

  Options options_;
  int epoll_;
  std::vector<Connection> connections_;
  std::vector<double> latencies_ms_;
  uint64_t made_ = 0;
  int64_t ok_ = 0;
  int64_t refused_ = 0;
  int64_t errors_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App program("A bounded HTTP load on 127.0.0.1");
  program.add_option("--port", options.port)->required();
  program.add_option("--mode", options.mode)->check(CLI::IsMember({"ofrep", "events"}));
  program.add_option("--flag", options.flag);
  program.add_option("--connections", options.connections)->check(CLI::Range(1, 1024));
  program.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 600.0));
  program.add_option("--batch", options.batch)->check(CLI::Range(1, 50000));
  program.add_option("--users", options.users);
  program.add_option("--ts-ms", options.ts_ms);
  program.add_option("--pace-ms", options.pace_ms);
  program.add_option("--run-id", options.run_id);
  CLI11_PARSE(program, argc, argv);
  return Load(options).Run();
}
