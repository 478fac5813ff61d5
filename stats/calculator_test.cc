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

// Every input the issue of bad data names is refused with the field, or carried as a reason.
TEST(BadInput, IsRefusedByTheFieldsName) {
  const json arm = {{"mean", 1.0}, {"var", 2.0}, {"n", 10}};
  const auto spoiled = [&](const char* field, const json& value) {
    json copy = arm;
    copy[field] = value;
    return json{{"treatment", copy}, {"control", arm}};
  };
  EXPECT_EQ(ErrorOf("welch_t_from_stats", spoiled("var", -1)),
            "treatment.var: must not be negative");
  EXPECT_EQ(ErrorOf("welch_t_from_stats", spoiled("n", 1)),
            "treatment.n: must be at least 2 (insufficient data)");
  EXPECT_EQ(ErrorOf("beta_binomial_ab", {{"prior", {1, -1}}}),
            "prior: must be two numbers greater than 0");
  EXPECT_EQ(ErrorOf("sample_size_two_proportions",
                    {{"p_control", 1.2}, {"p_treatment", 0.1}, {"power", 0.8}}),
            "p_control: must be greater than 0 and less than 1");
  EXPECT_EQ(ErrorOf("adjusted_p_values", {{"p", {0.5, 1.5}}}), "p: must be between 0 and 1");
  EXPECT_EQ(ErrorOf("srm_phases", {{"phases", {{{"observed", {5, 5}}, {"weights", {0, 0}}}}}}),
            "phases[0].weights: must have a positive sum");
  EXPECT_EQ(ErrorOf("srm_chi_square", {{"observed", {1, 2}}, {"weights", {1, -1}}}),
            "weights: must not be negative");
}

TEST(BadInput, GramsMustBeCovarianceMatrices) {
  const auto with = [](const json& cov) {
    const json good = {{"n", 50}, {"mean", {1, 1}}, {"cov", {{1, 0.2}, {0.2, 1}}}};
    json bad = good;
    bad["cov"] = cov;
    return json{{"treatment", bad}, {"control", good}};
  };
  EXPECT_EQ(ErrorOf("joint_effects", with({{1, 0.2}, {0.2, 1}})), "");
  EXPECT_EQ(ErrorOf("joint_effects", with({{1, 0.3}, {0.2, 1}})),
            "treatment.cov: must be symmetric");
  EXPECT_EQ(ErrorOf("joint_effects", with({{1, 1.5}, {1.5, 1}})),
            "treatment.cov: is not positive semidefinite: no data has these covariances");
  EXPECT_EQ(ErrorOf("joint_effects", with({{1, 0}, {0, -1}})),
            "treatment.cov: has a negative variance");
  EXPECT_EQ(ErrorOf("joint_effects", with({{1, 0}})),
            "treatment.cov: must have 2 rows and as many columns");
  const json totals = {{"n", 4}, {"sum", {4, 8}}, {"cross", {{6, 90}, {90, 18}}}};
  EXPECT_EQ(ErrorOf("cuped_pooled_theta", {{"treatment", totals}, {"control", totals}}),
            "treatment.cross: is not positive semidefinite: no data has these covariances");
}

TEST(BadInput, ADenominatorNearZeroIsAReasonNotANumber) {
  // Both arms' cost effects are noise: the ratio's set is unbounded, and it is said.
  const json a = {{"n", 100}, {"mean", {5, 1.01}}, {"cov", {{4, 0}, {0, 9}}}};
  const json b = {{"n", 100}, {"mean", {4, 1.00}}, {"cov", {{4, 0}, {0, 9}}}};
  Value result;
  ASSERT_TRUE(
      Calculate("ratio_of_effects", FromJson({{"treatment", a}, {"control", b}}), &result).ok());
  EXPECT_FALSE(result.Find("fieller_bounded")->boolean());
  EXPECT_NE(result.Find("fieller_shape")->text(), "bounded");
  EXPECT_FALSE(result.Find("reason")->text().empty());
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
