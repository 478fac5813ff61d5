// SPDX-License-Identifier: Apache-2.0
//
// One connection's bytes: buffered both ways, so that a keep-alive request costs one receive and
// one send, with a deadline for each request and a limit on its header. Knows nothing of HTTP.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fulcrum::server {

inline constexpr size_t kMaxHeaderBytes = 64 << 10;

// Used by one thread, except is_idle() and WakeIdle(). Does not own the descriptor.
class SocketBuffer {
 public:
  SocketBuffer(int fd, int idle_timeout_s, int request_timeout_s);

  // Blocks until the first byte of a request is there; false when the peer has closed, nothing
  // came in the idle time, or `stop` became true. Starts the request's deadline.
  bool WaitForRequest(const std::atomic<bool>& stop);

  // From the buffer, else from the socket; 0 at the end, -1 on error, past the request's deadline
  // or, before BeginBody(), past kMaxHeaderBytes. Sends what is waiting to be sent first.
  ssize_t Read(char* out, size_t size);
  // After the header: the limit on its size ends here.
  void BeginBody() { header_left_ = SIZE_MAX; }
  // Exactly `size` bytes appended to *out; false where they do not come.
  bool ReadExactly(size_t size, std::string* out);

  // Collects; goes out with Flush, or by itself when much has gathered or in streaming mode.
  bool Write(std::string_view bytes);
  bool Flush();
  void SetStreaming() { streaming_ = true; }
  // A peer that has closed its end; for streams, which otherwise never read.
  bool PeerIsGone() const;

  int fd() const { return fd_; }
  bool failed() const { return failed_; }
  // Any thread: ends the wait of a connection between requests; a request under way goes on.
  void WakeIdle();
  // Any thread: ends whatever it is doing.
  void Abort();

 private:
  ssize_t Fill();
  bool WaitReadable();

  const int fd_;
  const std::chrono::seconds request_timeout_;
  std::chrono::steady_clock::time_point deadline_;
  std::vector<char> in_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t header_left_ = kMaxHeaderBytes;
  std::string out_;
  bool streaming_ = false;
  bool failed_ = false;
  std::atomic<bool> idle_{true};
};

}  // namespace fulcrum::server
