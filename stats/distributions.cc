// SPDX-License-Identifier: Apache-2.0
#include "stats/distributions.h"

// An assertion inside the library would end the whole program over one absurd argument.
#define BOOST_DISABLE_ASSERTS

#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <limits>
#include <numbers>

#include "stats/types.h"

namespace fulcrum::stats {
namespace {

namespace bm = boost::math;

// Results at the edge of the doubles (overflow to infinity, underflow to zero) are answers here,
// not errors; arguments are checked by our callers.
using Policy =
    bm::policies::policy<bm::policies::domain_error<bm::policies::ignore_error>,
                         bm::policies::pole_error<bm::policies::ignore_error>,
                         bm::policies::overflow_error<bm::policies::ignore_error>,
                         bm::policies::evaluation_error<bm::policies::ignore_error>,
                         bm::policies::promote_float<false>, bm::policies::promote_double<false>>;
const Policy kPolicy;

constexpr double kSqrt2 = 1.4142135623730950488;
constexpr double kLogSqrt2Pi = 0.91893853320467274178;
constexpr double kLog2 = 0.69314718055994530942;

// Continued fraction of the incomplete beta function (DLMF 8.17.22) by Lentz's method, as a
// logarithm, for tails below the smallest double. REQUIRES x < (a + 1) / (a + b + 2).
double LogIncompleteBetaTail(double x, double one_minus_x, double a, double b) {
  constexpr double kTiny = 1e-300;
  double c = 1.0;
  double d = 1.0 - (a + b) * x / (a + 1.0);
  if (std::abs(d) < kTiny) d = kTiny;
  d = 1.0 / d;
  double h = d;
  for (int m = 1; m <= 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
    d = 1.0 + even * d;
    c = 1.0 + even / c;
    if (std::abs(d) < kTiny) d = kTiny;
    if (std::abs(c) < kTiny) c = kTiny;
    d = 1.0 / d;
    h *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
    d = 1.0 + odd * d;
    c = 1.0 + odd / c;
    if (std::abs(d) < kTiny) d = kTiny;
    if (std::abs(c) < kTiny) c = kTiny;
    d = 1.0 / d;
    const double step = d * c;
    h *= step;
    if (std::abs(step - 1.0) < 1e-15) break;
  }
  return a * std::log(x) + b * std::log(one_minus_x) - std::log(a) - LogBeta(a, b) + std::log(h);
}

// Continued fraction of Q(a, x) (DLMF 8.9.2) as a logarithm, for x well above a.
double LogUpperGammaTail(double a, double x) {
  constexpr double kTiny = 1e-300;
  double b = x + 1.0 - a;
  double c = 1.0 / kTiny;
  double d = 1.0 / b;
  double h = d;
  for (int i = 1; i <= 10000; ++i) {
    const double an = -i * (i - a);
    b += 2.0;
    d = an * d + b;
    if (std::abs(d) < kTiny) d = kTiny;
    c = b + an / c;
    if (std::abs(c) < kTiny) c = kTiny;
    d = 1.0 / d;
    const double step = d * c;
    h *= step;
    if (std::abs(step - 1.0) < 1e-15) break;
  }
  return -x + a * std::log(x) - std::lgamma(a) + std::log(h);
}

}  // namespace

double NormalPdf(double x) { return std::exp(-0.5 * x * x - kLogSqrt2Pi); }
double NormalCdf(double x) { return 0.5 * std::erfc(-x / kSqrt2); }
double NormalSf(double x) { return 0.5 * std::erfc(x / kSqrt2); }

double LogNormalSf(double x) {
  if (x < 30.0) return std::log(NormalSf(x));
  // Asymptotic series of Mills' ratio (DLMF 7.12.1); at x >= 30 eight terms are exact.
  const double inverse = 1.0 / (x * x);
  double term = 1.0;
  double sum = 1.0;
  for (int k = 1; k <= 8; ++k) {
    term *= -(2.0 * k - 1.0) * inverse;
    sum += term;
  }
  return -0.5 * x * x - kLogSqrt2Pi - std::log(x) + std::log(sum);
}

double NormalQuantile(double p) {
  if (p <= 0) return -kInfinity;
  if (p >= 1) return kInfinity;
  return -kSqrt2 * bm::erfc_inv(2.0 * p, kPolicy);
}

double NormalUpperQuantile(double tail) { return -NormalQuantile(tail); }
double TwoSidedNormalP(double z) { return std::erfc(std::abs(z) / kSqrt2); }
double LogTwoSidedNormalP(double z) { return kLog2 + LogNormalSf(std::abs(z)); }
double CriticalZ(double alpha) { return NormalUpperQuantile(0.5 * alpha); }

namespace {

// log P(|T| > |t|) where df / t^2 is below the smallest double: the leading term of the tail.
double LogFarTwoSidedT(double t, double df) {
  const double log_x = std::log(df) - 2 * std::log(std::abs(t));
  return 0.5 * df * log_x - std::log(0.5 * df) - LogBeta(0.5 * df, 0.5);
}

bool BeyondSquares(double t, double df) { return std::abs(t) > 1e140 * std::sqrt(df); }

}  // namespace

double TSf(double t, double df) {
  if (std::isinf(df)) return NormalSf(t);
  if (std::isinf(t)) return t > 0 ? 0.0 : 1.0;
  if (BeyondSquares(t, df)) {
    const double tail = 0.5 * std::exp(LogFarTwoSidedT(t, df));
    return t > 0 ? tail : 1.0 - tail;
  }
  const double t2 = t * t;
  // Half of I_x(df/2, 1/2) at x = df/(df + t^2); the other branch keeps digits where x is near 1.
  const double half = t2 < df ? 0.5 * bm::ibetac(0.5, 0.5 * df, t2 / (df + t2), kPolicy)
                              : 0.5 * bm::ibeta(0.5 * df, 0.5, df / (df + t2), kPolicy);
  return t >= 0 ? half : 1.0 - half;
}

double TCdf(double t, double df) { return TSf(-t, df); }

double TPdf(double t, double df) {
  if (std::isinf(df)) return NormalPdf(t);
  return std::exp(-0.5 * (df + 1.0) * std::log1p(t * t / df) - LogBeta(0.5, 0.5 * df) -
                  0.5 * std::log(df));
}

double TUpperQuantile(double tail, double df) {
  if (std::isinf(df)) return NormalUpperQuantile(tail);
  if (tail == 0.5) return 0.0;
  if (tail > 0.5) return -TUpperQuantile(1.0 - tail, df);
  if (tail <= 0) return kInfinity;
  // Invert I_x(df/2, 1/2) = 2 tail; boost gives x and 1 - x, so neither end cancels.
  double one_minus_x = 0;
  const double x = bm::ibeta_inv(0.5 * df, 0.5, 2.0 * tail, &one_minus_x, kPolicy);
  double t = x > 0 ? std::sqrt(df) * std::sqrt(one_minus_x / x) : kInfinity;
  if (!std::isfinite(t) || BeyondSquares(t, df)) {
    // The leading term of the tail, inverted.
    const double log_x =
        2 / df * (std::log(2 * tail) + std::log(0.5 * df) + LogBeta(0.5 * df, 0.5));
    return std::exp(0.5 * (std::log(df) - log_x));
  }
  // Two Newton steps: at large df the inverse above is good to about 1e-12 only.
  for (int i = 0; i < 2; ++i) {
    const double density = TPdf(t, df);
    if (!(density > 0)) break;
    t += (TSf(t, df) - tail) / density;
  }
  return t;
}

double TQuantile(double p, double df) { return -TUpperQuantile(p, df); }
double TwoSidedTP(double t, double df) { return 2.0 * TSf(std::abs(t), df); }

double LogTwoSidedTP(double t, double df) {
  if (std::isinf(df)) return LogTwoSidedNormalP(t);
  const double p = TwoSidedTP(t, df);
  if (p > 1e-290) return std::log(p);
  if (BeyondSquares(t, df)) return LogFarTwoSidedT(t, df);
  const double t2 = t * t;
  return LogIncompleteBetaTail(df / (df + t2), t2 / (df + t2), 0.5 * df, 0.5);
}

double CriticalT(double alpha, double df) { return TUpperQuantile(0.5 * alpha, df); }

double NoncentralTCdf(double t, double df, double delta) {
  return bm::cdf(bm::non_central_t_distribution<double, Policy>(df, delta), t);
}

double NoncentralTSf(double t, double df, double delta) {
  return bm::cdf(bm::complement(bm::non_central_t_distribution<double, Policy>(df, delta), t));
}

double ChiSquareSf(double x, double df) {
  if (x <= 0) return 1.0;
  return bm::gamma_q(0.5 * df, 0.5 * x, kPolicy);
}

double LogChiSquareSf(double x, double df) {
  const double p = ChiSquareSf(x, df);
  return p > 1e-290 ? std::log(p) : LogUpperGammaTail(0.5 * df, 0.5 * x);
}

double ChiSquareQuantile(double p, double df) {
  return 2.0 * bm::gamma_p_inv(0.5 * df, p, kPolicy);
}

double FSf(double f, double df1, double df2) {
  if (f <= 0) return 1.0;
  if (std::isinf(df2)) return ChiSquareSf(f * df1, df1);
  return bm::ibeta(0.5 * df2, 0.5 * df1, df2 / (df2 + df1 * f), kPolicy);
}

namespace {

// From here on densities and the incomplete gamma function are taken about their peak: the usual
// forms lose log10(parameter) digits and their series need sqrt(parameter) terms.
constexpr double kLarge = 1e7;

// u - log(1 + u), accurate near 0 too.
double LogGap(double u) {
  if (std::abs(u) > 0.05) return u - std::log1p(u);
  double sum = 0, power = u;
  for (int k = 2; k <= 14; ++k) {
    power *= -u;
    sum -= power / k;
  }
  return sum;
}

// log of Gamma(a) over Stirling's sqrt(2 pi / a) (a / e)^a, for large a.
double StirlingError(double a) { return 1 / (12 * a) - 1 / (360 * a * a * a); }

// Incomplete gamma ratios for large a (Temme 1979): half an error function and one correction, the
// next being 1 / a smaller. `upper` for Q.
double LargeGammaRatio(double a, double x, bool upper) {
  const double u = (x - a) / a, half_square = LogGap(u);
  const double eta = std::copysign(std::sqrt(2 * half_square), u);
  const double c0 =
      std::abs(eta) < 1e-3 ? -1.0 / 3 + eta / 12 - eta * eta * 2 / 135 : 1 / u - 1 / eta;
  const double correction = std::exp(-a * half_square) / std::sqrt(2 * std::numbers::pi * a) * c0;
  const double z = eta * std::sqrt(a);
  return std::clamp(upper ? NormalSf(z) + correction : NormalCdf(z) - correction, 0.0, 1.0);
}

}  // namespace

double BetaPdf(double x, double a, double b) {
  if (std::min(a, b) < kLarge) return bm::ibeta_derivative(a, b, x, kPolicy);
  if (!(x > 0 && x < 1)) return 0.0;
  const double n = a + b, p = a / n, q = b / n;
  const double gap = a * LogGap((x - p) / p) + b * LogGap((p - x) / q);
  const double stirling = StirlingError(n) - StirlingError(a) - StirlingError(b);
  return std::sqrt(a / n * b / (2 * std::numbers::pi)) * std::exp(stirling - gap) / (x * (1 - x));
}

double BetaCdf(double x, double a, double b) {
  if (x <= 0) return 0.0;
  if (x >= 1) return 1.0;
  return bm::ibeta(a, b, x, kPolicy);
}

double BetaSf(double x, double a, double b) {
  if (x <= 0) return 1.0;
  if (x >= 1) return 0.0;
  return bm::ibetac(a, b, x, kPolicy);
}

double BetaQuantile(double p, double a, double b) {
  if (p <= 0) return 0.0;
  if (p >= 1) return 1.0;
  return bm::ibeta_inv(a, b, p, kPolicy);
}

double LogBeta(double a, double b) {
  if (a > b) return LogBeta(b, a);
  // lgamma(b) - lgamma(a + b) cancels when b is much larger than a; the ratio form does not.
  if (b > 1e3 && a < 1e3) {
    return std::lgamma(a) + std::log(bm::tgamma_delta_ratio(b, a, kPolicy));
  }
  return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b);
}

