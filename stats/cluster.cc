// SPDX-License-Identifier: Apache-2.0
#include "stats/cluster.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>

#include "stats/distributions.h"
#include "stats/means.h"

namespace fulcrum::stats {
namespace {

// One arm's mean with its CR2 variance. `trace` and `trace2` are those of the quadratic form that
// the variance is, for independent units of unit variance: E = trace, Var = 2 trace2.
struct ArmMean {
  std::size_t clusters = 0;
  double mean = 0;
  double variance = 0;
  double trace = 0;
  double trace2 = 0;
  bool valid = true;
};

ArmMean OfRows(std::span<const ClusterRow> rows) {
  ArmMean arm;
  double size = 0, sum = 0;
  for (const ClusterRow& row : rows) {
    if (!(row.size >= 0) || (row.size == 0 && row.sum != 0)) arm.valid = false;
    if (!(row.size > 0)) continue;
    ++arm.clusters;
    size += row.size;
    sum += row.sum;
  }
  if (arm.clusters == 0) return arm;
  arm.mean = sum / size;
  // With h = size_g / size: (I - H_gg)^(-1/2) scales a cluster's residual sum by 1/sqrt(1 - h).
  double h2 = 0, h2_free = 0, h4_free = 0;
  for (const ClusterRow& row : rows) {
    if (!(row.size > 0)) continue;
    const double h = row.size / size, free = 1 - h;
    if (!(free > 1e-12)) continue;  // one cluster holds everything: fitted exactly
    const double residual = (row.sum - arm.mean * row.size) / size;
    arm.variance += residual * residual / free;
    h2 += h * h;
    h2_free += h * h / free;
    h4_free += h * h * h * h / (free * free);
  }
  arm.trace = 1 / size;
  arm.trace2 = (h2 + h2_free * h2_free - h4_free) / size / size;
  return arm;
}

ArmMean OfGram(const Gram& gram, std::size_t sum, std::size_t size) {
  ArmMean arm;
  arm.clusters = static_cast<std::size_t>(gram.n());
  const double g = static_cast<double>(gram.n()), mean_size = gram.mean(size);
  if (!(mean_size > 0)) {
    arm.clusters = 0;
    return arm;
  }
  arm.mean = gram.mean(sum) / mean_size;
  const double total = g * mean_size;
  const double squares = gram.centred(sum, sum) - 2 * arm.mean * gram.centred(sum, size) +
                         arm.mean * arm.mean * gram.centred(size, size);
  arm.variance = std::max(0.0, squares) / total / total * (g / (g - 1));
  const double effective = g / (1 + gram.centred(size, size) / g / (mean_size * mean_size));
  arm.trace = 1 / total;
  arm.trace2 = 1 / std::max(1.0, effective - 1) / total / total;
  return arm;
}

ClusterResult Compare(const ArmMean& t, const ArmMean& c, double alpha) {
  ClusterResult r;
  r.clusters_treatment = t.clusters;
  r.clusters_control = c.clusters;
  r.few_clusters = t.clusters + c.clusters < kFewClusters;
  if (!t.valid || !c.valid) {
    r.reason = Reason::kInvalidInput;
    return r;
  }
  r.mean_treatment = t.mean;
  r.mean_control = c.mean;
  if (t.clusters < 2 || c.clusters < 2) {
    r.diff = t.clusters > 0 && c.clusters > 0 ? t.mean - c.mean : 0.0;
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  r.var_treatment = t.variance;
  r.var_control = c.variance;
  const double trace = t.trace + c.trace;
  const double shares = t.trace2 / (trace * trace) + c.trace2 / (trace * trace);
  const WelchResult w =
      FromEstimate(t.mean - c.mean, std::sqrt(t.variance + c.variance), 1 / shares, alpha);
  r.diff = w.diff;
  r.se = w.se;
  r.df = w.df;
  r.t = w.t;
  r.p = w.p;
  r.interval = w.interval;
  r.reason = w.reason;
  r.lift = RelativeLift({t.mean, t.variance}, {c.mean, c.variance}, alpha, w.df);
  return r;
}

}  // namespace

ClusterResult ClusterDifference(std::span<const ClusterRow> treatment,
                                std::span<const ClusterRow> control, double alpha) {
  return Compare(OfRows(treatment), OfRows(control), alpha);
}

ClusterResult ClusterDifference(const Gram& treatment, const Gram& control, std::size_t sum,
                                std::size_t size, double alpha) {
  if (treatment.n() < 2 || control.n() < 2) {
    ClusterResult r;
    r.clusters_treatment = static_cast<std::size_t>(treatment.n());
    r.clusters_control = static_cast<std::size_t>(control.n());
    r.few_clusters = true;
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  return Compare(OfGram(treatment, sum, size), OfGram(control, sum, size), alpha);
}

namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

// Orthonormal basis of the design's columns, in the order given, and which columns it kept.
struct Basis {
  Matrix q;
  std::vector<Eigen::Index> kept;
};
Basis Orthonormalise(const Matrix& x) {
  Basis basis{Matrix(x.rows(), std::min(x.rows(), x.cols())), {}};
  for (Eigen::Index j = 0; j < x.cols(); ++j) {
    const auto used = static_cast<Eigen::Index>(basis.kept.size());
    if (used == basis.q.cols()) break;
    Vector v = x.col(j);
    for (int pass = 0; pass < 2; ++pass) {
      v -= basis.q.leftCols(used) * (basis.q.leftCols(used).transpose() * v);
    }
    if (!(v.norm() > 1e-9 * x.col(j).norm())) continue;
    basis.q.col(used) = v / v.norm();
    basis.kept.push_back(j);
  }
  basis.q.conservativeResize(Eigen::NoChange, static_cast<Eigen::Index>(basis.kept.size()));
  return basis;
}

// (I - Q_g Q_g')^(-1/2) Q_g = Q_g V diag(1 / sqrt(1 - d)) V' with Q_g'Q_g = V diag(d) V'. A
// direction the cluster alone determines (d = 1) is fitted exactly and adds nothing
// (Moore-Penrose).
Matrix Adjustment(const Matrix& cross) {
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(cross);
  Vector scale = eigen.eigenvalues();
  for (double& d : scale) d = 1 - d > 1e-10 ? 1 / std::sqrt(1 - d) : 0.0;
  return eigen.eigenvectors() * scale.asDiagonal() * eigen.eigenvectors().transpose();
}

// One cluster's part in the meat of the sandwich, in the basis Q.
struct Part {
  Vector score;   // Q_g' e_g
  Matrix adjust;  // turns Q_g into A_g Q_g from the right
  Matrix cross;   // Q_g' Q_g
};

std::vector<Part> Parts(const Matrix& q, const Vector& residual,
                        std::span<const std::size_t> cluster) {
  std::map<std::size_t, std::vector<Eigen::Index>> members;
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    members[cluster[i]].push_back(static_cast<Eigen::Index>(i));
  }
  std::vector<Part> parts;
  for (const auto& [name, rows] : members) {
    Matrix own(static_cast<Eigen::Index>(rows.size()), q.cols());
    Vector e(own.rows());
    for (Eigen::Index i = 0; i < own.rows(); ++i) {
      own.row(i) = q.row(rows[static_cast<std::size_t>(i)]);
      e[i] = residual[rows[static_cast<std::size_t>(i)]];
    }
    Matrix cross = own.transpose() * own;
    Matrix adjust = Adjustment(cross);
    parts.push_back({own.transpose() * e, std::move(adjust), std::move(cross)});
  }
  return parts;
}

// Satterthwaite: with a_g = A_g Q_g row and q_g = Q_g'a_g the quadratic form of the CR2 variance is
// B_gk = [g = k] a_g'a_g - q_g'q_k, and the degrees of freedom are tr(B)^2 / tr(B^2).
double SatterthwaiteOf(const std::vector<Part>& parts, const Vector& row) {
  double trace = 0, trace2 = 0;
  Matrix outer = Matrix::Zero(row.size(), row.size());
  for (const Part& part : parts) {
    const Vector a = part.adjust * row, q = part.cross * a;
    const double own = a.dot(part.cross * a), self = q.squaredNorm();
    trace += own - self;
    trace2 += (own - self) * (own - self) - self * self;
    outer += q * q.transpose();
  }
  trace2 += outer.squaredNorm();
  return trace2 > 0 ? trace * trace / trace2 : 0.0;
}

}  // namespace

ClusteredRegression ClusteredLeastSquares(std::span<const double> y, std::span<const double> design,
                                          std::size_t columns,
                                          std::span<const std::size_t> cluster) {
  ClusteredRegression r;
  for (auto* v : {&r.coefficient, &r.se_cr0, &r.se_cr1, &r.se_cr2, &r.df}) v->assign(columns, 0.0);
  const auto n = static_cast<Eigen::Index>(y.size());
  const Matrix x =
      Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
          design.data(), n, static_cast<Eigen::Index>(columns));
  const Eigen::Map<const Vector> response(y.data(), n);
  const Basis basis = Orthonormalise(x);
  const auto p = static_cast<Eigen::Index>(basis.kept.size());
  // In the basis Q the fit is Q'y; with X = Q R a coefficient is row j of R^-1 times that.
  const Vector fitted = basis.q.transpose() * response;
  const std::vector<Part> parts = Parts(basis.q, response - basis.q * fitted, cluster);
  r.rank = static_cast<std::size_t>(p);
  r.clusters = parts.size();
  if (p == 0 || n <= p || parts.size() < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  Matrix triangle(p, p);
  for (Eigen::Index j = 0; j < p; ++j) {
    triangle.col(j) = basis.q.transpose() * x.col(basis.kept[static_cast<std::size_t>(j)]);
  }
  const Matrix inverse = triangle.triangularView<Eigen::Upper>().solve(Matrix::Identity(p, p));
  const Vector beta = inverse * fitted;
  const double g = static_cast<double>(parts.size()), units = static_cast<double>(n);
  const double cr1 = g / (g - 1) * (units - 1) / (units - static_cast<double>(p));
  for (Eigen::Index j = 0; j < p; ++j) {
    const Vector row = inverse.row(j).transpose();
    const auto at = static_cast<std::size_t>(basis.kept[static_cast<std::size_t>(j)]);
    double v0 = 0, v2 = 0;
    for (const Part& part : parts) {
      const double plain = row.dot(part.score), adjusted = row.dot(part.adjust * part.score);
      v0 += plain * plain;
      v2 += adjusted * adjusted;
    }
    r.coefficient[at] = beta[j];
    r.se_cr0[at] = std::sqrt(v0);
    r.se_cr1[at] = std::sqrt(v0 * cr1);
    r.se_cr2[at] = std::sqrt(v2);
    r.df[at] = SatterthwaiteOf(parts, row);
  }
  return r;
}

}  // namespace fulcrum::stats
