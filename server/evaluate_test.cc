// SPDX-License-Identifier: Apache-2.0
//
// Evaluation without sockets: OFREP's rules that real clients depend on, one by one.
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "gtest/gtest.h"
#include "server/test_support.h"

namespace fulcrum::server {
namespace {

using nlohmann::json;

constexpr char kFlag[] = "/ofrep/v1/evaluate/flags/";
constexpr char kBulk[] = "/ofrep/v1/evaluate/flags";

json Body(const Response& response) {
  const json body = json::parse(response.body, nullptr, false);
  EXPECT_FALSE(body.is_discarded()) << response.body;
  return body;
}

std::string ContextOf(const std::string& key, const std::string& more = "") {
  return R"({"context":{"targetingKey":")" + key + "\"" + more + "}}";
}

TEST(OfrepSingle, AnswersWithValueVariantReasonAndMetadata) {
  TestApp test;
  std::set<std::string> variants;
  for (int i = 0; i < 200; ++i) {
    const Response response =
        test.Post(std::string(kFlag) + "checkout",
                  ContextOf("u" + std::to_string(i), R"(,"channel":"search")"));
    ASSERT_EQ(response.status, 200) << response.body;
    const json body = Body(response);
    EXPECT_EQ(body["key"], "checkout");
    EXPECT_EQ(body["reason"], "SPLIT");
    const std::string variant = body["variant"];
    variants.insert(variant);
    EXPECT_EQ(body["value"], variant == "control" ? "three-page" : "one-page");
    EXPECT_EQ(body["metadata"]["propensity"], 0.5);
    EXPECT_EQ(body["metadata"]["snapshot"], test.app->snapshot()->version());
    EXPECT_EQ(response.Get("Access-Control-Allow-Origin"), "*");
    // The same unit always gets the same.
    EXPECT_EQ(Body(test.Post(std::string(kFlag) + "checkout",
                             ContextOf("u" + std::to_string(i), R"(,"channel":"search")"))),
              body);
  }
  EXPECT_EQ(variants, (std::set<std::string>{"control", "one-page"}));
}

TEST(OfrepSingle, WithoutVariantTheValueIsAbsent) {
  TestApp test;
  const json outside =
      Body(test.Post(std::string(kFlag) + "checkout", ContextOf("u1", R"(,"channel":"social")")));
  EXPECT_FALSE(outside.contains("value"));
  EXPECT_FALSE(outside.contains("variant"));
  EXPECT_EQ(outside["reason"], "DEFAULT");
  EXPECT_EQ(outside["metadata"]["detail"], "audience_mismatch");
  const json later = Body(test.Post(std::string(kFlag) + "later", ContextOf("u1")));
  EXPECT_FALSE(later.contains("value"));
  EXPECT_EQ(later["metadata"]["detail"], "not_started");
}

TEST(OfrepSingle, FloatsKeepTheirPoint) {
  TestApp test;
  std::set<std::string> values;
  for (int i = 0; i < 100; ++i) {
    const std::string body =
        test.Post(std::string(kFlag) + "price", ContextOf("u" + std::to_string(i))).body;
    const size_t at = body.find("\"value\":") + 8;
    values.insert(body.substr(at, body.find(',', at) - at));
  }
  EXPECT_EQ(values, (std::set<std::string>{"1.0", "0.9"}));
}

TEST(OfrepSingle, AMissingTargetingKeyIsAnErrorOnlyWhereTheFlagDraws) {
  TestApp test;
  for (const char* body :
       {"{}", R"({"context":{}})", R"({"context":null})", R"({"context":{"targetingKey":null}})",
        R"({"context":{"targetingKey":""}})"}) {
    const Response draws = test.Post(std::string(kFlag) + "price", body);
    EXPECT_EQ(draws.status, 400) << body;
    EXPECT_EQ(Body(draws)["errorCode"], "TARGETING_KEY_MISSING") << body;
    EXPECT_EQ(Body(draws)["key"], "price");
    EXPECT_TRUE(Body(draws)["metadata"].is_object());
    // This one has not started: nothing is drawn, so nobody needs a key.
    EXPECT_EQ(test.Post(std::string(kFlag) + "later", body).status, 200) << body;
  }
  // A unit of another kind is given by its name.
  EXPECT_EQ(test.Post(std::string(kFlag) + "banner", R"({"context":{"device":"d1"}})").status, 200);
  EXPECT_EQ(test.Post(std::string(kFlag) + "banner", ContextOf("u1")).status, 400);
}

struct Refused {
  const char* body;
  int status;
  const char* code;
};

TEST(OfrepSingle, MalformedBodiesAreRefusedWithACode) {
  TestApp test;
  const Refused table[] = {
      {"", 400, "PARSE_ERROR"},
      {"{", 400, "PARSE_ERROR"},
      {"nonsense", 400, "PARSE_ERROR"},
      {"[]", 400, "PARSE_ERROR"},
      {"1", 400, "PARSE_ERROR"},
      {"\"text\"", 400, "PARSE_ERROR"},
      {R"({"context":{"targetingKey":"a"}} x)", 400, "PARSE_ERROR"},
      {"{\"context\":{\"targetingKey\":\"\xff\xfe\"}}", 400, "PARSE_ERROR"},
      {R"({"context":{"targetingKey":"a","n":1e999}})", 400, "PARSE_ERROR"},
      {R"({"context":{"targetingKey":"a","n":NaN}})", 400, "PARSE_ERROR"},
      {R"({"context":[]})", 400, "INVALID_CONTEXT"},
      {R"({"context":"u1"})", 400, "INVALID_CONTEXT"},
      {R"({"context":{"targetingKey":7}})", 400, "INVALID_CONTEXT"},
      {R"({"context":{"targetingKey":{"a":1}}})", 400, "INVALID_CONTEXT"},
      {R"({"context":{"targetingKey":"a","channel":5}})", 400, "INVALID_CONTEXT"},
      {R"({"context":{"targetingKey":"a","channel":["search"]}})", 400, "INVALID_CONTEXT"},
  };
  for (const Refused& refused : table) {
    const Response response = test.Post(std::string(kFlag) + "checkout", refused.body);
    EXPECT_EQ(response.status, refused.status) << refused.body;
    const json body = Body(response);
    EXPECT_EQ(body["errorCode"], refused.code) << refused.body;
    EXPECT_FALSE(body["errorDetails"].get<std::string>().empty());
    EXPECT_TRUE(body["metadata"].is_object());
    EXPECT_EQ(response.Get("Access-Control-Allow-Origin"), "*");
  }
}

// Ids of any text, attributes of any size: a variant or a reason, and whatever is given a variant
// can be logged under the same id.
TEST(OfrepSingle, OddIdsAreDrawnAndLoggedOrRefusedWithAReason) {
  TestApp test;
  const auto ask = [&](const json& context, const char* flag = "price") {
    const Response response =
        test.Post(std::string(kFlag) + flag, json{{"context", context}}.dump());
    const json body = Body(response);
    EXPECT_EQ(response.status == 200, body.contains("reason")) << response.body;
    EXPECT_EQ(response.status == 400, body.contains("errorCode")) << response.body;
    return response.status == 200 ? body["metadata"]["detail"] : body["errorCode"];
  };
  for (const std::string& id :
       {std::string("0"), std::string(" "), std::string("null"), std::string("张伟"),
        std::string("a\"b\\c"), std::string("%00/../"), std::string(256, 'x')}) {
    EXPECT_EQ(ask({{"targetingKey", id}}), "assigned") << id;
    const Response logged = test.Post(
        "/v1/exposures",
        json::array(
            {{{"experiment", "price"}, {"variant", "full"}, {"unit", id}, {"ts", kTestNowMs}}})
            .dump());
    EXPECT_EQ(Body(logged)["accepted"], 1) << logged.body;
  }
  for (const std::string& id : {std::string(257, 'x'), std::string(1 << 20, 'x'),
                                std::string("a\nb"), std::string("a\0b", 3), std::string("\x7f")}) {
    EXPECT_EQ(ask({{"targetingKey", id}}), "INVALID_CONTEXT");
    EXPECT_EQ(ask({{"targetingKey", "u1"}, {"device", id}}, "banner"), "INVALID_CONTEXT");
  }
  EXPECT_EQ(ask({{"targetingKey", ""}}), "TARGETING_KEY_MISSING");
  EXPECT_EQ(ask({{"device", ""}}, "banner"), "TARGETING_KEY_MISSING");
  const std::string huge(4 << 20, 'x');
  EXPECT_EQ(ask({{"targetingKey", "u1"}, {"channel", huge}}, "checkout"), "audience_mismatch");
  EXPECT_EQ(ask({{"targetingKey", "u1"}, {"nobody-reads", huge}}), "assigned");
  json many = {{"targetingKey", "u1"}};
  for (int i = 0; i < 1100; ++i) many["a" + std::to_string(i)] = i;
  EXPECT_EQ(ask(many), "INVALID_CONTEXT");
  EXPECT_EQ(test.Get("/v1/variant/price?unit=" + std::string(300, 'x')).status, 400);
  EXPECT_EQ(test.Get("/v1/variant/price?unit=%00").status, 400);
}

TEST(OfrepSingle, DeepNestingIsRefusedNotFollowed) {
  TestApp test;
  const std::string deep = R"({"context":{"targetingKey":"a","x":)" + std::string(100'000, '[');
  EXPECT_EQ(Body(test.Post(std::string(kFlag) + "price", deep))["errorCode"], "PARSE_ERROR");
}

TEST(OfrepSingle, UnknownFlagIs404AndKeysMayBeEncoded) {
  TestApp test;
  const Response unknown = test.Post(std::string(kFlag) + "nothing", ContextOf("u1"));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(Body(unknown)["errorCode"], "FLAG_NOT_FOUND");
  EXPECT_EQ(Body(unknown)["key"], "nothing");
  EXPECT_EQ(test.Post(std::string(kFlag) + "p%72ice", ContextOf("u1")).status, 200);
  EXPECT_EQ(test.Post(std::string(kFlag) + "p%zz", ContextOf("u1")).status, 400);
  EXPECT_EQ(test.Get(std::string(kFlag) + "price").status, 405);
  EXPECT_EQ(test.Get(std::string(kFlag) + "price").Get("Allow"), "POST");
}

TEST(OfrepBulk, EveryFlagAnswersForItself) {
  TestApp test;
  const Response response = test.Post(kBulk, R"({"context":{"channel":"search"}})");
  ASSERT_EQ(response.status, 200);
  const json body = Body(response);
  ASSERT_EQ(body["flags"].size(), 4u);
  int missing = 0;
  for (const json& flag : body["flags"]) {
    EXPECT_TRUE(flag.contains("key"));
    EXPECT_TRUE(flag["metadata"].is_object());
    if (flag.contains("errorCode")) {
      EXPECT_EQ(flag["errorCode"], "TARGETING_KEY_MISSING");
      ++missing;
    } else {
      EXPECT_EQ(flag["key"], "later");
    }
  }
  EXPECT_EQ(missing, 3);
}

TEST(OfrepBulk, TheEtagIsOfTheBodyAndSavesSendingItAgain) {
  TestApp test;
  const std::string searching = ContextOf("u1", R"(,"channel":"search","device":"d1")");
  const Response first = test.Post(kBulk, searching);
  const std::string etag(first.Get("ETag"));
  ASSERT_EQ(first.status, 200);
  ASSERT_TRUE(etag.size() > 2 && etag.front() == '"' && etag.back() == '"') << etag;
  for (const std::string& known : {etag, "W/" + etag, "\"other\", W/" + etag, std::string("*")}) {
    const Response again = test.Send("POST", kBulk, searching, {{"If-None-Match", known}});
    EXPECT_EQ(again.status, 304) << known;
    EXPECT_TRUE(again.body.empty());
    EXPECT_EQ(again.Get("ETag"), etag);
    EXPECT_EQ(again.Get("Access-Control-Allow-Origin"), "*");
  }
  // The same user whose attributes have changed keeps the ETag and must get the new flags.
  const Response social = test.Send("POST", kBulk, ContextOf("u1", R"(,"channel":"social")"),
                                    {{"If-None-Match", etag}});
  EXPECT_EQ(social.status, 200);
  EXPECT_NE(social.Get("ETag"), etag);
}

TEST(Variant, IsForPeopleWithCurl) {
  TestApp test;
  const Response response = test.Get("/v1/variant/checkout?unit=u1&channel=search&explain=1");
  ASSERT_EQ(response.status, 200) << response.body;
  const json body = Body(response);
  EXPECT_EQ(body["unit"], (json{{"kind", "user"}, {"id", "u1"}}));
  EXPECT_FALSE(body["rules"].empty());
  const json same =
      Body(test.Post(std::string(kFlag) + "checkout", ContextOf("u1", R"(,"channel":"search")")));
  EXPECT_EQ(body["variant"], same["variant"]);
  EXPECT_EQ(body["value"], same["value"]);

  EXPECT_EQ(test.Get("/v1/variant/banner?unit=d1").status, 200);
  EXPECT_EQ(test.Get("/v1/variant/nothing?unit=u1").status, 404);
  EXPECT_EQ(Body(test.Get("/v1/variant/checkout?channel=search"))["errorCode"],
            "TARGETING_KEY_MISSING");
  const Response typo = test.Get("/v1/variant/checkout?unit=u1&chanel=search");
  EXPECT_EQ(typo.status, 400);
  EXPECT_NE(typo.body.find("did you mean 'channel'"), std::string::npos) << typo.body;
  EXPECT_EQ(test.Get("/v1/variant/checkout?unit=u1&age=old").status, 400);
  EXPECT_EQ(test.Get("/v1/variant/checkout?unit=u1&age=41").status, 200);
  EXPECT_EQ(test.Get("/v1/variant/checkout?unit=%zz").status, 400);
}

TEST(Cors, PreflightsAreAnsweredWithoutCredentials) {
  TestApp test(R"({"keys":[{"name":"web","key":"public-key-1","scopes":["client"]}]})");
  for (const char* path : {kBulk, "/ofrep/v1/evaluate/flags/price", "/v1/events"}) {
    const Response response = test.Send("OPTIONS", path, "", {{"Origin", "https://shop.example"}});
    EXPECT_EQ(response.status, 204) << path;
    EXPECT_EQ(response.Get("Access-Control-Allow-Origin"), "*");
    for (const char* name : {"authorization", "content-type", "if-none-match", "x-api-key"}) {
      EXPECT_NE(response.Get("Access-Control-Allow-Headers").find(name), std::string::npos);
    }
  }
}

constexpr char kSticky[] = R"(experiment: sticky
title: Sticky
hypothesis: People stay where they were.
owner: test team
salt: sticky-1
unit: user
sticky: true
audience:
  channel: {in: [search]}
variants:
  a: {weight: 1, control: true, value: a}
  b: {weight: 1, value: b}
primary: [pay_rate]
)";

TEST(Sticky, AUnitKeepsItsVariantWhenItsAttributesChangeAndAfterARestart) {
  TestApp test;
  test.directory.Write("experiments/sticky.yaml", kSticky);
  ASSERT_TRUE(test.app->Reload().ok());
  const std::string path = std::string(kFlag) + "sticky";
  const json first = Body(test.Post(path, ContextOf("u1", R"(,"channel":"search")")));
  ASSERT_TRUE(first.contains("variant")) << first;
  const auto check = [&] {
    const json moved = Body(test.Post(path, ContextOf("u1", R"(,"channel":"social")")));
    EXPECT_EQ(moved["variant"], first["variant"]);
    EXPECT_EQ(moved["metadata"]["detail"], "sticky");
    EXPECT_EQ(moved["metadata"]["exposure"], true);
    // Whoever was never in does not come in.
    EXPECT_FALSE(
        Body(test.Post(path, ContextOf("u2", R"(,"channel":"social")"))).contains("variant"));
    for (const json& flag :
         Body(test.Post(kBulk, ContextOf("u1", R"(,"channel":"social")")))["flags"]) {
      if (flag["key"] == "sticky") {
        EXPECT_EQ(flag["variant"], first["variant"]);
      }
    }
  };
  check();
  AppOptions options;
  options.project_dir = test.directory.path();
  options.store = &test.store;
  options.clock = &test.clock;
  options.log = [](std::string_view) {};
  test.app = *App::Make(options);
  check();
}

TEST(Sticky, WhatCannotBeKeptIsNotGiven) {
  TestApp test;
  test.directory.Write("experiments/sticky.yaml", kSticky);
  ASSERT_TRUE(test.app->Reload().ok());
  test.store.FailWith(absl::UnavailableError("the disk is full"));
  const Response response =
      test.Post(std::string(kFlag) + "sticky", ContextOf("u1", R"(,"channel":"search")"));
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.Get("Retry-After"), "1");
  EXPECT_FALSE(Body(response).contains("variant"));
}

std::string UriIn(const json& bulk) {
  return bulk.contains("eventStreams") ? bulk["eventStreams"][0]["endpoint"]["requestUri"] : "";
}

TEST(Stream, TellsOfAnotherSnapshotAndIsAdvertisedWhileThereIsAPlace) {
  Limits limits;
  limits.max_long_polls = 1;
  TestApp test("", limits);
  const std::string uri = UriIn(Body(test.Post(kBulk, ContextOf("u1"))));
  ASSERT_EQ(uri.find("/ofrep/v1/stream?unit="), 0u) << uri;
  EXPECT_EQ(uri.find("u1"), std::string::npos) << uri;
  Response open = test.Get(uri);
  ASSERT_NE(open.stream, nullptr);
  EXPECT_EQ(open.content_type, "text/event-stream");
  // Who holds the place is still told of it (or would close it); nobody else is.
  EXPECT_EQ(UriIn(Body(test.Post(kBulk, ContextOf("u1")))), uri);
  EXPECT_EQ(UriIn(Body(test.Post(kBulk, ContextOf("u2")))), "");
  EXPECT_EQ(test.Get("/ofrep/v1/stream").status, 503);

  std::string bytes;
  EXPECT_TRUE(open.stream->Next(&bytes));
  EXPECT_EQ(bytes.front(), ':');  // A comment.
  test.Post("/v1/experiments/price/stop", "");
  EXPECT_TRUE(open.stream->Next(&bytes));
  const std::string etag(test.Send("GET", "/v1/snapshot").Get("ETag"));
  const std::string id = etag.substr(1, etag.size() - 2);
  EXPECT_EQ(bytes.find("id: " + id + "\nevent: message\ndata: {\"type\":\"refetchEvaluation\""), 0u)
      << bytes;
  EXPECT_TRUE(bytes.ends_with("}\n\n"));
  test.app->BeginDrain();
  EXPECT_FALSE(open.stream->Next(&bytes));
  open.stream.reset();
  EXPECT_EQ(UriIn(Body(test.Post(kBulk, ContextOf("u2")))).find("/ofrep/v1/stream?unit="), 0u);
  EXPECT_EQ(test.Get("/ofrep/v1/stream").status, 200);
}

// A change while the connection was broken, or between the evaluation and the connection, is told
// at once; a client that missed nothing waits.
TEST(Stream, TellsWhatWasMissed) {
  TestApp test;
  const auto first_event = [&](const std::string& known) {
    Response open = known.empty()
                        ? test.Get("/ofrep/v1/stream")
                        : test.Send("GET", "/ofrep/v1/stream", "", {{"Last-Event-ID", known}});
    std::string bytes;
    EXPECT_TRUE(open.stream->Next(&bytes));
    std::thread drain([&] {  // So that a stream with nothing to tell does not wait its 15 s.
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      test.app->BeginDrain();
    });
    open.stream->Next(&bytes);
    drain.join();
    return bytes;
  };
  const std::string etag(test.Send("GET", "/v1/snapshot").Get("ETag"));
  const std::string id = etag.substr(1, etag.size() - 2);
  EXPECT_EQ(first_event("").find("id: " + id), 0u);
  EXPECT_EQ(first_event("0123456789abcdef").find("id: " + id), 0u);
  EXPECT_EQ(first_event(id), "");  // Nothing yet.
}

TEST(Stream, AddressesCarryPublicKeysOnly) {
  TestApp test(R"({"keys":[{"name":"web","key":"public key/1","scopes":["client"]},
                           {"name":"backend","key":"secret-key-1","scopes":["server"]}]})");
  const auto bulk = [&](const char* key) {
    return Body(test.Send("POST", kBulk, ContextOf("u1"), {{"X-API-Key", key}}));
  };
  EXPECT_TRUE(UriIn(bulk("public key/1")).ends_with("&token=public%20key%2F1"));
  EXPECT_FALSE(bulk("secret-key-1").contains("eventStreams"));
  EXPECT_EQ(test.Get("/ofrep/v1/stream?token=public%20key%2F1").status, 200);
  EXPECT_EQ(test.Get("/ofrep/v1/stream?token=nothing-known").status, 401);
}

}  // namespace
}  // namespace fulcrum::server
