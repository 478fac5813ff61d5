// SPDX-License-Identifier: Apache-2.0
#include "stats/randomisation.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

namespace fulcrum::stats {
namespace {

// One assignment's statistic is value - tau * share for a constant effect tau per unit.
struct Linear {
  double value = 0;
  double share = 0;
};

struct Stratum {
  std::vector<RandomisedRow> rows;
  std::size_t treated = 0;
  double size = 0;
  double sum = 0;
  double observed_size = 0;  // size of the rows truly treated
  double weight = 0;         // of all strata, by size

  // The statistic when the rows marked in `chosen` are called treated.
  Linear Of(std::span<const char> chosen) const {
    double size_1 = 0, sum_1 = 0, overlap = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (chosen[i] == 0) continue;
      size_1 += rows[i].row.size;
      sum_1 += rows[i].row.sum;
      if (rows[i].treated) overlap += rows[i].row.size;
    }
    const double size_0 = size - size_1;
    return {weight * (sum_1 / size_1 - (sum - sum_1) / size_0),
            weight * (overlap / size_1 - (observed_size - overlap) / size_0)};
  }

  std::vector<char> Observed() const {
    std::vector<char> chosen;
    for (const RandomisedRow& r : rows) chosen.push_back(r.treated ? 1 : 0);
    return chosen;
  }

  double Splits() const {
    double n = 1;
    for (std::size_t i = 1; i <= treated; ++i) {
      n *= static_cast<double>(rows.size() - treated + i) / static_cast<double>(i);
    }
    return std::round(n);
  }
};

// Strata that hold both arms; one with a single arm compares nothing and is left out.
std::vector<Stratum> Group(std::span<const RandomisedRow> rows) {
  std::map<std::size_t, Stratum> all;
  for (const RandomisedRow& r : rows) {
    Stratum& s = all[r.stratum];
    s.rows.push_back(r);
    s.treated += r.treated;
    s.size += r.row.size;
    s.sum += r.row.sum;
    if (r.treated) s.observed_size += r.row.size;
  }
  std::vector<Stratum> used;
  double total = 0;
  for (auto& [name, s] : all) {
    if (s.treated == 0 || s.treated == s.rows.size()) continue;
    total += s.size;
    used.push_back(std::move(s));
  }
  for (Stratum& s : used) s.weight = s.size / total;
  return used;
}

// Every split of one stratum, in lexicographic order.
std::vector<Linear> Enumerate(const Stratum& s) {
  std::vector<Linear> all;
  std::vector<char> chosen(s.rows.size(), 0);
  std::fill(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(s.treated), char{1});
  do {
    all.push_back(s.Of(chosen));
  } while (std::prev_permutation(chosen.begin(), chosen.end()));
  return all;
}

std::vector<Linear> EnumerateAll(const std::vector<Stratum>& strata) {
  std::vector<Linear> all = {Linear{}};
  for (const Stratum& s : strata) {
    const std::vector<Linear> own = Enumerate(s);
    std::vector<Linear> next;
    next.reserve(all.size() * own.size());
    for (const Linear& a : all) {
      for (const Linear& b : own) next.push_back({a.value + b.value, a.share + b.share});
    }
    all = std::move(next);
  }
  return all;
}

std::vector<Linear> Sample(const std::vector<Stratum>& strata, const Linear& observed,
                           const RandomisationOptions& options) {
  std::vector<Linear> all = {observed};
  std::mt19937_64 random(options.seed);
  std::vector<std::vector<char>> chosen;
  for (const Stratum& s : strata) chosen.push_back(s.Observed());
  for (std::size_t draw = 0; draw < options.draws; ++draw) {
    Linear total;
    for (std::size_t k = 0; k < strata.size(); ++k) {
      std::vector<char>& c = chosen[k];
      for (std::size_t i = c.size() - 1; i > 0; --i) {
        // The library's shuffle differs between implementations; this one does not.
        std::swap(c[i], c[static_cast<std::size_t>(((random() >> 32) * (i + 1)) >> 32)]);
      }
      const Linear own = strata[k].Of(c);
      total.value += own.value;
      total.share += own.share;
    }
    all.push_back(total);
  }
  return all;
}

// Constant effects tau at which one assignment's |statistic| is at least the observed one's:
// |value - tau share| >= |D - tau|, an interval around D because |share| <= 1.
Interval Reach(const Linear& a, double observed) {
  if (1 - std::abs(a.share) < 1e-12) return {};  // the observed split or its mirror image
  const double x = (observed - a.value) / (1 - a.share);
  const double y = (observed + a.value) / (1 + a.share);
  return {std::min(x, y), std::max(x, y)};
}

}  // namespace

RandomisationResult RandomisationTest(std::span<const RandomisedRow> rows,
                                      const RandomisationOptions& options) {
  RandomisationResult r;
  for (const RandomisedRow& row : rows) {
    if (!(row.row.size > 0) || !std::isfinite(row.row.size) || !std::isfinite(row.row.sum)) {
      r.reason = Reason::kInvalidInput;
      return r;
    }
  }
  const std::vector<Stratum> strata = Group(rows);
  if (strata.empty()) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  Linear observed;
  r.assignments = 1;
  bool mirror = true;  // exchanging the arms is another possible assignment
  for (const Stratum& s : strata) {
    const Linear own = s.Of(s.Observed());
    observed.value += own.value;
    observed.share += own.share;
    r.assignments *= s.Splits();
    mirror = mirror && 2 * s.treated == s.rows.size();
  }
  r.diff = observed.value;
  r.exact = r.assignments <= options.enumerate_at_most;
  const std::vector<Linear> all =
      r.exact ? EnumerateAll(strata) : Sample(strata, observed, options);
  r.counted = static_cast<double>(all.size());
  r.smallest_p = std::max((mirror ? 2 : 1) / r.assignments, 1 / r.counted);

  double scale = 0;
  for (const Linear& a : all) scale = std::max(scale, std::abs(a.value));
  const double tie = 1e-10 * scale;  // equal splits must count as equal whatever their rounding
  double both = 0, greater = 0, less = 0;
  std::vector<double> low, high;
  for (const Linear& a : all) {
    both += std::abs(a.value) >= std::abs(r.diff) - tie;
    greater += a.value >= r.diff - tie;
    less += a.value <= r.diff + tie;
    const Interval reach = Reach(a, r.diff);
    low.push_back(reach.lo);
    high.push_back(reach.hi);
  }
  r.p = both / r.counted;
  r.p_greater = greater / r.counted;
  r.p_less = less / r.counted;
  // tau below D is kept while more than alpha of the assignments reach down to it.
  const auto k = static_cast<std::ptrdiff_t>(std::floor(options.alpha * r.counted + 1e-9));
  std::nth_element(low.begin(), low.begin() + k, low.end());
  std::nth_element(high.begin(), high.begin() + k, high.end(), std::greater<>());
  r.interval = {low[static_cast<std::size_t>(k)], high[static_cast<std::size_t>(k)]};
  return r;
}

}  // namespace fulcrum::stats
