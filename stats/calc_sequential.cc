// SPDX-License-Identifier: Apache-2.0
// Always-valid methods of the calculator; group-sequential designs are in calc_group.cc.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "stats/always_valid.h"
#include "stats/calc_input.h"
#include "stats/distributions.h"
#include "stats/lift.h"
#include "stats/lin.h"

namespace fulcrum::stats {
namespace {

Value Msprt(const Input& in) {
  const double n = static_cast<double>(in.CountAtLeast("n", 1)), delta = in.Number("delta");
  const double theta0 = in.NumberOr("theta0", 0), alpha = in.Alpha();
  const MsprtResult r =
      MixtureSprt(delta - theta0, 2 * in.Positive("sigma2") / n, in.Positive("tau2"), alpha);
  return Value::MakeObject({{"lambda", std::exp(r.log_lambda)},
                            {"log_lambda", r.log_lambda},
                            {"p", r.p},
                            {"ci_lo", r.interval.lo + theta0},
                            {"ci_hi", r.interval.hi + theta0},
                            {"alpha", alpha}});
}

Value MsprtBernoulli(const Input& in) {
  const double n = static_cast<double>(in.CountAtLeast("n_per_arm", 1)), alpha = in.Alpha();
  const double t = in.Rate("x_treat", "n_per_arm").Rate();
  const double c = in.Rate("x_control", "n_per_arm").Rate();
  const double v = t * (1 - t) + c * (1 - c);
  if (!(v > 0)) in.Fail("x_treat", "and x_control leave no variance: nothing to test");
  const MsprtResult r = MixtureSprt(t - c, v / n, in.Positive("tau2"), alpha);
  return Value::MakeObject({{"lambda", std::exp(r.log_lambda)},
                            {"log_lambda", r.log_lambda},
                            {"p", r.p},
                            {"ci_lo", r.interval.lo},
                            {"ci_hi", r.interval.hi},
                            {"v_n", v},
                            {"alpha", alpha}});
}

Value MsprtRunning(const Input& in) {
  RunningMsprt test(in.Positive("tau2"), in.Alpha());
  std::vector<double> p, lo, hi;
  for (const Input& look : in.Items("looks")) {
    test.Look(look.Number("delta"), std::pow(look.Positive("se"), 2));
    p.push_back(test.p());
    lo.push_back(test.interval().lo);
    hi.push_back(test.interval().hi);
  }
  return Value::MakeObject(
      {{"p_running", p}, {"ci_lo_running", lo}, {"ci_hi_running", hi}, {"alpha", in.Alpha()}});
}

// Means with the unbiased variance, proportions with p(1 - p).
Estimate ArmEstimate(const Input& in, std::string_view name, double* n) {
  const Input arm = in.At(name);
  if (arm.Has("x")) {
    const Proportion p = arm.Rate("x", "n");
    *n = p.Count();
    return {p.Rate(), p.Rate() * (1 - p.Rate()) / p.Count()};
  }
  const Moments m = arm.Summary();
  *n = static_cast<double>(m.n);
  return {m.mean, m.VarianceOfMean()};
}

struct Contrast {
  double n = 0;
  double lift = 0;
  double se_lift = 0;
  double diff = 0;
  double se_diff = 0;
};

Contrast ReadContrast(const Input& in) {
  double n_t = 0, n_c = 0;
  const Estimate t = ArmEstimate(in, "treatment", &n_t), c = ArmEstimate(in, "control", &n_c);
  if (c.value == 0) in.Fail("control", "has mean 0: no relative lift");
  if (!(t.variance + c.variance > 0)) in.Fail("treatment", "and control have no variance");
  return {n_t + n_c, (t.value - c.value) / std::abs(c.value), std::sqrt(LiftVariance(t, c)),
          t.value - c.value, std::sqrt(t.variance + c.variance)};
}

Value AsympCs(const Input& in) {
  const double alpha = in.Alpha(), rho = AsympCsRho(in.Positive("tuning"), alpha);
  const Contrast c = ReadContrast(in);
  const std::string difference = in.Has("difference") ? in.Text("difference") : "relative";
  if (difference != "relative" && difference != "absolute") {
    in.Fail("difference", "must be 'relative' or 'absolute'");
  }
  const bool relative = difference == "relative";
  const double estimate = relative ? c.lift : c.diff, se = relative ? c.se_lift : c.se_diff;
  const double m = AsympCsMultiplier(c.n, rho, alpha);
  return Value::MakeObject({{"rho", rho},
                            {relative ? "lift" : "diff", estimate},
                            {"se", se},
                            {"ci_lo", estimate - m * se},
                            {"ci_hi", estimate + m * se},
                            {"p", AsympCsP(estimate / se, c.n, rho)},
                            {"ratio_to_fixed_width", m / CriticalZ(alpha)},
                            {"alpha", alpha}});
}

Value AsympCsOneSided(const Input& in) {
  const double alpha = in.Alpha();
  if (!(alpha < 0.5)) in.Fail("alpha", "must be less than 0.5 for a one-sided bound");
  const double rho = AsympCsRho(in.Positive("tuning"), 2 * alpha);
  const Contrast c = ReadContrast(in);
  const double m = AsympCsMultiplierOneSided(c.n, rho, alpha);
  return Value::MakeObject({{"rho", rho},
                            {"relative_lower", c.lift - m * c.se_lift},
                            {"relative_upper", c.lift + m * c.se_lift},
                            {"absolute_lower", c.diff - m * c.se_diff},
                            {"absolute_upper", c.diff + m * c.se_diff},
                            {"alpha", alpha}});
}

Value UnitMargin(const Input& in) {
  const double alpha = in.Alpha(), t = in.Positive("t"), t_opt = in.Positive("t_opt");
  const double sigma = in.Has("sigma") ? in.Positive("sigma") : 1.0;
  if (!(t >= 2)) in.Fail("t", "must be at least 2");
  const double exact = AsympCsRho2Exact(t_opt, alpha), approx = AsympCsRho(t_opt, alpha);
  const double scale = sigma / std::sqrt(t);
  return Value::MakeObject({{"rho2_exact", exact},
                            {"margin_exact", scale * AsympCsMultiplier(t, std::sqrt(exact), alpha)},
                            {"rho2_approx", approx * approx},
                            {"margin_approx", scale * AsympCsMultiplier(t, approx, alpha)},
                            {"margin_lil", sigma * LilMargin(t, alpha)},
                            {"alpha", alpha}});
}

Value RawSequence(const Input& in) {
  const double alpha = in.Alpha(), rho = std::sqrt(AsympCsRho2Exact(in.Positive("t_opt"), alpha));
  const auto x = in.NumbersAtLeast("x", 2), times = in.Numbers("times");
  std::vector<Moments> prefix;
  Moments m;
  for (const double value : x) {
    m.Add(value);
    prefix.push_back(m);
  }
  std::vector<double> lower, upper;
  for (const double t : times) {
    if (!(t >= 2 && t <= static_cast<double>(x.size()))) {
      in.Fail("times", "must be between 2 and the number of values");
    }
    const Moments& now = prefix[static_cast<std::size_t>(t) - 1];
    const double half = AsympCsMultiplier(t, rho, alpha) * std::sqrt(now.VarianceOfMean());
    lower.push_back(now.mean - half);
    upper.push_back(now.mean + half);
  }
  return Value::MakeObject({{"lower", lower}, {"upper", upper}, {"alpha", alpha}});
}

Value AnytimeT(const Input& in) {
  const double n = static_cast<double>(in.CountAtLeast("n", 2)), alpha = in.Alpha();
  const double k = static_cast<double>(in.CountAtLeast("n_coefficients", 1));
  if (!(n > k)) in.Fail("n", "must be larger than n_coefficients");
  const double g = in.Positive("g"), log_e = AnytimeLogE(in.Number("t"), n, k, g);
  Value out = Value::MakeObject({{"log_e", log_e}, {"p", std::min(1.0, std::exp(-log_e))}});
  char key[64];
  std::snprintf(key, sizeof key, "t_radius_%.12g", alpha);
  out.Set(key, AnytimeTRadius(n, k, g, alpha));
  out.Set("alpha", alpha);
  return out;
}

Value AnytimeRegression(const Input& in) {
  // "y ~ 1 + a + b": sums of columns only.
  std::istringstream words(in.Text("formula"));
  const Input data = in.At("data");
  std::string response, token;
  if (!(words >> response >> token) || token != "~")
    in.Fail("formula", "must read 'y ~ 1 + a + b'");
  const auto y = data.NumbersAtLeast(response, 3);
  std::vector<std::vector<double>> columns;
  bool expect_term = true;
  while (words >> token) {
    if (!expect_term && token != "+") in.Fail("formula", "must read 'y ~ 1 + a + b'");
    if (expect_term) {
      columns.push_back(token == "1" ? std::vector<double>(y.size(), 1.0) : data.Numbers(token));
      if (columns.back().size() != y.size()) data.Fail(token, "must be as long as the response");
    }
    expect_term = !expect_term;
  }
  const std::size_t k = columns.size();
  if (k == 0 || y.size() <= k) in.Fail("formula", "needs fewer terms than there are rows");
  std::vector<double> design;
  for (std::size_t i = 0; i < y.size(); ++i) {
    for (const auto& column : columns) design.push_back(column[i]);
  }
  const RegressionResult fit = LeastSquares(y, design, k);
  const double g = in.Positive("g"), n = static_cast<double>(y.size());
  std::vector<double> t, p;
  for (std::size_t j = 0; j < k; ++j) {
    if (!(fit.se_classical[j] > 0)) in.Fail("data", "does not determine every coefficient");
    t.push_back(fit.coefficient[j] / fit.se_classical[j]);
    const double log_e = AnytimeLogE(t[j], n, static_cast<double>(k), g);
    p.push_back(std::min(1.0, std::exp(-log_e)));
  }
  Value out = Value::MakeObject(
      {{"coefficient", fit.coefficient}, {"se", fit.se_classical}, {"t", t}, {"p_anytime", p}});
  if (in.Has("optimal_g_inputs")) {
    const Input o = in.At("optimal_g_inputs");
    const double size = static_cast<double>(o.CountAtLeast("n", 2));
    const double terms = static_cast<double>(o.CountAtLeast("n_coefficients", 1));
    if (!(size > terms)) o.Fail("n", "must be larger than n_coefficients");
    out.Set("optimal_g", AnytimeOptimalG(size, terms, o.Alpha()));
  }
  return out;
}

Value UniformBoundary(const Input& in) {
  const std::string boundary = in.Text("boundary");
  const double s = in.Number("s"), v = in.Positive("v"), v_opt = in.Positive("v_opt");
  const double alpha = in.Alpha();
  const double alpha_opt = in.Has("alpha_opt") ? in.OpenProbability("alpha_opt") : alpha;
  double rho = NormalMixtureRho(v_opt, alpha_opt), log_mixture = 0, bound = 0;
  const auto one_sided_rho = [&] {
    if (!(alpha_opt < 0.5)) in.Fail("alpha_opt", "must be less than 0.5 for a one-sided boundary");
    return OneSidedMixtureRho(v_opt, alpha_opt);
  };
  if (boundary == "normal2") {
    log_mixture = LogTwoSidedNormalMixture(s, v, rho);
    bound = TwoSidedNormalMixtureBound(v, alpha, rho);
  } else if (boundary == "normal1") {
    rho = one_sided_rho();
    log_mixture = LogOneSidedNormalMixture(s, v, rho);
    bound = OneSidedNormalMixtureBound(v, alpha, rho);
  } else if (boundary.rfind("gamma-exponential", 0) == 0) {
    rho = one_sided_rho();
    const double c = in.Positive("c");
    if (!(c * s + v + rho > 0)) in.Fail("s", "is outside the range of the boundary");
    log_mixture = LogGammaExponentialMixture(s, v, rho, c);
    bound = GammaExponentialMixtureBound(v, alpha, rho, c);
  } else if (boundary.rfind("gamma-poisson", 0) == 0) {
    rho = one_sided_rho();
    const double c = in.Positive("c");
    if (!(c * s + v + rho > 0)) in.Fail("s", "is outside the range of the boundary");
    log_mixture = LogGammaPoissonMixture(s, v, rho, c);
    bound = GammaPoissonMixtureBound(v, alpha, rho, c);
  } else if (boundary.rfind("beta-binomial", 0) == 0) {
    const bool one_sided = boundary.size() > 3 && boundary.substr(boundary.size() - 2) == "1s";
    const double g = in.Positive("g"), h = in.Positive("h");
    if (one_sided) rho = one_sided_rho();
    if (!(s <= v / g && s >= -v / h)) in.Fail("s", "is outside the range of the boundary");
    log_mixture = LogBetaBinomialMixture(s, v, rho, g, h, one_sided);
    bound = BetaBinomialMixtureBound(v, alpha, rho, g, h, one_sided);
  } else {
    in.Fail(
        "boundary",
        "must be normal1, normal2, gamma-exponential, gamma-poisson or beta-binomial-1s or -2s");
  }
  return Value::MakeObject({{"rho", rho}, {"log_mixture", log_mixture}, {"bound", bound}});
}

Value BernoulliCs(const Input& in) {
  const double n = static_cast<double>(in.CountAtLeast("n", 1)), x = in.NonNegative("successes");
  if (x > n) in.Fail("successes", "is larger than n");
  const double alpha = in.Alpha();
  const double alpha_opt = in.Has("alpha_opt") ? in.OpenProbability("alpha_opt") : alpha;
  const Interval r = BernoulliSequence(x, n, in.Positive("t_opt"), alpha, alpha_opt);
  return Value::MakeObject({{"lo", r.lo}, {"hi", r.hi}, {"alpha", alpha}});
}

// Values, or the text "1..1000" for a run of whole numbers.
std::vector<double> ValuesOrRange(const Input& in, std::string_view name) {
  if (!in.At(name).value().is_text()) return in.NumbersAtLeast(name, 2);
  const std::string text = in.Text(name);
  const std::size_t dots = text.find("..");
  char* end = nullptr;
  const double first = std::strtod(text.substr(0, dots).c_str(), &end);
  const double last =
      dots == std::string::npos ? first : std::strtod(text.c_str() + dots + 2, &end);
  if (!(first < last) || !(last - first < 1e6)) {
    in.Fail(name, "must be an array of numbers or a range like '1..1000'");
  }
  std::vector<double> values;
  for (double x = first; x <= last; x += 1) values.push_back(x);
  return values;
}

Value QuantileP(const Input& in) {
  const auto a = ValuesOrRange(in, "a"), b = ValuesOrRange(in, "b");
  const double p = AnytimeQuantileP(a, b, in.OpenProbability("quantile"), in.Positive("t_opt"),
                                    in.OpenProbability("alpha_opt"));
  return Value::MakeObject({{"p", p}});
}

Value QuantileCs(const Input& in) {
  auto x = in.NumbersAtLeast("x", 1);
  std::sort(x.begin(), x.end());
  const Interval r =
      QuantileSequence(x, in.OpenProbability("quantile"), in.Positive("t_opt"), in.Alpha());
  return Value::MakeObject({{"lo", r.lo}, {"hi", r.hi}, {"alpha", in.Alpha()}});
}

constexpr Method kMethods[] = {
    {"anytime_quantile_ab_p", "always-valid p that two arms share a quantile", QuantileP},
    {"anytime_valid_lm", "anytime-valid regression coefficients", AnytimeRegression},
    {"anytime_valid_t_test", "anytime-valid t statistic and its radius", AnytimeT},
    {"asymptotic_confidence_sequence_raw", "asymptotic confidence sequence of a mean, raw values",
     RawSequence},
    {"asymptotic_confidence_sequence_unit_margin", "margins of asymptotic confidence sequences",
     UnitMargin},
    {"bernoulli_confidence_sequence", "exact confidence sequence of a rate", BernoulliCs},
    {"confseq_uniform_boundary", "uniform boundary of a mixture supermartingale", UniformBoundary},
    {"growthbook_sequential_ci", "asymptotic confidence sequence of a lift or difference", AsympCs},
    {"growthbook_sequential_one_sided", "one-sided asymptotic confidence sequences",
     AsympCsOneSided},
    {"msprt_bernoulli", "mixture SPRT of two rates", MsprtBernoulli},
    {"msprt_normal", "mixture SPRT of two means", Msprt},
    {"msprt_running_p_and_intersection", "mixture SPRT over several looks", MsprtRunning},
    {"quantile_confidence_sequence", "confidence sequence of a quantile, raw values", QuantileCs},
};

}  // namespace

std::span<const Method> SequentialMethods() { return kMethods; }

}  // namespace fulcrum::stats
