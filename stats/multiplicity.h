// SPDX-License-Identifier: Apache-2.0
// Many tests at once: adjusted p-values, Dunnett's comparisons with one control, and simultaneous
// critical values for any joint correlation.
//
// Which one: a few pre-named metrics or arms with a known joint covariance -> the simultaneous
// critical value (exact, matching intervals); several arms against one control -> Dunnett; p-values
// alone -> Holm or Hommel for family-wise error, BH for exploring many slices.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/moments.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Adjusted p-values in the order given: reject where adjusted p <= alpha. Family-wise error:
// Bonferroni, Sidak, Holm (1979), Holm-Sidak, Hochberg (1988), Hommel (1988; the last two need
// independence or positive dependence). False discovery rate: Benjamini-Hochberg (1995;
// independence or positive dependence), Benjamini-Yekutieli (2001; any dependence).
// REQUIRES every p in [0, 1].
enum class Adjustment {
  kBonferroni,
  kSidak,
  kHolm,
  kHolmSidak,
  kHochberg,
  kHommel,
  kBenjaminiHochberg,
  kBenjaminiYekutieli,
};
std::vector<double> AdjustPValues(std::span<const double> p, Adjustment method);

// Dunnett's distribution: T_i with corr(T_i, T_j) = lambda_i lambda_j and a common variance
// estimate of `df` degrees of freedom (infinite: normal). Two- or one-sided exceedance
// P(max |T_i| > c) or P(max T_i > c), by deterministic quadrature, tails to full relative
// accuracy. REQUIRES |lambda_i| < 1, df > 0.
double DunnettExceedance(double c, std::span<const double> lambda, double df, int sides);
// c with exceedance alpha.
double DunnettCriticalValue(std::span<const double> lambda, double df, double alpha, int sides);

// Several treatments against one control.
struct DunnettComparison {
  double diff = 0;
  double se = 0;
  double t = 0;
  double p_adjusted = 1;
  Interval interval;  // simultaneous 1 - alpha
};
struct DunnettResult {
  std::vector<DunnettComparison> comparisons;  // as the treatments were given
  std::vector<double> lambda;
  double df = kInfinity;
  double critical_value = 0;
  Reason reason = Reason::kNone;
};
// Classical Dunnett (1955): one residual variance from all groups, lambda_i = sqrt(n_i/(n_i+n_0)).
DunnettResult DunnettPooled(std::span<const Moments> treatments, const Moments& control,
                            double alpha);
// Large samples with unequal variances: lambda_i = se_control / se_i.
DunnettResult DunnettUnequal(std::span<const Moments> treatments, const Moments& control,
                             double alpha);

// c with P(max_i |Z_i| <= c) = 1 - alpha for Z ~ N(0, correlation), a k x k matrix row by row:
// estimate_i -+ c se_i then covers all k effects together. Randomised nowhere: a Richtmyer lattice
// of fixed points (Genz 1992), error about 1e-4 in the error rate: 1e-3 in c at 0.05, 3e-3 at 0.01.
// Independence and k = 1 are exact; product correlations have DunnettCriticalValue. Singular
// matrices (metrics that add up) are fine. REQUIRES a symmetric correlation matrix.
double SimultaneousCriticalValue(std::span<const double> correlation, double alpha);

// Single-step adjusted p: P(max_i |Z_i| > |z|) for each of z.
std::vector<double> SimultaneousPValues(std::span<const double> correlation,
                                        std::span<const double> z);

// Correlation matrix, row by row, from a covariance matrix; a zero variance gives correlation 0.
std::vector<double> CorrelationOf(std::span<const double> covariance);

}  // namespace fulcrum::stats
