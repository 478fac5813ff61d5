// SPDX-License-Identifier: Apache-2.0
//
// The comparisons of one role share one error rate. Private to report/.
#pragma once

#include <span>
#include <vector>

#include "experiments/definition.h"
#include "report/effect.h"
#include "report/report.h"
#include "report/sample.h"

namespace fulcrum::report {

struct FamilyMember {
  Comparison* comparison = nullptr;
  const Pivot* pivot = nullptr;
  Direction direction = Direction::kIncrease;
  bool moves = false;  // Its cap follows the data: no sequence can be read early.
};

// Sets p_adjusted, the intervals and the outcome of every member, each interval at the level at
// which its p is judged, so that p_adjusted < alpha exactly when the interval excludes 0:
//   none                all at alpha;
//   bonferroni          all at alpha / m;
//   simultaneous        all at the level of max |z| of the joint normal, or Sidak's, which holds
//                       for every correlation (Sidak 1967);
//   holm                step-down, each at its step's level (compatible, not simultaneous);
//   benjamini_hochberg  all at R alpha / m, R the number rejected (Benjamini and Yekutieli 2005).
Family Correct(const Sample& sample, Role role, std::span<FamilyMember> members, double alpha,
               Correction correction);

// The always-valid band of every member, for looking before the planned end: an asymptotic
// confidence sequence (Waudby-Smith et al. 2024) at alpha_look / m, whose tuning constant is fixed
// once for all experiments, so that nobody can choose it after looking. With `applies`, the outcome
// follows the band.
void AddLooks(std::span<FamilyMember> members, double alpha_look, bool applies);

// Individual, uncorrected figures: lift, lift_lo/hi at 1 - alpha, estimate, statistic, p, pair.
void SetIndividual(const Pivot& pivot, double alpha, Comparison* comparison);

// Correlation of the members' estimates, row by row.
std::vector<double> Correlation(const Sample& sample, std::span<const FamilyMember> members);

}  // namespace fulcrum::report
