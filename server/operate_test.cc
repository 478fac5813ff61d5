// SPDX-License-Identifier: Apache-2.0
//
// Keys, reload, stop and resume, the audit, the clock and what can be looked at; without sockets.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "core/snapshot.h"
#include "gtest/gtest.h"
#include "server/keys.h"
#include "server/reply.h"
#include "server/routes.h"
#include "server/test_support.h"
#include "server/watcher.h"

namespace fulcrum::server {
namespace {

using nlohmann::json;

json Body(const Response& response) {
  const json body = json::parse(response.body, nullptr, false);
  EXPECT_FALSE(body.is_discarded()) << response.body;
  return body;
}

constexpr char kPrice[] = "/ofrep/v1/evaluate/flags/price";
constexpr char kUser[] = R"({"context":{"targetingKey":"u1"}})";

constexpr char kKeys[] = R"({"keys":[
  {"name":"web","key":"key-of-the-web","scopes":["client"]},
  {"name":"backend","key":"key-of-backend","scopes":["server"]},
  {"name":"analyst","key":"key-of-analyst","scopes":["read"]},
  {"name":"operator","key":"key-of-operator","scopes":["admin"]},
  {"name":"slow","key":"key-of-the-slow","scopes":["client"],"requests_per_second":2}]})";

TEST(Keys, ScopesDecideWhoMayDoWhat) {
  TestApp test(kKeys);
  struct Row {
    const char* method;
    const char* path;
    int web, backend, analyst, op;
  };
  const Row table[] = {
      {"POST", kPrice, 200, 200, 403, 403},
      {"GET", "/v1/variant/price?unit=u1", 200, 200, 403, 403},
      {"POST", "/v1/events", 200, 200, 403, 403},
      {"GET", "/v1/snapshot", 403, 200, 403, 403},
      {"GET", "/v1/experiments", 403, 403, 200, 200},
      {"GET", "/v1/experiments/price/report", 403, 403, 200, 200},
      {"GET", "/v1/units/u1", 403, 403, 200, 200},
      {"GET", "/metrics", 403, 403, 200, 200},
      {"GET", "/v1/audit", 403, 403, 403, 200},
      {"POST", "/v1/reload", 403, 403, 403, 200},
      {"POST", "/v1/experiments/price/stop", 403, 403, 403, 200},
      {"GET", "/healthz", 200, 200, 200, 200},
  };
  for (const Row& row : table) {
    const std::string_view path = row.path;
    const std::string_view body = path == kPrice ? kUser : path == "/v1/events" ? "[]" : "";
    const auto status = [&](const std::string& key) {
      const int bearer =
          test.Send(row.method, path, body, {{"Authorization", "Bearer " + key}}).status;
      EXPECT_EQ(test.Send(row.method, path, body, {{"X-API-Key", key}}).status, bearer);
      return bearer;
    };
    EXPECT_EQ(status("key-of-the-web"), row.web) << path;
    EXPECT_EQ(status("key-of-backend"), row.backend) << path;
    EXPECT_EQ(status("key-of-analyst"), row.analyst) << path;
    EXPECT_EQ(status("key-of-operator"), row.op) << path;
    if (path == "/healthz") continue;
    const Response none = test.Send(row.method, path, body);
    EXPECT_EQ(none.status, 401) << path;
    EXPECT_EQ(none.Get("WWW-Authenticate"), "Bearer");
    EXPECT_TRUE(Body(none)["metadata"].is_object());
    EXPECT_EQ(test.Send(row.method, path, body, {{"X-API-Key", "wrong"}}).status, 401) << path;
  }
}

TEST(Keys, OtherPlacesThatClientsPutThem) {
  TestApp test(kKeys);
  EXPECT_EQ(test.Post("/v1/events?key=key-of-the-web", "[]").status, 200);
  EXPECT_EQ(test.Post("/track?client_key=key-of-the-web", "[]").status, 200);
  // base64("key-of-the-web:")
  EXPECT_EQ(test.Send("POST", "/v1/batch", R"({"batch":[]})",
                      {{"Authorization", "Basic a2V5LW9mLXRoZS13ZWI6"}})
                .status,
            200);
  // Only public keys belong into addresses, and only where nothing else can be sent.
  EXPECT_EQ(test.Get("/v1/experiments?key=key-of-analyst").status, 401);
}

