// SPDX-License-Identifier: Apache-2.0
//
// The part that every kind of batch shares: outcomes by index, making it durable, the answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/batch_items.h"
#include "server/ingest.h"

namespace fulcrum::server {

// One batch under way; reuses this thread's storage, so only one at a time per thread.
class BatchSession {
 public:
  explicit BatchSession(const IngestContext& context);

  BatchItems& items() { return items_; }
  // Counts the outcome of item `index`; what is accepted has been added to items() already.
  void Note(ItemKind kind, int64_t index, ItemOutcome outcome, const ItemError& error);
  void Reject(ItemKind kind, int64_t index, std::string_view why);
  // An item that is understood and deliberately not kept; counted as accepted by nobody.
  void Ignore() { ++ignored_; }
  // For `client` counts, whose indices are their own.
  void NoteClient(int64_t index, ItemOutcome outcome, const ItemError& error);

  // Makes it durable and writes the answer. `batch_id` as sent ("" = none).
  void Finish(std::string_view batch_id, std::string_view body, Response* response);

 private:
  struct Rejection {
    int64_t index;
    std::string error;
  };
  struct Tally {
    int64_t by_outcome[kItemOutcomeCount] = {};
  };
  int64_t Total(ItemOutcome outcome) const;
  void Print(int64_t accepted, int64_t duplicates, Response* response) const;

  const IngestContext& context_;
  BatchItems& items_;
  Tally tallies_[kItemKindCount];
  std::vector<Rejection> rejected_;
  std::vector<Rejection> client_rejected_;
  int64_t ignored_ = 0;
};

// The batch id in force: the body's or the Idempotency-Key header's. False, with the reply made,
// where they differ or cannot be an id.
bool ResolveBatchId(const Request& request, std::string_view in_body, std::string* batch_id,
                    Response* response);

// 413 with the limit named.
void ReplyTooManyItems(const Limits& limits, Response* response);

}  // namespace fulcrum::server
