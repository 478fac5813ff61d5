// SPDX-License-Identifier: Apache-2.0
#include "store/reference_survival.h"

#include <algorithm>
#include <map>

namespace fulcrum::store {
namespace {

// ∫ of the survival curve from `from_ms` to the horizon.
double Area(const SurvivalTable& table, double from_ms, double horizon_ms) {
  double area = 0;
  double survival = 1;
  double at_ms = 0;
  for (const RiskRow& row : table.rows) {
    area += survival * std::max(0.0, row.time_ms - std::max(at_ms, from_ms));
    at_ms = row.time_ms;
    survival *= 1 - row.events / row.at_risk;
  }
  return area + survival * (horizon_ms - std::max(at_ms, from_ms));
}

}  // namespace

void AddReferenceVariance(const std::vector<ReferenceObservation>& observed, double horizon_ms,
                          SurvivalTable* table) {
  std::map<std::string, double> sums;
  for (const ReferenceObservation& one : observed) {
    const auto time_ms = static_cast<double>(one.time_ms);
    double influence = 0;
    for (const RiskRow& row : table->rows) {
      if (row.events == 0 || row.events == row.at_risk || row.time_ms > time_ms) continue;
      const double area = Area(*table, row.time_ms, horizon_ms);
      const double left = row.at_risk - row.events;
      influence += area * row.events / (row.at_risk * left);
      if (one.event && row.time_ms == time_ms) influence -= area / left;
    }
    sums[one.cluster] += influence;
  }
  const auto k = static_cast<double>(sums.size());
  table->n_clusters = k;
  if (k < 2) return;
  for (const auto& [cluster, sum] : sums) table->clustered_variance += sum * sum * k / (k - 1);
}

}  // namespace fulcrum::store
