// SPDX-License-Identifier: Apache-2.0
//
// The process that is cut off: appends batches from several threads and says on standard output
// which were acknowledged, one "<thread>/<number>" a line. Ends when it is ended.
//
//   store_fault_child DIRECTORY ROUND store|inbox|inbox-without-sync
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "store/embedded_store.h"

namespace fulcrum::store {
namespace {

constexpr int kThreads = 3;
constexpr int kBatches = 400;
constexpr int kEventsPerBatch = 7;

void Fail(const absl::Status& status) {
  std::fprintf(stderr, "store_fault_child: %s\n", status.ToString().c_str());
  _exit(3);
}

// The events of a batch name it, so that the test can count them after.
void FillBatch(const std::string& name, BatchBuilder* batch) {
  batch->Clear();
  for (int i = 0; i < kEventsPerBatch; ++i) {
    const UnitRef ids[] = {{"batch", name}};
    const std::string event_id = name + "/" + std::to_string(i);
    batch->Add(EventView{
        .event_id = event_id, .name = "sent", .ts_ms = 1'750'000'000'000 + i, .ids = ids});
  }
}

template <typename Append>
void AppendBatches(const std::string& round, int thread, const Append& append) {
  BatchBuilder batch;
  for (int i = 0; i < kBatches; ++i) {
    const std::string name = round + "/" + std::to_string(thread) + "/" + std::to_string(i);
    FillBatch(name, &batch);
    const absl::StatusOr<AppendResult> result = append(AppendRequest{
        .batch_id = name,
        .body_hash = 1,
        .payload = batch.payload(),
        .items = batch.size(),
        .received_ms = 1'750'000'000'000 + i,
    });
    if (!result.ok()) Fail(result.status());
    const std::string line = name + "\n";
    if (write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(4);
  }
}

// Loading and DuckDB's checkpoints go on meanwhile, so that the cut may fall into them.
void LoadAndCheckpoint(EmbeddedStore* store) {
  while (true) {
    if (const absl::Status status = store->Flush(); !status.ok()) Fail(status);
    absl::StatusOr<AnalyticsSession> session = store->Connect();
    if (!session.ok()) Fail(session.status());
    // Refused while a load commits; the next one comes soon.
    session->connection.Execute("CHECKPOINT").IgnoreError();
    usleep(5000);
  }
}

int Main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string directory = argv[1];
  const std::string round = argv[2];
  const std::string mode = argv[3];
  std::vector<std::thread> threads;
  std::unique_ptr<EmbeddedStore> store;
  std::unique_ptr<Inbox> inbox;
  if (mode == "store") {
    auto opened = EmbeddedStore::Open({.directory = directory});
    if (!opened.ok()) Fail(opened.status());
    store = std::move(*opened);
    std::thread(LoadAndCheckpoint, store.get()).detach();
  } else {
    auto opened = Inbox::Open({.path = directory + "/inbox.sqlite",
                               .wal_target_bytes = 1 << 20,
                               .unsafe_without_sync = mode == "inbox-without-sync"});
    if (!opened.ok()) Fail(opened.status());
    inbox = std::move(*opened);
    if (const absl::Status status = inbox->StartAt(0); !status.ok()) Fail(status);
  }
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      AppendBatches(round, thread, [&](const AppendRequest& request) {
        return store ? store->Append(request) : inbox->Append(request);
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(0);
}

}  // namespace
}  // namespace fulcrum::store

int main(int argc, char** argv) { return fulcrum::store::Main(argc, argv); }
