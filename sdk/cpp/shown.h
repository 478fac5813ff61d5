// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <utility>

namespace fulcrum::sdk {

// The exposures that were logged, by the hash of what makes one distinct. Bounded: two generations
// of half the capacity each; when the younger is full the older is forgotten, so that whatever was
// seen among the last capacity/2 distinct ones is known, and nothing beyond the last capacity.
// Guarded by the client's mutex.
class ShownSet {
 public:
  explicit ShownSet(size_t capacity) : half_(capacity < 2 ? capacity : capacity / 2) {}

  bool Contains(uint64_t hash) {
    if (young_.count(hash) != 0) return true;
    if (old_.count(hash) == 0) return false;
    Insert(hash);  // asked for again: young once more
    return true;
  }
  void Insert(uint64_t hash) {
    if (half_ == 0) return;
    if (young_.size() >= half_) {
      old_ = std::move(young_);
      young_.clear();
    }
    young_.insert(hash);
  }

 private:
  size_t half_;
  std::unordered_set<uint64_t> young_;
  std::unordered_set<uint64_t> old_;
};

}  // namespace fulcrum::sdk
