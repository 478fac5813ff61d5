// SPDX-License-Identifier: Apache-2.0
//
// Events on their way from a scan to the fold, sorted into partitions of units: a partition's state
// fits into the cache of one core, so that the fold waits for memory once a partition and not once
// an event. Several threads put records in, then several take partitions out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "store/duckdb_api.h"
#include "store/fold.h"
#include "store/pages.h"

namespace fulcrum::store {

class EventRecords {
 public:
  // Of units [first_unit, end_unit), whose state takes `state_bytes` each.
  EventRecords(const RecordShape& shape, uint32_t first_unit, uint32_t end_unit,
               size_t state_bytes);

  // What one thread puts in; each thread has its own.
  class Writer {
   public:
    explicit Writer(const EventRecords& records)
        : shape_(records.shape_),
          words_(shape_.words()),
          shift_(records.shift_),
          first_(records.first_unit_) {
      cursors_.resize(records.partitions());
      blocks_.resize(records.partitions());
    }
    // Puts in the key of an event of a unit in the range; returns where its other words go.
    uint64_t* Add(uint32_t unit, uint32_t code, int64_t ts_ms) {
      const uint32_t local = unit - first_;
      const size_t partition = local >> shift_;
      Cursor& cursor = cursors_[partition];
      if (cursor.at == cursor.end) NextBlock(partition);
      uint64_t* record = cursor.at;
      cursor.at += words_;
      *record = shape_.Key(ts_ms, code, local & ((1U << shift_) - 1));
      return record + 1;
    }

   private:
    friend class EventRecords;
    static constexpr size_t kBlockRecords = 128;
    static constexpr size_t kSlabBlocks = 1024;
    struct Cursor {
      uint64_t* at = nullptr;
      uint64_t* end = nullptr;
    };
    void NextBlock(size_t partition);

    const RecordShape shape_;
    const size_t words_;
    const int shift_;
    const uint32_t first_;
    std::vector<Cursor> cursors_;
    std::vector<std::vector<const uint64_t*>> blocks_;
    std::vector<Pages> slabs_;
    size_t used_blocks_ = 0;
  };

  // The writer of a worker of a scan. Made at its first call; not while another thread asks for
  // the same worker.
  Writer& writer(int worker) {
    std::unique_ptr<Writer>& writer = writers_[static_cast<size_t>(worker)];
    if (writer == nullptr) writer = std::make_unique<Writer>(*this);
    return *writer;
  }

  const RecordShape& shape() const { return shape_; }
  uint32_t first_unit() const { return first_unit_; }
  uint32_t end_unit() const { return end_unit_; }

  // Folds everything that was put in, on the fold's threads, and forgets it (keeping the room).
  void FoldInto(Fold* fold, int threads);

 private:
  size_t partitions() const { return ((end_unit_ - first_unit_) >> shift_) + 1; }

  const RecordShape shape_;
  const uint32_t first_unit_;
  const uint32_t end_unit_;
  int shift_ = 0;
  std::array<std::unique_ptr<Writer>, duckdb::RowSink::kMaxWorkers> writers_;
};

}  // namespace fulcrum::store
