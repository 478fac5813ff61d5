// SPDX-License-Identifier: Apache-2.0
//
// Large zeroed memory straight from the system: in huge pages where it gives them, because a fold
// that touches a record here and there waits for the address tables as much as for memory; or, when
// it must not count as memory, in a file that nobody else sees.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"

namespace fulcrum::store {

// Not thread-safe, but its bytes are anyone's.
class Pages {
 public:
  Pages() = default;
  ~Pages() { Free(); }
  Pages(Pages&& other) noexcept { *this = std::move(other); }
  Pages& operator=(Pages&& other) noexcept;

  // Bytes there are stay, new ones are 0; the address may change. With a `spill_directory` (only
  // heeded while it is empty) the bytes are in a file there, which is gone when the object is.
  // ResourceExhausted: the system has no more; Unavailable: the file cannot be made.
  absl::Status Resize(size_t bytes, const std::string& spill_directory = "");
  // Of a file: these bytes need not stay in memory. They can still be read.
  void Release(size_t begin, size_t end) const;
  void Free();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  bool spilled() const { return file_ >= 0; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;  // As asked for.
  size_t held_ = 0;  // As mapped.
  int file_ = -1;
};

}  // namespace fulcrum::store
