// SPDX-License-Identifier: Apache-2.0
#include "stats/novelty.h"

#include <Eigen/Dense>
#include <cmath>

#include "stats/distributions.h"
#include "stats/heterogeneity.h"
#include "stats/joint.h"

namespace fulcrum::stats {
namespace {

void Test(double estimate, double se, double alpha, EffectTrend* trend) {
  trend->slope = estimate;
  trend->slope_se = se;
  if (!(se > 0)) {
    trend->reason = Reason::kNoVariance;
    return;
  }
  trend->z = estimate / se;
  trend->p = TwoSidedNormalP(trend->z);
  const double half = CriticalZ(alpha) * se;
  trend->slope_interval = {estimate - half, estimate + half};
}

// Chi-square of y about its best common value, allowing for the joint covariance. Differences of
// neighbours span all contrasts.
double EqualityChiSquare(std::span<const double> y, std::span<const double> covariance,
                         double* df) {
  const auto n = static_cast<Eigen::Index>(y.size());
  const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> v(
      covariance.data(), n, n);
  Eigen::MatrixXd contrast = Eigen::MatrixXd::Zero(n - 1, n);
  for (Eigen::Index i = 0; i + 1 < n; ++i) {
    contrast(i, i) = -1;
    contrast(i, i + 1) = 1;
  }
  const Eigen::VectorXd d = contrast * Eigen::Map<const Eigen::VectorXd>(y.data(), n);
  const Eigen::MatrixXd s = contrast * v * contrast.transpose();
  // Days that are copies of each other leave directions without variance: they are not tested.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(s);
  const double floor = 1e-10 * std::max(eigen.eigenvalues().maxCoeff(), 0.0);
  double chi2 = 0;
  *df = 0;
  for (Eigen::Index i = 0; i < n - 1; ++i) {
    if (!(eigen.eigenvalues()[i] > floor)) continue;
    const double along = eigen.eigenvectors().col(i).dot(d);
    chi2 += along * along / eigen.eigenvalues()[i];
    *df += 1;
  }
  return chi2;
}

// Second half of the days against the first, the middle one of an odd number left out.
void CompareHalves(NoveltyResult* r) {
  const std::size_t n = r->effect.size(), half = n / 2;
  std::vector<double> weight(n, 0.0);
  for (std::size_t i = 0; i < half; ++i) {
    weight[i] = -1.0 / static_cast<double>(half);
    weight[n - 1 - i] = 1.0 / static_cast<double>(half);
  }
  double variance = 0;
  for (std::size_t i = 0; i < n; ++i) {
    r->late_minus_early += weight[i] * r->effect[i];
    for (std::size_t j = 0; j < n; ++j) {
      variance += weight[i] * weight[j] * r->covariance[i * n + j];
    }
  }
  r->late_minus_early_se = std::sqrt(std::max(0.0, variance));
  if (variance > 0) {
    r->late_minus_early_p = TwoSidedNormalP(r->late_minus_early / r->late_minus_early_se);
  }
}

NoveltyVerdict Judge(const EffectTrend& trend, double first, double last, double alpha) {
  if (trend.reason != Reason::kNone || trend.p > alpha) return NoveltyVerdict::kNoTrend;
  const double start = trend.intercept + trend.slope * first;
  const double end = trend.intercept + trend.slope * last;
  if (start * end < 0) return NoveltyVerdict::kReversing;
  return std::abs(end) < std::abs(start) ? NoveltyVerdict::kFading : NoveltyVerdict::kGrowing;
}

}  // namespace

EffectTrend WeightedTrendJoint(std::span<const double> x, std::span<const double> effects,
                               std::span<const double> covariance, double alpha) {
  EffectTrend r;
  const std::size_t n = x.size();
  std::vector<double> weight(n, 0.0);
  double w = 0, wx = 0, wy = 0;
  std::size_t usable = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double variance = covariance[i * n + i];
    if (!(variance > 0)) continue;  // a day on which nothing ever happened says nothing
    ++usable;
    weight[i] = 1 / variance;
    w += weight[i];
    wx += weight[i] * x[i];
    wy += weight[i] * effects[i];
  }
  if (usable < 2) {
    r.reason = n < 2 ? Reason::kTooFewUnits : Reason::kNoVariance;
    return r;
  }
  const double mean_x = wx / w, mean_y = wy / w;
  double sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < n; ++i) {
    sxx += weight[i] * (x[i] - mean_x) * (x[i] - mean_x);
    sxy += weight[i] * (x[i] - mean_x) * (effects[i] - mean_y);
  }
  if (!(sxx > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  double variance = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double a = weight[i] * (x[i] - mean_x) / sxx;
    for (std::size_t j = 0; j < n; ++j) {
      variance += a * (weight[j] * (x[j] - mean_x) / sxx) * covariance[i * n + j];
    }
  }
  Test(sxy / sxx, std::sqrt(std::max(0.0, variance)), alpha, &r);
  r.intercept = mean_y - r.slope * mean_x;
  return r;
}

NoveltyResult AnalyseNovelty(const Gram& treatment, const Gram& control,
                             std::span<const std::size_t> columns, std::span<const double> days,
                             double alpha) {
  NoveltyResult r;
  if (treatment.n() < 2 || control.n() < 2 || columns.size() < 2) {
    r.reason = r.per_day.reason = r.per_log_day.reason = Reason::kTooFewUnits;
    return r;
  }
  JointEffects joint = CompareJointly(treatment, control, columns, alpha);
  r.effect = std::move(joint.diff);
  r.covariance = std::move(joint.covariance);
  r.interval = std::move(joint.interval);
  r.critical_value = joint.critical_value;
  std::vector<double> log_days;
  for (const double day : days) log_days.push_back(std::log1p(day));
  r.per_day = WeightedTrendJoint(days, r.effect, r.covariance, alpha);
  r.per_log_day = WeightedTrendJoint(log_days, r.effect, r.covariance, alpha);
  r.chi2_equal = EqualityChiSquare(r.effect, r.covariance, &r.df_equal);
  r.p_equal = r.df_equal > 0 ? ChiSquareSf(r.chi2_equal, r.df_equal) : 1;
  CompareHalves(&r);
  r.verdict = Judge(r.per_day, days.front(), days.back(), alpha);
  return r;
}

CohortTrend AnalyseNoveltyByCohort(std::span<const NoveltyCohort> cohorts, double alpha) {
  CohortTrend r;
  std::vector<Estimate> slopes;
  for (const NoveltyCohort& c : cohorts) {
    r.cohorts.emplace_back();
    if (c.treatment.n() < 2 || c.control.n() < 2 || c.columns.size() < 2) {
      r.cohorts.back().reason = Reason::kTooFewUnits;
      continue;
    }
    EffectTrend& slope = r.cohorts.back();
    slope = AnalyseNovelty(c.treatment, c.control, c.columns, c.days, alpha).per_day;
    if (slope.reason == Reason::kNone) {
      slopes.push_back({slope.slope, slope.slope_se * slope.slope_se});
    }
  }
  if (slopes.empty()) {
    r.reason = r.per_day.reason = Reason::kTooFewUnits;
    return r;
  }
  const MetaResult joined = MetaAnalysis(slopes);
  Test(joined.fixed, joined.fixed_se, alpha, &r.per_day);
  r.q_slopes = joined.q;
  r.df_slopes = joined.df;
  r.p_slopes = joined.p_q;
  return r;
}

}  // namespace fulcrum::stats
