// SPDX-License-Identifier: Apache-2.0
//
// The only file of the server that includes httplib.h. cpp-httplib accepts, parses the header and
// frames the answer; what it leaves to defaults that do not hold under load is done here: admission
// (connection_threads.h), buffered I/O and deadlines (socket_buffer.h), draining, and closing so
// that the last answer arrives (linger.h). Builds with 0.11.4 (Debian 12) and with later ones.
#include "server/listener.h"

#include <httplib.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "server/connection_threads.h"
#include "server/linger.h"
#include "server/reply.h"
#include "server/socket_buffer.h"

namespace fulcrum::server {
namespace {

constexpr int kBacklog = 1024;  // 0.11.4 listens with 5: bursts of connections then wait a second.
constexpr rlim_t kWantedFiles = 65536;
constexpr std::string_view kRefusal =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ETag, Retry-After\r\n"
    "Connection: close\r\nContent-Length: 112\r\n\r\n"
    "{\"errorCode\":\"BUSY\",\"errorDetails\":\"All connections of the server are taken; try again "
    "shortly.\",\"metadata\":{}}\n";
static_assert(kRefusal.substr(kRefusal.find("\r\n\r\n") + 4).size() == 112);

// httplib's view of a SocketBuffer. Later versions have more virtual functions than 0.11.4; this
// class has them all, so none is marked override.
class BufferStream : public httplib::Stream {
 public:
  explicit BufferStream(SocketBuffer* buffer) : buffer_(buffer) {}
  virtual bool is_readable() const { return true; }
  virtual bool is_writable() const { return !buffer_->failed(); }
  virtual bool wait_readable() const { return true; }
  virtual bool wait_writable() const { return !buffer_->failed(); }
  virtual bool is_peer_alive() const { return !buffer_->failed(); }
  virtual ssize_t read(char* out, size_t size) { return buffer_->Read(out, size); }
  virtual ssize_t write(const char* bytes, size_t size) {
    return buffer_->Write({bytes, size}) ? static_cast<ssize_t>(size) : -1;
  }
  virtual void get_remote_ip_and_port(std::string& ip, int& port) const {
    ip.clear();
    port = 0;
  }
  virtual void get_local_ip_and_port(std::string& ip, int& port) const {
    ip.clear();
    port = 0;
  }
  // Asked by 0.11.4 only to refuse descriptors that select() cannot take; nothing here selects.
  virtual socket_t socket() const { return 0; }
  virtual time_t duration() const { return 0; }
  virtual void set_read_timeout(time_t, time_t = 0) {}

 private:
  SocketBuffer* const buffer_;
};

// process_request has had three signatures; the first that fits is called.
using SetupRequest = std::function<void(httplib::Request&)>;
template <typename S>
bool CallProcess(S* server, bool (S::*process)(httplib::Stream&, bool, bool&, const SetupRequest&),
                 httplib::Stream& stream, bool close, bool* closed, const SetupRequest& setup) {
  return (server->*process)(stream, close, *closed, setup);
}
template <typename S>
bool CallProcess(S* server,
                 bool (S::*process)(httplib::Stream&, const std::string&, int, const std::string&,
                                    int, bool, bool&, const SetupRequest&),
                 httplib::Stream& stream, bool close, bool* closed, const SetupRequest& setup) {
  return (server->*process)(stream, "", 0, "", 0, close, *closed, setup);
}
template <typename S>
bool CallProcess(S* server,
                 bool (S::*process)(httplib::Stream&, const std::string&, int, const std::string&,
                                    int, bool, bool&, const SetupRequest&, bool*),
                 httplib::Stream& stream, bool close, bool* closed, const SetupRequest& setup) {
  return (server->*process)(stream, "", 0, "", 0, close, *closed, setup, nullptr);
}

struct Connection {
  explicit Connection(int fd, const ListenerOptions& options)
      : buffer(fd, options.idle_timeout_s, options.request_timeout_s) {}
  SocketBuffer buffer;
  bool close_after = false;  // What is unread of this request makes the rest unreadable.
};

// The connection whose request this thread is handling.
thread_local Connection* current_connection = nullptr;
// Set around the work of a connection that was not admitted.
thread_local bool refuse_connection = false;

class HttpServer;

// Hands httplib's work to ConnectionThreads, and turns away what they cannot take.
class Admission : public httplib::TaskQueue {
 public:
  explicit Admission(HttpServer* server) : server_(server) {}
  using Queued = decltype(std::declval<httplib::TaskQueue&>().enqueue(std::function<void()>()));
  Queued enqueue(std::function<void()> work) override;
  void shutdown() override {}  // The listener joins, with its own deadline.

