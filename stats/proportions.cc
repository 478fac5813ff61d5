// SPDX-License-Identifier: Apache-2.0
#include "stats/proportions.h"

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"
#include "stats/roots.h"

namespace fulcrum::stats {
namespace {

double D(std::int64_t x) { return static_cast<double>(x); }

double BinomialVariance(double p, double n) { return p * (1.0 - p) / n; }

// Where a continuous function leaves f <= 0 on the way from `inside` to `outside`. With no events
// at all it starts at exactly 0 without leaving there; bisection walks over that.
template <typename F>
double Cross(double inside, double outside, F f) {
  if (!(f(outside) > 0)) return outside;
  if (f(inside) < 0) return FindRoot(inside, outside, 0.0, f);
  for (int i = 0; i < 200; ++i) {
    const double middle = 0.5 * (inside + outside);
    if (middle == inside || middle == outside) break;
    (f(middle) > 0 ? outside : inside) = middle;
  }
  return inside;
}

// The 2 x 2 tables with given margins, by the treated success count k, under an odds ratio.
class Tables {
 public:
  Tables(Proportion a, Proportion b)
      : lowest_(std::max<std::int64_t>(0, a.events + b.events - b.n)),
        highest_(std::min(a.events + b.events, a.n)),
        successes_(a.events + b.events),
        a_(a.n),
        b_(b.n) {}

  std::int64_t lowest() const { return lowest_; }
  std::int64_t highest() const { return highest_; }

  // Calls visit(k, weight) outwards from the most probable count, weights relative to that one's,
  // until they fall below `least`, which must be a normal number: the least denormal times 0.9 is
  // itself, and the walk would not end. Recurrences need no logarithms of large factorials and no
  // memory, so counts of 10^12 are a matter of a second.
  template <typename Visit>
  void Walk(double odds_ratio, double least, Visit visit) const {
    const std::int64_t mode = Mode(odds_ratio);
    double w = 1;
    for (std::int64_t k = mode; w > least; ++k) {
      visit(k, w);
      if (k == highest_) break;
      w *= odds_ratio * Ratio(k);
    }
    w = 1;
    for (std::int64_t k = mode; k > lowest_; --k) {
      w /= odds_ratio * Ratio(k - 1);
      if (!(w > least)) break;
      visit(k - 1, w);
    }
  }

  double Mean(double odds_ratio) const {
    double sum = 0, total = 0;
    const std::int64_t mode = Mode(odds_ratio);
    Walk(odds_ratio, 1e-18, [&](std::int64_t k, double w) {
      total += w;
      sum += w * D(k - mode);
    });
    return D(mode) + sum / total;
  }

