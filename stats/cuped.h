// SPDX-License-Identifier: Apache-2.0
// CUPED: variance reduction by covariates measured before exposure (Deng, Xu, Kohavi and Walker
// 2013). adjusted difference = (Y_T - Y_C) - theta'(X_T - X_C); its variance is that of Y - theta'X
// per arm. Covariates must not be affected by the treatment.
//
// Units without a pre-period: use the covariates (x * 1[has], 1[has]) and keep every unit; dropping
// them changes who the result is about. Constant or duplicated covariates get theta 0.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "stats/gram.h"
#include "stats/lift.h"
#include "stats/ratio.h"
#include "stats/types.h"

namespace fulcrum::stats {

enum class CupedTheta {
  kPooled,     // one regression over all arms together
  kWithinArm,  // cross-products inside arms only: the ANCOVA slope
};

// theta = S_xx^-1 S_xy from the Grams of all arms. REQUIRES Grams of one layout.
struct ThetaResult {
  std::vector<double> theta;  // as `covariates`, 0 for those dropped
  std::size_t rank = 0;       // covariates that count
};
ThetaResult EstimateTheta(std::span<const Gram> arms, std::size_t outcome,
                          std::span<const std::size_t> covariates, CupedTheta kind);

// Ridge-shrunk theta for many covariates: theta = (R + lambda I)^-1 r on the correlation scale,
// lambda by generalised cross-validation (Golub, Heath and Wahba 1979) over a fixed grid of 0 and
// 10^-6 to 10^1.5, on the pooled Gram, which never sees the arm labels.
struct RidgeTheta : ThetaResult {
  double lambda = 0;
  double effective_df = 0;  // sum of d / (d + lambda) over the eigenvalues d of R
};
RidgeTheta EstimateRidgeTheta(const Gram& pooled, std::size_t outcome,
                              std::span<const std::size_t> covariates);

struct CupedResult {
  std::vector<double> theta;
  std::size_t rank = 0;
  double diff_unadjusted = 0;
  double se_unadjusted = 0;
  double diff = 0;  // adjusted
  double se = 0;
  double z = 0;
  double p_z = 1;
  Interval interval;  // normal quantile
  double df = 0;      // Welch's, of the adjusted values
  double p_t = 1;
  Interval interval_t;
  double variance_reduction = 0;  // 1 - (se / se_unadjusted)^2
  Moments adjusted_treatment;     // of Y - theta'(X - mean X over both arms)
  Moments adjusted_control;
  Reason reason = Reason::kNone;
};
CupedResult Cuped(const Gram& treatment, const Gram& control, std::size_t outcome,
                  std::span<const std::size_t> covariates, std::span<const double> theta,
                  double alpha);
// theta from these two arms.
CupedResult Cuped(const Gram& treatment, const Gram& control, std::size_t outcome,
                  std::span<const std::size_t> covariates, CupedTheta kind, double alpha);

// Relative lift of the adjusted difference over |control mean|. The exact delta gradient keeps the
// term theta (X_T - X_C) in the control mean's derivative; leaving it out (zero in expectation, and
// what one well-known engine does) is given beside it.
struct CupedLift {
  double lift = 0;
  double se = 0;  // exact gradient; the one to use
  double se_without_covariate_term = 0;
  Interval interval;
  Reason reason = Reason::kNone;
};
CupedLift CupedRelativeLift(const Gram& treatment, const Gram& control, std::size_t outcome,
                            std::span<const std::size_t> covariates, std::span<const double> theta,
                            double alpha);

// Ratio metric with its own pre-period ratio as covariate. Columns: numerator and denominator
// after, numerator and denominator before.
struct RatioColumns {
  std::size_t num = 0;
  std::size_t den = 1;
  std::size_t pre_num = 2;
  std::size_t pre_den = 3;
};
// theta that minimises the variance: cov / var of the linearised ratios, summed over arms.
double RatioTheta(const Gram& treatment, const Gram& control, RatioColumns columns);
struct RatioCupedResult {
  double theta = 0;
  double diff = 0;
  double se = 0;
  Interval interval;
  double lift = 0;
  double se_lift = 0;  // exact gradient
  double se_lift_without_covariate_term = 0;
  Interval lift_interval;
  Reason reason = Reason::kNone;
};
RatioCupedResult RatioCuped(const Gram& treatment, const Gram& control, RatioColumns columns,
                            double theta, double alpha);

}  // namespace fulcrum::stats
