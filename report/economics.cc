// SPDX-License-Identifier: Apache-2.0
#include "report/economics.h"

#include <optional>

#include "experiments/estimand.h"
#include "report/columns.h"
#include "stats/coupon.h"

namespace fulcrum::report {
namespace {

EconomicsEffect EffectOf(const stats::WelchResult& r) {
  EconomicsEffect out;
  out.diff = r.diff;
  out.se = r.se;
  if (r.reason != stats::Reason::kNone) return out;
  out.lo = r.interval.lo;
  out.hi = r.interval.hi;
  out.p = r.p;
  return out;
}

EconomicsRatio RatioOf(const stats::EffectRatio& r) {
  EconomicsRatio out;
  if (r.denominator.value != 0) out.value = r.ratio;
  out.lo = r.set.lo;
  out.hi = r.set.hi;
  switch (r.set.shape) {
    case stats::FiellerSet::Shape::kBounded:
      out.set = RatioSet::kBounded;
      break;
    case stats::FiellerSet::Shape::kComplement:
      out.set = RatioSet::kComplement;
      break;
    case stats::FiellerSet::Shape::kWholeLine:
      out.set = RatioSet::kWholeLine;
      break;
  }
  return out;
}

EconomicsShare ShareOf(const stats::ShareBounds& r) {
  return {r.low, r.high, r.interval.lo, r.interval.hi};
}

void SetSubsidy(const stats::SubsidyShare& r, EconomicsArm* out) {
  switch (r.reason) {
    case stats::Reason::kNone:
      out->subsidy_status = Status::kOk;
      break;
    case stats::Reason::kDenominatorNearZero:
      out->subsidy_status = Status::kNoEvents;
      return;
    case stats::Reason::kTooFewUnits:
      out->subsidy_status = Status::kNotEnoughUnits;
      return;
    default:
      // The control has the subsidy too: nothing tells who was won by it.
      out->subsidy_status = Status::kNotPlanned;
      return;
  }
  out->subsidy_any = ShareOf(r.no_assumption);
  out->subsidy_monotone = ShareOf(r.monotone);
  out->subsidy_money = ShareOf(r.money);
}

}  // namespace

EconomicsReport EstimateEconomics(const experiments::Definitions& definitions,
                                  const experiments::ExperimentDefinition& experiment,
                                  const store::Plan& plan, const Sample& sample) {
  EconomicsReport report;
  report.profit = experiment.economics->profit;
  report.cost = experiment.economics->cost;
  report.orders = experiment.economics->orders;
  if (const auto* profit = definitions.FindMetric(report.profit)) {
    report.estimand = experiments::Estimand(definitions.project, *profit, experiment);
  }
  const auto first = FindColumn(plan, EconomicsColumn("profit"));
  const auto column = [&](const char* which) {
    const auto found = FindColumn(plan, EconomicsColumn(which), first ? first->group : -1);
    return found ? found->index : 0;
  };
  stats::CouponColumns columns;
  columns.profit = column("profit");
  columns.cost = column("cost");
  columns.orders = column("orders");
  columns.buyer = column("buyer");
  columns.redeemed = column("redeemed");
  for (size_t a = 1; a < plan.population.arms.size(); ++a) {
    EconomicsArm arm;
    arm.arm = plan.population.arms[a].key;
    if (!first) {
      arm.status = Status::kNotPlanned;
    } else if (store::Clustered(plan.population)) {
      arm.status = Status::kNotForClusters;
    } else if (sample.groups[first->group].stratified) {
      arm.status = Status::kNotForPhases;
    } else {
      const GroupStats& group = sample.groups[first->group];
      const auto& treatment = group.arms[a].gram;
      const auto& control = group.arms[0].gram;
      if (treatment.n() < 2 || control.n() < 2) {
        const bool waiting = group.arms[a].maturing + group.arms[0].maturing > 0;
        arm.status = waiting ? Status::kAllMaturing : Status::kNotEnoughUnits;
      } else {
        const stats::CouponEconomics r =
            stats::AnalyseCoupon(treatment, control, columns, experiment.analysis.alpha);
        arm.status = Status::kOk;
        arm.profit = EffectOf(r.profit_per_unit);
        arm.cost = EffectOf(r.cost_per_unit);
        arm.orders = EffectOf(r.orders_per_unit);
        arm.return_on_cost = RatioOf(r.return_on_cost);
        arm.cost_per_order = RatioOf(r.cost_per_order);
        SetSubsidy(r.to_always_buyers, &arm);
      }
    }
    if (arm.status != Status::kOk) arm.subsidy_status = arm.status;
    report.arms.push_back(std::move(arm));
  }
  return report;
}

}  // namespace fulcrum::report
