// SPDX-License-Identifier: Apache-2.0
#include "server/socket_buffer.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fulcrum::server {
namespace {

constexpr size_t kInBytes = 16 << 10;
constexpr size_t kMaxOutBytes = 256 << 10;
constexpr int kSendTimeoutS = 10;

void SetTimeout(int fd, int option, int seconds) {
  timeval time{};
  time.tv_sec = seconds;
  setsockopt(fd, SOL_SOCKET, option, &time, sizeof time);
}

}  // namespace

SocketBuffer::SocketBuffer(int fd, int idle_timeout_s, int request_timeout_s)
    : fd_(fd), request_timeout_(request_timeout_s), in_(kInBytes) {
  SetTimeout(fd, SO_RCVTIMEO, idle_timeout_s);  // Of the blocking receive between requests.
  SetTimeout(fd, SO_SNDTIMEO, kSendTimeoutS);
}

bool SocketBuffer::WaitForRequest(const std::atomic<bool>& stop) {
  header_left_ = kMaxHeaderBytes;
  if (begin_ == end_) {
    idle_.store(true);  // Before the look at `stop`: either we see it or WakeIdle sees us.
    if (stop.load()) return false;
    ssize_t got;
    do {
      got = recv(fd_, in_.data(), in_.size(), 0);
    } while (got < 0 && errno == EINTR);
    idle_.store(false);
    if (got <= 0) return false;
    begin_ = 0;
    end_ = static_cast<size_t>(got);
  }
  deadline_ = std::chrono::steady_clock::now() + request_timeout_;
  return true;
}

bool SocketBuffer::WaitReadable() {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline_ - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd waited{fd_, POLLIN, 0};
    const int ready = poll(&waited, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

ssize_t SocketBuffer::Fill() {
  if (!Flush()) return -1;  // The peer may be waiting for it ("100 Continue").
  for (;;) {
    const ssize_t got = recv(fd_, in_.data(), in_.size(), MSG_DONTWAIT);
    if (got >= 0) {
      begin_ = 0;
      end_ = static_cast<size_t>(got);
      return got;
    }
    if (errno == EINTR) continue;
    if ((errno != EAGAIN && errno != EWOULDBLOCK) || !WaitReadable()) return -1;
  }
}

ssize_t SocketBuffer::Read(char* out, size_t size) {
  if (begin_ == end_) {
    const ssize_t got = Fill();
    if (got <= 0) {
      failed_ = true;  // In the middle of a request: nothing more can be made of this connection.
      return got;
    }
  }
  const size_t n = std::min({size, end_ - begin_, header_left_});
  if (n == 0) {
    failed_ = true;
    return -1;
  }
  std::memcpy(out, in_.data() + begin_, n);
  begin_ += n;
  if (header_left_ != SIZE_MAX) header_left_ -= n;
  return static_cast<ssize_t>(n);
}

bool SocketBuffer::ReadExactly(size_t size, std::string* out) {
  const size_t start = out->size();
  out->resize(start + size);
  size_t done = std::min(size, end_ - begin_);
  std::memcpy(out->data() + start, in_.data() + begin_, done);
  begin_ += done;
  if (done == size) return true;
  if (!Flush()) return false;
  while (done < size) {  // Straight to where it belongs: large batches are not copied twice.
    const ssize_t got = recv(fd_, out->data() + start + done, size - done, MSG_DONTWAIT);
    if (got > 0) {
      done += static_cast<size_t>(got);
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK) || !WaitReadable()) {
      failed_ = true;
      return false;
    }
  }
  return true;
}

bool SocketBuffer::Write(std::string_view bytes) {
  if (failed_) return false;
  out_.append(bytes);
  return streaming_ || out_.size() >= kMaxOutBytes ? Flush() : true;
}

bool SocketBuffer::Flush() {
  size_t sent = 0;
  while (sent < out_.size() && !failed_) {
    const ssize_t n = send(fd_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      failed_ = true;
    }
  }
  out_.clear();
  return !failed_;
}

bool SocketBuffer::PeerIsGone() const {
  pollfd waited{fd_, POLLRDHUP, 0};
  return poll(&waited, 1, 0) > 0 && (waited.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void SocketBuffer::WakeIdle() {
  // What has been received already is still read, so a request on its way in is answered.
  if (idle_.load()) shutdown(fd_, SHUT_RD);
}

void SocketBuffer::Abort() { shutdown(fd_, SHUT_RDWR); }

}  // namespace fulcrum::server
