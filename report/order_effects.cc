// SPDX-License-Identifier: Apache-2.0
#include "report/order_effects.h"

#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "stats/distributions.h"

namespace fulcrum::report {
namespace {

// Fills what both kinds share: z, p, interval and the pivot of independent arm estimates.
void SetZComparison(double control, double control_variance, double treatment,
                    double treatment_variance, double alpha, DualPair pair, Comparison* c,
                    std::optional<Pivot>* out) {
  c->diff = treatment - control;
  const double se = std::sqrt(control_variance + treatment_variance);
  c->se = se;
  if (!(se > 0)) {
    c->status = Status::kNoVariation;
    return;
  }
  c->status = Status::kOk;
  c->z = *c->diff / se;
  c->p_z = stats::TwoSidedNormalP(*c->z);
  const double half = stats::CriticalZ(alpha) * se;
  c->ci_lo = *c->diff - half;
  c->ci_hi = *c->diff + half;
  Pivot pivot;
  pivot.pair = pair;
  pivot.estimate = *c->diff;
  pivot.se = se;
  pivot.statistic = *c->z;
  pivot.p = *c->p_z;
  pivot.log10_p = stats::LogTwoSidedNormalP(*c->z) / std::numbers::ln10;
  pivot.base = control;
  pivot.base_variance = control_variance;
  pivot.base_covariance = -control_variance;
  *out = std::move(pivot);
}

Comparison Start(const EffectInput& input, size_t arm) {
  Comparison c;
  c.arm = input.plan.population.arms[arm].key;
  c.control = input.plan.population.arms[0].key;
  return c;
}

void Finish(MetricResult* out) {
  out->report.status = Status::kNotPlanned;
  if (out->report.comparisons.empty()) return;
  out->report.status = out->report.comparisons.front().status;
  for (const Comparison& c : out->report.comparisons) {
    if (c.status == Status::kOk) out->report.status = Status::kOk;
  }
}

// --- Time to an event ----------------------------------------------------------------------------

// Kaplan-Meier up to the horizon: the area under the curve (restricted mean) and its Greenwood-type
// variance, sum over event times of A(t)^2 d / (r (r - d)) with A(t) the area from t to the horizon
// (Klein and Moeschberger 2003, section 4.5).
struct Curve {
  double n = 0;
  double restricted_mean_ms = 0;
  double variance = 0;
  double reached = 0;
  std::optional<double> median_ms;
};

Curve CurveOf(const std::vector<store::RiskRow>& rows, double horizon_ms) {
  struct Step {
    double time_ms, at_risk, events, survival;
  };
  Curve curve;
  std::vector<Step> steps;
  double survival = 1;
  double before_ms = 0;
  for (const store::RiskRow& row : rows) {
    curve.n = std::fmax(curve.n, row.at_risk);
    if (row.events <= 0 || row.at_risk <= 0 || row.time_ms > horizon_ms) continue;
    curve.restricted_mean_ms += survival * (row.time_ms - before_ms);
    survival *= 1 - row.events / row.at_risk;
    before_ms = row.time_ms;
    steps.push_back({row.time_ms, row.at_risk, row.events, survival});
    if (!curve.median_ms && survival <= 0.5) curve.median_ms = row.time_ms;
  }
  curve.restricted_mean_ms += survival * (horizon_ms - before_ms);
  curve.reached = 1 - survival;
  double area = 0;
  double until_ms = horizon_ms;
  for (size_t i = steps.size(); i-- > 0;) {
    const Step& s = steps[i];
    area += s.survival * (until_ms - s.time_ms);
    until_ms = s.time_ms;
    // The last unit's event leaves nothing behind it: area 0, no variance.
    if (s.at_risk > s.events) {
      curve.variance += area * area * s.events / (s.at_risk * (s.at_risk - s.events));
    }
  }
  return curve;
}

// Log-rank of two arms (Mantel 1966), hypergeometric variance at each event time.
void LogRank(const std::vector<store::RiskRow>& treatment,
             const std::vector<store::RiskRow>& control, double horizon_ms, Comparison* c) {
  size_t i = 0;
  size_t j = 0;
  double observed = 0;
  double expected = 0;
  double variance = 0;
  while (i < treatment.size() || j < control.size()) {
    const double t = i < treatment.size() ? treatment[i].time_ms : stats::kInfinity;
    const double s = j < control.size() ? control[j].time_ms : stats::kInfinity;
    const double now = std::fmin(t, s);
    if (now > horizon_ms) break;
    // An arm without a row at this time has as many at risk as at its next row.
    const double risk_t = i < treatment.size() ? treatment[i].at_risk : 0;
    const double risk_c = j < control.size() ? control[j].at_risk : 0;
    const double events_t = t == now ? treatment[i].events : 0;
    const double events_c = s == now ? control[j].events : 0;
    const double risk = risk_t + risk_c;
    const double events = events_t + events_c;
    if (events > 0 && risk > 0) {
      observed += events_t;
      expected += events * risk_t / risk;
      if (risk > 1) {
        variance += events * (risk_t / risk) * (risk_c / risk) * (risk - events) / (risk - 1);
      }
    }
    if (t == now) ++i;
    if (s == now) ++j;
  }
  if (!(variance > 0)) return;
  c->log_rank_chi2 = (observed - expected) * (observed - expected) / variance;
  c->log_rank_p = stats::ChiSquareSf(*c->log_rank_chi2, 1);
}

}  // namespace

MetricResult EstimateQuantile(const EffectInput& input, const store::PlanResult& result) {
  MetricResult out;
  const size_t arms = input.plan.population.arms.size();
  std::vector<const store::QuantileResult*> found(arms, nullptr);
  for (const store::QuantileResult& q : result.quantiles) {
    if (q.arm < 0 || static_cast<size_t>(q.arm) >= arms || q.quantile < 0 ||
        static_cast<size_t>(q.quantile) >= input.plan.quantiles.size()) {
      continue;
    }
    if (input.plan.quantiles[q.quantile].key == input.metric.key) found[q.arm] = &q;
  }
  out.report.quantile = input.metric.quantile;
  for (size_t a = 0; a < arms; ++a) {
    ArmValue value;
    value.arm = input.plan.population.arms[a].key;
    if (found[a] != nullptr) {
      value.n = found[a]->n_clusters;
      value.n_values = found[a]->n;
      if (found[a]->n > 0) {
        value.quantile = found[a]->value;
        value.quantile_lo = found[a]->lower;
        value.quantile_hi = found[a]->upper;
      }
    }
    out.report.arms.push_back(std::move(value));
  }
  for (size_t a = 1; a < arms; ++a) {
    Comparison c = Start(input, a);
    std::optional<Pivot> pivot;
    const auto* control = found[0];
    const auto* treatment = found[a];
    if (control == nullptr || control->n == 0) {
      c.status = Status::kNoControl;
    } else if (treatment == nullptr || treatment->n == 0) {
      c.status = Status::kNoUnits;
    } else if (control->n < 2 || treatment->n < 2) {
      c.status = Status::kNotEnoughUnits;
    } else {
      SetZComparison(control->value, control->density_sd * control->density_sd, treatment->value,
                     treatment->density_sd * treatment->density_sd, input.experiment.analysis.alpha,
                     DualPair::kOrderStatistics, &c, &pivot);
    }
    out.report.comparisons.push_back(std::move(c));
    out.pivots.push_back(std::move(pivot));
  }
  Finish(&out);
  return out;
}

MetricResult EstimateTimeTo(const EffectInput& input, const store::PlanResult& result) {
  MetricResult out;
  const size_t arms = input.plan.population.arms.size();
  const auto horizon_ms = static_cast<double>(input.metric.horizon_ms);
  std::vector<std::vector<store::RiskRow>> rows(arms);
  for (const store::SurvivalTable& table : result.survival) {
    if (table.arm < 0 || static_cast<size_t>(table.arm) >= arms || table.time_to < 0 ||
        static_cast<size_t>(table.time_to) >= input.plan.time_to.size()) {
      continue;
    }
    if (input.plan.time_to[table.time_to].key == input.metric.key) rows[table.arm] = table.rows;
  }
  out.report.horizon_ms = horizon_ms;
  std::vector<Curve> curves;
  for (size_t a = 0; a < arms; ++a) {
    curves.push_back(CurveOf(rows[a], horizon_ms));
    const Curve& curve = curves.back();
    ArmValue value;
    value.arm = input.plan.population.arms[a].key;
    value.n = curve.n;
    if (curve.n > 0) {
      value.restricted_mean_ms = curve.restricted_mean_ms;
      value.se_restricted_mean_ms = std::sqrt(curve.variance);
      value.median_ms = curve.median_ms;
      value.reached = curve.reached;
    }
    out.report.arms.push_back(std::move(value));
  }
  for (size_t a = 1; a < arms; ++a) {
    Comparison c = Start(input, a);
    std::optional<Pivot> pivot;
    if (curves[0].n == 0) {
      c.status = Status::kNoControl;
    } else if (curves[a].n == 0) {
      c.status = Status::kNoUnits;
    } else if (curves[0].reached + curves[a].reached == 0) {
      c.status = Status::kNoEvents;
    } else {
      SetZComparison(curves[0].restricted_mean_ms, curves[0].variance, curves[a].restricted_mean_ms,
                     curves[a].variance, input.experiment.analysis.alpha, DualPair::kRestrictedMean,
                     &c, &pivot);
      LogRank(rows[a], rows[0], horizon_ms, &c);
    }
    out.report.comparisons.push_back(std::move(c));
    out.pivots.push_back(std::move(pivot));
  }
  Finish(&out);
  return out;
}

}  // namespace fulcrum::report
