// SPDX-License-Identifier: Apache-2.0
#include "store/pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/status.h"

namespace fulcrum::store {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;

size_t RoundUp(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

absl::StatusOr<int> MakeFile(const std::string& directory) {
  std::error_code ignored;
  std::filesystem::create_directories(directory, ignored);
  std::string path = directory + "/fold-XXXXXX";
  const int file = ::mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) {
    return Unavailable("the report needs a file in " + directory + " for what does not fit into " +
                       "its memory limit, and cannot make one: " + strerror(errno));
  }
  ::unlink(path.c_str());
  return file;
}

}  // namespace

Pages& Pages::operator=(Pages&& other) noexcept {
  if (this != &other) {
    Free();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    held_ = std::exchange(other.held_, 0);
    file_ = std::exchange(other.file_, -1);
  }
  return *this;
}

void Pages::Free() {
  if (data_ != nullptr) ::munmap(data_, held_);
  if (file_ >= 0) ::close(file_);
  data_ = nullptr;
  size_ = held_ = 0;
  file_ = -1;
}

absl::Status Pages::Resize(size_t bytes, const std::string& spill_directory) {
  if (bytes == 0 || bytes <= held_) {
    size_ = bytes;
    return absl::OkStatus();
  }
  const bool first = data_ == nullptr;
  if (first && !spill_directory.empty()) {
    FULCRUM_ASSIGN_OR_RETURN(file_, MakeFile(spill_directory));
  }
  const size_t want = RoundUp(bytes, bytes >= kHugePage ? kHugePage : kPage);
  if (file_ >= 0 && ::ftruncate(file_, static_cast<off_t>(want)) != 0) {
    return Unavailable(
        "the report needs " + std::to_string(want >> 20) +
        " MiB on disk for what does not fit into its memory limit: " + strerror(errno));
  }
  void* at = nullptr;
  if (!first) {
    at = ::mremap(data_, held_, want, MREMAP_MAYMOVE);
  } else if (file_ >= 0) {
    at = ::mmap(nullptr, want, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  } else {
    at = ::mmap(nullptr, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (at == MAP_FAILED) {
    return absl::ResourceExhaustedError("the system has no " + std::to_string(want >> 20) +
                                        " MiB of memory for the report; ask for fewer metrics at "
                                        "once, or give it less memory to use (it then spills)");
  }
  if (file_ < 0 && want >= kHugePage) ::madvise(at, want, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(at);
  size_ = bytes;
  held_ = want;
  return absl::OkStatus();
}

void Pages::Release(size_t begin, size_t end) const {
  if (file_ < 0) return;
  begin = RoundUp(begin, kPage);
  end = std::min(end, size_) / kPage * kPage;
  if (begin >= end) return;
  // Written first: otherwise the bytes stay as dirty pages, which count as memory all the same.
  ::msync(data_ + begin, end - begin, MS_SYNC);
  ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
  ::posix_fadvise(file_, static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                  POSIX_FADV_DONTNEED);
}

}  // namespace fulcrum::store