 private:
  HttpServer* const server_;
};

class HttpServer : public httplib::Server {
 public:
  HttpServer(App* app, const ListenerOptions& options)
      : app_(app),
        options_(options),
        threads_([this] { return options_.max_connections + app_->WaitingConnections(); }) {
    new_task_queue = [this] { return new Admission(this); };
    set_tcp_nodelay(true);
    set_keep_alive_max_count(1'000'000'000);
    set_keep_alive_timeout(options.idle_timeout_s);
    set_read_timeout(options.idle_timeout_s);
    set_write_timeout(10);
    set_payload_max_length(options.max_body_bytes);
    // Without SO_REUSEPORT, which would let two servers share a port without knowing.
    set_socket_options([](socket_t sock) {
      const int yes = 1;
      setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    setup_ = [](httplib::Request& request) {
      request.ranges.clear();  // Answers are never partial.
      // Small answers are not worth compressing, and evaluation is all small answers.
      if (request.method == "POST") request.headers.erase("Accept-Encoding");
    };
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      return Route(request, &response) ? HandlerResponse::Handled : HandlerResponse::Unhandled;
    });
    // Bodies that Route() leaves to httplib: chunked or compressed.
    Post(R"([\s\S]*)", [this](const httplib::Request& request, httplib::Response& response,
                              const httplib::ContentReader& reader) {
      ReadAndAnswer(request, reader, &response);
    });
  }

  void RaiseBacklog() { ::listen(svr_sock_, kBacklog); }
  bool TryRun(std::function<void()>& work) { return threads_.TryRun(work); }
  void Drain();
  void CountRefused() { app_->CountRefusedConnection(); }

 private:
  // Called with an accepted socket, on its thread (or on the accepting one to refuse it).
  bool process_and_close_socket(socket_t sock) override;
  void ServeConnection(Connection* connection);
  // False where the body is to be read by httplib.
  bool Route(const httplib::Request& request, httplib::Response* response);
  void ReadAndAnswer(const httplib::Request& request, const httplib::ContentReader& reader,
                     httplib::Response* response);
  void Answer(const httplib::Request& request, std::string_view body, bool too_large,
              httplib::Response* response);

  App* const app_;
  const ListenerOptions options_;
  SetupRequest setup_;
  std::atomic<bool> draining_{false};
  Mutex mutex_;
  std::set<Connection*> connections_ ABSL_GUARDED_BY(mutex_);
  Linger linger_;
  ConnectionThreads threads_;  // Last: its threads use the rest.
};

Admission::Queued Admission::enqueue(std::function<void()> work) {
  if (!server_->TryRun(work)) {
    refuse_connection = true;
    work();
    refuse_connection = false;
  }
  return Queued(1);
}

bool HttpServer::process_and_close_socket(socket_t sock) {
  if (refuse_connection) {
    app_->CountRefusedConnection();
    send(sock, kRefusal.data(), kRefusal.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    linger_.Close(sock);
    return true;
  }
  const int yes = 1;
  setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  Connection connection(sock, options_);
  {
    MutexLock lock(&mutex_);
    connections_.insert(&connection);
    app_->SetConnections(static_cast<int64_t>(connections_.size()));
  }
  current_connection = &connection;
  ServeConnection(&connection);
  current_connection = nullptr;
  {
    MutexLock lock(&mutex_);
    connections_.erase(&connection);
    app_->SetConnections(static_cast<int64_t>(connections_.size()));
  }
  linger_.Close(sock);
  return true;
}

void HttpServer::ServeConnection(Connection* connection) {
  SocketBuffer& buffer = connection->buffer;
  while (buffer.WaitForRequest(draining_)) {
    BufferStream stream(&buffer);
    bool closed = false;
    const bool close = draining_.load(std::memory_order_relaxed);
    const bool answered = CallProcess<httplib::Server>(this, &HttpServer::process_request, stream,
                                                       close, &closed, setup_);
    if (!buffer.Flush() || !answered || close || closed || connection->close_after) return;
  }
}

bool HttpServer::Route(const httplib::Request& request, httplib::Response* response) {
  Connection& connection = *current_connection;
  connection.buffer.BeginBody();
  const std::string length = request.get_header_value("Content-Length");
  const bool transfer = request.has_header("Transfer-Encoding");
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), size);
  const bool bad_length =
      !length.empty() && (error != std::errc() || end != length.data() + length.size());
  if (bad_length || (transfer && !length.empty()) ||
      request.get_header_value_count("Content-Length") > 1) {
    // Two readers might see two different requests here; neither shall.
    connection.close_after = true;
    response->set_header("Connection", "close");
    response->status = 400;
    Response refusal;
    ReplyError(400, "PARSE_ERROR", "The length of the body is not clear.", &refusal);
    response->set_content(refusal.body, "application/json");
    return true;
  }
  const bool has_body = transfer || size > 0;
  if (request.method != "POST" || size > options_.max_body_bytes) {
    connection.close_after = has_body;  // It stays unread.
    if (has_body) response->set_header("Connection", "close");
    Answer(request, {}, size > options_.max_body_bytes, response);
    return true;
  }
#ifdef CPPHTTPLIB_VERSION_NUM
  return false;  // These versions keep account of who read the body.
#else
  if (transfer || request.has_header("Content-Encoding")) return false;
  thread_local std::string body;
  body.clear();
  if (body.capacity() > (4u << 20) && size < (1u << 20)) body = std::string();
  if (!connection.buffer.ReadExactly(static_cast<size_t>(size), &body)) {
    connection.close_after = true;
    response->status = 400;
    return true;
  }
  Answer(request, body, false, response);
  return true;
#endif
}

void HttpServer::ReadAndAnswer(const httplib::Request& request,
                               const httplib::ContentReader& reader, httplib::Response* response) {
  std::string body;
  bool too_large = false;
  const bool read = reader([&](const char* bytes, size_t size) {
    too_large = body.size() + size > options_.max_body_bytes;  // Also after decompression.
    if (!too_large) body.append(bytes, size);
    return !too_large;
  });
  if (!read || too_large) {
    current_connection->close_after = true;
    response->set_header("Connection", "close");
  }
  if (read || too_large) {
    response->status = -1;
    return Answer(request, body, too_large, response);
  }
  response->status = 400;
  Response refusal;
  ReplyError(400, "PARSE_ERROR", "The body did not arrive whole, or is not what its headers say.",
             &refusal);
  response->set_content(refusal.body, "application/json");
}

void HttpServer::Answer(const httplib::Request& from, std::string_view body, bool too_large,
                        httplib::Response* to) {
  thread_local std::vector<Header> headers;
  thread_local Response answer;
  headers.clear();
  for (const auto& [name, value] : from.headers) headers.push_back({name, value});
  Request request;
  request.method = from.method;
  const std::string_view target = from.target;
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  request.headers = headers;
  request.body = body;
  request.body_too_large = too_large;
  app_->Handle(request, &answer);

  to->status = answer.status;
  for (auto& [name, value] : answer.headers) {
    to->headers.emplace(std::string(name), std::move(value));
  }
  if (answer.stream != nullptr) {
    SocketBuffer* buffer = &current_connection->buffer;
    buffer->SetStreaming();
    current_connection->close_after = true;
    std::shared_ptr<EventStream> events = std::move(answer.stream);
    to->set_chunked_content_provider(
        std::string(answer.content_type), [events, buffer](size_t, httplib::DataSink& sink) {
          std::string bytes;
          const bool more = events->Next(&bytes) && !buffer->PeerIsGone();
          if (!bytes.empty() && !sink.write(bytes.data(), bytes.size())) return false;
          if (!more) sink.done();
          return true;
        });
    return;
  }
  if (!answer.body.empty()) {
    to->headers.emplace("Content-Type", std::string(answer.content_type));
    to->body = std::move(answer.body);
  }
}

void HttpServer::Drain() {
  draining_.store(true);
  stop();  // Closes the listening socket.
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(options_.drain_timeout_s);
  {
    MutexLock lock(&mutex_);
    for (Connection* connection : connections_) connection->buffer.WakeIdle();
  }
  while (threads_.busy() > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  {
    MutexLock lock(&mutex_);
    for (Connection* connection : connections_) connection->buffer.Abort();
  }
  threads_.Join();
}

// A thousand connections and a database need more descriptors than many shells allow by default.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kWantedFiles) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, kWantedFiles);
  setrlimit(RLIMIT_NOFILE, &limit);
}

class HttplibListener : public Listener {
 public:
  HttplibListener(App* app, const ListenerOptions& options) : http_(app, options) {}
  ~HttplibListener() override { Stop(); }

