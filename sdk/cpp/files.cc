// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace fulcrum::sdk {
namespace {

bool Fail(const std::string& what, const std::string& path, std::string* error) {
  *error = what + " '" + path + "': " + std::generic_category().message(errno) + ".";
  return false;
}

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

bool MakeDirectories(const std::string& path, std::string* error) {
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  if (!problem) return true;
  *error = "Cannot make the directory '" + path + "': " + problem.message() + ".";
  return false;
}

bool WriteWhole(const std::string& path, std::string_view bytes, std::string* error) {
  static std::atomic<unsigned> serial{0};
  const std::string beside =
      path + "." + std::to_string(getpid()) + "-" + std::to_string(++serial) + ".new";
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Fail("Cannot write", beside, error);
  bool ok = WriteAll(fd, bytes) && fdatasync(fd) == 0;
  const int why = errno;
  ok = close(fd) == 0 && ok;
  if (!ok) errno = why;
  if (!ok || rename(beside.c_str(), path.c_str()) != 0) {
    Fail("Cannot write", path, error);
    unlink(beside.c_str());
    return false;
  }
  return true;
}

bool AppendTo(const std::string& path, std::string_view bytes, std::string* error) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return Fail("Cannot write", path, error);
  const bool ok = WriteAll(fd, bytes);
  if (!ok) Fail("Cannot write", path, error);
  close(fd);
  return ok;
}

bool ReadWhole(const std::string& path, std::string* bytes, bool* is_there, std::string* error) {
  bytes->clear();
  *is_there = false;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT || Fail("Cannot read", path, error);
  *is_there = true;
  char buffer[1 << 16];
  ssize_t n = 0;
  while ((n = read(fd, buffer, sizeof buffer)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    bytes->append(buffer, static_cast<size_t>(n));
  }
  if (n < 0) Fail("Cannot read", path, error);
  close(fd);
  return n == 0;
}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  if (this != &other) {
    Release();
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

bool FileLock::Take(const std::string& path, int how) {
  if (fd_ < 0) fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ >= 0 && flock(fd_, how | LOCK_NB) == 0) return true;
  Release();
  return false;
}

bool FileLock::TryExclusive(const std::string& path) { return Take(path, LOCK_EX); }
bool FileLock::Shared(const std::string& path) { return Take(path, LOCK_SH); }

void FileLock::Release() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace fulcrum::sdk
