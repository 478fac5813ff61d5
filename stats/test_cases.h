// SPDX-License-Identifier: Apache-2.0
// For tests only: holds a calculator result against the expected figures of a worked case.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "stats/value.h"

namespace fulcrum::stats {

// Every leaf of `expected` must be in `got`, within max(abs, rel * |expected|).
inline void Compare(const nlohmann::json& expected, const Value* got, double rel, double abs,
                    const std::string& path) {
  if (got == nullptr) {
    ADD_FAILURE() << path << " is missing";
    return;
  }
  if (expected.is_object()) {
    for (const auto& [name, item] : expected.items()) {
      Compare(item, got->Find(name), rel, abs, path + "." + name);
    }
  } else if (expected.is_array()) {
    ASSERT_TRUE(got->is_array()) << path;
    ASSERT_EQ(got->array().size(), expected.size()) << path;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      Compare(expected[i], &got->array()[i], rel, abs, path + "[" + std::to_string(i) + "]");
    }
  } else if (expected.is_null()) {
    EXPECT_TRUE(got->is_null()) << path;
  } else if (expected.is_boolean()) {
    ASSERT_TRUE(got->is_bool()) << path;
    EXPECT_EQ(got->boolean(), expected.get<bool>()) << path;
  } else if (expected.is_string() && expected.get<std::string>() != "Infinity" &&
             expected.get<std::string>() != "-Infinity") {
    ASSERT_TRUE(got->is_text()) << path;
    EXPECT_EQ(got->text(), expected.get<std::string>()) << path;
  } else {
    ASSERT_TRUE(got->is_number()) << path;
    if (expected.is_string()) {
      const double sign = expected.get<std::string>() == "Infinity" ? 1 : -1;
      EXPECT_EQ(got->number(), sign * std::numeric_limits<double>::infinity()) << path;
      return;
    }
    const double want = expected.get<double>();
    EXPECT_LE(std::abs(got->number() - want), std::max(abs, rel * std::abs(want)))
        << path << ": got " << got->number() << ", expected " << want;
  }
}

}  // namespace fulcrum::stats
