// SPDX-License-Identifier: Apache-2.0
//
// One treatment against the control on one metric, as a linear form of the arms' column means, so
// that any two effects have a covariance; and the pivot that the verdict rests on. Private.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/definition.h"
#include "report/report.h"
#include "report/sample.h"
#include "stats/randomisation.h"
#include "stats/types.h"
#include "store/plan.h"

namespace fulcrum::report {

// estimate ~ f_T(mean_T) + f_C(mean_C); the gradients carry its error to first order.
struct LinearForm {
  int group = -1;  // -1: not made from a Gram; independent of the others as far as is known.
  int arm = 0;
  std::vector<double> treatment;
  std::vector<double> control;
};

// Var of the form, or covariance of two. Forms of different groups count different units and give
// 0, which is safe where it is used: with unknown blocks taken as independent, the joint coverage
// of a symmetric box is understated, never overstated (Gaussian correlation inequality, Royen
// 2014).
double Covariance(const Sample& sample, const LinearForm& a, const LinearForm& b);

// Everything about one comparison that a second interval at another level needs.
struct Pivot {
  DualPair pair = DualPair::kNone;
  double estimate = 0;
  double se = 0;
  double df = stats::kInfinity;
  double p = 1;
  double log10_p = 0;
  double statistic = 0;
  double units = 0;  // Rows in both arms: how far a sequence has come.
  // kScore.
  stats::Proportion treatment;
  stats::Proportion control;
  // kRandomisation: what is drawn again at another level.
  std::shared_ptr<const std::vector<stats::RandomisedRow>> rows;
  // For the lift and for margins: the control's value, its variance, covariance with `estimate`.
  double base = 0;
  double base_variance = 0;
  double base_covariance = 0;
  LinearForm form;
};

// A metric's figures in all arms and, per comparison with status kOk, its pivot (else nullopt).
struct MetricResult {
  MetricReport report;
  std::vector<std::optional<Pivot>> pivots;  // As report.comparisons.
};

struct EffectInput {
  const store::Plan& plan;
  const Sample& sample;
  const experiments::MetricDefinition& metric;
  const experiments::ExperimentDefinition& experiment;
};

// Proportion, count, mean, retention, ratio. The caller fills title, role and the like.
MetricResult EstimateColumns(const EffectInput& input);

// The interval of a pivot's estimate and of its lift, two-sided at `alpha`.
struct PivotInterval {
  stats::Interval estimate;
  std::optional<stats::Interval> lift;  // Absent where the control's value is 0.
  bool lift_bounded = true;
  LiftMethod lift_method = LiftMethod::kFieller;
};
PivotInterval IntervalAt(const Pivot& pivot, double alpha);

// estimate -+ quantile * se, and Fieller's set of the lift with the same quantile.
PivotInterval IntervalFromQuantile(const Pivot& pivot, double quantile);

// estimate / |base|.
std::optional<double> LiftOf(const Pivot& pivot);

// One-sided p that the harm stays within `margin` of |base| (Laster and Johnson 2003: the contrast
// estimate +- margin * base counts the base's own noise). Absent without variance.
std::optional<double> NonInferiorityP(const Pivot& pivot, double margin,
                                      experiments::Direction direction);

}  // namespace fulcrum::report
