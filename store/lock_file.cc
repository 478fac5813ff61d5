// SPDX-License-Identifier: Apache-2.0
#include "store/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/status.h"

namespace fulcrum::store {

absl::StatusOr<LockFile> LockFile::Acquire(const std::string& path) {
  LockFile lock;
  lock.fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock.fd_ < 0) {
    const int error = errno;
    const std::string message = "cannot make the lock file " + path + ": " + strerror(error);
    if (error == EACCES || error == EPERM || error == EROFS) {
      return absl::PermissionDeniedError(message + " (the data directory must be writable)");
    }
    return Unavailable(message);
  }
  if (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    char owner[32] = {};
    const ssize_t size = pread(lock.fd_, owner, sizeof owner - 1, 0);
    std::string who = size > 0 ? std::string(owner, static_cast<size_t>(size)) : "unknown";
    while (!who.empty() && who.back() == '\n') who.pop_back();
    return FailedPrecondition("another process (id " + who + ") uses this data directory (" + path +
                              "); stop it, ask it over HTTP, or give another directory");
  }
  const std::string id = std::to_string(getpid()) + "\n";
  // What it says is a help to people; the lock itself does not depend on it.
  if (ftruncate(lock.fd_, 0) != 0 || pwrite(lock.fd_, id.data(), id.size(), 0) < 0) {
    return lock;
  }
  return lock;
}

LockFile::~LockFile() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace fulcrum::store
