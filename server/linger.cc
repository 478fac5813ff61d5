// SPDX-License-Identifier: Apache-2.0
#include "server/linger.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

namespace fulcrum::server {
namespace {

constexpr int64_t kLingerMs = 2000;
constexpr int kMaxLingering = 4096;

int64_t SteadyMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// False when the peer has closed too.
bool Drop(int fd) {
  char bytes[4096];
  for (int i = 0; i < 64; ++i) {  // Bounded, so that one flood does not starve the others.
    const ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  }
  return true;
}

}  // namespace

Linger::Linger() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
    wake_read_ = ends[0];
    wake_write_ = ends[1];
  }
  thread_ = std::thread([this] { Run(); });
}

Linger::~Linger() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
  }
  [[maybe_unused]] const ssize_t woken = write(wake_write_, "x", 1);
  thread_.join();
  close(wake_read_);
  close(wake_write_);
}

void Linger::Close(int fd) {
  shutdown(fd, SHUT_WR);
  {
    MutexLock lock(&mutex_);
    if (!stop_ && lingering_ < kMaxLingering) {
      ++lingering_;
      arrivals_.push_back({fd, SteadyMs() + kLingerMs});
      fd = -1;
    }
  }
  if (fd >= 0) {
    close(fd);
    return;
  }
  [[maybe_unused]] const ssize_t woken = write(wake_write_, "x", 1);  // Full = awake anyway.
}

void Linger::Run() {
  std::vector<Socket> sockets;
  std::vector<pollfd> waited;
  for (;;) {
    int closed = 0;
    const int64_t now_ms = SteadyMs();
    for (size_t i = 0; i < sockets.size();) {
      if (sockets[i].deadline_ms > now_ms && Drop(sockets[i].fd)) {
        ++i;
        continue;
      }
      close(sockets[i].fd);
      sockets[i] = sockets.back();
      sockets.pop_back();
      ++closed;
    }
    {
      MutexLock lock(&mutex_);
      lingering_ -= closed;
      sockets.insert(sockets.end(), arrivals_.begin(), arrivals_.end());
      arrivals_.clear();
      if (stop_) break;
    }
    waited.assign(1, pollfd{wake_read_, POLLIN, 0});
    for (const Socket& socket : sockets) waited.push_back({socket.fd, POLLIN, 0});
    poll(waited.data(), waited.size(), sockets.empty() ? 60'000 : 100);
    char bytes[64];
    while (read(wake_read_, bytes, sizeof bytes) > 0) {
    }
  }
  for (const Socket& socket : sockets) close(socket.fd);
}

}  // namespace fulcrum::server