TEST(Keys, ARateIsHeldAndToldWithRetryAfter) {
  TestApp test(kKeys);
  int ok = 0, limited = 0;
  for (int i = 0; i < 10; ++i) {
    const Response response = test.Send("POST", kPrice, kUser, {{"X-API-Key", "key-of-the-slow"}});
    if (response.status == 200) ++ok;
    if (response.status == 429) {
      ++limited;
      EXPECT_GE(std::stoi(std::string(response.Get("Retry-After"))), 1);
      EXPECT_EQ(response.Get("Access-Control-Allow-Origin"), "*");
      EXPECT_EQ(Body(response)["errorCode"], "RATE_LIMITED");
    }
  }
  EXPECT_GE(ok, 2);
  EXPECT_GE(limited, 1);
  EXPECT_EQ(ok + limited, 10);
}

TEST(Keys, AWrongKeyFileIsRefusedWithTheEntry) {
  for (const char* text :
       {"", "[]", "{}", R"({"keys":[]})", R"({"keys":[{}]})",
        R"({"keys":[{"name":"a","key":"short","scopes":["read"]}]})",
        R"({"keys":[{"name":"a","key":"long-enough","scopes":[]}]})",
        R"({"keys":[{"name":"a","key":"long-enough","scopes":["root"]}]})",
        R"({"keys":[{"name":"a","key":"long-enough","scopes":["read"],"rate":5}]})",
        R"({"keys":[{"name":"a","key":"long-enough","scopes":["read"]},
                    {"name":"b","key":"long-enough","scopes":["read"]}]})"}) {
    const auto ring = KeyRing::Parse(text, "keys.json");
    ASSERT_FALSE(ring.ok()) << text;
    EXPECT_EQ(ring.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(ring.status().message()).find("keys.json"), std::string::npos);
  }
}

TEST(WithoutKeys, PagesOfOtherSitesMayEvaluateButNotOperate) {
  TestApp test;
  const std::vector<std::pair<std::string, std::string>> foreign = {
      {"Host", "127.0.0.1:8080"}, {"Origin", "https://evil.example"}};
  EXPECT_EQ(test.Send("POST", kPrice, kUser, foreign).status, 200);
  EXPECT_EQ(test.Send("POST", "/v1/experiments/price/stop", "", foreign).status, 403);
  EXPECT_EQ(test.Send("GET", "/v1/experiments", "", foreign).status, 403);
  EXPECT_EQ(test.Send("GET", "/v1/experiments", "", {{"Host", "evil.example"}}).status, 403);
  EXPECT_EQ(test.Send("GET", "/v1/experiments", "",
                      {{"Host", "127.0.0.1:8080"}, {"Origin", "http://127.0.0.1:8080"}})
                .status,
            200);
}

TEST(Reload, ABadEditIsRefusedWithItsPlaceAndTheOldSnapshotServes) {
  TestApp test;
  const std::string before(test.app->snapshot()->version());
  test.directory.Write("experiments/price.yaml", "experiment: price\nunit: user\nwieght: 3\n");
  const Response refused = test.Post("/v1/reload", "");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("price.yaml:3:1: error"), std::string::npos) << refused.body;
  EXPECT_EQ(test.app->snapshot()->version(), before);
  EXPECT_EQ(test.Post(kPrice, kUser).status, 200);
  bool told = false;
  for (const std::string& line : test.log_lines()) {
    told |= line.find("price.yaml:3:1: error") != std::string::npos;
    EXPECT_EQ(line.find('\n'), std::string::npos);
  }
  EXPECT_TRUE(told);
  const std::string metrics = test.Get("/metrics").body;
  EXPECT_NE(metrics.find("fulcrum_reloads_total{outcome=\"refused\"} 1"), std::string::npos);
  EXPECT_NE(metrics.find("fulcrum_last_reload_ok 0"), std::string::npos);

  WriteTestProject(test.directory);
  test.directory.Write("experiments/price.yaml", R"(experiment: price
title: Price factor, again
hypothesis: A lower price sells more.
owner: pricing team
salt: price-1
unit: user
variants:
  full: {weight: 1, control: true, value: 1.0}
  less: {weight: 1, value: 0.8}
primary: [pay_rate]
)");
  EXPECT_EQ(test.Post("/v1/reload", "").status, 200);
  EXPECT_NE(test.app->snapshot()->version(), before);
  EXPECT_NE(test.Get("/metrics").body.find("fulcrum_last_reload_ok 1"), std::string::npos);
}

