// SPDX-License-Identifier: Apache-2.0
// Runs every worked case of the shared reference set through the calculator.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "stats/calculator.h"
#include "stats/test_cases.h"
#include "stats/test_json.h"

namespace fulcrum::stats {
namespace {

using nlohmann::json;

constexpr char kFolder[] = "../shared/refcases";

bool IsMethod(const std::string& name) {
  return std::any_of(Methods().begin(), Methods().end(),
                     [&](const MethodInfo& m) { return m.name == name; });
}

std::vector<std::filesystem::path> Files() {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder, error)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(ReferenceCases, EveryCaseOfEveryKnownMethodPasses) {
  const auto files = Files();
  if (files.empty()) GTEST_SKIP() << kFolder << " is not here: no reference cases to run.";
  std::map<std::string, int> absent;
  int run = 0;
  for (const auto& file : files) {
    std::ifstream in(file);
    const json cases = json::parse(in);
    for (const json& item : cases) {
      const std::string method = item["method"];
      if (!IsMethod(method)) {
        ++absent[method];
        continue;
      }
      SCOPED_TRACE(file.filename().string() + " " + item["id"].get<std::string>());
      Value result;
      const CalculatorStatus status = Calculate(method, FromJson(item["inputs"]), &result);
      EXPECT_TRUE(status.ok()) << status.error;
      if (!status.ok()) continue;
      Compare(item["expected"], &result, item["tolerance"]["rel"], item["tolerance"]["abs"],
              method);
      ++run;
    }
  }
  std::cout << "[ refcases ] " << run
            << " cases ran; methods that do not exist yet: " << absent.size() << "\n";
  for (const auto& [method, count] : absent) {
    std::cout << "[ refcases ]   " << method << " (" << count << ")\n";
  }
  EXPECT_GT(run, 0);
}

// Replaces one leaf after the other by something unusable; the answer must be an error or a result
// without NaN, never a crash.
void ForEachSpoiled(const json& whole, const json::json_pointer& at, int& budget,
                    const std::function<void(const json&)>& use) {
  const json& here = whole[at];
  if (here.is_structured()) {
    std::size_t i = 0;
    for (const auto& [name, item] : here.items()) {
      if (here.is_array() && i++ >= 2) break;
      ForEachSpoiled(whole, at / (here.is_array() ? std::to_string(i - 1) : name), budget, use);
    }
  }
  if (at.empty()) return;
  for (const json& bad : {json(), json("x"), json(-1), json(0), json(1e308), json(-1e308),
                          json(1e-308), json(2.5), json::array(), json::object(), json(true)}) {
    if (--budget < 0) return;
    json copy = whole;
    copy[at] = bad;
    use(copy);
  }
}

bool HasNaN(const Value& value) {
  if (value.is_number()) return std::isnan(value.number());
  if (value.is_array()) return std::any_of(value.array().begin(), value.array().end(), HasNaN);
  if (value.is_object()) {
    return std::any_of(value.object().begin(), value.object().end(),
                       [](const Value::Member& m) { return HasNaN(m.second); });
  }
  return false;
}

TEST(ReferenceCases, SpoiledInputsAreErrorsOrNumbersNeverCrashes) {
  const auto files = Files();
  if (files.empty()) GTEST_SKIP() << kFolder << " is not here: no reference cases to spoil.";
  std::set<std::string> seen;
  int errors = 0;
  for (const auto& file : files) {
    std::ifstream in(file);
    for (const json& item : json::parse(in)) {
      const std::string method = item["method"];
      if (!IsMethod(method) || !seen.insert(method).second) continue;
      SCOPED_TRACE(method);
      const auto start = std::chrono::steady_clock::now();
      int budget = 80;
      ForEachSpoiled(item["inputs"], json::json_pointer(), budget, [&](const json& inputs) {
        // The heavy methods get fewer rounds, so that the whole test stays a matter of seconds.
        const std::chrono::duration<double> used = std::chrono::steady_clock::now() - start;
        if (used.count() > 0.7) return;
        Value result;
        const CalculatorStatus status = Calculate(method, FromJson(inputs), &result);
        errors += !status.ok();
        EXPECT_FALSE(HasNaN(result));
        EXPECT_TRUE(status.ok() || result.is_null());
      });
      Value result;
      EXPECT_FALSE(Calculate(method, Value::Object(), &result).ok());
      // An absurd input may be refused, but may not keep the calculator busy.
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      EXPECT_LT(seconds.count(), 60) << method;
    }
  }
  EXPECT_GT(errors, 100);
}

}  // namespace
}  // namespace fulcrum::stats
