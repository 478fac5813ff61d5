// SPDX-License-Identifier: Apache-2.0
// The parts of the client that stand alone: texts, priors, polling, remote evaluation.
#include <gtest/gtest.h>

#include <fstream>

#include "sdk/cpp/json_text.h"
#include "sdk/cpp/poller.h"
#include "sdk/cpp/priors.h"
#include "sdk/cpp/ready.h"
#include "sdk/cpp/remote.h"
#include "sdk/cpp/shown.h"
#include "sdk/cpp/test_support.h"

namespace fulcrum::sdk {
namespace {

TEST(JsonText, StringsAndNumbersReadBack) {
  for (const std::string& text :
       {std::string("plain"), std::string("q\"b\\n\n\x01\x1f"), std::string("\0mid", 4),
        std::string("中文 é 😀"), std::string()}) {
    std::string out;
    AppendJsonString(text, &out);
    EXPECT_EQ(nlohmann::json::parse(out).get<std::string>(), text);
    EXPECT_TRUE(IsUtf8(text));
  }
  for (const char* bad :
       {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "a\x80"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
  std::string out;
  EXPECT_TRUE(AppendValue(0.1, &out));
  EXPECT_EQ(out, "0.1");
  EXPECT_FALSE(AppendValue(std::nan(""), &out));
  EXPECT_FALSE(AppendValue("\xff", &out));
}

TEST(Shown, RemembersAtLeastHalfItsCapacityAndStaysBounded) {
  ShownSet shown(100);
  for (uint64_t i = 0; i < 1'000; ++i) {
    EXPECT_FALSE(shown.Contains(i));
    shown.Insert(i);
    for (uint64_t back = 0; back < std::min<uint64_t>(i, 49); ++back) {
      ASSERT_TRUE(shown.Contains(i - back)) << i << " " << back;
    }
  }
  EXPECT_FALSE(shown.Contains(0));
  ShownSet none(0);
  none.Insert(1);
  EXPECT_FALSE(none.Contains(1));
}

TEST(Priors, TheFirstStaysAndTheJournalBringsItBack) {
  TempDir directory;
  PriorTable table(1'000);
  const std::string odd("id\n\t\0x", 7);
  EXPECT_FALSE(table.Keep("page", "u1", "control", 2));
  EXPECT_FALSE(table.Keep("page", "u1", "control", 3));
  EXPECT_TRUE(table.Keep("page", "u1", "treatment", 3)) << "it had another";
  EXPECT_FALSE(table.Keep("page", odd, "treatment", 0));
  std::string problem;
  {
    PriorFile file(directory.path());
    ASSERT_TRUE(file.Append(table.TakeJournal(), &problem)) << problem;
  }
  EXPECT_EQ(table.TakeJournal(), "");
  // A torn line, and one that was altered, cost only themselves.
  std::ofstream(directory.path() + "/priors.log", std::ios::app)
      << "page\tcontrol\t0\t6162\tdead\npag";
  PriorTable next(1'000);
  PriorFile file(directory.path());
  file.Load(&next, &problem);
  EXPECT_NE(problem.find("2 lines"), std::string::npos) << problem;
  EXPECT_EQ(next.size(), 2u);
  ASSERT_NE(next.Find("page", "u1"), nullptr);
  EXPECT_EQ(next.Find("page", "u1")->variant, "control");
  EXPECT_EQ(next.Find("page", "u1")->phase, 2);
  ASSERT_NE(next.Find("page", odd), nullptr);
}

TEST(Priors, TheOldestGoesFirst) {
  PriorTable table(3);
  for (const char* unit : {"a", "b", "c", "d"}) table.Keep("page", unit, "control", 0);
  EXPECT_EQ(table.Find("page", "a"), nullptr);
  EXPECT_NE(table.Find("page", "b"), nullptr);
  EXPECT_EQ(table.size(), 3u);
}

TEST(SnapshotFile, ADamagedOneIsRefusedWithAReason) {
  TempDir directory;
  std::string error;
  EXPECT_EQ(LoadSnapshot(directory.path(), &error), nullptr);
  EXPECT_EQ(error, "") << "none is no error";
  std::string bytes = core::Encode(SampleData());
  ASSERT_TRUE(SaveSnapshot(directory.path(), bytes, &error)) << error;
  const auto loaded = LoadSnapshot(directory.path(), &error);
  ASSERT_NE(loaded, nullptr) << error;
  EXPECT_EQ(loaded->version(), "v1");
  for (size_t i = 0; i < bytes.size(); i += 7) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    ASSERT_TRUE(SaveSnapshot(directory.path(), bad, &error));
    EXPECT_EQ(LoadSnapshot(directory.path(), &error), nullptr);
    EXPECT_NE(error.find("refused"), std::string::npos);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1)
      << "nothing beside it is left";
}

class PollerTest : public testing::Test {
 protected:
  PollerTest() { options_.url = "http://test"; }
  ClientOptions options_;
  FakeClock clock_;
  FakeServer server_{[](const HttpRequest&) { return Reply(0); }};
  std::unique_ptr<Connection> connection_ = server_.Connect();
  Poller poller_{options_, &clock_, 7};
};

TEST_F(PollerTest, AsksByETagAndWaitsLong) {
  server_.Become([](const HttpRequest& request) {
    EXPECT_EQ(request.path, "/v1/snapshot");
    return Reply(200, core::Encode(SampleData()), "\"tag\"");
  });
  const Poller::Result first = poller_.Poll(connection_.get());
  ASSERT_NE(first.snapshot, nullptr);
  EXPECT_EQ(first.wait_ms, 0);
  server_.Become([this](const HttpRequest& request) {
    EXPECT_EQ(request.path, "/v1/snapshot?wait=30");
    EXPECT_EQ(request.if_none_match, "\"tag\"");
    EXPECT_GT(request.timeout, std::chrono::seconds(30));
    clock_.steady_ms += 30'000;
    return Reply(200, core::Encode(SampleData("v2")), "\"tag2\"");
  });
  const Poller::Result second = poller_.Poll(connection_.get());
  ASSERT_NE(second.snapshot, nullptr);
  EXPECT_EQ(second.snapshot->version(), "v2");
}

TEST_F(PollerTest, AnswersAtOnceDoNotMakeItABusyLoop) {
  server_.Become(
      [](const HttpRequest&) { return Reply(200, core::Encode(SampleData()), "\"tag\""); });
  poller_.Poll(connection_.get());
  EXPECT_GE(poller_.Poll(connection_.get()).wait_ms, 20'000) << "a cache that ignores the ETag";
  server_.Become([](const HttpRequest& request) {
    return request.path.find("wait") == std::string::npos ? Reply(0) : Reply(503, "{}", "", 9);
  });
  EXPECT_GE(poller_.Poll(connection_.get()).wait_ms, 9'000) << "Retry-After";
}

TEST_F(PollerTest, BadBytesAreRefusedAndAskedForAgainWithoutTheirETag) {
  std::string bytes = core::Encode(SampleData());
  bytes[bytes.size() / 2] ^= 1;
  server_.Become([&bytes](const HttpRequest&) { return Reply(200, bytes, "\"bad\""); });
  const Poller::Result result = poller_.Poll(connection_.get());
  EXPECT_TRUE(result.is_refused);
  EXPECT_EQ(result.snapshot, nullptr);
  EXPECT_NE(result.problem.find("refused"), std::string::npos);
  poller_.Poll(connection_.get());
  EXPECT_EQ(server_.Requests().back().if_none_match, "");
}

constexpr char kSuccess[] = R"({"key":"page","value":"new","variant":"treatment","reason":"SPLIT",
  "metadata":{"detail":"assigned","exposure":true,"phase":1,"propensity":0.5,"snapshot":"v9"}})";

class RemoteTest : public testing::Test {
 protected:
  RemoteTest() { options_.url = "http://test"; }
  ClientOptions options_;
  FakeClock clock_;
  FakeServer server_{[](const HttpRequest&) { return Reply(200, kSuccess); }};
  Remote remote_{options_, &server_, &clock_};
  const Context who_ = Context("u1").Set("country", "DE").Set("age", 30).Set("odd", "\xff");
  std::string problem_;
};

TEST_F(RemoteTest, AsksByPostAndReadsTheAnswer) {
  const Answer answer = remote_.Evaluate("page", who_, &problem_);
  EXPECT_EQ(answer.value, "\"new\"");
  EXPECT_EQ(answer.evaluation.variant, "treatment");
  EXPECT_EQ(answer.evaluation.reason, "assigned");
  EXPECT_EQ(answer.evaluation.phase, 1);
  EXPECT_EQ(answer.evaluation.propensity, 0.5);
  EXPECT_EQ(answer.evaluation.unit_id, "u1");
  EXPECT_TRUE(answer.evaluation.is_exposure);
  const HttpRequest request = server_.Requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/ofrep/v1/evaluate/flags/page");
  EXPECT_EQ(request.body, R"({"context":{"targetingKey":"u1","country":"DE","age":30}})");
  server_.Become([](const HttpRequest&) {
    return Reply(404, R"({"key":"no","errorCode":"FLAG_NOT_FOUND","metadata":{}})");
  });
  EXPECT_EQ(remote_.Evaluate("no", who_, &problem_).evaluation.error, Error::kUnknownExperiment);
  for (const HttpResponse& bad : {Reply(0), Reply(500, "<html>"), Reply(200, "not json")}) {
    server_.Become([bad](const HttpRequest&) { return bad; });
    problem_.clear();
    EXPECT_EQ(remote_.Evaluate("page", who_, &problem_).evaluation.error, Error::kNotReady);
    EXPECT_NE(problem_, "");
  }
}

TEST_F(RemoteTest, PrefetchIsKeptByContextAndRefreshedByETag) {
  server_.Become([](const HttpRequest& request) {
    if (request.path != "/ofrep/v1/evaluate/flags") return Reply(0);
    if (request.if_none_match == "\"e1\"") return Reply(304, "", "\"e1\"");
    return Reply(200, std::string(R"({"flags":[)") + kSuccess + "]}", "\"e1\"");
  });
  ASSERT_TRUE(remote_.Prefetch(who_, &problem_));
  EXPECT_EQ(remote_.Evaluate("page", who_, &problem_).evaluation.variant, "treatment");
  EXPECT_EQ(server_.Requests().size(), 1u) << "no request for what is fresh";
  EXPECT_EQ(remote_.Evaluate("page", Context("u2"), &problem_).evaluation.error, Error::kNotReady)
      << "another context has no part in it";
  clock_.steady_ms += 60'000;
  EXPECT_EQ(remote_.Evaluate("page", who_, &problem_).evaluation.variant, "treatment")
      << "stale is better than nothing";
  ASSERT_TRUE(remote_.Prefetch(who_, &problem_));
  const size_t before = server_.Requests().size();
  remote_.Evaluate("page", who_, &problem_);
  EXPECT_EQ(server_.Requests().size(), before) << "304 made it fresh";
}

}  // namespace
}  // namespace fulcrum::sdk
