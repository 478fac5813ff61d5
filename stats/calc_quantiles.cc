// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "stats/calc_input.h"
#include "stats/quantiles.h"

namespace fulcrum::stats {
namespace {

// The intervals of the inputs are 95% ones whatever level is asked of the difference.
constexpr double kAlphaOfRanks = 0.05;

void SetDiff(const QuantileDiffResult& r, Value* out) {
  const bool tested = r.reason == Reason::kNone;
  out->Set("diff", r.diff);
  out->Set("se", r.se);
  out->Set("z", tested ? Value(r.z) : Value());
  out->Set("p", tested ? Value(r.p) : Value());
  out->Set("ci_lo", tested ? Value(r.interval.lo) : Value());
  out->Set("ci_hi", tested ? Value(r.interval.hi) : Value());
  out->Set("reason", ReasonText(r.reason));
}

// (n*/n)(n - 1)/n: the interval may have been taken from n* of n rows.
double Correction(const Input& arm) {
  const double n = static_cast<double>(arm.CountAtLeast("n", 2));
  const double n_star = arm.Has("n_star") ? arm.Positive("n_star") : n;
  return n_star / n * (n - 1) / n;
}

Value FromOrderStatistics(const Input& in) {
  in.OpenProbability("nu");
  const auto arm = [&](std::string_view name) {
    const Input a = in.At(name);
    if (!(a.Number("lower") <= a.Number("upper"))) a.Fail("lower", "must not be above upper");
    return Estimate{
        a.Number("q"),
        Correction(a) * QuantileVariance(a.Number("lower"), a.Number("upper"), kAlphaOfRanks)};
  };
  const QuantileDiffResult r = QuantileDiff(arm("treatment"), arm("control"), in.Alpha());
  Value out;
  SetDiff(r, &out);
  if (r.lift.reason != Reason::kDenominatorNearZero) {
    out.Set("lift", r.lift.lift);
    out.Set("se_lift", r.lift.se_delta);
    out.Set("lift_lo", r.lift.delta.lo);
    out.Set("lift_hi", r.lift.delta.hi);
  }
  out.Set("alpha", in.Alpha());
  return out;
}

Value Clustered(const Input& in) {
  double effect[2];
  Estimate arm[2];
  const char* names[] = {"treatment", "control"};
  for (int i = 0; i < 2; ++i) {
    const Input a = in.At(names[i]);
    ClusteredIndicator c;
    c.clusters = static_cast<double>(a.CountAtLeast("n_clusters", 2));
    c.main_sum = a.NonNegative("main_sum");
    c.main_sum_squares = a.NonNegative("main_sum_squares");
    c.denominator_sum = a.Positive("denominator_sum");
    c.denominator_sum_squares = a.Positive("denominator_sum_squares");
    c.cross = a.NonNegative("main_denominator_sum_product");
    if (!(a.Number("quantile_lower") <= a.Number("quantile_upper"))) {
      a.Fail("quantile_lower", "must not be above quantile_upper");
    }
    effect[i] = QuantileDesignEffect(c, a.OpenProbability("nu"));
    arm[i] = {a.Number("quantile_hat"), Correction(a) * QuantileVariance(a.Number("quantile_lower"),
                                                                         a.Number("quantile_upper"),
                                                                         kAlphaOfRanks, effect[i])};
  }
  Value out;
  SetDiff(QuantileDiff(arm[0], arm[1], in.Alpha()), &out);
  out.Set("design_effect_treatment", effect[0]);
  out.Set("design_effect_control", effect[1]);
  out.Set("alpha", in.Alpha());
  return out;
}

Value Types(const Input& in) {
  auto x = in.NumbersAtLeast("x", 1);
  std::sort(x.begin(), x.end());
  Value out;
  for (int type = 1; type <= 9; ++type) {
    out.Set("type" + std::to_string(type), SampleQuantile(x, in.Probability("p"), type));
  }
  return out;
}

Value Ranks(const Input& in) {
  const QuantileRanks r =
      OrderStatisticRanks(in.CountAtLeast("n", 1), in.OpenProbability("nu"), in.Alpha());
  return Value::MakeObject({{"rank_lo", r.lo},
                            {"rank_hi", r.hi},
                            {"exact_coverage", r.exact_coverage},
                            {"alpha", in.Alpha()}});
}

Value Raw(const Input& in) {
  const auto r = QuantileDiffRaw(in.NumbersAtLeast("treatment", 2), in.NumbersAtLeast("control", 2),
                                 in.OpenProbability("nu"), in.Alpha());
  Value out =
      Value::MakeObject({{"q_control", r.quantile_control}, {"q_treatment", r.quantile_treatment}});
  SetDiff(r.result, &out);
  out.Set("alpha", in.Alpha());
  return out;
}

constexpr Method kMethods[] = {
    {"quantile_diff_clustered", "difference of quantiles with rows clustered inside units",
     Clustered},
    {"quantile_diff_from_order_statistics", "difference of quantiles from their intervals",
     FromOrderStatistics},
    {"quantile_diff_outer_ci", "difference of quantiles, raw values", Raw},
    {"quantile_order_statistic_ci", "ranks of a distribution-free quantile interval", Ranks},
    {"sample_quantile_types", "sample quantile by Hyndman and Fan's nine definitions", Types},
};

}  // namespace

std::span<const Method> QuantileMethods() { return kMethods; }

}  // namespace fulcrum::stats
