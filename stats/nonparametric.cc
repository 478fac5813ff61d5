// SPDX-License-Identifier: Apache-2.0
#include "stats/nonparametric.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "stats/distributions.h"
#include "stats/quantiles.h"

namespace fulcrum::stats {
namespace {

// SplitMix64 (Steele, Lea and Flood 2014): a few lines, the same on every platform.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::size_t Below(std::size_t n) {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    return static_cast<std::size_t>((z >> 32) * static_cast<std::uint64_t>(n) >> 32);
  }

 private:
  std::uint64_t state_;
};

double Mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Probabilities of U = 0 .. m n without ties, by the positive recursion on the largest value.
std::vector<double> UDistribution(std::size_t m, std::size_t n) {
  std::vector<std::vector<double>> previous(n + 1, std::vector<double>{1.0});  // m = 0
  for (std::size_t i = 1; i <= m; ++i) {
    std::vector<std::vector<double>> now(n + 1);
    now[0] = {1.0};
    for (std::size_t j = 1; j <= n; ++j) {
      now[j].assign(i * j + 1, 0.0);
      const double x_last = static_cast<double>(i) / static_cast<double>(i + j);
      for (std::size_t u = 0; u < previous[j].size(); ++u) now[j][u + j] += x_last * previous[j][u];
      for (std::size_t u = 0; u < now[j - 1].size(); ++u) now[j][u] += (1 - x_last) * now[j - 1][u];
    }
    previous = std::move(now);
  }
  return previous[n];
}

// z0 and acceleration to the level of the percentile to read (Efron 1987).
double BcaLevel(double level, double z0, double acceleration) {
  const double z = z0 + NormalQuantile(level);
  return NormalCdf(z0 + z / (1 - acceleration * z));
}

}  // namespace

ValueCounts CountValues(std::span<const double> values) {
  std::map<double, double> counts;
  for (const double x : values) counts[x] += 1;
  return {counts.begin(), counts.end()};
}

MannWhitneyResult MannWhitney(const ValueCounts& x, const ValueCounts& y) {
  MannWhitneyResult r;
  std::map<double, std::pair<double, double>> joint;
  double m = 0, n = 0;
  for (const auto& [value, count] : x) {
    joint[value].first += count;
    m += count;
  }
  for (const auto& [value, count] : y) {
    joint[value].second += count;
    n += count;
  }
  double y_below = 0, ties = 0;
  const double total = m + n;
  for (const auto& [value, counts] : joint) {
    r.u += counts.first * (y_below + 0.5 * counts.second);
    y_below += counts.second;
    const double t = counts.first + counts.second;
    ties += t * (t * t - 1);
  }
  if (m < 1 || n < 1) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  r.prob_superiority = r.u / (m * n);
  r.variance = m * n / 12 * (total + 1 - ties / (total * (total - 1)));
  if (!(r.variance > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  const double gap = r.u - m * n / 2, sd = std::sqrt(r.variance);
  r.z = gap / sd;
  r.p_normal = TwoSidedNormalP(r.z);
  r.p_normal_corrected = TwoSidedNormalP(std::max(0.0, std::abs(gap) - 0.5) / sd);
  return r;
}

ExactU ExactMannWhitney(double u, std::size_t n_x, std::size_t n_y, double alpha) {
  ExactU r;
  const std::vector<double> p = UDistribution(n_x, n_y);
  double below = 0, above = 0, cumulative = 0;
  bool found = false;
  for (std::size_t k = 0; k < p.size(); ++k) {
    const double value = static_cast<double>(k);
    if (value <= u) below += p[k];
    if (value >= u) above += p[k];
    cumulative += p[k];
    if (!found && cumulative >= alpha / 2 * (1 - 1e-12)) {
      r.lower_quantile = value;
      found = true;
    }
  }
  r.p_less = std::min(1.0, below);
  r.p_greater = std::min(1.0, above);
  r.p_two_sided = std::min(1.0, 2 * std::min(below, above));
  return r;
}

HodgesLehmann HodgesLehmannShift(std::span<const double> x, std::span<const double> y,
                                 double alpha) {
  HodgesLehmann r;
  std::vector<double> differences;
  for (const double a : x) {
    for (const double b : y) differences.push_back(a - b);
  }
  std::sort(differences.begin(), differences.end());
  const std::size_t count = differences.size();
  r.estimate = 0.5 * (differences[(count - 1) / 2] + differences[count / 2]);
  const double cut = std::max(1.0, ExactMannWhitney(0, x.size(), y.size(), alpha).lower_quantile);
  const auto at = static_cast<std::size_t>(cut);
  r.interval = {differences[at - 1], differences[count - at]};
  return r;
}

KolmogorovSmirnovResult KolmogorovSmirnov(std::span<const double> x, std::span<const double> y) {
  KolmogorovSmirnovResult r;
  std::vector<double> a(x.begin(), x.end()), b(y.begin(), y.end());
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  const double m = static_cast<double>(a.size()), n = static_cast<double>(b.size());
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const double value = std::min(a[i], b[j]);
    while (i < a.size() && a[i] == value) ++i;
    while (j < b.size() && b[j] == value) ++j;
    r.d = std::max(r.d, std::abs(static_cast<double>(i) / m - static_cast<double>(j) / n));
  }
  // A random path from (0,0) to (m,n); its chance to reach a gap of d. Mass that leaves is added
  // up directly, so small p keep their digits.
  const double limit = r.d - 1e-7 / (m * n);
  std::vector<double> row(b.size() + 1, 0.0);
  double left = 0;
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      const double di = static_cast<double>(i), dj = static_cast<double>(j);
      double mass = i == 0 && j == 0 ? 1.0 : 0.0;
      if (i > 0) mass += row[j] * (m - di + 1) / (m - di + 1 + n - dj);
      if (j > 0) mass += row[j - 1] * (n - dj + 1) / (m - di + n - dj + 1);
      if (std::abs(di / m - dj / n) >= limit) {
        left += mass;
        mass = 0;
      }
      row[j] = mass;
    }
  }
  r.p_exact = r.d > 0 ? std::min(1.0, left) : 1.0;
  return r;
}

