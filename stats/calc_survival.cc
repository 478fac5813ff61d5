// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "stats/calc_input.h"
#include "stats/distributions.h"
#include "stats/survival.h"

namespace fulcrum::stats {
namespace {

std::vector<RiskRow> Group(const Input& in) {
  const auto time = in.NumbersAtLeast("time", 1), event = in.Numbers("event");
  if (event.size() != time.size()) in.Fail("event", "must be as long as time");
  for (std::size_t i = 0; i < time.size(); ++i) {
    if (!(time[i] >= 0)) in.Fail("time", "must not be negative");
    if (event[i] != 0 && event[i] != 1) in.Fail("event", "must be 1 (seen) or 0 (censored)");
  }
  return RiskTable(time, event);
}

Value Curve(const Input& in) {
  const SurvivalCurve curve = KaplanMeier(Group(in), in.Alpha());
  std::vector<double> time, n_risk, n_event, surv, se;
  Value::Array lo, hi;
  for (const SurvivalPoint& p : curve.points) {
    time.push_back(p.time);
    n_risk.push_back(p.at_risk);
    n_event.push_back(p.events);
    surv.push_back(p.survival);
    se.push_back(p.se);
    lo.push_back(p.interval ? Value(p.interval->lo) : Value());
    hi.push_back(p.interval ? Value(p.interval->hi) : Value());
  }
  return Value::MakeObject({{"time", time},
                            {"n_risk", n_risk},
                            {"n_event", n_event},
                            {"surv", surv},
                            {"se_greenwood", se},
                            {"loglog_lo", lo},
                            {"loglog_hi", hi},
                            {"median", Optional(curve.median)},
                            {"alpha", in.Alpha()}});
}

Value LogRankValue(const LogRankResult& r) {
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  return Value::MakeObject({{"observed_1", r.observed_1},
                            {"expected_1", r.expected_1},
                            {"variance", r.variance},
                            {"chi2", tested(r.chi2)},
                            {"z", tested(r.z)},
                            {"p", tested(r.p)},
                            {"reason", ReasonText(r.reason)}});
}

Value LogRankTest(const Input& in) {
  return LogRankValue(LogRank(Group(in.At("group1")), Group(in.At("group2"))));
}

Value FlemingHarrington(const Input& in) {
  const double rho = in.Has("rho") ? in.NonNegative("rho") : 1.0;
  return LogRankValue(LogRank(Group(in.At("group1")), Group(in.At("group2")), rho));
}

Value LogRankTable(const Input& in) {
  std::vector<RiskRow> one, two;
  for (const Input& row : in.Items("table")) {
    const double t = row.Number("t");
    const auto read = [&](const char* n, const char* d, const char* c) {
      const RiskRow r{t, static_cast<double>(row.Count(n)), static_cast<double>(row.Count(d)),
                      row.Has(c) ? static_cast<double>(row.Count(c)) : 0.0};
      if (r.events + r.censored > r.at_risk) row.Fail(d, "and censored exceed the units at risk");
      return r;
    };
    if (!one.empty() && !(t > one.back().time)) row.Fail("t", "must rise from row to row");
    one.push_back(read("n1", "d1", "c1"));
    two.push_back(read("n2", "d2", "c2"));
  }
  if (one.empty()) in.Fail("table", "is empty");
  Value out = LogRankValue(LogRank(one, two));
  const auto end = [](const std::vector<RiskRow>& table) {
    const auto curve = KaplanMeier(table, 0.05);
    return curve.points.empty() ? 1.0 : curve.points.back().survival;
  };
  out.Set("surv_1_end", end(one));
  out.Set("surv_2_end", end(two));
  return out;
}

Value RestrictedMeans(const Input& in) {
  const double tau = in.Positive("tau");
  const RestrictedMean a = RestrictedMeanTime(Group(in.At("group1")), tau);
  const RestrictedMean b = RestrictedMeanTime(Group(in.At("group2")), tau);
  const double se = std::hypot(a.se, b.se), diff = a.mean - b.mean;
  const double half = CriticalZ(in.Alpha()) * se;
  return Value::MakeObject({{"rmst_1", a.mean},
                            {"se_1", a.se},
                            {"rmst_2", b.mean},
                            {"se_2", b.se},
                            {"diff", diff},
                            {"se_diff", se},
                            {"z", se > 0 ? Value(diff / se) : Value()},
                            {"p", se > 0 ? Value(TwoSidedNormalP(diff / se)) : Value()},
                            {"ci_lo", diff - half},
                            {"ci_hi", diff + half},
                            {"alpha", in.Alpha()}});
}

Value Cox(const Input& in) {
  const auto one = Group(in.At("treatment")), zero = Group(in.At("control"));
  const CoxResult efron = CoxTwoGroups(one, zero, true), breslow = CoxTwoGroups(one, zero, false);
  const auto fitted = [](const CoxResult& r, double x) {
    return r.reason == Reason::kNone ? Value(x) : Value();
  };
  return Value::MakeObject({{"efron_log_hr", fitted(efron, efron.log_hazard_ratio)},
                            {"efron_se", fitted(efron, efron.se)},
                            {"breslow_log_hr", fitted(breslow, breslow.log_hazard_ratio)},
                            {"breslow_se", fitted(breslow, breslow.se)},
                            {"lrt_efron", fitted(efron, efron.likelihood_ratio)},
                            {"lrt_breslow", fitted(breslow, breslow.likelihood_ratio)},
                            {"reason", ReasonText(efron.reason)}});
}

constexpr Method kMethods[] = {
    {"cox_ph_binary", "Cox hazard ratio of two groups, Efron and Breslow ties", Cox},
    {"fleming_harrington_rho1", "Harrington-Fleming weighted log-rank test", FlemingHarrington},
    {"kaplan_meier", "Kaplan-Meier curve with Greenwood errors", Curve},
    {"log_rank", "log-rank test of two groups", LogRankTest},
    {"log_rank_from_risk_table", "log-rank test from daily counts", LogRankTable},
    {"restricted_mean_survival_time", "difference of mean event-free time up to tau",
     RestrictedMeans},
};

}  // namespace

std::span<const Method> SurvivalMethods() { return kMethods; }

}  // namespace fulcrum::stats
