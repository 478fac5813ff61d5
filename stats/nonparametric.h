// SPDX-License-Identifier: Apache-2.0
// Rank, permutation and bootstrap methods, and robust means. For small raw data; no verdict of a
// report rests on them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "stats/means.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Mann-Whitney U of x against y (Mann and Whitney 1947), tie-corrected normal p with and without
// continuity correction; prob_superiority = P(X > Y) + P(X = Y)/2.
struct MannWhitneyResult {
  double u = 0;
  double variance = 0;
  double z = 0;
  double p_normal = 1;
  double p_normal_corrected = 1;
  double prob_superiority = 0.5;
  Reason reason = Reason::kNone;  // kNoVariance: all values equal
};
// Sorted distinct values with how often each occurs: sufficient for the test at any size.
using ValueCounts = std::vector<std::pair<double, double>>;
ValueCounts CountValues(std::span<const double> values);
MannWhitneyResult MannWhitney(const ValueCounts& x, const ValueCounts& y);

// Exact null distribution of U without ties. REQUIRES n_x * n_y <= 40000.
struct ExactU {
  double p_two_sided = 1;
  double p_greater = 1;
  double p_less = 1;
  double lower_quantile = 0;  // smallest u with P(U <= u) >= alpha / 2
};
ExactU ExactMannWhitney(double u, std::size_t n_x, std::size_t n_y, double alpha);

// Median of all x_i - y_j (Hodges and Lehmann 1963) with the interval that inverts the exact test.
struct HodgesLehmann {
  double estimate = 0;
  Interval interval;
};
HodgesLehmann HodgesLehmannShift(std::span<const double> x, std::span<const double> y,
                                 double alpha);

// Two-sample Kolmogorov-Smirnov, exact p by counting lattice paths (Hodges 1958).
// REQUIRES n_x * n_y <= 10^8.
struct KolmogorovSmirnovResult {
  double d = 0;
  double p_exact = 1;
};
KolmogorovSmirnovResult KolmogorovSmirnov(std::span<const double> x, std::span<const double> y);

// Every relabelling of x and y, difference of means. REQUIRES at most 5e6 relabellings.
struct PermutationResult {
  double diff = 0;
  double count = 0;
  double p_two_sided = 1;
  double p_greater = 1;
};
PermutationResult PermuteMeanDiff(std::span<const double> x, std::span<const double> y);

// Bootstrap (Efron and Tibshirani 1993) with a fixed seed: equal inputs give equal outputs.
struct BootstrapResult {
  double estimate = 0;
  double se = 0;
  Interval percentile;
  Interval bca;                   // bias-corrected and accelerated, jackknife acceleration
  Reason reason = Reason::kNone;  // kInvalidInput: the statistic overflows on some resample
};
// `statistic` gets row indices; `replicates` resamples of 0..n-1.
BootstrapResult Bootstrap(std::size_t n,
                          const std::function<double(std::span<const std::size_t>)>& statistic,
                          int replicates, std::uint64_t seed, double alpha);
// Difference mean(y) - mean(x), resampled within arms; `se` is the exact ideal-bootstrap value.
BootstrapResult BootstrapMeanDiff(std::span<const double> x, std::span<const double> y,
                                  int replicates, std::uint64_t seed, double alpha);

// Cap at one value for both arms: a cap per arm would bias the difference towards zero.
struct WinsorisedResult {
  double cap = 0;
  std::int64_t capped = 0;
  WelchResult welch;
};
WinsorisedResult WinsorisedDiff(std::span<const double> treatment, std::span<const double> control,
                                double cap, double alpha);
// Yuen's (1974) trimmed t, `trim` from each tail.
WelchResult YuenT(std::span<const double> treatment, std::span<const double> control, double trim,
                  double alpha);

}  // namespace fulcrum::stats
