// SPDX-License-Identifier: Apache-2.0
#include "stats/joint.h"

#include <algorithm>
#include <cmath>

#include "stats/always_valid.h"
#include "stats/distributions.h"
#include "stats/multiplicity.h"

namespace fulcrum::stats {
namespace {

double MeanCovariance(const Gram& gram, std::size_t i, std::size_t j) {
  return gram.covariance(i, j) / static_cast<double>(gram.n());
}

double MeanDifference(const Gram& t, const Gram& c, std::size_t i) {
  const Moments a = t.moments(i), b = c.moments(i);
  return (a.mean - b.mean) + (a.mean_lo - b.mean_lo);
}

}  // namespace

JointEffects CompareJointly(const Gram& treatment, const Gram& control,
                            std::span<const std::size_t> columns, double alpha) {
  JointEffects r;
  if (treatment.n() < 2 || control.n() < 2 || columns.empty()) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  for (const std::size_t i : columns) {
    r.diff.push_back(MeanDifference(treatment, control, i));
    for (const std::size_t j : columns) {
      r.covariance.push_back(MeanCovariance(treatment, i, j) + MeanCovariance(control, i, j));
    }
  }
  const auto correlation = CorrelationOf(r.covariance);
  r.critical_value = SimultaneousCriticalValue(correlation, alpha);
  std::vector<double> z;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const double se = std::sqrt(r.covariance[i * columns.size() + i]);
    // A column without variance is not tested: its z is 0 and its interval everything.
    z.push_back(se > 0 ? r.diff[i] / se : 0.0);
    r.interval.push_back(
        se > 0 ? Interval{r.diff[i] - r.critical_value * se, r.diff[i] + r.critical_value * se}
               : Interval{});
  }
  r.p_adjusted = SimultaneousPValues(correlation, z);
  return r;
}

FunnelDecomposition DecomposeFunnel(const Gram& treatment, const Gram& control,
                                    std::span<const std::size_t> stages, double alpha) {
  FunnelDecomposition r;
  const std::size_t k = stages.size();
  if (treatment.n() < 2 || control.n() < 2 || k == 0) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  for (const std::size_t s : stages) {
    if (!(treatment.mean(s) > 0) || !(control.mean(s) > 0)) {
      r.reason = Reason::kDenominatorNearZero;
      return r;
    }
  }
  // Covariance of the log-lifts of the unconditional rates, then of their successive differences;
  // the last row is the total itself.
  const auto log_lift = [&](std::size_t i) {
    return std::log(treatment.mean(stages[i]) / control.mean(stages[i]));
  };
  const auto log_cov = [&](std::size_t i, std::size_t j) {
    const auto part = [&](const Gram& g) {
      return MeanCovariance(g, stages[i], stages[j]) / (g.mean(stages[i]) * g.mean(stages[j]));
    };
    return part(treatment) + part(control);
  };
  // Row `a` as coefficients on the unconditional log-lifts.
  const auto coefficient = [&](std::size_t a, std::size_t i) {
    if (a == k) return i + 1 == k ? 1.0 : 0.0;
    return i == a ? 1.0 : i + 1 == a ? -1.0 : 0.0;
  };
  std::vector<double> covariance((k + 1) * (k + 1), 0.0);
  for (std::size_t a = 0; a <= k; ++a) {
    for (std::size_t b = 0; b <= k; ++b) {
      for (std::size_t i = 0; i < k; ++i) {
        for (std::size_t j = 0; j < k; ++j) {
          const double weight = coefficient(a, i) * coefficient(b, j);
          if (weight != 0) covariance[a * (k + 1) + b] += weight * log_cov(i, j);
        }
      }
    }
  }
  r.critical_value = SimultaneousCriticalValue(CorrelationOf(covariance), alpha);
  const auto describe = [&](std::size_t a, double value) {
    const double se = std::sqrt(std::max(0.0, covariance[a * (k + 1) + a]));
    return FunnelStep{value, se, {value - r.critical_value * se, value + r.critical_value * se}};
  };
  for (std::size_t a = 0; a < k; ++a) {
    r.steps.push_back(describe(a, a == 0 ? log_lift(0) : log_lift(a) - log_lift(a - 1)));
  }
  r.total = describe(k, log_lift(k - 1));
  return r;
}

EffectRatio RatioOfEffects(const Gram& treatment, const Gram& control, std::size_t numerator,
                           std::size_t denominator, double alpha) {
  EffectRatio r;
  if (treatment.n() < 2 || control.n() < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const auto covariance = [&](std::size_t i, std::size_t j) {
    return MeanCovariance(treatment, i, j) + MeanCovariance(control, i, j);
  };
  r.numerator = {MeanDifference(treatment, control, numerator), covariance(numerator, numerator)};
  r.denominator = {MeanDifference(treatment, control, denominator),
                   covariance(denominator, denominator)};
  r.covariance = covariance(numerator, denominator);
  r.set = Fieller(r.numerator, r.denominator, r.covariance, CriticalZ(alpha));
  if (r.denominator.value != 0) r.ratio = r.numerator.value / r.denominator.value;
  if (r.set.shape != FiellerSet::Shape::kBounded) r.reason = Reason::kDenominatorNearZero;
  return r;
}

HybridBands HybridIntervals(double estimate, double se, double n, double n_planned,
                            double alpha_look, double alpha_final) {
  const double look = AsympCsMultiplier(n, AsympCsRho(n_planned, alpha_look), alpha_look) * se;
  const double last = CriticalZ(alpha_final) * se;
  return {{estimate - look, estimate + look}, {estimate - last, estimate + last}};
}

}  // namespace fulcrum::stats
