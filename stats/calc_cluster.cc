// SPDX-License-Identifier: Apache-2.0
// Clusters, switchback blocks and randomisation inference in the calculator.
#include <cmath>

#include "stats/calc_input.h"
#include "stats/cluster.h"
#include "stats/randomisation.h"

namespace fulcrum::stats {
namespace {

// {size, sum}, arrays of one entry per cluster.
std::vector<ClusterRow> ClusterRows(const Input& in) {
  const auto size = in.NumbersAtLeast("size", 1), sum = in.Numbers("sum");
  if (sum.size() != size.size()) in.Fail("sum", "must be as long as size");
  std::vector<ClusterRow> rows;
  for (std::size_t i = 0; i < size.size(); ++i) {
    if (!(size[i] >= 0)) in.Fail("size", "must not be negative");
    if (size[i] == 0 && sum[i] != 0) in.Fail("sum", "is not 0 in a cluster of size 0");
    rows.push_back({size[i], sum[i]});
  }
  return rows;
}

Value Report(const Input& in, const ClusterResult& r) {
  if (r.reason == Reason::kInvalidInput) in.Fail("size", "must not be negative");
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  const bool relative = r.reason == Reason::kNone && r.lift.reason == Reason::kNone;
  const auto lifted = [&](double x) { return relative ? Value(x) : Value(); };
  return Value::MakeObject({{"clusters_treatment", r.clusters_treatment},
                            {"clusters_control", r.clusters_control},
                            {"mean_treatment", r.mean_treatment},
                            {"mean_control", r.mean_control},
                            {"diff", r.diff},
                            {"se", tested(r.se)},
                            {"df", tested(r.df)},
                            {"t", tested(r.t)},
                            {"p", tested(r.p)},
                            {"ci_lo", tested(r.interval.lo)},
                            {"ci_hi", tested(r.interval.hi)},
                            {"lift", lifted(r.lift.lift)},
                            {"lift_lo", lifted(r.lift.delta.lo)},
                            {"lift_hi", lifted(r.lift.delta.hi)},
                            {"few_clusters", r.few_clusters},
                            {"alpha", in.Alpha()},
                            {"reason", ReasonText(r.reason)}});
}

Value FromRows(const Input& in) {
  return Report(in, ClusterDifference(ClusterRows(in.At("treatment")),
                                      ClusterRows(in.At("control")), in.Alpha()));
}

// Rows are clusters, columns the outcome's sum and the size.
Value FromGram(const Input& in) {
  const GramArms arms = ReadArms(in);
  const std::size_t width = arms.treatment.width();
  const std::size_t sum = Column(in, "sum_column", width, 0);
  const std::size_t size = Column(in, "size_column", width, 1);
  if (!(arms.treatment.mean(size) > 0) || !(arms.control.mean(size) > 0)) {
    in.Fail("size_column", "must have a positive mean in both arms");
  }
  return Report(in, ClusterDifference(arms.treatment, arms.control, sum, size, in.Alpha()));
}

Value Regression(const Input& in) {
  const auto y = in.NumbersAtLeast("y", 2), names = in.Numbers("cluster");
  const auto rows = in.Rows("x");
  if (rows.size() != y.size()) in.Fail("x", "must have one row per y");
  if (names.size() != y.size()) in.Fail("cluster", "must be as long as y");
  std::vector<std::size_t> cluster;
  for (const double c : names) {
    if (!(c >= 0) || c != std::floor(c) || c > 9007199254740992.0) {
      in.Fail("cluster", "must hold whole numbers, 0 or more");
    }
    cluster.push_back(static_cast<std::size_t>(c));
  }
  const bool intercept = in.BoolOr("intercept", true);
  const std::size_t columns = rows[0].size() + (intercept ? 1 : 0);
  if (columns == 0) in.Fail("x", "has no column");
  if (static_cast<double>(y.size()) * static_cast<double>(columns) > 2e7) {
    in.Fail("x", "is too large for the calculator");
  }
  std::vector<double> design;
  for (const auto& row : rows) {
    if (intercept) design.push_back(1);
    design.insert(design.end(), row.begin(), row.end());
  }
  const ClusteredRegression r = ClusteredLeastSquares(y, design, columns, cluster);
  const bool fitted = r.reason == Reason::kNone;
  const auto list = [&](const std::vector<double>& v) { return fitted ? Value(v) : Value(); };
  return Value::MakeObject({{"coefficient", list(r.coefficient)},
                            {"se_cr0", list(r.se_cr0)},
                            {"se_cr1", list(r.se_cr1)},
                            {"se_cr2", list(r.se_cr2)},
                            {"df", list(r.df)},
                            {"rank", r.rank},
                            {"clusters", r.clusters},
                            {"reason", ReasonText(r.reason)}});
}

// {size?, sum, treated, stratum?}: size 1 where absent, so that `sum` is one value per row.
Value Randomisation(const Input& in) {
  const auto sum = in.NumbersAtLeast("sum", 2), treated = in.Numbers("treated");
  const auto ones = std::vector<double>(sum.size(), 1.0), none = std::vector<double>(sum.size());
  const auto size = in.Has("size") ? in.Numbers("size") : ones;
  const auto stratum = in.Has("stratum") ? in.Numbers("stratum") : none;
  for (const auto& [name, length] :
       {std::pair{"size", size.size()}, {"treated", treated.size()}, {"stratum", stratum.size()}}) {
    if (length != sum.size()) in.Fail(name, "must be as long as sum");
  }
  std::vector<RandomisedRow> rows;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    if (!(size[i] > 0)) in.Fail("size", "must be greater than 0");
    if (treated[i] != 0 && treated[i] != 1) in.Fail("treated", "must hold 0 or 1");
    if (!(stratum[i] >= 0) || stratum[i] != std::floor(stratum[i]) || stratum[i] > 1e9) {
      in.Fail("stratum", "must hold whole numbers, 0 or more");
    }
    rows.push_back({{size[i], sum[i]}, treated[i] == 1, static_cast<std::size_t>(stratum[i])});
  }
  RandomisationOptions options;
  options.alpha = in.Alpha();
  if (in.Has("draws")) options.draws = static_cast<std::size_t>(in.CountAtLeast("draws", 1));
  if (in.Has("seed")) options.seed = static_cast<std::uint64_t>(in.Count("seed"));
  if (in.Has("enumerate_at_most")) options.enumerate_at_most = in.NonNegative("enumerate_at_most");
  if (static_cast<double>(options.draws) * static_cast<double>(rows.size()) > 5e8) {
    in.Fail("draws", "is too large for so many rows");
  }
  if (options.enumerate_at_most > 5e6) in.Fail("enumerate_at_most", "must be at most 5e6");
  const RandomisationResult r = RandomisationTest(rows, options);
  if (r.reason == Reason::kInvalidInput) in.Fail("sum", "and size are too large");
  if (r.reason != Reason::kNone) in.Fail("treated", "needs rows of both arms in some stratum");
  return Value::MakeObject({{"diff", r.diff},
                            {"p_two_sided", r.p},
                            {"p_greater", r.p_greater},
                            {"p_less", r.p_less},
                            {"ci_lo", r.interval.lo},
                            {"ci_hi", r.interval.hi},
                            {"bounded", std::isfinite(r.interval.Width())},
                            {"assignments", r.assignments},
                            {"counted", r.counted},
                            {"exact", r.exact},
                            {"smallest_p", r.smallest_p},
                            {"alpha", options.alpha}});
}

constexpr Method kMethods[] = {
    {"cluster_difference", "difference of means between clusters, CR2 and Satterthwaite", FromRows},
    {"cluster_difference_gram", "the same from one Gram per arm, rows are clusters", FromGram},
    {"cluster_robust_regression", "least squares with CR0, CR1 and CR2 errors", Regression},
    {"randomisation_test", "randomisation inference for few clusters, interval by inversion",
     Randomisation},
};

}  // namespace

std::span<const Method> ClusterMethods() { return kMethods; }

}  // namespace fulcrum::stats
