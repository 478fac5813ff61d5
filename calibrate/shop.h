// SPDX-License-Identifier: Apache-2.0
//
// A finite crowd of shoppers under one variant. A replication draws units from it with replacement,
// so the crowd's own figures are the exact truth of every metric, whatever its kind: no closed form
// is needed, and revenue may be as skewed and as full of zeros as a shop's is. Private to
// calibrate/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fulcrum::calibrate {

// What is known of one shopper; the columns of a crowd.
enum Trait : size_t {
  kPay,       // 1 if paid: about 15 of 100.
  kOrders,    // Paid orders.
  kRevenue,   // Sum of their values: zero for most, log-normal and heavy-tailed for the rest.
  kMinutes,   // On the site; positive, skewed, never zero.
  kReturn,    // 1 if came back: about 40 of 100.
  kRefund,    // 1 if refunded: about 5 of 1,000.
  kRegister,  // Funnel stages, each 1 if reached.
  kOrder,
  kOrdersBefore,  // The four weeks before exposure; correlated with what follows.
  kRevenueBefore,
  kSeenBefore,  // 1 for the three in five that were here before; else the two above are 0.
  kMinutesBefore,
  kSquares,     // Sum of squared order values: only a planted error needs it.
  kCouponCost,  // What a coupon cost, for buyers; 0 without a coupon.
  kRedeemed,    // 1 for buyers where there is a coupon.
  kProfit,      // 0.3 revenue - coupon cost.
  kTraits,
};

// What the variant changes, as factors on probabilities or amounts; 1 changes nothing.
struct Effects {
  double pay = 1;
  double registers = 1;
  double value = 1;
  double minutes = 1;
  double returns = 1;
  double refunds = 1;
  double speed = 1;   // On the time to payment.
  double coupon = 0;  // Share of the order value given away.
  // The pay factor of each channel, times `pay`.
  std::array<double, 4> pay_by_channel = {1, 1, 1, 1};
};

inline constexpr size_t kPeople = size_t{1} << 14;
inline constexpr size_t kChannels = 4;
inline constexpr std::array<std::string_view, kChannels> kChannelNames = {"search", "partner",
                                                                          "organic", "social"};

// Immutable after construction: safe from any thread. The same shoppers with the same luck under
// any effects, so two crowds differ by the effects alone.
class Shop {
 public:
  explicit Shop(const Effects& effects = {});

  double at(size_t person, Trait trait) const { return rows_[person * kTraits + trait]; }
  size_t channel(size_t person) const { return channel_[person]; }
  // Days from exposure to payment; infinity where there is none.
  double pay_day(size_t person) const { return pay_day_[person]; }
  std::span<const double> orders(size_t person) const {
    return {orders_.data() + first_order_[person], first_order_[person + 1] - first_order_[person]};
  }

  double Mean(Trait trait) const;
  double MeanOfChannel(Trait trait, size_t channel) const;
  double Variance(Trait trait) const;
  double RatioOf(Trait numerator, Trait denominator) const;
  // Of the trait over people, or of single orders' values (type 7).
  double QuantileOf(Trait trait, double q) const;
  double OrderQuantile(double q) const;
  // Mean of min(time to payment, horizon), in days.
  double RestrictedDays(double horizon_days) const;

 private:
  std::vector<double> rows_;
  std::vector<uint8_t> channel_;
  std::vector<double> pay_day_;
  std::vector<double> orders_;
  std::vector<size_t> first_order_;
};

}  // namespace fulcrum::calibrate
