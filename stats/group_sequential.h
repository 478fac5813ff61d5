// SPDX-License-Identifier: Apache-2.0
// Group-sequential designs: boundaries, error spending, and inference after stopping.
//
// The z statistics of K looks follow the canonical joint distribution: Z_k normal with mean
// theta sqrt(I_k), variance 1, corr(Z_j, Z_k) = sqrt(I_j / I_k). Probabilities come from recursive
// numerical integration (Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000, ch. 19),
// tails to full relative accuracy, so spends of 1e-20 are as exact as spends of 0.01.
#pragma once

#include <span>
#include <vector>

#include "stats/types.h"

namespace fulcrum::stats {

// Walks through the looks of one design under one drift. Call Look, then ask Above and Below any
// number of times, then Continue with the region in which the trial goes on.
class ExitRecursion {
 public:
  explicit ExitRecursion(double theta = 0) : theta_(theta) {}

  // Moves to the look at `information`. REQUIRES it to exceed the previous look's.
  // `next_information` (0: none) tells how fine the grid of this look must be.
  void Look(double information, double next_information = 0);

  double Above(double z) const;  // P(went on so far and Z_k > z)
  double Below(double z) const;
  double MomentAbove(double z) const;  // E[Z_k; went on so far and Z_k > z]
  double MomentBelow(double z) const;

  // The trial goes on where lo < Z_k < hi (either may be infinite).
  void Continue(double lo, double hi);

 private:
  struct Node {
    double z;
    double mass;  // quadrature weight times density
  };
  double Density(double z) const;
  template <typename Tail>
  double Sum(Tail tail) const;

  double theta_;
  double information_ = 0;
  double before_ = 0;
  double next_ = 0;
  std::vector<Node> nodes_;
};

// Symmetric two-sided (sides 2) or upper one-sided (sides 1) boundaries on the z scale.
struct BoundaryResult {
  double constant = 0;                   // Pocock's C, O'Brien-Fleming's C; 0 for spending designs
  std::vector<double> z;                 // one per look
  std::vector<double> nominal_p;         // of a look alone, with the design's sides
  std::vector<double> cumulative_alpha;  // crossed by then, under theta = 0, all sides together
};
BoundaryResult PocockBoundary(std::span<const double> information, double alpha, int sides);
// z_k = C / sqrt(I_k / I_K).
BoundaryResult OBrienFlemingBoundary(std::span<const double> information, double alpha, int sides);

// Error spent by information fraction t in [0, 1], of a total alpha (Lan and DeMets 1983).
struct Spending {
  enum class Kind {
    kOBrienFleming,   // 2 - 2 Phi(z_{alpha/2} / sqrt t)
    kPocock,          // alpha log(1 + (e - 1) t)
    kPower,           // alpha t^parameter (Kim and DeMets 1987)
    kHwangShihDeCani  // alpha (1 - e^{-g t}) / (1 - e^{-g}); alpha t at g = 0 (1990)
  };
  Kind kind = Kind::kOBrienFleming;
  double parameter = 0;
  double Spent(double t, double alpha) const;
};
// alpha_per_side is spent on each side; sides 2 solves the symmetric two-sided design (exit
// through either side ends the trial), sides 1 the one-sided one. The fraction at a look is
// information / information_max. A look that can spend nothing has an infinite boundary.
BoundaryResult SpendingBoundary(std::span<const double> information, double information_max,
                                const Spending& spending, double alpha_per_side, int sides);

// Probability of crossing, look by look.
struct ExitProbabilities {
  std::vector<double> upper;
  std::vector<double> lower;
  double Total() const;
};
ExitProbabilities CrossingProbabilities(std::span<const double> information,
                                        std::span<const double> boundary_z, double theta,
                                        int sides);

// Design with the given power (upper boundary) at drift theta sqrt(I_max).
struct DesignSize {
  double drift = 0;
  double inflation = 0;             // maximum information over the fixed design's
  double expected_information = 0;  // under the alternative, over the fixed design's
};
DesignSize SizeOf(std::span<const double> fractions, std::span<const double> boundary_z,
                  double alpha, double power, int sides);

// After stopping at look `stopped_at` (from 1) with `z`, by stage-wise ordering (Tsiatis, Rosner
// and Mehta 1984). `information` absolute, 1 / variance of the estimate.
double StagewiseP(std::span<const double> information, std::span<const double> boundary_z,
                  std::size_t stopped_at, double z);  // two-sided
struct StagewiseEstimate {
  double mle = 0;
  double median_unbiased = 0;
  Interval interval;
  Interval naive;
};
StagewiseEstimate StagewiseInference(std::span<const double> information,
                                     std::span<const double> boundary_z, std::size_t stopped_at,
                                     double z, double alpha);

// Chance of ending above `final_critical` given z now at information fraction t and a drift
// theta sqrt(I_max) for the rest (Lan and Wittes 1988). The present trend is z / sqrt(t).
double ConditionalPower(double z, double t, double drift, double final_critical);

// P(any |Z_k| > critical) over equally spaced looks: what peeking does to a fixed test.
double PeekingError(int looks, double critical);

}  // namespace fulcrum::stats