PermutationResult PermuteMeanDiff(std::span<const double> x, std::span<const double> y) {
  PermutationResult r;
  std::vector<double> all(x.begin(), x.end());
  all.insert(all.end(), y.begin(), y.end());
  const std::size_t m = x.size();
  const double total = std::accumulate(all.begin(), all.end(), 0.0);
  const double nx = static_cast<double>(m), ny = static_cast<double>(y.size());
  const auto diff_of = [&](double sum) { return sum / nx - (total - sum) / ny; };
  r.diff = diff_of(std::accumulate(x.begin(), x.end(), 0.0));
  double scale = 0;
  for (const double v : all) scale = std::max(scale, std::abs(v));
  const double slack = 1e-12 * scale;
  std::vector<std::size_t> chosen(m);
  std::iota(chosen.begin(), chosen.end(), std::size_t{0});
  double greater = 0, both = 0;
  for (bool more = true; more;) {
    double sum = 0;
    for (const std::size_t i : chosen) sum += all[i];
    const double diff = diff_of(sum);
    r.count += 1;
    greater += diff >= r.diff - slack;
    both += std::abs(diff) >= std::abs(r.diff) - slack;
    more = false;
    for (std::size_t i = m; i-- > 0;) {
      if (chosen[i] < all.size() - m + i) {
        ++chosen[i];
        for (std::size_t j = i + 1; j < m; ++j) chosen[j] = chosen[j - 1] + 1;
        more = true;
        break;
      }
    }
  }
  r.p_greater = greater / r.count;
  r.p_two_sided = both / r.count;
  return r;
}

BootstrapResult Bootstrap(std::size_t n,
                          const std::function<double(std::span<const std::size_t>)>& statistic,
                          int replicates, std::uint64_t seed, double alpha) {
  BootstrapResult r;
  std::vector<std::size_t> rows(n);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  r.estimate = statistic(rows);
  Moments jackknife_moments;
  std::vector<double> jackknife;
  for (std::size_t skip = 0; skip < n; ++skip) {
    std::vector<std::size_t> rest;
    for (std::size_t i = 0; i < n; ++i) {
      if (i != skip) rest.push_back(i);
    }
    jackknife.push_back(statistic(rest));
    jackknife_moments.Add(jackknife.back());
  }
  double cubes = 0;
  for (const double t : jackknife) cubes += std::pow(jackknife_moments.mean - t, 3);
  const double squares = jackknife_moments.m2;
  const double acceleration = squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0.0;
  Random random(seed);
  std::vector<double> draws;
  Moments spread;
  double below = 0;
  for (int b = 0; b < replicates; ++b) {
    for (std::size_t& row : rows) row = random.Below(n);
    draws.push_back(statistic(rows));
    spread.Add(draws.back());
    below += draws.back() < r.estimate ? 1.0 : draws.back() == r.estimate ? 0.5 : 0.0;
  }
  const auto finite = [](double x) { return std::isfinite(x); };
  if (!std::isfinite(acceleration) || !std::isfinite(spread.m2) || !std::isfinite(r.estimate) ||
      !std::all_of(draws.begin(), draws.end(), finite)) {
    r.reason = Reason::kInvalidInput;
    return r;
  }
  std::sort(draws.begin(), draws.end());
  r.se = std::sqrt(spread.Variance());
  r.percentile = {SampleQuantile(draws, alpha / 2, 7), SampleQuantile(draws, 1 - alpha / 2, 7)};
  const double share = std::clamp(below / replicates, 0.5 / replicates, 1 - 0.5 / replicates);
  const double z0 = NormalQuantile(share);
  r.bca = {SampleQuantile(draws, BcaLevel(alpha / 2, z0, acceleration), 7),
           SampleQuantile(draws, BcaLevel(1 - alpha / 2, z0, acceleration), 7)};
  return r;
}

