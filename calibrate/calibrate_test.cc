// SPDX-License-Identifier: Apache-2.0
#include "calibrate/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace fulcrum::calibrate {
namespace {

Verdict VerdictOf(int64_t hits, int64_t trials, double expected, Claim claim) {
  Row row;
  row.hits = hits;
  row.trials = trials;
  row.expected = expected;
  row.claim = claim;
  Judge(&row);
  return row.verdict;
}

// Exact 99.9% acceptance bands: R 4.2, qbinom(c(0.0005, 0.9995), n, p) and qbinom(0.999, n, p).
TEST(Judge, AcceptsExactlyTheBinomialBand) {
  struct Band {
    int64_t n;
    double p;
    int64_t lo, hi, upper_only;
  };
  for (const Band& band : {Band{1000, 0.05, 29, 74, 73}, Band{1000, 0.95, 926, 971, 970},
                           Band{10000, 0.05, 430, 573, 569}, Band{10000, 0.95, 9427, 9570, 9566},
                           Band{100000, 0.05, 4775, 5228, 5214}}) {
    const auto at = [&](int64_t hits, Claim claim) {
      return VerdictOf(hits, band.n, band.p, claim);
    };
    EXPECT_EQ(at(band.lo, Claim::kExactly), Verdict::kWithin) << band.n << " " << band.p;
    EXPECT_EQ(at(band.lo - 1, Claim::kExactly), Verdict::kOutside) << band.n << " " << band.p;
    EXPECT_EQ(at(band.hi, Claim::kExactly), Verdict::kWithin) << band.n << " " << band.p;
    EXPECT_EQ(at(band.hi + 1, Claim::kExactly), Verdict::kOutside) << band.n << " " << band.p;
    EXPECT_EQ(at(band.upper_only, Claim::kAtMost), Verdict::kWithin) << band.n << " " << band.p;
    EXPECT_EQ(at(band.upper_only + 1, Claim::kAtMost), Verdict::kOutside) << band.n;
    EXPECT_EQ(at(0, Claim::kAtMost), Verdict::kWithin);
    EXPECT_EQ(at(band.n, Claim::kAtLeast), Verdict::kWithin);
  }
}

// SciPy 1.10: beta.ppf([0.0005, 0.9995], [500, 501], [9501, 9500]).
TEST(Judge, GivesClopperPearsonBounds) {
  Row row;
  row.hits = 500;
  row.trials = 10000;
  row.expected = 0.05;
  Judge(&row);
  EXPECT_NEAR(row.lo, 0.04311928, 1e-8);
  EXPECT_NEAR(row.hi, 0.05756675, 1e-8);
}

TEST(Judge, ARowWithoutTrialsIsNotCalledRight) {
  EXPECT_EQ(VerdictOf(0, 0, 0.05, Claim::kExactly), Verdict::kOutside);
}

Table RunTable(const Options& options) {
  auto table = Calibrate(options);
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *std::move(table) : Table();
}

TEST(Calibrate, IsTheSameOnAnyNumberOfThreads) {
  Options options;
  options.replications = 130;
  options.only = {"aa", "looks.msprt", "cover_order"};
  options.threads = 1;
  const std::string one = ToJson(RunTable(options));
  options.threads = 3;
  EXPECT_EQ(ToJson(RunTable(options)), one);
  options.seed += 1;
  EXPECT_NE(ToJson(RunTable(options)), one);
}

TEST(Calibrate, ARowDoesNotDependOnWhatRunsBesideIt) {
  Options options;
  options.replications = 100;
  options.only = {"aa_ratio"};
  const Table all = RunTable(options);
  options.only = {"aa_ratio.delta"};
  const Table alone = RunTable(options);
  ASSERT_EQ(alone.rows.size(), 1U);
  const auto same = std::find_if(all.rows.begin(), all.rows.end(),
                                 [](const Row& row) { return row.key == "aa_ratio.delta"; });
  ASSERT_NE(same, all.rows.end());
  EXPECT_EQ(alone.rows.front().hits, same->hits);
}

TEST(Calibrate, NamesWhatItDoesNotKnow) {
  Options options;
  options.only = {"aa_ratio.delto"};
  EXPECT_THAT(std::string(Calibrate(options).status().message()),
              testing::HasSubstr("did you mean 'aa_ratio.delta'?"));
  options.only = {};
  options.replications = 0;
  EXPECT_FALSE(Calibrate(options).ok());
}

TEST(Calibrate, RowsHaveOneNameEach) {
  std::set<std::string> keys;
  for (const Row& row : ListRows()) {
    EXPECT_TRUE(keys.insert(row.key).second) << row.key;
    EXPECT_FALSE(row.what.empty()) << row.key;
    EXPECT_GE(row.expected, 0) << row.key;
    EXPECT_LE(row.expected, 1) << row.key;
  }
  EXPECT_GE(keys.size(), 60U);
}

// The whole table, shorter. What the joint normal costs much for runs less often.
TEST(Calibrate, EveryRowIsWithinItsBounds) {
  std::vector<std::string> quick;
  std::vector<std::string> costly;
  std::set<std::string> seen;
  for (const Row& row : ListRows()) {
    const std::string study = row.key.substr(0, row.key.find('.'));
    if (!seen.insert(study).second) continue;
    (study.starts_with("family") ? costly : quick).push_back(study);
  }
  Options options;
  options.only = quick;
  options.replications = 500;
  const Table often = RunTable(options);
  EXPECT_TRUE(often.Within()) << ToText(often);
  options.only = costly;
  options.replications = 100;
  const Table seldom = RunTable(options);
  EXPECT_TRUE(seldom.Within()) << ToText(seldom);
}

// The proof that a pass means something: two classic mistakes, put in on purpose.
TEST(Calibrate, CatchesARatioWithTheVarianceOfIndependentEvents) {
  Options options;
  options.replications = 1000;
  options.only = {"aa_ratio"};
  ASSERT_TRUE(RunTable(options).Within()) << ToText(RunTable(options));
  options.plant = Plant::kRawVarianceRatio;
  const Table table = RunTable(options);
  EXPECT_FALSE(table.Within());
  for (const Row& row : table.rows) {
    EXPECT_EQ(row.planted, row.key == "aa_ratio.delta");
    EXPECT_EQ(row.verdict, row.planted ? Verdict::kOutside : Verdict::kWithin) << row.key;
  }
}

TEST(Calibrate, CatchesPeekingWithFixedTests) {
  Options options;
  options.replications = 1000;
  options.only = {"looks.asymptotic_rate"};
  ASSERT_TRUE(RunTable(options).Within()) << ToText(RunTable(options));
  options.plant = Plant::kPeeking;
  const Table table = RunTable(options);
  ASSERT_EQ(table.rows.size(), 1U);
  EXPECT_TRUE(table.rows.front().planted);
  EXPECT_EQ(table.rows.front().verdict, Verdict::kOutside);
  EXPECT_GT(table.rows.front().Rate(), 0.2);
}

}  // namespace
}  // namespace fulcrum::calibrate
