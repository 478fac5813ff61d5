// SPDX-License-Identifier: Apache-2.0
// Heterogeneity, strata, trends, shrinkage and selection in the calculator.
#include <cmath>

#include "stats/calc_input.h"
#include "stats/heterogeneity.h"
#include "stats/shrinkage.h"

namespace fulcrum::stats {
namespace {

// Values beside variances ("v") or standard errors ("se").
std::vector<Estimate> Effects(const Input& in, std::string_view value, std::string_view spread,
                              bool squared) {
  const auto y = in.NumbersAtLeast(value, 1), s = in.Numbers(spread);
  if (s.size() != y.size()) in.Fail(spread, "must be as long as " + std::string(value));
  std::vector<Estimate> effects;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!(s[i] > 0)) in.Fail(spread, "must be greater than 0");
    effects.push_back({y[i], squared ? s[i] : s[i] * s[i]});
    // As variances these are 0 or infinite, and so are the weights.
    if (!std::isnormal(effects.back().variance) || !std::isfinite(1 / effects.back().variance)) {
      in.Fail(spread, "is too small or too large");
    }
  }
  return effects;
}

Value MetaValue(const std::vector<Estimate>& effects) {
  const MetaResult r = MetaAnalysis(effects);
  return Value::MakeObject({{"fixed", r.fixed},
                            {"fixed_se", r.fixed_se},
                            {"Q", r.q},
                            {"df", r.df},
                            {"p_Q", r.p_q},
                            {"I2", r.i2},
                            {"tau2_DL", r.tau2_dl},
                            {"random", r.random},
                            {"random_se", r.random_se},
                            {"tau2_REML", r.tau2_reml},
                            {"random_REML", r.random_reml},
                            {"random_REML_se", r.random_reml_se},
                            {"reason", ReasonText(r.reason)}});
}

Value Meta(const Input& in) { return MetaValue(Effects(in, "y", "v", true)); }
Value Segments(const Input& in) { return MetaValue(Effects(in, "effects", "se", false)); }

Value EffectDifference(const Input& in) {
  const double s1 = in.NonNegative("se_1"), s2 = in.NonNegative("se_2");
  const Difference d =
      DifferenceOfEffects({in.Number("effect_1"), s1 * s1}, {in.Number("effect_2"), s2 * s2});
  const bool tested = d.se > 0;
  return Value::MakeObject({{"diff", d.diff},
                            {"se", d.se},
                            {"z", tested ? Value(d.z) : Value()},
                            {"p", tested ? Value(d.p) : Value()}});
}

Value Factorial(const Input& in) {
  const Input cells = in.At("cells");
  Moments m[2][2];
  const char* names[2][2] = {{"00", "01"}, {"10", "11"}};
  for (int a = 0; a < 2; ++a) {
    for (int b = 0; b < 2; ++b) m[a][b] = cells.Summary(names[a][b]);
  }
  const FactorialResult r = Factorial2x2(m);
  const bool tested = r.interaction.se > 0;
  return Value::MakeObject({{"interaction", r.interaction.diff},
                            {"se", r.interaction.se},
                            {"z", tested ? Value(r.interaction.z) : Value()},
                            {"p", tested ? Value(r.interaction.p) : Value()},
                            {"main_A_equal_weight", r.main_a.diff},
                            {"main_A_se", r.main_a.se},
                            {"main_B_equal_weight", r.main_b.diff},
                            {"main_B_se", r.main_b.se}});
}

Value Cmh(const Input& in) {
  std::vector<Table2x2> strata;
  for (const Input& item : in.Items("tables")) {
    std::vector<double> cells;
    for (const Input& row : item.Elements()) {
      for (const double x : row.Numbers()) {
        if (!(x >= 0)) item.Fail("", "must hold counts, 0 or more");
        cells.push_back(x);
      }
    }
    if (cells.size() != 4) item.Fail("", "must be two rows of two counts");
    strata.push_back({cells[0], cells[1], cells[2], cells[3]});
  }
  if (strata.empty()) in.Fail("tables", "is empty");
  const MantelHaenszelResult r = MantelHaenszel(strata);
  if (r.reason != Reason::kNone) in.Fail("tables", "leave no common odds ratio to test");
  return Value::MakeObject({{"chi2", r.chi2},
                            {"p", r.p},
                            {"or_mh", r.odds_ratio},
                            {"chi2_cc", r.chi2_corrected},
                            {"p_cc", r.p_corrected},
                            {"breslow_day", r.breslow_day},
                            {"breslow_day_p", r.breslow_day_p},
                            {"tarone", r.tarone},
                            {"tarone_p", r.tarone_p}});
}

Value PostStratification(const Input& in) {
  std::vector<Stratum> strata;
  for (const Input& item : in.Items("strata")) {
    strata.push_back({Moments::FromVariance(item.CountAtLeast("nT", 2), item.Number("mT"),
                                            item.NonNegative("vT")),
                      Moments::FromVariance(item.CountAtLeast("nC", 2), item.Number("mC"),
                                            item.NonNegative("vC"))});
  }
  if (strata.empty()) in.Fail("strata", "is empty");
  const PostStratified r = PostStratify(strata);
  return Value::MakeObject({{"diff_poststratified", r.diff},
                            {"se_poststratified", r.se},
                            {"diff_unadjusted", r.diff_unadjusted},
                            {"se_unadjusted", r.se_unadjusted},
                            {"variance_reduction", r.variance_reduction}});
}

