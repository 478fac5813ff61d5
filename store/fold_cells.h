// SPDX-License-Identifier: Apache-2.0
//
// From rows to cells: shared by data with events and data with one row per unit.
#pragma once

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
  explicit GramBuffer(size_t width = 0) : gram_(width) {}

  void Add(std::span<const double> row) {
    if (row.empty()) {
      ++rows_without_columns_;
      return;
    }
    if (rows_.empty()) rows_.reserve(kRows * row.size());
    rows_.insert(rows_.end(), row.begin(), row.end());
    if (rows_.size() >= kRows * row.size()) Flush();
  }
  void Flush() {
    if (!rows_.empty()) gram_.AddRows(rows_);
    rows_.clear();
  }
  void Merge(GramBuffer* other) {
    Flush();
    other->Flush();
    gram_.Merge(other->gram_);
    rows_without_columns_ += other->rows_without_columns_;
    maturing += other->maturing;
  }
  stats::Gram Take() {
    Flush();
    if (rows_without_columns_ > 0) gram_.AddRepeated({}, rows_without_columns_);
    rows_without_columns_ = 0;
    return std::move(gram_);
  }
  bool empty() const {
    return gram_.n() == 0 && rows_.empty() && rows_without_columns_ == 0 && maturing == 0;
  }

  int64_t maturing = 0;

 private:
  static constexpr size_t kRows = 64;
  stats::Gram gram_;
  std::vector<double> rows_;
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
