// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// What the client needs of the outside world: a way to send, and the time. Tests hand in their own.
namespace fulcrum::sdk {

struct HttpRequest {
  std::string method = "GET";  // or POST
  std::string path;            // "/v1/snapshot?wait=30", without the address's own prefix
  std::string body;            // JSON, where there is one
  std::string if_none_match;   // empty: not sent
  std::chrono::milliseconds timeout{5'000};  // for the answer; connecting has its own
};

struct HttpResponse {
  int status = 0;     // 0: there was no answer, and `error` says why
  std::string error;  // "Connection refused"
  std::string body;
  std::string etag;
  int retry_after_s = -1;  // -1: the answer had none
};

// One connection, kept open between requests. Send by one thread at a time; Cancel by any.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual HttpResponse Send(const HttpRequest& request) = 0;
  // Ends a Send that is waiting for its answer, soon; it returns with status 0.
  virtual void Cancel() = 0;
};

// Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::unique_ptr<Connection> Connect() = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t WallMs() const = 0;    // UTC
  virtual int64_t SteadyMs() const = 0;  // never goes back
};

// nullptr with a sentence where the URL is none ("http://" or "https://", a host, a port or none, a
// prefix or none).
std::unique_ptr<Transport> MakeHttpTransport(const std::string& url, const std::string& key,
                                             std::chrono::milliseconds connect_timeout,
                                             std::string* error);
const Clock& SystemClock();

}  // namespace fulcrum::sdk
