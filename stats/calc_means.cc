// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "stats/calc_input.h"
#include "stats/distributions.h"
#include "stats/lift.h"
#include "stats/means.h"

namespace fulcrum::stats {
namespace {

constexpr double kLn10 = 2.302585092994046;

// Where nothing can be tested, what would be a test is null.
Value Tested(const WelchResult& r, double x) {
  return r.reason == Reason::kNone ? Value(x) : Value();
}

Value WelchValue(const WelchResult& r, double alpha) {
  return Value::MakeObject({{"mean_treatment", r.mean_treatment},
                            {"mean_control", r.mean_control},
                            {"diff", r.diff},
                            {"se", r.se},
                            {"df", Tested(r, r.df)},
                            {"t", Tested(r, r.t)},
                            {"p_two_sided", Tested(r, r.p)},
                            {"log10_p", Tested(r, r.log_p / kLn10)},
                            {"ci_lo", Tested(r, r.interval.lo)},
                            {"ci_hi", Tested(r, r.interval.hi)},
                            {"p_greater", Tested(r, r.p_greater)},
                            {"p_less", Tested(r, r.p_less)},
                            {"alpha", alpha},
                            {"reason", ReasonText(r.reason)}});
}

Value WelchT(const Input& in) {
  const double alpha = in.Alpha();
  return WelchValue(Welch(in.Summary("treatment"), in.Summary("control"), alpha), alpha);
}

Value WelchOneSided(const Input& in) {
  const double alpha = in.Alpha();
  // The one-sided bounds at alpha are the ends of the two-sided interval at 2 alpha.
  if (!(alpha < 0.5)) in.Fail("alpha", "must be less than 0.5 for a one-sided test");
  const WelchResult r = Welch(in.Summary("treatment"), in.Summary("control"), 2 * alpha);
  Value out = WelchValue(r, alpha);
  out.Set("one_sided_lower", Tested(r, r.interval.lo));
  out.Set("one_sided_upper", Tested(r, r.interval.hi));
  return out;
}

Value Paired(const Input& in) {
  const double alpha = in.Alpha();
  const auto x = in.NumbersAtLeast("x", 2), y = in.Numbers("y");
  if (x.size() != y.size()) in.Fail("y", "must have as many values as x");
  const WelchResult r = PairedT(x, y, alpha);
  Value out = WelchValue(r, alpha);
  out.Set("p", Tested(r, r.p));
  return out;
}

Value StudentAndWelch(const Input& in) {
  const double alpha = in.Alpha();
  const auto arm = [&](const char* n, const char* mean, const char* var) {
    return Moments::FromVariance(in.CountAtLeast(n, 2), in.Number(mean), in.NonNegative(var));
  };
  const Moments a = arm("n1", "m1", "var1"), b = arm("n2", "m2", "var2");
  const WelchResult student = Student(a, b, alpha), welch = Welch(a, b, alpha);
  return Value::MakeObject({{"t_pooled", Tested(student, student.t)},
                            {"p_pooled", Tested(student, student.p)},
                            {"df_pooled", Tested(student, student.df)},
                            {"t_welch", Tested(welch, welch.t)},
                            {"p_welch", Tested(welch, welch.p)},
                            {"df_welch", Tested(welch, welch.df)},
                            {"alpha", alpha}});
}

Estimate MeanEstimate(const Moments& m) { return {m.mean, m.VarianceOfMean()}; }

Value Lift(const Input& in) {
  const double alpha = in.Alpha();
  const LiftResult r = RelativeLift(MeanEstimate(in.Summary("treatment")),
                                    MeanEstimate(in.Summary("control")), alpha);
  if (r.reason == Reason::kDenominatorNearZero) in.Fail("control", "has mean 0: no relative lift");
  using Shape = FiellerSet::Shape;
  const Shape shape = r.fieller.shape;
  const bool tested = r.reason == Reason::kNone;
  Value out = Value::MakeObject(
      {{"lift", r.lift},
       {"se_delta", r.se_delta},
       {"delta_lo", r.delta.lo},
       {"delta_hi", r.delta.hi},
       {"z_absolute", tested ? Value(r.z_absolute) : Value()},
       {"p_absolute", tested ? Value(r.p_absolute) : Value()},
       {"z_delta", tested ? Value(r.z_delta) : Value()},
       {"p_delta", tested ? Value(r.p_delta) : Value()},
       {"fieller_g", r.fieller.g},
       {"fieller_bounded", shape == Shape::kBounded},
       {"fieller_lo", shape == Shape::kBounded ? Value(r.fieller.lo) : Value()},
       {"fieller_hi", shape == Shape::kBounded ? Value(r.fieller.hi) : Value()},
       {"fieller_shape", shape == Shape::kBounded      ? "bounded"
                         : shape == Shape::kComplement ? "everything outside an interval"
                                                       : "unbounded: the whole line"},
       {"se_log", Optional(r.se_log)},
       {"log_lo", r.log ? Value(r.log->lo) : Value()},
       {"log_hi", r.log ? Value(r.log->hi) : Value()},
       {"alpha", alpha}});
  if (shape == Shape::kComplement) {
    out.Set("fieller_excluded_lo", r.fieller.lo);
    out.Set("fieller_excluded_hi", r.fieller.hi);
  }
  return out;
}

// Delta method with Welch's degrees of freedom of the absolute difference.
Value LiftWithDf(const Input& in, Estimate t, double n_t, Estimate c, double n_c) {
  const double alpha = in.Alpha();
  if (c.value == 0) in.Fail("control", "has mean 0: no relative lift");
  const double df = SatterthwaiteDf(t.variance, n_t, c.variance, n_c);
  const double lift = (t.value - c.value) / std::abs(c.value);
  const WelchResult r = FromEstimate(lift, std::sqrt(LiftVariance(t, c)), df, alpha);
  return Value::MakeObject({{"lift", lift},
                            {"se_delta", r.se},
                            {"df", Tested(r, df)},
                            {"ci_lo", Tested(r, r.interval.lo)},
                            {"ci_hi", Tested(r, r.interval.hi)},
                            {"p", Tested(r, r.p)},
                            {"alpha", alpha},
                            {"reason", ReasonText(r.reason)}});
}

Value LiftWelchDf(const Input& in) {
  const Moments t = in.Summary("treatment"), c = in.Summary("control");
  return LiftWithDf(in, MeanEstimate(t), static_cast<double>(t.n), MeanEstimate(c),
                    static_cast<double>(c.n));
}

Value LiftProportion(const Input& in) {
  const Proportion t = in.Rate("treatment"), c = in.Rate("control");
  if (t.n < 2) in.Fail("treatment.n", "must be at least 2 (insufficient data)");
  if (c.n < 2) in.Fail("control.n", "must be at least 2 (insufficient data)");
  const auto estimate = [](Proportion p) {
    return Estimate{p.Rate(), p.Rate() * (1 - p.Rate()) / p.Count()};
  };
  return LiftWithDf(in, estimate(t), t.Count(), estimate(c), c.Count());
}

Value RelativeVariance(const Input& in) {
  const Estimate a{in.Number("meanA"), in.NonNegative("varA") / in.Positive("nA")};
  const Estimate b{in.Number("meanB"), in.NonNegative("varB") / in.Positive("nB")};
  if (a.value == 0) in.Fail("meanA", "is 0: no relative variance");
  return Value::MakeObject(
      {{"variance_relative", LiftVariance(b, a)}, {"variance_absolute", a.variance + b.variance}});
}

Value Tost(const Input& in) {
  const double alpha = in.Alpha();
  if (!(alpha < 0.5)) in.Fail("alpha", "must be less than 0.5 for two one-sided tests");
  const double low = in.Number("margin_low"), high = in.Number("margin_high");
  if (!(low < high)) in.Fail("margin_low", "must be less than margin_high");
  const TostResult r = TostWelch(in.Summary("treatment"), in.Summary("control"), low, high, alpha);
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  Value out = Value::MakeObject({{"diff", r.diff},
                                 {"se", r.se},
                                 {"df", tested(r.df)},
                                 {"t_lower", tested(r.t_lower)},
                                 {"t_upper", tested(r.t_upper)},
                                 {"p_lower", tested(r.p_lower)},
                                 {"p_upper", tested(r.p_upper)},
                                 {"p_tost", tested(r.p)},
                                 {"ci_lo", tested(r.interval.lo)},
                                 {"ci_hi", tested(r.interval.hi)},
                                 {"equivalent", r.reason == Reason::kNone && r.p < alpha},
                                 {"alpha", alpha},
                                 {"reason", ReasonText(r.reason)}});
  // The 1 - 2 alpha interval; named for its usual level where that is what it is.
  if (std::abs(alpha - 0.05) < 1e-12) {
    out.Set("ci90_lo", tested(r.interval.lo));
    out.Set("ci90_hi", tested(r.interval.hi));
  }
  return out;
}

NonInferiorityResult NonInferiority(const Input& in) {
  const double margin = in.NonNegative("relative_margin");
  bool increase = true;
  if (in.Has("direction")) {
    const std::string direction = in.Text("direction");
    const auto says = [&](const char* word) { return direction.find(word) != std::string::npos; };
    increase = says("increase") || says("higher");
    if (!increase && !says("decrease") && !says("lower")) {
      in.Fail("direction", "must be 'increase is good' or 'decrease is good'");
    }
  }
  return NonInferiorityRelative(in.Summary("treatment"), in.Summary("control"), margin, increase,
                                in.Alpha());
}

Value NonInferiorityFixed(const Input& in) {
  const NonInferiorityResult r = NonInferiority(in);
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  const bool lower = r.null_difference <= 0;
  return Value::MakeObject({{"diff", r.diff},
                            {"null", r.null_difference},
                            {"z", tested(r.z)},
                            {"p_one_sided", tested(r.p_one_sided)},
                            {lower ? "one_sided_lower" : "one_sided_upper", tested(r.bound)},
                            {"alpha", in.Alpha()},
                            {"reason", ReasonText(r.reason)}});
}

Value NonInferiorityContrast(const Input& in) {
  const NonInferiorityResult r = NonInferiority(in);
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  return Value::MakeObject({{"z", tested(r.contrast_z)},
                            {"p_one_sided", tested(r.contrast_p_one_sided)},
                            {"reason", ReasonText(r.reason)}});
}

// What a report does with two arms of any quality, in words and as a status.
Value Policy(const Input& in) {
  const auto answer = [](std::string_view status, std::string behaviour) {
    return Value::MakeObject({{"status", status}, {"behaviour", behaviour}});
  };
  Moments arms[2];
  const char* names[] = {"treatment", "control"};
  for (int i = 0; i < 2; ++i) {
    try {
      arms[i] = in.Summary(names[i], 0);
    } catch (const BadInput& error) {
      const std::string message = error.what();
      if (message.find("sum_squares: is less") == std::string::npos) throw;
      return answer("invalid_input", "sum_squares < sum^2/n: reject as invalid input (" +
                                         std::string(names[i]) + ")");
    }
  }
  const double alpha = in.Alpha();
  const WelchResult r = Welch(arms[0], arms[1], alpha);
  if (r.reason == Reason::kTooFewUnits) {
    return answer("insufficient_data", "no estimate; status insufficient_data");
  }
  if (r.reason == Reason::kNoVariance) {
    Value out = answer("no_variance", r.diff == 0 ? "diff 0, no p-value or p=1; never significant"
                                                  : "no p-value or p=1; never significant");
    out.Set("diff", r.diff);
    out.Set("p", Value());
    return out;
  }
  Value out = WelchValue(r, alpha);
  out.Set("status", "ok");
  out.Set("behaviour", "estimate with interval and p-value");
  return out;
}

constexpr Method kMethods[] = {
    {"noninferiority_ratio_contrast_z", "non-inferiority by a linear contrast of the two means",
     NonInferiorityContrast},
    {"noninferiority_relative_margin_z", "non-inferiority against a share of the control mean",
     NonInferiorityFixed},
    {"paired_t", "paired t test of x - y", Paired},
    {"policy", "what a report does with these two arms, also where they are unusable", Policy},
    {"relative_lift_delta_log_fieller", "relative lift: delta, log-ratio and Fieller intervals",
     Lift},
    {"relative_lift_delta_proportion", "relative lift of proportions, delta method, Welch df",
     LiftProportion},
    {"relative_lift_delta_welch_df", "relative lift of means, delta method, Welch df", LiftWelchDf},
    {"relative_variance_delta", "variance of a relative and of an absolute difference",
     RelativeVariance},
    {"student_and_welch_from_stats", "Student's and Welch's t from means and variances",
     StudentAndWelch},
    {"tost_raw", "equivalence by two one-sided Welch tests, raw values", Tost},
    {"tost_welch", "equivalence by two one-sided Welch tests, from moments", Tost},
    {"welch_t_from_stats", "Welch's t from means and variances", WelchT},
    {"welch_t_from_sums", "Welch's t from sums and sums of squares", WelchT},
    {"welch_t_one_sided", "Welch's t with one-sided bounds", WelchOneSided},
    {"welch_t_raw", "Welch's t from raw values", WelchT},
};

}  // namespace

std::span<const Method> MeanMethods() { return kMethods; }

}  // namespace fulcrum::stats