Value Novelty(const Input& in) {
  const auto day = in.NumbersAtLeast("day", 2);
  const auto effects = Effects(in, "effect", "se", false);
  if (day.size() != effects.size()) in.Fail("day", "must be as long as effect");
  std::vector<double> log_day;
  for (const double d : day) {
    if (!(d >= 0)) in.Fail("day", "must not be negative");
    if (d > 0) log_day.push_back(std::log(d));
  }
  const TrendResult linear = WeightedTrend(day, effects);
  // A day 0 has no logarithm.
  const bool logs = log_day.size() == day.size();
  const TrendResult log = logs ? WeightedTrend(log_day, effects) : TrendResult();
  const auto of_log = [&](double x) { return logs ? Value(x) : Value(); };
  if (linear.reason != Reason::kNone) in.Fail("day", "must hold at least two different days");
  const std::size_t half = effects.size() / 2;
  const std::span<const Estimate> all(effects);
  const Estimate first = RandomEffectsMean(all.first(half), 0);
  const Estimate second = RandomEffectsMean(all.subspan(half), 0);
  const Difference halves = DifferenceOfEffects(second, first);
  return Value::MakeObject({{"slope_day", linear.slope},
                            {"slope_day_se", linear.slope_se},
                            {"z_day", linear.z},
                            {"p_day", linear.p},
                            {"intercept_day", linear.intercept},
                            {"residual_Q", linear.residual_q},
                            {"slope_logday", of_log(log.slope)},
                            {"slope_logday_se", of_log(log.slope_se)},
                            {"z_logday", of_log(log.z)},
                            {"p_logday", of_log(log.p)},
                            {"first_half", first.value},
                            {"second_half", second.value},
                            {"halves_z", halves.z},
                            {"halves_p", halves.p}});
}

Value ShrinkValue(const ShrinkageResult& r) {
  return Value::MakeObject(
      {{"tau2", r.tau2}, {"mu", r.mu}, {"shrunk", r.shrunk}, {"posterior_sd", r.posterior_sd}});
}

Value ShrinkGiven(const Input& in) {
  return ShrinkValue(Shrink(Effects(in, "y", "se", false), in.NonNegative("tau2")));
}

Value ShrinkDl(const Input& in) {
  return ShrinkValue(ShrinkEmpirical(Effects(in, "y", "se", false)));
}

Value JamesStein(const Input& in) {
  const auto hits = in.NumbersAtLeast("hits", 4);
  const double n = in.Positive("at_bats");
  for (const double x : hits) {
    if (!(x >= 0 && x <= n)) in.Fail("hits", "must be between 0 and at_bats");
  }
  const JamesSteinResult r = JamesSteinRates(hits, n);
  return Value::MakeObject({{"grand_mean", r.grand_mean},
                            {"shrink_factor", r.shrink_factor},
                            {"james_stein", r.estimates}});
}

Value WinnersCurse(const Input& in) {
  const double z = in.Number("z"), threshold = in.Positive("threshold");
  if (!(std::abs(z) > threshold)) in.Fail("z", "must be beyond the threshold it was selected by");
  if (!(std::abs(z) < 1e6)) in.Fail("z", "must be below 1e6");
  const SelectedEstimate r = GivenSignificance(z, threshold, in.Alpha());
  return Value::MakeObject({{"conditional_mle", r.conditional_mle},
                            {"median_unbiased", r.median_unbiased},
                            {"lo", r.interval.lo},
                            {"hi", r.interval.hi},
                            {"alpha", in.Alpha()}});
}

Value MaximumOfNormals(const Input& in) {
  return Value::MakeObject(
      {{"expected_max", ExpectedMaximum(static_cast<double>(in.CountAtLeast("k", 1)))}});
}

constexpr Method kMethods[] = {
    {"cochran_mantel_haenszel", "stratified 2 x 2 tables: common odds ratio and homogeneity", Cmh},
    {"cochran_q_dl", "meta-analysis with heterogeneity test, DerSimonian-Laird", Meta},
    {"cochran_q_dl_reml", "meta-analysis with heterogeneity test, DL and REML", Meta},
    {"conditional_mle_given_significance", "estimate corrected for having been significant",
     WinnersCurse},
    {"difference_of_effects", "test that two independent effects differ", EffectDifference},
    {"empirical_bayes_dl", "effects shrunk to their mean, empirical Bayes", ShrinkDl},
    {"expected_maximum_of_normals", "bias of picking the best of k equal arms", MaximumOfNormals},
    {"factorial_2x2_interaction", "interaction of two overlapping experiments", Factorial},
    {"james_stein_positive_part", "rates of equal groups shrunk to their mean", JamesStein},
    {"normal_normal_shrinkage_given_tau2", "effects shrunk at a given between-effect variance",
     ShrinkGiven},
    {"novelty_effect_trend", "does the effect change by day since exposure", Novelty},
    {"post_stratified_difference", "difference of means weighted over strata", PostStratification},
    {"segment_heterogeneity_q", "joint test that slices have one effect", Segments},
};

}  // namespace

std::span<const Method> EffectMethods() { return kMethods; }

}  // namespace fulcrum::stats
