// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace fulcrum::sdk {

// What happened to one variant of one experiment, over the life of a client.
struct Arm {
  Arm(std::string_view of, std::string_view key) : experiment(of), variant(key) {}
  const std::string experiment;
  const std::string variant;
  std::atomic<int64_t> assigned{0};  // counted by getters, without a lock

  // The rest is guarded by the client's mutex.
  int64_t shown = 0;
  int64_t sent = 0;
  int64_t dropped = 0;
  // What batches have told the server already, or carry to it.
  int64_t told_assigned = 0;
  int64_t told_shown = 0;
  int64_t told_dropped = 0;
};

// Guarded by the client's mutex; an Arm stays where it is for as long as the table lives.
class ArmTable {
 public:
  Arm* Of(std::string_view experiment, std::string_view variant) {
    key_.assign(experiment).append("\n").append(variant);
    const auto at = arms_.find(key_);
    if (at != arms_.end()) return at->second.get();
    return arms_.emplace(key_, std::make_unique<Arm>(experiment, variant)).first->second.get();
  }
  template <typename Use>
  void ForEach(Use use) const {
    for (const auto& [key, arm] : arms_) use(*arm);
  }

 private:
  std::unordered_map<std::string, std::unique_ptr<Arm>> arms_;
  std::string key_;
};

}  // namespace fulcrum::sdk
