// SPDX-License-Identifier: Apache-2.0
#include "stats/multiplicity.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "stats/distributions.h"
#include "stats/quadrature.h"
#include "stats/roots.h"

namespace fulcrum::stats {
namespace {

// 1 - (1 - p)^m without cancellation.
double SidakOf(double p, double m) { return p >= 1 ? 1.0 : -std::expm1(m * std::log1p(-p)); }

// `sorted` is ascending; returns adjusted values in the same order.
std::vector<double> AdjustSorted(const std::vector<double>& sorted, Adjustment method) {
  const std::size_t m = sorted.size();
  const double count = static_cast<double>(m);
  std::vector<double> out(m);
  double harmonic = 0;
  for (std::size_t i = 1; i <= m; ++i) harmonic += 1.0 / static_cast<double>(i);
  const auto step = [&](std::size_t i) {
    const double rank = static_cast<double>(i + 1), left = static_cast<double>(m - i);
    switch (method) {
      case Adjustment::kBonferroni:
        return sorted[i] * count;
      case Adjustment::kSidak:
        return SidakOf(sorted[i], count);
      case Adjustment::kHolm:
      case Adjustment::kHochberg:
        return sorted[i] * left;
      case Adjustment::kHolmSidak:
        return SidakOf(sorted[i], left);
      case Adjustment::kBenjaminiHochberg:
        return sorted[i] * count / rank;
      case Adjustment::kBenjaminiYekutieli:
        return sorted[i] * count * harmonic / rank;
      case Adjustment::kHommel:
        break;
    }
    return sorted[i];
  };
  for (std::size_t i = 0; i < m; ++i) out[i] = std::min(1.0, step(i));
  if (method == Adjustment::kHolm || method == Adjustment::kHolmSidak) {
    for (std::size_t i = 1; i < m; ++i) out[i] = std::max(out[i], out[i - 1]);
  } else if (method == Adjustment::kHochberg || method == Adjustment::kBenjaminiHochberg ||
             method == Adjustment::kBenjaminiYekutieli) {
    for (std::size_t i = m; i-- > 1;) out[i - 1] = std::min(out[i - 1], out[i]);
  }
  return out;
}

// Wright's (1992) algorithm for Hommel's closed test on ascending p.
std::vector<double> HommelSorted(const std::vector<double>& p) {
  const std::size_t n = p.size();
  if (n < 2) return p;
  const auto scaled = [&](double factor, std::size_t i, std::size_t rank) {
    return factor * p[i] / static_cast<double>(rank);
  };
  double least = kInfinity;
  for (std::size_t i = 0; i < n; ++i) {
    least = std::min(least, scaled(static_cast<double>(n), i, i + 1));
  }
  std::vector<double> q(n, least), adjusted(n, least);
  for (std::size_t m = n - 1; m >= 2; --m) {
    const double factor = static_cast<double>(m);
    double q1 = kInfinity;  // over the m - 1 largest p
    for (std::size_t j = 0; j + 1 < m; ++j) {
      q1 = std::min(q1, scaled(factor, n - m + 1 + j, j + 2));
    }
    for (std::size_t i = 0; i < n - m + 1; ++i) q[i] = std::min(factor * p[i], q1);
    for (std::size_t i = n - m + 1; i < n; ++i) q[i] = q[n - m];
    for (std::size_t i = 0; i < n; ++i) adjusted[i] = std::max(adjusted[i], q[i]);
  }
  for (std::size_t i = 0; i < n; ++i) adjusted[i] = std::min(1.0, std::max(adjusted[i], p[i]));
  return adjusted;
}

// P(max > c) given the scale s of the shared variance estimate.
double ExceedanceAtScale(double c, std::span<const double> lambda, int sides) {
  double largest = 0;
  for (const double l : lambda) largest = std::max(largest, std::abs(l));
  const double narrow = std::sqrt(1 - largest * largest);
  const double reach = 9 + largest * std::abs(c);
  const int panels =
      static_cast<int>(std::clamp(2 * reach / std::min(3.0, 6 * narrow), 6.0, 400.0));
  return Integrate(-reach, reach, panels, [&](double z) {
    double log_inside = 0;
    for (const double l : lambda) {
      const double spread = std::sqrt(1 - l * l);
      double tail = NormalSf((c - l * z) / spread);
      if (sides == 2) tail += NormalSf((c + l * z) / spread);
      log_inside += tail < 1 ? std::log1p(-tail) : -kInfinity;
    }
    return -std::expm1(log_inside) * NormalPdf(z);
  });
}

// Acklam's rational approximation, relative error 1.2e-9: the lattice needs no more, and the exact
// inverse would be most of its time.
double QuickNormalQuantile(double p) {
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                          6.680131188771972e+01, -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                          3.754408661907416e+00};
  const double tail = std::min(p, 1 - p);
  if (tail < 0.02425) {
    const double q = std::sqrt(-2 * std::log(tail));
    const double z = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
                     ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    return p < 0.5 ? z : -z;
  }
  const double q = p - 0.5, r = q * q;
  return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
         (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

constexpr int kFinePoints = 8192;
constexpr int kCoarsePoints = 1024;

// P(all |Z_i| <= c) along a Cholesky factor (Genz 1992), with points fixed once so that the result
// is a smooth function of c.
class MaxAbsNormal {
 public:
  explicit MaxAbsNormal(std::span<const double> correlation)
      : k_(static_cast<std::size_t>(
            std::lround(std::sqrt(static_cast<double>(correlation.size()))))),
        factor_(k_ * k_, 0.0) {
    Factorise(correlation);
  }

  std::size_t size() const { return k_; }
  bool independent() const { return independent_; }

  // P(all |Z_i| <= c). Up to three tests by nested quadrature, more by `points` lattice points.
  double Inside(double c, int points) const {
    if (independent_) return std::exp(static_cast<double>(k_) * std::log1p(-TwoSidedNormalP(c)));
    std::vector<double> y(k_);
    if (k_ <= 3) return Nested(c, 0, y);
    std::vector<double> point(k_, 0.5);
    double sum = 0;
    for (int n = 1; n <= points; ++n) {
      for (std::size_t i = 0; i < k_; ++i) {
        point[i] += generator_[i];
        point[i] -= std::floor(point[i]);
      }
      sum += Path(c, point, y);
    }
    return sum / points;
  }

 private:
  void Factorise(std::span<const double> correlation) {
    independent_ = true;
    for (std::size_t i = 0; i < k_; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (std::abs(correlation[i * k_ + j]) > 1e-12) independent_ = false;
        double sum = correlation[i * k_ + j];
        for (std::size_t m = 0; m < j; ++m) sum -= factor_[i * k_ + m] * factor_[j * k_ + m];
        const double pivot = factor_[j * k_ + j];
        factor_[i * k_ + j] = pivot > 1e-8 ? sum / pivot : 0.0;
      }
      double rest = 1;
      for (std::size_t m = 0; m < i; ++m) rest -= factor_[i * k_ + m] * factor_[i * k_ + m];
      factor_[i * k_ + i] = rest > 1e-12 ? std::sqrt(rest) : 0.0;
    }
    // Square roots of primes: irrational and independent over the rationals (Richtmyer 1951).
    for (int candidate = 2; generator_.size() < k_; ++candidate) {
      bool prime = true;
      for (int d = 2; d * d <= candidate; ++d) prime = prime && candidate % d != 0;
      if (prime) generator_.push_back(std::fmod(std::sqrt(static_cast<double>(candidate)), 1.0));
    }
  }

  // Integrates coordinate i and all after it, the ones before being y.
  double Nested(double c, std::size_t i, std::vector<double>& y) const {
    double mean = 0;
    for (std::size_t m = 0; m < i; ++m) mean += factor_[i * k_ + m] * y[m];
    const double spread = factor_[i * k_ + i];
    if (spread == 0) {
      if (std::abs(mean) > c * (1 + 1e-9)) return 0;
      y[i] = 0;
      return i + 1 == k_ ? 1.0 : Nested(c, i + 1, y);
    }
    const double lo = std::max((-c - mean) / spread, -9.0), hi = std::min((c - mean) / spread, 9.0);
    if (!(lo < hi)) return 0;
    if (i + 1 == k_) return NormalCdf(hi) - NormalCdf(lo);
    // Finer where what follows is nearly determined by this coordinate.
    double narrow = 1;
    for (std::size_t m = i + 1; m < k_; ++m) narrow = std::min(narrow, factor_[m * k_ + m]);
    const int panels = static_cast<int>(std::clamp(1 / std::max(narrow, 0.05), 1.0, 12.0)) + 1;
    return Integrate(lo, hi, panels, [&](double x) {
      y[i] = x;
      return NormalPdf(x) * Nested(c, i + 1, y);
    });
  }

  double Path(double c, const std::vector<double>& point, std::vector<double>& y) const {
    double probability = 1;
    for (std::size_t i = 0; i < k_; ++i) {
      double mean = 0;
      for (std::size_t m = 0; m < i; ++m) mean += factor_[i * k_ + m] * y[m];
      const double spread = factor_[i * k_ + i];
      if (spread == 0) {  // determined by the ones before: inside or not
        if (std::abs(mean) > c * (1 + 1e-9)) return 0;
        y[i] = 0;
        continue;
      }
      const double lo = NormalCdf((-c - mean) / spread);
      const double width = 1 - lo - NormalSf((c - mean) / spread);
      if (!(width > 0)) return 0;
      probability *= width;
      // The tent map makes the integrand periodic, which the lattice rule needs.
      const double tent = std::abs(2 * point[i] - 1);
      if (i + 1 < k_) {
        y[i] = QuickNormalQuantile(std::clamp(lo + tent * width, 1e-300, 1 - 1e-16));
      }
    }
    return probability;
  }

  std::size_t k_;
  std::vector<double> factor_;
  std::vector<double> generator_;
  bool independent_ = true;
};

DunnettResult Finish(DunnettResult r, double alpha) {
  r.critical_value = DunnettCriticalValue(r.lambda, r.df, alpha, 2);
  for (auto& c : r.comparisons) {
    c.t = c.diff / c.se;
    c.p_adjusted = DunnettExceedance(std::abs(c.t), r.lambda, r.df, 2);
    c.interval = {c.diff - r.critical_value * c.se, c.diff + r.critical_value * c.se};
  }
  return r;
}

}  // namespace

std::vector<double> AdjustPValues(std::span<const double> p, Adjustment method) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> sorted(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) sorted[i] = p[order[i]];
  const std::vector<double> adjusted =
      method == Adjustment::kHommel ? HommelSorted(sorted) : AdjustSorted(sorted, method);
  std::vector<double> out(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) out[order[i]] = adjusted[i];
  return out;
}

