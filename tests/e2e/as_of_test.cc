// SPDX-License-Identifier: Apache-2.0
//
// A past report, made again: while traffic, late events, refunds, repeats, links, edits of the
// definitions and controls arrive from several threads, reports are taken at random moments; later
// each is asked for as of its own instant and must be the same, counts exactly and figures to 1e-9.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "report/json.h"
#include "server/app.h"
#include "server/past.h"
#include "store/store.h"

namespace fulcrum {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

constexpr int64_t kStartMs = 1772380800000;  // When the sample experiments start.

// A microsecond of the machine is about a millisecond of the shop: seconds here are weeks there.
class FastClock : public server::Clock {
 public:
  int64_t NowMs() const override {
    const auto passed = std::chrono::steady_clock::now() - begin_;
    return kStartMs + std::chrono::duration_cast<std::chrono::microseconds>(passed).count() / 2;
  }

 private:
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

class Shop {
 public:
  Shop() {
    std::string name = (fs::temp_directory_path() / "fulcrum_as_of_XXXXXX").string();
    root_ = mkdtemp(name.data());
    fs::copy("examples/shop", root_ / "shop", fs::copy_options::recursive);
    fs::create_directory(root_ / "data");
    Open();
  }
  ~Shop() {
    Close();
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  void Open() {
    auto opened = store::OpenEmbedded({.directory = (root_ / "data").string()});
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    server::AppOptions options;
    options.project_dir = (root_ / "shop").string();
    options.store = store_.get();
    options.clock = &clock_;
    options.log = [](std::string_view) {};
    auto app = server::App::Make(std::move(options));
    ASSERT_TRUE(app.ok()) << app.status();
    app_ = *std::move(app);
  }
  void Close() {
    app_.reset();
    store_.reset();
  }

  server::Response Send(const char* method, const std::string& path, const std::string& query,
                        const std::string& body) {
    const server::Header headers[] = {{"content-type", "application/json"}};
    server::Response response;
    app_->Handle({.method = method, .path = path, .query = query, .headers = headers, .body = body},
                 &response);
    return response;
  }

  // A smallest lift worth shipping and a window that nobody wrote before.
  void Edit(int number) {
    Replace("experiments/one-page-checkout.yaml",
            "min_lift: ", "min_lift: " + std::to_string(1 + number % 9) + "%, planned: 28d}");
    Replace("metrics.yaml",
            "    cap: {value: ", "    cap: {value: " + std::to_string(4000 - 7 * number) + "}");
    EXPECT_TRUE(app_->Reload().ok());
  }

  store::Store& store() { return *store_; }
  server::App& app() { return *app_; }
  int64_t NowMs() const { return clock_.NowMs(); }

 private:
  void Replace(const std::string& file, const std::string& from, const std::string& to) const {
    const fs::path path = root_ / "shop" / file;
    std::ifstream in(path);
    std::ostringstream out;
    for (std::string line; std::getline(in, line);) {
      if (const size_t at = line.find(from); at != std::string::npos)
        line = line.substr(0, at) + to;
      out << line << '\n';
    }
    in.close();
    std::ofstream(path, std::ios::trunc) << out.str();
  }

  fs::path root_;
  FastClock clock_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<server::App> app_;
};

// Random traffic over HTTP, one batch a call.
class Traffic {
 public:
  Traffic(Shop* shop, uint32_t seed) : shop_(shop), random_(seed) {}

  void SendBatch() {
    json items = json::array();
    const char* path = "/v1/events";
    const int what = Below(10);
    if (what < 3) path = "/v1/exposures";
    if (what == 9) path = "/v1/links";
    for (int i = 1 + Below(8); i > 0; --i) {
      items.push_back(what < 3 ? Exposure() : what == 9 ? Link() : Event());
    }
    const server::Response response = shop_->Send("POST", path, "", items.dump());
    EXPECT_EQ(response.status, 200) << response.body;
    accepted_ += response.status == 200 ? json::parse(response.body)["accepted"].get<int>() : 0;
  }
  int accepted() const { return accepted_; }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  std::string User() { return "u" + std::to_string(Below(400)); }
  // Most of now, some much too late.
  int64_t Time() {
    const int64_t late_ms = Below(5) == 0 ? Below(10) * kDayMs : Below(3600) * kSecondMs;
    return std::max(kStartMs, shop_->NowMs() - late_ms);
  }