TEST(Stop, HoldsThroughReloadAndRestartUntilItIsResumed) {
  TestApp test;
  ASSERT_TRUE(Body(test.Post(kPrice, kUser)).contains("variant"));
  const Response stopped =
      test.Post("/v1/experiments/price/stop", R"({"reason":"refunds doubled"})");
  ASSERT_EQ(stopped.status, 200) << stopped.body;
  EXPECT_EQ(Body(stopped)["control"]["reason"], "refunds doubled");
  EXPECT_EQ(Body(stopped)["control"]["actor"], "local");
  const auto is_stopped = [&] {
    const json body = Body(test.Post(kPrice, kUser));
    return !body.contains("variant") && body["reason"] == "DISABLED" &&
           body["metadata"]["detail"] == "stopped";
  };
  EXPECT_TRUE(is_stopped());
  EXPECT_EQ(test.Post("/v1/reload", "").status, 200);
  EXPECT_TRUE(is_stopped());

  // A restart: another App over the same store.
  AppOptions options;
  options.project_dir = test.directory.path();
  options.store = &test.store;
  options.clock = &test.clock;
  options.log = [](std::string_view) {};
  test.app = *App::Make(options);
  EXPECT_TRUE(is_stopped());
  EXPECT_EQ(Body(test.Get("/v1/experiments/price"))["state"], "stopped");
  EXPECT_EQ(Body(test.Get("/v1/experiments/price"))["stop"]["reason"], "refunds doubled");

  EXPECT_EQ(test.Post("/v1/experiments/price/resume", R"({"reason":"it was the weather"})").status,
            200);
  EXPECT_FALSE(is_stopped());
  EXPECT_EQ(test.Post("/v1/experiments/price/resume", "").status, 409);

  const json audit = Body(test.Get("/v1/audit"));
  ASSERT_EQ(audit["controls"].size(), 2u);
  EXPECT_EQ(audit["controls"][0]["kind"], "stop");
  EXPECT_EQ(audit["controls"][1]["kind"], "resume");
  EXPECT_EQ(Body(test.Get("/v1/audit?experiment=checkout"))["controls"].size(), 0u);
}

TEST(Stop, EndsEnrolmentInReportsAndNotWhatComesOfTheUnits) {
  TestApp test;
  const std::string report = "/v1/experiments/price/report";
  ASSERT_EQ(test.Get(report).status, 200);
  const int64_t planned_end_ms = test.store.last_plan().population.to_ms;
  // A stop comes after the instant that was reported, which is closed.
  test.clock.SetMs(test.clock.NowMs() + 1000);
  const int64_t stopped_ms = test.clock.NowMs();
  ASSERT_LT(stopped_ms, planned_end_ms);
  ASSERT_EQ(test.Post("/v1/experiments/price/stop", "").status, 200);
  ASSERT_EQ(test.Get(report).status, 200);
  EXPECT_EQ(test.store.last_plan().population.to_ms, stopped_ms);
  EXPECT_EQ(test.store.last_plan().as_of_ms, test.clock.NowMs());  // Outcomes go on.
  ASSERT_EQ(test.Post("/v1/experiments/price/resume", "").status, 200);
  ASSERT_EQ(test.Get(report).status, 200);
  EXPECT_EQ(test.store.last_plan().population.to_ms, planned_end_ms);
}