 private:
  // P(k + 1) / P(k) at odds ratio 1; falls with k.
  double Ratio(std::int64_t k) const {
    return D(successes_ - k) * D(a_ - k) / (D(k + 1) * D(b_ - successes_ + k + 1));
  }
  std::int64_t Mode(double odds_ratio) const {
    std::int64_t low = lowest_, high = highest_;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (odds_ratio * Ratio(middle) >= 1) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  std::int64_t lowest_, highest_, successes_, a_, b_;
};

}  // namespace

Interval WilsonInterval(Proportion p, double alpha) {
  const double z = CriticalZ(alpha);
  const double n = p.Count();
  const double x = D(p.events);
  const double z2 = z * z;
  const double root = z * std::sqrt(x * (n - x) / n + 0.25 * z2);
  return {p.events == 0 ? 0.0 : (x + 0.5 * z2 - root) / (n + z2),
          p.events == p.n ? 1.0 : (x + 0.5 * z2 + root) / (n + z2)};
}

Interval NewcombeInterval(Proportion treatment, Proportion control, double alpha) {
  const Interval t = WilsonInterval(treatment, alpha);
  const Interval c = WilsonInterval(control, alpha);
  const double p1 = treatment.Rate();
  const double p2 = control.Rate();
  const double diff = p1 - p2;
  return {diff - std::hypot(p1 - t.lo, c.hi - p2), diff + std::hypot(t.hi - p1, p2 - c.lo)};
}

Interval AgrestiCaffoInterval(Proportion treatment, Proportion control, double alpha) {
  const double n1 = treatment.Count() + 2;
  const double n2 = control.Count() + 2;
  const double p1 = (D(treatment.events) + 1) / n1;
  const double p2 = (D(control.events) + 1) / n2;
  const double half =
      CriticalZ(alpha) * std::sqrt(BinomialVariance(p1, n1) + BinomialVariance(p2, n2));
  return {p1 - p2 - half, p1 - p2 + half};
}

ConstrainedRates ConstrainedMle(Proportion treatment, Proportion control, double delta) {
  const double x1 = D(treatment.events), n1 = treatment.Count();
  const double x2 = D(control.events), n2 = control.Count();
  if (delta >= 1) return {1, 0};
  if (delta <= -1) return {0, 1};
  double lo = std::max(0.0, -delta);
  double hi = std::min(1.0, 1.0 - delta);
  // Derivative of the log-likelihood in the control rate; it falls steadily from +inf to -inf.
  const auto slope = [&](double p2) {
    const double p1 = p2 + delta;
    double sum = 0;
    if (x1 > 0) sum += x1 / p1;
    if (n1 > x1) sum -= (n1 - x1) / (1.0 - p1);
    if (x2 > 0) sum += x2 / p2;
    if (n2 > x2) sum -= (n2 - x2) / (1.0 - p2);
    return sum;
  };
  // Closed form (Farrington and Manning 1990) as the start.
  const double theta = n2 / n1, r1 = x1 / n1, r2 = x2 / n2;
  const double a = 1 + theta;
  const double b = -(1 + theta + r1 + theta * r2 + delta * (theta + 2));
  const double c = delta * delta + delta * (2 * r1 + theta + 1) + r1 + theta * r2;
  const double d = -r1 * delta * (1 + delta);
  const double b3 = b / (3 * a);
  const double v = b3 * b3 * b3 - b * c / (6 * a * a) + d / (2 * a);
  const double u = std::copysign(std::sqrt(std::max(0.0, b3 * b3 - c / (3 * a))), v);
  double p2 = 0.5 * (lo + hi);
  if (u != 0) {
    const double w = (M_PI + std::acos(std::clamp(v / (u * u * u), -1.0, 1.0))) / 3;
    p2 = 2 * u * std::cos(w) - b3 - delta;
  }
  // Newton with bisection as the guard: the cosine form loses half its digits at tiny rates.
  for (int i = 0; i < 100; ++i) {
    if (!(p2 > lo && p2 < hi)) p2 = 0.5 * (lo + hi);
    const double p1 = p2 + delta;
    const double g = slope(p2);
    if (g == 0) break;
    (g > 0 ? lo : hi) = p2;
    double curvature = 0;
    if (x1 > 0) curvature += x1 / (p1 * p1);
    if (n1 > x1) curvature += (n1 - x1) / ((1 - p1) * (1 - p1));
    if (x2 > 0) curvature += x2 / (p2 * p2);
    if (n2 > x2) curvature += (n2 - x2) / ((1 - p2) * (1 - p2));
    const double next = p2 + g / curvature;
    if (std::abs(next - p2) <= 1e-16 * std::abs(p2)) break;
    p2 = next;
    if (hi - lo <= 1e-300) break;
  }
  p2 = std::clamp(p2, std::max(0.0, -delta), std::min(1.0, 1.0 - delta));
  return {std::clamp(p2 + delta, 0.0, 1.0), p2};
}

Interval MiettinenNurminenInterval(Proportion treatment, Proportion control, double alpha) {
  const double n1 = treatment.Count(), n2 = control.Count();
  const double diff = treatment.Rate() - control.Rate();
  const double z2 = std::pow(CriticalZ(alpha), 2);
  const double inflation = (n1 + n2) / (n1 + n2 - 1);
  // Positive where delta is rejected.
  const auto excess = [&](double delta) {
    const ConstrainedRates r = ConstrainedMle(treatment, control, delta);
    const double variance =
        inflation * (BinomialVariance(r.treatment, n1) + BinomialVariance(r.control, n2));
    return (diff - delta) * (diff - delta) - z2 * variance;
  };
  return {diff <= -1 ? -1.0 : Cross(diff, -1.0, excess),
          diff >= 1 ? 1.0 : Cross(diff, 1.0, excess)};
}

TwoProportionsResult TwoProportions(Proportion treatment, Proportion control, double alpha) {
  TwoProportionsResult r;
  if (treatment.n < 1 || control.n < 1) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const double n1 = treatment.Count(), n2 = control.Count();
  r.rate_treatment = treatment.Rate();
  r.rate_control = control.Rate();
  r.diff = r.rate_treatment - r.rate_control;
  const double pooled = (D(treatment.events) + D(control.events)) / (n1 + n2);
  r.se_pooled = std::sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2));
  r.se_unpooled =
      std::sqrt(BinomialVariance(r.rate_treatment, n1) + BinomialVariance(r.rate_control, n2));
  if (r.se_pooled > 0) {
    r.z_pooled = r.diff / r.se_pooled;
    r.p_pooled = TwoSidedNormalP(r.z_pooled);
    r.log_p_pooled = LogTwoSidedNormalP(r.z_pooled);
    r.z_score = r.z_pooled * std::sqrt((n1 + n2 - 1) / (n1 + n2));
    r.p_score = TwoSidedNormalP(r.z_score);
  } else {
    r.reason = Reason::kNoVariance;
  }
  if (r.se_unpooled > 0) {
    r.z_unpooled = r.diff / r.se_unpooled;
    r.p_unpooled = TwoSidedNormalP(*r.z_unpooled);
  } else if (r.diff == 0) {
    r.z_unpooled = 0.0;
    r.p_unpooled = 1.0;
  }
  const double half = CriticalZ(alpha) * r.se_unpooled;
  r.wald = {r.diff - half, r.diff + half};
  r.newcombe = NewcombeInterval(treatment, control, alpha);
  r.agresti_caffo = AgrestiCaffoInterval(treatment, control, alpha);
  r.miettinen_nurminen = MiettinenNurminenInterval(treatment, control, alpha);
  return r;
}

