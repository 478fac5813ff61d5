// SPDX-License-Identifier: Apache-2.0
// Error-free addition, for running means that must not depend on the order of merging.
#pragma once

namespace fulcrum::stats {

// Adds `term` to the unevaluated sum hi + lo and renormalises it, so that |lo| is at most half a
// unit in the last place of hi. The branch-free sum is Knuth's (TAOCP vol. 2, 4.2.2, theorem B).
inline void AddTo(double term, double& hi, double& lo) {
  const double y = term + lo;
  const double sum = hi + y;
  const double part = sum - hi;
  const double error = (hi - (sum - part)) + (y - part);
  hi = sum;
  lo = error;
}

}  // namespace fulcrum::stats
