// SPDX-License-Identifier: Apache-2.0
// Bayesian comparisons in closed form or by quadrature; no Monte Carlo noise.
//
// Peeking is not free here either: stopping at "95% chance to win" under a flat prior rejects a
// true null far more often than 5%. Priors are on the scale they are stated in and converted once.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "stats/lift.h"
#include "stats/types.h"

namespace fulcrum::stats {

// One arm's posterior for quadrature: functions on (lo, hi) and where the mass is.
struct Posterior {
  std::function<double(double)> pdf;
  std::function<double(double)> cdf;
  std::function<double(double)> sf;
  double mean = 0;
  double sd = 0;
  double lo = -kInfinity;
  double hi = kInfinity;
};
Posterior BetaPosterior(double a, double b);          // a, b > 0
Posterior GammaPosterior(double shape, double rate);  // both > 0
Posterior NormalPosterior(double mean, double sd);    // sd > 0

// P(best), P(second best) and expected loss E[max_j X_j - X_i] of each arm, independent posteriors.
struct BestArm {
  std::vector<double> prob_best;
  std::vector<double> prob_second;
  std::vector<double> expected_loss;
};
BestArm CompareArms(std::span<const Posterior> arms);

struct PairComparison {
  double prob_b_greater = 0;  // P(B > A)
  double prob_a_greater = 0;  // computed by itself, exact in the far tail too
  double loss_ship_b = 0;     // E[max(A - B, 0)]
  double loss_ship_a = 0;     // E[max(B - A, 0)]
};
PairComparison ComparePair(const Posterior& a, const Posterior& b);

// P(B > factor * A), factor > 0.
double ProbabilityBeyond(const Posterior& a, const Posterior& b, double factor);

// Normal effect with an optional normal prior (precision weighted).
struct NormalPrior {
  double mean = 0;
  double variance = 0;  // > 0
};
struct EffectPosterior {
  double mean = 0;
  double sd = 0;
  Interval interval;             // central 1 - alpha
  double chance_to_win = 0.5;    // P(effect > 0), or P(effect < 0) where lower is better
  double loss_keep_control = 0;  // expected gain given up by keeping the control
  double loss_ship_treatment = 0;
};
EffectPosterior NormalEffect(double effect, double variance,
                             const std::optional<NormalPrior>& prior, bool lower_is_better,
                             double alpha);

// E[max(X, 0)] of a normal; sigma > 0. No overflow and no cancellation at |mu / sigma| of 1e6.
double ExpectedPositivePart(double mu, double sigma);

// Thompson weights with a floor: f + (1 - k f) w / sum(w).
std::vector<double> FlooredWeights(std::span<const double> weights, double floor);

}  // namespace fulcrum::stats
