// SPDX-License-Identifier: Apache-2.0
//
// Unsafe edits of running experiments as people and pipelines meet them: `validate`, `serve`, and a
// server that was stopped in between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "nlohmann/json.hpp"
#include "tests/service/program.h"

namespace fulcrum::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kDuring[] = "2026-03-10T00:00:00+08:00";

// In the file, once.
void Replace(const std::string& path, const std::string& from, const std::string& to) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  std::string text = all.str();
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  std::ofstream(path) << text.replace(at, from.size(), to);
}

struct Shop {
  Shop() {
    namespace fs = std::filesystem;
    fs::copy("examples/shop", dir / "shop", fs::copy_options::recursive);
    fs::copy("examples/shop", dir / "old", fs::copy_options::recursive);
  }
  void Edit() { Replace(dir / "shop/experiments/coupon-depth.yaml", "salt: ", "salt: other-"); }
  Outcome Validate(std::vector<std::string> more) {
    std::vector<std::string> args = {"validate", dir / "shop"};
    args.insert(args.end(), more.begin(), more.end());
    return RunProgram(args);
  }
  TempDir dir;
};

TEST(ValidateAgainst, RefusesUnsafeEditsUnlessTold) {
  Shop shop;
  EXPECT_EQ(shop.Validate({"--against", shop.dir / "old", "--now", kDuring}).exit_code, 0);
  shop.Edit();
  const Outcome refused = shop.Validate({"--against", shop.dir / "old", "--now", kDuring});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err,
              ::testing::ContainsRegex("coupon-depth.yaml:[0-9]+:[0-9]+: error: unsafe while "
                                       "'coupon-depth' runs: salt: .*% of units change variant"));
  const Outcome told =
      shop.Validate({"--against", shop.dir / "old", "--now", kDuring, "--allow-unsafe"});
  EXPECT_EQ(told.exit_code, 0) << told.err;
  EXPECT_THAT(told.err, HasSubstr("warning: unsafe while 'coupon-depth' runs"));
  // Before the start nobody has been assigned.
  EXPECT_EQ(
      shop.Validate({"--against", shop.dir / "old", "--now", "2020-01-01T00:00:00Z"}).exit_code, 0);
  const Outcome json = shop.Validate({"--against", shop.dir / "old", "--now", kDuring, "--json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_FALSE(nlohmann::json::parse(json.out)["valid"].get<bool>());
  // Errors of one's own come first, and wrong options are told.
  EXPECT_EQ(shop.Validate({"--against", shop.dir / "nowhere"}).exit_code, 1);
  EXPECT_EQ(shop.Validate({"--data", shop.dir / "nowhere"}).exit_code, 1);
  EXPECT_EQ(shop.Validate({"--against", shop.dir / "old", "--now", "soon"}).exit_code, 1);
}

TEST(ValidateData, KnowsWhatWasServedAndWhatWasStopped) {
  Shop shop;
  const std::vector<std::string> clock = {"--simulated-clock", kDuring};
  ServerProcess server(shop.dir / "shop", shop.dir / "data", clock);
  ASSERT_TRUE(server.running()) << server.Log();
  shop.Edit();
  const std::vector<std::string> held = {"--data", shop.dir / "data", "--now", kDuring};
  // Beside the server that holds the directory.
  const Outcome refused = shop.Validate(held);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("unsafe while 'coupon-depth' runs: salt"));
  httplib::Client http(server.url());
  const auto reload = http.Post("/v1/reload");
  ASSERT_TRUE(reload);
  EXPECT_EQ(reload->status, 409) << reload->body;
  ASSERT_EQ(http.Post("/v1/experiments/coupon-depth/stop")->status, 200);
  EXPECT_EQ(shop.Validate(held).exit_code, 0);
  EXPECT_EQ(http.Post("/v1/reload")->status, 200);
  EXPECT_EQ(server.Stop(), 0);
}

// "Why did she see this" on the command line, with what happened at run time.
TEST(Explain, KnowsWhatWasStoppedAndWhatTheUnitWasGiven) {
  Shop shop;
  Replace(shop.dir / "shop/experiments/coupon-depth.yaml", "salt: ", "sticky: true\nsalt: ");
  ServerProcess server(shop.dir / "shop", shop.dir / "data", {"--simulated-clock", kDuring});
  ASSERT_TRUE(server.running()) << server.Log();
  httplib::Client http(server.url());
  std::string unit;
  nlohmann::json shown;
  for (int i = 0; i < 20 && !shown.contains("variant"); ++i) {  // Some are held out.
    unit = "u" + std::to_string(i);
    const auto given = http.Get("/v1/variant/coupon-depth?unit=" + unit);
    ASSERT_TRUE(given && given->status == 200);
    shown = nlohmann::json::parse(given->body);
  }
  const std::string context = R"({"targetingKey": ")" + unit + R"(", "now": ")" + kDuring + "\"}";
  const auto explain = [&](std::vector<std::string> more) {
    std::vector<std::string> args = {"explain", shop.dir / "shop", "coupon-depth", "--context",
                                     context};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome outcome = RunProgram(args);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const std::vector<std::string> data = {"--data", shop.dir / "data"};
  EXPECT_THAT(explain({}), HasSubstr("prior: no prior variant"));
  EXPECT_THAT(explain(data), HasSubstr("prior: keeps its prior variant '" +
                                       shown["variant"].get<std::string>() + "'"));
  ASSERT_EQ(http.Post("/v1/experiments/coupon-depth/stop")->status, 200);
  EXPECT_THAT(explain({}), HasSubstr("stop: not stopped"));
  EXPECT_THAT(explain(data), HasSubstr("because: stopped"));
}

// The usual way of shipping definitions: a new directory and a restart.
TEST(Serve, HoldsAnEditAgainstWhatTheServerBeforeServed) {
  Shop shop;
  const std::vector<std::string> clock = {"--simulated-clock", kDuring};
  const auto ask = [](const ServerProcess& server) {
    httplib::Client http(server.url());
    const auto answer = http.Get("/v1/variant/coupon-depth?unit=u1&explain=1");
    EXPECT_TRUE(answer && answer->status == 200);
    return answer ? nlohmann::json::parse(answer->body)["rules"].dump() : "";
  };
  std::string before;
  {
    ServerProcess server(shop.dir / "shop", shop.dir / "data", clock);
    ASSERT_TRUE(server.running()) << server.Log();
    before = ask(server);
    EXPECT_EQ(server.Stop(), 0);
  }
  shop.Edit();
  {
    ServerProcess server(shop.dir / "shop", shop.dir / "data", clock);
    ASSERT_TRUE(server.running()) << server.Log();
    EXPECT_EQ(ask(server), before);
    EXPECT_THAT(server.Log(), HasSubstr("error: unsafe while 'coupon-depth' runs"));
    EXPECT_THAT(server.Log(), HasSubstr("what was served before this start is served"));
    server.Kill();
  }
  ServerProcess server(shop.dir / "shop", shop.dir / "data",
                       {"--simulated-clock", kDuring, "--allow-unsafe-edits"});
  ASSERT_TRUE(server.running()) << server.Log();
  EXPECT_NE(ask(server), before);
  EXPECT_THAT(server.Log(), Not(HasSubstr("is served\n")));
}

}  // namespace
}  // namespace fulcrum::tests
