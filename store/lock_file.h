// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fulcrum::store {

// An advisory lock on a file that holds the process id of its owner. The kernel drops it when the
// process ends, however it ends.
class LockFile {
 public:
  // FailedPrecondition: another process holds it (says which). PermissionDenied, Unavailable: the
  // file cannot be made or written.
  static absl::StatusOr<LockFile> Acquire(const std::string& path);

  LockFile() = default;
  ~LockFile();
  LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LockFile& operator=(LockFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

 private:
  int fd_ = -1;
};

}  // namespace fulcrum::store
