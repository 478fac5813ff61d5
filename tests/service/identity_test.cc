// SPDX-License-Identifier: Apache-2.0
//
// docs/identity.md, case by case, on the real server: what is decided, what is logged, and what the
// report then counts. The experiment `banner` is by device and `price` by user.
#include <gtest/gtest.h>
#include <httplib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "nlohmann/json.hpp"
#include "tests/service/program.h"

namespace fulcrum::tests {
namespace {

using nlohmann::json;

constexpr char kProject[] = R"(project: identity
timezone: UTC
currency: EUR
units:
  user: {}
  device: {links_to: user}
events: {pay: [pay]}
metrics:
  pays: {kind: count, event: pay}
)";

std::string Experiment(const std::string& key, const std::string& unit) {
  return "experiment: " + key + "\nsalt: " + key + "-1\nunit: " + unit +
         "\nvariants:\n"
         "  off: {weight: 1, control: true, value: false}\n"
         "  on: {weight: 1, value: true}\n"
         "primary: [pays]\n";
}

// Hours of the first day.
std::string At(int hour, int minute = 0) {
  char text[32];
  std::snprintf(text, sizeof text, "2026-03-02T%02d:%02d:00Z", hour, minute);
  return text;
}

// Units, and the pays of all of them together.
struct Arm {
  double units = 0;
  double pays = 0;
  bool operator==(const Arm&) const = default;
};
using Arms = std::map<std::string, Arm>;

class Identity : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(dir_ / "shop/experiments");
    std::ofstream(dir_ / "shop/project.yaml") << kProject;
    std::ofstream(dir_ / "shop/experiments/banner.yaml") << Experiment("banner", "device");
    std::ofstream(dir_ / "shop/experiments/price.yaml") << Experiment("price", "user");
    server_ = std::make_unique<ServerProcess>(dir_ / "shop", dir_ / "data",
                                              std::vector<std::string>{"--simulated-clock", At(0)});
    ASSERT_TRUE(server_->running()) << server_->Log();
    http_ = std::make_unique<httplib::Client>(server_->url());
    http_->set_tcp_nodelay(true);
  }

  json Send(const std::string& now, const std::string& path, const json& body) {
    const auto answer = http_->Post(path, {{"Fulcrum-Now", now}}, body.dump(), "application/json");
    EXPECT_TRUE(answer);
    if (!answer) return {};
    EXPECT_TRUE(answer->status == 200 || answer->status == 400) << answer->body;
    return json::parse(answer->body);
  }

  json Ask(const std::string& now, const std::string& experiment, const json& context) {
    return Send(now, "/ofrep/v1/evaluate/flags/" + experiment, {{"context", context}});
  }

  // Evaluates, shows, and logs the exposure under the unit that was drawn; gives the variant.
  std::string Show(const std::string& now, const std::string& experiment, const std::string& kind,
                   const std::string& id) {
    const json context = kind == "user" ? json{{"targetingKey", id}} : json{{kind, id}};
    const json shown = Ask(now, experiment, context);
    EXPECT_TRUE(shown.contains("variant")) << shown;
    Accepted(Send(now, "/v1/exposures",
                  {{"exposures",
                    {{{"experiment", experiment},
                      {"variant", shown["variant"]},
                      {"unit", {{"kind", kind}, {"id", id}}},
                      {"ts", now}}}}}));
    return shown["variant"];
  }
  void Pay(const std::string& now, const json& ids) {
    Accepted(Send(now, "/v1/events", {{"events", {{{"name", "pay"}, {"ts", now}, {"ids", ids}}}}}));
  }
  void Link(const std::string& now, const std::string& device, const std::string& user) {
    Accepted(Send(now, "/v1/links",
                  {{"links", {{{"anonymous", device}, {"known", user}, {"ts", now}}}}}));
  }
  static void Accepted(const json& answer) { EXPECT_EQ(answer["accepted"], 1) << answer; }

  Arms Report(const std::string& experiment, const std::string& as_of) {
    const auto answer = http_->Get("/v1/experiments/" + experiment + "/report?as_of=" + as_of,
                                   {{"Fulcrum-Now", as_of}});
    EXPECT_TRUE(answer && answer->status == 200) << (answer ? answer->body : "");
    Arms arms;
    if (!answer) return arms;
    const json report = json::parse(answer->body);
    for (const json& arm : report["arms"]) arms[arm["key"]].units = arm["units"];
    for (const json& arm : report["metrics"][0]["arms"]) {
      EXPECT_EQ(arm["n"], arms[arm["arm"]].units);
      arms[arm["arm"]].pays = arm["n"].get<double>() * arm["mean"].get<double>();
    }
    return arms;
  }

  // Two devices that are shown different variants of `banner`: first "off", then "on".
  std::pair<std::string, std::string> DevicesOfBothArms(const std::string& now) {
    std::map<std::string, std::string> device_of;
    for (int i = 0; i < 64 && device_of.size() < 2; ++i) {
      const std::string device = "d" + std::to_string(i);
      device_of[Ask(now, "banner", {{"device", device}})["variant"]] = device;
    }
    EXPECT_EQ(device_of.size(), 2u);
    return {device_of["off"], device_of["on"]};
  }

  TempDir dir_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<httplib::Client> http_;
};

