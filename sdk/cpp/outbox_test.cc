// SPDX-License-Identifier: Apache-2.0
// The way of exposures and events to the server, on a clock that is set and without threads.
#include "sdk/cpp/outbox.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "sdk/cpp/test_support.h"

namespace fulcrum::sdk {
namespace {

using nlohmann::json;

// A server that counts each batch id once, as the real one does, and may lose its answers.
class Ledger {
 public:
  HttpResponse Take(const HttpRequest& request) {
    const json body = json::parse(request.body);
    const std::string id = body["batch_id"];
    const auto [at, is_new] = bodies_.emplace(id, request.body);
    EXPECT_EQ(at->second, request.body) << "the same id with another body";
    if (is_new) {
      const char* list = body.contains("exposures") ? "exposures" : "events";
      items += static_cast<int64_t>(body[list].size());
      for (const json& one : body.value("client", json::array())) {
        auto& arm =
            arms[one["experiment"].get<std::string>() + "/" + one["variant"].get<std::string>()];
        for (const char* name : {"assigned", "shown", "sent", "dropped"}) {
          arm[name] += one[name].get<int64_t>();
        }
      }
    }
    return Reply(200, R"({"accepted":1,"duplicates":0,"rejected":[]})");
  }
  int64_t items = 0;
  std::map<std::string, std::map<std::string, int64_t>> arms;
  std::map<std::string, std::string> bodies_;
};

class OutboxTest : public testing::Test {
 protected:
  OutboxTest() {
    options_.url = "http://test";
    options_.batch_items = 10;
    options_.retry_base = std::chrono::milliseconds(100);
    options_.retry_max = std::chrono::milliseconds(1'000);
  }
  void Make(bool with_spool = false) {
    if (with_spool) spool_ = std::make_unique<Spool>(directory_.path(), "one");
    outbox_ = std::make_unique<Outbox>(options_, std::string(32, 'a'), &clock_, &arms_,
                                       spool_.get(), &mutex_);
  }
  bool AddExposure(Arm* arm) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return outbox_->Add(ItemKind::kExposure,
                        R"({"experiment":"e","variant":")" + arm->variant + R"(","id":")" +
                            outbox_->NextItemId() + "\"}",
                        arm);
  }
  bool AddEvent() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return outbox_->Add(ItemKind::kEvent, R"({"name":"pay"})", nullptr);
  }
  std::string Send() {
    std::string problem;
    outbox_->SendOne(connection_.get(), &problem);
    return problem;
  }
  void SealAll() {
    const std::lock_guard<std::mutex> lock(mutex_);
    outbox_->SealAll();
  }
  ClientStats Stats() {
    ClientStats stats;
    outbox_->FillStats(&stats);
    return stats;
  }