ScoreTest FarringtonManning(Proportion treatment, Proportion control, double margin) {
  ScoreTest r;
  r.null_rates = ConstrainedMle(treatment, control, margin);
  const double variance = BinomialVariance(r.null_rates.treatment, treatment.Count()) +
                          BinomialVariance(r.null_rates.control, control.Count());
  if (variance > 0) {
    r.z = (treatment.Rate() - control.Rate() - margin) / std::sqrt(variance);
    r.p_one_sided = NormalSf(*r.z);
  }
  return r;
}

SingleProportionIntervals SingleProportion(Proportion p, double alpha) {
  SingleProportionIntervals r;
  const double x = D(p.events), n = p.Count();
  r.wilson = WilsonInterval(p, alpha);
  r.clopper_pearson = {p.events == 0 ? 0.0 : BetaQuantile(alpha / 2, x, n - x + 1),
                       p.events == p.n ? 1.0 : BetaQuantile(1 - alpha / 2, x + 1, n - x)};
  const double z = CriticalZ(alpha), z2 = z * z, rate = p.Rate(), q = 1 - rate;
  const double low_root = std::max(0.0, z2 - 2 - 1 / n + 4 * rate * (n * q + 1));
  const double high_root = std::max(0.0, z2 + 2 - 1 / n + 4 * rate * (n * q - 1));
  r.wilson_continuity = {
      p.events == 0 ? 0.0
                    : std::max(0.0, (2 * x + z2 - 1 - z * std::sqrt(low_root)) / (2 * (n + z2))),
      p.events == p.n
          ? 1.0
          : std::min(1.0, (2 * x + z2 + 1 + z * std::sqrt(high_root)) / (2 * (n + z2)))};
  r.jeffreys = {BetaQuantile(alpha / 2, x + 0.5, n - x + 0.5),
                BetaQuantile(1 - alpha / 2, x + 0.5, n - x + 0.5)};
  return r;
}

