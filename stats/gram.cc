// SPDX-License-Identifier: Apache-2.0
#include "stats/gram.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "stats/two_sum.h"

namespace fulcrum::stats {
namespace {

// Rows folded at once: enough to amortise the merge, few enough to stay in the cache.
constexpr std::size_t kBlockRows = 128;

bool AllFinite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
}

}  // namespace

Gram::Gram(std::size_t width)
    : mean_(width, 0.0), mean_lo_(width, 0.0), cross_(width * (width + 1) / 2, 0.0) {}

std::optional<Gram> Gram::FromParts(std::int64_t n, std::vector<double> means,
                                    std::vector<double> packed_lower,
                                    std::vector<double> mean_residues) {
  const std::size_t width = means.size();
  if (mean_residues.empty()) mean_residues.assign(width, 0.0);
  if (n < 0 || packed_lower.size() != width * (width + 1) / 2 || mean_residues.size() != width) {
    return std::nullopt;
  }
  if (!AllFinite(means) || !AllFinite(packed_lower) || !AllFinite(mean_residues)) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < width; ++i) {
    if (packed_lower[Index(i, i)] < 0) return std::nullopt;
  }
  Gram result;
  result.n_ = n;
  result.mean_ = std::move(means);
  result.mean_lo_ = std::move(mean_residues);
  result.cross_ = std::move(packed_lower);
  return result;
}

void Gram::Add(std::span<const double> row) { AddRepeated(row, 1); }

void Gram::AddRepeated(std::span<const double> row, std::int64_t count) {
  assert(row.size() == width());
  if (count <= 0) return;
  const double a = static_cast<double>(n_);
  const double b = static_cast<double>(count);
  const double product_weight = a * b / (a + b);
  const double mean_weight = b / (a + b);
  n_ += count;
  // Deltas of earlier columns are needed again by later ones; they are small in number, and the
  // stack buffer covers every realistic width without an allocation per unit.
  double small[64];
  std::vector<double> large;
  double* delta = small;
  if (width() > std::size(small)) {
    large.resize(width());
    delta = large.data();
  }
  double* cross = cross_.data();
  for (std::size_t i = 0; i < width(); ++i) {
    delta[i] = (row[i] - mean_[i]) - mean_lo_[i];
    AddTo(delta[i] * mean_weight, mean_[i], mean_lo_[i]);
    const double scaled = delta[i] * product_weight;
    for (std::size_t j = 0; j <= i; ++j) cross[j] += scaled * delta[j];
    cross += i + 1;
  }
}

void Gram::AddRows(std::span<const double> rows) {
  const std::size_t k = width();
  if (k == 0) return;
  assert(rows.size() % k == 0);
  const std::size_t total = rows.size() / k;
  std::vector<double> block_mean(k), block_lo(k), centred(k), cross(cross_.size());
  for (std::size_t begin = 0; begin < total; begin += kBlockRows) {
    const std::size_t count = std::min(kBlockRows, total - begin);
    const double* block = rows.data() + begin * k;
    // The block's mean relative to its first row: exact enough at any distance from zero.
    std::fill(centred.begin(), centred.end(), 0.0);
    for (std::size_t r = 1; r < count; ++r) {
      for (std::size_t i = 0; i < k; ++i) centred[i] += block[r * k + i] - block[i];
    }
    for (std::size_t i = 0; i < k; ++i) {
      block_mean[i] = block[i];
      block_lo[i] = 0;
      AddTo(centred[i] / static_cast<double>(count), block_mean[i], block_lo[i]);
    }
    std::fill(cross.begin(), cross.end(), 0.0);
    for (std::size_t r = 0; r < count; ++r) {
      const double* row = block + r * k;
      for (std::size_t i = 0; i < k; ++i) centred[i] = (row[i] - block_mean[i]) - block_lo[i];
      double* out = cross.data();
      for (std::size_t i = 0; i < k; ++i) {
        const double d = centred[i];
        for (std::size_t j = 0; j <= i; ++j) out[j] += d * centred[j];
        out += i + 1;
      }
    }
    MergeParts(static_cast<std::int64_t>(count), block_mean.data(), block_lo.data(), cross.data());
  }
}

