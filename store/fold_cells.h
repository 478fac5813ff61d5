// SPDX-License-Identifier: Apache-2.0
//
// From rows to cells: shared by data with events and data with one row per unit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stats/gram.h"
#include "store/plan.h"

namespace fulcrum::store {

inline constexpr std::string_view kOtherSliceValue = "other";
inline constexpr std::string_view kAbsentSliceValue = "(none)";
inline constexpr std::string_view kCompoundSeparator = " / ";

// A Gram that takes rows one by one and adds them many at a time. A value type.
class GramBuffer {
 public:
  explicit GramBuffer(size_t width = 0) : gram_(width), width_(width) {}

  // Room for one row of `width` numbers, to be filled before the next call of anything.
  double* Next() {
    if (width_ == 0) {
      ++rows_without_columns_;
      return nullptr;
    }
    if (used_ == rows_.size()) {
      Flush();
      rows_.resize(kRows * width_);
    }
    double* row = rows_.data() + used_;
    used_ += width_;
    return row;
  }
  void Add(std::span<const double> row) {
    double* to = Next();
    if (to != nullptr) std::copy(row.begin(), row.end(), to);
  }
  void Flush() {
    if (used_ > 0) gram_.AddRows({rows_.data(), used_});
    used_ = 0;
  }
  void Merge(GramBuffer* other) {
    Flush();
    other->Flush();
    if (other->gram_.n() > 0) gram_.Merge(other->gram_);
    rows_without_columns_ += other->rows_without_columns_;
    maturing += other->maturing;
  }
  void Merge(const stats::Gram& gram, int64_t also_maturing) {
    Flush();
    if (gram.n() > 0) gram_.Merge(gram);
    maturing += also_maturing;
  }
  stats::Gram Take() {
    Flush();
    if (rows_without_columns_ > 0) gram_.AddRepeated({}, rows_without_columns_);
    rows_without_columns_ = 0;
    return std::exchange(gram_, stats::Gram(width_));
  }
  bool empty() const {
    return gram_.n() == 0 && used_ == 0 && rows_without_columns_ == 0 && maturing == 0;
  }

  int64_t maturing = 0;

 private:
  static constexpr size_t kRows = 128;
  stats::Gram gram_;
  size_t width_ = 0;
  std::vector<double> rows_;
  size_t used_ = 0;
  int64_t rows_without_columns_ = 0;  // A group without columns still counts its units.
};

// The rows of clusters by cell, kept while a cell has few: what goes to Cell::clusters.
class ClusterRows {
 public:
  explicit ClusterRows(size_t cells = 0) : rows_(cells), counts_(cells, 0) {}
  void Add(size_t cell, const std::vector<double>& row) {
    if (++counts_[cell] > kMaxClusterRows) {
      rows_[cell] = {};
    } else {
      rows_[cell].push_back(row);
    }
  }
  std::vector<std::vector<double>> Take(size_t cell) { return std::move(rows_[cell]); }

 private:
  std::vector<std::vector<std::vector<double>>> rows_;
  std::vector<size_t> counts_;
};

// The `max_values` most frequent of the values, ties in order of their text; the rest is
// kOtherSliceValue. `counts` maps values to units; returns values that stay, most frequent first.
std::vector<std::string> TopSliceValues(std::vector<std::pair<std::string, int64_t>> counts,
                                        int max_values);

// Type 7: linear interpolation between order statistics. Reorders `values`, which is not empty.
double QuantileType7(std::vector<double>* values, double q);

}  // namespace fulcrum::store
