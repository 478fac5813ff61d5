// SPDX-License-Identifier: Apache-2.0
#include "calibrate/shop.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "calibrate/random.h"
#include "sim/rng.h"
#include "stats/quantiles.h"

namespace fulcrum::calibrate {
namespace {

constexpr uint64_t kCrowdSeed = 0x5e11;
constexpr std::array<double, kChannels> kChannelShare = {0.45, 0.25, 0.18, 0.12};
constexpr std::array<double, kChannels> kChannelIntent = {0.3, 0.1, -0.2, -0.5};

size_t ChannelAt(double u) {
  size_t channel = 0;
  while (channel + 1 < kChannels && u >= kChannelShare[channel]) u -= kChannelShare[channel++];
  return channel;
}

// Paid orders of a payer: 1 and a geometric tail, longer for the keen.
int OrdersOf(double u, double intent) {
  const double again = std::clamp(0.3 + 0.1 * intent, 0.05, 0.6);
  int orders = 1;
  for (double left = again; u < left && orders < 12; left *= again) ++orders;
  return orders;
}

}  // namespace

// Every shopper draws the same numbers in the same order whatever the effects, which act only on
// what the numbers are compared with or multiplied by.
Shop::Shop(const Effects& effects) {
  rows_.assign(kPeople * kTraits, 0);
  channel_.resize(kPeople);
  pay_day_.assign(kPeople, std::numeric_limits<double>::infinity());
  first_order_.push_back(0);
  for (size_t person = 0; person < kPeople; ++person) {
    Random random(sim::MixTwo(kCrowdSeed, person));
    double* row = &rows_[person * kTraits];
    const size_t channel = ChannelAt(random.Uniform());
    channel_[person] = static_cast<uint8_t>(channel);
    const double intent = random.Normal() + kChannelIntent[channel];
    const double wealth = random.Normal();

    const bool seen = random.Chance(0.6);
    const double luck_before = random.Uniform();
    const double spend_before = std::exp(3.4 + 0.7 * wealth + 0.4 * random.Normal());
    const double minutes_before = std::exp(1.5 + 0.5 * intent + 0.4 * random.Normal());
    if (seen) {
      row[kSeenBefore] = 1;
      row[kMinutesBefore] = minutes_before;
      if (luck_before < sim::Logistic(-0.8 + 1.1 * intent)) {
        row[kOrdersBefore] = OrdersOf(luck_before * 7 - std::floor(luck_before * 7), intent);
        row[kRevenueBefore] = row[kOrdersBefore] * spend_before;
      }
    }
    row[kMinutes] = effects.minutes * std::exp(1.6 + 0.5 * intent + 0.4 * random.Normal());
    const bool registers = random.Chance(sim::Logistic(0.5 + 0.9 * intent) * effects.registers);
    const bool order = registers && random.Uniform() < sim::Logistic(-1.2 + intent);
    const double pay_rate = 0.72 * effects.pay * effects.pay_by_channel[channel];
    const bool pay = random.Chance(pay_rate) && order;
    const double order_luck = random.Uniform();
    const double day = random.Exponential() * 1.4 * std::exp(-0.3 * intent) * effects.speed;
    row[kRegister] = registers ? 1 : 0;
    row[kOrder] = order ? 1 : 0;
    row[kReturn] = random.Chance(0.42 * effects.returns) ? 1 : 0;
    row[kRefund] = random.Chance(0.005 * effects.refunds) ? 1 : 0;
    if (pay) {
      pay_day_[person] = day;
      row[kPay] = 1;
      row[kOrders] = OrdersOf(order_luck, intent);
      for (int i = 0; i < static_cast<int>(row[kOrders]); ++i) {
        const double value = effects.value * std::exp(4.2 + 0.6 * wealth + 0.35 * random.Normal());
        row[kRevenue] += value;
        row[kSquares] += value * value;
        orders_.push_back(value);
      }
      row[kCouponCost] = effects.coupon * row[kRevenue];
      row[kRedeemed] = effects.coupon > 0 ? 1 : 0;
    }
    row[kProfit] = 0.3 * row[kRevenue] - row[kCouponCost];
    first_order_.push_back(orders_.size());
  }
}

double Shop::Mean(Trait trait) const {
  double sum = 0;
  for (size_t person = 0; person < kPeople; ++person) sum += at(person, trait);
  return sum / static_cast<double>(kPeople);
}

double Shop::MeanOfChannel(Trait trait, size_t channel) const {
  double sum = 0;
  double count = 0;
  for (size_t person = 0; person < kPeople; ++person) {
    if (channel_[person] != channel) continue;
    sum += at(person, trait);
    ++count;
  }
  return sum / count;
}

double Shop::Variance(Trait trait) const {
  const double mean = Mean(trait);
  double sum = 0;
  for (size_t person = 0; person < kPeople; ++person) {
    sum += (at(person, trait) - mean) * (at(person, trait) - mean);
  }
  return sum / static_cast<double>(kPeople);
}

double Shop::RatioOf(Trait numerator, Trait denominator) const {
  return Mean(numerator) / Mean(denominator);
}

double Shop::QuantileOf(Trait trait, double q) const {
  std::vector<double> values(kPeople);
  for (size_t person = 0; person < kPeople; ++person) values[person] = at(person, trait);
  std::sort(values.begin(), values.end());
  return stats::SampleQuantile(values, q, 7);
}

double Shop::OrderQuantile(double q) const {
  std::vector<double> values = orders_;
  std::sort(values.begin(), values.end());
  return stats::SampleQuantile(values, q, 7);
}

double Shop::RestrictedDays(double horizon_days) const {
  double sum = 0;
  for (const double day : pay_day_) sum += std::min(day, horizon_days);
  return sum / static_cast<double>(kPeople);
}

}  // namespace fulcrum::calibrate
