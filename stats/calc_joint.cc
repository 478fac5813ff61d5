// SPDX-License-Identifier: Apache-2.0
// Answers from one Gram per arm in the calculator: joint intervals, funnels, coupons, novelty,
// phases, and bands for looking.
#include <cmath>

#include "stats/calc_input.h"
#include "stats/coupon.h"
#include "stats/joint.h"
#include "stats/lin.h"
#include "stats/novelty.h"
#include "stats/srm.h"

namespace fulcrum::stats {
namespace {

Value Pair(Interval i) { return Value(Value::Array{Value(i.lo), Value(i.hi)}); }

Value Pairs(const std::vector<Interval>& intervals) {
  Value::Array all;
  for (const Interval& i : intervals) all.push_back(Pair(i));
  return all;
}

Value Matrix(const std::vector<double>& packed, std::size_t k) {
  Value::Array rows;
  for (std::size_t i = 0; i < k; ++i) {
    rows.emplace_back(std::vector<double>(packed.begin() + static_cast<std::ptrdiff_t>(i * k),
                                          packed.begin() + static_cast<std::ptrdiff_t>(i * k + k)));
  }
  return rows;
}

Value Joint(const Input& in) {
  const GramArms arms = ReadArms(in);
  const auto columns = Columns(in, "columns", arms.treatment.width());
  if (columns.size() > 200) in.Fail("columns", "must be at most 200");
  const JointEffects r = CompareJointly(arms.treatment, arms.control, columns, in.Alpha());
  return Value::MakeObject({{"diff", r.diff},
                            {"covariance", Matrix(r.covariance, columns.size())},
                            {"critical_value", r.critical_value},
                            {"ci", Pairs(r.interval)},
                            {"p_adjusted", r.p_adjusted},
                            {"alpha", in.Alpha()},
                            {"reason", ReasonText(r.reason)}});
}

Value Funnel(const Input& in) {
  const GramArms arms = ReadArms(in);
  const auto stages = Columns(in, "stages", arms.treatment.width());
  if (stages.size() > 50) in.Fail("stages", "must be at most 50");
  const FunnelDecomposition r = DecomposeFunnel(arms.treatment, arms.control, stages, in.Alpha());
  if (r.reason != Reason::kNone) in.Fail("stages", "hold a stage that nobody reached in an arm");
  const auto step = [](const FunnelStep& s) {
    return Value::MakeObject(
        {{"log_lift", s.log_lift}, {"se", s.se}, {"lo", s.interval.lo}, {"hi", s.interval.hi}});
  };
  Value::Array steps;
  for (const FunnelStep& s : r.steps) steps.push_back(step(s));
  return Value::MakeObject({{"steps", steps},
                            {"total", step(r.total)},
                            {"critical_value", r.critical_value},
                            {"alpha", in.Alpha()}});
}

Value RatioValue(const EffectRatio& r) {
  const bool bounded = r.set.shape == FiellerSet::Shape::kBounded;
  const char* shape = bounded                                         ? "bounded"
                      : r.set.shape == FiellerSet::Shape::kComplement ? "outside"
                                                                      : "everything";
  const bool ends = r.set.shape != FiellerSet::Shape::kWholeLine;
  return Value::MakeObject({{"numerator", r.numerator.value},
                            {"denominator", r.denominator.value},
                            {"ratio", r.denominator.value != 0 ? Value(r.ratio) : Value()},
                            {"fieller_shape", shape},
                            {"fieller_bounded", bounded},
                            {"fieller_lo", ends ? Value(r.set.lo) : Value()},
                            {"fieller_hi", ends ? Value(r.set.hi) : Value()},
                            {"fieller_g", r.set.g},
                            {"reason", ReasonText(r.reason)}});
}

Value EffectsRatio(const Input& in) {
  const GramArms arms = ReadArms(in);
  const std::size_t width = arms.treatment.width();
  Value out =
      RatioValue(RatioOfEffects(arms.treatment, arms.control, Column(in, "numerator", width, 0),
                                Column(in, "denominator", width, 1), in.Alpha()));
  out.Set("alpha", in.Alpha());
  return out;
}

Value EffectValue(const WelchResult& w) {
  const auto tested = [&](double x) { return w.reason == Reason::kNone ? Value(x) : Value(); };
  return Value::MakeObject({{"diff", w.diff},
                            {"se", w.se},
                            {"p", tested(w.p)},
                            {"ci_lo", tested(w.interval.lo)},
                            {"ci_hi", tested(w.interval.hi)}});
}

Value BoundsValue(const ShareBounds& b) {
  return Value::MakeObject(
      {{"low", b.low}, {"high", b.high}, {"ci_lo", b.interval.lo}, {"ci_hi", b.interval.hi}});
}

Value Coupon(const Input& in) {
  const GramArms arms = ReadArms(in);
  const std::size_t width = arms.treatment.width();
  CouponColumns columns;
  columns.orders = Column(in, "orders_column", width, 0);
  columns.buyer = Column(in, "buyer_column", width, columns.orders);
  columns.profit = Column(in, "profit_column", width, 1);
  columns.cost = Column(in, "cost_column", width, 2);
  columns.redeemed = Column(in, "redeemed_column", width, 3);
  const CouponEconomics e = AnalyseCoupon(arms.treatment, arms.control, columns, in.Alpha());
  const SubsidyShare& s = e.to_always_buyers;
  const bool known = s.reason == Reason::kNone;
  const auto bounds = [&](const ShareBounds& b) { return known ? BoundsValue(b) : Value(); };
  return Value::MakeObject(
      {{"profit_per_unit", EffectValue(e.profit_per_unit)},
       {"orders_per_unit", EffectValue(e.orders_per_unit)},
       {"cost_per_unit", EffectValue(e.cost_per_unit)},
       {"return_on_cost", RatioValue(e.return_on_cost)},
       {"cost_per_incremental_order", RatioValue(e.cost_per_order)},
       {"to_always_buyers",
        Value::MakeObject({{"no_assumption", bounds(s.no_assumption)},
                           {"monotone", bounds(s.monotone)},
                           {"through_use", known ? Value(s.through_use) : Value()},
                           {"through_use_ci", known ? Pair(s.through_use_interval) : Value()},
                           {"money", bounds(s.money)},
                           {"reason", ReasonText(s.reason)}})},
       {"alpha", in.Alpha()}});
}

Value TrendValue(const EffectTrend& t) {
  const auto tested = [&](double x) { return t.reason == Reason::kNone ? Value(x) : Value(); };
  return Value::MakeObject({{"slope", tested(t.slope)},
                            {"slope_se", tested(t.slope_se)},
                            {"z", tested(t.z)},
                            {"p", tested(t.p)},
                            {"slope_lo", tested(t.slope_interval.lo)},
                            {"slope_hi", tested(t.slope_interval.hi)},
                            {"intercept", tested(t.intercept)},
                            {"reason", ReasonText(t.reason)}});
}

// Ascending `days`, one per column; 0, 1, 2, ... where absent.
std::vector<double> Days(const Input& in, std::size_t count) {
  if (!in.Has("days")) {
    std::vector<double> days;
    for (std::size_t d = 0; d < count; ++d) days.push_back(static_cast<double>(d));
    return days;
  }
  auto days = in.Numbers("days");
  if (days.size() != count) in.Fail("days", "must name every column");
  for (std::size_t i = 0; i < days.size(); ++i) {
    if (!(days[i] >= 0) || (i > 0 && !(days[i] > days[i - 1]))) {
      in.Fail("days", "must be 0 or more and rise");
    }
  }
  return days;
}

Value Novelty(const Input& in) {
  const GramArms arms = ReadArms(in);
  const auto columns = Columns(in, "columns", arms.treatment.width());
  if (columns.size() < 2 || columns.size() > 400) in.Fail("columns", "must be 2 to 400 days");
  const NoveltyResult r =
      AnalyseNovelty(arms.treatment, arms.control, columns, Days(in, columns.size()), in.Alpha());
  constexpr const char* kVerdicts[] = {"no_trend", "fading", "growing", "reversing"};
  return Value::MakeObject({{"effect", r.effect},
                            {"ci", Pairs(r.interval)},
                            {"critical_value", r.critical_value},
                            {"per_day", TrendValue(r.per_day)},
                            {"per_log_day", TrendValue(r.per_log_day)},
                            {"chi2_equal", r.chi2_equal},
                            {"df_equal", r.df_equal},
                            {"p_equal", r.p_equal},
                            {"late_minus_early", r.late_minus_early},
                            {"late_minus_early_se", r.late_minus_early_se},
                            {"late_minus_early_p", r.late_minus_early_p},
                            {"verdict", kVerdicts[static_cast<int>(r.verdict)]},
                            {"alpha", in.Alpha()}});
}

Value NoveltyCohorts(const Input& in) {
  std::vector<NoveltyCohort> cohorts;
  for (const Input& item : in.Items("cohorts")) {
    GramArms arms = ReadArms(item);
    const auto columns = Columns(item, "columns", arms.treatment.width());
    if (columns.size() > 400) item.Fail("columns", "must be at most 400 days");
    cohorts.push_back(
        {std::move(arms.treatment), std::move(arms.control), columns, Days(item, columns.size())});
  }
  if (cohorts.empty()) in.Fail("cohorts", "is empty");
  const CohortTrend r = AnalyseNoveltyByCohort(cohorts, in.Alpha());
  Value::Array each;
  for (const EffectTrend& t : r.cohorts) each.push_back(TrendValue(t));
  return Value::MakeObject({{"per_day", TrendValue(r.per_day)},
                            {"cohorts", each},
                            {"Q_slopes", r.q_slopes},
                            {"df_slopes", r.df_slopes},
                            {"p_slopes", r.p_slopes},
                            {"alpha", in.Alpha()}});
}

Value Hybrid(const Input& in) {
  const double look = in.Has("alpha_look") ? in.OpenProbability("alpha_look") : 0.01;
  const double last = in.Has("alpha_final") ? in.OpenProbability("alpha_final") : 0.04;
  if (!(look + last < 1)) in.Fail("alpha_look", "and alpha_final must add up to less than 1");
  const HybridBands b = HybridIntervals(in.Number("estimate"), in.Positive("se"), in.Positive("n"),
                                        in.Positive("n_planned"), look, last);
  return Value::MakeObject({{"look_lo", b.look.lo},
                            {"look_hi", b.look.hi},
                            {"final_lo", b.final.lo},
                            {"final_hi", b.final.hi},
                            {"alpha_look", look},
                            {"alpha_final", last},
                            {"alpha", look + last}});
}

Value PhasesMismatch(const Input& in) {
  std::vector<double> observed, expected;
  for (const Input& phase : in.Items("phases")) {
    const auto n = phase.NumbersAtLeast("observed", 2), weights = phase.Numbers("weights");
    if (weights.size() != n.size()) phase.Fail("weights", "must be as long as observed");
    if (!observed.empty() && n.size() != observed.size()) {
      phase.Fail("observed", "must have the arms of the first phase");
    }
    observed.resize(n.size());
    expected.resize(n.size());
    double units = 0, total = 0;
    for (std::size_t i = 0; i < n.size(); ++i) {
      if (!(n[i] >= 0)) phase.Fail("observed", "must not be negative");
      if (!(weights[i] >= 0)) phase.Fail("weights", "must not be negative");
      units += n[i];
      total += weights[i];
    }
    if (!(total > 0) || !std::isfinite(total)) phase.Fail("weights", "must have a positive sum");
    for (std::size_t i = 0; i < n.size(); ++i) {
      observed[i] += n[i];
      expected[i] += units * (weights[i] / total);
    }
  }
  if (observed.empty()) in.Fail("phases", "is empty");
  const SrmResult r = SrmAgainstExpected(observed, expected);
  const bool tested = r.reason == Reason::kNone;
  return Value::MakeObject({{"observed", observed},
                            {"expected", expected},
                            {"chi2", tested ? Value(r.chi2) : Value()},
                            {"df", r.df},
                            {"p", tested ? Value(r.p) : Value()},
                            {"log10_p", tested ? Value(r.log10_p) : Value()},
                            {"unexpected_units", r.unexpected_units},
                            {"reason", ReasonText(r.reason)}});
}

Value LinGram(const Input& in) {
  const GramArms arms = ReadArms(in, 3);
  std::vector<std::size_t> covariates;
  for (std::size_t i = 1; i < arms.treatment.width(); ++i) covariates.push_back(i);
  const LinGramResult r = LinFromGram(arms.treatment, arms.control, 0, covariates, in.Alpha());
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  return Value::MakeObject({{"ate", tested(r.ate)},
                            {"se", tested(r.se)},
                            {"df", tested(r.df)},
                            {"t", tested(r.t)},
                            {"p", tested(r.p)},
                            {"ci_lo", tested(r.interval.lo)},
                            {"ci_hi", tested(r.interval.hi)},
                            {"alpha", in.Alpha()},
                            {"reason", ReasonText(r.reason)}});
}

constexpr Method kMethods[] = {
    {"coupon_economics", "profit, return on cost, cost per order won, who would have bought anyway",
     Coupon},
    {"funnel_decomposition", "a funnel's total log-lift as a sum of its steps", Funnel},
    {"hybrid_bands", "a band for looking and an interval for the planned end", Hybrid},
    {"joint_effects", "several metrics together: covariance, simultaneous intervals", Joint},
    {"lin_from_gram", "regression adjustment from one Gram per arm", LinGram},
    {"novelty_by_cohort", "trend by day since exposure inside cohorts of different age",
     NoveltyCohorts},
    {"novelty_trend", "effect by day since exposure, days of a unit correlated", Novelty},
    {"ratio_of_effects", "one effect over another with Fieller's set", EffectsRatio},
    {"srm_phases", "sample-ratio mismatch over phases of different weights", PhasesMismatch},
};

}  // namespace

std::span<const Method> JointMethods() { return kMethods; }

}  // namespace fulcrum::stats
