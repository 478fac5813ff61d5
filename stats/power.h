// SPDX-License-Identifier: Apache-2.0
// Sample size, power and minimum detectable effect, before starting and half way.
//
// Sizes are real numbers: round up (report ceil). alpha is two-sided unless said one-sided; power
// of two-sided z tests counts both tails unless said otherwise. Formulas: Fleiss, Levin and Paik
// (2003) for proportions, the noncentral t for means, Deng et al. (2013, 2018) for CUPED and
// ratios, Gelman and Carlin (2014) with Lu, Qiu and Deng (2018) for type S and M errors.
#pragma once

#include <cstdint>

#include "stats/moments.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Units per group to detect p_treatment against p_control.
struct ProportionSampleSize {
  double pooled = 0;  // variance under H0 pooled, the z test's own; the one to plan with
  double unpooled = 0;
  double arcsine = 0;
  double cohen_h = 0;  // |2 asin sqrt(p_T) - 2 asin sqrt(p_C)|
};
ProportionSampleSize SampleSizeProportions(double p_control, double p_treatment, double power,
                                           double alpha, int sides);
// Power of the pooled z test with n units per group (far tail ignored).
double PowerProportions(double p_control, double p_treatment, double n_per_group, double alpha,
                        int sides);

// Units of each group at an allocation ratio treatment / control (unpooled variances).
struct UnequalSampleSize {
  double control = 0;
  double treatment = 0;
};
UnequalSampleSize SampleSizeUnequal(double var_control, double var_treatment, double delta,
                                    double ratio_treatment_to_control, double power, double alpha);
// The same for two proportions by the pooled z test (Fleiss, Levin and Paik 2003, section 4.3, no
// continuity correction); at ratio 1 it is ProportionSampleSize::pooled.
UnequalSampleSize SampleSizeProportionsUnequal(double p_control, double p_treatment,
                                               double ratio_treatment_to_control, double power,
                                               double alpha);

// Units per group for a difference of means; `t` by the noncentral t (far tail ignored).
struct MeanSampleSize {
  double z = 0;
  double t = 0;
};
MeanSampleSize SampleSizeMeans(double delta, double sd, double power, double alpha, int sides);
double PowerMeansT(double n_per_group, double delta, double sd, double alpha, bool both_tails);

// Two-sided z test of an effect with standard error `se`.
double PowerZ(double effect, double se, double alpha);
// Effect with the given power, both tails counted.
double MinimumDetectableEffect(double se, double power, double alpha);

// Power for a relative effect d, by the delta variance at control mean m, treatment mean m(1 + d)
// and equal unit variances in n units per arm. `critical` is CriticalZ(alpha) for a fixed test, or
// the wider multiplier of a sequential one.
double PowerRelative(double mean, double variance, double n_per_arm, double relative_effect,
                     double critical);
// Smallest positive relative effect with the given power (far tail ignored); infinite where none
// can be detected because the control mean is too uncertain.
double MinimumDetectableRelativeEffect(double mean, double variance, double n_per_arm, double power,
                                       double critical);

// Equivalence test (TOST) power, normal; `true_diff` may be off centre.
double PowerTost(double sd, double margin, double true_diff, double n_per_group, double alpha);

// Variance inflation of clusters: Kish's 1 + (m - 1) icc, and with unequal sizes
// 1 + ((1 + cv^2) m - 1) icc (Eldridge, Ashby and Kerry 2006).
double DesignEffect(double mean_cluster_size, double icc, double cv_cluster_size);

// What a significant result means at low power.
struct TypeSM {
  double power = 0;
  double type_s = 0;        // probability that a significant estimate has the wrong sign
  double exaggeration = 0;  // expected |estimate| / |true| given significance
};
TypeSM TypeSTypeM(double true_effect, double se, double alpha);

// Factor by which the present sample must grow for the present relative-lift variance to have
// `power` at `target_mde`; 0 where it is reached already.
double AdditionalSampleFactor(const Moments& treatment, const Moments& control, double target_mde,
                              double power, double alpha);

}  // namespace fulcrum::stats