  TempDir directory_;
  ClientOptions options_;
  FakeClock clock_;
  ArmTable arms_;
  std::mutex mutex_;
  Ledger ledger_;
  FakeServer server_{[this](const HttpRequest& request) { return ledger_.Take(request); }};
  std::unique_ptr<Connection> connection_ = server_.Connect();
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(OutboxTest, SendsWhenFullOrOldEnough) {
  Make();
  for (int i = 0; i < 10; ++i) AddEvent();
  EXPECT_EQ(outbox_->WaitMs(), 0);
  EXPECT_EQ(Send(), "");
  EXPECT_EQ(ledger_.items, 10);
  AddEvent();
  EXPECT_EQ(outbox_->WaitMs(), 1'000) << "one alone waits for the interval";
  Send();
  EXPECT_EQ(ledger_.items, 10);
  clock_.steady_ms += 1'000;
  Send();
  EXPECT_EQ(ledger_.items, 11);
  EXPECT_TRUE(outbox_->IsEmpty());
  EXPECT_EQ(Stats().queued_bytes, 0);
  EXPECT_EQ(Stats().queued_items, 0);
}

TEST_F(OutboxTest, AnAnswerThatIsLostCountsOnce) {
  Make();
  AddEvent();
  SealAll();
  server_.Become([this](const HttpRequest& request) {
    ledger_.Take(request);
    return Reply(0);
  });
  EXPECT_NE(Send(), "");
  EXPECT_FALSE(outbox_->IsEmpty());
  server_.Become([this](const HttpRequest& request) { return ledger_.Take(request); });
  clock_.steady_ms += 10'000;
  Send();
  EXPECT_TRUE(outbox_->IsEmpty());
  EXPECT_EQ(ledger_.items, 1);
  EXPECT_EQ(ledger_.bodies_.size(), 1u);
  EXPECT_EQ(Stats().batches_retried, 1);
}

TEST_F(OutboxTest, BacksOffWithFullJitterAndHonoursRetryAfter) {
  Make();
  AddEvent();
  SealAll();
  server_.Become([](const HttpRequest&) { return Reply(503); });
  // The n-th wait is anywhere in [0, min(cap, base 2^n)].
  std::vector<int64_t> waits;
  for (int i = 0; i < 60; ++i) {
    Send();
    const int64_t wait_ms = outbox_->WaitMs();
    EXPECT_LE(wait_ms, std::min<int64_t>(1'000, 100 << std::min(i, 10)));
    waits.push_back(wait_ms);
    clock_.steady_ms += wait_ms;
  }
  const std::vector<int64_t> late(waits.begin() + 10, waits.end());
  EXPECT_LT(*std::min_element(late.begin(), late.end()), 250) << "full jitter reaches down";
  EXPECT_GT(*std::max_element(late.begin(), late.end()), 750) << "and up";
  server_.Become([](const HttpRequest&) { return Reply(429, "{}", "", 7); });
  Send();
  EXPECT_GE(outbox_->WaitMs(), 7'000);
  outbox_->HurryUp();
  EXPECT_EQ(outbox_->WaitMs(), 7'000) << "not before the server said";
  const size_t before = server_.Requests().size();
  Send();
  EXPECT_EQ(server_.Requests().size(), before);
}

TEST_F(OutboxTest, MemoryIsBoundedAndWhatHasNoRoomIsCounted) {
  options_.max_queue_bytes = 4'000;
  Make();
  server_.Become([](const HttpRequest&) { return Reply(0); });
  Arm* arm = arms_.Of("e", "control");
  int queued = 0;
  for (int i = 0; i < 1'000; ++i) queued += AddExposure(arm) ? 1 : 0;
  EXPECT_GT(queued, 10);
  EXPECT_LT(queued, 1'000);
  // A sealed batch is a little longer than its items: its id and the counts it carries.
  EXPECT_LT(Stats().queued_bytes, 2 * 4'000);
  EXPECT_EQ(arm->shown, 1'000);
  EXPECT_EQ(arm->dropped, 1'000 - queued);
  server_.Become([this](const HttpRequest& request) { return ledger_.Take(request); });
  SealAll();
  while (!outbox_->IsEmpty()) {
    Send();
    clock_.steady_ms += 1'000;
  }
  EXPECT_EQ(ledger_.items, queued);
  const auto& told = ledger_.arms["e/control"];
  EXPECT_EQ(told.at("shown"), 1'000);
  EXPECT_EQ(told.at("sent"), queued);
  EXPECT_EQ(told.at("dropped"), 1'000 - queued);
}

TEST_F(OutboxTest, ARefusedBatchIsDroppedAndItsCountsAreToldByAnother) {
  Make();
  Arm* arm = arms_.Of("e", "control");
  arm->assigned = 5;
  AddExposure(arm);
  SealAll();
  server_.Become([](const HttpRequest&) { return Reply(400, R"({"errorDetails":"no"})"); });
  EXPECT_NE(Send().find("dropped"), std::string::npos);
  EXPECT_EQ(arm->dropped, 1);
  EXPECT_EQ(Stats().exposures_dropped, 1);
  server_.Become([this](const HttpRequest& request) { return ledger_.Take(request); });
  AddExposure(arm);
  SealAll();
  Send();
  const auto& told = ledger_.arms["e/control"];
  EXPECT_EQ(told.at("assigned"), 5);
  EXPECT_EQ(told.at("shown"), 2);
  EXPECT_EQ(told.at("sent"), 1);
  EXPECT_EQ(told.at("dropped"), 1);
}

TEST_F(OutboxTest, ItemsTheServerRejectsAreDroppedByArm) {
  Make();
  Arm* control = arms_.Of("e", "control");
  Arm* treatment = arms_.Of("e", "treatment");
  AddExposure(control);
  AddExposure(treatment);
  SealAll();
  server_.Become([](const HttpRequest&) {
    return Reply(200, R"({"accepted":1,"duplicates":0,"rejected":[{"index":1,"error":"unit"}]})");
  });
  EXPECT_NE(Send().find("1 of 2 exposures; the first: unit."), std::string::npos);
  EXPECT_EQ(control->sent, 1);
  EXPECT_EQ(treatment->sent, 0);
  EXPECT_EQ(treatment->dropped, 1);
  EXPECT_EQ(Stats().exposures_sent, 1);
  EXPECT_EQ(Stats().exposures_dropped, 1);
}

TEST_F(OutboxTest, AnswersThatAreNotTheServersDoNoHarm) {
  Make();
  Arm* arm = arms_.Of("e", "control");
  for (const char* answer :
       {"", "<html>", "[]", "{}", R"({"rejected":7})", R"({"rejected":[1,"x",null,{}]})",
        R"({"rejected":[{"index":"0","error":3}]})", R"({"rejected":[{"index":-1},{"index":99}]})",
        R"({"rejected":[{}],"rejected_not_listed":1e99})",
        R"({"rejected":[{}],"rejected_not_listed":9000000000000000000})"}) {
    AddExposure(arm);
    SealAll();
    server_.Become([answer](const HttpRequest&) { return Reply(200, answer); });
    Send();
    EXPECT_TRUE(outbox_->IsEmpty()) << answer;
    EXPECT_GE(Stats().exposures_sent, 0) << answer;
  }
  EXPECT_EQ(Stats().exposures_sent + Stats().exposures_dropped, 10);
}

TEST_F(OutboxTest, SpillsWhileTheServerIsAwayAndTheNextProcessSends) {
  options_.max_queue_bytes = 2'000;
  Make(true);
  server_.Become([](const HttpRequest&) { return Reply(0); });
  Arm* arm = arms_.Of("e", "control");
  std::string problem;
  int queued = 0;
  for (int i = 0; i < 100; ++i) {
    queued += AddExposure(arm) ? 1 : 0;
    if (i == 15) Send();
    outbox_->SpillAll(false, &problem);
  }
  EXPECT_EQ(problem, "");
  EXPECT_EQ(queued, 100) << "what memory had no room for went to disk";
  EXPECT_GT(Stats().spilled_batches, 5);
  SealAll();
  outbox_->SpillAll(true, &problem);
  EXPECT_EQ(Stats().queued_items, 0);
  outbox_.reset();
  spool_.reset();  // the process ends

  ArmTable arms;
  Spool spool(directory_.path(), "two");
  Outbox next(options_, std::string(32, 'b'), &clock_, &arms, &spool, &mutex_);
  std::vector<std::string> problems;
  next.Adopt(&problems);
  EXPECT_TRUE(problems.empty());
  // The first answer is lost, and it ends again: the third process sends the rest, and that once.
  server_.Become([this](const HttpRequest& request) {
    ledger_.Take(request);
    return Reply(0);
  });
  next.SendOne(connection_.get(), &problem);
  server_.Become([this](const HttpRequest& request) { return ledger_.Take(request); });
  while (!next.IsEmpty()) {
    clock_.steady_ms += 1'000;
    next.SendOne(connection_.get(), &problem);
  }
  EXPECT_EQ(ledger_.items, 100);
  EXPECT_EQ(arms.Of("e", "control")->sent, 100);
}

TEST_F(OutboxTest, DiskIsBoundedToo) {
  options_.max_queue_bytes = 2'000;
  options_.max_spill_bytes = 3'000;
  Make(true);
  server_.Become([](const HttpRequest&) { return Reply(0); });
  Arm* arm = arms_.Of("e", "control");
  std::string problem;
  int queued = 0;
  for (int i = 0; i < 300; ++i) {
    queued += AddExposure(arm) ? 1 : 0;
    if (i == 15) Send();
    outbox_->SpillAll(false, &problem);
  }
  EXPECT_LT(queued, 300);
  EXPECT_LE(Stats().spilled_bytes, 3'000);
  EXPECT_EQ(arm->dropped, 300 - queued);
  server_.Become([this](const HttpRequest& request) { return ledger_.Take(request); });
  SealAll();
  while (!outbox_->IsEmpty()) {
    clock_.steady_ms += 1'000;
    Send();
  }
  EXPECT_EQ(ledger_.items, queued);
}

TEST(Spool, DamagedFilesAreRefusedWithAReasonAndALivingProcessKeepsItsOwn) {
  TempDir directory;
  ArmTable arms;
  std::string error;
  auto alive = std::make_unique<Spool>(directory.path(), "alive");
  Batch batch;
  batch.id = "b1";
  batch.items = 2;
  batch.arms = {{arms.Of("e", "control"), 2}};
  batch.body = "{\"batch_id\":\"b1\"}\nwith lines\n\n";
  const std::string body = batch.body;
  Batch second = batch;
  ASSERT_TRUE(alive->Write(&batch, &error)) << error;
  ASSERT_TRUE(alive->Write(&second, &error)) << error;
  std::string read;
  ASSERT_TRUE(alive->Read(batch, &read, &error));
  EXPECT_EQ(read, body);

  Spool other(directory.path(), "other");
  std::vector<std::string> problems;
  EXPECT_TRUE(other.Adopt(&problems).empty()) << "its process is alive";
  std::filesystem::resize_file(second.path, std::filesystem::file_size(second.path) - 3);
  EXPECT_FALSE(alive->Read(second, &read, &error));
  EXPECT_NE(error.find("damaged"), std::string::npos);
  alive.reset();
  const std::vector<Batch> adopted = other.Adopt(&problems);
  ASSERT_EQ(adopted.size(), 1u);
  EXPECT_EQ(adopted[0].id, "b1");
  EXPECT_EQ(adopted[0].items, 2);
  ASSERT_EQ(adopted[0].named.size(), 1u);
  EXPECT_EQ(adopted[0].named[0].n, 2);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("damaged"), std::string::npos);
  ASSERT_TRUE(other.Read(adopted[0], &read, &error)) << error;
  EXPECT_EQ(read, body);
}

}  // namespace
}  // namespace fulcrum::sdk
