// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "stats/always_valid.h"
#include "stats/calc_input.h"
#include "stats/distributions.h"
#include "stats/power.h"
#include "stats/ratio.h"

namespace fulcrum::stats {
namespace {

int Sides(const Input& in) {
  const std::int64_t sides = in.Has("sides") ? in.Count("sides") : 2;
  if (sides != 1 && sides != 2) in.Fail("sides", "must be 1 or 2");
  return static_cast<int>(sides);
}

// A wanted power below the level is no plan.
double WantedPower(const Input& in, double alpha) {
  const double power = in.OpenProbability("power");
  if (!(power > alpha)) in.Fail("power", "must be larger than alpha");
  return power;
}

struct Rates {
  double control;
  double treatment;
};

Rates ReadRates(const Input& in) {
  const Rates r{in.OpenProbability("p_control"), in.OpenProbability("p_treatment")};
  if (r.control == r.treatment) in.Fail("p_treatment", "must differ from p_control");
  return r;
}

double NonZero(const Input& in, std::string_view name) {
  const double x = in.Number(name);
  if (x == 0) in.Fail(name, "must not be 0");
  return x;
}

Value SizeProportions(const Input& in) {
  const Rates p = ReadRates(in);
  const double alpha = in.Alpha();
  const auto r =
      SampleSizeProportions(p.control, p.treatment, WantedPower(in, alpha), alpha, Sides(in));
  return Value::MakeObject({{"n_per_group_pooled", r.pooled},
                            {"n_per_group_unpooled", r.unpooled},
                            {"cohen_h", r.cohen_h},
                            {"n_per_group_arcsine", r.arcsine},
                            {"alpha", alpha}});
}

Value PowerOfProportions(const Input& in) {
  const double power = PowerProportions(in.Probability("p_control"), in.Probability("p_treatment"),
                                        in.Positive("n_per_group"), in.Alpha(), Sides(in));
  return Value::MakeObject({{"power", power}, {"alpha", in.Alpha()}});
}

Value SizeMeans(const Input& in) {
  const double alpha = in.Alpha();
  const auto r = SampleSizeMeans(NonZero(in, "delta"), in.Positive("sd"), WantedPower(in, alpha),
                                 alpha, Sides(in));
  return Value::MakeObject({{"n_z", r.z}, {"n_t", r.t}, {"alpha", alpha}});
}

Value PowerOfMeans(const Input& in) {
  const double n = in.Number("n_per_group"), delta = in.Number("delta"), sd = in.Positive("sd");
  if (!(n >= 2)) in.Fail("n_per_group", "must be at least 2");
  return Value::MakeObject({{"power", PowerMeansT(n, delta, sd, in.Alpha(), false)},
                            {"power_strict", PowerMeansT(n, delta, sd, in.Alpha(), true)},
                            {"alpha", in.Alpha()}});
}

Value PowerAndMde(const Input& in) {
  const auto arm = [&](std::string_view name) {
    const Input a = in.At(name);
    return a.NonNegative("var") / a.Positive("n");
  };
  const double alpha = in.Alpha(), se = std::sqrt(arm("control") + arm("treatment"));
  if (!(se > 0)) in.Fail("control.var", "and treatment.var are both 0");
  return Value::MakeObject({{"power", PowerZ(in.Number("delta"), se, alpha)},
                            {"mde_80", MinimumDetectableEffect(se, 0.8, alpha)},
                            {"mde_80_simple", (CriticalZ(alpha) + NormalQuantile(0.8)) * se},
                            {"alpha", alpha}});
}

Value SizeUnequal(const Input& in) {
  const Rates p = ReadRates(in);
  const double alpha = in.Alpha();
  const auto r = SampleSizeUnequal(p.control * (1 - p.control), p.treatment * (1 - p.treatment),
                                   p.treatment - p.control, in.Positive("ratio_treat_over_control"),
                                   WantedPower(in, alpha), alpha);
  return Value::MakeObject({{"n_control", r.control},
                            {"n_treatment", r.treatment},
                            {"total", r.control + r.treatment},
                            {"alpha", alpha}});
}

Value RelativePowerAndMde(const Input& in) {
  const double alpha = in.Alpha(), mean = NonZero(in, "mean"), variance = in.Positive("variance");
  const double arms = static_cast<double>(in.CountAtLeast("variations", 2));
  const double n = in.Positive("n_total") / arms, effect = in.Number("relative_effect");
  const double power = in.Has("power") ? WantedPower(in, alpha) : 0.8, fixed = CriticalZ(alpha);
  Value out =
      Value::MakeObject({{"power", PowerRelative(mean, variance, n, effect, fixed)},
                         {"mde", MinimumDetectableRelativeEffect(mean, variance, n, power, fixed)},
                         {"alpha", alpha}});
  if (in.Has("sequential_tuning")) {
    const double rho = AsympCsRho(in.Positive("sequential_tuning"), alpha);
    // The planning convention of the cited calculator: the standard error is widened by the ratio
    // of the sequential to the fixed multiplier, and the fixed test applied.
    const double wide = std::pow(AsympCsMultiplier(2 * n, rho, alpha) / fixed, 2) * variance;
    out.Set("power_sequential", PowerRelative(mean, wide, n, effect, fixed));
    out.Set("mde_sequential", MinimumDetectableRelativeEffect(mean, wide, n, power, fixed));
  }
  return out;
}

Value RelativePower(const Input& in) {
  const double power =
      PowerRelative(NonZero(in, "mean"), in.Positive("variance"), in.Positive("n_per_variation"),
                    in.Number("relative_effect"), CriticalZ(in.Alpha()));
  return Value::MakeObject({{"power", power}, {"alpha", in.Alpha()}});
}

Value SizeCuped(const Input& in) {
  const double alpha = in.Alpha(), rho = in.Number("rho");
  if (!(rho > -1 && rho < 1)) in.Fail("rho", "must be between -1 and 1");
  const double plain = SampleSizeMeans(NonZero(in, "delta"), in.Positive("sd"),
                                       WantedPower(in, alpha), alpha, Sides(in))
                           .z;
  return Value::MakeObject({{"n_per_group_unadjusted", plain},
                            {"n_per_group_cuped", plain * (1 - rho * rho)},
                            {"variance_reduction", rho * rho},
                            {"alpha", alpha}});
}

Value SizeRatio(const Input& in) {
  RatioMoments m;
  m.mean_num = NonZero(in, "mean_num");
  m.mean_den = NonZero(in, "mean_den");
  m.var_num = in.NonNegative("var_num");
  m.var_den = in.NonNegative("var_den");
  m.cov = in.Number("cov");
  if (m.cov * m.cov > m.var_num * m.var_den * (1 + 1e-9)) {
    in.Fail("cov", "gives a correlation beyond 1, which cannot be");
  }
  const double alpha = in.Alpha(), unit = m.UnitVariance();
  const double delta = NonZero(in, "relative_lift") * m.Ratio();
  const double z = CriticalZ(alpha) - NormalUpperQuantile(WantedPower(in, alpha));
  return Value::MakeObject({{"unit_variance", unit},
                            {"n_per_group", 2 * unit * z * z / (delta * delta)},
                            {"alpha", alpha}});
}

Value SizeNonInferiority(const Input& in) {
  const double alpha = in.OpenProbability("alpha_one_sided"), sd = in.Positive("sd");
  const double room = in.Number("margin") - in.NumberOr("true_diff", 0);
  if (room == 0) in.Fail("margin", "must differ from true_diff");
  const double z = NormalUpperQuantile(alpha) - NormalUpperQuantile(WantedPower(in, alpha));
  return Value::MakeObject({{"n_per_group", 2 * std::pow(sd * z / room, 2)}});
}

Value TostPower(const Input& in) {
  return Value::MakeObject(
      {{"power", PowerTost(in.Positive("sd"), in.Positive("margin"), in.NumberOr("true_diff", 0),
                           in.Positive("n_per_group"), in.Alpha())},
       {"alpha", in.Alpha()}});
}

Value Design(const Input& in) {
  const double m = in.Positive("mean_cluster_size"), icc = in.Number("icc");
  if (!(icc >= -1 && icc <= 1)) in.Fail("icc", "must be between -1 and 1");
  const double cv = in.Has("cv_cluster_size") ? in.NonNegative("cv_cluster_size") : 0;
  const double equal = DesignEffect(m, icc, 0), unequal = DesignEffect(m, icc, cv);
  const double n = in.Positive("n_iid");
  return Value::MakeObject({{"deff_equal", equal},
                            {"deff_unequal", unequal},
                            {"n_inflated_equal", n * equal},
                            {"n_inflated_unequal", n * unequal}});
}

Value TypeErrors(const Input& in) {
  const TypeSM r = TypeSTypeM(NonZero(in, "true_effect"), in.Positive("se"), in.Alpha());
  return Value::MakeObject({{"power", r.power},
                            {"type_s", r.type_s},
                            {"exaggeration", r.exaggeration},
                            {"alpha", in.Alpha()}});
}

Value AdditionalSample(const Input& in) {
  const Moments t = in.Summary("treatment"), c = in.Summary("control");
  if (c.mean == 0) in.Fail("control", "has mean 0: no relative effect");
  const double alpha = in.Alpha();
  const double factor =
      AdditionalSampleFactor(t, c, NonZero(in, "target_mde"), WantedPower(in, alpha), alpha);
  return Value::MakeObject({{"scaling_factor", factor},
                            {"additional_users", factor * static_cast<double>(t.n + c.n)},
                            {"alpha", alpha}});
}

constexpr Method kMethods[] = {
    {"additional_sample_scaling_factor", "how much more data a running experiment needs",
     AdditionalSample},
    {"design_effect", "variance inflation by clusters", Design},
    {"power_and_mde_z", "power and minimum detectable effect of a z test", PowerAndMde},
    {"power_tost_normal", "power of an equivalence test", TostPower},
    {"power_two_means_t", "power of the t test, noncentral t", PowerOfMeans},
    {"power_two_proportions", "power of the pooled z test", PowerOfProportions},
    {"relative_power_and_mde", "power and detectable relative effect, fixed and sequential",
     RelativePowerAndMde},
    {"relative_power_delta", "power for a relative effect, delta method", RelativePower},
    {"sample_size_cuped", "units per group with a covariate of correlation rho", SizeCuped},
    {"sample_size_noninferiority_mean", "units per group to show non-inferiority",
     SizeNonInferiority},
    {"sample_size_ratio_metric", "units per group for a ratio metric", SizeRatio},
    {"sample_size_two_means", "units per group for a difference of means", SizeMeans},
    {"sample_size_two_proportions", "units per group for two proportions", SizeProportions},
    {"sample_size_unequal_allocation", "units of each group at an unequal split", SizeUnequal},
    {"type_s_type_m", "sign and exaggeration errors of significant results", TypeErrors},
};

}  // namespace

std::span<const Method> PowerMethods() { return kMethods; }

}  // namespace fulcrum::stats