TEST_F(Identity, AnAnonymousDeviceKeepsItsVariantWhenItRegisters) {
  const auto [off, on] = DevicesOfBothArms(At(1));
  Show(At(1), "banner", "device", off);
  const std::string before = Show(At(1), "banner", "device", on);
  // Registered: the page now knows both, and the device is what this experiment draws by.
  for (const char* user : {"u1", "u2", "u3"}) {
    const json after = Ask(At(2), "banner", {{"targetingKey", user}, {"device", on}});
    EXPECT_EQ(after["variant"], before);
  }
  // An experiment by user begins with the user: before, it has no unit, and says so.
  EXPECT_EQ(Ask(At(2), "price", {{"device", on}})["errorCode"], "TARGETING_KEY_MISSING");
  EXPECT_TRUE(Ask(At(2), "price", {{"targetingKey", "u1"}}).contains("variant"));
  // A page that forgets the device after the log-in gets no other variant in its place.
  EXPECT_EQ(Ask(At(2), "banner", {{"targetingKey", "u1"}})["errorCode"], "TARGETING_KEY_MISSING");

  Link(At(2), on, "u1");
  Pay(At(3), {{"user", "u1"}});
  EXPECT_EQ(Report("banner", At(4)), (Arms{{"off", {1, 0}}, {"on", {1, 1}}}));
}

TEST_F(Identity, ASharedDeviceIsOneUnitWithTheOutcomesOfBothUsers) {
  const auto [off, on] = DevicesOfBothArms(At(1));
  Show(At(1), "banner", "device", off);
  Show(At(1), "banner", "device", on);
  Link(At(2), on, "anna");
  Pay(At(3), {{"user", "anna"}});
  Link(At(4), on, "bert");
  EXPECT_EQ(Ask(At(4), "banner", {{"targetingKey", "bert"}, {"device", on}})["variant"], "on");
  Pay(At(5), {{"user", "bert"}});
  Pay(At(5), {{"device", on}});
  // An event that names the device and a user linked to it is one event.
  Pay(At(6), {{"device", on}, {"user", "anna"}});
  EXPECT_EQ(Report("banner", At(7)), (Arms{{"off", {1, 0}}, {"on", {1, 4}}}));
  // By user they are two units, each with its own draw and its own outcomes.
  const std::string anna = Show(At(7), "price", "user", "anna");
  const std::string bert = Show(At(7), "price", "user", "bert");
  Pay(At(8), {{"user", "bert"}});
  Arms expected{{"off", {0, 0}}, {"on", {0, 0}}};
  ++expected[anna].units;
  ++expected[bert].units;
  ++expected[bert].pays;
  const Arms counted = Report("price", At(9));
  for (const std::string& shown : {anna, bert}) {  // An arm without units has no mean to compare.
    EXPECT_EQ(counted.at(shown), expected.at(shown));
  }
}

TEST_F(Identity, AUserOnTwoDevicesIsTwoUnitsThatBothHaveTheOutcome) {
  const auto [off, on] = DevicesOfBothArms(At(1));
  Show(At(1), "banner", "device", off);
  Show(At(1), "banner", "device", on);
  Link(At(2), off, "u1");
  Link(At(2), on, "u1");
  Pay(At(3), {{"user", "u1"}});
  // Neither device changes its variant, and neither leaves the analysis.
  EXPECT_EQ(Ask(At(4), "banner", {{"targetingKey", "u1"}, {"device", off}})["variant"], "off");
  EXPECT_EQ(Ask(At(4), "banner", {{"targetingKey", "u1"}, {"device", on}})["variant"], "on");
  EXPECT_EQ(Report("banner", At(4)), (Arms{{"off", {1, 1}}, {"on", {1, 1}}}));
  // What one device did is its own; by user, both devices have one variant.
  Pay(At(5), {{"device", on}});
  EXPECT_EQ(Report("banner", At(6)), (Arms{{"off", {1, 1}}, {"on", {1, 2}}}));
  EXPECT_EQ(Ask(At(6), "price", {{"targetingKey", "u1"}, {"device", on}})["variant"],
            Ask(At(6), "price", {{"targetingKey", "u1"}, {"device", off}})["variant"]);
}

TEST_F(Identity, ALinkThatArrivesLateAddsOutcomesAndMovesNobody) {
  const auto [off, on] = DevicesOfBothArms(At(1));
  Show(At(1), "banner", "device", off);
  Show(At(2), "banner", "device", on);
  Pay(At(1, 30), {{"user", "u1"}});  // Before the device's first exposure: never its outcome.
  Pay(At(3), {{"user", "u1"}});
  const Arms before{{"off", {1, 0}}, {"on", {1, 0}}};
  EXPECT_EQ(Report("banner", At(4)), before);
  Link(At(5), on, "u1");
  EXPECT_EQ(Report("banner", At(6)), (Arms{{"off", {1, 0}}, {"on", {1, 1}}}));
  // What was reported before is reported again as it was.
  EXPECT_EQ(Report("banner", At(4)), before);
  // The same link again, and one that leads nowhere, change nothing.
  Link(At(7), on, "u1");
  Link(At(7), "never-seen", "u1");
  EXPECT_EQ(Report("banner", At(8)), (Arms{{"off", {1, 0}}, {"on", {1, 1}}}));
  EXPECT_EQ(Ask(At(8), "banner", {{"device", on}})["variant"], "on");
}

}  // namespace
}  // namespace fulcrum::tests
