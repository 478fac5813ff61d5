// SPDX-License-Identifier: Apache-2.0
//
// Edits of running experiments, across reloads and restarts, and controls that no longer fit what
// was edited; without sockets.
#include <nlohmann/json.hpp>

#include "gtest/gtest.h"
#include "server/past.h"
#include "server/test_support.h"

namespace fulcrum::server {
namespace {

using nlohmann::json;

constexpr char kFlag[] = "/ofrep/v1/evaluate/flags/";

json Body(const Response& response) {
  const json body = json::parse(response.body, nullptr, false);
  EXPECT_FALSE(body.is_discarded()) << response.body;
  return body;
}

// `more` goes before the variants.
std::string Sticky(const std::string& weights, const std::string& more = "sticky: true") {
  return "experiment: offer\nsalt: offer-1\nunit: user\n" + more + "\nvariants:\n" + weights +
         "primary: [pay_rate]\n";
}
std::string Offer(const std::string& weights) { return Sticky(weights, "title: Offer"); }
constexpr char kHalves[] =
    "  plain: {weight: 50, control: true, value: 1}\n  bold: {weight: 50, value: 2}\n";
constexpr char kMostlyBold[] =
    "  plain: {weight: 10, control: true, value: 1}\n  bold: {weight: 90, value: 2}\n";
constexpr char kThree[] =
    "  plain: {weight: 50, control: true, value: 1}\n  bold: {weight: 50, value: 2}\n"
    "  quiet: {weight: 0, value: 3}\n";

struct Shop : TestApp {
  explicit Shop(const std::string& offer = Sticky(kHalves)) {
    directory.Write("experiments/offer.yaml", offer);
    EXPECT_EQ(Reload().status, 200);
  }
  Response Reload(const std::string& body = "") { return Post("/v1/reload", body); }
  json Ask(const std::string& unit) {
    return Body(
        Post(std::string(kFlag) + "offer", R"({"context":{"targetingKey":")" + unit + "\"}}"));
  }
  json Shown() { return Body(Get("/v1/experiments/offer")); }
  bool Logged(const std::string& part) const {
    for (const std::string& line : log_lines()) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
  // Another process over the same data.
  absl::Status Restart(bool allow_unsafe_edits = false) {
    AppOptions options;
    options.project_dir = directory.path();
    options.store = &store;
    options.clock = &clock;
    options.allow_unsafe_edits = allow_unsafe_edits;
    options.log = [](std::string_view) {};
    absl::StatusOr<std::unique_ptr<App>> made = App::Make(std::move(options));
    if (!made.ok()) return made.status();
    app = *std::move(made);
    return absl::OkStatus();
  }
};

TEST(UnsafeEdit, IsRefusedLikeABadOneAndServedWhenAllowedWithAReason) {
  Shop shop(Offer(kHalves));
  const std::string before(shop.app->snapshot()->version());
  const json was = shop.Ask("u1");
  std::string edited = Offer(kHalves);
  edited.replace(edited.find("offer-1"), 7, "offer-2");
  shop.directory.Write("experiments/offer.yaml", edited);

  const Response refused = shop.Reload();
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(Body(refused)["errorCode"], "UNSAFE_EDIT");
  const std::string details = Body(refused)["errorDetails"];
  EXPECT_NE(details.find("offer.yaml:2:7: error: unsafe while 'offer' runs: salt: offer-1 -> "
                         "offer-2: every unit is drawn anew"),
            std::string::npos)
      << details;
  EXPECT_NE(details.find("50% of units change variant"), std::string::npos) << details;
  EXPECT_NE(details.find("allow_unsafe"), std::string::npos) << details;
  EXPECT_EQ(shop.app->snapshot()->version(), before);
  EXPECT_EQ(shop.Ask("u1"), was);
  EXPECT_TRUE(shop.Logged("offer.yaml:2:7: error: unsafe"));
  EXPECT_TRUE(shop.Logged("reload refused; snapshot " + before + " keeps serving"));
  const std::string metrics = shop.Get("/metrics").body;
  EXPECT_NE(metrics.find("fulcrum_reloads_total{outcome=\"refused\"} 1"), std::string::npos);
  EXPECT_NE(metrics.find("fulcrum_last_reload_ok 0"), std::string::npos);

  EXPECT_EQ(shop.Reload(R"({"allow_unsafe":true})").status, 400);
  EXPECT_EQ(shop.Reload(R"({"allow_unsafe":1,"reason":"x"})").status, 400);
  EXPECT_EQ(shop.Reload(R"({"alow_unsafe":true,"reason":"x"})").status, 400);
  EXPECT_EQ(shop.Reload("[").status, 400);
  EXPECT_EQ(shop.app->snapshot()->version(), before);
  EXPECT_EQ(Body(shop.Get("/v1/audit"))["controls"].size(), 0u);

  EXPECT_EQ(shop.Reload(R"({"allow_unsafe":true,"reason":"the draw was biased"})").status, 200);
  EXPECT_NE(shop.app->snapshot()->version(), before);
  const json audit = Body(shop.Get("/v1/audit?experiment=offer"))["controls"];
  ASSERT_EQ(audit.size(), 1u);
  EXPECT_EQ(audit[0]["kind"], "edit");
  EXPECT_EQ(audit[0]["actor"], "local");
  EXPECT_EQ(audit[0]["reason"], "the draw was biased: salt (unsafe)");
  EXPECT_EQ(shop.Reload().status, 200);  // It is what is served now, so it is no edit.
}

TEST(UnsafeEdit, StaysRefusedThroughARestart) {
  Shop shop(Offer(kHalves));
  const json was = shop.Ask("u1");
  std::string edited = Offer(kHalves);
  edited.replace(edited.find("offer-1"), 7, "offer-2");
  shop.directory.Write("experiments/offer.yaml", edited);
  ASSERT_TRUE(shop.Restart().ok());
  EXPECT_EQ(shop.Ask("u1"), was);
  EXPECT_NE(shop.Get("/metrics").body.find("fulcrum_last_reload_ok 0"), std::string::npos);
  EXPECT_EQ(Body(shop.Get("/readyz"))["last_reload_ok"], false);
  // And through another one, and is served when it is allowed.
  ASSERT_TRUE(shop.Restart().ok());
  EXPECT_EQ(shop.Ask("u1"), was);
  ASSERT_TRUE(shop.Restart(true).ok());
  EXPECT_NE(shop.Ask("u1")["metadata"]["snapshot"], was["metadata"]["snapshot"]);
  EXPECT_EQ(Body(shop.Get("/v1/audit"))["controls"][0]["reason"],
            "allowed by --allow-unsafe-edits: salt (unsafe)");
}

TEST(UnsafeEdit, OfTheProjectIsRefusedWhereSomethingRunsOnIt) {
  Shop shop;
  shop.directory.Write("project.yaml", R"(project: test
timezone: UTC
currency: CNY
units:
  device: {links_to: user}
  user: {}
attributes:
  channel: {type: string, values: [search, organic, social]}
  age: {type: int}
  since: {type: time}
events:
  pay: [pay]
metrics:
  pay_rate: {title: Paid within 7 days, kind: proportion, event: pay, window: 7d}
)");
  const Response refused = shop.Reload();
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.body.find("units: user -> device: the first unit kind"), std::string::npos)
      << refused.body;
}

TEST(SafeEdit, OfWhatDoesNotRunIsServed) {
  Shop shop;
  // Not begun, stopped by hand, and new: nobody has been assigned, or nobody is any more.
  shop.directory.Write("experiments/later.yaml",
                       "experiment: later\nsalt: another\nunit: user\n"
                       "schedule: {start: 2031-01-01T00:00:00Z}\n"
                       "variants:\n" +
                           std::string(kHalves) + "primary: [pay_rate]\n");
  EXPECT_EQ(shop.Reload().status, 200);
  EXPECT_EQ(shop.Post("/v1/experiments/offer/stop", "").status, 200);
  std::filesystem::remove(shop.directory.path() + "/experiments/offer.yaml");
  EXPECT_EQ(shop.Reload().status, 200);
  std::filesystem::remove(shop.directory.path() + "/experiments/price.yaml");
  EXPECT_EQ(shop.Reload().status, 409);  // This one runs.
  EXPECT_EQ(shop.Post("/v1/experiments/price/stop", "").status, 200);
  EXPECT_EQ(shop.Reload().status, 200);
}

// Changed weights begin a phase: new units are drawn by them, units that are in keep their variant,
// their phase and the propensity they were drawn with.
TEST(SafeEdit, OfWeightsBeginsAPhase) {
  Shop shop;
  std::map<std::string, json> was;
  for (int i = 0; i < 50; ++i) was["u" + std::to_string(i)] = shop.Ask("u" + std::to_string(i));
  EXPECT_EQ(was["u1"]["metadata"]["phase"], 0);
  shop.clock.SetMs(kTestNowMs + 1000);
  shop.directory.Write("experiments/offer.yaml", Sticky(kMostlyBold));
  ASSERT_EQ(shop.Reload().status, 200);
  int bold = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string unit = "u" + std::to_string(i);
    const json now = shop.Ask(unit);
    if (i < 50) {
      EXPECT_EQ(now["variant"], was[unit]["variant"]);
      EXPECT_EQ(now["metadata"]["detail"], "sticky");
      EXPECT_EQ(now["metadata"]["phase"], 0);
      EXPECT_EQ(now["metadata"]["propensity"], 0.5);
      continue;
    }
    EXPECT_EQ(now["metadata"]["phase"], 1);
    EXPECT_EQ(now["metadata"]["propensity"], now["variant"] == "bold" ? 0.9 : 0.1);
    bold += now["variant"] == "bold";
  }
  EXPECT_GT(bold, 115);  // Of 150, 135 expected.
  const json phases = shop.Shown()["phases"];
  ASSERT_EQ(phases.size(), 2u);
  EXPECT_EQ(phases[0]["weights"]["bold"], 0.5);
  EXPECT_EQ(phases[1]["weights"]["bold"], 0.9);
  const json audit = Body(shop.Get("/v1/audit"))["controls"];
  ASSERT_EQ(audit.size(), 1u);
  EXPECT_EQ(audit[0]["reason"],
            "variants.plain.weight (needs a new phase); variants.bold.weight (needs a new phase)");
  // What only concerns the analysis begins none.
  shop.directory.Write("experiments/offer.yaml", Sticky(kMostlyBold) + "owner: another team\n");
  ASSERT_EQ(shop.Reload().status, 200);
  EXPECT_EQ(shop.Shown()["phases"].size(), 2u);
  ASSERT_TRUE(shop.Restart().ok());
  EXPECT_EQ(shop.Shown()["phases"], phases);
}

