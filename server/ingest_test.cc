// SPDX-License-Identifier: Apache-2.0
//
// Batches without sockets: what is kept, what is refused, and that a bad item costs no neighbour
// its place.
#include <nlohmann/json.hpp>

#include "base/time.h"
#include "gtest/gtest.h"
#include "server/test_support.h"

namespace fulcrum::server {
namespace {

using nlohmann::json;

json Body(const Response& response) {
  const json body = json::parse(response.body, nullptr, false);
  EXPECT_FALSE(body.is_discarded()) << response.body;
  return body;
}

std::string Event(const std::string& id, const std::string& more = "") {
  return R"({"event_id":")" + id + R"(","name":"pay","ts":1772500000000,"unit":{"kind":"user",)" +
         R"("id":"u1"})" + more + "}";
}

std::string Exposure(const std::string& id, const std::string& more = "") {
  return R"({"exposure_id":")" + id + R"(","experiment":"checkout","variant":"one-page",)" +
         R"("unit":{"kind":"user","id":"u1"},"ts":"2026-03-03T01:00:00+08:00")" + more + "}";
}

TEST(Events, EveryFieldIsKept) {
  TestApp test;
  const Response response = test.Post(
      "/v1/events",
      R"({"batch_id":"b1","events":[{"event_id":"e1","name":"pay","ts":"2026-03-03T00:00:00.250Z",
          "ids":{"user":"u1","device":"d1"},"order_id":"o1","session_id":"s1","value":12.5,
          "currency":"CNY","properties":{"method":"card","coupon":true,"items":3,"gone":null}}]})");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(Body(response), json::parse(R"({"accepted":1,"duplicates":0,"rejected":[]})"));
  ASSERT_EQ(test.store.events().size(), 1u);
  const KeptEvent event = test.store.events()[0];
  EXPECT_EQ(event.name, "pay");
  EXPECT_EQ(event.event_id, "e1");
  EXPECT_EQ(event.ts_ms, *ParseRfc3339("2026-03-03T00:00:00.250Z"));
  EXPECT_EQ(event.order_id, "o1");
  EXPECT_EQ(event.session_id, "s1");
  EXPECT_EQ(event.value, 12.5);
  EXPECT_EQ(event.ids,
            (std::vector<std::pair<std::string, std::string>>{{"user", "u1"}, {"device", "d1"}}));
  EXPECT_EQ(event.properties, (std::map<std::string, std::string>{
                                  {"method", "card"}, {"coupon", "true"}, {"items", "3"}}));
}

TEST(Exposures, EveryFieldIsKeptAndThePhaseIsFoundByTime) {
  TestApp test;
  const Response response = test.Post(
      "/v1/exposures",
      "[" +
          Exposure("x1", R"(,"snapshot":"v1","propensity":0.5,"attributes":{"channel":"search"})") +
          "," + Exposure("x2", R"(,"phase":3)") + "]");
  ASSERT_EQ(response.status, 200) << response.body;
  const std::vector<KeptExposure> kept = test.store.exposures();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].experiment, "checkout");
  EXPECT_EQ(kept[0].variant, "one-page");
  EXPECT_EQ(kept[0].kind, "user");
  EXPECT_EQ(kept[0].id, "u1");
  EXPECT_EQ(kept[0].snapshot, "v1");
  EXPECT_EQ(kept[0].propensity, 0.5);
  EXPECT_EQ(kept[0].phase, 0);
  EXPECT_EQ(kept[0].attributes.at("channel"), "search");
  EXPECT_EQ(kept[0].ts_ms, *ParseRfc3339("2026-03-02T17:00:00Z"));
  EXPECT_EQ(kept[1].phase, 3);
}

TEST(Links, JoinTwoKinds) {
  TestApp test;
  const Response response =
      test.Post("/v1/links", R"({"links":[{"anonymous":"d1","known":"u1","ts":1772500000000},
      {"anonymous":{"kind":"user","id":"u1"},"known":"u2","ts":1772500000000}]})");
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(Body(response)["accepted"], 1);
  EXPECT_EQ(Body(response)["rejected"][0]["index"], 1);
  ASSERT_EQ(test.store.links().size(), 1u);
  EXPECT_EQ(test.store.links()[0].anonymous_kind, "device");
  EXPECT_EQ(test.store.links()[0].known_kind, "user");
}

