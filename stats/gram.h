// SPDX-License-Identifier: Apache-2.0
// One Gram matrix per arm and slice: n, means and centred cross-products of every metric,
// denominator and covariate together. Proportions, means, ratios, CUPED and funnels are linear
// algebra on this one small matrix; shards and days merge by `Merge`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stats/moments.h"

namespace fulcrum::stats {

// Sufficient statistics of `width` variables observed together on the same units. A value type:
// distinct objects may be used from distinct threads, one object needs outside locking.
//
// Invariants: cross-products are centred (sum of (x_i - mean_i)(x_j - mean_j)) and symmetric, only
// the lower triangle is stored, row by row: (0,0), (1,0), (1,1), (2,0), ... Merging in any order or
// grouping agrees to about 1e-12 relative, also where a mean is 1e12 standard deviations from 0.
class Gram {
 public:
  Gram() = default;
  explicit Gram(std::size_t width);

  // Rebuilds what a store serialised. `mean_residues` may be empty (all zero). Nothing is returned
  // when the sizes disagree, n is negative, a value is not finite, or a diagonal entry is negative.
  static std::optional<Gram> FromParts(std::int64_t n, std::vector<double> means,
                                       std::vector<double> packed_lower,
                                       std::vector<double> mean_residues = {});

  // Adds one unit. REQUIRES row.size() == width(). Every value must be finite: one NaN would
  // spoil its column for good, so the caller checks where data enters.
  void Add(std::span<const double> row);

  // Adds rows.size() / width() units stored row after row; several times faster than Add in a
  // loop. REQUIRES rows.size() to be a multiple of width().
  void AddRows(std::span<const double> rows);

  // Adds `count` units that all have this same row (zeros of units without any event, say).
  void AddRepeated(std::span<const double> row, std::int64_t count);

  // Adds the units of `other`. REQUIRES equal widths, unless one of the two is empty and of
  // width 0. The units must be distinct from those already here.
  void Merge(const Gram& other);

  std::size_t width() const { return mean_.size(); }
  std::int64_t n() const { return n_; }
  double mean(std::size_t i) const { return mean_[i]; }

  // Centred sum of products of columns i and j.
  double centred(std::size_t i, std::size_t j) const { return cross_[Index(i, j)]; }

  // Unbiased covariance, centred / (n - 1); 0 when n < 2, so ask n first.
  double covariance(std::size_t i, std::size_t j) const;
  double variance(std::size_t i) const { return covariance(i, i); }

  // Column i alone.
  Moments moments(std::size_t i) const;

  // The Gram of the chosen columns, in the order given; an index may repeat.
  Gram Select(std::span<const std::size_t> indices) const;

  // Moments of sum_i coefficients[i] * column_i, as if it had been computed per unit.
  // REQUIRES coefficients.size() == width().
  Moments Combine(std::span<const double> coefficients) const;

  // Gram of several linear combinations; `coefficients` holds one row of width() per new column.
  Gram Transform(std::span<const double> coefficients) const;

  // The parts, for a store to serialise.
  const std::vector<double>& means() const { return mean_; }
  const std::vector<double>& mean_residues() const { return mean_lo_; }
  const std::vector<double>& packed_lower() const { return cross_; }

 private:
  static std::size_t Index(std::size_t i, std::size_t j) {
    return i >= j ? i * (i + 1) / 2 + j : j * (j + 1) / 2 + i;
  }
  // Chan's update with the other side given by its parts.
  void MergeParts(std::int64_t n, const double* mean, const double* mean_lo, const double* cross);

  std::int64_t n_ = 0;
  std::vector<double> mean_;
  std::vector<double> mean_lo_;
  std::vector<double> cross_;
};

}  // namespace fulcrum::stats
