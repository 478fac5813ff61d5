// SPDX-License-Identifier: Apache-2.0
#include "store/event_records.h"

#include <new>

#include "store/pages.h"
#include "store/parallel.h"

namespace fulcrum::store {
namespace {

constexpr size_t kPartitionBytes = 192 << 10;  // Of state; events and indices need room beside it.
constexpr size_t kMaxPartitions = 2048;        // Open blocks that writing goes to, unless more
                                               // are needed to number a partition's units.

}  // namespace

EventRecords::EventRecords(const RecordShape& shape, uint32_t first_unit, uint32_t end_unit,
                           size_t state_bytes)
    : shape_(shape), first_unit_(first_unit), end_unit_(end_unit) {
  while (shift_ < shape.unit_bits() && ((size_t{2} << shift_) * state_bytes <= kPartitionBytes ||
                                        partitions() > kMaxPartitions)) {
    ++shift_;
  }
}

void EventRecords::Writer::NextBlock(size_t partition) {
  const size_t block_words = kBlockRecords * words_;
  if (used_blocks_ == slabs_.size() * kSlabBlocks) {
    Pages slab;
    if (!slab.Resize(kSlabBlocks * block_words * sizeof(uint64_t)).ok()) throw std::bad_alloc();
    slabs_.push_back(std::move(slab));
  }
  auto* slab = reinterpret_cast<uint64_t*>(slabs_[used_blocks_ / kSlabBlocks].data());
  uint64_t* block = slab + used_blocks_ % kSlabBlocks * block_words;
  ++used_blocks_;
  blocks_[partition].push_back(block);
  cursors_[partition] = {block, block + block_words};
}

void EventRecords::FoldInto(Fold* fold, int threads) {
  std::vector<std::vector<RecordSpan>> spans(static_cast<size_t>(threads));
  ForParts(threads, partitions(), [&](size_t partition, int lane) {
    std::vector<RecordSpan>& of = spans[static_cast<size_t>(lane)];
    of.clear();
    for (const std::unique_ptr<Writer>& writer : writers_) {
      if (writer == nullptr) continue;
      for (const uint64_t* block : writer->blocks_[partition]) {
        of.push_back({block, Writer::kBlockRecords});
      }
      if (writer->blocks_[partition].empty()) continue;
      const Writer::Cursor& cursor = writer->cursors_[partition];
      of.back().records -= static_cast<size_t>(cursor.end - cursor.at) / shape_.words();
    }
    if (of.empty()) return;
    const auto first = static_cast<uint32_t>(first_unit_ + (partition << shift_));
    fold->AddRecords(shape_, of, first, std::min(end_unit_, first + (1U << shift_)), lane);
  });
  for (const std::unique_ptr<Writer>& writer : writers_) {
    if (writer == nullptr) continue;
    writer->used_blocks_ = 0;
    for (size_t p = 0; p < partitions(); ++p) {
      writer->blocks_[p].clear();
      writer->cursors_[p] = {};
    }
  }
}

}  // namespace fulcrum::store