double DunnettExceedance(double c, std::span<const double> lambda, double df, int sides) {
  if (lambda.empty()) return 0;
  if (lambda.size() == 1) return sides == 2 ? TwoSidedTP(c, df) : TSf(c, df);
  if (std::isinf(df)) return ExceedanceAtScale(c, lambda, sides);
  // s = sqrt(chi^2 / df), integrated over u = log s. The lower end follows the tail: a large c is
  // exceeded mostly where the variance estimate came out small.
  const double wide = std::sqrt(37 / df);
  const double low = -0.5 * std::log1p(c * c / df) - wide - 37 / df;
  const double high = std::min(wide, 0.5 * std::log1p(80 / df)) + 0.05;
  const double log_constant = std::log(2.0) + 0.5 * df * std::log(0.5 * df) - LogGamma(0.5 * df);
  const int panels = static_cast<int>(std::clamp((high - low) / (1.5 * wide), 4.0, 60.0));
  return Integrate(low, high, panels, [&](double u) {
    const double log_density = log_constant + df * u - 0.5 * df * std::exp(2 * u);
    if (log_density < -700) return 0.0;
    return std::exp(log_density) * ExceedanceAtScale(c * std::exp(u), lambda, sides);
  });
}

double DunnettCriticalValue(std::span<const double> lambda, double df, double alpha, int sides) {
  // Between the single comparison's value and Bonferroni's.
  const double per_test = alpha / static_cast<double>(lambda.size());
  const double low = TUpperQuantile(alpha / sides, df), high = TUpperQuantile(per_test / sides, df);
  if (lambda.size() == 1) return low;
  return FindRoot(low, high, 1e-10, [&](double c) {
    return std::log(DunnettExceedance(c, lambda, df, sides) / alpha);
  });
}