// Each bad item stands between two good ones, in every form a batch can have.
TEST(Batches, ABadItemCostsNoNeighbourItsPlace) {
  const char* table[] = {
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"value":NaN})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"value":Infinity})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"value":1e999})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"value":1e16})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"value":"12"})",
      "{\"name\":\"pa\xff\",\"ts\":1772500000000,\"unit\":{\"kind\":\"user\",\"id\":\"u1\"}}",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"\ud800"}})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"planet","id":"u1"}})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":""}})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":7}})",
      R"({"name":"pay","ts":1772500000000})",
      R"({"name":"pay","unit":{"kind":"user","id":"u1"}})",
      R"({"ts":1772500000000,"unit":{"kind":"user","id":"u1"}})",
      R"({"name":"","ts":1772500000000,"unit":{"kind":"user","id":"u1"}})",
      R"({"name":"pay","ts":1772500000,"unit":{"kind":"user","id":"u1"}})",
      R"({"name":"pay","ts":-5,"unit":{"kind":"user","id":"u1"}})",
      R"({"name":"pay","ts":9999999999999999,"unit":{"kind":"user","id":"u1"}})",
      R"({"name":"pay","ts":"2026-03-03","unit":{"kind":"user","id":"u1"}})",
      R"({"name":"pay","ts":"2026-13-03T00:00:00Z","unit":{"kind":"user","id":"u1"}})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"properties":[1]})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"propertys":{}})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"currency":"EUR"})",
      R"({"name":"pay","ts":1772500000000,"unit":{"kind":"user","id":"u1"},"properties":{"a":{}}})",
      R"("text")",
      "17",
      "null",
      "[]",
  };
  TestApp test;
  size_t kept = 0;
  for (const char* bad : table) {
    const std::string first = Event("e1"), last = Event("e2");
    const std::string array = "[" + first + "," + bad + "," + last + "]";
    const std::string id = "b" + std::to_string(kept);
    const std::string bodies[] = {array, R"({"batch_id":")" + id + R"(","events":)" + array + "}",
                                  first + "\n" + bad + "\n" + last + "\n"};
    for (size_t form = 0; form < 3; ++form) {
      const Response response =
          test.Send("POST", "/v1/events", bodies[form],
                    {{"Content-Type", form == 2 ? "application/x-ndjson" : "application/json"}});
      ASSERT_EQ(response.status, 200) << bodies[form] << "\n" << response.body;
      const json body = Body(response);
      EXPECT_EQ(body["accepted"], 2) << bodies[form] << response.body;
      ASSERT_EQ(body["rejected"].size(), 1u) << bodies[form] << response.body;
      EXPECT_EQ(body["rejected"][0]["index"], 1);
      EXPECT_FALSE(body["rejected"][0]["error"].get<std::string>().empty());
      const std::vector<KeptEvent> events = test.store.events();
      ASSERT_EQ(events.size(), kept += 2);
      EXPECT_EQ(events[kept - 2].event_id, "e1");
      EXPECT_EQ(events[kept - 1].event_id, "e2");
    }
  }
}

TEST(Batches, BadExposuresAreRefusedByThemselves) {
  const std::string table[] = {
      R"({"experiment":"nothing","variant":"a","unit":{"kind":"user","id":"u"},)"
      R"("ts":1772500000000})",
      R"({"experiment":"checkout","variant":"","unit":{"kind":"user","id":"u"},)"
      R"("ts":1772500000000})",
      R"({"experiment":"checkout","variant":"one-page","unit":{"kind":"device","id":"d"},)"
      R"("ts":1772500000000})",
      Exposure("x9", R"(,"propensity":0)"),
      Exposure("x9", R"(,"propensity":1.5)"),
      Exposure("x9", R"(,"phase":-1)"),
      Exposure("x9", R"(,"phase":1.5)"),
      Exposure("x9", R"(,"reason":"SPLIT")"),
  };
  TestApp test;
  for (const std::string& bad : table) {
    const Response response =
        test.Post("/v1/exposures", "[" + Exposure("x1") + "," + bad + "," + Exposure("x2") + "]");
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(Body(response)["accepted"], 2) << bad;
    EXPECT_EQ(Body(response)["rejected"][0]["index"], 1) << bad;
  }
}

TEST(Batches, WhatCannotBeReadAtAllIs400AndKeepsNothing) {
  const char* table[] = {
      "",
      "{",
      "nonsense",
      "[",
      "17",
      "\"a\"",
      "{\"events\"",
      "{\"events\":17}",
      "{}",
      R"({"events":[],"evnts":1})",
      "[{},{]",
      R"({"batch_id":7,"events":[]})",
      R"([{"a":"b])",
      "\xff\xfe\x00\x01",
  };
  TestApp test;
  for (const char* body : table) {
    const Response response = test.Post("/v1/events", body);
    EXPECT_EQ(response.status, 400) << body << response.body;
    EXPECT_FALSE(Body(response)["errorDetails"].get<std::string>().empty());
    EXPECT_TRUE(test.store.events().empty());
  }
}

TEST(Batches, AloneABadItemIs400WithItsReason) {
  TestApp test;
  const Response response = test.Post("/v1/events", R"({"events":[{"name":"pay"}]})");
  EXPECT_EQ(response.status, 400);
  const json body = Body(response);
  EXPECT_EQ(body["accepted"], 0);
  EXPECT_EQ(body["rejected"][0]["index"], 0);
  EXPECT_EQ(body["errorCode"], "INVALID_ITEMS");
}

