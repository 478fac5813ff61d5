// SPDX-License-Identifier: Apache-2.0
// The client as a whole, its threads and its forks, on a server that is a function.
#include "sdk/cpp/include/fulcrum/client.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <set>
#include <thread>

#include "sdk/cpp/client_for_test.h"
#include "sdk/cpp/test_support.h"

namespace fulcrum {
namespace {

using nlohmann::json;
using sdk::HttpRequest;
using sdk::HttpResponse;
using sdk::Reply;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Serves a snapshot, and keeps what is logged, each batch id once.
class Service {
 public:
  Service() : transport(std::make_shared<sdk::FakeServer>(Answering())) {}
  void Publish(const std::string& version) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      bytes_ = core::Encode(sdk::SampleData(version));
      etag_ = "\"" + version + "\"";
    }
    transport->Become(Answering());
  }
  void GoAway() {
    transport->Become([](const HttpRequest&) { return Reply(0); });
  }
  void ComeBack() { transport->Become(Answering()); }
  // So that the child's copy of this is not locked by a thread it does not have.
  pid_t Fork() {
    const std::scoped_lock lock(mutex_, transport->mutex());
    return fork();
  }
  std::vector<json> Items(const std::string& list) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<json> items;
    for (const json& body : bodies_) {
      for (const json& item : body.value(list, json::array())) items.push_back(item);
    }
    return items;
  }

 private:
  sdk::FakeServer::Answer Answering() {
    return [this](const HttpRequest& request) { return Answer(request); };
  }
  HttpResponse Answer(const HttpRequest& request) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (request.method == "GET") {
      return request.if_none_match == etag_ ? Reply(304, "", etag_) : Reply(200, bytes_, etag_);
    }
    const json body = json::parse(request.body);
    if (ids_.insert(body["batch_id"]).second) bodies_.push_back(body);
    return Reply(200, R"({"accepted":1,"duplicates":0,"rejected":[]})");
  }

  std::mutex mutex_;
  std::string bytes_ = core::Encode(sdk::SampleData());
  std::string etag_ = "\"v1\"";
  std::set<std::string> ids_;
  std::vector<json> bodies_;

 public:
  const std::shared_ptr<sdk::FakeServer> transport;
};

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    options_.url = "http://test";
    options_.retry_base = milliseconds(5);
    options_.retry_max = milliseconds(50);
    options_.flush_interval = milliseconds(20);
  }
  std::unique_ptr<Client> Start() {
    std::string error;
    auto client = ClientForTest::Start(options_, service_.transport, &sdk::SystemClock(), &error);
    EXPECT_NE(client, nullptr) << error;
    return client;
  }
  std::unique_ptr<Client> StartReady() {
    auto client = Start();
    EXPECT_TRUE(client->WaitUntilReady(seconds(20)));
    return client;
  }
  bool Eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 2'000 && !holds(); ++i) std::this_thread::sleep_for(milliseconds(10));
    return holds();
  }
  Service service_;
  ClientOptions options_;
};

TEST(ClientOptions, ThatMakeNoSenseAreRefusedWithASentence) {
  std::string error;
  for (const char* url : {"", "shop.example", "ftp://x", "http://", "http://a b", "http://a?b"}) {
    ClientOptions options;
    options.url = url;
    EXPECT_EQ(Client::Start(options, &error), nullptr) << url;
    EXPECT_NE(error.find("URL"), std::string::npos) << error;
  }
  ClientOptions options;
  options.url = "http://127.0.0.1:9";
  options.batch_items = 0;
  EXPECT_EQ(Client::Start(options, &error), nullptr);
  EXPECT_NE(error.find("batch_items"), std::string::npos) << error;
  EXPECT_EQ(Client::Start(options, nullptr), nullptr);
}

