// SPDX-License-Identifier: Apache-2.0
//
// A hash table of bounded size that forgets what was not used for longest: two generations, the
// old one dropped when the young one is full. Finding something old makes it young.
#pragma once

#include <cstdint>
#include <utility>

namespace fulcrum::store {

// `Table` is a flat_hash_map or flat_hash_set. Not thread-safe.
template <typename Table>
class Generations {
 public:
  using Key = typename Table::key_type;

  explicit Generations(int64_t max_entries) : max_young_(max_entries / 2) {}

  // True while nothing was ever forgotten: what is not found was never put.
  bool complete() const { return complete_; }
  void set_incomplete() { complete_ = false; }
  int64_t size() const { return static_cast<int64_t>(young_.size() + old_.size()); }

  // nullptr when not there. Valid until the next call.
  typename Table::pointer Find(const Key& key) {
    if (auto it = young_.find(key); it != young_.end()) return Address(it);
    if (old_.empty()) return nullptr;
    const auto it = old_.find(key);
    if (it == old_.end()) return nullptr;
    auto node = old_.extract(it);
    return Address(young_.insert(std::move(node)).position);
  }

  // False when it was there. One probe while nothing is old.
  bool Insert(const typename Table::value_type& value, const Key& key) {
    if (!old_.empty() && Find(key) != nullptr) return false;
    return young_.insert(value).second;
  }

  void Put(const typename Table::value_type& value) { young_.insert(value); }

  // Between groups of work, so that nothing put in a group is forgotten within it.
  void MaybeForget() {
    if (static_cast<int64_t>(young_.size()) < max_young_) return;
    if (!old_.empty()) complete_ = false;
    old_ = std::exchange(young_, Table());
  }

  void Clear() {
    young_.clear();
    old_.clear();
    complete_ = true;
  }

 private:
  static typename Table::pointer Address(typename Table::iterator it) {
    return const_cast<typename Table::pointer>(&*it);
  }

  const int64_t max_young_;
  Table young_;
  Table old_;
  bool complete_ = true;
};

}  // namespace fulcrum::store
