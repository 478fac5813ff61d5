// SPDX-License-Identifier: Apache-2.0
#include "report/family.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string>

#include "report/decide.h"
#include "stats/always_valid.h"
#include "stats/distributions.h"
#include "stats/multiplicity.h"

namespace fulcrum::report {
namespace {

// What a correction comes down to: a level and an adjusted p for each member.
struct Levels {
  std::vector<double> alpha;
  std::vector<double> p;
  std::string method;
};

std::vector<size_t> OrderByP(const std::vector<double>& p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  return order;
}

Levels Sidak(const std::vector<double>& p, double alpha) {
  const auto m = static_cast<double>(p.size());
  Levels out;
  // expm1 and log1p keep the digits that 1 - (1 - p)^m loses for tiny p.
  out.alpha.assign(p.size(), -std::expm1(std::log1p(-alpha) / m));
  for (const double each : p) {
    out.p.push_back(each >= 1 ? 1 : -std::expm1(m * std::log1p(-each)));
  }
  out.method = p.size() == 1 ? "single comparison" : "Sidak";
  return out;
}

// The exact joint level of the correlated estimates, from their joint covariance.
Levels MaxZ(const std::vector<double>& p, const std::vector<double>& correlation, double alpha) {
  Levels out = Sidak(p, alpha);
  if (p.size() == 1) return out;
  const double critical = stats::SimultaneousCriticalValue(correlation, alpha);
  const double level = stats::TwoSidedNormalP(critical);
  // Never stricter than Sidak's level, which holds for any correlation; also keeps the lattice's
  // error of about 1e-4 on the safe side of a known bound.
  if (!(level > out.alpha.front())) return out;
  out.alpha.assign(p.size(), level);
  out.method = "max |z| of the joint normal";
  std::vector<double> z;
  for (const double each : p) z.push_back(stats::CriticalZ(std::clamp(each, 1e-300, 1.0)));
  const std::vector<double> joint = stats::SimultaneousPValues(correlation, z);
  for (size_t i = 0; i < p.size(); ++i) {
    // Far out the lattice sees only its own error, and Sidak's bound is tight.
    if (p[i] < 1e-6) continue;
    out.p[i] = std::clamp(joint[i], p[i], out.p[i]);
    // Test and interval are one statement: the same error must not let them part at the edge.
    out.p[i] =
        p[i] < level ? std::min(out.p[i], std::nextafter(alpha, 0)) : std::max(out.p[i], alpha);
  }
  return out;
}

Levels Bonferroni(const std::vector<double>& p, double alpha) {
  const auto m = static_cast<double>(p.size());
  Levels out;
  out.alpha.assign(p.size(), alpha / m);
  for (const double each : p) out.p.push_back(std::min(1.0, m * each));
  out.method = "Bonferroni";
  return out;
}

Levels Holm(const std::vector<double>& p, double alpha) {
  const size_t m = p.size();
  Levels out;
  out.alpha.assign(m, alpha);
  out.p.assign(m, 1);
  out.method = "Holm";
  double highest = 0;
  bool rejecting = true;
  double level = alpha;
  const std::vector<size_t> order = OrderByP(p);
  for (size_t rank = 0; rank < m; ++rank) {
    const size_t i = order[rank];
    const auto left = static_cast<double>(m - rank);
    highest = std::max(highest, std::min(1.0, left * p[i]));
    out.p[i] = highest;
    // From the first that is not rejected on, everything is judged at that step's level.
    if (rejecting) level = alpha / left;
    if (highest >= alpha) rejecting = false;
    out.alpha[i] = level;
  }
  return out;
}

Levels BenjaminiHochberg(const std::vector<double>& p, double alpha) {
  const size_t m = p.size();
  Levels out;
  out.p.assign(m, 1);
  out.method = "Benjamini-Hochberg";
  const std::vector<size_t> order = OrderByP(p);
  double lowest = 1;
  size_t rejected = 0;
  for (size_t rank = m; rank-- > 0;) {
    const size_t i = order[rank];
    lowest = std::min(lowest, static_cast<double>(m) / static_cast<double>(rank + 1) * p[i]);
    out.p[i] = lowest;
    if (lowest < alpha) rejected = std::max(rejected, rank + 1);
  }
  const auto count = static_cast<double>(std::max<size_t>(1, rejected));
  out.alpha.assign(m, count * alpha / static_cast<double>(m));
  return out;
}

Levels LevelsOf(const std::vector<double>& p, const std::vector<double>& correlation, double alpha,
                Correction correction) {
  switch (correction) {
    case Correction::kNone:
      return {std::vector<double>(p.size(), alpha), p, "none"};
    case Correction::kBonferroni:
      return Bonferroni(p, alpha);
    case Correction::kHolm:
      return Holm(p, alpha);
    case Correction::kBenjaminiHochberg:
      return BenjaminiHochberg(p, alpha);
    case Correction::kSimultaneous:
      break;
  }
  return MaxZ(p, correlation, alpha);
}

}  // namespace

std::vector<double> Correlation(const Sample& sample, std::span<const FamilyMember> members) {
  const size_t m = members.size();
  std::vector<double> se(m);
  for (size_t i = 0; i < m; ++i) {
    const LinearForm& form = members[i].pivot->form;
    se[i] = std::sqrt(Covariance(sample, form, form));
  }
  std::vector<double> out(m * m, 0);
  for (size_t i = 0; i < m; ++i) {
    out[i * m + i] = 1;
    for (size_t j = 0; j < i; ++j) {
      if (!(se[i] > 0) || !(se[j] > 0)) continue;
      // No joint normal there; independence is the safe side (Sidak).
      if (members[i].pivot->pair == DualPair::kRandomisation) continue;
      const double cov = Covariance(sample, members[i].pivot->form, members[j].pivot->form);
      out[i * m + j] = out[j * m + i] = std::clamp(cov / (se[i] * se[j]), -1.0, 1.0);
    }
  }
  return out;
}

void SetIndividual(const Pivot& pivot, double alpha, Comparison* comparison) {
  Comparison& c = *comparison;
  c.pair = pivot.pair;
  c.estimate = pivot.estimate;
  c.statistic = pivot.statistic;
  c.p = pivot.p;
  c.log10_p = pivot.log10_p;
  c.lift = LiftOf(pivot);
  const PivotInterval interval = IntervalAt(pivot, alpha);
  if (interval.lift) {
    c.lift_lo = interval.lift->lo;
    c.lift_hi = interval.lift->hi;
    c.lift_method = interval.lift_method;
    c.fieller_bounded = interval.lift_bounded;
  }
}

void AddLooks(std::span<FamilyMember> members, double alpha_look, bool applies) {
  // The band is narrowest about here; a tenth or ten times as many units cost little width.
  constexpr double kTunedAtUnits = 20000;
  const auto m = static_cast<double>(members.size());
  const double level = alpha_look / m;
  const double rho = stats::AsympCsRho(kTunedAtUnits, alpha_look);
  for (const FamilyMember& member : members) {
    Comparison& c = *member.comparison;
    const Pivot& pivot = *member.pivot;
    if (applies) c.outcome = Outcome::kInsufficient;
    if (member.moves) continue;
    // With a few clusters there is no normal shape for a band to lean on: nothing is read early.
    if (!(pivot.se > 0) || pivot.units < 2 || pivot.pair == DualPair::kRandomisation) continue;
    const double multiplier = stats::AsympCsMultiplier(pivot.units, rho, level);
    const PivotInterval band = IntervalFromQuantile(pivot, multiplier);
    c.p_look = std::min(1.0, m * stats::AsympCsP(pivot.estimate / pivot.se, pivot.units, rho));
    c.look_lo = band.estimate.lo;
    c.look_hi = band.estimate.hi;
    if (band.lift) {
      c.look_lift_lo = band.lift->lo;
      c.look_lift_hi = band.lift->hi;
    }
    if (applies) c.outcome = OutcomeOf(band.estimate.lo, band.estimate.hi, member.direction);
  }
}

Family Correct(const Sample& sample, Role role, std::span<FamilyMember> members, double alpha,
               Correction correction) {
  Family family;
  family.role = role;
  family.size = static_cast<int>(members.size());
  family.correction = correction;
  if (members.empty()) return family;
  std::vector<double> p;
  for (const FamilyMember& member : members) p.push_back(member.pivot->p);
  const Levels levels = LevelsOf(p, Correlation(sample, members), alpha, correction);
  family.critical_method = levels.method;
  const bool same = std::all_of(levels.alpha.begin(), levels.alpha.end(),
                                [&](double level) { return level == levels.alpha.front(); });
  if (same) {
    family.alpha_each = levels.alpha.front();
    family.critical_z = stats::CriticalZ(levels.alpha.front());
  }
  for (size_t i = 0; i < members.size(); ++i) {
    Comparison& c = *members[i].comparison;
    const PivotInterval interval = IntervalAt(*members[i].pivot, levels.alpha[i]);
    c.p_adjusted = levels.p[i];
    c.sim_lo = interval.estimate.lo;
    c.sim_hi = interval.estimate.hi;
    if (interval.lift) {
      c.sim_lift_lo = interval.lift->lo;
      c.sim_lift_hi = interval.lift->hi;
    }
    c.outcome = OutcomeOf(interval.estimate.lo, interval.estimate.hi, members[i].direction);
  }
  return family;
}

}  // namespace fulcrum::report