TEST(Stop, WorksWhileTheDirectoryIsBroken) {
  TestApp test;
  test.directory.Write("project.yaml", "project: [");
  EXPECT_EQ(test.Post("/v1/reload", "").status, 400);
  EXPECT_EQ(test.Post("/v1/experiments/price/stop", R"({"variant":"full"})").status, 200);
  const json body = Body(test.Post(kPrice, R"({"context":{"targetingKey":"anyone"}})"));
  EXPECT_EQ(body["variant"], "full");
}

TEST(Stop, WhatCannotApplyIsNotWrittenDown) {
  TestApp test;
  EXPECT_EQ(test.Post("/v1/experiments/nothing/stop", "").status, 404);
  EXPECT_EQ(test.Post("/v1/experiments/price/stop", R"({"variant":"nothing"})").status, 400);
  EXPECT_EQ(test.Post("/v1/experiments/price/stop", R"({"reson":"x"})").status, 400);
  EXPECT_EQ(test.Post("/v1/experiments/price/stop", R"({"reason":7})").status, 400);
  EXPECT_EQ(test.Post("/v1/experiments/price/stop", "[").status, 400);
  EXPECT_EQ(Body(test.Get("/v1/audit"))["controls"].size(), 0u);
}

TEST(Clock, MovesForwardOnlyAndDecidesWithIt) {
  TestApp test;
  EXPECT_EQ(Body(test.Get("/v1/clock"))["now_ms"], kTestNowMs);
  EXPECT_EQ(test.Post("/v1/clock", R"({"now":"2030-01-02T00:00:00Z"})").status, 200);
  EXPECT_EQ(test.Post("/v1/clock", R"({"now":1772600000000})").status, 409);
  EXPECT_EQ(test.Post("/v1/clock", R"({"now":"tomorrow"})").status, 400);
  EXPECT_EQ(test.Post("/v1/clock", "{}").status, 400);
  const char* later = "/ofrep/v1/evaluate/flags/later";
  EXPECT_TRUE(Body(test.Post(later, kUser)).contains("variant"));
  const Response ended = test.Send("POST", later, kUser, {{"Fulcrum-Now", "2030-02-01T00:00:00Z"}});
  EXPECT_EQ(Body(ended)["metadata"]["detail"], "ended");
  EXPECT_EQ(test.Send("POST", later, kUser, {{"Fulcrum-Now", "soon"}}).status, 400);
}

TEST(Looking, ExperimentsUnitsAndPages) {
  TestApp test;
  const json list = Body(test.Get("/v1/experiments"));
  ASSERT_EQ(list["experiments"].size(), 4u);
  std::map<std::string, std::string> states;
  for (const json& e : list["experiments"]) states[e["key"]] = e["state"];
  EXPECT_EQ(states["price"], "running");
  EXPECT_EQ(states["later"], "scheduled");
  EXPECT_EQ(test.Get("/v1/experiments/nothing").status, 404);
  EXPECT_EQ(Body(test.Get("/v1/experiments/price"))["variants"][1]["value"], 0.9);

  test.Post("/v1/exposures", R"([{"experiment":"price","variant":"less","unit":"u 1",
                                  "ts":1772500000000}])");
  const json unit = Body(test.Get("/v1/units/u%201"));
  EXPECT_EQ(unit["exposures"][0]["variant"], "less");
  EXPECT_EQ(test.Get("/v1/units/u1?kind=planet").status, 400);

  EXPECT_EQ(Body(test.Get("/healthz"))["status"], "ok");
  EXPECT_EQ(test.Get("/readyz").status, 200);
  EXPECT_EQ(Body(test.Get("/openapi.json"))["openapi"], "3.1.0");
  EXPECT_NE(test.Get("/").body.find("<!doctype html>"), std::string::npos);
  EXPECT_EQ(test.Get("/nothing").status, 404);
  EXPECT_EQ(test.Send("DELETE", "/v1/experiments").status, 405);
  test.app->BeginDrain();
  EXPECT_EQ(test.Get("/readyz").status, 503);
}