TEST(Batches, OneItemNeedsNoEnvelopeAndLinesNeedNoContentType) {
  TestApp test;
  EXPECT_EQ(Body(test.Post("/v1/events", Event("e1")))["accepted"], 1);
  EXPECT_EQ(Body(test.Post("/v1/events", Event("e2") + "\n\n" + Event("e3")))["accepted"], 2);
  EXPECT_EQ(Body(test.Post("/v1/events", "[]"))["accepted"], 0);
  EXPECT_EQ(test.store.events().size(), 3u);
}

TEST(Batches, RepeatsInsideABatchCountOnce) {
  TestApp test;
  const json body = Body(
      test.Post("/v1/events", "[" + Event("e1") + "," + Event("e1") + "," + Event("e2") + "]"));
  EXPECT_EQ(body["accepted"], 2);
  EXPECT_EQ(body["duplicates"], 1);
  EXPECT_EQ(test.store.events().size(), 2u);
}

TEST(Batches, TheSameBatchTwiceCountsOnceAndAnotherBodyIs409) {
  TestApp test;
  const std::string body = R"({"batch_id":"b1","events":[)" + Event("e1") + "]}";
  EXPECT_EQ(Body(test.Post("/v1/events", body))["accepted"], 1);
  const json again = Body(test.Post("/v1/events", body));
  EXPECT_EQ(again["accepted"], 0);
  EXPECT_EQ(again["duplicates"], 1);
  EXPECT_EQ(test.store.events().size(), 1u);
  const Response other =
      test.Post("/v1/events", R"({"batch_id":"b1","events":[)" + Event("e2") + "]}");
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(Body(other)["errorCode"], "CONFLICT");

  const std::string bare = "[" + Event("e3") + "]";
  const auto send = [&](const char* key) {
    return test.Send("POST", "/v1/events", bare, {{"Idempotency-Key", key}});
  };
  EXPECT_EQ(Body(send("k1"))["accepted"], 1);
  EXPECT_EQ(Body(send("k1"))["duplicates"], 1);
  EXPECT_EQ(test.Send("POST", "/v1/events", body, {{"Idempotency-Key", "b2"}}).status, 400);
}

TEST(Batches, LimitsAreNamed) {
  Limits limits;
  limits.max_batch_items = 2;
  limits.max_body_bytes = 1000;
  TestApp test("", limits);
  EXPECT_EQ(test.Post("/v1/events", "[{},{},{}]").status, 413);
  EXPECT_EQ(test.Post("/v1/events", "{}\n{}\n{}").status, 413);
  EXPECT_EQ(test.Post("/v1/events", std::string(1001, ' ')).status, 413);
  const std::string long_id(300, 'x');
  EXPECT_EQ(test.Post("/v1/events", Event(long_id)).status, 400);
}

TEST(Batches, PressureIsToldWithRetryAfter) {
  TestApp test;
  test.store.FailWith(absl::ResourceExhaustedError("the backlog is full"));
  const Response full = test.Post("/v1/events", Event("e1"));
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(full.Get("Retry-After"), "1");
  test.store.FailWith(absl::UnavailableError("the disk is full"));
  EXPECT_EQ(test.Post("/v1/events", Event("e1")).status, 503);
  test.store.FailWith(absl::OkStatus());
  EXPECT_EQ(test.Post("/v1/events", Event("e1")).status, 200);
}

TEST(Batches, ClientCountsAreKeptBesideTheItems) {
  TestApp test;
  const Response response = test.Post("/v1/exposures",
                                      R"({"exposures":[],"client":[
        {"experiment":"checkout","variant":"one-page","assigned":10,"shown":8,"sent":7,"dropped":1},
        {"experiment":"nothing","variant":"a","shown":1},
        {"experiment":"checkout","variant":"control","shown":-1}]})");
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(test.store.client_counts(), 1);
  EXPECT_EQ(Body(response)["client_rejected"].size(), 2u);
}