void Gram::MergeParts(std::int64_t n, const double* mean, const double* mean_lo,
                      const double* cross) {
  if (n_ == 0) {
    // Copied, because going through a difference from zero would round the residues away.
    n_ = n;
    std::copy(mean, mean + width(), mean_.begin());
    std::copy(mean_lo, mean_lo + width(), mean_lo_.begin());
    std::copy(cross, cross + cross_.size(), cross_.begin());
    return;
  }
  const double a = static_cast<double>(n_);
  const double b = static_cast<double>(n);
  const double product_weight = a * b / (a + b);
  const double mean_weight = b / (a + b);
  n_ += n;
  std::vector<double> delta(width());
  std::size_t at = 0;
  for (std::size_t i = 0; i < width(); ++i) {
    delta[i] = (mean[i] - mean_[i]) + (mean_lo[i] - mean_lo_[i]);
    AddTo(delta[i] * mean_weight, mean_[i], mean_lo_[i]);
    const double scaled = delta[i] * product_weight;
    for (std::size_t j = 0; j <= i; ++j, ++at) cross_[at] += cross[at] + scaled * delta[j];
  }
}

void Gram::Merge(const Gram& other) {
  if (other.n_ == 0) {
    if (width() == 0) *this = other;
    return;
  }
  if (n_ == 0) {
    assert(width() == 0 || width() == other.width());
    *this = other;
    return;
  }
  assert(width() == other.width());
  MergeParts(other.n_, other.mean_.data(), other.mean_lo_.data(), other.cross_.data());
}

double Gram::covariance(std::size_t i, std::size_t j) const {
  return n_ >= 2 ? centred(i, j) / static_cast<double>(n_ - 1) : 0.0;
}

Moments Gram::moments(std::size_t i) const {
  return {n_, mean_[i], cross_[Index(i, i)], mean_lo_[i]};
}

Gram Gram::Select(std::span<const std::size_t> indices) const {
  Gram result(indices.size());
  result.n_ = n_;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    result.mean_[i] = mean_[indices[i]];
    result.mean_lo_[i] = mean_lo_[indices[i]];
    for (std::size_t j = 0; j <= i; ++j) {
      result.cross_[Index(i, j)] = centred(indices[i], indices[j]);
    }
  }
  return result;
}

Moments Gram::Combine(std::span<const double> coefficients) const {
  return Transform(coefficients).moments(0);
}

Gram Gram::Transform(std::span<const double> coefficients) const {
  const std::size_t k = width();
  assert(k > 0 && coefficients.size() % k == 0);
  const std::size_t rows = coefficients.size() / k;
  Gram result(rows);
  result.n_ = n_;
  std::vector<double> product(k);
  for (std::size_t r = 0; r < rows; ++r) {
    const double* left = coefficients.data() + r * k;
    for (std::size_t i = 0; i < k; ++i) {
      AddTo(left[i] * mean_[i], result.mean_[r], result.mean_lo_[r]);
      AddTo(left[i] * mean_lo_[i], result.mean_[r], result.mean_lo_[r]);
      product[i] = 0;
      for (std::size_t j = 0; j < k; ++j) product[i] += left[j] * centred(i, j);
    }
    for (std::size_t s = 0; s <= r; ++s) {
      const double* right = coefficients.data() + s * k;
      double sum = 0;
      for (std::size_t i = 0; i < k; ++i) sum += right[i] * product[i];
      // A difference of equal columns must come out as zero, not as a tiny negative sum.
      result.cross_[Index(r, s)] = r == s ? std::max(sum, 0.0) : sum;
    }
  }
  return result;
}

}  // namespace fulcrum::stats