TEST(Looking, EveryRouteIsInTheApiDescriptionAndNothingElse) {
  TestApp test;
  std::set<std::string> described, served;
  const json api = Body(test.Get("/openapi.json"));
  for (const auto& [path, item] : api["paths"].items()) described.insert(path);
  for (int r = 0; r < kRouteCount; ++r) {
    const RouteInfo& info = InfoOf(static_cast<Route>(r));
    if (info.route != Route::kNone) served.insert(std::string(info.pattern));
  }
  EXPECT_EQ(described, served);
}

TEST(Looking, ReportsComeInFourFormats) {
  TestApp test;
  const std::string path = "/v1/experiments/price/report";
  EXPECT_EQ(Body(test.Get(path))["experiment"]["key"], "price");
  EXPECT_EQ(test.Get(path + "?format=html").content_type, "text/html; charset=utf-8");
  EXPECT_EQ(test.Get(path + "?format=md").status, 200);
  EXPECT_EQ(test.Get(path + "?format=text").status, 200);
  EXPECT_EQ(test.Get(path + "?format=pdf").status, 400);
  EXPECT_EQ(test.Get(path + "?as_of=2026-03-04T00:00:00+00:00").status, 200);
  EXPECT_EQ(test.Get(path + "?as_of=2026-03-04").status, 400);
  EXPECT_EQ(test.Get(path + "?as_of=2027-03-04T00:00:00Z").status, 400);  // The future.
  EXPECT_EQ(test.Get("/v1/experiments/nothing/report").status, 404);
}

TEST(Snapshot, IsSentOnceAndWaitedFor) {
  TestApp test;
  const Response first = test.Get("/v1/snapshot");
  ASSERT_EQ(first.status, 200);
  core::BuildError error;
  const auto decoded = core::Snapshot::FromBytes(first.body, &error);
  ASSERT_NE(decoded, nullptr) << error.message;
  EXPECT_EQ(decoded->version(), test.app->snapshot()->version());
  const std::string etag(first.Get("ETag"));
  const auto get = [&](const char* target) {
    return test.Send("GET", target, "", {{"If-None-Match", etag}});
  };
  EXPECT_EQ(get("/v1/snapshot").status, 304);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(get("/v1/snapshot?wait=1").status, 304);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
  EXPECT_EQ(get("/v1/snapshot?wait=-1").status, 400);

  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    test.Post("/v1/experiments/price/stop", "");
  });
  const Response woken = get("/v1/snapshot?wait=30");
  stopper.join();
  EXPECT_EQ(woken.status, 200);
  EXPECT_NE(woken.Get("ETag"), etag);
}

