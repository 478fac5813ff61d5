// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "stats/bayes.h"
#include "stats/calc_input.h"
#include "stats/distributions.h"

namespace fulcrum::stats {
namespace {

struct BetaPrior {
  double a = 1;
  double b = 1;
};

BetaPrior ReadPrior(const Input& in) {
  const auto prior = in.NumbersAtLeast("prior", 2);
  if (!(prior[0] > 0 && prior[1] > 0)) in.Fail("prior", "must be two numbers greater than 0");
  if (prior[0] > 1e15 || prior[1] > 1e15) in.Fail("prior", "must be at most 1e15");
  return {prior[0], prior[1]};
}

struct BetaParameters {
  double a;
  double b;
};

BetaParameters Update(const BetaPrior& prior, Proportion p) {
  return {prior.a + static_cast<double>(p.events), prior.b + static_cast<double>(p.n - p.events)};
}

Value BetaAb(const Input& in) {
  const BetaPrior prior = ReadPrior(in);
  const auto a = Update(prior, in.Rate("control")), b = Update(prior, in.Rate("treatment"));
  const Posterior pa = BetaPosterior(a.a, a.b), pb = BetaPosterior(b.a, b.b);
  const PairComparison r = ComparePair(pa, pb);
  return Value::MakeObject({{"prob_b_gt_a", r.prob_b_greater},
                            {"prob_a_gt_b", r.prob_a_greater},
                            {"loss_ship_b", r.loss_ship_b},
                            {"loss_ship_a", r.loss_ship_a},
                            {"posterior_mean_a", pa.mean},
                            {"posterior_mean_b", pb.mean},
                            {"ci95_a_lo", BetaQuantile(0.025, a.a, a.b)},
                            {"ci95_a_hi", BetaQuantile(0.975, a.a, a.b)},
                            {"ci95_b_lo", BetaQuantile(0.025, b.a, b.b)},
                            {"ci95_b_hi", BetaQuantile(0.975, b.a, b.b)}});
}

Value BetaArms(const Input& in) {
  const BetaPrior prior = ReadPrior(in);
  std::vector<Posterior> arms;
  for (const Input& item : in.Items("arms")) {
    const auto p = Update(prior, item.Rate("x", "n"));
    arms.push_back(BetaPosterior(p.a, p.b));
  }
  if (arms.size() < 2 || arms.size() > 50) in.Fail("arms", "must be between 2 and 50");
  const BestArm r = CompareArms(arms);
  return Value::MakeObject({{"prob_best", r.prob_best}, {"expected_loss", r.expected_loss}});
}

Value BetaLift(const Input& in) {
  const BetaPrior prior = ReadPrior(in);
  const auto a = Update(prior, in.Rate("control")), b = Update(prior, in.Rate("treatment"));
  const Posterior pa = BetaPosterior(a.a, a.b), pb = BetaPosterior(b.a, b.b);
  return Value::MakeObject({{"p_lift_gt_0", ProbabilityBeyond(pa, pb, 1)},
                            {"p_lift_gt_5pct", ProbabilityBeyond(pa, pb, 1.05)},
                            {"p_lift_gt_20pct", ProbabilityBeyond(pa, pb, 1.2)}});
}

Value GammaAb(const Input& in) {
  const auto prior = in.NumbersAtLeast("prior_shape_rate", 2);
  if (!(prior[0] > 0 && prior[1] > 0)) in.Fail("prior_shape_rate", "must be greater than 0");
  if (prior[0] > 1e15 || prior[1] > 1e15) in.Fail("prior_shape_rate", "must be at most 1e15");
  const auto arm = [&](std::string_view name) {
    const Input a = in.At(name);
    return GammaPosterior(prior[0] + static_cast<double>(a.Count("events")),
                          prior[1] + a.Positive("exposure"));
  };
  const Posterior a = arm("control"), b = arm("treatment");
  const PairComparison r = ComparePair(a, b);
  return Value::MakeObject({{"prob_b_gt_a", r.prob_b_greater},
                            {"prob_a_gt_b", r.prob_a_greater},
                            {"loss_ship_b", r.loss_ship_b},
                            {"loss_ship_a", r.loss_ship_a},
                            {"posterior_mean_a", a.mean},
                            {"posterior_mean_b", b.mean}});
}

Estimate ArmMean(const Input& in, std::string_view name, bool proportion) {
  const Input arm = in.At(name);
  if (proportion || arm.Has("x")) {
    const Proportion p = arm.Has("x") ? arm.Rate("x", "n") : arm.Rate("sum", "n");
    return {p.Rate(), p.Rate() * (1 - p.Rate()) / p.Count()};
  }
  const Moments m = arm.Summary();
  return {m.mean, m.VarianceOfMean()};
}

Value EffectOf(const Input& in) {
  const double alpha = in.Alpha();
  const bool proportion = in.Has("metric") && in.Text("metric") == "proportion";
  const Estimate t = ArmMean(in, "treatment", proportion), c = ArmMean(in, "control", proportion);
  const std::string difference = in.Text("difference");
  if (difference != "relative" && difference != "absolute") {
    in.Fail("difference", "must be 'relative' or 'absolute'");
  }
  const bool relative = difference == "relative";
  const double size = std::abs(c.value);
  if (!(size > 0)) in.Fail("control", "has mean 0: no relative scale");
  const double effect = relative ? (t.value - c.value) / size : t.value - c.value;
  const double variance = relative ? LiftVariance(t, c) : t.variance + c.variance;
  if (!(variance > 0)) in.Fail("treatment", "and control have no variance");
  std::optional<NormalPrior> prior;
  if (in.Has("prior") && in.At("prior").BoolOr("proper", true)) {
    const Input p = in.At("prior");
    const std::string scale = p.Has("scale") ? p.Text("scale") : "relative";
    if (scale != "relative" && scale != "absolute") {
      p.Fail("scale", "must be 'relative' or 'absolute'");
    }
    // From the scale the prior is stated in to the scale of the effect.
    const bool stated_relative = scale == "relative";
    const double factor = stated_relative == relative ? 1 : relative ? 1 / size : size;
    prior = NormalPrior{p.Number("mean") * factor, p.Positive("variance") * factor * factor};
  }
  const EffectPosterior r =
      NormalEffect(effect, variance, prior, in.BoolOr("inverse", false), alpha);
  return Value::MakeObject(
      {{"expected", r.mean},
       {"stddev", r.sd},
       {"ci_lo", r.interval.lo},
       {"ci_hi", r.interval.hi},
       {"chance_to_win", r.chance_to_win},
       {"risk", std::vector<double>{r.loss_keep_control, r.loss_ship_treatment}},
       {"alpha", alpha}});
}

Value ExpectedLoss(const Input& in) {
  const double mu = in.Number("mu"), sigma = in.Positive("sigma");
  return Value::MakeObject({{"risk", std::vector<double>{ExpectedPositivePart(mu, sigma),
                                                         ExpectedPositivePart(-mu, sigma)}}});
}

Value NormalArms(const Input& in) {
  const auto mean = in.NumbersAtLeast("mean", 2), sd = in.Numbers("sd");
  if (sd.size() != mean.size()) in.Fail("sd", "must be as long as mean");
  if (mean.size() > 50) in.Fail("mean", "must have at most 50 arms");
  std::vector<Posterior> arms;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    if (!(sd[i] > 0)) in.Fail("sd", "must be greater than 0");
    arms.push_back(NormalPosterior(mean[i], sd[i]));
  }
  const BestArm r = CompareArms(arms);
  return Value::MakeObject({{"prob_best", r.prob_best}, {"expected_loss", r.expected_loss}});
}

Value WeightFloor(const Input& in) {
  const auto weights = in.NumbersAtLeast("thompson_weights", 1);
  double sum = 0;
  for (const double w : weights) {
    if (!(w >= 0)) in.Fail("thompson_weights", "must not be negative");
    sum += w;
  }
  if (!(sum > 0)) in.Fail("thompson_weights", "must have a positive sum");
  const double floor = in.NonNegative("min_weight");
  if (floor * static_cast<double>(weights.size()) > 1) {
    in.Fail("min_weight", "times the number of arms must not exceed 1");
  }
  return Value::MakeObject({{"weights", FlooredWeights(weights, floor)}});
}

Value ThompsonGaussian(const Input& in) {
  const Input prior = in.At("prior");
  const double prior_mean = prior.Number("mean"), prior_variance = prior.Positive("variance");
  std::vector<Posterior> arms;
  std::vector<double> means, sds, top_two;
  for (const Input& item : in.Items("arms")) {
    const Moments m = item.Summary();
    if (!(m.VarianceOfMean() > 0)) item.Fail("sum_squares", "leaves no variance");
    const EffectPosterior p = NormalEffect(m.mean, m.VarianceOfMean(),
                                           NormalPrior{prior_mean, prior_variance}, false, 0.05);
    means.push_back(p.mean);
    sds.push_back(p.sd);
    arms.push_back(NormalPosterior(p.mean, p.sd));
  }
  if (arms.size() < 2 || arms.size() > 50) in.Fail("arms", "must be between 2 and 50");
  const BestArm r = CompareArms(arms);
  for (std::size_t i = 0; i < arms.size(); ++i) {
    top_two.push_back(0.5 * (r.prob_best[i] + r.prob_second[i]));
  }
  return Value::MakeObject({{"posterior_mean", means},
                            {"posterior_sd", sds},
                            {"prob_best", r.prob_best},
                            {"top_two_weights", top_two}});
}

constexpr Method kMethods[] = {
    {"bandit_weight_floor", "Thompson weights with a floor per arm", WeightFloor},
    {"beta_binomial_ab", "chance to be better and expected loss of two rates", BetaAb},
    {"beta_binomial_lift_probability", "chance that the lift exceeds 0, 5% and 20%", BetaLift},
    {"beta_binomial_multi_arm", "chance to be best and expected loss of several rates", BetaArms},
    {"gamma_poisson_ab", "chance to be better and expected loss of two event rates", GammaAb},
    {"normal_effect_posterior", "posterior of an effect with a normal prior", EffectOf},
    {"normal_effect_posterior_absolute", "posterior of an absolute effect, prior on the lift",
     EffectOf},
    {"normal_effect_posterior_absprior", "posterior of a lift, prior on the absolute scale",
     EffectOf},
    {"normal_effect_posterior_inverse", "posterior of an effect where lower is better", EffectOf},
    {"normal_expected_loss", "expected positive and negative part of a normal", ExpectedLoss},
    {"normal_multi_arm_p_best", "chance to be best of several normal posteriors", NormalArms},
    {"thompson_allocation_gaussian", "Thompson and top-two weights of Gaussian arms",
     ThompsonGaussian},
};

}  // namespace

std::span<const Method> BayesMethods() { return kMethods; }

}  // namespace fulcrum::stats
