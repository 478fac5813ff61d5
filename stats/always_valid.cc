// SPDX-License-Identifier: Apache-2.0
#include "stats/always_valid.h"

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"
#include "stats/roots.h"

namespace fulcrum::stats {

MsprtResult MixtureSprt(double estimate, double variance, double tau2, double alpha) {
  MsprtResult r;
  const double total = variance + tau2;
  const double log_growth = std::log1p(tau2 / variance);
  r.log_lambda = -0.5 * log_growth + tau2 / total * (estimate * estimate) / (2 * variance);
  r.p = std::min(1.0, std::exp(-r.log_lambda));
  const double half = std::sqrt(variance * total / tau2 * (-2 * std::log(alpha) + log_growth));
  r.interval = {estimate - half, estimate + half};
  return r;
}

void RunningMsprt::Look(double estimate, double variance) {
  const MsprtResult r = MixtureSprt(estimate, variance, tau2_, alpha_);
  p_ = std::min(p_, r.p);
  interval_.lo = std::max(interval_.lo, r.interval.lo);
  interval_.hi = std::min(interval_.hi, r.interval.hi);
}

double AsympCsMultiplier(double n, double rho, double alpha) {
  const double nr2 = n * rho * rho;
  return std::sqrt(2 * (nr2 + 1) / nr2 * (0.5 * std::log1p(nr2) - std::log(alpha)));
}

double AsympCsMultiplierOneSided(double n, double rho, double alpha) {
  const double nr2 = n * rho * rho;
  return std::sqrt(2 * (nr2 + 1) / nr2 * std::log1p(std::sqrt(nr2 + 1) / (2 * alpha)));
}

double AsympCsRho(double n_opt, double alpha) {
  const double l = -2 * std::log(alpha);
  return std::sqrt((l + std::log1p(l)) / n_opt);
}

double AsympCsRho2Exact(double n_opt, double alpha) {
  // u = -W_{-1}(-alpha^2 / e) solves u - log u = 1 - 2 log alpha with u > 1.
  const double target = 1 - 2 * std::log(alpha);
  const double u =
      FindRoot(1.0, 2 * target + 10, 0.0, [&](double x) { return x - std::log(x) - target; });
  return (u - 1) / n_opt;
}

double AsympCsP(double z, double n, double rho) {
  const double nr2 = n * rho * rho;
  return std::min(1.0, std::exp(0.5 * std::log1p(nr2) - 0.5 * z * z * nr2 / (nr2 + 1)));
}

double LilMargin(double t, double alpha) {
  return 1.7 * std::sqrt((std::log(std::log(2 * t)) + 0.72 * std::log(10.4 / alpha)) / t);
}

double AnytimeLogE(double t, double n, double coefficients, double g) {
  const double df = n - coefficients, r = g / (g + n), f = t * t / df;
  return 0.5 * std::log(r) + 0.5 * (df + 1) * (std::log1p(f) - std::log1p(r * f));
}

double AnytimeTRadius(double n, double coefficients, double g, double alpha) {
  const double df = n - coefficients, r = g / (g + n);
  // (1 + f) / (1 + r f) = exp(k) with f = t^2 / df.
  const double k = (-2 * std::log(alpha) - std::log(r)) / (df + 1);
  const double rest = 1 - r * std::exp(k);
  return rest > 0 ? std::sqrt(df * std::expm1(k) / rest) : kInfinity;
}

double AnytimeOptimalG(double n, double coefficients, double alpha) {
  // Golden section over log g; the radius has one minimum.
  const double golden = 0.6180339887498949;
  double a = std::log(1e-6 * n), b = std::log(10 * n);
  const auto radius = [&](double log_g) {
    return AnytimeTRadius(n, coefficients, std::exp(log_g), alpha);
  };
  double c = b - golden * (b - a), d = a + golden * (b - a), fc = radius(c), fd = radius(d);
  while (b - a > 1e-9) {
    if (fc <= fd) {
      b = d;
      d = c;
      fd = fc;
      c = b - golden * (b - a);
      fc = radius(c);
    } else {
      a = c;
      c = d;
      fc = fd;
      d = a + golden * (b - a);
      fd = radius(d);
    }
  }
  return std::exp(0.5 * (a + b));
}

double NormalMixtureRho(double v_opt, double alpha_opt) {
  const double l = -2 * std::log(alpha_opt);
  return v_opt / (l + std::log1p(l));
}

double OneSidedMixtureRho(double v_opt, double alpha_opt) {
  return NormalMixtureRho(v_opt, 2 * alpha_opt);
}

double LogTwoSidedNormalMixture(double s, double v, double rho) {
  return -0.5 * std::log1p(v / rho) + s * s / (2 * (v + rho));
}

double TwoSidedNormalMixtureBound(double v, double alpha, double rho) {
  return std::sqrt((v + rho) * (std::log1p(v / rho) - 2 * std::log(alpha)));
}

double LogOneSidedNormalMixture(double s, double v, double rho) {
  return 0.5 * std::log(4 * rho / (v + rho)) + s * s / (2 * (v + rho)) +
         LogNormalSf(-s / std::sqrt(v + rho));
}

double LogGammaPoissonMixture(double s, double v, double rho, double c) {
  const double c2 = c * c, a = rho / c2, b = (v + rho) / c2, x = s / c + b;
  return a * std::log(a) - LogGamma(a) - std::log(RegularisedGammaQ(a, a)) + LogGamma(x) +
         std::log(RegularisedGammaQ(x, b)) - x * std::log(b) + v / c2;
}

double LogGammaExponentialMixture(double s, double v, double rho, double c) {
  const double c2 = c * c, a = rho / c2, b = (v + rho) / c2, x = (c * s + v) / c2;
  return a * std::log(a) - LogGamma(a) - std::log(RegularisedGammaP(a, a)) + LogGamma(b) +
         std::log(RegularisedGammaP(b, x + a)) - b * std::log(x + a) + x;
}

namespace {

// s >= 0 with f(s) = log(1 / alpha) for an increasing log mixture f, at most `limit`.
template <typename F>
double SolveBound(double v, double alpha, double limit, F f) {
  const double threshold = -std::log(alpha);
  double high = std::isinf(limit) ? std::max(v, 1e-6) : limit;
  if (std::isinf(limit)) {
    for (int i = 0; i < 60 && f(high) < threshold; ++i) high *= 2;
  }
  if (!(f(high) > threshold)) return high;
  return FindRoot(0.0, high, 0.0, [&](double s) { return f(s) - threshold; });
}

double LogIncompleteBeta(double a, double b, double x) {
  return x >= 1 ? LogBeta(a, b) : std::log(BetaCdf(x, a, b)) + LogBeta(a, b);
}

}  // namespace

double OneSidedNormalMixtureBound(double v, double alpha, double rho) {
  return SolveBound(v, alpha, kInfinity,
                    [&](double s) { return LogOneSidedNormalMixture(s, v, rho); });
}

double GammaPoissonMixtureBound(double v, double alpha, double rho, double c) {
  return SolveBound(v, alpha, kInfinity,
                    [&](double s) { return LogGammaPoissonMixture(s, v, rho, c); });
}

double GammaExponentialMixtureBound(double v, double alpha, double rho, double c) {
  return SolveBound(v, alpha, kInfinity,
                    [&](double s) { return LogGammaExponentialMixture(s, v, rho, c); });
}

double LogBetaBinomialMixture(double s, double v, double rho, double g, double h, bool one_sided) {
  const double width = g + h, x = one_sided ? h / width : 1.0;
  // The prior's concentration; kept positive where v_opt is smaller than one observation's.
  const double r = std::max(rho - g * h, 1e-3 * g * h);
  return v / (g * h) * std::log(width) - (v + h * s) / (h * width) * std::log(g) -
         (v - g * s) / (g * width) * std::log(h) +
         LogIncompleteBeta((r + v - g * s) / (g * width), (r + v + h * s) / (h * width), x) -
         LogIncompleteBeta(r / (g * width), r / (h * width), x);
}

double BetaBinomialMixtureBound(double v, double alpha, double rho, double g, double h,
                                bool one_sided) {
  return SolveBound(v, alpha, v / g,
                    [&](double s) { return LogBetaBinomialMixture(s, v, rho, g, h, one_sided); });
}

Interval BernoulliSequence(double successes, double n, double t_opt, double alpha,
                           double alpha_opt) {
  const double rate = successes / n, threshold = -std::log(alpha);
  // Positive where p is excluded.
  const auto excess = [&](double p) {
    const double v = p * (1 - p);
    return LogBetaBinomialMixture((rate - p) * n, v * n, NormalMixtureRho(v * t_opt, alpha_opt), p,
                                  1 - p, false) -
           threshold;
  };
  constexpr double kEdge = 1e-12;
  Interval r{0, 1};
  if (rate > kEdge && excess(kEdge) > 0) r.lo = FindRoot(kEdge, rate, 1e-14, excess);
  if (rate < 1 - kEdge && excess(1 - kEdge) > 0) r.hi = FindRoot(rate, 1 - kEdge, 1e-14, excess);
  return r;
}

Interval QuantileSequence(std::span<const double> sorted, double q, double t_opt, double alpha) {
  const double n = static_cast<double>(sorted.size()), threshold = -std::log(alpha);
  if (sorted.empty()) return {};
  const double rho = NormalMixtureRho(t_opt * q * (1 - q), alpha);
  const auto excess = [&](double share) {
    return LogBetaBinomialMixture((share - q) * n, q * (1 - q) * n, rho, q, 1 - q, false) -
           threshold;
  };
  // The evidence against a share rises away from q on both sides.
  Interval r;
  constexpr double kEdge = 1e-12;
  if (excess(kEdge) > 0) {
    const double share = FindRoot(kEdge, q, 1e-14, excess);
    r.lo = sorted[static_cast<std::size_t>(std::max(1.0, std::ceil(n * share))) - 1];
  }
  if (excess(1 - kEdge) > 0) {
    const double at = std::floor(n * FindRoot(q, 1 - kEdge, 1e-14, excess));
    if (at < n) r.hi = sorted[static_cast<std::size_t>(at)];
  }
  return r;
}

double AnytimeQuantileP(std::span<const double> a, std::span<const double> b, double q,
                        double t_opt, double alpha_opt) {
  const double rho = NormalMixtureRho(t_opt * q * (1 - q), alpha_opt);
  struct Arm {
    std::vector<double> sorted;
    double best = 0;  // share at or below the quantile with the least evidence
    double n = 0;
  };
  const auto evidence = [&](const Arm& arm, double share) {
    return LogBetaBinomialMixture((share - q) * arm.n, q * (1 - q) * arm.n, rho, q, 1 - q, false);
  };
  Arm arms[2];
  for (int i = 0; i < 2; ++i) {
    const auto values = i == 0 ? a : b;
    arms[i].sorted.assign(values.begin(), values.end());
    std::sort(arms[i].sorted.begin(), arms[i].sorted.end());
    arms[i].n = static_cast<double>(values.size());
    double lo = 0, hi = 1;  // the log mixture is convex in the share
    while (hi - lo > 1e-9) {
      const double left = lo + (hi - lo) / 3, right = hi - (hi - lo) / 3;
      (evidence(arms[i], left) < evidence(arms[i], right) ? hi : lo) =
          evidence(arms[i], left) < evidence(arms[i], right) ? right : left;
    }
    arms[i].best = 0.5 * (lo + hi);
  }
  // Least joint evidence against a common quantile x, over every place where it can change.
  double least = kInfinity;
  for (const Arm& at : arms) {
    for (const double x : at.sorted) {
      double sum = 0;
      for (const Arm& arm : arms) {
        const auto below = std::lower_bound(arm.sorted.begin(), arm.sorted.end(), x);
        const auto through = std::upper_bound(below, arm.sorted.end(), x);
        const double low = static_cast<double>(below - arm.sorted.begin()) / arm.n;
        const double high = static_cast<double>(through - arm.sorted.begin()) / arm.n;
        sum += evidence(arm, std::clamp(arm.best, low, high));
      }
      least = std::min(least, sum);
    }
  }
  return std::min(1.0, std::exp(-least));
}

}  // namespace fulcrum::stats
