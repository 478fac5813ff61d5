// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "stats/calc_input.h"
#include "stats/distributions.h"
#include "stats/proportions.h"

namespace fulcrum::stats {
namespace {

Value Limits(const Interval& interval, double alpha) {
  return Value::MakeObject({{"lo", interval.lo}, {"hi", interval.hi}, {"alpha", alpha}});
}

Value TwoProportionZ(const Input& in) {
  const double alpha = in.Alpha();
  const auto r = TwoProportions(in.Rate("treatment"), in.Rate("control"), alpha);
  return Value::MakeObject({{"rate_treatment", r.rate_treatment},
                            {"rate_control", r.rate_control},
                            {"diff", r.diff},
                            {"se_pooled", r.se_pooled},
                            {"se_unpooled", r.se_unpooled},
                            {"z_pooled", r.z_pooled},
                            {"p_pooled", r.p_pooled},
                            {"log10_p_pooled", r.log_p_pooled / 2.302585092994046},
                            {"z_unpooled", Optional(r.z_unpooled)},
                            {"p_unpooled", Optional(r.p_unpooled)},
                            {"wald_lo", r.wald.lo},
                            {"wald_hi", r.wald.hi},
                            {"z_score", r.z_score},
                            {"p_score", r.p_score},
                            {"newcombe_lo", r.newcombe.lo},
                            {"newcombe_hi", r.newcombe.hi},
                            {"score_lo", r.miettinen_nurminen.lo},
                            {"score_hi", r.miettinen_nurminen.hi},
                            {"alpha", alpha},
                            {"reason", ReasonText(r.reason)}});
}

Value Newcombe(const Input& in) {
  return Limits(NewcombeInterval(in.Rate("x1", "n1"), in.Rate("x2", "n2"), in.Alpha()), in.Alpha());
}

Value AgrestiCaffo(const Input& in) {
  return Limits(AgrestiCaffoInterval(in.Rate("x1", "n1"), in.Rate("x2", "n2"), in.Alpha()),
                in.Alpha());
}

Value MiettinenNurminen(const Input& in) {
  return Limits(MiettinenNurminenInterval(in.Rate("x1", "n1"), in.Rate("x2", "n2"), in.Alpha()),
                in.Alpha());
}

Value SingleIntervals(const Input& in) {
  const auto r = SingleProportion(in.Rate("x", "n"), in.Alpha());
  return Value::MakeObject({{"wilson_lo", r.wilson.lo},
                            {"wilson_hi", r.wilson.hi},
                            {"cp_lo", r.clopper_pearson.lo},
                            {"cp_hi", r.clopper_pearson.hi},
                            {"wilson_cc_lo", r.wilson_continuity.lo},
                            {"wilson_cc_hi", r.wilson_continuity.hi},
                            {"jeffreys_lo", r.jeffreys.lo},
                            {"jeffreys_hi", r.jeffreys.hi},
                            {"alpha", in.Alpha()}});
}

Value Fisher(const Input& in) {
  const auto rows = in.Rows("table");
  if (rows.size() != 2 || rows[0].size() != 2) in.Fail("table", "must be two rows of two counts");
  Proportion arm[2];
  for (int i = 0; i < 2; ++i) {
    for (const double count : rows[i]) {
      if (!(count >= 0 && count <= 4503599627370496.0) || count != std::floor(count)) {
        in.Fail("table", "must hold whole numbers, 0 or more");
      }
    }
    arm[i] = {static_cast<std::int64_t>(rows[i][0]),
              static_cast<std::int64_t>(rows[i][0] + rows[i][1])};
  }
  const FisherResult r = FisherExact(arm[0], arm[1]);
  return Value::MakeObject({{"p_two_sided", r.p_two_sided},
                            {"p_greater", r.p_greater},
                            {"p_less", r.p_less},
                            {"mid_p_greater", r.mid_p_greater},
                            {"mid_p_less", r.mid_p_less},
                            {"mid_p_two_sided", r.mid_p_two_sided},
                            {"odds_ratio", Optional(r.odds_ratio)},
                            {"odds_ratio_conditional", Optional(r.odds_ratio_conditional)}});
}

Value RiskRatio(const Input& in) {
  const auto r = RiskAndOddsRatio(in.Rate("x1", "n1"), in.Rate("x2", "n2"), in.Alpha());
  Value out;
  out.Set("rr", Optional(r.risk_ratio));
  out.Set("rr_lo", r.risk_ratio_interval ? Value(r.risk_ratio_interval->lo) : Value());
  out.Set("rr_hi", r.risk_ratio_interval ? Value(r.risk_ratio_interval->hi) : Value());
  out.Set("or", Optional(r.odds_ratio));
  out.Set("or_lo", r.odds_ratio_interval ? Value(r.odds_ratio_interval->lo) : Value());
  out.Set("or_hi", r.odds_ratio_interval ? Value(r.odds_ratio_interval->hi) : Value());
  out.Set("relative_lift", r.risk_ratio ? Value(*r.risk_ratio - 1) : Value());
  out.Set("alpha", in.Alpha());
  return out;
}

Value Homogeneity(const Input& in) {
  const auto rows = in.Rows("table");
  std::vector<double> counts;
  for (const auto& row : rows) {
    for (const double count : row) {
      if (!(count >= 0)) in.Fail("table", "must hold counts, 0 or more");
      counts.push_back(count);
    }
  }
  if (counts.empty()) in.Fail("table", "is empty");
  const auto r = ChiSquareHomogeneity(counts, rows[0].size());
  return Value::MakeObject({{"chi2", r.chi2},
                            {"df", r.df},
                            {"p", r.p},
                            {"log10_p", r.log_p / 2.302585092994046},
                            {"reason", ReasonText(r.reason)}});
}

Value RateRatio(const Input& in) {
  const auto r = PoissonRateRatio(in.Count("x1"), in.Positive("t1"), in.Count("x2"),
                                  in.Positive("t2"), in.Alpha());
  return Value::MakeObject({{"rate_ratio", r.rate_ratio},
                            {"lo", r.interval.lo},
                            {"hi", r.interval.hi},
                            {"p_two_sided", r.p_two_sided},
                            {"alpha", in.Alpha()}});
}

Value NonInferiorityScore(const Input& in) {
  const double margin = in.Number("margin");
  if (!(margin > -1 && margin < 1)) in.Fail("margin", "must be between -1 and 1");
  const auto r = FarringtonManning(in.Rate("treatment"), in.Rate("control"), margin);
  return Value::MakeObject({{"z", Optional(r.z)},
                            {"p_one_sided", r.p_one_sided},
                            {"p1_null", r.null_rates.treatment},
                            {"p2_null", r.null_rates.control}});
}

Value Degenerate(const Input& in) {
  const Proportion t = in.Rate("x1", "n1"), c = in.Rate("x2", "n2");
  const double alpha = in.Alpha();
  const auto r = TwoProportions(t, c, alpha);
  return Value::MakeObject({{"diff", r.diff},
                            {"newcombe_lo", r.newcombe.lo},
                            {"newcombe_hi", r.newcombe.hi},
                            {"fisher_p", FisherExact(t, c).p_two_sided},
                            {"z_pooled", r.z_pooled},
                            {"p_pooled", r.p_pooled},
                            {"alpha", alpha},
                            {"reason", ReasonText(r.reason)}});
}

Value ExactOperatingCharacteristics(const Input& in) {
  const std::int64_t n1 = in.CountAtLeast("n1", 1), n2 = in.CountAtLeast("n2", 1);
  if (n1 > 20000 || n2 > 20000) in.Fail("n1", "and n2 may be at most 20000 for full enumeration");
  const auto r =
      EnumerateTwoProportions(n1, in.Probability("p1"), n2, in.Probability("p2"), in.Alpha());
  return Value::MakeObject({{"reject_pooled_z", r.reject_pooled_z},
                            {"reject_unpooled_z", r.reject_unpooled_z},
                            {"coverage_wald", r.coverage_wald},
                            {"coverage_newcombe", r.coverage_newcombe},
                            {"coverage_agresti_caffo", r.coverage_agresti_caffo},
                            {"alpha", in.Alpha()}});
}

constexpr Method kMethods[] = {
    {"agresti_caffo", "Agresti-Caffo interval of a difference of proportions", AgrestiCaffo},
    {"chi_square_homogeneity", "Pearson chi-square of an r x c table of counts", Homogeneity},
    {"exact_rejection_and_coverage",
     "rejection and coverage of two-proportion methods by full enumeration",
     ExactOperatingCharacteristics},
    {"fisher_exact", "Fisher's exact test of a 2 x 2 table, with mid-p", Fisher},
    {"miettinen_nurminen_score", "Miettinen-Nurminen score interval of a difference of proportions",
     MiettinenNurminen},
    {"newcombe_hybrid_score", "Newcombe's hybrid score interval of a difference of proportions",
     Newcombe},
    {"noninferiority_farrington_manning",
     "score test that a difference of proportions exceeds a margin", NonInferiorityScore},
    {"poisson_rate_ratio_exact", "ratio of two event rates, conditional exact", RateRatio},
    {"risk_ratio_odds_ratio_log_ci", "risk ratio and odds ratio with log-scale intervals",
     RiskRatio},
    {"single_proportion_intervals", "Wilson, Clopper-Pearson and Jeffreys intervals of one rate",
     SingleIntervals},
    {"two_proportion_z", "difference of two proportions: pooled, unpooled and score z, intervals",
     TwoProportionZ},
    {"two_proportions_degenerate", "difference of two proportions where a count may be 0 or n",
     Degenerate},
};

}  // namespace

std::span<const Method> ProportionMethods() { return kMethods; }

}  // namespace fulcrum::stats
