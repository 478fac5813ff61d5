// SPDX-License-Identifier: Apache-2.0
#include "sim/model.h"

#include "sim/record.h"

namespace fulcrum::sim {

std::string_view EventTypeName(EventType type) {
  static constexpr std::string_view kNames[kEventTypeCount] = {
      "browse", "search", "consult", "answer", "cart",   "register",
      "login",  "order",  "pay",     "cancel", "refund", "service"};
  return kNames[static_cast<int>(type)];
}

std::string_view NumberProperty(EventType type) {
  switch (type) {
    case EventType::kOrder:
    case EventType::kPay:
      return "discount";
    case EventType::kAnswer:
      return "wait_s";
    case EventType::kService:
      return "rating";
    default:
      return "";
  }
}

void VariantEffect::Add(const VariantEffect& other) {
  consult_logit += other.consult_logit;
  cart_logit += other.cart_logit;
  register_logit += other.register_logit;
  order_logit += other.order_logit;
  pay_logit += other.pay_logit;
  return_logit += other.return_logit;
  order_value_log += other.order_value_log;
  pay_delay_log += other.pay_delay_log;
  coupon += other.coupon;
}

std::vector<ExperimentModel> SampleShopExperiments() {
  std::vector<ExperimentModel> models;
  models.push_back(
      {"one-page-checkout",
       Trigger::kCheckout,
       {{"one-page", {.order_logit = 0.35, .pay_logit = 0.45, .pay_delay_log = -0.3}}}});
  models.push_back(
      {"phone-registration", Trigger::kRegister, {{"phone", {.register_logit = 0.45}}}});
  models.push_back(
      {"coupon-depth",
       Trigger::kCheckout,
       {{"ten-off", {.order_logit = 0.35, .pay_logit = 0.1, .coupon = 10}},
        {"twenty-off",
         {.order_logit = 0.5, .pay_logit = 0.15, .order_value_log = -0.03, .coupon = 20}}}});
  // Sharper pictures, slower pages: people leave before the cart and come back less.
  models.push_back({"high-resolution-images",
                    Trigger::kVisit,
                    {{"high-resolution", {.cart_logit = -0.3, .return_logit = -0.15}}},
                    Planted::kHarm});
  // The new result page closes before its exposure is sent, for one unit in eight.
  models.push_back({"search-ranking",
                    Trigger::kSearch,
                    {{"by-sales", {.cart_logit = 0.1, .exposure_loss = 0.12}}},
                    Planted::kMismatch});
  return models;
}

}  // namespace fulcrum::sim
