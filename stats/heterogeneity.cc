// SPDX-License-Identifier: Apache-2.0
#include "stats/heterogeneity.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "stats/distributions.h"
#include "stats/means.h"

namespace fulcrum::stats {
namespace {

Difference Tested(double diff, double variance) {
  Difference d{diff, std::sqrt(variance)};
  if (d.se > 0) {
    d.z = diff / d.se;
    d.p = TwoSidedNormalP(d.z);
  }
  return d;
}

// Fisher scoring; negative steps are held at 0.
bool RemlTau2(std::span<const Estimate> effects, double* tau2) {
  double t = *tau2;
  for (int iteration = 0; iteration < 1000; ++iteration) {
    double w1 = 0, w2 = 0, w3 = 0, weighted = 0;
    for (const Estimate& e : effects) {
      const double w = 1 / (e.variance + t);
      w1 += w;
      w2 += w * w;
      w3 += w * w * w;
      weighted += w * e.value;
    }
    const double mean = weighted / w1;
    double score = 0;
    for (const Estimate& e : effects) {
      const double w = 1 / (e.variance + t);
      score += w * w * (e.value - mean) * (e.value - mean);
    }
    // tr(P) and tr(PP) of the projection P = W - W 1 (1'W1)^-1 1'W.
    const double tr_p = w1 - w2 / w1;
    const double tr_pp = w2 - 2 * w3 / w1 + (w2 / w1) * (w2 / w1);
    if (!(tr_pp > 0)) return false;
    const double next = std::max(0.0, t + (score - tr_p) / tr_pp);
    if (std::abs(next - t) <= 1e-14 * (t + 1e-300) || (next == 0 && t == 0)) {
      *tau2 = next;
      return true;
    }
    t = next;
  }
  return false;
}

}  // namespace

Estimate RandomEffectsMean(std::span<const Estimate> effects, double tau2) {
  double sum = 0, weighted = 0;
  for (const Estimate& e : effects) {
    const double w = 1 / (e.variance + tau2);
    sum += w;
    weighted += w * e.value;
  }
  return {weighted / sum, 1 / sum};
}

namespace {

// sum w - sum w^2 / sum w, as the sum of w_i (the others' weights) / sum w: the plain form cancels
// to nothing where one effect is far more exact than the rest.
double SpreadWeight(std::span<const Estimate> effects) {
  std::vector<double> after(effects.size() + 1, 0.0);
  for (std::size_t i = effects.size(); i-- > 0;) after[i] = after[i + 1] + 1 / effects[i].variance;
  double before = 0, sum = 0;
  for (std::size_t i = 0; i < effects.size(); ++i) {
    const double w = 1 / effects[i].variance;
    sum += w / after[0] * (before + after[i + 1]);
    before += w;
  }
  return sum;
}

}  // namespace

MetaResult MetaAnalysis(std::span<const Estimate> effects) {
  MetaResult r;
  const Estimate fixed = RandomEffectsMean(effects, 0);
  r.fixed = fixed.value;
  r.fixed_se = std::sqrt(fixed.variance);
  r.df = static_cast<double>(effects.size()) - 1;
  for (const Estimate& e : effects) {
    r.q += (e.value - fixed.value) / e.variance * (e.value - fixed.value);
  }
  if (r.df >= 1) {
    r.p_q = ChiSquareSf(r.q, r.df);
    r.i2 = r.q > 0 ? std::max(0.0, (r.q - r.df) / r.q) : 0.0;
    r.tau2_dl = std::max(0.0, (r.q - r.df) / SpreadWeight(effects));
  }
  const Estimate random = RandomEffectsMean(effects, r.tau2_dl);
  r.random = random.value;
  r.random_se = std::sqrt(random.variance);
  r.tau2_reml = r.tau2_dl;
  if (r.df >= 1 && !RemlTau2(effects, &r.tau2_reml)) r.reason = Reason::kNotConverged;
  const Estimate reml = RandomEffectsMean(effects, r.tau2_reml);
  r.random_reml = reml.value;
  r.random_reml_se = std::sqrt(reml.variance);
  return r;
}

Difference DifferenceOfEffects(Estimate first, Estimate second) {
  return Tested(first.value - second.value, first.variance + second.variance);
}

FactorialResult Factorial2x2(const Moments cells[2][2]) {
  double variance = 0;
  for (int a = 0; a < 2; ++a) {
    for (int b = 0; b < 2; ++b) variance += cells[a][b].VarianceOfMean();
  }
  const double m00 = cells[0][0].mean, m01 = cells[0][1].mean;
  const double m10 = cells[1][0].mean, m11 = cells[1][1].mean;
  return {Tested((m11 - m01) - (m10 - m00), variance),
          Tested(0.5 * ((m10 - m00) + (m11 - m01)), variance / 4),
          Tested(0.5 * ((m01 - m00) + (m11 - m10)), variance / 4)};
}

MantelHaenszelResult MantelHaenszel(std::span<const Table2x2> strata) {
  MantelHaenszelResult r;
  double gap = 0, variance = 0, up = 0, down = 0;
  for (const Table2x2& t : strata) {
    const double n = t.a + t.b + t.c + t.d;
    if (n < 2) continue;
    const double row = t.a + t.b, column = t.a + t.c;
    gap += t.a - row * column / n;
    variance += row * (n - row) * column * (n - column) / (n * n * (n - 1));
    up += t.a * t.d / n;
    down += t.b * t.c / n;
  }
  if (!(variance > 0) || !(down > 0) || !(up > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  r.chi2 = gap * gap / variance;
  r.p = ChiSquareSf(r.chi2, 1);
  r.chi2_corrected = std::pow(std::max(0.0, std::abs(gap) - 0.5), 2) / variance;
  r.p_corrected = ChiSquareSf(r.chi2_corrected, 1);
  r.odds_ratio = up / down;
  double excess = 0, total_variance = 0, df = -1;
  for (const Table2x2& t : strata) {
    const double row = t.a + t.b, column = t.a + t.c, n = row + t.c + t.d;
    if (!(row > 0) || !(column > 0) || !(n > row) || !(n > column)) continue;
    df += 1;
    // Expected a under the common odds ratio: A (n - row - column + A) = or (row - A)(column - A).
    const double q = 1 - r.odds_ratio, b = n - row - column + r.odds_ratio * (row + column);
    const double c = -r.odds_ratio * row * column;
    const double root = std::sqrt(std::max(0.0, b * b - 4 * q * c));
    const double expected = -2 * c / (b + root);  // the root inside the margins, stable at or = 1
    const double v = 1 / (1 / expected + 1 / (row - expected) + 1 / (column - expected) +
                          1 / (n - row - column + expected));
    r.breslow_day += (t.a - expected) * (t.a - expected) / v;
    excess += t.a - expected;
    total_variance += v;
  }
  r.tarone = std::max(0.0, r.breslow_day - excess * excess / total_variance);
  if (df >= 1) {
    r.breslow_day_p = ChiSquareSf(r.breslow_day, df);
    r.tarone_p = ChiSquareSf(r.tarone, df);
  }
  return r;
}

PostStratified PostStratify(std::span<const Stratum> strata) {
  PostStratified r;
  Moments all_t, all_c;
  for (const Stratum& s : strata) {
    if (s.treatment.n < 2 || s.control.n < 2) {
      r.reason = Reason::kTooFewUnits;
      return r;
    }
    all_t.Merge(s.treatment);
    all_c.Merge(s.control);
  }
  const double n = static_cast<double>(all_t.n + all_c.n);
  double variance = 0;
  for (const Stratum& s : strata) {
    const double weight = static_cast<double>(s.treatment.n + s.control.n) / n;
    r.diff += weight * (s.treatment.mean - s.control.mean);
    variance += weight * weight * (s.treatment.VarianceOfMean() + s.control.VarianceOfMean());
  }
  r.se = std::sqrt(variance);
  const WelchResult raw = Welch(all_t, all_c, 0.05);
  r.diff_unadjusted = raw.diff;
  r.se_unadjusted = raw.se;
  if (raw.se > 0) r.variance_reduction = 1 - variance / (raw.se * raw.se);
  return r;
}

TrendResult WeightedTrend(std::span<const double> x, std::span<const Estimate> effects) {
  TrendResult r;
  double w = 0, wx = 0, wy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    w += 1 / effects[i].variance;
    wx += x[i] / effects[i].variance;
    wy += effects[i].value / effects[i].variance;
  }
  const double mean_x = wx / w, mean_y = wy / w;
  double sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - mean_x;
    sxx += dx * dx / effects[i].variance;
    sxy += dx * (effects[i].value - mean_y) / effects[i].variance;
  }
  if (x.size() < 2 || !(sxx > 0)) {
    r.reason = x.size() < 2 ? Reason::kTooFewUnits : Reason::kNoVariance;
    return r;
  }
  const Difference slope = Tested(sxy / sxx, 1 / sxx);
  r.slope = slope.diff;
  r.slope_se = slope.se;
  r.z = slope.z;
  r.p = slope.p;
  r.intercept = mean_y - r.slope * mean_x;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double gap = effects[i].value - r.intercept - r.slope * x[i];
    r.residual_q += gap * gap / effects[i].variance;
  }
  return r;
}

