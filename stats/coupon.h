// SPDX-License-Identifier: Apache-2.0
// Coupon economics: what a subsidy bought, and how much of it went to people who needed none.
//
// One Gram per arm over per-unit columns. Everything is per exposed unit, in the currency of the
// profit and cost columns; differences are treatment (offered the coupon) less control.
#pragma once

#include <cstddef>

#include "stats/gram.h"
#include "stats/joint.h"
#include "stats/means.h"
#include "stats/types.h"

namespace fulcrum::stats {

// Which column is which. `buyer` and `redeemed` are 0 or 1 per unit: ordered at all, and used the
// coupon. `orders` counts orders and may be the same column as `buyer`. `profit` is contribution
// after every cost, the coupon's included; `cost` is what the coupon cost, 0 where not redeemed.
struct CouponColumns {
  std::size_t orders = 0;
  std::size_t buyer = 0;
  std::size_t profit = 1;
  std::size_t cost = 2;
  std::size_t redeemed = 3;
};

// A share known only up to bounds: what the data cannot tell is `low` to `high`; `interval` widens
// that for sampling and covers the whole of it with probability at least 1 - alpha (alpha/2 spent
// on each end, Fieller's set of each bound).
struct ShareBounds {
  double low = 0;
  double high = 1;
  Interval interval{0, 1};
};

// The share of redeemed coupons (or of the money) that went to always-buyers: units that would
// have ordered without the coupon. Principal strata (Frangakis and Rubin 2002) with the coupon's
// own logic: who redeems orders. With p1, p0 the shares of buyers in the arms and r that of
// redeemers:
//   no assumption   max(0, r + p0 - 1) / r  to  min(1, p0 / r)              (Frechet 1935)
//   monotone        at least 1 - (p1 - p0) / r: a coupon never stops an order, so at most p1 - p0
//                   of the units were won                                   (Manski 1997)
//   through use     equal to 1 - (p1 - p0) / r: besides, who did not redeem was not influenced, so
//                   every unit won redeemed                                 (Angrist, Imbens, Rubin
//                   1996)
// Money: the units won are a share a = (p1 - p0) / r of the redeemers, but may hold dearer or
// cheaper coupons. A subgroup of share a has a mean within sd sqrt((1 - a) / a) of the whole's, so
// its part of the money is within cv sqrt(a (1 - a)) of a, cv = sd / mean of the cost per redeemer.
struct SubsidyShare {
  ShareBounds no_assumption;
  ShareBounds monotone;
  double through_use = 0;         // in [0, 1]
  Interval through_use_interval;  // Fieller, cut to [0, 1]
  ShareBounds money;              // monotone, with any spread of costs; no better than `monotone`
  // kTooFewUnits; kDenominatorNearZero: hardly anybody redeemed; kInvalidInput: buyer or redeemed
  // is not 0/1, or control units redeemed too, so that arm totals cannot tell who was won.
  Reason reason = Reason::kNone;
};

struct CouponEconomics {
  WelchResult profit_per_unit;  // incremental profit per exposed unit
  WelchResult orders_per_unit;  // incremental orders per exposed unit
  WelchResult cost_per_unit;    // incremental coupon cost per exposed unit
  EffectRatio return_on_cost;   // incremental profit / incremental cost; it pays above 0
  EffectRatio cost_per_order;   // incremental cost / incremental orders
  SubsidyShare to_always_buyers;
  Reason reason = Reason::kNone;  // kTooFewUnits: fewer than 2 units in an arm
};
CouponEconomics AnalyseCoupon(const Gram& treatment, const Gram& control,
                              const CouponColumns& columns, double alpha);

}  // namespace fulcrum::stats