  json Exposure() {
    static const char* const kVariants[][2] = {{"control", "one-page"}, {"none", "ten-off"}};
    const int experiment = Below(2);
    const std::string user = User();
    const bool second = Below(20) == 0 || user.back() % 2 == 0;
    static const char* const kChannels[] = {"search", "partner", "organic"};
    json item = {{"experiment", experiment == 0 ? "one-page-checkout" : "coupon-depth"},
                 {"variant", kVariants[experiment][second ? 1 : 0]},
                 {"unit", {{"kind", "user"}, {"id", user}}},
                 {"ts", Time()},
                 {"attributes", {{"channel", kChannels[Below(3)]}, {"platform", "desktop"}}}};
    if (Below(3) == 0) item["exposure_id"] = "x" + std::to_string(Below(500));
    return item;
  }
  json Event() {
    static const char* const kNames[] = {"browse",   "order",          "pay", "pay", "refund",
                                         "register", "Order Completed"};
    json item = {{"name", kNames[Below(7)]}, {"ts", Time()}};
    item["ids"][Below(8) == 0 ? "device" : "user"] = User();
    if (Below(3) > 0) item["value"] = 10 + 0.25 * Below(400);
    if (Below(3) == 0) item["event_id"] = "e" + std::to_string(Below(2000));
    if (Below(4) == 0) item["properties"] = {{"discount", Below(20)}};
    return item;
  }
  json Link() {
    return {{"anonymous", {{"kind", "device"}, {"id", User()}}},
            {"known", {{"kind", "user"}, {"id", User()}}},
            {"ts", Time()}};
  }

  Shop* const shop_;
  std::mt19937 random_;
  int accepted_ = 0;
};

// Where two reports differ, "" = nowhere.
std::string Differs(const json& a, const json& b, const std::string& path) {
  if (a.is_number() && b.is_number()) {
    const auto x = a.get<double>();
    const auto y = b.get<double>();
    if (a.is_number_integer() && b.is_number_integer() && x == y) return "";
    if (std::abs(x - y) <= 1e-9 * std::max({1.0, std::abs(x), std::abs(y)})) return "";
    return path + ": " + a.dump() + " against " + b.dump();
  }
  if (a.type() != b.type() || a.size() != b.size())
    return path + ": " + a.dump() + " / " + b.dump();
  if (a.is_object()) {
    for (const auto& [key, value] : a.items()) {
      if (!b.contains(key)) return path + "/" + key + " is missing";
      const std::string inner = Differs(value, b[key], path + "/" + key);
      if (!inner.empty()) return inner;
    }
    return "";
  }
  if (a.is_array()) {
    for (size_t i = 0; i < a.size(); ++i) {
      const std::string inner = Differs(a[i], b[i], path + "/" + std::to_string(i));
      if (!inner.empty()) return inner;
    }
    return "";
  }
  return a == b ? "" : path + ": " + a.dump() + " against " + b.dump();
}

struct Taken {
  std::string key;
  int64_t as_of_ms = 0;
  json report;
};

Taken TakeReport(Shop& shop, const std::string& key) {
  const server::Response response =
      shop.Send("GET", "/v1/experiments/" + key + "/report", "format=json", "");
  EXPECT_EQ(response.status, 200) << response.body;
  Taken taken{key, 0, json::parse(response.body)};
  taken.as_of_ms = taken.report["analysis"]["as_of_ms"].get<int64_t>();
  return taken;
}

void ExpectTheSameAgain(Shop& shop, const std::vector<Taken>& reports) {
  for (const Taken& taken : reports) {
    const server::Response again =
        shop.Send("GET", "/v1/experiments/" + taken.key + "/report",
                  "format=json&as_of=" + std::to_string(taken.as_of_ms), "");
    ASSERT_EQ(again.status, 200) << again.body;
    EXPECT_EQ(Differs(taken.report, json::parse(again.body), ""), "")
        << taken.key << " as of " << FormatRfc3339(taken.as_of_ms);
  }
}

TEST(AsOf, EveryPastReportIsMadeAgainAsItWas) {
  Shop shop;
  std::atomic<bool> stop{false};
  std::vector<Traffic> traffic;
  for (uint32_t t = 0; t < 3; ++t) traffic.emplace_back(&shop, 100 + t);
  std::vector<std::thread> writers;
  for (Traffic& one : traffic) {
    writers.emplace_back([&one, &stop] {
      while (!stop.load()) one.SendBatch();
    });
  }
  std::mt19937 random(7);
  std::vector<Taken> reports;
  std::vector<bool> stopped = {false, false};
  const std::string keys[] = {"one-page-checkout", "coupon-depth"};
  for (int round = 0; round < 24; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 60));
    if (round % 3 == 1) shop.Edit(round);
    const size_t which = random() % 2;
    if (round % 4 == 2) {
      const char* action = stopped[which] ? "/resume" : "/stop";
      const auto done = shop.Send("POST", "/v1/experiments/" + keys[which] + action, "", "");
      EXPECT_EQ(done.status, 200) << done.body;
      stopped[which] = !stopped[which];
    }
    reports.push_back(TakeReport(shop, keys[random() % 2]));
  }
  stop = true;
  int accepted = 0;
  for (std::thread& writer : writers) writer.join();
  for (const Traffic& one : traffic) accepted += one.accepted();
  EXPECT_GT(accepted, 1000);

