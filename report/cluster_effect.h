// SPDX-License-Identifier: Apache-2.0
//
// Effects where what was randomised is a cluster or a block of time. Private to report/.
#pragma once

#include <cstddef>

#include "report/effect.h"
#include "report/report.h"
#include "report/sample.h"

namespace fulcrum::report {

struct ClusterColumns {
  size_t numerator = 0;    // Summed over a cluster's units …
  size_t denominator = 0;  // … and their number, or a ratio's denominator.
};

// Unit-weighted difference with CR2 errors and Satterthwaite degrees of freedom; below
// stats::kFewClusters clusters the test and interval are those of the assignment itself, redrawn
// inside each phase. Sets c's status and figures, and *pivot with the control's variance in
// base_variance. Rows are needed for randomisation inference and exact CR2; without them (slices,
// or more than store::kMaxClusterRows) the Gram gives CR2 to first order.
void CompareClusters(const GroupStats& group, size_t arm, ClusterColumns columns, double alpha,
                     Comparison* c, Pivot* pivot);

// Constant effects that the randomisation test of `pivot` does not reject at `alpha`.
PivotInterval RandomisationInterval(const Pivot& pivot, double alpha);

// Too few clusters in both arms together for an error with a normal shape.
bool FewClusters(const GroupStats& group, size_t arm);

}  // namespace fulcrum::report
