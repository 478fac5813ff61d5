// SPDX-License-Identifier: Apache-2.0
#include "report/order_effects.h"

#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "stats/cluster.h"
#include "stats/distributions.h"
#include "stats/survival.h"

namespace fulcrum::report {
namespace {

// Fills what both kinds share: z, p, interval and the pivot of independent arm estimates.
void SetZComparison(double control, double control_variance, double treatment,
                    double treatment_variance, double units, double alpha, DualPair pair,
                    Comparison* c, std::optional<Pivot>* out) {
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
  pivot.units = units;
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

// Everything up to the horizon; an event after it is a unit that did not get there in time.
struct Curve {
  double n = 0;
  double n_clusters = 0;  // 0: every observation is on its own.
  double restricted_mean_ms = 0;
  double variance = 0;
  double reached = 0;
  std::optional<double> median_ms;
  std::vector<stats::RiskRow> rows;
};

Curve CurveOf(const std::vector<store::RiskRow>& rows, double horizon_ms, double alpha) {
  Curve curve;
  for (const store::RiskRow& row : rows) {
    curve.n = std::fmax(curve.n, row.at_risk);
    if (row.time_ms <= horizon_ms) {
      curve.rows.push_back({row.time_ms, row.at_risk, row.events, row.censored});
    }
  }
  if (curve.n == 0) return curve;
  const stats::RestrictedMean mean = stats::RestrictedMeanTime(curve.rows, horizon_ms);
  curve.restricted_mean_ms = mean.mean;
  curve.variance = mean.se * mean.se;
  const stats::SurvivalCurve survival = stats::KaplanMeier(curve.rows, alpha);
  curve.median_ms = survival.median;
  if (!survival.points.empty()) curve.reached = 1 - survival.points.back().survival;
  return curve;
}

double Independent(const Curve& curve) { return curve.n_clusters > 0 ? curve.n_clusters : curve.n; }

void SetLogRank(const Curve& treatment, const Curve& control, Comparison* c) {
  const stats::LogRankResult r = stats::LogRank(treatment.rows, control.rows);
  if (r.reason != stats::Reason::kNone) return;
  c->log_rank_chi2 = r.chi2;
  c->log_rank_p = r.p;
}

// Below this many clusters in both arms no normal error is trusted.
bool TooFewClusters(const EffectInput& input, double clusters) {
  return store::Clustered(input.plan.population) &&
         clusters < static_cast<double>(stats::kFewClusters);
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
    } else if (TooFewClusters(input, control->n_clusters + treatment->n_clusters)) {
      c.status = Status::kNotEnoughClusters;
    } else {
      SetZComparison(control->value, control->density_sd * control->density_sd, treatment->value,
                     treatment->density_sd * treatment->density_sd,
                     control->n_clusters + treatment->n_clusters, input.experiment.analysis.alpha,
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
  std::vector<const store::SurvivalTable*> tables(arms, nullptr);
  for (const store::SurvivalTable& table : result.survival) {
    if (table.arm < 0 || static_cast<size_t>(table.arm) >= arms || table.time_to < 0 ||
        static_cast<size_t>(table.time_to) >= input.plan.time_to.size()) {
      continue;
    }
    if (input.plan.time_to[table.time_to].key == input.metric.key) tables[table.arm] = &table;
  }
  out.report.horizon_ms = horizon_ms;
  std::vector<Curve> curves;
  for (size_t a = 0; a < arms; ++a) {
    static const store::SurvivalTable kNone;
    const store::SurvivalTable& table = tables[a] != nullptr ? *tables[a] : kNone;
    curves.push_back(CurveOf(table.rows, horizon_ms, input.experiment.analysis.alpha));
    Curve& curve = curves.back();
    if (table.n_clusters > 0) {
      curve.n_clusters = table.n_clusters;
      curve.variance = table.clustered_variance;
    }
    ArmValue value;
    value.arm = input.plan.population.arms[a].key;
    value.n = curve.n;
    if (curve.n_clusters > 0) value.n_clusters = curve.n_clusters;
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
    } else if (store::Clustered(input.plan.population) &&
               (input.plan.population.block_ms > 0 || curves[0].n_clusters == 0 ||
                curves[a].n_clusters == 0)) {
      // Greenwood's variance takes units as independent, and tables know clusters, not blocks.
      c.status = Status::kNotForClusters;
    } else if (curves[0].reached + curves[a].reached == 0) {
      c.status = Status::kNoEvents;
    } else {
      SetZComparison(curves[0].restricted_mean_ms, curves[0].variance, curves[a].restricted_mean_ms,
                     curves[a].variance, Independent(curves[0]) + Independent(curves[a]),
                     input.experiment.analysis.alpha, DualPair::kRestrictedMean, &c, &pivot);
      // The log-rank test takes every observation for itself.
      if (curves[a].n_clusters == 0) SetLogRank(curves[a], curves[0], &c);
    }
    out.report.comparisons.push_back(std::move(c));
    out.pivots.push_back(std::move(pivot));
  }
  Finish(&out);
  return out;
}

}  // namespace fulcrum::report
