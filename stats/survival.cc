// SPDX-License-Identifier: Apache-2.0
#include "stats/survival.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "stats/distributions.h"

namespace fulcrum::stats {
namespace {

// Both groups at one time at which either has an event.
struct JointRow {
  double n1 = 0, d1 = 0, n0 = 0, d0 = 0;
};

std::vector<JointRow> Join(std::span<const RiskRow> one, std::span<const RiskRow> zero) {
  std::map<double, JointRow> rows;
  for (const RiskRow& r : one) rows[r.time].d1 = r.events;
  for (const RiskRow& r : zero) rows[r.time].d0 = r.events;
  const auto at_risk = [](std::span<const RiskRow> table, double time) {
    const auto it = std::lower_bound(table.begin(), table.end(), time,
                                     [](const RiskRow& r, double t) { return r.time < t; });
    return it != table.end() ? it->at_risk : 0.0;
  };
  std::vector<JointRow> out;
  for (auto& [time, row] : rows) {
    if (row.d1 + row.d0 == 0) continue;
    row.n1 = at_risk(one, time);
    row.n0 = at_risk(zero, time);
    out.push_back(row);
  }
  return out;
}

struct Likelihood {
  double value = 0;
  double score = 0;
  double information = 0;
};

Likelihood Evaluate(const std::vector<JointRow>& rows, double beta, bool efron) {
  Likelihood l;
  const double r = std::exp(beta);
  for (const JointRow& row : rows) {
    const double d = row.d1 + row.d0;
    l.value += row.d1 * beta;
    l.score += row.d1;
    const int steps = efron ? static_cast<int>(std::min(d, 1e6)) : 1;
    for (int j = 0; j < steps; ++j) {
      // Efron takes a share of the tied events out of the risk set, one event at a time.
      const double share = efron ? j / d : 0.0, weight = efron ? 1.0 : d;
      const double s1 = (row.n1 - share * row.d1) * r, s0 = row.n0 - share * row.d0;
      const double p = s1 / (s1 + s0);
      l.value -= weight * std::log(s1 + s0);
      l.score -= weight * p;
      l.information += weight * p * (1 - p);
    }
  }
  return l;
}

}  // namespace

std::vector<RiskRow> RiskTable(std::span<const double> time, std::span<const double> event) {
  std::map<double, RiskRow> rows;
  for (std::size_t i = 0; i < time.size(); ++i) {
    RiskRow& row = rows[time[i]];
    row.time = time[i];
    (event[i] != 0 ? row.events : row.censored) += 1;
  }
  std::vector<RiskRow> table;
  double at_risk = static_cast<double>(time.size());
  for (auto& [t, row] : rows) {
    row.at_risk = at_risk;
    at_risk -= row.events + row.censored;
    table.push_back(row);
  }
  return table;
}

SurvivalCurve KaplanMeier(std::span<const RiskRow> table, double alpha) {
  SurvivalCurve curve;
  const double z = CriticalZ(alpha);
  double survival = 1, greenwood = 0;
  for (const RiskRow& row : table) {
    if (!(row.events > 0)) continue;
    survival *= 1 - row.events / row.at_risk;
    SurvivalPoint point{row.time, row.at_risk, row.events, survival};
    if (row.at_risk > row.events) {
      greenwood += row.events / (row.at_risk * (row.at_risk - row.events));
      point.se = survival * std::sqrt(greenwood);
      const double l = std::log(survival);
      const double half = z * std::sqrt(greenwood) / std::abs(l);
      point.interval = Interval{std::exp(l * std::exp(half)), std::exp(l * std::exp(-half))};
    } else {
      survival = point.survival = 0;
    }
    if (!curve.median && survival <= 0.5 + 1e-12) curve.median = row.time;
    curve.points.push_back(point);
  }
  return curve;
}

LogRankResult LogRank(std::span<const RiskRow> group_1, std::span<const RiskRow> group_2,
                      double rho) {
  LogRankResult r;
  double survival = 1;
  for (const JointRow& row : Join(group_1, group_2)) {
    const double n = row.n1 + row.n0, d = row.d1 + row.d0;
    const double weight = rho == 0 ? 1.0 : std::pow(survival, rho);
    r.observed_1 += weight * row.d1;
    r.expected_1 += weight * d * row.n1 / n;
    if (n > 1) {
      r.variance += weight * weight * d * (row.n1 / n) * (row.n0 / n) * (n - d) / (n - 1);
    }
    survival *= 1 - d / n;
  }
  if (!(r.variance > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  r.z = (r.observed_1 - r.expected_1) / std::sqrt(r.variance);
  r.chi2 = r.z * r.z;
  r.p = TwoSidedNormalP(r.z);
  return r;
}

RestrictedMean RestrictedMeanTime(std::span<const RiskRow> table, double tau) {
  const SurvivalCurve curve = KaplanMeier(table, 0.05);
  RestrictedMean r;
  std::vector<double> area(curve.points.size() + 1, 0.0);  // from point i to tau
  for (std::size_t i = curve.points.size(); i-- > 0;) {
    const double from = std::min(curve.points[i].time, tau);
    const double to = i + 1 < curve.points.size() ? std::min(curve.points[i + 1].time, tau) : tau;
    area[i] = area[i + 1] + curve.points[i].survival * (to - from);
  }
  const double first = curve.points.empty() ? tau : std::min(curve.points[0].time, tau);
  r.mean = first + area[0];
  double variance = 0;
  for (std::size_t i = 0; i < curve.points.size(); ++i) {
    const SurvivalPoint& p = curve.points[i];
    if (p.time > tau || !(p.at_risk > p.events)) continue;
    variance += area[i] * area[i] * p.events / (p.at_risk * (p.at_risk - p.events));
  }
  r.se = std::sqrt(variance);
  return r;
}

CoxResult CoxTwoGroups(std::span<const RiskRow> group_1, std::span<const RiskRow> group_0,
                       bool efron) {
  CoxResult r;
  const auto rows = Join(group_1, group_0);
  const Likelihood null = Evaluate(rows, 0, efron);
  if (!(null.information > 0)) {
    r.reason = Reason::kNoVariance;
    return r;
  }
  double beta = 0;
  Likelihood now = null;
  for (int i = 0; i < 200; ++i) {
    double step = now.score / now.information;
    Likelihood next = Evaluate(rows, beta + step, efron);
    // The log-likelihood is concave: a step too far is halved.
    for (int half = 0; half < 60 && !(next.value >= now.value - 1e-12 * std::abs(now.value));
         ++half) {
      step *= 0.5;
      next = Evaluate(rows, beta + step, efron);
    }
    beta += step;
    now = next;
    if (std::abs(step) < 1e-13 * (1 + std::abs(beta))) break;
    if (std::abs(beta) > 30 || !(now.information > 1e-12)) {
      r.reason = Reason::kNotConverged;
      return r;
    }
  }
  r.log_hazard_ratio = beta;
  r.se = 1 / std::sqrt(now.information);
  r.likelihood_ratio = std::max(0.0, 2 * (now.value - null.value));
  return r;
}

}  // namespace fulcrum::stats