TEST(Snapshot, WhenAllPlacesToWaitAreTakenTheAnswerComesAtOnce) {
  Limits limits;
  limits.max_long_polls = 0;
  TestApp test("", limits);
  const std::string etag(test.Get("/v1/snapshot").Get("ETag"));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(test.Send("GET", "/v1/snapshot?wait=30", "", {{"If-None-Match", etag}}).status, 304);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(Metrics, CountRequestsItemsAndEvaluations) {
  TestApp test;
  test.Post(kPrice, kUser);
  test.Post(kPrice, "{");
  test.Post("/v1/events", R"([{"name":"pay","ts":1772500000000,"unit":"u1"},{}])");
  const std::string text = test.Get("/metrics").body;
  for (const char* line :
       {"fulcrum_http_requests_total{route=\"/ofrep/v1/evaluate/flags/{key}\",status=\"200\"} 1",
        "fulcrum_http_requests_total{route=\"/ofrep/v1/evaluate/flags/{key}\",status=\"400\"} 1",
        "fulcrum_ingest_items_total{kind=\"event\",outcome=\"accepted\"} 1",
        "fulcrum_ingest_items_total{kind=\"event\",outcome=\"rejected\"} 1",
        "fulcrum_evaluations_total{reason=\"assigned\"} 1",
        "fulcrum_http_request_duration_seconds_bucket"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST(Tags, AreComparedWeaklyAndInLists) {
  EXPECT_TRUE(MatchesTag("\"a\"", "\"a\""));
  EXPECT_TRUE(MatchesTag("W/\"a\"", "\"a\""));
  EXPECT_TRUE(MatchesTag("\"b\" , W/\"a\"", "\"a\""));
  EXPECT_TRUE(MatchesTag("*", "\"a\""));
  EXPECT_FALSE(MatchesTag("", "\"a\""));
  EXPECT_FALSE(MatchesTag("\"b\"", "\"a\""));
  EXPECT_FALSE(MatchesTag("a", "\"a\""));
}

TEST(Fingerprint, ChangesWithContentAndNotWithoutIt) {
  TempDirectory directory;
  WriteTestProject(directory);
  const uint64_t before = ProjectFingerprint(directory.path());
  EXPECT_EQ(ProjectFingerprint(directory.path()), before);
  directory.Write("notes.txt", "not of the project");
  EXPECT_EQ(ProjectFingerprint(directory.path()), before);
  directory.Write("experiments/new.yaml", "experiment: new\n");
  EXPECT_NE(ProjectFingerprint(directory.path()), before);
  EXPECT_EQ(ProjectFingerprint("/nowhere/at/all"), 0u);
}

// Both ways of noticing: a change is told once, after it is complete.
TEST(Watcher, TellsOfEachSavedChangeOnceItIsWhole) {
  for (const bool use_inotify : {true, false}) {
    TempDirectory directory;
    WriteTestProject(directory);
    const std::string path = directory.path() + "/experiments/price.yaml";
    std::atomic<int> told{0};
    std::atomic<bool> saw_part{false};
    Watcher watcher(
        directory.path(), ProjectFingerprint(directory.path()),
        [&] {
          std::ifstream file(path);
          const std::string text((std::istreambuf_iterator<char>(file)), {});
          saw_part = saw_part || text.ends_with("part\n");
          ++told;
        },
        use_inotify);
    const auto until = [&](int times) {
      for (int i = 0; i < 1000 && told < times; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      return told >= times;
    };
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    directory.Write("notes.txt", "nobody's business");
    directory.Write("experiments/price.yaml", "experiment: price\n");
    EXPECT_TRUE(until(1));
    directory.Write("experiments/other.new", "experiment: other\n");
    std::filesystem::rename(directory.path() + "/experiments/other.new",
                            directory.path() + "/experiments/other.yaml");
    EXPECT_TRUE(until(2));
    std::filesystem::remove(directory.path() + "/experiments/other.yaml");
    EXPECT_TRUE(until(3));
    if (use_inotify) {  // A file that is being written is not read: an editor that pauses.
      std::ofstream file(path);
      file << "part\n" << std::flush;
      std::this_thread::sleep_for(std::chrono::milliseconds(250));
      file << "whole\n";
      file.close();
      EXPECT_TRUE(until(4));
      EXPECT_FALSE(saw_part);
    }
  }
}

// experiments/ may come, go, and be replaced as a whole.
TEST(Watcher, FollowsADirectoryThatIsReplaced) {
  TempDirectory directory;
  directory.Write("project.yaml", "project: p\n");
  std::atomic<int> told{0};
  Watcher watcher(directory.path(), ProjectFingerprint(directory.path()), [&] { ++told; });
  const auto until = [&](int times) {
    for (int i = 0; i < 1000 && told < times; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return told >= times;
  };
  for (int round = 0; round < 3; ++round) {
    const int before = told;
    std::filesystem::remove_all(directory.path() + "/experiments");
    std::filesystem::create_directory(directory.path() + "/experiments");
    directory.Write("experiments/x.yaml", "experiment: x" + std::to_string(round) + "\n");
    EXPECT_TRUE(until(before + 1));
  }
}

}  // namespace
}  // namespace fulcrum::server
