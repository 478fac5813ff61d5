// SPDX-License-Identifier: Apache-2.0
//
// The reference's variance of a mean time whose observations are not independent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/plan.h"

namespace fulcrum::store {

struct ReferenceObservation {
  int64_t time_ms = 0;
  bool event = false;
  std::string cluster;
};

// Fills n_clusters and clustered_variance of a table whose rows are made: every observation's
// influence, written out.
void AddReferenceVariance(const std::vector<ReferenceObservation>& observed, double horizon_ms,
                          SurvivalTable* table);

}  // namespace fulcrum::store