DunnettResult DunnettPooled(std::span<const Moments> treatments, const Moments& control,
                            double alpha) {
  DunnettResult r;
  double m2 = control.m2, n = static_cast<double>(control.n);
  bool enough = control.n >= 1 && !treatments.empty();
  for (const Moments& t : treatments) {
    m2 += t.m2;
    n += static_cast<double>(t.n);
    enough = enough && t.n >= 1;
  }
  r.df = n - static_cast<double>(treatments.size() + 1);
  if (!enough || r.df < 1) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  if (!(m2 > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  const double s2 = m2 / r.df, n0 = static_cast<double>(control.n);
  for (const Moments& t : treatments) {
    const double ni = static_cast<double>(t.n);
    r.lambda.push_back(std::sqrt(ni / (ni + n0)));
    r.comparisons.push_back({t.mean - control.mean, std::sqrt(s2 * (1 / ni + 1 / n0))});
  }
  return Finish(std::move(r), alpha);
}

DunnettResult DunnettUnequal(std::span<const Moments> treatments, const Moments& control,
                             double alpha) {
  DunnettResult r;
  if (control.n < 2 || treatments.empty()) r.reason = Reason::kTooFewUnits;
  for (const Moments& t : treatments) {
    if (t.n < 2) r.reason = Reason::kTooFewUnits;
    const double se = std::sqrt(t.VarianceOfMean() + control.VarianceOfMean());
    if (r.reason == Reason::kNone && !(t.VarianceOfMean() > 0)) r.reason = Reason::kNoVariance;
    r.lambda.push_back(se > 0 ? std::sqrt(control.VarianceOfMean()) / se : 0.0);
    r.comparisons.push_back({t.mean - control.mean, se});
  }
  return r.reason == Reason::kNone ? Finish(std::move(r), alpha) : r;
}

double SimultaneousCriticalValue(std::span<const double> correlation, double alpha) {
  const MaxAbsNormal joint(correlation);
  const double k = static_cast<double>(joint.size());
  if (joint.size() <= 1) return CriticalZ(alpha);
  const double sidak = CriticalZ(-std::expm1(std::log1p(-alpha) / k));
  if (joint.independent()) return sidak;
  // Sidak's value is an upper bound for every correlation (Sidak 1967). The root on few points is
  // then corrected by one Newton step on many.
  const double c = FindRoot(CriticalZ(alpha), sidak, 1e-6,
                            [&](double x) { return joint.Inside(x, kCoarsePoints) - (1 - alpha); });
  constexpr double kStep = 0.02;
  const double slope =
      (joint.Inside(c + kStep, kCoarsePoints) - joint.Inside(c - kStep, kCoarsePoints)) /
      (2 * kStep);
  if (!(slope > 0)) return sidak;
  return std::clamp(c - (joint.Inside(c, kFinePoints) - (1 - alpha)) / slope, CriticalZ(alpha),
                    sidak);
}

std::vector<double> SimultaneousPValues(std::span<const double> correlation,
                                        std::span<const double> z) {
  const MaxAbsNormal joint(correlation);
  const double k = static_cast<double>(joint.size());
  std::vector<double> p;
  for (const double x : z) {
    const double single = TwoSidedNormalP(x);
    // Between the single test and Sidak's bound; far tails, where the lattice has no digits, take
    // the bound.
    const double bound = SidakOf(single, k);
    p.push_back(joint.size() <= 1 || joint.independent() || single < 1e-7
                    ? bound
                    : std::clamp(1 - joint.Inside(std::abs(x), kFinePoints), single, bound));
  }
  return p;
}

std::vector<double> CorrelationOf(std::span<const double> covariance) {
  const auto k =
      static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(covariance.size()))));
  std::vector<double> correlation(covariance.begin(), covariance.end());
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      const double scale = std::sqrt(covariance[i * k + i]) * std::sqrt(covariance[j * k + j]);
      double& entry = correlation[i * k + j];
      entry = i == j ? 1.0 : scale > 0 ? std::clamp(entry / scale, -1.0, 1.0) : 0.0;
    }
  }
  return correlation;
}

}  // namespace fulcrum::stats
