// SPDX-License-Identifier: Apache-2.0
#include "stats/cuped.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "stats/distributions.h"
#include "stats/linear.h"
#include "stats/means.h"

namespace fulcrum::stats {
namespace {

double N(const Gram& gram) { return static_cast<double>(gram.n()); }

// Variance of the mean of sum_i gradient_i * column_i.
double VarianceAlong(const Gram& gram, std::span<const double> gradient) {
  return gram.Combine(gradient).VarianceOfMean();
}

}  // namespace

ThetaResult EstimateTheta(std::span<const Gram> arms, std::size_t outcome,
                          std::span<const std::size_t> covariates, CupedTheta kind) {
  const std::size_t k = covariates.size();
  std::vector<double> sxx(k * k, 0.0), sxy(k, 0.0);
  const auto add = [&](const Gram& gram) {
    for (std::size_t i = 0; i < k; ++i) {
      sxy[i] += gram.centred(covariates[i], outcome);
      for (std::size_t j = 0; j < k; ++j) {
        sxx[i * k + j] += gram.centred(covariates[i], covariates[j]);
      }
    }
  };
  // A covariate that is constant up to rounding of its mean carries nothing.
  std::vector<double> scale(k, 0.0);
  if (kind == CupedTheta::kPooled) {
    Gram pooled;
    for (const Gram& arm : arms) pooled.Merge(arm);
    add(pooled);
  } else {
    for (const Gram& arm : arms) add(arm);
  }
  for (const Gram& arm : arms) {
    for (std::size_t i = 0; i < k; ++i) {
      scale[i] += N(arm) * arm.mean(covariates[i]) * arm.mean(covariates[i]);
    }
  }
  constexpr double kRounding = 1e-13;
  for (std::size_t i = 0; i < k; ++i) {
    if (sxx[i * k + i] > kRounding * kRounding * scale[i]) continue;
    sxx[i * k + i] = 0;
  }
  LinearSolution solution = SolveSemidefinite(sxx, sxy);
  return {std::move(solution.x), solution.rank};
}

RidgeTheta EstimateRidgeTheta(const Gram& pooled, std::size_t outcome,
                              std::span<const std::size_t> covariates) {
  const auto k = static_cast<Eigen::Index>(covariates.size());
  RidgeTheta result;
  result.theta.assign(covariates.size(), 0.0);
  const double n = N(pooled), syy = pooled.centred(outcome, outcome);
  if (k == 0 || n < 3 || !(syy > 0)) return result;
  Eigen::MatrixXd r(k, k);
  Eigen::VectorXd c(k), scale(k);
  for (Eigen::Index i = 0; i < k; ++i) {
    const double s = pooled.centred(covariates[static_cast<std::size_t>(i)],
                                    covariates[static_cast<std::size_t>(i)]);
    scale[i] = s > 0 ? 1 / std::sqrt(s) : 0.0;
  }
  for (Eigen::Index i = 0; i < k; ++i) {
    const std::size_t ci = covariates[static_cast<std::size_t>(i)];
    c[i] = pooled.centred(ci, outcome) * scale[i] / std::sqrt(syy);
    for (Eigen::Index j = 0; j < k; ++j) {
      r(i, j) = pooled.centred(ci, covariates[static_cast<std::size_t>(j)]) * scale[i] * scale[j];
    }
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(r);
  const Eigen::VectorXd d = eigen.eigenvalues().cwiseMax(0.0);
  const Eigen::VectorXd q = eigen.eigenvectors().transpose() * c;
  const auto live = [&](Eigen::Index i) { return d[i] > 1e-9; };
  // GCV over a grid of penalties, in units of the standardised Gram (eigenvalues average 1).
  double best = std::numeric_limits<double>::infinity(), best_penalty = 0;
  for (int step = -1; step <= 60; ++step) {
    const double penalty = step < 0 ? 0.0 : std::pow(10.0, -6 + 0.125 * step);
    double rss = 1, df = 1;
    for (Eigen::Index i = 0; i < k; ++i) {
      if (!live(i)) continue;
      const double shrink = d[i] / (d[i] + penalty);
      rss -= q[i] * q[i] / d[i] * (2 * shrink - shrink * shrink);
      df += shrink;
    }
    if (df >= n) continue;
    const double gcv = std::max(rss, 0.0) / ((1 - df / n) * (1 - df / n));
    if (gcv < best) {
      best = gcv;
      best_penalty = penalty;
    }
  }
  Eigen::VectorXd beta = Eigen::VectorXd::Zero(k);
  for (Eigen::Index i = 0; i < k; ++i) {
    if (!live(i)) continue;
    beta += eigen.eigenvectors().col(i) * (q[i] / (d[i] + best_penalty));
    ++result.rank;
    result.effective_df += d[i] / (d[i] + best_penalty);
  }
  result.lambda = best_penalty;
  for (Eigen::Index i = 0; i < k; ++i) {
    result.theta[static_cast<std::size_t>(i)] = beta[i] * scale[i] * std::sqrt(syy);
  }
  return result;
}

CupedResult Cuped(const Gram& treatment, const Gram& control, std::size_t outcome,
                  std::span<const std::size_t> covariates, std::span<const double> theta,
                  double alpha) {
  CupedResult r;
  r.theta.assign(theta.begin(), theta.end());
  if (treatment.n() < 2 || control.n() < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const WelchResult raw = Welch(treatment.moments(outcome), control.moments(outcome), alpha);
  r.diff_unadjusted = raw.diff;
  r.se_unadjusted = raw.se;
  std::vector<double> along(treatment.width(), 0.0);
  along[outcome] = 1;
  double shift = 0;  // theta' (mean X over both arms): brings Y - theta'X back to Y's own level
  const double total = N(treatment) + N(control);
  for (std::size_t i = 0; i < covariates.size(); ++i) {
    along[covariates[i]] -= theta[i];
    shift += theta[i] * (treatment.mean(covariates[i]) * (N(treatment) / total) +
                         control.mean(covariates[i]) * (N(control) / total));
  }
  r.adjusted_treatment = treatment.Combine(along);
  r.adjusted_control = control.Combine(along);
  const WelchResult student = Welch(r.adjusted_treatment, r.adjusted_control, alpha);
  const WelchResult normal = FromEstimate(student.diff, student.se, kInfinity, alpha);
  r.adjusted_treatment.mean += shift;
  r.adjusted_control.mean += shift;
  r.diff = student.diff;
  r.se = student.se;
  r.z = normal.t;
  r.p_z = normal.p;
  r.interval = normal.interval;
  r.df = student.df;
  r.p_t = student.p;
  r.interval_t = student.interval;
  r.reason = student.reason;
  if (r.se_unadjusted > 0) {
    r.variance_reduction = 1 - (r.se / r.se_unadjusted) * (r.se / r.se_unadjusted);
  }
  return r;
}

CupedResult Cuped(const Gram& treatment, const Gram& control, std::size_t outcome,
                  std::span<const std::size_t> covariates, CupedTheta kind, double alpha) {
  const Gram arms[] = {treatment, control};
  const ThetaResult theta = EstimateTheta(arms, outcome, covariates, kind);
  CupedResult r = Cuped(treatment, control, outcome, covariates, theta.theta, alpha);
  r.rank = theta.rank;
  return r;
}

CupedLift CupedRelativeLift(const Gram& treatment, const Gram& control, std::size_t outcome,
                            std::span<const std::size_t> covariates, std::span<const double> theta,
                            double alpha) {
  CupedLift r;
  if (treatment.n() < 2 || control.n() < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const double base = control.mean(outcome);
  if (base == 0) {
    r.reason = Reason::kDenominatorNearZero;
    return r;
  }
  const double size = std::abs(base), sign = base > 0 ? 1.0 : -1.0;
  double adjustment = 0;
  std::vector<double> g_t(treatment.width(), 0.0), g_c(treatment.width(), 0.0);
  for (std::size_t i = 0; i < covariates.size(); ++i) {
    adjustment += theta[i] * (treatment.mean(covariates[i]) - control.mean(covariates[i]));
    g_t[covariates[i]] -= theta[i] / size;
    g_c[covariates[i]] += theta[i] / size;
  }
  const double diff = treatment.mean(outcome) - base - adjustment;
  r.lift = diff / size;
  g_t[outcome] += 1 / size;
  const double var_t = VarianceAlong(treatment, g_t);
  // d/d(base) of (T - base - a) / |base| is -(|base| + sign (T - base - a)) / base^2.
  const auto var_c = [&](double term) {
    std::vector<double> g = g_c;
    g[outcome] += -(size + sign * (treatment.mean(outcome) - base - term)) / (base * base);
    return VarianceAlong(control, g);
  };
  r.se = std::sqrt(var_t + var_c(adjustment));
  r.se_without_covariate_term = std::sqrt(var_t + var_c(0));
  r.interval = {r.lift - CriticalZ(alpha) * r.se, r.lift + CriticalZ(alpha) * r.se};
  return r;
}

double RatioTheta(const Gram& treatment, const Gram& control, RatioColumns c) {
  double cov = 0, var = 0;
  for (const Gram* gram : {&treatment, &control}) {
    if (gram->mean(c.den) == 0 || gram->mean(c.pre_den) == 0 || gram->n() < 2) continue;
    std::vector<double> both(2 * gram->width(), 0.0);
    both[c.num] += 1 / gram->mean(c.den);
    both[c.den] -= gram->mean(c.num) / (gram->mean(c.den) * gram->mean(c.den));
    double* pre = both.data() + gram->width();
    pre[c.pre_num] += 1 / gram->mean(c.pre_den);
    pre[c.pre_den] -= gram->mean(c.pre_num) / (gram->mean(c.pre_den) * gram->mean(c.pre_den));
    const Gram linear = gram->Transform(both);
    cov += linear.covariance(0, 1);
    var += linear.variance(1);
  }
  return var > 0 ? cov / var : 0.0;
}

RatioCupedResult RatioCuped(const Gram& treatment, const Gram& control, RatioColumns c,
                            double theta, double alpha) {
  RatioCupedResult r;
  r.theta = theta;
  if (treatment.n() < 2 || control.n() < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const auto usable = [&](const Gram& g) {
    return g.mean(c.den) != 0 && (theta == 0 || g.mean(c.pre_den) != 0);
  };
  if (!usable(treatment) || !usable(control)) {
    r.reason = Reason::kDenominatorNearZero;
    return r;
  }
  const auto ratio = [](const Gram& g, std::size_t num, std::size_t den) {
    return g.mean(den) != 0 ? g.mean(num) / g.mean(den) : 0.0;
  };
  // Gradient of post * R - pre * theta * R_pre in the four means of one arm.
  const auto variance = [&](const Gram& g, double post, double pre) {
    std::vector<double> along(g.width(), 0.0);
    along[c.num] += post / g.mean(c.den);
    along[c.den] -= post * ratio(g, c.num, c.den) / g.mean(c.den);
    if (theta != 0) {
      along[c.pre_num] -= pre * theta / g.mean(c.pre_den);
      along[c.pre_den] += pre * theta * ratio(g, c.pre_num, c.pre_den) / g.mean(c.pre_den);
    }
    return VarianceAlong(g, along);
  };
  const double base = ratio(control, c.num, c.den);
  const double raw = ratio(treatment, c.num, c.den) - base;
  const double adjustment =
      theta * (ratio(treatment, c.pre_num, c.pre_den) - ratio(control, c.pre_num, c.pre_den));
  r.diff = raw - adjustment;
  r.se = std::sqrt(variance(treatment, 1, 1) + variance(control, 1, 1));
  const double z = CriticalZ(alpha);
  r.interval = {r.diff - z * r.se, r.diff + z * r.se};
  if (base == 0) {
    r.reason = Reason::kDenominatorNearZero;
    return r;
  }
  const double size = std::abs(base), sign = base > 0 ? 1.0 : -1.0;
  r.lift = r.diff / size;
  const double var_t = variance(treatment, 1 / size, 1 / size);
  const auto var_c = [&](double term) {
    return variance(control, (size + sign * (raw - term)) / (base * base), 1 / size);
  };
  r.se_lift = std::sqrt(var_t + var_c(adjustment));
  r.se_lift_without_covariate_term = std::sqrt(var_t + var_c(0));
  r.lift_interval = {r.lift - z * r.se_lift, r.lift + z * r.se_lift};
  return r;
}

}  // namespace fulcrum::stats
