// SPDX-License-Identifier: Apache-2.0
#include "store/inbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "base/status.h"
#include "core/hash.h"
#include "store/store_test_util.h"

namespace fulcrum::store {
namespace {

std::unique_ptr<Inbox> MustOpen(const InboxOptions& options) {
  absl::StatusOr<std::unique_ptr<Inbox>> inbox = Inbox::Open(options);
  EXPECT_TRUE(inbox.ok()) << inbox.status().ToString();
  return inbox.ok() ? std::move(*inbox) : nullptr;
}

absl::StatusOr<AppendResult> Put(Inbox* inbox, std::string_view payload, std::string_view id = "",
                                 uint64_t hash = 0, int64_t received_ms = kTestStartMs) {
  return inbox->Append({.batch_id = id,
                        .body_hash = hash,
                        .payload = payload,
                        .items = 1,
                        .received_ms = received_ms});
}

TEST(Inbox, KeepsBatchesInOrderAcrossRestarts) {
  TempDir dir;
  const InboxOptions options{.path = dir / "inbox.sqlite"};
  std::string id;
  {
    const auto inbox = MustOpen(options);
    ASSERT_TRUE(inbox->StartAt(0).ok());
    EXPECT_EQ(Put(inbox.get(), "one")->sequence, 1);
    EXPECT_EQ(Put(inbox.get(), "two")->sequence, 2);
    id = inbox->store_id();
  }
  const auto inbox = MustOpen(options);
  EXPECT_EQ(inbox->store_id(), id);
  EXPECT_EQ(inbox->durable_sequence(), 2);
  ASSERT_TRUE(inbox->StartAt(1).ok());
  EXPECT_EQ(inbox->backlog_bytes(), 3);
  EXPECT_EQ(Put(inbox.get(), "three")->sequence, 3);
  std::vector<InboxBatch> batches;
  ASSERT_TRUE(inbox->ReadAfter(1, 100, &batches).ok());
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].payload, "two");
  EXPECT_EQ(batches[1].payload, "three");
  EXPECT_EQ(batches[1].checksum, core::Xxh3("three"));
}

TEST(Inbox, RecognisesAReplayAndRefusesAnotherBody) {
  TempDir dir;
  const InboxOptions options{.path = dir / "inbox.sqlite"};
  {
    const auto inbox = MustOpen(options);
    EXPECT_FALSE(Put(inbox.get(), "body", "a", 7)->replayed);
    const auto again = Put(inbox.get(), "body", "a", 7);
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->sequence, 1);
    EXPECT_EQ(Put(inbox.get(), "other", "a", 8).status().code(), absl::StatusCode::kAlreadyExists);
    EXPECT_FALSE(Put(inbox.get(), "body", "", 7)->replayed);
    EXPECT_FALSE(Put(inbox.get(), "body", "", 7)->replayed);
  }
  const auto inbox = MustOpen(options);
  EXPECT_TRUE(Put(inbox.get(), "body", "a", 7)->replayed);
  EXPECT_EQ(inbox->durable_sequence(), 3);
}

TEST(Inbox, RefusesBeyondItsBacklogAndRecovers) {
  TempDir dir;
  const auto inbox = MustOpen({.path = dir / "inbox.sqlite", .max_backlog_bytes = 10});
  ASSERT_TRUE(inbox->StartAt(0).ok());
  ASSERT_TRUE(Put(inbox.get(), "12345678").ok());
  EXPECT_EQ(Put(inbox.get(), "123").status().code(), absl::StatusCode::kResourceExhausted);
  inbox->MarkLoaded(1, 8);
  EXPECT_TRUE(Put(inbox.get(), "123").ok());
}

