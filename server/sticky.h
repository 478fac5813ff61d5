// SPDX-License-Identifier: Apache-2.0
//
// What units of sticky experiments were given, so that they keep it when their attributes or the
// traffic change. Durable in the store before it is answered; all of it in memory for looking up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "core/context.h"
#include "server/published.h"
#include "store/store.h"

namespace fulcrum::server {

// The priors of one request; the views in it are of its own strings.
struct PriorBuffer {
  std::vector<std::string> variants;
  std::vector<core::Prior> priors;
};

// Thread-safe.
class StickyTable {
 public:
  void Load(const std::vector<store::StickyAssignment>& assignments);

  // What the context's units were given in the sticky experiments of the snapshot.
  void FindPriors(const Published& published, const core::Context& context,
                  PriorBuffer* buffer) const;

  // Makes it durable unless the unit has one already; true where it had another variant, so that
  // the decision is to be made again with it.
  absl::StatusOr<bool> Keep(store::Store& store, std::string_view experiment, std::string_view unit,
                            std::string_view variant, int32_t phase);

 private:
  struct Given {
    std::string variant;
    int32_t phase = 0;
  };
  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, Given> given_ ABSL_GUARDED_BY(mutex_);  // experiment \n unit.
};

}  // namespace fulcrum::server
