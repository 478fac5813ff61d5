// SPDX-License-Identifier: Apache-2.0
// The only file of the client that knows the HTTP library.
#include <httplib.h>
#include <pthread.h>
#include <signal.h>

#include <charconv>

#include "sdk/cpp/transport.h"

namespace fulcrum::sdk {
namespace {

struct Address {
  std::string origin;  // "http://host:port"
  std::string prefix;  // "" or "/path", without a slash at the end
};

bool ParseUrl(const std::string& url, Address* address) {
  const size_t scheme = url.rfind("https://", 0) == 0 ? 8 : url.rfind("http://", 0) == 0 ? 7 : 0;
  if (scheme == 0) return false;
  size_t slash = url.find('/', scheme);
  if (slash == std::string::npos) slash = url.size();
  if (slash == scheme || url.find_first_of(" \t\r\n?#@") != std::string::npos) return false;
  address->origin = url.substr(0, slash);
  address->prefix = url.substr(slash);
  while (!address->prefix.empty() && address->prefix.back() == '/') address->prefix.pop_back();
  return true;
}

std::string Words(httplib::Error error) {
  switch (error) {
    case httplib::Error::Connection:
    case httplib::Error::ConnectionTimeout:
      return "nobody answers at this address";
    case httplib::Error::Read:
    case httplib::Error::Write:
    case httplib::Error::Canceled:
      return "the connection broke, or the answer took too long";
    case httplib::Error::SSLServerVerification:
      return "its certificate is not one that this machine trusts";
    case httplib::Error::SSLConnection:
      return "no secure connection can be made";
    default:
      return httplib::to_string(error);
  }
}

// Writing to a connection that the server has closed raises SIGPIPE, which would end the program
// that uses this library. It is held back from this thread meanwhile, and taken if it came.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec at_once{0, 0};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

class HttpConnection : public Connection {
 public:
  HttpConnection(const Address& address, const std::string& key,
                 std::chrono::milliseconds connect_timeout)
      : prefix_(address.prefix), http_(address.origin) {
    http_.set_keep_alive(true);
    http_.set_tcp_nodelay(true);
    http_.set_connection_timeout(connect_timeout);
    if (!key.empty()) http_.set_bearer_token_auth(key);
  }

  HttpResponse Send(const HttpRequest& request) override {
    const NoSigpipe no_sigpipe;
    HttpResponse answer;
    try {
      http_.set_read_timeout(request.timeout);
      http_.set_write_timeout(request.timeout);
      httplib::Headers headers;
      if (!request.if_none_match.empty()) headers.emplace("If-None-Match", request.if_none_match);
      const std::string path = prefix_ + request.path;
      const httplib::Result result =
          request.method == "POST" ? http_.Post(path, headers, request.body, "application/json")
                                   : http_.Get(path, headers);
      if (!result) {
        answer.error = Words(result.error());
        return answer;
      }
      answer.status = result->status;
      answer.body = result->body;
      answer.etag = result->get_header_value("ETag");
      const std::string after = result->get_header_value("Retry-After");
      int seconds = 0;
      const auto [end, problem] =
          std::from_chars(after.data(), after.data() + after.size(), seconds);
      if (problem == std::errc() && end == after.data() + after.size() && seconds >= 0) {
        answer.retry_after_s = seconds;
      }
    } catch (const std::exception& exception) {
      answer = {};
      answer.error = exception.what();
    }
    return answer;
  }

  void Cancel() override { http_.stop(); }

 private:
  const std::string prefix_;
  httplib::Client http_;
};

class HttpTransport : public Transport {
 public:
  HttpTransport(Address address, std::string key, std::chrono::milliseconds connect_timeout)
      : address_(std::move(address)), key_(std::move(key)), connect_timeout_(connect_timeout) {}
  std::unique_ptr<Connection> Connect() override {
    return std::make_unique<HttpConnection>(address_, key_, connect_timeout_);
  }

 private:
  const Address address_;
  const std::string key_;
  const std::chrono::milliseconds connect_timeout_;
};

class RealClock : public Clock {
 public:
  int64_t WallMs() const override { return Ms(std::chrono::system_clock::now()); }
  int64_t SteadyMs() const override { return Ms(std::chrono::steady_clock::now()); }

 private:
  template <typename Point>
  static int64_t Ms(Point point) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(point.time_since_epoch()).count();
  }
};

}  // namespace

std::unique_ptr<Transport> MakeHttpTransport(const std::string& url, const std::string& key,
                                             std::chrono::milliseconds connect_timeout,
                                             std::string* error) {
  Address address;
  if (!ParseUrl(url, &address)) {
    *error = "The server's address '" + url +
             "' is not an http:// or https:// URL of a host; write one like "
             "http://127.0.0.1:8080.";
    return nullptr;
  }
  if (key.find_first_of("\r\n") != std::string::npos) {
    *error = "The key has a line break in it; give the key alone.";
    return nullptr;
  }
  return std::make_unique<HttpTransport>(std::move(address), key, connect_timeout);
}

const Clock& SystemClock() {
  static const RealClock clock;
  return clock;
}

}  // namespace fulcrum::sdk
