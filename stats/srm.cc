// SPDX-License-Identifier: Apache-2.0
#include "stats/srm.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <utility>

#include "stats/distributions.h"

namespace fulcrum::stats {

SrmResult SrmChiSquare(std::span<const double> observed, std::span<const double> weights) {
  assert(observed.size() == weights.size());
  double total = 0, weight_sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) {
      total += observed[i];
      weight_sum += weights[i];
    }
  }
  std::vector<double> expected(weights.size(), 0.0);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) expected[i] = total * (weights[i] / weight_sum);
  }
  return SrmAgainstExpected(observed, expected);
}

SrmResult SrmAgainstExpected(std::span<const double> observed, std::span<const double> expected) {
  assert(observed.size() == expected.size());
  SrmResult r;
  int arms = 0;
  for (std::size_t i = 0; i < observed.size(); ++i) {
    if (expected[i] > 0) {
      const double gap = observed[i] - expected[i];
      r.chi2 += gap * gap / expected[i];
      ++arms;
    } else {
      r.unexpected_units += observed[i];
    }
  }
  if (arms < 2) {
    r.chi2 = 0;
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  r.df = arms - 1;
  r.p = ChiSquareSf(r.chi2, r.df);
  r.log10_p = LogChiSquareSf(r.chi2, r.df) / std::log(10.0);
  return r;
}

SequentialSrm::SequentialSrm(std::vector<double> null, std::vector<double> dirichlet_alpha)
    : null_(std::move(null)), alpha_(std::move(dirichlet_alpha)), count_(null_.size(), 0.0) {
  assert(null_.size() == alpha_.size());
  const double sum = std::accumulate(null_.begin(), null_.end(), 0.0);
  for (double& p : null_) p /= sum;
}

void SequentialSrm::Add(std::span<const double> batch) {
  assert(batch.size() == count_.size());
  double alpha_sum = 0, n = 0, log_bf = 0;
  for (std::size_t i = 0; i < count_.size(); ++i) {
    count_[i] += batch[i];
    alpha_sum += alpha_[i];
    n += count_[i];
    log_bf +=
        LogGamma(alpha_[i] + count_[i]) - LogGamma(alpha_[i]) - count_[i] * std::log(null_[i]);
  }
  log_bayes_factor_ = log_bf + LogGamma(alpha_sum) - LogGamma(alpha_sum + n);
  highest_ = std::max(highest_, log_bayes_factor_);
}

double SequentialSrm::p_value() const { return std::exp(-highest_); }

}  // namespace fulcrum::stats
