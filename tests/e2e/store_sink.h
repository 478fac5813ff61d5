// SPDX-License-Identifier: Apache-2.0
//
// A world's records as a collector stores them: batched as they arrive, shuffled within a batch,
// some batches sent twice.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "sim/world.h"
#include "store/store.h"

namespace fulcrum::e2e {

class StoreSink : public sim::Sink {
 public:
  // `world` and `store` must outlive it.
  StoreSink(const sim::World& world, store::Store* store, int64_t batch_items);

  void OnRecord(const sim::Record& record) override;
  // Appends what is left. The first error of any append.
  absl::Status Finish();

  int64_t batches() const { return batches_; }

 private:
  void Append();
  void Add(const sim::Record& record);

  const sim::World& world_;
  store::Store* store_;
  size_t batch_items_;
  std::vector<sim::Record> waiting_;
  store::BatchBuilder builder_;
  int64_t batches_ = 0;
  absl::Status status_;
};

}  // namespace fulcrum::e2e