core::ControlRecord Control(core::ControlKind kind) {
  core::ControlRecord record;
  record.ts_ms = kTestNowMs - 1000;
  record.kind = kind;
  record.experiment = "offer";
  return record;
}

// A control that does not fit the edited definition keeps nobody from starting, and says so.
TEST(Controls, ThatNoLongerFitAreToldAndKeepNobodyFromStarting) {
  Shop shop(Sticky(kThree));
  core::ControlRecord weights = Control(core::ControlKind::kSetWeights);
  weights.weights = {{"plain", 200'000, 0}, {"bold", 700'000, 0}, {"quiet", 100'000, 0}};
  ASSERT_TRUE(shop.store.AppendControl(weights).ok());
  core::ControlRecord advance = Control(core::ControlKind::kAdvanceRamp);
  advance.step = 4;
  ASSERT_TRUE(shop.store.AppendControl(advance).ok());
  ASSERT_EQ(shop.Reload().status, 200);
  EXPECT_EQ(shop.Shown()["phases"].back()["weights"]["bold"], 0.7);
  EXPECT_EQ(shop.Shown()["unfit_controls"].size(), 1u);  // The ramp has one step.

  shop.directory.Write("experiments/offer.yaml", Sticky(kMostlyBold));
  ASSERT_EQ(shop.Reload(R"({"allow_unsafe":true,"reason":"quiet is broken"})").status, 200);
  ASSERT_TRUE(shop.Restart().ok());
  const json shown = shop.Shown();
  ASSERT_EQ(shown["unfit_controls"].size(), 2u) << shown;
  EXPECT_EQ(shown["unfit_controls"][0],
            "an advance to ramp step 4 of a ramp of 1 steps begins the last one");
  EXPECT_EQ(
      shown["unfit_controls"][1],
      "a weight is set for 'quiet', which is no variant of it; the weights stay as they were");
  EXPECT_EQ(shown["phases"].back()["weights"]["bold"], 0.9);
  EXPECT_TRUE(
      shop.Logged("a control does not fit the definition it was written for: experiment "
                  "'offer': a weight is set for 'quiet'"));
  EXPECT_TRUE(Body(shop.Post(std::string(kFlag) + "price", R"({"context":{"targetingKey":"u1"}})"))
                  .contains("variant"));
}

TEST(Controls, AStopWhoseVariantIsGoneServesNobody) {
  Shop shop(Sticky(kThree));
  ASSERT_EQ(shop.Post("/v1/experiments/offer/stop", R"({"variant":"quiet"})").status, 200);
  EXPECT_EQ(shop.Ask("u1")["variant"], "quiet");
  shop.directory.Write("experiments/offer.yaml", Sticky(kHalves));
  ASSERT_EQ(shop.Reload().status, 200);
  const json gone = shop.Ask("u1");
  EXPECT_FALSE(gone.contains("variant"));
  EXPECT_FALSE(gone.contains("value"));
  EXPECT_EQ(gone["reason"], "DISABLED");
  EXPECT_EQ(gone["metadata"]["detail"], "stopped");
  EXPECT_EQ(shop.Shown()["state"], "stopped");
  EXPECT_NE(shop.Shown()["unfit_controls"][0].get<std::string>().find("its stop serves 'quiet'"),
            std::string::npos);
  ASSERT_TRUE(shop.Restart().ok());
  EXPECT_EQ(shop.Ask("u1")["metadata"]["detail"], "stopped");
}

// A spent coupon budget: at one logged instant nobody new comes in, in no arm; who is in stays.
TEST(Controls, ClosedEnrolmentKeepsWhoIsIn) {
  Shop shop;
  const json was = shop.Ask("u1");
  core::ControlRecord close = Control(core::ControlKind::kCloseEnrolment);
  close.ts_ms = kTestNowMs + 500;
  ASSERT_TRUE(shop.store.AppendControl(close).ok());
  ASSERT_EQ(shop.Reload().status, 200);
  EXPECT_TRUE(shop.Ask("u2").contains("variant"));  // Before the instant.
  shop.clock.SetMs(kTestNowMs + 500);
  EXPECT_EQ(shop.Ask("u1")["variant"], was["variant"]);
  EXPECT_EQ(shop.Ask("u3")["metadata"]["detail"], "enrolment_closed");
}

// "Why did she see this": what she saw and when, and every rule that decides now, with its buckets,
// ranges, overrides and prior.
TEST(Units, AnswerWhyTheySeeWhatTheySee) {
  Shop shop(Sticky(kHalves,
                   "sticky: true\naudience: {channel: [search]}\noverrides:\n"
                   "  - {units: [tester], variant: bold}"));
  const auto ask = [&](const std::string& unit) {
    return Body(shop.Post(std::string(kFlag) + "offer",
                          R"({"context":{"targetingKey":")" + unit + R"(","channel":"search"}})"));
  };
  const json shown = ask("anna");
  ASSERT_TRUE(shown.contains("variant"));
  shop.Post("/v1/exposures", json::array({{{"experiment", "offer"},
                                           {"variant", shown["variant"]},
                                           {"unit", "anna"},
                                           {"ts", kTestNowMs},
                                           {"phase", 0},
                                           {"propensity", 0.5},
                                           {"attributes", {{"channel", "search"}}}}})
                                 .dump());
  const auto decision_of = [](const json& unit, const char* experiment) {
    for (const json& decision : unit["decisions"]) {
      if (decision["experiment"] == experiment) return decision;
    }
    return json();
  };
  const auto rule_of = [](const json& decision, const char* name) {
    for (const json& rule : decision["rules"]) {
      if (rule["rule"] == name) return rule["detail"].get<std::string>();
    }
    return std::string("none");
  };
  // Her attributes now are another's, and she keeps what she has.
  const json unit = Body(shop.Get("/v1/units/anna?channel=social"));
  ASSERT_EQ(unit["exposures"].size(), 1u);
  EXPECT_EQ(unit["exposures"][0]["variant"], shown["variant"]);
  EXPECT_EQ(unit["exposures"][0]["phase"], 0);
  EXPECT_EQ(unit["exposures"][0]["propensity"], 0.5);
  EXPECT_EQ(unit["exposures"][0]["attributes"]["channel"], "search");
  json offer = decision_of(unit, "offer");
  EXPECT_EQ(offer["variant"], shown["variant"]);
  EXPECT_EQ(offer["reason"], "sticky");
  EXPECT_EQ(offer["prior"]["variant"], shown["variant"]);
  EXPECT_EQ(rule_of(offer, "prior"),
            "keeps its prior variant '" + shown["variant"].get<std::string>() + "'");
  EXPECT_EQ(rule_of(offer, "override"), "unit 'anna' is not overridden");
  // Experiments by device do not draw by a user.
  EXPECT_TRUE(decision_of(unit, "banner").is_null());
  const json price = decision_of(unit, "price");
  EXPECT_NE(rule_of(price, "traffic").find("phase 0 enrols [0, 1000000), 100%"), std::string::npos);
  EXPECT_NE(rule_of(price, "variant").find("is in ["), std::string::npos);

  offer = decision_of(Body(shop.Get("/v1/units/bert?channel=social")), "offer");
  EXPECT_EQ(offer["reason"], "audience_mismatch");
  EXPECT_FALSE(offer.contains("variant"));
  EXPECT_FALSE(offer.contains("prior"));
  EXPECT_EQ(decision_of(Body(shop.Get("/v1/units/tester")), "offer")["reason"], "override");
  const json later = decision_of(Body(shop.Get("/v1/units/bert?at=2030-01-05T00:00:00Z")), "later");
  EXPECT_EQ(later["reason"], "assigned");
  EXPECT_EQ(decision_of(Body(shop.Get("/v1/units/bert")), "later")["reason"], "not_started");
  EXPECT_FALSE(decision_of(Body(shop.Get("/v1/units/d1?kind=device")), "banner").is_null());
  for (const char* bad : {"/v1/units/u1?kind=planet", "/v1/units/u1?at=soon",
                          "/v1/units/u1?age=old", "/v1/units/u1?colour=red"}) {
    EXPECT_EQ(shop.Get(bad).status, 400) << bad;
  }
}

TEST(Kept, WhatWasServedCanBeReadBack) {
  TempDirectory directory;
  WriteTestProject(directory);
  directory.Write("experiments/a b.yaml", "experiment: spaced\nsalt: s\nunit: user\nvariants:\n" +
                                              std::string(kHalves) + "primary: [pay_rate]\n");
  std::vector<std::string> warnings;
  const auto project = LoadProject(directory.path(), &warnings);
  ASSERT_TRUE(project.ok()) << project.status();
  FakeStore store;
  std::vector<std::string> kept;
  const auto keep = [&](const std::map<std::string, std::string>& before, int64_t now_ms) {
    EXPECT_TRUE(
        KeepProject(store, project->definitions, project->files, before, now_ms, &kept).ok());
    return *store.ReadDefinitions();
  };
  const auto records = keep({}, kTestNowMs);
  EXPECT_EQ(FilesAt(records, INT64_MAX), project->files);
  EXPECT_TRUE(FilesAt(records, kTestNowMs - 1).empty());
  EXPECT_EQ(keep(project->files, kTestNowMs + 1).size(), records.size());
  // Also where it is not known what is kept, and where one file is another.
  EXPECT_EQ(keep({}, kTestNowMs + 2).size(), records.size());
  auto before = project->files;
  before["experiments/price.yaml"] = "other";
  EXPECT_EQ(keep(before, kTestNowMs + 3).size(), records.size());
  EXPECT_TRUE(FilesAt({}, INT64_MAX).empty());
}

}  // namespace
}  // namespace fulcrum::server
