// SPDX-License-Identifier: Apache-2.0
//
// Score interval of a ratio of two proportions. Private to report/.
#pragma once

#include "stats/types.h"

namespace fulcrum::report {

// All ratios r = p_T / p_C that the score test does not reject at two-sided `alpha` (Koopman 1984,
// with the N / (N - 1) of Miettinen and Nurminen 1985). At r = 1 the constrained estimates are the
// pooled rate, so the statistic is that of the difference at 0: this interval excludes 1 exactly
// when the score interval of the difference excludes 0. REQUIRES n >= 1 in both arms and an event
// in at least one. The upper end is +infinity where the control has no event.
stats::Interval ScoreRatioInterval(stats::Proportion treatment, stats::Proportion control,
                                   double alpha);

}  // namespace fulcrum::report
