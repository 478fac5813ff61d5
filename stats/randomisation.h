// SPDX-License-Identifier: Apache-2.0
// Randomisation inference: the assignment itself is the only probability model.
//
// For few clusters or switchback blocks, where no large-sample error can be trusted. Assignments
// are redrawn as the experiment could have made them: the same numbers of treated and control rows
// inside each stratum (hash assignment is independent per cluster; given the numbers every split
// is equally likely). Exact under the sharp hypothesis that every unit's outcome moves by the same
// amount (Fisher 1935; Imbens and Rubin 2015, ch. 5); no shape is assumed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "stats/cluster.h"
#include "stats/types.h"

namespace fulcrum::stats {

struct RandomisationOptions {
  double alpha = 0.05;
  // Every assignment is enumerated where there are at most this many, else `draws` are sampled.
  double enumerate_at_most = 250000;
  std::size_t draws = 20000;
  std::uint64_t seed = 20240229;  // equal inputs and seed give equal answers on every machine
};

// One cluster or block: outcome sum and size (units), its arm and its stratum (any number).
struct RandomisedRow {
  ClusterRow row;
  bool treated = false;
  std::size_t stratum = 0;
};

// Statistic: difference of unit-weighted means, sum / size, treated less control. With strata it
// is the average of the strata's differences weighted by their size.
//
// For a constant effect tau per unit the treated sums less tau * size are what no treatment would
// have given, so each assignment's statistic is linear in tau and the set of tau not rejected at
// `alpha` is found exactly from order statistics, without a search. Sampled draws count the
// observed assignment too, p = (1 + hits) / (1 + draws) (Phipson and Smyth 2010), and stay valid.
struct RandomisationResult {
  double diff = 0;
  double p = 1;          // two-sided: |statistic| at least the observed one
  double p_greater = 1;  // statistic >= observed
  double p_less = 1;
  // Constant effects not rejected at alpha (two-sided). Infinite ends: there are too few
  // assignments to reject anything at this alpha, whatever the data.
  Interval interval;
  double assignments = 0;         // possible ones
  double counted = 0;             // used, the observed one among them
  bool exact = false;             // all of them
  double smallest_p = 1;          // the least two-sided p this design can give
  Reason reason = Reason::kNone;  // kTooFewUnits: no row in an arm; kInvalidInput: a size <= 0
};
RandomisationResult RandomisationTest(std::span<const RandomisedRow> rows,
                                      const RandomisationOptions& options);

}  // namespace fulcrum::stats
