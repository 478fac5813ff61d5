// SPDX-License-Identifier: Apache-2.0
#include "stats/lin.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "stats/linear.h"
#include "stats/means.h"

namespace fulcrum::stats {

RegressionResult LeastSquares(std::span<const double> y, std::span<const double> design,
                              std::size_t columns) {
  const auto n = static_cast<Eigen::Index>(y.size());
  const auto k = static_cast<Eigen::Index>(columns);
  RegressionResult r;
  for (auto* v : {&r.coefficient, &r.se_classical, &r.se_hc0, &r.se_hc1, &r.se_hc2, &r.se_hc3}) {
    v->assign(columns, 0.0);
  }
  const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>
      all(design.data(), n, k);
  const Eigen::Map<const Eigen::VectorXd> response(y.data(), n);
  // Gram-Schmidt in the order given decides which columns are kept; scale-free.
  std::vector<Eigen::Index> kept;
  Eigen::MatrixXd q(n, std::min(n, k));
  for (Eigen::Index j = 0; j < k && static_cast<Eigen::Index>(kept.size()) < q.cols(); ++j) {
    Eigen::VectorXd v = all.col(j);
    const double size = v.norm();
    const auto used = static_cast<Eigen::Index>(kept.size());
    for (int pass = 0; pass < 2; ++pass) {
      v -= q.leftCols(used) * (q.leftCols(used).transpose() * v);
    }
    if (!(v.norm() > 1e-9 * size)) continue;
    q.col(used) = v / v.norm();
    kept.push_back(j);
  }
  const auto p = static_cast<Eigen::Index>(kept.size());
  r.rank = static_cast<std::size_t>(p);
  r.df_residual = static_cast<double>(n - p);
  if (n <= p || p == 0) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const auto basis = q.leftCols(p);
  Eigen::MatrixXd x(n, p);
  for (Eigen::Index j = 0; j < p; ++j) x.col(j) = all.col(kept[static_cast<std::size_t>(j)]);
  // X = Q R, so that (X'X)^-1 X' = R^-1 Q'; R is solved, never inverted.
  const Eigen::MatrixXd triangle = basis.transpose() * x;
  const auto upper = triangle.triangularView<Eigen::Upper>();
  const Eigen::VectorXd beta = upper.solve(basis.transpose() * response);
  const Eigen::VectorXd residual = response - x * beta;
  const Eigen::MatrixXd influence = upper.solve(Eigen::MatrixXd(basis.transpose()));  // p x n
  const Eigen::VectorXd leverage = basis.rowwise().squaredNorm();
  const double s2 = residual.squaredNorm() / r.df_residual;
  const double hc1 = static_cast<double>(n) / r.df_residual;
  for (Eigen::Index j = 0; j < p; ++j) {
    double hc0 = 0, hc2 = 0, hc3 = 0, plain = 0;
    for (Eigen::Index i = 0; i < n; ++i) {
      const double w = influence(j, i) * influence(j, i), e2 = residual[i] * residual[i];
      // A unit fitted exactly (leverage 1) has residual 0 and adds nothing.
      const double free = std::max(1 - leverage[i], 1e-12);
      plain += w;
      hc0 += w * e2;
      hc2 += w * e2 / free;
      hc3 += w * e2 / (free * free);
    }
    const auto at = static_cast<std::size_t>(kept[static_cast<std::size_t>(j)]);
    r.coefficient[at] = beta[j];
    r.se_classical[at] = std::sqrt(s2 * plain);
    r.se_hc0[at] = std::sqrt(hc0);
    r.se_hc1[at] = std::sqrt(hc0 * hc1);
    r.se_hc2[at] = std::sqrt(hc2);
    r.se_hc3[at] = std::sqrt(hc3);
  }
  return r;
}

LinResult Lin(std::span<const double> y, std::span<const double> covariates, std::size_t k,
              std::span<const double> treated, bool interacted) {
  const std::size_t n = y.size(), columns = 2 + (interacted ? 2 * k : k);
  std::vector<double> mean(k, 0.0), design(n * columns);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      mean[j] += (covariates[i * k + j] - mean[j]) / static_cast<double>(i + 1);
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    double* row = design.data() + i * columns;
    row[0] = 1;
    row[1] = treated[i];
    for (std::size_t j = 0; j < k; ++j) {
      const double centred = covariates[i * k + j] - mean[j];
      row[2 + j] = centred;
      if (interacted) row[2 + k + j] = treated[i] * centred;
    }
  }
  const RegressionResult fit = LeastSquares(y, design, columns);
  return {fit.coefficient[1], fit.se_classical[1], fit.se_hc0[1],   fit.se_hc1[1],
          fit.se_hc2[1],      fit.se_hc3[1],       fit.df_residual, fit.reason};
}

LinGramResult LinFromGram(const Gram& treatment, const Gram& control, std::size_t outcome,
                          std::span<const std::size_t> covariates, double alpha) {
  LinGramResult r;
  const std::size_t k = covariates.size();
  Gram pooled = treatment;
  pooled.Merge(control);
  double value[2] = {}, variance[2] = {}, units[2] = {};
  std::vector<double> slope[2];
  const Gram* arms[] = {&treatment, &control};
  for (int a = 0; a < 2; ++a) {
    const Gram& g = *arms[a];
    std::vector<double> sxx(k * k), sxy(k);
    for (std::size_t i = 0; i < k; ++i) {
      sxy[i] = g.centred(covariates[i], outcome);
      for (std::size_t j = 0; j < k; ++j) sxx[i * k + j] = g.centred(covariates[i], covariates[j]);
    }
    const LinearSolution fit = SolveSemidefinite(sxx, sxy);
    const double free = static_cast<double>(g.n()) - static_cast<double>(fit.rank) - 1;
    if (free < 1) {
      r.reason = Reason::kTooFewUnits;
      return r;
    }
    std::vector<double> along(g.width(), 0.0);
    along[outcome] = 1;
    value[a] = g.mean(outcome);
    for (std::size_t i = 0; i < k; ++i) {
      along[covariates[i]] -= fit.x[i];
      value[a] -= fit.x[i] * (g.mean(covariates[i]) - pooled.mean(covariates[i]));
    }
    units[a] = free + 1;
    variance[a] = g.Combine(along).m2 / free / static_cast<double>(g.n());
    slope[a] = fit.x;
  }
  std::vector<double> difference(pooled.width(), 0.0);
  for (std::size_t i = 0; i < k; ++i) difference[covariates[i]] += slope[0][i] - slope[1][i];
  const double between = pooled.Combine(difference).VarianceOfMean();
  const double se = std::sqrt(variance[0] + variance[1] + between);
  const WelchResult w =
      FromEstimate(value[0] - value[1], se,
                   SatterthwaiteDf(variance[0], units[0], variance[1], units[1]), alpha);
  return {w.diff, w.se, w.df, w.t, w.p, w.interval, w.reason};
}

}  // namespace fulcrum::stats
