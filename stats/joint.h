// SPDX-License-Identifier: Apache-2.0
// Several effects of one experiment together, from the Gram matrices of two arms: simultaneous
// intervals, funnel steps that add up, and ratios of effects (coupon economics).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/gram.h"
#include "stats/lift.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Differences of means of the chosen columns with their joint covariance
// S_T / n_T + S_C / n_C, and intervals that cover all of them together (max-|z|).
struct JointEffects {
  std::vector<double> diff;
  std::vector<double> covariance;  // row by row
  double critical_value = 0;       // simultaneous, between z and Bonferroni's
  std::vector<Interval> interval;  // diff -+ critical_value * se
  std::vector<double> p_adjusted;  // single-step max-|z|, the dual of `interval`
  Reason reason = Reason::kNone;   // kTooFewUnits below 2 units in an arm
};
JointEffects CompareJointly(const Gram& treatment, const Gram& control,
                            std::span<const std::size_t> columns, double alpha);

// A funnel's total log-lift as a sum of stage terms:
//   log(p_K,T / p_K,C) = sum_k log((p_k / p_{k-1})_T / (p_k / p_{k-1})_C), p_0 = 1,
// `stages` being the columns of the unconditional stage indicators in order. An accounting
// identity: a step's term compares different people in the two arms, so it is not causal; only
// the total and the unconditional rates are. Delta method on logarithms, joint covariance.
struct FunnelStep {
  double log_lift = 0;
  double se = 0;
  Interval interval;  // simultaneous over the steps and the total
};
struct FunnelDecomposition {
  std::vector<FunnelStep> steps;
  FunnelStep total;  // the steps' log-lifts add up to it exactly
  double critical_value = 0;
  Reason reason = Reason::kNone;  // kDenominatorNearZero: a stage that nobody reached
};
FunnelDecomposition DecomposeFunnel(const Gram& treatment, const Gram& control,
                                    std::span<const std::size_t> stages, double alpha);

// Effect on one column over effect on another: profit per coupon cost, cost per extra order.
// Fieller's set, because the denominator is itself an uncertain effect; unbounded is said so.
struct EffectRatio {
  Estimate numerator;  // difference of means and its variance
  Estimate denominator;
  double covariance = 0;
  double ratio = 0;  // 0 where the denominator effect is exactly 0, with a reason
  FiellerSet set;
  Reason reason = Reason::kNone;  // kDenominatorNearZero: the set is not a bounded interval
};
EffectRatio RatioOfEffects(const Gram& treatment, const Gram& control, std::size_t numerator,
                           std::size_t denominator, double alpha);

// Lets people look and still answer at the end: alpha is split, alpha_look + alpha_final = alpha,
// and the two parts hold together by the union bound.
struct HybridBands {
  Interval look;   // always-valid, may be read at any time
  Interval final;  // fixed horizon, counts only at the planned end
};
// `n` units so far, `n_planned` the planned end that tunes the look band (fixed in advance).
HybridBands HybridIntervals(double estimate, double se, double n, double n_planned,
                            double alpha_look, double alpha_final);

}  // namespace fulcrum::stats
