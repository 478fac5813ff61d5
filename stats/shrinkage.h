// SPDX-License-Identifier: Apache-2.0
// Estimates corrected for having been selected or for being many: shrinkage and winner's curse.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/lift.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Normal-normal shrinkage at a given between-effect variance (Gelman et al., BDA3, 5.5):
// shrunk_i = B_i mu + (1 - B_i) y_i with B_i = s_i^2 / (s_i^2 + tau2).
struct ShrinkageResult {
  double tau2 = 0;
  double mu = 0;
  std::vector<double> shrunk;
  std::vector<double> posterior_sd;  // given mu and tau2
};
// REQUIRES every variance > 0, tau2 >= 0.
ShrinkageResult Shrink(std::span<const Estimate> effects, double tau2);
// tau2 by DerSimonian and Laird (1986): empirical Bayes.
ShrinkageResult ShrinkEmpirical(std::span<const Estimate> effects);

// Efron and Morris (1975): rates of k groups of equal size, shrunk to their mean by
// max(0, 1 - (k - 3) s^2 / sum (p_i - mean)^2), s^2 = mean (1 - mean) / n. REQUIRES k >= 4.
struct JamesSteinResult {
  double grand_mean = 0;
  double shrink_factor = 0;
  std::vector<double> estimates;
};
JamesSteinResult JamesSteinRates(std::span<const double> events, double n);

// An effect reported because |z| > threshold. Maximum of phi(z - m) / P(|Z| > c; m) (Zhong and
// Prentice 2008; Ghosh, Zou and Wright 2008), and the m at which the truncated distribution has
// its median at z. In units of the standard error. REQUIRES |z| > threshold > 0.
struct SelectedEstimate {
  double conditional_mle = 0;
  double median_unbiased = 0;
  Interval interval;  // conditional 1 - alpha, equal tails
};
SelectedEstimate GivenSignificance(double z, double threshold, double alpha);

// The same after a sequential stop: the estimate given that the experiment stopped just then. Looks
// at `information` (1 / variance of the estimate, rising) with symmetric bounds |Z| >= boundary_z;
// it stopped at look `stopped_at` (from 1) with `z`. Given the look, the law of Z is an exponential
// family in the effect, density ~ exp(theta z sqrt(I) - theta^2 I / 2) f_0(z) / P_theta(stop
// there), so the maximum of the conditional likelihood also removes the conditional bias,
// E_theta[estimate | stopped there] = estimate (Troendle and Yu 1999; Fan, DeMets and Lan 2004);
// the median-unbiased estimate and the interval invert P_theta(Z >= z | stopped there). In the unit
// of the effect. One look is GivenSignificance. A z within its bound at `stopped_at` (the planned
// end reached without crossing) is conditioned on having gone that far, and no more. REQUIRES
// rising information, bounds > 0, 1 <= stopped_at <= looks.
struct StoppedEstimate {
  double naive = 0;
  Interval naive_interval;
  double conditional_mle = 0;
  double median_unbiased = 0;
  Interval interval;  // conditional 1 - alpha, equal tails
};
StoppedEstimate GivenStop(std::span<const double> information, std::span<const double> boundary_z,
                          std::size_t stopped_at, double z, double alpha);

// Mean of the largest of k independent standard normals: the bias of picking the best of k arms
// that do not differ, in units of the common standard error.
double ExpectedMaximum(double k);

}  // namespace fulcrum::stats
