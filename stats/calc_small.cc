// SPDX-License-Identifier: Apache-2.0
// Ranks, permutations, bootstrap, robust means, bandit data and acceptance bands.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "stats/bandit.h"
#include "stats/calc_input.h"
#include "stats/nonparametric.h"
#include "stats/quantiles.h"

namespace fulcrum::stats {
namespace {

constexpr int kReplicates = 20000;
constexpr std::uint64_t kSeed = 20240229;

void SetNormal(const MannWhitneyResult& r, Value* out) {
  const bool tested = r.reason == Reason::kNone;
  out->Set("U", r.u);
  out->Set("prob_superiority", r.prob_superiority);
  out->Set("variance_tie_corrected", r.variance);
  out->Set("z", tested ? Value(r.z) : Value());
  out->Set("z_abs", tested ? Value(std::abs(r.z)) : Value());
  out->Set("p_normal_two_sided", tested ? Value(r.p_normal) : Value());
  out->Set("p_normal_cc_two_sided", tested ? Value(r.p_normal_corrected) : Value());
  out->Set("reason", ReasonText(r.reason));
}

Value RankSum(const Input& in) {
  const auto x = in.NumbersAtLeast("x", 1), y = in.NumbersAtLeast("y", 1);
  const double alpha = in.Alpha();
  const MannWhitneyResult r = MannWhitney(CountValues(x), CountValues(y));
  Value out;
  SetNormal(r, &out);
  std::vector<double> all(x);
  all.insert(all.end(), y.begin(), y.end());
  std::sort(all.begin(), all.end());
  const bool ties = std::adjacent_find(all.begin(), all.end()) != all.end();
  // The exact distribution holds without ties, and is not needed for long lists.
  if (!ties && x.size() * y.size() <= 10000) {
    const ExactU exact = ExactMannWhitney(r.u, x.size(), y.size(), alpha);
    const HodgesLehmann shift = HodgesLehmannShift(x, y, alpha);
    out.Set("p_exact_two_sided", exact.p_two_sided);
    out.Set("p_exact_greater", exact.p_greater);
    out.Set("p_exact_less", exact.p_less);
    out.Set("hodges_lehmann", shift.estimate);
    out.Set("hl_lo", shift.interval.lo);
    out.Set("hl_hi", shift.interval.hi);
  }
  out.Set("alpha", alpha);
  return out;
}

// {"value": count, ...}
ValueCounts ReadCounts(const Input& in, std::string_view name) {
  const Input item = in.At(name);
  if (!item.value().is_object()) item.Fail("", "must be an object of value: count");
  ValueCounts counts;
  for (const auto& [key, count] : item.value().object()) {
    char* end = nullptr;
    const double value = std::strtod(key.c_str(), &end);
    if (key.empty() || *end != '\0' || !std::isfinite(value)) item.Fail(key, "is not a number");
    counts.emplace_back(value, static_cast<double>(item.Count(key)));
  }
  std::sort(counts.begin(), counts.end());
  return counts;
}

Value RankSumCounts(const Input& in) {
  Value out;
  SetNormal(MannWhitney(ReadCounts(in, "x"), ReadCounts(in, "y")), &out);
  return out;
}

Value Smirnov(const Input& in) {
  const auto x = in.NumbersAtLeast("x", 1), y = in.NumbersAtLeast("y", 1);
  if (static_cast<double>(x.size()) * static_cast<double>(y.size()) > 1e8) {
    in.Fail("x", "and y are too long for the exact test");
  }
  const auto r = KolmogorovSmirnov(x, y);
  return Value::MakeObject({{"D", r.d}, {"p_exact", r.p_exact}});
}

Value Permutation(const Input& in) {
  const auto x = in.NumbersAtLeast("x", 1), y = in.NumbersAtLeast("y", 1);
  double relabellings = 1;
  for (std::size_t i = 1; i <= x.size(); ++i) {
    relabellings *= static_cast<double>(y.size() + i) / static_cast<double>(i);
    if (relabellings > 5e6) in.Fail("x", "and y are too long to enumerate every relabelling");
  }
  const auto r = PermuteMeanDiff(x, y);
  return Value::MakeObject({{"diff", r.diff},
                            {"n_permutations", r.count},
                            {"p_two_sided", r.p_two_sided},
                            {"p_greater", r.p_greater}});
}

Value BootstrapMeans(const Input& in) {
  const auto x = in.NumbersAtLeast("x", 2), y = in.NumbersAtLeast("y", 2);
  const auto r = BootstrapMeanDiff(x, y, kReplicates, kSeed, in.Alpha());
  if (r.reason != Reason::kNone) in.Fail("x", "and y are too large to average");
  return Value::MakeObject({{"mean", r.estimate},
                            {"se", r.se},
                            {"percentile_lo", r.percentile.lo},
                            {"percentile_hi", r.percentile.hi},
                            {"replicates", kReplicates},
                            {"alpha", in.Alpha()}});
}

Value BootstrapRatio(const Input& in) {
  const auto u = in.NumbersAtLeast("u", 3), x = in.Numbers("x");
  if (x.size() != u.size()) in.Fail("x", "must be as long as u");
  for (const double value : u) {
    if (!(value > 0)) in.Fail("u", "must be greater than 0: it is the denominator");
  }
  const auto ratio = [&](std::span<const std::size_t> rows) {
    double up = 0, down = 0;
    for (const std::size_t i : rows) {
      up += x[i];
      down += u[i];
    }
    return up / down;
  };
  const auto r = Bootstrap(u.size(), ratio, kReplicates, kSeed, in.Alpha());
  if (r.reason != Reason::kNone) in.Fail("x", "and u are too large for their ratio");
  return Value::MakeObject({{"t0", r.estimate},
                            {"se", r.se},
                            {"percentile_lo", r.percentile.lo},
                            {"percentile_hi", r.percentile.hi},
                            {"bca_lo", r.bca.lo},
                            {"bca_hi", r.bca.hi},
                            {"replicates", kReplicates},
                            {"alpha", in.Alpha()}});
}

// "cap100": that value; "p99": that percentile (type 7) of both arms together.
double Cap(const Input& in, const std::vector<double>& t, const std::vector<double>& c) {
  const std::string rule = in.Text("rule");
  const std::size_t prefix = rule.rfind("cap", 0) == 0 ? 3 : 1;
  char* end = nullptr;
  const double number = rule.size() > prefix ? std::strtod(rule.c_str() + prefix, &end) : 0;
  if (end == nullptr || *end != '\0' || !std::isfinite(number) || (prefix == 1 && rule[0] != 'p')) {
    in.Fail("rule", "must be like 'cap100' or 'p99'");
  }
  if (prefix == 3) return number;
  if (!(number > 0 && number <= 100)) in.Fail("rule", "needs a percentile between 0 and 100");
  std::vector<double> pooled(t);
  pooled.insert(pooled.end(), c.begin(), c.end());
  std::sort(pooled.begin(), pooled.end());
  return SampleQuantile(pooled, number / 100, 7);
}

Value Winsorised(const Input& in) {
  const auto t = in.NumbersAtLeast("treatment", 2), c = in.NumbersAtLeast("control", 2);
  const auto r = WinsorisedDiff(t, c, Cap(in, t, c), in.Alpha());
  const bool tested = r.welch.reason == Reason::kNone;
  return Value::MakeObject({{"cap", r.cap},
                            {"mean_control", r.welch.mean_control},
                            {"mean_treatment", r.welch.mean_treatment},
                            {"diff", r.welch.diff},
                            {"se", r.welch.se},
                            {"welch_p", tested ? Value(r.welch.p) : Value()},
                            {"ci_lo", tested ? Value(r.welch.interval.lo) : Value()},
                            {"ci_hi", tested ? Value(r.welch.interval.hi) : Value()},
                            {"n_capped", r.capped},
                            {"alpha", in.Alpha()}});
}

Value Yuen(const Input& in) {
  const double trim = in.NonNegative("trim");
  if (!(trim < 0.5)) in.Fail("trim", "must be less than 0.5");
  const auto r =
      YuenT(in.NumbersAtLeast("treatment", 2), in.NumbersAtLeast("control", 2), trim, in.Alpha());
  if (r.reason == Reason::kTooFewUnits) in.Fail("trim", "leaves fewer than 2 units in an arm");
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  return Value::MakeObject({{"diff", r.diff},
                            {"se", r.se},
                            {"t", tested(r.t)},
                            {"df", tested(r.df)},
                            {"p", tested(r.p)},
                            {"ci_lo", tested(r.interval.lo)},
                            {"ci_hi", tested(r.interval.hi)},
                            {"alpha", in.Alpha()}});
}

// Arrays are [control, treatment].
Value Periods(const Input& in) {
  std::vector<Period> periods;
  for (const Input& item : in.Items("periods")) {
    const auto n = item.NumbersAtLeast("n", 2), x = item.NumbersAtLeast("x", 2);
    for (int arm = 0; arm < 2; ++arm) {
      const auto at = static_cast<std::size_t>(arm);
      if (!(n[at] >= 1 && n[at] <= 9e15) || n[at] != std::floor(n[at])) {
        item.Fail("n", "must hold whole numbers, 1 or more");
      }
      if (!(x[at] >= 0 && x[at] <= n[at]) || x[at] != std::floor(x[at])) {
        item.Fail("x", "must hold whole numbers from 0 to n");
      }
    }
    const auto rate = [&](std::size_t arm) {
      return Proportion{static_cast<std::int64_t>(x[arm]), static_cast<std::int64_t>(n[arm])};
    };
    periods.push_back({rate(1), rate(0)});
  }
  if (periods.empty()) in.Fail("periods", "is empty");
  const PeriodWeighted r = PeriodWeightedDifference(periods);
  const bool tested = r.difference.se > 0;
  return Value::MakeObject({{"diff_period_weighted", r.difference.diff},
                            {"se", r.difference.se},
                            {"z", tested ? Value(r.difference.z) : Value()},
                            {"p", tested ? Value(r.difference.p) : Value()},
                            {"diff_pooled_naive", r.pooled_naive}});
}

double Propensity(const Input& in, std::string_view name) {
  const double e = in.Number(name);
  if (!(e > 0 && e <= 1)) in.Fail(name, "must be greater than 0 and at most 1");
  return e;
}

Value LoggedPropensities(const Input& in) {
  std::vector<LoggedUnit> units;
  for (const Input& row : in.Items("rows")) {
    LoggedUnit u;
    const std::int64_t arm = row.Count("arm");
    if (arm > 1) row.Fail("arm", "must be 0 or 1");
    u.arm = static_cast<int>(arm);
    u.propensity = Propensity(row, "propensity_of_taken_arm");
    u.y = row.Number("y");
    if (in.Has("outcome_model")) {
      const std::string level = "x" + std::to_string(row.Count("x"));
      u.model_0 = in.At("outcome_model").At("arm0").Number(level);
      u.model_1 = in.At("outcome_model").At("arm1").Number(level);
    }
    units.push_back(u);
  }
  if (units.size() < 2) in.Fail("rows", "needs at least 2 units (insufficient data)");
  const WeightedArms r = InversePropensity(units);
  return Value::MakeObject({{"ipw_0", r.ipw[0]},
                            {"ipw_1", r.ipw[1]},
                            {"hajek_0", r.hajek[0]},
                            {"hajek_1", r.hajek[1]},
                            {"aipw_0", r.aipw[0]},
                            {"aipw_1", r.aipw[1]},
                            {"aipw_diff", r.aipw_diff},
                            {"aipw_se", r.aipw_se}});
}

Value AdaptiveWeights(const Input& in) {
  const auto taken = in.NumbersAtLeast("arm1", 2), y = in.Numbers("y"), p = in.Numbers("p_arm1");
  if (y.size() != taken.size()) in.Fail("y", "must be as long as arm1");
  if (p.size() != taken.size()) in.Fail("p_arm1", "must be as long as arm1");
  std::vector<AdaptiveUnit> units;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!(p[i] > 0 && p[i] <= 1)) in.Fail("p_arm1", "must be greater than 0 and at most 1");
    if (taken[i] != 0 && taken[i] != 1) in.Fail("arm1", "must hold 0 or 1");
    units.push_back({taken[i] == 1, y[i], p[i]});
  }
  const AdaptiveMean r = AdaptivelyWeightedMean(units, in.NumberOr("m_hat", 0));
  return Value::MakeObject({{"estimate", r.estimate}, {"se", r.se}});
}

