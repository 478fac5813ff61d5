// SPDX-License-Identifier: Apache-2.0
//
// The causes: how visitors of a shop behave, and what each variant changes. Behaviour parameters
// are on the logit or log scale as named, so that effects add and stay possible.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fulcrum::sim {

// What one variant changes while it is shown, relative to nothing being shown. `_logit` is added to
// the log odds of the step, `_log` to the log of the quantity.
struct VariantEffect {
  double consult_logit = 0;
  double cart_logit = 0;
  double register_logit = 0;
  double order_logit = 0;
  double pay_logit = 0;
  double return_logit = 0;
  double order_value_log = 0;
  double pay_delay_log = 0;
  double coupon = 0;         // Currency units off an order, at most half of it.
  double exposure_loss = 0;  // Probability that a unit's exposures never arrive: a logging fault.

  void Add(const VariantEffect& other);
};

// The moment at which a variant is shown, hence logged, in every arm alike.
enum class Trigger : uint8_t { kVisit, kSearch, kRegister, kCheckout };

// What a report must find, where an experiment was planted to be found out.
enum class Planted : uint8_t { kNothing, kHarm, kMismatch };

struct ExperimentModel {
  std::string experiment;
  Trigger trigger = Trigger::kVisit;
  std::map<std::string, VariantEffect, std::less<>> effects;  // By variant; absent = no effect.
  Planted planted = Planted::kNothing;
};

// The behaviour of the sample shop. The defaults are its calibration.
struct ShopModel {
  double existing_share = 0.42;       // Registered before the world begins.
  double second_device_share = 0.04;  // Of registered users: they log in on it at once.
  double search_logit = 0.4;
  double consult_logit = -2.0;
  double cart_logit = -1.1;
  double register_logit = 0.1;
  double order_logit = 0.5;
  double pay_logit = 0.9;
  double return_logit = 0.2;
  double refund_rate = 0.07;
  double cancel_rate = 0.6;         // Of orders that are not paid.
  double service_rate = 0.97;       // Of payments.
  double order_value_median = 128;  // Currency units.
  double user_value_sigma = 0.65;   // Spread between users, log scale: heavy-tailed.
  double order_value_sigma = 0.55;  // Spread between the orders of a user, log scale.
  double gap_median_days = 2.2;     // Between the visits of those who come back.
  double gap_sigma = 0.9;
};

// Imperfect collection. All zero: everything arrives once, at once.
struct Faults {
  double event_loss = 0;        // Per event.
  double exposure_loss = 0;     // Per unit and experiment (a blocked client), alike in every arm.
  double duplicate_rate = 0;    // Per record: arrives twice with the same id.
  double delay_rate = 0;        // Per record: arrives late, hence out of order …
  int64_t max_delay_ms = 0;     // … by up to this much.
  int64_t refund_delay_ms = 0;  // Refunds are booked up to this long after they happened.
};

// The planted effects of examples/shop. An experiment without a model is an A/A test.
std::vector<ExperimentModel> SampleShopExperiments();

}  // namespace fulcrum::sim
