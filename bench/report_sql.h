// SPDX-License-Identifier: Apache-2.0
//
// The same numbers in SQL: in one statement for all metrics, and in one statement for each, as
// platforms on a warehouse generate them.
#pragma once

#include <string>
#include <vector>

#include "bench/report_data.h"
#include "store/plan.h"

namespace fulcrum::bench {

// The six metrics: three funnel steps in 7 days, capped revenue, order value as revenue over
// orders, median time to pay. `sliced` adds a covariate and three slices.
store::Plan SixMetrics(bool sliced);
// Twenty of a catalogue: did it, how often, how much; of four events, in windows of 1 to 14 days.
store::Plan TwentyMetrics();

std::string OneStatement();
std::string PostgresStatement();  // The same for PostgreSQL 15.
std::vector<std::string> SixStatements();
std::vector<std::string> TwentyStatements();  // Each row: arm, n, mean, variance.

Answer RunOneStatement(const std::string& path);
// Runs them one after another; returns the means of the first arm and the second, in turn.
std::vector<double> RunStatements(const std::string& path,
                                  const std::vector<std::string>& statements);

}  // namespace fulcrum::bench