TEST_F(ClientTest, GettersGiveEachTypeAndSayWhyNot) {
  const auto client = StartReady();
  const Context who = Context("u1").Set("country", "DE");
  const auto flag = client->GetBool("flag", who, false);
  EXPECT_EQ(flag.error, Error::kNone);
  EXPECT_EQ(flag.reason, "assigned");
  EXPECT_EQ(flag.value, flag.variant == "treatment");
  EXPECT_EQ(flag.unit_kind, "user");
  EXPECT_EQ(flag.unit_id, "u1");
  EXPECT_EQ(flag.propensity, 0.5);
  EXPECT_EQ(flag.phase, 0);
  EXPECT_EQ(flag.snapshot, "v1");
  EXPECT_TRUE(flag.is_exposure);
  const auto count = client->GetInt("count", who, 0);
  EXPECT_EQ(count.value, count.variant == "treatment" ? 5 : 3);
  const auto price = client->GetDouble("price", who, 0);
  EXPECT_EQ(price.value, price.variant == "treatment" ? 0.9 : 1.0);
  EXPECT_EQ(client->GetDouble("count", who, 0).value, static_cast<double>(count.value));
  const auto text = client->GetString("text", who, "");
  EXPECT_EQ(text.value, text.variant == "treatment" ? "a \"quoted\" one" : "plain");
  const auto object = client->GetJson("object", who, "");
  EXPECT_EQ(object.value, object.variant == "treatment" ? "{\"a\":2}" : "{\"a\":1}");

  const auto wrong = client->GetInt("flag", who, 7);
  EXPECT_EQ(wrong.value, 7);
  EXPECT_EQ(wrong.error, Error::kTypeMismatch);
  EXPECT_FALSE(wrong.is_exposure);
  EXPECT_EQ(client->GetBool("no-such", who, true).error, Error::kUnknownExperiment);
  EXPECT_EQ(client->GetBool("flag", Context(), true).error, Error::kNoUnit);
  EXPECT_EQ(client->GetBool("german", Context("u1").Set("country", 5), true).error,
            Error::kInvalidContext);
  const auto french = client->GetBool("german", Context("u1").Set("country", "FR"), true);
  EXPECT_EQ(french.error, Error::kNone) << "not in the audience is no error";
  EXPECT_EQ(french.reason, "audience_mismatch");
  EXPECT_TRUE(french.value);
  EXPECT_NE(client->Explain("german", who).find("audience"), std::string::npos);
  const std::string huge(1 << 20, 'x');
  EXPECT_TRUE(client->GetBool("flag", Context(huge).Set(huge, huge), false).is_exposure);
}

TEST_F(ClientTest, AViewOutlivesItsSnapshotAndClient) {
  auto client = StartReady();
  const auto flag = client->GetBool("flag", Context("u1"), false);
  service_.Publish("v2");
  ASSERT_TRUE(Eventually([&] { return client->stats().snapshot == "v2"; }));
  EXPECT_EQ(client->GetBool("flag", Context("u1"), false).snapshot, "v2");
  client.reset();
  EXPECT_EQ(flag.snapshot, "v1");
  EXPECT_EQ(flag.experiment, "flag");
}

TEST_F(ClientTest, StartsFromDiskWhileTheServerIsAway) {
  const sdk::TempDir directory;
  options_.state_directory = directory.path();
  const Context who("u1");
  const std::string variant(StartReady()->GetString("page", who, "").variant);
  service_.GoAway();
  {
    const auto client = Start();
    EXPECT_TRUE(client->stats().is_ready) << "at once";
    EXPECT_TRUE(client->stats().is_from_disk);
    EXPECT_EQ(client->GetString("page", who, "").variant, variant);
    EXPECT_EQ(client->GetString("page", who, "").reason, "sticky") << "the prior came from disk";
  }
  std::filesystem::resize_file(directory.path() + "/snapshot.flcm", 40);
  std::vector<std::string> problems;
  std::mutex mutex;
  options_.on_problem = [&](std::string_view problem) {
    const std::lock_guard<std::mutex> lock(mutex);
    problems.emplace_back(problem);
  };
  const auto client = Start();
  EXPECT_FALSE(client->stats().is_ready);
  EXPECT_EQ(client->GetBool("flag", who, true).error, Error::kNotReady);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    ASSERT_FALSE(problems.empty());
    EXPECT_NE(problems[0].find("refused"), std::string::npos) << problems[0];
  }
  service_.ComeBack();
  EXPECT_TRUE(client->WaitUntilReady(seconds(20)));
}

