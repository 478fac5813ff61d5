// SPDX-License-Identifier: Apache-2.0
// Reads Gram matrices for the calculator, and refuses what is none.
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "stats/calc_input.h"

namespace fulcrum::stats {
namespace {

using Table = std::vector<std::vector<double>>;

// A symmetric k x k table.
Table Square(const Input& in, std::string_view name, std::size_t k) {
  Table table = in.Rows(name);
  if (table.size() != k || (k > 0 && table[0].size() != k)) {
    in.Fail(name, "must have " + std::to_string(k) + " rows and as many columns");
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (std::abs(table[i][j] - table[j][i]) > 1e-9 * (1 + std::abs(table[i][j]))) {
        in.Fail(name, "must be symmetric");
      }
    }
  }
  return table;
}

// `slack` is the rounding of the correlations that the numbers given can carry.
void RequireSemidefinite(const Input& in, std::string_view name, const Gram& gram, double slack) {
  const auto k = static_cast<Eigen::Index>(gram.width());
  Eigen::MatrixXd correlation = Eigen::MatrixXd::Identity(k, k);
  for (Eigen::Index i = 0; i < k; ++i) {
    for (Eigen::Index j = 0; j < i; ++j) {
      const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
      // Roots first: the product of two variances may leave the doubles.
      const double scale = std::sqrt(gram.centred(a, a)) * std::sqrt(gram.centred(b, b));
      if (!(scale > 0)) {
        if (gram.centred(a, b) != 0) in.Fail(name, "has a covariance with a constant column");
        continue;
      }
      correlation(i, j) = correlation(j, i) = gram.centred(a, b) / scale;
    }
  }
  if (k == 0) return;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(correlation, Eigen::EigenvaluesOnly);
  if (!(eigen.eigenvalues()[0] >= -(1e-7 + slack))) {
    in.Fail(name, "is not positive semidefinite: no data has these covariances");
  }
}

Gram FromRows(const Input& in, std::int64_t least) {
  const Table rows = in.Rows("rows");
  if (static_cast<std::int64_t>(rows.size()) < least) {
    in.Fail("rows", "needs at least " + std::to_string(least) + " rows (insufficient data)");
  }
  Gram gram(rows.empty() ? 0 : rows[0].size());
  for (const auto& row : rows) gram.Add(row);
  for (const double x : gram.packed_lower()) {
    if (!std::isfinite(x)) in.Fail("rows", "hold values too large to square");
  }
  return gram;
}

Gram FromCovariance(const Input& in, std::int64_t n) {
  const auto mean = in.NumbersAtLeast("mean", 1);
  const Table cov = Square(in, "cov", mean.size());
  std::vector<double> packed;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    if (cov[i][i] < 0) in.Fail("cov", "has a negative variance");
    for (std::size_t j = 0; j <= i; ++j) packed.push_back(cov[i][j] * static_cast<double>(n - 1));
  }
  auto gram = Gram::FromParts(n, mean, std::move(packed));
  if (!gram) in.Fail("cov", "is too large");
  RequireSemidefinite(in, "cov", *gram, 0);
  return *std::move(gram);
}

// Totals and raw cross-products, centred here. What the centring cannot resolve (a column whose
// variance is below the rounding of its squares) is a constant.
Gram FromTotals(const Input& in, std::int64_t n) {
  const auto sum = in.NumbersAtLeast("sum", 1);
  const std::size_t k = sum.size();
  const Table cross = Square(in, "cross", k);
  const double count = static_cast<double>(n);
  std::vector<double> means(k), packed;
  std::vector<bool> constant(k);
  double slack = 0;
  for (std::size_t i = 0; i < k; ++i) {
    means[i] = sum[i] / count;
    const double m2 = std::fma(-means[i], sum[i], cross[i][i]);
    if (m2 < -1e-10 * std::abs(cross[i][i])) {
      in.Fail("cross", "has a diagonal below sum^2 / n, which cannot be");
    }
    constant[i] = m2 <= 1e-14 * std::abs(cross[i][i]);
    if (!constant[i]) slack = std::max(slack, 1e-13 * std::abs(cross[i][i]) / m2);
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      packed.push_back(constant[i] || constant[j] ? 0.0 : std::fma(-means[i], sum[j], cross[i][j]));
    }
  }
  auto gram = Gram::FromParts(n, std::move(means), std::move(packed));
  if (!gram) in.Fail("cross", "is not a table of cross-products");
  RequireSemidefinite(in, "cross", *gram, slack * static_cast<double>(k));
  return *std::move(gram);
}

}  // namespace

Gram ReadGram(const Input& in, std::int64_t least) {
  if (in.Has("rows")) return FromRows(in, least);
  const std::int64_t n = in.Count("n");
  if (n < least) in.Fail("n", "must be at least " + std::to_string(least) + " (insufficient data)");
  return in.Has("cov") ? FromCovariance(in, n) : FromTotals(in, n);
}

GramArms ReadArms(const Input& in, std::int64_t least) {
  GramArms arms{ReadGram(in.At("treatment"), least), ReadGram(in.At("control"), least)};
  if (arms.treatment.width() != arms.control.width()) {
    in.Fail("treatment", "and control must have the same columns");
  }
  return arms;
}

std::size_t Column(const Input& in, std::string_view name, std::size_t width,
                   std::optional<std::size_t> fallback) {
  if (fallback && !in.Has(name)) {
    if (*fallback >= width) in.Fail(name, "is missing");
    return *fallback;
  }
  const auto column = static_cast<std::size_t>(in.Count(name));
  if (column >= width) {
    in.Fail(name, "is not a column: they are numbered from 0 to " + std::to_string(width - 1));
  }
  return column;
}

std::vector<std::size_t> Columns(const Input& in, std::string_view name, std::size_t width) {
  std::vector<std::size_t> columns;
  if (!in.Has(name)) {
    for (std::size_t i = 0; i < width; ++i) columns.push_back(i);
    return columns;
  }
  for (const double x : in.NumbersAtLeast(name, 1)) {
    if (!(x >= 0) || x != std::floor(x) || x >= static_cast<double>(width)) {
      in.Fail(name, "must hold column numbers from 0 to " + std::to_string(width - 1));
    }
    columns.push_back(static_cast<std::size_t>(x));
  }
  return columns;
}

}  // namespace fulcrum::stats
