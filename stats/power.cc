// SPDX-License-Identifier: Apache-2.0
#include "stats/power.h"

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"
#include "stats/roots.h"

namespace fulcrum::stats {
namespace {

double Square(double x) { return x * x; }

double SumOfQuantiles(double power, double alpha, int sides) {
  return NormalUpperQuantile(alpha / sides) - NormalUpperQuantile(power);
}

}  // namespace

ProportionSampleSize SampleSizeProportions(double p_control, double p_treatment, double power,
                                           double alpha, int sides) {
  ProportionSampleSize r;
  const double delta2 = Square(p_treatment - p_control);
  const double middle = 0.5 * (p_control + p_treatment);
  const double separate = p_control * (1 - p_control) + p_treatment * (1 - p_treatment);
  const double z_alpha = NormalUpperQuantile(alpha / sides), z_beta = -NormalUpperQuantile(power);
  r.pooled = Square(z_alpha * std::sqrt(2 * middle * (1 - middle)) + z_beta * std::sqrt(separate)) /
             delta2;
  r.unpooled = Square(z_alpha + z_beta) * separate / delta2;
  r.cohen_h = std::abs(2 * std::asin(std::sqrt(p_treatment)) - 2 * std::asin(std::sqrt(p_control)));
  r.arcsine = 2 * Square((z_alpha + z_beta) / r.cohen_h);
  return r;
}

double PowerProportions(double p_control, double p_treatment, double n_per_group, double alpha,
                        int sides) {
  const double middle = 0.5 * (p_control + p_treatment);
  const double separate = p_control * (1 - p_control) + p_treatment * (1 - p_treatment);
  const double shift = std::sqrt(n_per_group) * std::abs(p_treatment - p_control) -
                       NormalUpperQuantile(alpha / sides) * std::sqrt(2 * middle * (1 - middle));
  if (!(separate > 0)) return shift > 0 ? 1.0 : 0.0;
  return NormalCdf(shift / std::sqrt(separate));
}

UnequalSampleSize SampleSizeUnequal(double var_control, double var_treatment, double delta,
                                    double ratio, double power, double alpha) {
  const double control =
      Square(SumOfQuantiles(power, alpha, 2) / delta) * (var_control + var_treatment / ratio);
  return {control, control * ratio};
}

UnequalSampleSize SampleSizeProportionsUnequal(double p_control, double p_treatment, double ratio,
                                               double power, double alpha) {
  const double pooled = (p_control + ratio * p_treatment) / (1 + ratio);
  const double z_alpha = NormalUpperQuantile(alpha / 2), z_beta = -NormalUpperQuantile(power);
  const double null_sd = std::sqrt((1 + 1 / ratio) * pooled * (1 - pooled));
  const double sd =
      std::sqrt(p_control * (1 - p_control) + p_treatment * (1 - p_treatment) / ratio);
  const double control = Square((z_alpha * null_sd + z_beta * sd) / (p_treatment - p_control));
  return {control, control * ratio};
}

double PowerMeansT(double n_per_group, double delta, double sd, double alpha, bool both_tails) {
  const double df = 2 * (n_per_group - 1);
  const double shift = std::sqrt(n_per_group / 2) * std::abs(delta) / sd;
  const double t = TUpperQuantile(alpha / 2, df);
  const double near = NoncentralTSf(t, df, shift);
  return both_tails ? near + NoncentralTCdf(-t, df, shift) : near;
}

MeanSampleSize SampleSizeMeans(double delta, double sd, double power, double alpha, int sides) {
  MeanSampleSize r;
  r.z = 2 * Square(SumOfQuantiles(power, alpha, sides) * sd / delta);
  // PowerMeansT is two-sided; a one-sided level alpha is the two-sided 2 alpha.
  const double level = sides == 2 ? alpha : 2 * alpha;
  const auto missing = [&](double log_n) {
    return PowerMeansT(std::exp(log_n), delta, sd, level, false) - power;
  };
  // The t test needs a few units more than the z test, never fewer than just over one per group.
  const double low = std::log(std::max(r.z, 1.0 + 1e-6));
  const double high = std::log(std::max(r.z, 1.0) * 4 + 400);
  r.t = std::exp(FindRoot(low, high, 1e-12, missing));
  return r;
}

double PowerZ(double effect, double se, double alpha) {
  const double z = CriticalZ(alpha), shift = effect / se;
  return NormalSf(z - shift) + NormalSf(z + shift);
}

double MinimumDetectableEffect(double se, double power, double alpha) {
  if (power <= alpha) return 0;
  const double simple = SumOfQuantiles(power, alpha, 2);
  return se * FindRoot(0, std::max(simple, 0.0) + 10, 1e-14,
                       [&](double x) { return PowerZ(x, 1, alpha) - power; });
}

double PowerRelative(double mean, double variance, double n_per_arm, double relative_effect,
                     double critical) {
  const double unit = variance / (n_per_arm * mean * mean);
  const double shift = relative_effect / std::sqrt(unit * (1 + Square(1 + relative_effect)));
  return NormalSf(critical - shift) + NormalSf(critical + shift);
}

double MinimumDetectableRelativeEffect(double mean, double variance, double n_per_arm, double power,
                                       double critical) {
  // d^2 = w (1 + (1 + d)^2) with w = (critical + z_power)^2 v / (n m^2), the larger root.
  const double w =
      Square(critical - NormalUpperQuantile(power)) * variance / (n_per_arm * mean * mean);
  if (w >= 1) return kInfinity;
  return (w + std::sqrt(w * w + 2 * w * (1 - w))) / (1 - w);
}

double PowerTost(double sd, double margin, double true_diff, double n_per_group, double alpha) {
  const double se = sd * std::sqrt(2 / n_per_group), z = NormalUpperQuantile(alpha);
  const double inside =
      NormalCdf((margin - true_diff) / se - z) - NormalSf((margin + true_diff) / se - z);
  return std::max(0.0, inside);
}

double DesignEffect(double mean_cluster_size, double icc, double cv_cluster_size) {
  return 1 + ((1 + Square(cv_cluster_size)) * mean_cluster_size - 1) * icc;
}

TypeSM TypeSTypeM(double true_effect, double se, double alpha) {
  TypeSM r;
  const double z = CriticalZ(alpha), shift = std::abs(true_effect) / se;
  const double wrong = NormalSf(z + shift), right = NormalSf(z - shift);
  r.power = wrong + right;
  r.type_s = wrong / r.power;
  r.exaggeration =
      (NormalPdf(z - shift) + NormalPdf(z + shift) + shift * (right - wrong)) / (shift * r.power);
  return r;
}

double AdditionalSampleFactor(const Moments& treatment, const Moments& control, double target_mde,
                              double power, double alpha) {
  const double m2 = Square(control.mean);
  const double variance = treatment.VarianceOfMean() / m2 +
                          Square(treatment.mean / control.mean) * control.VarianceOfMean() / m2;
  const double detectable = MinimumDetectableEffect(std::sqrt(variance), power, alpha);
  return std::max(0.0, Square(detectable / target_mde) - 1);
}

}  // namespace fulcrum::stats