TEST_F(ClientTest, ExposuresAreDistinctAndComplete) {
  auto client = StartReady();
  const auto flag = client->GetBool("flag", Context("u1"), false);
  EXPECT_TRUE(client->LogExposure(flag, {{"channel", "search"}, {"age", 34}}));
  EXPECT_FALSE(client->LogExposure(flag)) << "a repeat";
  EXPECT_FALSE(client->LogExposure(client->GetBool("no-such", Context("u1"), false)));
  const auto damaged = client->GetBool("flag", Context("\xff"), false);
  EXPECT_FALSE(client->LogExposure(damaged)) << "an id that JSON cannot carry";
  EXPECT_TRUE(client->LogEvent(Event("pay", "user", "u1").Value(12.5, "CNY").Set("n", 2)));
  EXPECT_FALSE(client->LogEvent(Event("", "user", "u1")));
  EXPECT_FALSE(client->LogEvent(Event("pay", "user", "")));
  EXPECT_FALSE(client->LogEvent(Event("pay", "user", "u1").Value(INFINITY)));
  EXPECT_TRUE(client->Flush(seconds(20)));
  const auto exposures = service_.Items("exposures");
  ASSERT_EQ(exposures.size(), 1u);
  json exposure = exposures[0];
  EXPECT_NEAR(exposure["ts"].get<double>(), static_cast<double>(sdk::SystemClock().WallMs()), 6e4);
  EXPECT_FALSE(exposure["exposure_id"].get<std::string>().empty());
  exposure.erase("ts");
  exposure.erase("exposure_id");
  EXPECT_EQ(exposure,
            json::parse(R"({"experiment":"flag","variant":")" + std::string(flag.variant) +
                        R"(","unit":{"kind":"user","id":"u1"},"snapshot":"v1","phase":0,
      "propensity":0.5,"attributes":{"channel":"search","age":34}})"));
  const auto events = service_.Items("events");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]["ids"]["user"], "u1");
  EXPECT_EQ(events[0]["value"], 12.5);
  EXPECT_EQ(events[0]["properties"]["n"], 2);
  const ClientStats stats = client->stats();
  EXPECT_EQ(stats.exposures_sent, 1);
  EXPECT_EQ(stats.exposures_repeated, 1);
  EXPECT_EQ(stats.exposures_dropped, 1);
  EXPECT_EQ(stats.events_dropped, 3);
  int64_t told_shown = 0, told_dropped = 0;
  for (const json& arm : service_.Items("client")) {
    told_shown += arm["shown"].get<int64_t>();
    told_dropped += arm["dropped"].get<int64_t>();
  }
  EXPECT_EQ(told_shown, 2);
  EXPECT_EQ(told_dropped, 1);
}

TEST_F(ClientTest, ManyThreadsAtOnceWhileTheServerComesAndGoes) {
  const sdk::TempDir directory;
  options_.state_directory = directory.path();
  options_.batch_items = 50;
  auto client = StartReady();
  constexpr int kThreads = 4, kEach = 3'000;
  std::atomic<int> queued{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const Context who("u" + std::to_string(t) + "-" + std::to_string(i));
        const auto page = client->GetString("page", who, "");
        if (client->LogExposure(page)) ++queued;
        if (i % 100 == 0) client->arm_counts();
        if (i % 500 == 0) client->Flush(milliseconds(1));
      }
    });
  }
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
    service_.GoAway();
    std::this_thread::sleep_for(milliseconds(10));
    service_.Publish("v" + std::to_string(i + 2));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(queued, kThreads * kEach);
  EXPECT_TRUE(client->Flush(seconds(60)));
  std::set<std::string> units;
  const auto exposures = service_.Items("exposures");
  for (const json& exposure : exposures) units.insert(exposure["unit"]["id"]);
  EXPECT_EQ(exposures.size(), static_cast<size_t>(kThreads * kEach));
  EXPECT_EQ(units.size(), exposures.size());
  int64_t sent = 0, shown = 0, assigned = 0, dropped = 0;
  for (const ArmCounts& arm : client->arm_counts()) {
    sent += arm.sent;
    shown += arm.shown;
    assigned += arm.assigned;
    dropped += arm.dropped;
  }
  EXPECT_EQ(assigned, kThreads * kEach);
  EXPECT_EQ(shown, kThreads * kEach);
  EXPECT_EQ(sent, kThreads * kEach);
  EXPECT_EQ(dropped, 0);
  client.reset();
  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/spool") &&
               !std::filesystem::is_empty(directory.path() + "/spool"));
}

