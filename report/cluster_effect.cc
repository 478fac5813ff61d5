// SPDX-License-Identifier: Apache-2.0
#include "report/cluster_effect.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numbers>
#include <vector>

#include "stats/cluster.h"
#include "stats/distributions.h"
#include "stats/randomisation.h"

namespace fulcrum::report {
namespace {

std::vector<stats::ClusterRow> RowsOf(const ArmStats& arm, ClusterColumns columns) {
  std::vector<stats::ClusterRow> rows;
  for (const auto& row : arm.clusters) {
    rows.push_back({row[columns.denominator], row[columns.numerator]});
  }
  return rows;
}

bool HasRows(const ArmStats& arm) {
  return static_cast<int64_t>(arm.clusters.size()) == arm.gram.n();
}

// A row without a size (a ratio whose denominator never happened there) says nothing.
void AddRandomised(const ArmStats& arm, ClusterColumns columns, bool treated,
                   std::vector<stats::RandomisedRow>* out) {
  const auto rows = RowsOf(arm, columns);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(rows[i].size > 0)) continue;
    const auto stratum = static_cast<size_t>(std::max(arm.cluster_phases[i], 0));
    out->push_back({rows[i], treated, stratum});
  }
}

}  // namespace

bool FewClusters(const GroupStats& group, size_t arm) {
  const auto clusters = group.arms[0].gram.n() + group.arms[arm].gram.n();
  return group.size_column && clusters < static_cast<int64_t>(stats::kFewClusters);
}

void CompareClusters(const GroupStats& group, size_t arm, ClusterColumns columns, double alpha,
                     Comparison* c, Pivot* pivot) {
  const ArmStats& treatment = group.arms[arm];
  const ArmStats& control = group.arms[0];
  const bool rows = HasRows(treatment) && HasRows(control);
  const stats::ClusterResult r =
      rows ? stats::ClusterDifference(RowsOf(treatment, columns), RowsOf(control, columns), alpha)
           : stats::ClusterDifference(treatment.gram, control.gram, columns.numerator,
                                      columns.denominator, alpha);
  if (r.reason == stats::Reason::kTooFewUnits || r.reason == stats::Reason::kInvalidInput) {
    c->status = Status::kNotEnoughClusters;
    return;
  }
  c->diff = r.diff;
  c->se = r.se;
  if (r.reason != stats::Reason::kNone || !(r.se > 0)) {
    c->status = Status::kNoVariation;
    return;
  }
  c->df = r.df;
  c->t = r.t;
  c->p_two_sided = r.p;
  c->ci_lo = r.interval.lo;
  c->ci_hi = r.interval.hi;
  pivot->pair = DualPair::kClusterT;
  pivot->estimate = r.diff;
  pivot->se = r.se;
  pivot->df = r.df;
  pivot->statistic = r.t;
  pivot->p = r.p;
  pivot->log10_p = stats::LogTwoSidedTP(r.t, r.df) / std::numbers::ln10;
  pivot->base_variance = r.var_control;
  if (!r.few_clusters) return;
  if (!rows) {
    c->status = Status::kNotEnoughClusters;
    return;
  }
  auto drawn = std::make_shared<std::vector<stats::RandomisedRow>>();
  AddRandomised(treatment, columns, true, drawn.get());
  AddRandomised(control, columns, false, drawn.get());
  pivot->rows = drawn;
  const stats::RandomisationResult test = stats::RandomisationTest(*drawn, {.alpha = alpha});
  if (test.reason != stats::Reason::kNone) {
    c->status = Status::kNotEnoughClusters;
    return;
  }
  pivot->pair = DualPair::kRandomisation;
  pivot->estimate = test.diff;
  pivot->p = test.p;
  pivot->log10_p = std::log10(test.p);
}

PivotInterval RandomisationInterval(const Pivot& pivot, double alpha) {
  PivotInterval out;
  out.estimate = stats::RandomisationTest(*pivot.rows, {.alpha = alpha}).interval;
  out.lift_method = LiftMethod::kScaled;
  if (pivot.base == 0) return out;
  const double base = std::fabs(pivot.base);
  out.lift = stats::Interval{out.estimate.lo / base, out.estimate.hi / base};
  out.lift_bounded = std::isfinite(out.estimate.lo) && std::isfinite(out.estimate.hi);
  return out;
}

}  // namespace fulcrum::report