TEST(Inbox, RemovesWhatWasLoadedAndRemembersItsId) {
  TempDir dir;
  const InboxOptions options{.path = dir / "inbox.sqlite"};
  {
    const auto inbox = MustOpen(options);
    ASSERT_TRUE(inbox->StartAt(0).ok());
    for (int i = 0; i < 500; ++i) {
      ASSERT_TRUE(Put(inbox.get(), "x", "id" + std::to_string(i)).ok());
    }
    inbox->MarkLoaded(400, 400);
    std::vector<InboxBatch> batches;
    for (int tries = 0; tries < 500; ++tries) {
      ASSERT_TRUE(inbox->ReadAfter(0, 1000, &batches).ok());
      if (batches.size() == 100) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_EQ(batches.size(), 100u);
    EXPECT_EQ(batches.front().sequence, 401);
    EXPECT_TRUE(Put(inbox.get(), "x", "id7")->replayed);
  }
  const auto inbox = MustOpen(options);
  EXPECT_EQ(inbox->first_sequence(), 401);
  EXPECT_EQ(inbox->durable_sequence(), 500);
}

TEST(Inbox, ForgetsOldIds) {
  TempDir dir;
  const auto inbox = MustOpen({.path = dir / "inbox.sqlite", .keep_batch_ids_ms = 1000});
  ASSERT_TRUE(inbox->StartAt(0).ok());
  ASSERT_TRUE(Put(inbox.get(), "x", "old", 1, kTestStartMs).ok());
  ASSERT_TRUE(Put(inbox.get(), "x", "new", 1, kTestStartMs + 5000).ok());
  inbox->MarkLoaded(2, 2);
  for (int tries = 0; tries < 500 && Put(inbox.get(), "x", "old", 1)->replayed; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(Put(inbox.get(), "x", "new", 1)->replayed);
}

TEST(Inbox, ManyWritersLoseNothing) {
  TempDir dir;
  const InboxOptions options{.path = dir / "inbox.sqlite", .wal_target_bytes = 1 << 20};
  constexpr int kThreads = 8;
  constexpr int kEach = 100;
  {
    const auto inbox = MustOpen(options);
    ASSERT_TRUE(inbox->StartAt(0).ok());
    std::vector<std::thread> threads;
    std::atomic<int> failures = 0;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&inbox, &failures, t] {
        for (int i = 0; i < kEach; ++i) {
          const std::string payload =
              std::to_string(t) + "/" + std::to_string(i) + std::string(20000, 'x');
          if (!Put(inbox.get(), payload, payload.substr(0, 10)).ok()) ++failures;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(failures, 0);
  }
  const auto inbox = MustOpen(options);
  std::vector<InboxBatch> batches;
  ASSERT_TRUE(inbox->ReadAfter(0, 1 << 20, &batches).ok());
  ASSERT_EQ(batches.size(), static_cast<size_t>(kThreads * kEach));
  std::vector<int> next(kThreads, 0);
  for (const InboxBatch& batch : batches) {
    const int thread = batch.payload[0] - '0';
    EXPECT_EQ(std::stoi(batch.payload.substr(2)), next[static_cast<size_t>(thread)]++);
    EXPECT_EQ(core::Xxh3(batch.payload), batch.checksum);
  }
}

TEST(Inbox, KeepsControlsStickyAndDefinitions) {
  TempDir dir;
  const InboxOptions options{.path = dir / "inbox.sqlite"};
  core::ControlRecord stop;
  stop.ts_ms = 5;
  stop.actor = "ops";
  stop.kind = core::ControlKind::kStop;
  stop.experiment = "checkout";
  stop.reason = "errors";
  stop.variant = "control";
  core::ControlRecord weights = stop;
  weights.kind = core::ControlKind::kSetWeights;
  weights.weights = {{"a", 250000, 1000}, {"b", 750000, 0}};
  {
    const auto inbox = MustOpen(options);
    EXPECT_EQ(*inbox->AppendControl(stop), 1);
    EXPECT_EQ(*inbox->AppendControl(weights), 2);
    ASSERT_TRUE(inbox->PutSticky("checkout", "u1", "a", 2).ok());
    ASSERT_TRUE(inbox->PutSticky("checkout", "u1", "b", 3).ok());
    DefinitionRecord record{
        .received_ms = 1, .kind = "experiment", .key = "checkout", .hash = "h1", .content = "v: 1"};
    ASSERT_TRUE(inbox->PutDefinition(record).ok());
    ASSERT_TRUE(inbox->PutDefinition(record).ok());
    record.hash = "h2";
    ASSERT_TRUE(inbox->PutDefinition(record).ok());
    record.hash = "h1";
    ASSERT_TRUE(inbox->PutDefinition(record).ok());
  }
  const auto inbox = MustOpen(options);
  stop.seq = 1;
  weights.seq = 2;
  EXPECT_EQ(*inbox->ReadControls(), (std::vector<core::ControlRecord>{stop, weights}));
  const auto sticky = *inbox->ReadSticky();
  ASSERT_EQ(sticky.size(), 1u);
  EXPECT_EQ(sticky[0].variant, "a");  // The first write wins.
  EXPECT_EQ(sticky[0].phase, 2);
  std::vector<std::string> hashes;
  const auto definitions = *inbox->ReadDefinitions();
  for (const DefinitionRecord& record : definitions) hashes.push_back(record.hash);
  EXPECT_EQ(hashes, (std::vector<std::string>{"h1", "h2", "h1"}));
}

TEST(Inbox, SetsABatchAsideWithItsBytes) {
  TempDir dir;
  const auto inbox = MustOpen({.path = dir / "inbox.sqlite"});
  ASSERT_TRUE(inbox->StartAt(0).ok());
  ASSERT_TRUE(Put(inbox.get(), "bad").ok());
  ASSERT_TRUE(inbox->SetAside(1, "because").ok());
  ASSERT_TRUE(inbox->SetAside(1, "because").ok());
  EXPECT_EQ(*inbox->SetAsideCount(), 1);
  std::vector<InboxBatch> batches;
  ASSERT_TRUE(inbox->ReadAfter(0, 10, &batches).ok());
  EXPECT_TRUE(batches.empty());
}

TEST(Inbox, RefusesADamagedFileAndLeavesItAlone) {
  TempDir dir;
  const std::string path = dir / "inbox.sqlite";
  const std::string garbage(100000, 'g');
  std::ofstream(path) << garbage;
  const auto inbox = Inbox::Open({.path = path});
  EXPECT_EQ(inbox.status().code(), absl::StatusCode::kDataLoss) << inbox.status().ToString();
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), garbage);
}

// The WAL is used again from its start, although writing never pauses.
TEST(Inbox, TheLogStaysBounded) {
  TempDir dir;
  const auto inbox = MustOpen({.path = dir / "inbox.sqlite", .wal_target_bytes = 2 << 20});
  ASSERT_TRUE(inbox->StartAt(0).ok());
  const std::string payload(100'000, 'x');
  for (int i = 0; i < 900; ++i) {
    const auto result = Put(inbox.get(), payload);
    ASSERT_TRUE(result.ok());
    inbox->MarkLoaded(result->sequence, static_cast<int64_t>(payload.size()));
  }
  // Of 90 MB; how far the copying lags behind depends on who else wants the processor.
  EXPECT_LT(std::filesystem::file_size(dir / "inbox.sqlite-wal"), 45u << 20);
  EXPECT_LT(std::filesystem::file_size(dir / "inbox.sqlite"), 16u << 20);
}

}  // namespace
}  // namespace fulcrum::store
