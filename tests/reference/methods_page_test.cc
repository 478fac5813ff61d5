// SPDX-License-Identifier: Apache-2.0
// docs/stats.md lists every method of the calculator with its summary, and nothing else.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "stats/calculator.h"

namespace fulcrum::stats {
namespace {

TEST(MethodsPage, ListsExactlyTheMethods) {
  std::ifstream in("docs/stats.md");
  ASSERT_TRUE(in) << "docs/stats.md is missing";
  std::set<std::string> listed;
  std::string line;
  while (std::getline(in, line)) {
    if (line.rfind("| `", 0) == 0) listed.insert(line);
  }
  std::set<std::string> known;
  for (const MethodInfo& m : Methods()) {
    known.insert("| `" + std::string(m.name) + "` | " + std::string(m.summary) + " |");
  }
  for (const auto& row : known) EXPECT_TRUE(listed.count(row)) << "add to docs/stats.md: " << row;
  for (const auto& row : listed) EXPECT_TRUE(known.count(row)) << "no such method: " << row;
}

}  // namespace
}  // namespace fulcrum::stats
