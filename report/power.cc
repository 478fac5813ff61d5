// SPDX-License-Identifier: Apache-2.0
#include "report/power.h"

#include <algorithm>
#include <cmath>

#include "base/time.h"
#include "report/decide.h"
#include "stats/distributions.h"
#include "stats/shrinkage.h"

namespace fulcrum::report {
namespace {

constexpr double kDefaultPower = 0.8;
constexpr int64_t kRecentMs = 7 * kDayMs;

// Units of two arms a day, over the last week or as long as there is.
double UnitsPerDay(const store::PlanResult& result, size_t arm) {
  const int64_t from_ms = std::max(result.as_of_ms - kRecentMs, result.health.first_exposure_ms);
  const double days = static_cast<double>(result.as_of_ms - from_ms) / static_cast<double>(kDayMs);
  if (!(days > 0)) return 0;
  double units = 0;
  for (const size_t a : {size_t{0}, arm}) {
    if (a >= result.health.arms.size()) continue;
    for (const auto& [day_ms, count] : result.health.arms[a].units_by_day) {
      // Of the first day, as much as is within the week.
      const double inside =
          static_cast<double>(day_ms + kDayMs - from_ms) / static_cast<double>(kDayMs);
      units += count * std::clamp(inside, 0.0, 1.0);
    }
  }
  return units / std::max(days, 1.0);
}

std::optional<double> EnrolmentDaysLeft(const experiments::ExperimentDefinition& experiment,
                                        int64_t as_of_ms) {
  if (!experiment.end_ms) return std::nullopt;
  return std::max(0.0,
                  static_cast<double>(*experiment.end_ms - as_of_ms) / static_cast<double>(kDayMs));
}

double CriticalOf(const Pivot& pivot, double level) { return stats::CriticalT(level, pivot.df); }

}  // namespace

void SetPower(const experiments::ExperimentDefinition& experiment, const store::Plan& plan,
              const store::PlanResult& result, const Family* family, double alpha,
              MetricResult* metric) {
  double level = alpha;
  if (family != nullptr) {
    level = family->alpha_each.value_or(alpha / std::max(family->size, 1));
  }
  const double min_lift = experiment.decision.min_lift;
  const double target = experiment.decision.power.value_or(kDefaultPower);
  for (size_t i = 0; i < metric->pivots.size(); ++i) {
    if (!metric->pivots[i]) continue;
    const Pivot& pivot = *metric->pivots[i];
    Comparison& c = metric->report.comparisons[i];
    const double base = std::fabs(pivot.base);
    if (!(base > 0) || !(pivot.se > 0)) continue;
    const double critical = CriticalOf(pivot, level);
    c.detectable_lift = (critical + stats::NormalQuantile(target)) * pivot.se / base;
    if (min_lift <= 0) continue;
    c.power = PowerReached(min_lift * base, pivot.se, critical);
    // More units in the same clusters do not shrink the error as more clusters would.
    if (!experiment.decision.power || !plan.population.cluster_attribute.empty()) continue;
    PowerPlan ask;
    ask.power = *c.power;
    ask.target = target;
    ask.effect = min_lift * base;
    ask.se = pivot.se;
    ask.critical = critical;
    ask.units = pivot.units;
    const auto& arms = metric->report.arms;
    if (i + 1 < arms.size()) {
      ask.maturing = arms.front().maturing + arms[i + 1].maturing;
      // Blocks of a switchback come as the time passes, so units stand for them.
      if (arms.front().n_clusters) ask.units = arms.front().n + arms[i + 1].n;
    }
    if (pivot.form.group >= 0) {
      ask.window_days = static_cast<double>(plan.groups[pivot.form.group].maturity_ms) /
                        static_cast<double>(kDayMs);
    }
    ask.units_per_day = UnitsPerDay(result, i + 1);
    ask.enrolment_days_left = EnrolmentDaysLeft(experiment, result.as_of_ms);
    c.days_to_power = DaysToPower(ask);
  }
}

void SetCorrected(const AnalysisInfo& analysis, MetricResult* metric) {
  for (size_t i = 0; i < metric->pivots.size(); ++i) {
    Comparison& c = metric->report.comparisons[i];
    if (!metric->pivots[i] || metric->pivots[i]->pair == DualPair::kRandomisation ||
        (c.outcome != Outcome::kBetter && c.outcome != Outcome::kWorse)) {
      continue;
    }
    const Pivot& pivot = *metric->pivots[i];
    const auto lo = analysis.final ? c.sim_lo : c.look_lo;
    const auto hi = analysis.final ? c.sim_hi : c.look_hi;
    if (!lo || !hi || !(pivot.se > 0)) continue;
    // How many standard errors the interval that was passed reaches to the side of zero.
    const double reach = pivot.estimate > 0 ? pivot.estimate - *lo : *hi - pivot.estimate;
    Corrected out;
    out.threshold = reach / pivot.se;
    const double z = pivot.estimate / pivot.se;
    if (!(out.threshold > 0) || !(std::fabs(z) > out.threshold)) continue;
    const stats::SelectedEstimate selected = stats::GivenSignificance(
        z, out.threshold, analysis.final ? analysis.alpha_final : analysis.alpha_look);
    out.median_unbiased = selected.median_unbiased * pivot.se;
    out.conditional_mle = selected.conditional_mle * pivot.se;
    out.lo = selected.interval.lo * pivot.se;
    out.hi = selected.interval.hi * pivot.se;
    if (pivot.base != 0) {
      const double base = std::fabs(pivot.base);
      out.lift = out.median_unbiased / base;
      out.lift_lo = out.lo / base;
      out.lift_hi = out.hi / base;
    }
    c.corrected = out;
  }
}

}  // namespace fulcrum::report