double LogGamma(double x) { return std::lgamma(x); }

double GammaPdf(double x, double shape, double rate) {
  if (shape < kLarge) return rate * bm::gamma_p_derivative(shape, rate * x, kPolicy);
  if (!(x > 0)) return 0.0;
  const double gap = shape * LogGap((rate * x - shape) / shape) + StirlingError(shape);
  return std::sqrt(shape / (2 * std::numbers::pi)) * std::exp(-gap) / x;
}

double RegularisedGammaP(double a, double x) {
  return a < kLarge ? bm::gamma_p(a, x, kPolicy) : LargeGammaRatio(a, x, false);
}
double RegularisedGammaQ(double a, double x) {
  return a < kLarge ? bm::gamma_q(a, x, kPolicy) : LargeGammaRatio(a, x, true);
}

double GammaQuantile(double p, double shape, double rate) {
  return bm::gamma_p_inv(shape, p, kPolicy) / rate;
}

double BinomialPmf(double k, double n, double p) {
  if (k < 0 || k > n) return 0.0;
  if (p <= 0) return k == 0 ? 1.0 : 0.0;
  if (p >= 1) return k == n ? 1.0 : 0.0;
  if (k == 0) return std::exp(n * std::log1p(-p));
  if (k == n) return std::exp(n * std::log(p));
  return bm::ibeta_derivative(k + 1.0, n - k + 1.0, p, kPolicy) / (n + 1.0);
}

double BinomialCdf(double k, double n, double p) {
  if (k < 0) return 0.0;
  if (k >= n) return 1.0;
  return BetaSf(p, k + 1.0, n - k);
}

double BinomialSf(double k, double n, double p) {
  if (k < 0) return 1.0;
  if (k >= n) return 0.0;
  return BetaCdf(p, k + 1.0, n - k);
}

}  // namespace fulcrum::stats
