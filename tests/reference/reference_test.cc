// SPDX-License-Identifier: Apache-2.0
// Runs the stored worked cases of this folder (written by its generators) through the calculator.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "stats/calculator.h"
#include "stats/test_cases.h"
#include "stats/test_json.h"

namespace fulcrum::stats {
namespace {

TEST(StoredCases, EveryCasePasses) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator("tests/reference/cases")) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty());
  int run = 0;
  for (const auto& file : files) {
    std::ifstream in(file);
    const nlohmann::json stored = nlohmann::json::parse(in);
    EXPECT_FALSE(stored["generator"].get<std::string>().empty()) << file;
    EXPECT_FALSE(stored["versions"].empty()) << file;
    for (const auto& item : stored["cases"]) {
      SCOPED_TRACE(file.filename().string() + " " + item["id"].get<std::string>());
      Value result;
      const auto status =
          Calculate(item["method"].get<std::string>(), FromJson(item["inputs"]), &result);
      EXPECT_TRUE(status.ok()) << status.error;
      if (!status.ok()) continue;
      Compare(item["expected"], &result, item["tolerance"]["rel"], item["tolerance"]["abs"],
              item["method"]);
      ++run;
    }
  }
  std::cout << "[ stored   ] " << run << " cases from " << files.size() << " generators\n";
}

}  // namespace
}  // namespace fulcrum::stats
