// SPDX-License-Identifier: Apache-2.0
#include "stats/coupon.h"

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"
#include "stats/lift.h"

namespace fulcrum::stats {
namespace {

double Clip(double share) { return std::clamp(share, 0.0, 1.0); }

double VarianceOfMean(const Gram& g, std::size_t i) {
  return g.variance(i) / static_cast<double>(g.n());
}

// x^2 = x for every unit, seen from the moments.
bool IsIndicator(const Gram& g, std::size_t i) {
  const double p = g.mean(i), n = static_cast<double>(g.n());
  return p >= 0 && p <= 1 && std::abs(g.centred(i, i) / n - p * (1 - p)) <= 1e-9 * (p + 1e-9);
}

// Confidence limits of a ratio as a share; everything where the set is not an interval.
Interval ShareOf(Estimate numerator, Estimate denominator, double covariance, double quantile) {
  const FiellerSet set = Fieller(numerator, denominator, covariance, quantile);
  if (set.shape != FiellerSet::Shape::kBounded) return {0, 1};
  return {Clip(set.lo), Clip(set.hi)};
}

// Most of the money that a share `a` of the redeemers can hold when costs have this cv.
double MostMoney(double a, double cv) { return Clip(a + cv * std::sqrt(a * (1 - a))); }

SubsidyShare ShareToAlwaysBuyers(const Gram& t, const Gram& c, const CouponColumns& columns,
                                 double alpha) {
  SubsidyShare s;
  if (!IsIndicator(t, columns.buyer) || !IsIndicator(c, columns.buyer) ||
      !IsIndicator(t, columns.redeemed) || c.mean(columns.redeemed) != 0) {
    s.reason = Reason::kInvalidInput;
    return s;
  }
  const double q = CriticalZ(alpha);
  const Estimate redeemed{t.mean(columns.redeemed), VarianceOfMean(t, columns.redeemed)};
  if (!(redeemed.value * redeemed.value > q * q * redeemed.variance) || !(redeemed.value > 0)) {
    s.reason = Reason::kDenominatorNearZero;
    return s;
  }
  const double r = redeemed.value, p1 = t.mean(columns.buyer), p0 = c.mean(columns.buyer);
  const double v0 = VarianceOfMean(c, columns.buyer);
  const Estimate won{p1 - p0, VarianceOfMean(t, columns.buyer) + v0};
  const double covariance =
      t.covariance(columns.buyer, columns.redeemed) / static_cast<double>(t.n());
  const Interval won_share = ShareOf(won, redeemed, covariance, q);
  const Interval always = ShareOf({p0, v0}, redeemed, 0, q);
  const Interval others = ShareOf({1 - p0, v0}, redeemed, 0, q);  // would not have bought

  const double a = Clip((p1 - p0) / r), high = Clip(p0 / r);
  s.no_assumption = {Clip(1 - (1 - p0) / r), high, {1 - others.hi, always.hi}};
  s.monotone = {std::min(1 - a, high), high, {std::min(1 - won_share.hi, always.hi), always.hi}};
  s.through_use = 1 - a;
  s.through_use_interval = {1 - won_share.hi, 1 - won_share.lo};

  const double cost = t.mean(columns.cost), n = static_cast<double>(t.n());
  if (cost > 0) {
    const double square = t.centred(columns.cost, columns.cost) / n + cost * cost;
    const double cv = std::sqrt(std::max(0.0, square * r / (cost * cost) - 1));
    s.money = {1 - MostMoney(a, cv),
               MostMoney(high, cv),
               {1 - MostMoney(won_share.hi, cv), MostMoney(always.hi, cv)}};
  }
  return s;
}

}  // namespace

CouponEconomics AnalyseCoupon(const Gram& treatment, const Gram& control,
                              const CouponColumns& columns, double alpha) {
  CouponEconomics e;
  if (treatment.n() < 2 || control.n() < 2) {
    e.reason = e.to_always_buyers.reason = Reason::kTooFewUnits;
    e.profit_per_unit.reason = e.orders_per_unit.reason = e.cost_per_unit.reason = e.reason;
    e.return_on_cost.reason = e.cost_per_order.reason = e.reason;
    return e;
  }
  const auto compare = [&](std::size_t i) {
    return Welch(treatment.moments(i), control.moments(i), alpha);
  };
  e.profit_per_unit = compare(columns.profit);
  e.orders_per_unit = compare(columns.orders);
  e.cost_per_unit = compare(columns.cost);
  e.return_on_cost = RatioOfEffects(treatment, control, columns.profit, columns.cost, alpha);
  e.cost_per_order = RatioOfEffects(treatment, control, columns.cost, columns.orders, alpha);
  e.to_always_buyers = ShareToAlwaysBuyers(treatment, control, columns, alpha);
  return e;
}

}  // namespace fulcrum::stats