TEST(Trackers, SegmentBatches) {
  TestApp test;
  const Response response = test.Post("/v1/batch", R"({"sentAt":"2026-03-03T00:00:00Z","batch":[
    {"type":"track","event":"Order Completed","userId":"u1","anonymousId":"a1","messageId":"m1",
     "timestamp":"2026-03-03T00:00:00Z","properties":{"revenue":20,"currency":"CNY",
     "order_id":"o1","products":[{"sku":1}]}},
    {"type":"identify","userId":"u1","anonymousId":"a1","messageId":"m2"},
    {"type":"group","userId":"u1","groupId":"g"},
    {"type":"track","userId":"u1"},
    {"type":"track","event":"Experiment Viewed","userId":"u1","messageId":"m5",
     "properties":{"experiment_id":"checkout","variation_id":"one-page"}},
    {"type":"track","event":"Order Completed","userId":"u1","messageId":"m1"}]})");
  ASSERT_EQ(response.status, 200) << response.body;
  const json body = Body(response);
  EXPECT_EQ(body["accepted"], 3) << response.body;
  EXPECT_EQ(body["duplicates"], 1);
  EXPECT_EQ(body["ignored"], 1);
  ASSERT_EQ(body["rejected"].size(), 1u);
  EXPECT_EQ(body["rejected"][0]["index"], 3);
  ASSERT_EQ(test.store.events().size(), 1u);
  EXPECT_EQ(test.store.events()[0].value, 20);
  EXPECT_EQ(test.store.events()[0].order_id, "o1");
  EXPECT_EQ(test.store.events()[0].ids.size(), 2u);
  EXPECT_EQ(test.store.links().size(), 1u);
  ASSERT_EQ(test.store.exposures().size(), 1u);
  EXPECT_EQ(test.store.exposures()[0].variant, "one-page");
}

TEST(Trackers, GrowthBookPlugin) {
  TestApp test;
  const Response response =
      test.Send("POST", "/track?client_key=whatever",
                R"([{"event_name":"Experiment Viewed","properties_json":{"experimentId":"banner",
        "variationId":"on","hashAttribute":"device","hashValue":"d1"},"user_id":null,
        "device_id":"d1","session_id":"s"},
       {"event_name":"Feature Evaluated","properties_json":{"feature":"x"},"device_id":"d1"},
       {"event_name":"pay","properties_json":{"value":3},"device_id":"d1","user_id":"u1"}])",
                {{"Content-Type", "text/plain"}});
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(Body(response)["accepted"], 2);
  ASSERT_EQ(test.store.exposures().size(), 1u);
  EXPECT_EQ(test.store.exposures()[0].kind, "device");
  EXPECT_EQ(test.store.exposures()[0].ts_ms, kTestNowMs);
  EXPECT_EQ(test.store.events()[0].value, 3);
}

TEST(Standards, CloudEventsInAllThreeModes) {
  TestApp test;
  const char* one = R"({"specversion":"1.0","id":"1","source":"/shop","type":"pay",
    "time":"2026-03-03T00:00:00Z","subject":"u1","data":{"value":5,"properties":{"a":1}}})";
  const auto send = [&](const std::string& body, const char* type) {
    return test.Send("POST", "/events", body, {{"Content-Type", type}});
  };
  EXPECT_EQ(Body(send(one, "application/cloudevents+json"))["accepted"], 1);
  const json batch = Body(send("[" + std::string(one) + "," + one + R"(,{"id":"2"}])",
                               "application/cloudevents-batch+json"));
  EXPECT_EQ(batch["accepted"], 1);
  EXPECT_EQ(batch["duplicates"], 1);  // The same source and id.
  EXPECT_EQ(batch["rejected"][0]["index"], 2);
  const Response binary = test.Send("POST", "/events", R"({"ids":{"user":"u2"},"value":7})",
                                    {{"Content-Type", "application/json"},
                                     {"ce-id", "9"},
                                     {"ce-source", "/shop"},
                                     {"ce-type", "refund"},
                                     {"ce-time", "2026-03-03T00:00:00Z"}});
  EXPECT_EQ(binary.status, 200) << binary.body;
  EXPECT_EQ(send("{}", "application/json").status, 415);
  ASSERT_EQ(test.store.events().size(), 3u);
  EXPECT_EQ(test.store.events()[2].name, "refund");
  EXPECT_EQ(test.store.events()[2].value, 7);
}

TEST(Standards, OtlpEvaluationLogs) {
  TestApp test;
  const auto record = [](const char* variant, const char* reason) {
    return std::string(R"({"timeUnixNano":"1772500000000000000","eventName":)") +
           R"("feature_flag.evaluation","attributes":[)" +
           R"({"key":"feature_flag.key","value":{"stringValue":"checkout"}},)" +
           R"({"key":"feature_flag.result.variant","value":{"stringValue":")" + variant +
           R"("}},{"key":"feature_flag.result.reason","value":{"stringValue":")" + reason +
           R"("}},{"key":"feature_flag.context.id","value":{"stringValue":"u1"}}]})";
  };
  const Response response = test.Post(
      "/v1/logs", R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[)" +
                      record("one-page", "split") + "," + record("", "default") + "]}]}]}");
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(Body(response), json::parse(R"({"partialSuccess":{}})"));
  ASSERT_EQ(test.store.exposures().size(), 1u);
  EXPECT_EQ(test.store.exposures()[0].ts_ms, 1772500000000);
}

}  // namespace
}  // namespace fulcrum::server
