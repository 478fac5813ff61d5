// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

// The few things the client does on disk. False with one sentence in *error where they fail.
namespace fulcrum::sdk {

bool MakeDirectories(const std::string& path, std::string* error);
// The whole file or nothing: written beside it, synced, renamed.
bool WriteWhole(const std::string& path, std::string_view bytes, std::string* error);
// At the end, in one write, so that processes sharing the file do not mix their lines.
bool AppendTo(const std::string& path, std::string_view bytes, std::string* error);
// *is_there is false, and it is no error, where there is no such file.
bool ReadWhole(const std::string& path, std::string* bytes, bool* is_there, std::string* error);

// An advisory lock that ends with its process. Not inherited over exec.
class FileLock {
 public:
  FileLock() = default;
  ~FileLock() { Release(); }
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept;
  bool TryExclusive(const std::string& path);  // false where another holds it
  bool Shared(const std::string& path);        // waits for nobody: false where another has it alone
  void Release();
  bool held() const { return fd_ >= 0; }

 private:
  bool Take(const std::string& path, int how);
  int fd_ = -1;
};

}  // namespace fulcrum::sdk
