// SPDX-License-Identifier: Apache-2.0
//
// Data in and out of the real program while its server runs: fresh data is in the next report;
// import, export, plan and report go through the server that holds the directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "nlohmann/json.hpp"
#include "tests/service/program.h"

namespace fulcrum::tests {
namespace {

using ::testing::HasSubstr;
using json = nlohmann::json;
namespace fs = std::filesystem;

constexpr int64_t kInTheExperiment = 1773100000000;  // 2026-03-09T23:46:40Z

// 20 users of coupon-depth and what they did; every second one paid.
std::pair<std::string, std::string> Bodies(int round) {
  json exposures = json::array();
  json events = json::array();
  for (int i = 0; i < 20; ++i) {
    const std::string user = "u" + std::to_string(20 * round + i);
    exposures.push_back({{"experiment", "coupon-depth"},
                         {"variant", i % 4 < 2 ? "none" : "ten-off"},
                         {"unit", {{"kind", "user"}, {"id", user}}},
                         {"ts", kInTheExperiment + i}});
    if (i % 2 == 0) {
      events.push_back({{"name", "pay"},
                        {"unit", {{"kind", "user"}, {"id", user}}},
                        {"ts", kInTheExperiment + 1000},
                        {"value", 80}});
    }
  }
  return {exposures.dump(), events.dump()};
}

double Units(const json& report) {
  double units = 0;
  for (const json& arm : report["arms"]) units += arm["units"].get<double>();
  return units;
}

void Send(httplib::Client& client, int round) {
  const auto [exposures, events] = Bodies(round);
  for (const auto& [path, body] : {std::pair{"/v1/exposures", exposures}, {"/v1/events", events}}) {
    const auto sent = client.Post(path, body, "application/json");
    ASSERT_TRUE(sent && sent->status == 200) << path << (sent ? sent->body : "no answer");
  }
}

json Report(httplib::Client& client) {
  const auto got = client.Get("/v1/experiments/coupon-depth/report?format=json");
  EXPECT_TRUE(got && got->status == 200) << (got ? got->body : "no answer");
  return got ? json::parse(got->body) : json();
}

TEST(Data, WhatWasAcknowledgedIsInTheNextReport) {
  const TempDir dir;
  ServerProcess server("examples/shop", dir / "data");
  ASSERT_TRUE(server.running()) << server.Log();
  httplib::Client client(server.url());
  client.set_read_timeout(60);
  client.set_tcp_nodelay(true);
  int64_t slowest_ms = 0;
  for (int round = 0; round < 10; ++round) {
    Send(client, round);
    const auto acknowledged = std::chrono::steady_clock::now();
    const json report = Report(client);
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - acknowledged);
    slowest_ms = std::max<int64_t>(slowest_ms, took.count());
    // The very next report has it, however long it takes to make.
    EXPECT_EQ(Units(report), 20 * (round + 1));
  }
  RecordProperty("slowest_ms", static_cast<int>(slowest_ms));
  EXPECT_EQ(server.Stop(), 0) << server.Log();
}

// The numbers of two reports, without when they were made and what was only counted on arrival.
json Figures(const std::string& text) {
  json report = json::parse(text);
  for (const char* of_the_moment : {"as_of_ms", "last_received_ms"}) {
    report["analysis"].erase(of_the_moment);
  }
  report["experiment"].erase("started_hash");
  report["health"].erase("duplicate_events");
  report["health"].erase("duplicate_exposures");
  return report;
}

std::string Differs(const json& a, const json& b, const std::string& path = "") {
  if (a.is_number() && b.is_number()) {
    const auto x = a.get<double>();
    const auto y = b.get<double>();
    const double scale = std::max({1.0, std::abs(x), std::abs(y)});
    return std::abs(x - y) <= 1e-9 * scale ? "" : path + ": " + a.dump() + " / " + b.dump();
  }
  if (a.type() != b.type() || a.size() != b.size())
    return path + ": " + a.dump() + " / " + b.dump();
  if (!a.is_structured()) return a == b ? "" : path + ": " + a.dump() + " / " + b.dump();
  const json flat_a = a.is_object() ? a : json(a);
  for (const auto& [key, value] : flat_a.items()) {
    const bool there = b.is_array() || b.contains(key);
    const std::string inner =
        there ? Differs(value, b.is_array() ? b[std::stoul(key)] : b[key], path + "/" + key)
              : path + "/" + key + " is missing";
    if (!inner.empty()) return inner;
  }
  return "";
}

TEST(Data, ExportAndImportBesideARunningServerGiveTheSameReport) {
  const TempDir dir;
  const fs::path data = dir / "data";
  ServerProcess server("examples/shop", data);
  ASSERT_TRUE(server.running()) << server.Log();
  httplib::Client client(server.url());
  client.set_read_timeout(60);
  for (int round = 0; round < 5; ++round) Send(client, round);
  const std::vector<std::string> report = {"report",   "examples/shop", "coupon-depth",
                                           "--format", "json",          "--data"};
  const auto report_of = [&](const std::string& where) {
    std::vector<std::string> args = report;
    args.push_back(where);
    const Outcome outcome = RunProgram(args);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.exit_code == 0 ? Figures(outcome.out) : json();
  };
  const json before = report_of(data);
  EXPECT_EQ(Units(before), 100);
  for (const std::string format : {"parquet", "csv"}) {
    const std::string out = dir / ("out-" + format);
    const Outcome exported = RunProgram({"export", data, "--out", out, "--format", format});
    ASSERT_EQ(exported.exit_code, 0) << exported.err;
    // Silent in a pipe but for the one sentence; nothing is left with the server.
    EXPECT_EQ(exported.err, "exported to " + out + "\n");
    EXPECT_TRUE(fs::is_empty(data / "exports"));
    EXPECT_EQ(RunProgram({"export", data, "--out", out, "--format", format}).exit_code, 1);

    const std::string other = dir / ("data-" + format);
    ServerProcess second("examples/shop", other);
    ASSERT_TRUE(second.running()) << second.Log();
    const Outcome imported =
        RunProgram({"import", other, "--exposures", out + "/exposures." + format, "--events",
                    out + "/events." + format, "--links", out + "/links." + format});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
    EXPECT_THAT(imported.out, HasSubstr("exposures: 100 rows, 100 accepted"));
    EXPECT_EQ(imported.err, "");
    EXPECT_EQ(Differs(before, report_of(other)), "");
    const Outcome again = RunProgram({"import", other, "--events", out + "/events." + format});
    EXPECT_THAT(again.out, HasSubstr("50 of them imported before"));
    EXPECT_EQ(second.Stop(), 0);
    // And without a server.
    EXPECT_EQ(Differs(before, report_of(other)), "");
  }
}

// A shop's past: 40 days, each with 50 users of its own, 12% of whom pay within the week.
void WritePast(const std::string& path) {
  std::ofstream out(path);
  out << "name,ts,unit,value\n";
  const int64_t start_ms = 1764547200000;  // 2025-12-01
  for (int day = 0; day < 40; ++day) {
    for (int i = 0; i < 50; ++i) {
      const int64_t ts_ms = start_ms + day * 86400000LL + i * 1000;
      const std::string user = "p" + std::to_string(50 * day + i);
      out << "browse," << ts_ms << ',' << user << ",\n";
      if (i < 6) out << "pay," << ts_ms + 3600000 << ',' << user << ",100\n";
      if (i == 0) out << "refund," << ts_ms + 7200000 << ',' << user << ",50\n";
    }
  }
}

TEST(Data, PlanReadsThePastWithAndWithoutAServer) {
  const TempDir dir;
  WritePast(dir / "past.csv");
  fs::create_directory(dir / "data");
  const Outcome imported = RunProgram({"import", dir / "data", "--events", dir / "past.csv"});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  const std::vector<std::string> plan = {"plan",       "examples/shop", "coupon-depth", "--history",
                                         dir / "data", "--format",      "json"};
  const Outcome alone = RunProgram(plan);
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  const json forecast = json::parse(alone.out);
  const json& pay = forecast["metrics"][0];
  EXPECT_EQ(pay["key"], "pay_rate");
  EXPECT_NEAR(pay["baseline"]["mean"].get<double>(), 0.12, 1e-12);
  EXPECT_EQ(forecast["arrivals"]["per_day_after"], 50);
  EXPECT_GT(pay["units"].get<double>(), 100000);

  ServerProcess server("examples/shop", dir / "data");
  ASSERT_TRUE(server.running()) << server.Log();
  const Outcome beside = RunProgram(plan);
  ASSERT_EQ(beside.exit_code, 0) << beside.err;
  EXPECT_EQ(json::parse(beside.out), forecast);
  EXPECT_EQ(server.Stop(), 0);
}

TEST(Data, WhatSimulateWritesIsImportedPlannedAndReported) {
  const TempDir dir;
  fs::create_directory(dir / "data");
  ASSERT_EQ(
      RunProgram({"simulate", "examples/shop", "--out", dir / "csv", "--users", "1500"}).exit_code,
      0);
  const Outcome imported =
      RunProgram({"import", dir / "data", "--exposures", dir / "csv/exposures.csv", "--events",
                  dir / "csv/events.csv", "--links", dir / "csv/links.csv"});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_THAT(imported.out, ::testing::Not(::testing::ContainsRegex("[1-9][0-9]* rejected")));
  const Outcome report = RunProgram(
      {"report", "examples/shop", "coupon-depth", "--data", dir / "data", "--format", "json"});
  ASSERT_EQ(report.exit_code, 0) << report.err;
  EXPECT_GT(Units(json::parse(report.out)), 100);
  const Outcome plan =
      RunProgram({"plan", "examples/shop", "one-page-checkout", "--history", dir / "data"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("Time to payment"));
  EXPECT_THAT(plan.out, HasSubstr("The audience's conditions are not known of past units"));
}

TEST(Data, PlanSaysWhatItNeeds) {
  const TempDir dir;
  const Outcome nothing = RunProgram({"plan", "examples/shop", "coupon-depth"});
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_THAT(nothing.err, HasSubstr("no baseline for pay_rate, refund_rate"));
  const Outcome bad =
      RunProgram({"plan", "examples/shop", "coupon-depth", "--baseline", "pay_rate=12"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("a rate is between 0 and 1"));
  const Outcome traffic =
      RunProgram({"plan", "examples/shop", "coupon-depth", "--traffic", "many"});
  EXPECT_EQ(traffic.exit_code, 1);
  EXPECT_THAT(traffic.err, HasSubstr("12000/day"));
  const Outcome good =
      RunProgram({"plan", "examples/shop", "coupon-depth", "--traffic", "56000/week", "--baseline",
                  "pay_rate=0.12", "--baseline", "refund_rate=0.02"});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("To show a lift of 2%"));
  fs::create_directory(dir / "empty");
  const Outcome empty =
      RunProgram({"plan", "examples/shop", "coupon-depth", "--history", dir / "empty"});
  EXPECT_NE(empty.exit_code, 0);
  EXPECT_THAT(empty.err, HasSubstr("nothing was ever stored here"));
}

}  // namespace
}  // namespace fulcrum::tests