namespace {

using Atoms = std::vector<std::pair<double, double>>;  // value, probability

// Every bootstrap mean of a small sample with its probability, one draw more at a time. Nothing
// where there would be more than `most` of them.
std::optional<Atoms> IdealMeans(std::span<const double> values, std::size_t most) {
  std::map<double, double> sums{{0.0, 1.0}};
  const double n = static_cast<double>(values.size());
  for (std::size_t draw = 0; draw < values.size(); ++draw) {
    std::map<double, double> next;
    for (const auto& [sum, p] : sums) {
      for (const double x : values) next[sum + x] += p / n;
    }
    if (next.size() > most) return std::nullopt;
    sums = std::move(next);
  }
  Atoms atoms;
  for (const auto& [sum, p] : sums) atoms.emplace_back(sum / n, p);
  return atoms;
}

// Smallest value at which the distribution function reaches `level`.
double AtomQuantile(const Atoms& sorted, double level) {
  double cumulative = 0;
  for (const auto& [value, p] : sorted) {
    cumulative += p;
    if (cumulative >= level * (1 - 1e-12)) return value;
  }
  return sorted.back().first;
}

}  // namespace

BootstrapResult BootstrapMeanDiff(std::span<const double> x, std::span<const double> y,
                                  int replicates, std::uint64_t seed, double alpha) {
  BootstrapResult r;
  r.estimate = Mean(y) - Mean(x);
  const auto population = [](std::span<const double> v) {
    const double n = static_cast<double>(v.size());
    return Moments::Of(v).m2 / (n * n);
  };
  r.se = std::sqrt(population(x) + population(y));
  // Small samples: the distribution itself instead of draws from it.
  constexpr std::size_t kMostAtoms = 2000;
  const auto means_x = x.size() <= 20 ? IdealMeans(x, kMostAtoms) : std::nullopt;
  const auto means_y = y.size() <= 20 ? IdealMeans(y, kMostAtoms) : std::nullopt;
  Atoms differences;
  if (means_x && means_y) {
    for (const auto& [a, p] : *means_x) {
      for (const auto& [b, q] : *means_y) differences.emplace_back(b - a, p * q);
    }
  } else {
    Random random(seed);
    const auto resampled = [&](std::span<const double> v) {
      double sum = 0;
      for (std::size_t i = 0; i < v.size(); ++i) sum += v[random.Below(v.size())];
      return sum / static_cast<double>(v.size());
    };
    for (int b = 0; b < replicates; ++b) {
      const double mean_x = resampled(x);
      differences.emplace_back(resampled(y) - mean_x, 1.0 / replicates);
    }
  }
  if (!std::isfinite(r.se) || !std::all_of(differences.begin(), differences.end(),
                                           [](const auto& a) { return std::isfinite(a.first); })) {
    r.reason = Reason::kInvalidInput;
    return r;
  }
  std::sort(differences.begin(), differences.end());
  r.percentile = {AtomQuantile(differences, alpha / 2), AtomQuantile(differences, 1 - alpha / 2)};
  r.bca = r.percentile;
  return r;
}

WinsorisedResult WinsorisedDiff(std::span<const double> treatment, std::span<const double> control,
                                double cap, double alpha) {
  WinsorisedResult r;
  r.cap = cap;
  const auto capped = [&](std::span<const double> values) {
    Moments m;
    for (const double x : values) {
      m.Add(std::min(x, cap));
      r.capped += x > cap;
    }
    return m;
  };
  const Moments t = capped(treatment), c = capped(control);
  r.welch = Welch(t, c, alpha);
  return r;
}

WelchResult YuenT(std::span<const double> treatment, std::span<const double> control, double trim,
                  double alpha) {
  struct Arm {
    double mean = 0;
    double variance = 0;
    double kept = 0;
  };
  const auto arm = [&](std::span<const double> values) {
    std::vector<double> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    const std::size_t n = sorted.size();
    const auto g = static_cast<std::size_t>(std::floor(trim * static_cast<double>(n)));
    Arm a;
    a.kept = static_cast<double>(n - 2 * g);
    Moments winsorised;
    for (std::size_t i = 0; i < n; ++i) {
      winsorised.Add(sorted[std::clamp(i, g, n - 1 - g)]);
      if (i >= g && i < n - g) a.mean += sorted[i] / a.kept;
    }
    a.variance = a.kept >= 2 ? winsorised.m2 / (a.kept * (a.kept - 1)) : 0.0;
    return a;
  };
  WelchResult r;
  if (treatment.size() < 2 || control.size() < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  const Arm t = arm(treatment), c = arm(control);
  if (t.kept < 2 || c.kept < 2) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  r = FromEstimate(t.mean - c.mean, std::sqrt(t.variance + c.variance),
                   SatterthwaiteDf(t.variance, t.kept, c.variance, c.kept), alpha);
  r.mean_treatment = t.mean;
  r.mean_control = c.mean;
  return r;
}

}  // namespace fulcrum::stats