FisherResult FisherExact(Proportion treatment, Proportion control) {
  const Tables tables(treatment, control);
  const std::int64_t observed = treatment.events;
  double own = 0;
  tables.Walk(1, 1e-305, [&](std::int64_t k, double w) {
    if (k == observed) own = w;
  });
  double below = 0, above = 0, rarer = 0, ties = 0, total = 0;
  tables.Walk(1, 1e-305, [&](std::int64_t k, double w) {
    total += w;
    if (k < observed) below += w;
    if (k > observed) above += w;
    if (k == observed || std::abs(w - own) <= 1e-7 * own) {
      ties += w;
    } else if (w < own) {
      rarer += w;
    }
  });
  FisherResult r;
  r.p_two_sided = std::min(1.0, (rarer + ties) / total);
  r.mid_p_two_sided = std::min(1.0, (rarer + 0.5 * ties) / total);
  r.p_greater = std::min(1.0, (above + own) / total);
  r.p_less = std::min(1.0, (below + own) / total);
  r.mid_p_greater = (above + 0.5 * own) / total;
  r.mid_p_less = (below + 0.5 * own) / total;
  if (tables.lowest() == tables.highest()) return r;
  const double x1 = D(treatment.events), y1 = treatment.Count() - x1;
  const double x2 = D(control.events), y2 = control.Count() - x2;
  r.odds_ratio = y1 > 0 && x2 > 0 ? x1 * y2 / (y1 * x2) : kInfinity;
  if (tables.highest() - tables.lowest() > 10000000) return r;
  if (observed == tables.lowest() || observed == tables.highest()) {
    r.odds_ratio_conditional = observed == tables.lowest() ? 0.0 : kInfinity;
  } else {
    r.odds_ratio_conditional = std::exp(FindRoot(-60.0, 60.0, 1e-13, [&](double log_odds) {
      return tables.Mean(std::exp(log_odds)) - D(observed);
    }));
  }
  return r;
}

RatioMeasures RiskAndOddsRatio(Proportion treatment, Proportion control, double alpha) {
  RatioMeasures r;
  const double x1 = D(treatment.events), n1 = treatment.Count();
  const double x2 = D(control.events), n2 = control.Count();
  const double z = CriticalZ(alpha);
  const auto around = [&](double ratio, double se) {
    return Interval{ratio * std::exp(-z * se), ratio * std::exp(z * se)};
  };
  if (x2 > 0) {
    r.risk_ratio = (x1 / n1) / (x2 / n2);
    if (x1 > 0) {
      r.risk_ratio_interval =
          around(*r.risk_ratio, std::sqrt((n1 - x1) / (x1 * n1) + (n2 - x2) / (x2 * n2)));
    }
  }
  if (x2 > 0 && n1 > x1) {
    r.odds_ratio = x1 * (n2 - x2) / ((n1 - x1) * x2);
    if (x1 > 0 && n2 > x2) {
      r.odds_ratio_interval =
          around(*r.odds_ratio, std::sqrt(1 / x1 + 1 / (n1 - x1) + 1 / x2 + 1 / (n2 - x2)));
    }
  }
  return r;
}

ChiSquareResult ChiSquareHomogeneity(std::span<const double> counts, std::size_t columns) {
  ChiSquareResult r;
  const std::size_t rows = columns > 0 ? counts.size() / columns : 0;
  std::vector<double> row_sum(rows, 0.0), column_sum(columns, 0.0);
  double total = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      const double count = counts[i * columns + j];
      row_sum[i] += count;
      column_sum[j] += count;
      total += count;
    }
  }
  const auto positive = [](double x) { return x > 0; };
  const auto live_rows = std::count_if(row_sum.begin(), row_sum.end(), positive);
  const auto live_columns = std::count_if(column_sum.begin(), column_sum.end(), positive);
  if (live_rows < 2 || live_columns < 2) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      const double expected = row_sum[i] * column_sum[j] / total;
      if (expected > 0) r.chi2 += std::pow(counts[i * columns + j] - expected, 2) / expected;
    }
  }
  r.df = static_cast<double>((live_rows - 1) * (live_columns - 1));
  r.p = ChiSquareSf(r.chi2, r.df);
  r.log_p = LogChiSquareSf(r.chi2, r.df);
  return r;
}

