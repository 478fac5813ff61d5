// SPDX-License-Identifier: Apache-2.0
// Estimates corrected for having been selected or for being many: shrinkage and winner's curse.
#pragma once

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

// Mean of the largest of k independent standard normals: the bias of picking the best of k arms
// that do not differ, in units of the common standard error.
double ExpectedMaximum(double k);

}  // namespace fulcrum::stats
