// SPDX-License-Identifier: Apache-2.0
#include "core/version.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace fulcrum::core {
namespace {

int Sign(int value) { return (value > 0) - (value < 0); }

// Each is less than the next. The pre-release chain is the example of SemVer 2.0.0, section 11.4.
const std::vector<std::string_view> kAscending = {"0",
                                                  "0.0.1-0",
                                                  "0.0.1",
                                                  "0.9.10",
                                                  "1.0.0-alpha",
                                                  "1.0.0-alpha.1",
                                                  "1.0.0-alpha.beta",
                                                  "1.0.0-beta",
                                                  "1.0.0-beta.2",
                                                  "1.0.0-beta.11",
                                                  "1.0.0-rc.1",
                                                  "1.0.0",
                                                  "1.0.0.1",
                                                  "1.2",
                                                  "1.10",
                                                  "v2.0.0-x-y-z.-",
                                                  "2",
                                                  "10.0.0",
                                                  "99999999999999999999.0",
                                                  "99999999999999999999.1"};

TEST(Version, TotalOrder) {
  for (size_t i = 0; i < kAscending.size(); ++i) {
    ASSERT_TRUE(IsVersion(kAscending[i])) << kAscending[i];
    for (size_t j = 0; j < kAscending.size(); ++j) {
      EXPECT_EQ(Sign(CompareVersions(kAscending[i], kAscending[j])), (i > j) - (i < j))
          << kAscending[i] << " and " << kAscending[j];
    }
  }
}

TEST(Version, EqualForms) {
  for (const auto& [a, b] :
       std::vector<std::pair<std::string_view, std::string_view>>{{"1.2", "1.2.0"},
                                                                  {"v1.2.3", "1.2.3"},
                                                                  {"1.2.3+build.5", "1.2.3+other"},
                                                                  {"01.2", "1.02"},
                                                                  {"1.0.0-rc.1+b", "1.0.0-rc.1"}}) {
    EXPECT_EQ(CompareVersions(a, b), 0) << a << " and " << b;
  }
}

TEST(Version, Refused) {
  for (const std::string_view text :
       {"", "v", ".", "1.", ".1", "1..2", "a", "1.a", "1.2-", "1.2-a..b", "1.2-a_b", "1.2+", "1 2",
        "-1", "1.2.3-", "1.2.3-rc+", "\xff", "1.2.3 "}) {
    EXPECT_FALSE(IsVersion(text)) << text;
  }
}

}  // namespace
}  // namespace fulcrum::core