RateRatioResult PoissonRateRatio(std::int64_t events_treatment, double exposure_treatment,
                                 std::int64_t events_control, double exposure_control,
                                 double alpha) {
  RateRatioResult r;
  const double x1 = D(events_treatment), x2 = D(events_control), n = x1 + x2;
  const double scale = exposure_control / exposure_treatment;
  if (n == 0) {
    r.interval = {0, kInfinity};
    return r;
  }
  r.rate_ratio = x2 > 0 ? x1 / x2 * scale : kInfinity;
  const auto odds = [&](double p) { return p >= 1 ? kInfinity : p / (1 - p) * scale; };
  r.interval = {x1 > 0 ? odds(BetaQuantile(alpha / 2, x1, x2 + 1)) : 0.0,
                x2 > 0 ? odds(BetaQuantile(1 - alpha / 2, x1 + 1, x2)) : kInfinity};
  // Every count no more probable than the observed one lies beyond a crossing in either tail.
  const double p0 = exposure_treatment / (exposure_treatment + exposure_control);
  const double own = BinomialPmf(x1, n, p0) * (1 + 1e-7);
  const double mode = std::floor((n + 1) * p0);
  const auto rarer = [&](double k) { return BinomialPmf(k, n, p0) <= own; };
  double p = 0;
  if (rarer(std::min(mode, n))) {
    p = 1;
  } else {
    double lo = -1, hi = mode;  // largest k below the mode that is rare enough, by bisection
    while (hi - lo > 1) {
      const double middle = std::floor((lo + hi) / 2);
      (rarer(middle) ? lo : hi) = middle;
    }
    p += BinomialCdf(lo, n, p0);
    lo = std::min(mode, n), hi = n + 1;
    while (hi - lo > 1) {
      const double middle = std::floor((lo + hi) / 2);
      (rarer(middle) ? hi : lo) = middle;
    }
    p += BinomialSf(hi - 1, n, p0);
  }
  r.p_two_sided = std::min(1.0, p);
  return r;
}

OperatingCharacteristics EnumerateTwoProportions(std::int64_t n_treatment, double p_treatment,
                                                 std::int64_t n_control, double p_control,
                                                 double alpha) {
  OperatingCharacteristics r;
  const double truth = p_treatment - p_control;
  const double z = CriticalZ(alpha);
  // Relative rounding of the z itself must not decide a tie with the critical value.
  const auto rejects = [&](double diff, double se) { return se > 0 && std::abs(diff) > z * se; };
  std::vector<double> weight_c(static_cast<std::size_t>(n_control + 1));
  for (std::int64_t c = 0; c <= n_control; ++c) {
    weight_c[static_cast<std::size_t>(c)] = BinomialPmf(D(c), D(n_control), p_control);
  }
  for (std::int64_t t = 0; t <= n_treatment; ++t) {
    const double weight_t = BinomialPmf(D(t), D(n_treatment), p_treatment);
    if (weight_t < 1e-18) continue;
    for (std::int64_t c = 0; c <= n_control; ++c) {
      const double weight = weight_t * weight_c[static_cast<std::size_t>(c)];
      if (weight < 1e-20) continue;
      const Proportion treatment{t, n_treatment}, control{c, n_control};
      const double diff = treatment.Rate() - control.Rate();
      const double n1 = D(n_treatment), n2 = D(n_control), pooled = D(t + c) / (n1 + n2);
      const double se_pooled = std::sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2));
      const double se =
          std::sqrt(BinomialVariance(treatment.Rate(), n1) + BinomialVariance(control.Rate(), n2));
      if (rejects(diff, se_pooled)) r.reject_pooled_z += weight;
      if (rejects(diff, se)) r.reject_unpooled_z += weight;
      if (std::abs(diff - truth) <= z * se) r.coverage_wald += weight;
      if (NewcombeInterval(treatment, control, alpha).Contains(truth)) {
        r.coverage_newcombe += weight;
      }
      if (AgrestiCaffoInterval(treatment, control, alpha).Contains(truth)) {
        r.coverage_agresti_caffo += weight;
      }
    }
  }
  return r;
}

}  // namespace fulcrum::stats
