// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sdk/cpp/arms.h"
#include "sdk/cpp/batch.h"
#include "sdk/cpp/include/fulcrum/client.h"
#include "sdk/cpp/outbox.h"
#include "sdk/cpp/priors.h"
#include "sdk/cpp/ready.h"
#include "sdk/cpp/remote.h"
#include "sdk/cpp/shown.h"
#include "sdk/cpp/transport.h"

namespace fulcrum::sdk {

// All of a client that belongs to one process. A forked child gets one of its own (Fork), and
// leaves its parent's alone: nobody is there any more to run its threads or unlock its locks.
//
// Three threads, started at the first call: the poller asks for snapshots, the sender sends
// batches, the keeper writes to the disk. The first two wait for the network, each on its own
// connection.
class State {
 public:
  State(const ClientOptions& options, std::shared_ptr<Transport> transport, const Clock* clock);
  ~State();
  // What a child begins with. The caller holds this one's locks.
  std::unique_ptr<State> Fork() const;
  // In the child: lets go of what both would otherwise hold.
  void Abandon();
  void Lock();  // and Unlock: over a fork
  void Unlock();

  // What is kept on disk; before any thread runs.
  void Load();
  void StartThreads() {
    if (!is_started_.load(std::memory_order_acquire)) StartThreadsOnce();
  }
  // Sends for at most `timeout`, then ends the threads and puts the rest on disk.
  void Stop(std::chrono::milliseconds timeout);

  bool WaitUntilReady(std::chrono::milliseconds timeout);
  Answer Evaluate(std::string_view experiment, const Context& context);
  std::string Explain(std::string_view experiment, const Context& context);
  bool Prefetch(const Context& context);
  bool LogExposure(const Evaluation& evaluation, const std::vector<Attribute>& attributes);
  bool LogEvent(const Event& event);
  bool Flush(std::chrono::milliseconds timeout);
  ClientStats Stats();
  std::vector<ArmCounts> Counts();

 private:
  enum Source { kPolling, kSending, kKeeping, kAsking, kLogging, kSourceCount };
  void StartThreadsOnce();
  bool RunLoop(void (State::*loop)());
  void PollLoop();
  void SendLoop();
  void KeepLoop();
  void Keep(bool is_end);
  void Publish(std::shared_ptr<const core::Snapshot> snapshot, bool is_from_disk);
  // Tells the program, unless this source said the same last; "" is that all is well again.
  void Tell(Source source, const std::string& problem);
  bool Enqueue(ItemKind kind, std::string* item, Arm* arm, const char* id_name);
  int64_t NowMs(const Context& context) const {
    return context.now_ms ? *context.now_ms : clock_->WallMs();
  }
  bool is_local() const { return options_.mode == ClientOptions::Mode::kLocal; }

  const ClientOptions& options_;
  const std::shared_ptr<Transport> transport_;
  const Clock* const clock_;
  const std::string name_;
  ReadyCell ready_;
  Remote remote_;

  std::mutex mutex_;  // guards all below
  std::condition_variable wake_sender_, wake_keeper_, wake_poller_, changed_;
  ArmTable arms_;
  PriorTable priors_;
  ShownSet shown_;
  int64_t repeated_ = 0;
  std::unique_ptr<Spool> spool_;
  Outbox outbox_;
  std::string problems_[kSourceCount];
  std::string last_problem_;
  int64_t snapshots_refused_ = 0;
  bool is_from_disk_ = false;
  bool has_adopted_ = false;  // what earlier processes left is queued
  bool is_ending_ = false;
  int running_ = 0;  // threads

  std::unique_ptr<PriorFile> prior_file_;  // of the keeper
  std::unique_ptr<Connection> poll_connection_, send_connection_;
  std::atomic<bool> is_started_{false};
  std::vector<std::thread> threads_;
};

}  // namespace fulcrum::sdk
