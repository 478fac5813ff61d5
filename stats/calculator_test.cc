// SPDX-License-Identifier: Apache-2.0
#include "stats/calculator.h"

#include <gtest/gtest.h>

#include <set>

#include "stats/test_json.h"

namespace fulcrum::stats {
namespace {

using nlohmann::json;

std::string ErrorOf(std::string_view method, const json& inputs) {
  Value result;
  const CalculatorStatus status = Calculate(method, FromJson(inputs), &result);
  EXPECT_EQ(status.ok(), !result.is_null());
  return status.error;
}

TEST(Calculator, ListsEveryMethodOnceWithASummary) {
  std::set<std::string_view> names;
  for (const MethodInfo& method : Methods()) {
    EXPECT_TRUE(names.insert(method.name).second) << method.name;
    EXPECT_FALSE(method.summary.empty());
    EXPECT_LE(method.summary.size(), 90u) << method.name;
  }
  EXPECT_GT(names.size(), 120u);
}

TEST(Calculator, ErrorsNameTheField) {
  const json good = {{"n", 10}, {"sum", 5}, {"sum_squares", 5}};
  EXPECT_EQ(ErrorOf("no_such_method", json::object()).rfind("'no_such_method'", 0), 0u);
  EXPECT_EQ(ErrorOf("welch_t_from_sums", {{"treatment", good}}), "control: is missing");
  EXPECT_EQ(ErrorOf("welch_t_from_sums",
                    {{"treatment", good}, {"control", {{"n", 0}, {"sum", 0}, {"sum_squares", 0}}}}),
            "control.n: must be at least 2 (insufficient data)");
  EXPECT_EQ(
      ErrorOf("welch_t_from_sums",
              {{"treatment", good}, {"control", {{"n", 10}, {"sum", 100}, {"sum_squares", 900}}}}),
      "control.sum_squares: is less than sum^2 / n, which cannot be");
  EXPECT_EQ(ErrorOf("two_proportion_z",
                    {{"treatment", {{"x", 11}, {"n", 10}}}, {"control", {{"x", 1}, {"n", 10}}}}),
            "treatment.x: is larger than n");
  EXPECT_EQ(ErrorOf("two_proportion_z",
                    {{"treatment", {{"x", 1.5}, {"n", 10}}}, {"control", {{"x", 1}, {"n", 10}}}}),
            "treatment.x: must be a whole number, 0 or more");
  EXPECT_EQ(ErrorOf("adjusted_p_values", {{"p", {0.1, "NaN"}}}), "p[1]: is not a number");
  EXPECT_EQ(ErrorOf("adjusted_p_values", {{"p", {0.1}}, {"alpha", 1}}),
            "alpha: must be greater than 0 and less than 1");
  EXPECT_EQ(ErrorOf("srm_chi_square", {{"observed", {1, 2}}, {"weights", {0, 0}}}),
            "weights: must have a positive sum");
}

TEST(Calculator, WhatIsNotDefinedIsNullAndAlphaIsEchoed) {
  Value result;
  const json constant = {{"n", 50}, {"sum", 50}, {"sum_squares", 50}};
  ASSERT_TRUE(Calculate("welch_t_from_sums",
                        FromJson({{"treatment", constant}, {"control", constant}}), &result)
                  .ok());
  EXPECT_EQ(result.Find("diff")->number(), 0);
  EXPECT_TRUE(result.Find("p_two_sided")->is_null());
  EXPECT_TRUE(result.Find("ci_lo")->is_null());
  EXPECT_EQ(result.Find("alpha")->number(), 0.05);
  EXPECT_FALSE(result.Find("reason")->text().empty());
}

}  // namespace
}  // namespace fulcrum::stats