Value AcceptanceBand(const Input& in) {
  const std::int64_t n = in.CountAtLeast("simulations", 1);
  const double p = in.Probability("target"), level = in.OpenProbability("two_sided_confidence");
  const double tail = (1 - level) / 2;
  return Value::MakeObject({{"accept_lo_count", BinomialQuantile(tail, n, p)},
                            {"accept_hi_count", BinomialQuantile(1 - tail, n, p)},
                            {"upper_only_999_count", BinomialQuantile(level, n, p)}});
}

constexpr Method kMethods[] = {
    {"adaptively_weighted_aipw_arm_mean", "mean of one arm of a bandit", AdaptiveWeights},
    {"bca_bootstrap_ratio", "bootstrap of a ratio of means, percentile and BCa", BootstrapRatio},
    {"binomial_acceptance_band", "counts a calibrated method may show in n simulations",
     AcceptanceBand},
    {"exact_permutation_mean_diff", "permutation test over every relabelling", Permutation},
    {"ideal_bootstrap_mean_diff", "bootstrap of a difference of means", BootstrapMeans},
    {"ipw_hajek_aipw", "inverse-propensity and doubly robust arm means", LoggedPropensities},
    {"kolmogorov_smirnov_two_sample", "two-sample Kolmogorov-Smirnov test, exact", Smirnov},
    {"mann_whitney", "Mann-Whitney test, exact and normal, Hodges-Lehmann shift", RankSum},
    {"mann_whitney_from_value_counts", "Mann-Whitney test from value counts", RankSumCounts},
    {"mann_whitney_ties", "Mann-Whitney test with ties", RankSum},
    {"period_stratified_difference", "rates compared inside periods of one allocation", Periods},
    {"winsorised_mean_difference", "difference of means capped at one value for both arms",
     Winsorised},
    {"yuen_trimmed_t", "Yuen's trimmed t test", Yuen},
};

}  // namespace

std::span<const Method> SmallMethods() { return kMethods; }

}  // namespace fulcrum::stats