TrendResult CorrelatedTrend(std::span<const double> x, std::span<const double> effects,
                            std::span<const double> covariance) {
  TrendResult r;
  const auto n = static_cast<Eigen::Index>(x.size());
  const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>
      cov(covariance.data(), n, n);
  const Eigen::Map<const Eigen::VectorXd> y(effects.data(), n);
  const Eigen::LLT<Eigen::MatrixXd> factor(cov);
  if (n < 2 || factor.info() != Eigen::Success) {
    r.reason = n < 2 ? Reason::kTooFewUnits : Reason::kSingular;
    return r;
  }
  Eigen::MatrixXd design(n, 2);
  for (Eigen::Index i = 0; i < n; ++i) {
    design(i, 0) = 1;
    design(i, 1) = x[static_cast<std::size_t>(i)];
  }
  const Eigen::MatrixXd white = factor.matrixL().solve(design);
  const Eigen::VectorXd target = factor.matrixL().solve(y);
  const Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(white);
  if (qr.rank() < 2) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  const Eigen::VectorXd beta = qr.solve(target);
  const Eigen::MatrixXd normal = white.transpose() * white;
  const double determinant = normal(0, 0) * normal(1, 1) - normal(0, 1) * normal(1, 0);
  const Difference slope = Tested(beta[1], normal(0, 0) / determinant);
  r.slope = slope.diff;
  r.slope_se = slope.se;
  r.z = slope.z;
  r.p = slope.p;
  r.intercept = beta[0];
  r.residual_q = (target - white * beta).squaredNorm();
  return r;
}

}  // namespace fulcrum::stats