  // The reports are not all of nothing, and the definitions did change between them.
  std::set<std::string> hashes;
  double units = 0;
  for (const Taken& taken : reports) {
    for (const json& arm : taken.report["arms"]) units += arm["units"].get<double>();
    hashes.insert(taken.report["experiment"]["definition_hash"].get<std::string>());
  }
  EXPECT_GT(units, 1000);
  EXPECT_GT(hashes.size(), 3u);
  ExpectTheSameAgain(shop, reports);

  // After a restart too, and from the directory without a server.
  shop.Close();
  shop.Open();
  ExpectTheSameAgain(shop, reports);
  const Taken& first = reports[reports.size() / 2];
  const auto current = server::PublishedAt(shop.store(), server::Published{}, first.as_of_ms);
  ASSERT_TRUE(current.ok()) << current.status();
  const auto offline = server::ComputeReport(
      shop.store(), **current, *(*current)->FindDefinition(first.key), first.as_of_ms);
  ASSERT_TRUE(offline.ok()) << offline.status();
  EXPECT_EQ(Differs(first.report, json::parse(report::ToJson(*offline)), ""), "");
}

// Two things at one instant of a clock that stands still: the second is in the next report, and the
// first report stays as it was.
TEST(AsOf, AnInstantThatWasReportedIsClosed) {
  std::string name = (fs::temp_directory_path() / "fulcrum_freeze_XXXXXX").string();
  const std::string directory = mkdtemp(name.data());
  {
    auto store = store::OpenEmbedded({.directory = directory});
    ASSERT_TRUE(store.ok()) << store.status();
    const auto append = [&](int64_t received_ms, bool history) {
      store::BatchBuilder batch;
      const store::UnitRef ids[] = {{"user", "u"}};
      batch.Add(store::EventView{.name = "pay", .ts_ms = kStartMs, .ids = ids});
      const auto sent = (*store)->Append(
          {.payload = batch.payload(), .items = 1, .received_ms = received_ms, .history = history});
      ASSERT_TRUE(sent.ok()) << sent.status();
    };
    const auto received = [&](int64_t as_of_ms) {
      store::Plan plan;
      plan.population = {.experiment = "e", .unit_kind = "user", .arms = {{"a"}}};
      plan.as_of_ms = as_of_ms;
      const auto result = (*store)->Run(plan);
      EXPECT_TRUE(result.ok()) << result.status();
      return result->health.last_received_ms;
    };
    append(kStartMs - 1000, true);  // History keeps when it was received …
    EXPECT_EQ(received(kStartMs), kStartMs - 1000);
    append(kStartMs, false);
    const auto first = (*store)->Freeze(kStartMs);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(*first, kStartMs);
    append(kStartMs, false);
    append(kStartMs - 5000, false);  // A clock that went back.
    append(kStartMs - 2000, true);   // … unless something live, or a report, came after.
    EXPECT_EQ(received(*first), kStartMs);
    const auto second = (*store)->Freeze(kStartMs);
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(*second, kStartMs + 1);
    EXPECT_EQ(received(*second), kStartMs + 1);
  }
  fs::remove_all(directory);
}

}  // namespace
}  // namespace fulcrum
