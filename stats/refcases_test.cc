// SPDX-License-Identifier: Apache-2.0
// Runs every worked case of the shared reference set through the calculator.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

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

}  // namespace
}  // namespace fulcrum::stats
