// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "stats/calc_input.h"
#include "stats/ratio.h"
#include "stats/srm.h"

namespace fulcrum::stats {
namespace {

RatioMoments Arm(const Input& in, std::string_view name) {
  const Input arm = in.At(name);
  if (arm.Has("num")) {
    const auto num = arm.NumbersAtLeast("num", 2), den = arm.Numbers("den");
    if (num.size() != den.size()) arm.Fail("den", "must have as many values as num");
    return RatioMoments::Of(num, den);
  }
  const Input suff = arm.Has("suff") ? arm.At("suff") : arm;
  RatioMoments m;
  m.n = suff.CountAtLeast("n", 2);
  const double n = static_cast<double>(m.n);
  const double num = suff.Number("num_sum"), den = suff.Number("den_sum");
  m.mean_num = num / n;
  m.mean_den = den / n;
  m.var_num = std::fma(-m.mean_num, num, suff.NonNegative("num_sq")) / (n - 1);
  m.var_den = std::fma(-m.mean_den, den, suff.NonNegative("den_sq")) / (n - 1);
  m.cov = std::fma(-m.mean_num, den, suff.Number("cross")) / (n - 1);
  if (m.var_num < -1e-12 * suff.Number("num_sq")) {
    suff.Fail("num_sq", "is less than num_sum^2 / n, which cannot be");
  }
  if (m.var_den < -1e-12 * suff.Number("den_sq")) {
    suff.Fail("den_sq", "is less than den_sum^2 / n, which cannot be");
  }
  m.var_num = std::max(0.0, m.var_num);
  m.var_den = std::max(0.0, m.var_den);
  if (m.cov * m.cov > m.var_num * m.var_den * (1 + 1e-9)) {
    suff.Fail("cross", "gives a correlation beyond 1, which cannot be");
  }
  return m;
}

Value Ratio(const Input& in) {
  const double alpha = in.Alpha();
  const RatioResult r = RatioDelta(Arm(in, "treatment"), Arm(in, "control"), alpha);
  if (r.reason == Reason::kDenominatorNearZero) {
    return Value::MakeObject(
        {{"diff", Value()}, {"se", Value()}, {"reason", ReasonText(r.reason)}});
  }
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  const bool lift = r.lift.reason != Reason::kDenominatorNearZero;
  const auto relative = [&](double x) { return lift ? Value(x) : Value(); };
  return Value::MakeObject({{"ratio_control", r.ratio_control},
                            {"ratio_treatment", r.ratio_treatment},
                            {"var_control", r.var_control},
                            {"var_treatment", r.var_treatment},
                            {"diff", r.diff},
                            {"se", r.se},
                            {"z", tested(r.z)},
                            {"p_z", tested(r.p_z)},
                            {"ci_lo", tested(r.interval.lo)},
                            {"ci_hi", tested(r.interval.hi)},
                            {"welch_df", tested(r.welch_df)},
                            {"p_t", tested(r.p_t)},
                            {"lift", relative(r.lift.lift)},
                            {"se_lift", relative(r.lift.se_delta)},
                            {"lift_lo", relative(r.lift.delta.lo)},
                            {"lift_hi", relative(r.lift.delta.hi)},
                            {"alpha", alpha},
                            {"reason", ReasonText(r.reason)}});
}

// The delta method against event-level regression with clustered and with independent errors.
Value RatioCluster(const Input& in) {
  const RatioMoments t = Arm(in, "treatment"), c = Arm(in, "control");
  if (t.mean_den == 0) in.Fail("treatment.den", "has mean 0");
  if (c.mean_den == 0) in.Fail("control.den", "has mean 0");
  // CR0 has population variances: n in place of n - 1.
  const auto cr0 = [](const RatioMoments& m) {
    const double n = static_cast<double>(m.n);
    return m.UnitVariance() * (n - 1) / (n * n);
  };
  // Least squares on events of zero or one as if independent, one residual variance for both arms.
  const auto events = [](const RatioMoments& m) { return static_cast<double>(m.n) * m.mean_den; };
  const double n1 = events(t), n2 = events(c);
  const double residual = n1 * t.Ratio() * (1 - t.Ratio()) + n2 * c.Ratio() * (1 - c.Ratio());
  const double naive = residual / (n1 + n2 - 2) * (1 / n1 + 1 / n2);
  return Value::MakeObject({{"diff", t.Ratio() - c.Ratio()},
                            {"se_cr0", std::sqrt(cr0(t) + cr0(c))},
                            {"se_naive_iid", naive >= 0 ? Value(std::sqrt(naive)) : Value()}});
}

std::vector<double> Counts(const Input& in, std::string_view name) {
  auto counts = in.NumbersAtLeast(name, 2);
  for (const double x : counts) {
    if (!(x >= 0)) in.Fail(name, "must not be negative");
  }
  return counts;
}

Value Srm(const Input& in) {
  const auto observed = Counts(in, "observed"), weights = Counts(in, "weights");
  if (observed.size() != weights.size()) in.Fail("weights", "must have one weight per arm");
  double weight_sum = 0, total = 0;
  for (const double w : weights) weight_sum += w;
  for (const double n : observed) total += n;
  if (!(weight_sum > 0)) in.Fail("weights", "must have a positive sum");
  if (!(total > 0)) in.Fail("observed", "has no unit at all (insufficient data)");
  const SrmResult r = SrmChiSquare(observed, weights);
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  return Value::MakeObject({{"chi2", tested(r.chi2)},
                            {"df", tested(r.df)},
                            {"p", tested(r.p)},
                            {"log10_p", tested(r.log10_p)},
                            {"unexpected_arm_units", r.unexpected_units},
                            {"reason", ReasonText(r.reason)}});
}

Value SrmSequential(const Input& in) {
  const auto null = in.NumbersAtLeast("null", 2), alpha = in.Numbers("dirichlet_alpha");
  if (alpha.size() != null.size()) in.Fail("dirichlet_alpha", "must have one value per arm");
  double sum = 0;
  for (std::size_t i = 0; i < null.size(); ++i) {
    if (!(null[i] > 0)) in.Fail("null", "must be greater than 0 in every arm");
    if (!(alpha[i] > 0)) in.Fail("dirichlet_alpha", "must be greater than 0 in every arm");
    sum += null[i];
  }
  if (std::abs(sum - 1) > 1e-9) in.Fail("null", "must sum to 1");
  SequentialSrm test(null, alpha);
  std::vector<double> log_bf, p;
  for (const Input& item : in.Items("batches")) {
    const auto batch = item.Numbers();
    if (batch.size() != null.size()) item.Fail("", "must have one count per arm");
    for (const double x : batch) {
      if (!(x >= 0)) item.Fail("", "must not be negative");
    }
    test.Add(batch);
    log_bf.push_back(test.log_bayes_factor());
    p.push_back(test.p_value());
  }
  return Value::MakeObject({{"log_bayes_factor", log_bf}, {"p_value", p}});
}

constexpr Method kMethods[] = {
    {"ratio_delta", "difference of two ratio metrics by the delta method", Ratio},
    {"ratio_delta_vs_cluster_robust", "ratio metrics beside cluster-robust and independent errors",
     RatioCluster},
    {"sequential_srm_dirichlet_multinomial",
     "sample-ratio mismatch that may be checked after every batch", SrmSequential},
    {"srm_chi_square", "sample-ratio mismatch, chi-square", Srm},
    {"srm_zero_weight_arm", "sample-ratio mismatch where arms have weight 0", Srm},
};

}  // namespace

std::span<const Method> RatioMethods() { return kMethods; }

}  // namespace fulcrum::stats
