// SPDX-License-Identifier: Apache-2.0
#include "stats/factorial.h"

#include <Eigen/Dense>
#include <cmath>

#include "stats/distributions.h"
#include "stats/multiplicity.h"

namespace fulcrum::stats {
namespace {

Difference Tested(double value, double variance) {
  Difference d;
  d.diff = value;
  d.se = std::sqrt(variance);
  if (d.se > 0) {
    d.z = d.diff / d.se;
    d.p = TwoSidedNormalP(d.z);
  }
  return d;
}

class Table {
 public:
  Table(std::span<const Moments> cells, std::size_t columns) : cells_(cells), columns_(columns) {}

  std::size_t rows() const { return cells_.size() / columns_; }
  std::size_t columns() const { return columns_; }
  const Moments& At(std::size_t a, std::size_t b) const { return cells_[a * columns_ + b]; }
  double Mean(std::size_t a, std::size_t b) const {
    // Less the table's corner: every use is a contrast, and a high level would cost digits.
    return (At(a, b).mean - cells_[0].mean) + (At(a, b).mean_lo - cells_[0].mean_lo);
  }
  double Variance(std::size_t a, std::size_t b) const { return At(a, b).VarianceOfMean(); }

 private:
  std::span<const Moments> cells_;
  std::size_t columns_;
};

// Row `a` against row 0 over the columns first to last, equally weighted.
Difference RowEffect(const Table& t, std::size_t a, std::size_t columns) {
  double value = 0, variance = 0;
  for (std::size_t b = 0; b < columns; ++b) {
    value += t.Mean(a, b) - t.Mean(0, b);
    variance += t.Variance(a, b) + t.Variance(0, b);
  }
  const double k = static_cast<double>(columns);
  return Tested(value / k, variance / (k * k));
}

Difference ColumnEffect(const Table& t, std::size_t b, std::size_t rows) {
  double value = 0, variance = 0;
  for (std::size_t a = 0; a < rows; ++a) {
    value += t.Mean(a, b) - t.Mean(a, 0);
    variance += t.Variance(a, b) + t.Variance(a, 0);
  }
  const double k = static_cast<double>(rows);
  return Tested(value / k, variance / (k * k));
}

// Covariance of two pairs' interactions: they share the corner, a row's or a column's control.
double Covariance(const Table& t, const InteractionCell& x, const InteractionCell& y) {
  double v = t.Variance(0, 0);
  if (x.a == y.a) v += t.Variance(x.a, 0);
  if (x.b == y.b) v += t.Variance(0, x.b);
  if (x.a == y.a && x.b == y.b) v += t.Variance(x.a, x.b);
  return v;
}

}  // namespace

FactorialAnalysis AnalyseFactorial(std::span<const Moments> cells, std::size_t columns,
                                   double alpha) {
  FactorialAnalysis r;
  const Table t(cells, columns);
  for (const Moments& m : cells) {
    if (m.n < 2) r.reason = Reason::kTooFewUnits;
  }
  if (r.reason != Reason::kNone) return r;
  for (std::size_t a = 1; a < t.rows(); ++a) {
    r.main_a.push_back(RowEffect(t, a, columns));
    r.a_without_b.push_back(RowEffect(t, a, 1));
    for (std::size_t b = 1; b < columns; ++b) r.cells.push_back({a, b, {}, 1, {}});
  }
  for (std::size_t b = 1; b < columns; ++b) {
    r.main_b.push_back(ColumnEffect(t, b, t.rows()));
    r.b_without_a.push_back(ColumnEffect(t, b, 1));
  }
  const auto k = static_cast<Eigen::Index>(r.cells.size());
  Eigen::VectorXd value(k);
  std::vector<double> covariance, z;
  for (Eigen::Index i = 0; i < k; ++i) {
    InteractionCell& x = r.cells[static_cast<std::size_t>(i)];
    value[i] = t.Mean(x.a, x.b) - t.Mean(x.a, 0) - (t.Mean(0, x.b) - t.Mean(0, 0));
    for (const InteractionCell& y : r.cells) covariance.push_back(Covariance(t, x, y));
    x.interaction = Tested(value[i], Covariance(t, x, x));
    z.push_back(x.interaction.z);
  }
  const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> v(
      covariance.data(), k, k);
  const Eigen::LDLT<Eigen::MatrixXd> factor(v);
  if (!(v.diagonal().minCoeff() > 0) || !(factor.vectorD().minCoeff() > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  r.chi2 = value.dot(factor.solve(value));
  r.df = static_cast<double>(k);
  r.p = ChiSquareSf(r.chi2, r.df);
  const auto correlation = CorrelationOf(covariance);
  r.critical_value = SimultaneousCriticalValue(correlation, alpha);
  const auto p = SimultaneousPValues(correlation, z);
  for (std::size_t i = 0; i < r.cells.size(); ++i) {
    InteractionCell& x = r.cells[i];
    const double half = r.critical_value * x.interaction.se;
    x.interval = {x.interaction.diff - half, x.interaction.diff + half};
    x.p_adjusted = p[i];
  }
  return r;
}

}  // namespace fulcrum::stats