  absl::Status Start(const ListenerOptions& options) {
    RaiseFileLimit();
    errno = 0;
    if (options.port == 0) {
      port_ = http_.bind_to_any_port(options.host);
    } else {
      port_ = http_.bind_to_port(options.host, options.port) ? options.port : -1;
    }
    if (port_ < 0) {
      const std::string why = errno == EADDRINUSE ? "another program is using the port"
                              : errno != 0        ? std::strerror(errno)
                                                  : "the address is not one of this machine";
      return Unavailable("Cannot listen on " + options.host + ":" + std::to_string(options.port) +
                         ": " + why + "; choose another with --listen HOST:PORT.");
    }
    http_.RaiseBacklog();
    thread_ = std::thread([this] { http_.listen_after_bind(); });
    while (!http_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  void Stop() override {
    MutexLock lock(&stop_mutex_);
    if (stopped_) return;
    stopped_ = true;
    if (!thread_.joinable()) return;
    http_.Drain();
    thread_.join();
  }

 private:
  HttpServer http_;
  int port_ = -1;
  std::thread thread_;
  Mutex stop_mutex_;
  bool stopped_ ABSL_GUARDED_BY(stop_mutex_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> StartListener(App* app, const ListenerOptions& options) {
  auto listener = std::make_unique<HttplibListener>(app, options);
  FULCRUM_RETURN_IF_ERROR(listener->Start(options));
  return listener;
}

}  // namespace fulcrum::server
