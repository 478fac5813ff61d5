// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/cpp/arms.h"
#include "sdk/cpp/batch.h"
#include "sdk/cpp/include/fulcrum/client.h"
#include "sdk/cpp/transport.h"

namespace fulcrum::sdk {

// Exposures and events on their way to the server. Nothing is lost but what is counted as dropped:
// items wait in an open batch, then in sealed ones, first in first out, in memory or on disk; a
// sealed batch keeps its id and its bytes until it is answered, so that the server counts it once
// however often it is sent.
//
// All of it is guarded by the client's mutex. The functions that wait for the network or the disk
// take the lock and let go of it while they do; each of those is called by one thread only (the
// sender: Adopt, SendOne; the keeper: SpillAll) but for Drain's end, when no thread is left.
class Outbox {
 public:
  // `name` is unique to this process and client; batch ids begin with it.
  // `spool` is nullptr where nothing may be put on disk.
  Outbox(const ClientOptions& options, std::string name, const Clock* clock, ArmTable* arms,
         Spool* spool, std::mutex* mutex);

  // --- With the mutex held ---
  // False, and counted, where there is no room. `arm` is of an exposure, nullptr for an event.
  bool Add(ItemKind kind, std::string_view item, Arm* arm);
  bool HasRoom(size_t bytes) const;
  // "<name>-<n>", for an item without an id of its own.
  std::string NextItemId();
  // Closes the open batches, and makes one of counts alone where some are untold.
  void SealAll();
  // Whether everything is answered.
  bool IsEmpty() const;
  bool is_away() const { return failures_ > 0; }
  int64_t failures() const { return retried_; }  // of requests, ever
  // Whether SpillAll has something to do: the server is away, or memory is half full.
  bool wants_spill() const { return FirstToSpill(false) != nullptr; }
  // Tries again now, unless the server said when.
  void HurryUp();
  // Counted as dropped: what cannot be written as JSON.
  void Refuse(ItemKind kind, Arm* arm);
  // Milliseconds until SendOne has something to do; 0: now.
  int64_t WaitMs() const;
  void FillStats(ClientStats* stats) const;
  // Whatever is left is dropped, and counted.
  void DropAll();

  // --- Without it ---
  // Sends the first batch that is due, if there is one. A sentence in *problem where it failed.
  void SendOne(Connection* connection, std::string* problem);
  // What earlier processes left comes first.
  void Adopt(std::vector<std::string>* problems);
  // Sealed batches onto the disk, while it has room; all of them where `is_end`. False with a
  // sentence where the disk fails.
  bool SpillAll(bool is_end, std::string* problem);

 private:
  enum class Outcome { kDone, kRetry, kRefused };
  struct Open {
    Batch batch;
    int64_t since_ms = 0;  // steady, of the first item
  };
  void Seal(Open* open);
  void SealCounts();
  void AppendTold(Batch* batch, std::string* body);
  Outcome Judge(const HttpResponse& response, const Batch& batch, const std::string& body,
                std::string* problem);
  void NoteRejected(const HttpResponse& response, const Batch& batch, const std::string& body,
                    std::string* problem);
  void Drop(const Batch& batch);
  void ScheduleRetry(int retry_after_s);
  std::string NextId();
  std::shared_ptr<Batch> FirstToSpill(bool is_end) const;

  const ClientOptions& options_;
  const std::string name_;
  const Clock* clock_;
  ArmTable* arms_;
  std::mutex* mutex_;
  Spool* spool_;

  Open open_[kItemKindCount];
  std::deque<std::shared_ptr<Batch>> sealed_;
  std::shared_ptr<Batch> spilling_;  // being written; is in sealed_ as well
  bool is_sending_ = false;          // the first of sealed_
  bool spool_failed_ = false;        // until something is sent again
  int64_t memory_bytes_ = 0;
  int64_t memory_items_ = 0;
  int64_t spilled_bytes_ = 0;
  int64_t spilled_batches_ = 0;
  int64_t serial_ = 0;
  int64_t item_serial_ = 0;
  int failures_ = 0;           // in a row
  int64_t retry_at_ms_ = 0;    // steady
  int64_t not_before_ms_ = 0;  // steady: what the server's Retry-After said
  int64_t counts_at_ms_ = 0;   // steady: when counts were last told
  std::mt19937_64 random_;

  int64_t sent_[kItemKindCount] = {};
  int64_t dropped_[kItemKindCount] = {};
  int64_t retried_ = 0;
};

}  // namespace fulcrum::sdk
