// SPDX-License-Identifier: Apache-2.0
#include "experiments/estimand.h"

#include <gtest/gtest.h>

#include "experiments/load.h"
#include "experiments/sample_test_data.h"

namespace fulcrum::experiments {
namespace {

std::string Of(const LoadResult& loaded, const char* metric, const char* experiment) {
  return Estimand(loaded.definitions.project, *loaded.definitions.FindMetric(metric),
                  *loaded.definitions.FindExperiment(experiment));
}

TEST(EstimandTest, SaysWhoWhenWindowAndExclusions) {
  auto files = SampleFiles();
  files["project.yaml"] += "exclude_attribute: tester\n";
  const LoadResult loaded = LoadFromFiles(files);
  ASSERT_TRUE(loaded.ok());
  const char kDates[] =
      ", by the variant first shown; exposed from 2026-03-01T16:00:00Z until 2026-03-29T16:00:00Z";
  const auto expect = [&](const char* metric, const std::string& what, const std::string& rest) {
    EXPECT_EQ(Of(loaded, metric, "one-page-checkout"),
              what + kDates + rest + "; units with `tester` excluded.");
  };
  expect("pay_rate", "Share of units of `user` with at least 1 `pay` within 7d of first exposure",
         "; a unit counts once its 7d have passed");
  expect(
      "revenue",
      "Mean per unit, over all units of `user`, of `pay`.value + -1 x `refund`.value within 7d "
      "of first exposure",
      "; a unit counts once its 7d have passed; values capped at the 0.999 quantile of "
      "non-zero values of all arms, which moves as units come, so that it is read at the planned "
      "end only");
  expect("refund_rate",
         "Share of units of `user` with at least 1 `refund` where reason in [damaged, late] and "
         "value >= 1 within 7d of first exposure",
         "; a unit counts once its 7d have passed");
  expect("orders",
         "Mean per unit, over all units of `user`, of number of `order` within 7d of first "
         "exposure",
         "; units count before their window has passed");
  expect("order_value",
         "Sum of (`pay`.value) / sum of (number of `pay`) over all units of `user` within 7d of "
         "first exposure",
         "; a unit counts once its 7d have passed");
  expect("pay_amount_median",
         "0.5 quantile of `pay`.value over single events of all units of `user` within 7d of "
         "first exposure",
         "; a unit counts once its 7d have passed");
  expect("funnel",
         "Share of all units of `user` reaching each of browse > consult (optional) > register > "
         "order > pay > service, each at or after the one before within 14d of first exposure",
         "; a unit counts once its 14d have passed");
  expect("time_to_pay",
         "Time from the start of the clock to stage `pay`, restricted mean to 7d, those who never "
         "arrive counted as censored, the clock starting at first exposure",
         "");
  expect("d7_return", "Share of units of `user` with `browse` in [1d, 8d) after first exposure",
         "; a unit counts once its 8d have passed");
}

TEST(EstimandTest, ClocksAndRowsAreNamed) {
  auto files = SampleFiles();
  files["experiments/other.yaml"] += "enrol: {event: order}\n";
  EXPECT_EQ(Of(LoadFromFiles(files), "pay_rate", "other"),
            "Share of units of `user` with at least 1 `pay` within 7d of the first `order` after "
            "exposure, by the variant first shown; exposed from 2026-01-01T00:00:00Z; a unit "
            "counts once its 7d have passed.");
  const LoadResult rows = LoadAnalyzeText("a.yaml", kSampleAnalyze);
  EXPECT_EQ(Of(rows, "spend", "hillstrom-email"),
            "Mean per unit, over all rows, of `spend`, by the variant in column `segment`.");
  EXPECT_EQ(Of(rows, "visit", "hillstrom-email"),
            "Share of rows with `visit` true, by the variant in column `segment`.");
}

}  // namespace
}  // namespace fulcrum::experiments