TEST_F(ClientTest, TheDestructorEndsInTimeAndTheNextStartSends) {
  const sdk::TempDir directory;
  options_.state_directory = directory.path();
  auto client = StartReady();
  service_.GoAway();
  for (int i = 0; i < 700; ++i) client->LogEvent(Event("pay", "user", "u" + std::to_string(i)));
  client.reset();
  EXPECT_EQ(service_.Items("events").size(), 0u);
  service_.ComeBack();
  client = Start();
  EXPECT_TRUE(Eventually([&] { return service_.Items("events").size() == 700; }));
  EXPECT_TRUE(client->Flush(seconds(20)));
  EXPECT_EQ(client->stats().events_sent, 700);
}

#if defined(__SANITIZE_THREAD__)
TEST_F(ClientTest, DISABLED_AForkedChildSendsItsOwnAndNothingOfItsParents) {
  // The thread sanitizer does not let a child of a threaded process start threads.
#else
TEST_F(ClientTest, AForkedChildSendsItsOwnAndNothingOfItsParents) {
#endif
  const sdk::TempDir directory;
  options_.state_directory = directory.path();
  options_.flush_interval = seconds(60);  // so that the parent's queue is full at the fork
  auto client = StartReady();
  const std::string variant(client->GetString("page", Context("sticky"), "").variant);
  for (int i = 0; i < 20; ++i) client->LogEvent(Event("parent", "user", "p" + std::to_string(i)));
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  // Others use the client all the while, so that its locks are taken when the process is copied.
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    for (int i = 0; !stop; ++i) {
      client->LogExposure(client->GetString("page", Context("b" + std::to_string(i)), ""));
    }
  });
  for (int round = 0; round < 10; ++round) {
    const pid_t pid = service_.Fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      alarm(60);
      // The fake server of the child is the child's own copy.
      json seen;
      seen["sticky"] = client->GetString("page", Context("sticky"), "").reason;
      seen["variant"] = client->GetString("page", Context("sticky"), "").variant;
      seen["logged"] = client->LogEvent(Event("child", "user", "c"));
      seen["flushed"] = client->Flush(seconds(30));
      client.reset();
      seen["events"] = service_.Items("events");
      const std::string text = seen.dump() + "\n";
      const ssize_t written = write(pipes[1], text.data(), text.size());
      _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    std::string text;
    for (char c = 0; read(pipes[0], &c, 1) == 1 && c != '\n';) text += c;
    const json seen = json::parse(text);
    EXPECT_EQ(seen["sticky"], "sticky");
    EXPECT_EQ(seen["variant"], variant);
    EXPECT_EQ(seen["logged"], true);
    EXPECT_EQ(seen["flushed"], true);
    ASSERT_EQ(seen["events"].size(), 1u) << text;
    EXPECT_EQ(seen["events"][0]["name"], "child");
  }
  stop = true;
  busy.join();
  EXPECT_TRUE(client->Flush(seconds(30)));
  EXPECT_EQ(service_.Items("events").size(), 20u) << "the parent sends what it had queued";
}

}  // namespace
}  // namespace fulcrum
