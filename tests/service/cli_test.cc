// SPDX-License-Identifier: Apache-2.0
//
// The command line as people and scripts meet it: exit codes, messages, help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "nlohmann/json.hpp"
#include "tests/service/program.h"

namespace fulcrum::tests {
namespace {

using ::testing::HasSubstr;

TEST(Cli, HelpHasAnExampleForEverySubcommand) {
  const Outcome all = RunProgram({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  for (const char* command : {"serve", "validate", "diff", "explain", "assign", "report", "analyze",
                              "plan", "export", "import", "stats", "simulate", "calibrate"}) {
    EXPECT_THAT(all.out, HasSubstr(command));
    const Outcome one = RunProgram({command, "--help"});
    EXPECT_EQ(one.exit_code, 0) << command;
    EXPECT_THAT(one.out, HasSubstr("Example: ")) << command;
  }
}

TEST(Cli, UsageErrorsExitWithTwo) {
  EXPECT_EQ(RunProgram({}).exit_code, 2);
  EXPECT_EQ(RunProgram({"fly"}).exit_code, 2);
  EXPECT_EQ(RunProgram({"report", "examples/shop"}).exit_code, 2);
  EXPECT_EQ(RunProgram({"stats"}).exit_code, 2);
}

TEST(Cli, ValidateNamesTheLine) {
  const TempDir dir;
  std::filesystem::copy("examples/shop", dir / "shop", std::filesystem::copy_options::recursive);
  EXPECT_EQ(RunProgram({"validate", dir / "shop"}).exit_code, 0);
  std::ofstream(dir / "shop/experiments/coupon-depth.yaml", std::ios::app) << "colour: red\n";
  const Outcome bad = RunProgram({"validate", dir / "shop"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, ::testing::ContainsRegex("coupon-depth.yaml:[0-9]+:1: error: .*colour"));
  const Outcome json = RunProgram({"validate", dir / "shop", "--json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_FALSE(nlohmann::json::parse(json.out)["valid"].get<bool>());
}

TEST(Cli, StatsRunsAMethodAndNamesTheFieldAtFault) {
  const std::string inputs =
      R"({"treatment": {"x": 4213, "n": 100000}, "control": {"x": 4012, "n": 100000}})";
  const Outcome good = RunProgram({"stats", "two_proportion_z"}, inputs);
  ASSERT_EQ(good.exit_code, 0) << good.err;
  EXPECT_NEAR(nlohmann::json::parse(good.out)["p_pooled"].get<double>(), 0.0236156, 1e-6);
  const Outcome bad = RunProgram({"stats", "two_proportion_z"},
                                 R"({"treatment": {"x": 5, "n": 3}, "control": {"x": 1, "n": 9}})");
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("treatment"));
  EXPECT_EQ(RunProgram({"stats", "no_such_method"}, "{}").exit_code, 1);
  EXPECT_EQ(RunProgram({"stats", "two_proportion_z"}, "{").exit_code, 1);
}

TEST(Cli, CalibrateFailsWhereARowIsOutside) {
  const std::vector<std::string> small = {"calibrate", "--replications", "400", "--only",
                                          "aa_ratio.delta"};
  const auto with = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> arguments = small;
    arguments.insert(arguments.end(), more);
    return RunProgram(arguments);
  };
  const Outcome good = with({});
  EXPECT_EQ(good.exit_code, 0) << good.out << good.err;
  EXPECT_EQ(good.err, "");  // No progress bar in a pipe.
  const Outcome planted = with({"--plant", "raw-variance-ratio", "--format", "json"});
  EXPECT_EQ(planted.exit_code, 1);
  const auto table = nlohmann::json::parse(planted.out);
  EXPECT_FALSE(table["within"].get<bool>());
  EXPECT_EQ(table["rows"][0]["verdict"], "outside");
  const Outcome peeking =
      RunProgram({"calibrate", "--replications", "400", "--only", "looks", "--plant", "peeking"});
  EXPECT_EQ(peeking.exit_code, 1);
  EXPECT_THAT(peeking.out, HasSubstr("OUTSIDE, planted"));
  const Outcome unknown = RunProgram({"calibrate", "--only", "aa_ratio.delto"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'aa_ratio.delta'?"));
  EXPECT_EQ(RunProgram({"calibrate", "--plant", "nothing"}).exit_code, 2);
}

TEST(Cli, AssignAndExplainAgree) {
  const Outcome csv = RunProgram({"assign", "examples/shop", "coupon-depth", "--units", "-", "--at",
                                  "2026-03-10T00:00:00+08:00"},
                                 "u1\nu2\nu3\n");
  ASSERT_EQ(csv.exit_code, 0) << csv.err;
  EXPECT_THAT(csv.out, HasSubstr("unit,variant,reason,phase,propensity\nu1,"));
  const std::string variant = csv.out.substr(csv.out.find("u1,") + 3);
  const Outcome why = RunProgram({"explain", "examples/shop", "coupon-depth", "--context",
                                  R"({"targetingKey": "u1", "now": "2026-03-10T00:00:00+08:00"})"});
  ASSERT_EQ(why.exit_code, 0) << why.err;
  const std::string expected = variant.substr(0, variant.find(','));
  EXPECT_THAT(why.out, HasSubstr("=> " + (expected.empty() ? "no variant" : expected)));
}

TEST(Cli, MissingDataAndDirectoriesAreASentence) {
  const TempDir dir;
  const Outcome analyze = RunProgram(
      {"analyze", "examples/hillstrom.yaml", "--input", dir / "absent.csv", "--format", "json"});
  EXPECT_EQ(analyze.exit_code, 1);
  EXPECT_THAT(analyze.err, HasSubstr("absent.csv"));
  const Outcome absent = RunProgram(
      {"serve", "--project", "examples/shop", "--data", dir / "absent", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(absent.exit_code, 3);
  EXPECT_THAT(absent.err, HasSubstr("absent"));
  std::filesystem::create_directory(dir / "data");
  const Outcome serve = RunProgram({"serve", "--project", dir / "nothing", "--data", dir / "data"});
  EXPECT_EQ(serve.exit_code, 1);
  std::ofstream(dir / "file") << "not a directory";
  const Outcome data = RunProgram(
      {"serve", "--project", "examples/shop", "--data", dir / "file", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(data.exit_code, 3);
  EXPECT_THAT(data.err, HasSubstr("error: "));
}

TEST(Cli, ASecondServerOnTheSameDataIsRefused) {
  const TempDir dir;
  ServerProcess first("examples/shop", dir / "data");
  ASSERT_TRUE(first.running()) << first.Log();
  const Outcome second = RunProgram(
      {"serve", "--project", "examples/shop", "--data", dir / "data", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(second.exit_code, 3);
  EXPECT_THAT(second.err, HasSubstr("error: "));
  std::filesystem::create_directory(dir / "other");
  const std::string port = first.url().substr(first.url().rfind(':') + 1);
  const Outcome busy = RunProgram({"serve", "--project", "examples/shop", "--data", dir / "other",
                                   "--listen", "127.0.0.1:" + port});
  EXPECT_EQ(busy.exit_code, 3);
  EXPECT_THAT(busy.err, HasSubstr(port));
  EXPECT_EQ(first.Stop(), 0) << first.Log();
}

TEST(Cli, WhatIsExportedReadsBackAndABadRowIsNamed) {
  const TempDir dir;
  for (const char* name : {"data", "again", "rejected"}) {
    std::filesystem::create_directory(dir / name);
  }
  std::ofstream(dir / "events.csv") << "name,ts,unit,value\n"
                                       "pay,2026-03-10T10:00:00Z,u1,12.5\n"
                                       "pay,yesterday,u2,1\n"
                                       "browse,2026-03-10T11:00:00Z,u3,\n";
  const std::vector<std::string> import = {"import",           dir / "data", "--events",
                                           dir / "events.csv", "--rejected", dir / "rejected"};
  const Outcome first = RunProgram(import);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("3 rows, 2 accepted (0 of them imported before), 1 rejected"));
  EXPECT_TRUE(std::filesystem::exists(dir / "rejected/rejected-events.csv"));
  EXPECT_THAT(RunProgram(import).out, HasSubstr("2 of them imported before"));
  ASSERT_EQ(RunProgram({"export", dir / "data", "--out", dir / "out"}).exit_code, 0);
  const Outcome back =
      RunProgram({"import", dir / "again", "--events", dir / "out/events.parquet"});
  ASSERT_EQ(back.exit_code, 0) << back.err;
  EXPECT_THAT(back.out, HasSubstr("2 rows, 2 accepted"));
}

// Figures of SciPy 1.10 on the same file are computed by tests/reference when SciPy is there; here
// the well-known counts.
TEST(Cli, AnalyzeReadsARealExperiment) {
  const std::string data = "../shared/data/hillstrom.csv";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << data << " is not beside this checkout";
  const Outcome run =
      RunProgram({"analyze", "examples/hillstrom.yaml", "--input", data, "--format", "json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto report = nlohmann::json::parse(run.out);
  ASSERT_EQ(report["arms"].size(), 3u);
  EXPECT_EQ(report["arms"][0]["key"], "No E-Mail");
  EXPECT_EQ(report["arms"][0]["units"], 21306);
}

}  // namespace
}  // namespace fulcrum::tests
