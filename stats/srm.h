// SPDX-License-Identifier: Apache-2.0
// Sample-ratio mismatch: do the arm sizes fit the configured weights?
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "stats/types.h"

namespace fulcrum::stats {

// Pearson chi-square of arm sizes against weights (any positive unit). Arms of weight 0 are left
// out of the total and the degrees of freedom; units seen in them are reported on their own,
// because one such unit is a defect by itself and would hide in the total.
struct SrmResult {
  double chi2 = 0;
  double df = 0;
  double p = 1;
  double log10_p = 0;             // finite also where p underflows
  double unexpected_units = 0;    // units in arms of weight 0
  Reason reason = Reason::kNone;  // kTooFewUnits: no unit at all, or a single arm
};
// REQUIRES equal sizes, finite values >= 0.
SrmResult SrmChiSquare(std::span<const double> observed, std::span<const double> weights);

// The same against expected counts summed over phases: after a change of weights, pass
// sum over phases of (units in phase * weight share in phase) per arm. One statistic on
// arms - 1 degrees of freedom; its variance is at most the multinomial's, so it is conservative.
SrmResult SrmAgainstExpected(std::span<const double> observed, std::span<const double> expected);

// Sequential test that may be looked at after every unit (Lindon and Malek 2022): Bayes factor of
// a Dirichlet-multinomial against the null, p_n = min(p_{n-1}, 1 / BF_n), never rising.
class SequentialSrm {
 public:
  // REQUIRES null probabilities > 0 summing to 1 (normalised here) and concentrations > 0.
  SequentialSrm(std::vector<double> null, std::vector<double> dirichlet_alpha);

  // Adds a batch of new units per arm. REQUIRES batch.size() == arms.
  void Add(std::span<const double> batch);

  double log_bayes_factor() const { return log_bayes_factor_; }
  double p_value() const;  // anytime-valid

 private:
  std::vector<double> null_;
  std::vector<double> alpha_;
  std::vector<double> count_;
  double log_bayes_factor_ = 0;
  double highest_ = 0;
};

}  // namespace fulcrum::stats
