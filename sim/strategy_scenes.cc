// SPDX-License-Identifier: Apache-2.0
//
// The scenes: what people do in each of the growth team's strategies.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "sim/strategy_scene.h"

namespace fulcrum::sim {
namespace {

// Draws of a person, by number; append, never reorder.
enum Draw {
  kTaste = 1,
  kWhen,
  kChannel,
  kPlatform,
  kOrders,
  kOrderWhen,
  kPaysAtOnce,
  kPaysLater,
  kPayDelay,
  kValue,
  kMessages,
  kLeak,
  kDormant,
  kBot,
  kBrush,
  kBack,
  kBackDelay,
  kBuys,
  kBuysAgain,
  kAgainDelay,
  kLeaves,
  kReturns,
  kKeeps,
  kRefundDelay,
  kCategory,
  kPast,
  kSessions,
  kSessionWhen,
  kAnswered,
  kWait,
  kAsksThenOrders,
  kDelivery,
  kRating,
  kArrives,
};

constexpr int64_t kMinute = 60 * 1000;
constexpr std::array<const char*, 5> kChannels = {"search", "partner", "organic", "social",
                                                  "media"};

int64_t Ms(double ms) { return static_cast<int64_t>(ms); }
double Cents(double amount) { return std::round(amount * 100) / 100; }

std::string ChannelOf(const Luck& luck) {
  const double draw = luck.Uniform(kChannel);
  return kChannels[draw < 0.3 ? 0 : draw < 0.48 ? 1 : draw < 0.72 ? 2 : draw < 0.86 ? 3 : 4];
}
std::string PlatformOf(const Luck& luck) { return luck.Chance(0.6, kPlatform) ? "app" : "web"; }

}  // namespace

// Orders that are not paid within half an hour are abandoned, in every arm alike; from there the
// clock runs. Some come back by themselves: the control says how many.
void OrderRecovery(Scene* scene) {
  for (int64_t u = 0; u < scene->users(); ++u) {
    const Luck luck = scene->LuckOf(u);
    const std::string user = scene->UserId(u);
    const double taste = 0.8 * luck.Normal(kTaste);  // What makes the orders of one user alike.
    const int orders = 1 + static_cast<int>(3.2 * luck.Uniform(kOrders) * luck.Uniform(kOrders, 1));
    for (int o = 0; o < orders; ++o) {
      const int64_t ordered_ms =
          scene->start_ms() + Ms((luck.Uniform(kOrderWhen, o) * 27) * kDayMs);
      const std::string order = user + "-o" + std::to_string(o);
      const Properties attributes = {
          {"user_id", user}, {"channel", ChannelOf(luck)}, {"platform", PlatformOf(luck)}};
      const int shown = scene->Decide("order", order, ordered_ms, attributes);
      if (shown < 0) continue;
      const double value = Cents(luck.LogNormal(120, 0.6, kValue, o));
      scene->Show(shown, "order", order, ordered_ms, attributes);
      scene->Happen("order", user, ordered_ms, value, order);
      if (luck.Chance(Logistic(0.3 + taste), kPaysAtOnce, o)) {
        scene->Happen("pay", user, ordered_ms + 5 * kMinute, value, order);
        scene->Fact("paid at once");
        continue;
      }
      const int64_t abandoned_ms = ordered_ms + 30 * kMinute;
      scene->Happen("abandon", user, abandoned_ms, value, order);
      scene->Fact("abandoned");
      // Messages of other programmes about the order; a reminder is sent only to who had none.
      const double many = luck.Uniform(kMessages, o);
      const int others = many < 0.6 ? 0 : many < 0.85 ? 1 : 2;
      for (size_t v = 0; v < scene->variants(); ++v) {
        const double effect = v == 0 ? 0 : v == 1 ? 0.45 : 0.8;
        const double coupon = v == 2 ? 10 : 0;
        const bool pays = luck.Chance(Logistic(-1.3 + taste + effect), kPaysLater, o);
        const double hours = luck.LogNormal(9 * std::exp(-0.6 * effect), 1.1, kPayDelay, o);
        const bool in_time = pays && hours < 72;
        int messages = others;
        if (v > 0 && (others == 0 || (others == 1 && luck.Chance(0.03, kLeak, o)))) ++messages;
        scene->Count(v, "recovered", in_time ? 1 : 0);
        scene->Count(v, "recovered_value", in_time ? value - coupon : 0);
        scene->Count(v, "over_contacted", messages >= 2 ? 1 : 0);
        scene->Count(v, "time_to_recovery", (in_time ? std::floor(hours * kHourMs) : 72 * kHourMs));
        if (static_cast<int>(v) != shown) continue;
        if (pays) {
          Properties properties;
          if (coupon > 0) properties.emplace_back("discount", coupon);
          scene->Happen("pay", user, abandoned_ms + Ms(hours * kHourMs), value, order, "",
                        properties);
        }
        for (int m = 0; m < messages; ++m) {
          scene->Happen("message", user, abandoned_ms + kHourMs * (m + 1), 0, order);
        }
      }
    }
  }
}

// People who registered and went quiet, by how long they had been away when they were enrolled;
// bots and brushers among them, alike in every arm.
void Reactivation(Scene* scene) {
  for (int64_t u = 0; u < scene->users(); ++u) {
    const Luck luck = scene->LuckOf(u);
    const std::string user = scene->UserId(u);
    const int64_t at_ms = scene->Arrival(luck, kWhen, 14);
    const double dormant_days = std::floor(10 + 170 * luck.Uniform(kDormant));
    const bool bot = luck.Chance(0.03, kBot);
    const Properties attributes = {{"dormant_days", dormant_days},
                                   {"channel", ChannelOf(luck)},
                                   {"platform", PlatformOf(luck)},
                                   {"bot", bot}};
    const int shown = scene->Decide("user", user, at_ms, attributes);
    if (shown < 0) {
      scene->Fact("not dormant");
      continue;
    }
    scene->Show(shown, "user", user, at_ms, attributes);
    const bool brusher = !bot && luck.Chance(0.02, kBrush);
    if (bot || brusher) {
      scene->Fact(bot ? "bots" : "brushers");
      for (int i = 0; i < 30; ++i) {
        const std::string order = user + "-b" + std::to_string(i);
        scene->Happen("order", user, at_ms + kHourMs + i * kMinute, 500, order);
        scene->Happen("pay", user, at_ms + kHourMs + i * kMinute, 500, order);
      }
      continue;
    }
    const double taste = 0.7 * luck.Normal(kTaste);
    for (size_t v = 0; v < scene->variants(); ++v) {
      const double effect = v == 0 ? 0 : 0.5;
      const bool back = luck.Chance(Logistic(-1.4 + taste + effect), kBack);
      const double back_days = luck.LogNormal(4, 0.7, kBackDelay);
      const bool in_time = back && back_days < 14;
      const bool buys = back && luck.Chance(Logistic(-0.3 + taste), kBuys);
      const double again_days = luck.LogNormal(12, 0.6, kAgainDelay);
      const bool again = buys && luck.Chance(Logistic(-0.2 + taste + 0.3 * effect), kBuysAgain);
      const bool leaves = luck.Chance(v == 0 ? 0.05 : 0.053, kLeaves);
      const double value = Cents(luck.LogNormal(110, 0.6, kValue));
      const bool first_in_time = buys && back_days < 14;
      scene->Count(v, "returned", in_time ? 1 : 0);
      scene->Count(v, "reactivated_revenue", first_in_time ? value : 0);
      scene->Count(v, "second_purchase",
                   first_in_time && again && again_days >= 1 && again_days < 30 ? 1 : 0);
      scene->Count(v, "unsubscribed@7d", leaves ? 1 : 0);
      if (static_cast<int>(v) != shown) continue;
      const int64_t back_ms = at_ms + Ms(back_days * kDayMs);
      const std::string order = user + "-o";
      if (back) scene->Happen("browse", user, back_ms);
      if (buys) {
        scene->Happen("order", user, back_ms, value, order + "1");
        scene->Happen("pay", user, back_ms, value, order + "1");
      }
      if (again) {
        scene->Happen("pay", user, back_ms + Ms(again_days * kDayMs), value, order + "2");
      }
      if (leaves) scene->Happen("unsubscribe", user, at_ms + kDayMs);
    }
  }
}

// Returns are asked for in every arm alike; from there the clock runs. Who does not keep the goods
// is refunded, often long after.
void AfterSaleRescue(Scene* scene) {
  for (int64_t u = 0; u < scene->users(); ++u) {
    const Luck luck = scene->LuckOf(u);
    const std::string user = scene->UserId(u);
    const double taste = 0.7 * luck.Normal(kTaste);
    const int orders = 1 + static_cast<int>(3 * luck.Uniform(kOrders));
    for (int o = 0; o < orders; ++o) {
      const int64_t paid_ms = scene->start_ms() + Ms(luck.Uniform(kOrderWhen, o) * 27 * kDayMs);
      const std::string order = user + "-o" + std::to_string(o);
      const Properties attributes = {{"user_id", user}, {"channel", ChannelOf(luck)}};
      const int shown = scene->Decide("order", order, paid_ms, attributes);
      if (shown < 0) continue;
      const double value = Cents(luck.LogNormal(130, 0.6, kValue, o));
      scene->Show(shown, "order", order, paid_ms, attributes);
      scene->Happen("pay", user, paid_ms, value, order);
      if (!luck.Chance(Logistic(-0.4 + taste), kReturns, o)) {
        scene->Fact("no return asked for");
        continue;
      }
      const int64_t asked_ms = paid_ms + 3 * kDayMs;
      scene->Happen("return_requested", user, asked_ms, value, order);
      scene->Fact("return asked for");
      for (size_t v = 0; v < scene->variants(); ++v) {
        const double effect = v == 0 ? 0 : 0.6;
        const bool keeps = luck.Chance(Logistic(-0.8 + taste + effect), kKeeps, o);
        const double refund_days = luck.LogNormal(12, 0.5, kRefundDelay, o);
        scene->Count(v, "kept", keeps ? 1 : 0);
        scene->Count(v, "refunded_value", !keeps && refund_days < 30 ? value : 0);
        if (static_cast<int>(v) != shown) continue;
        if (keeps) {
          scene->Happen("kept", user, asked_ms + 2 * kDayMs, 0, order);
        } else {
          scene->Happen("refund", user, asked_ms + Ms(refund_days * kDayMs), value, order);
        }
      }
    }
  }
}

// One landing page for all channels; what a unit brings differs by channel, and so does its cost.
void ChannelLanding(Scene* scene) {
  constexpr double kWorth[] = {0.1, 0.3, 0.5, -0.1, -0.6};
  for (int64_t u = 0; u < scene->users(); ++u) {
    const Luck luck = scene->LuckOf(u);
    const std::string user = scene->UserId(u);
    const int64_t at_ms = scene->Arrival(luck, kWhen, 28);
    const std::string channel = ChannelOf(luck);
    const auto which = std::find(kChannels.begin(), kChannels.end(), channel) - kChannels.begin();
    const Properties attributes = {{"channel", channel}, {"platform", PlatformOf(luck)}};
    const int shown = scene->Decide("user", user, at_ms, attributes);
    if (shown < 0) continue;
    scene->Show(shown, "user", user, at_ms, attributes);
    scene->Fact("of " + channel);
    const double taste = 0.8 * luck.Normal(kTaste);
    const double past = Cents(luck.LogNormal(60, 0.4, kPast) * std::exp(taste));
    if (luck.Chance(0.6, kPast, 1)) {
      scene->Happen("pay", user, at_ms - 3 * kDayMs, past, user + "-p");
    }
    const double draw = luck.Uniform(kCategory);
    const std::string category = draw < 0.5 ? "clothes" : draw < 0.8 ? "home" : "books";
    const double value = Cents(luck.LogNormal(150, 0.5, kValue) * std::exp(0.5 * taste));
    for (size_t v = 0; v < scene->variants(); ++v) {
      const double effect = v == 0 ? 0 : 0.25;
      const bool pays = luck.Chance(Logistic(-0.7 + kWorth[which] + taste + effect), kBuys);
      const double contribution = pays ? 0.3 * value : 0;
      scene->Count(v, "pay_rate", pays ? 1 : 0);
      scene->Count(v, "contribution", contribution);
      scene->Count(v, "contribution", contribution, 1, channel);
      for (const char* one : {"clothes", "home", "other"}) {
        const bool in = category == one || (category == "books" && one == std::string("other"));
        scene->Count(v, "revenue", pays && in ? value : 0, 1, one);
      }
      if (static_cast<int>(v) != shown || !pays) continue;
      scene->Happen("pay", user, at_ms + Ms(luck.Uniform(kPayDelay) * 6 * kDayMs), value,
                    user + "-o", "", {{"category", category}});
    }
  }
}

// People ask, wait, and order in the same conversation; orders are delivered and rated.
void ServiceDesk(Scene* scene) {
  for (int64_t u = 0; u < scene->users(); ++u) {
    const Luck luck = scene->LuckOf(u);
    const std::string user = scene->UserId(u);
    const int64_t at_ms = scene->Arrival(luck, kWhen, 20);
    const Properties attributes = {{"channel", ChannelOf(luck)}, {"platform", PlatformOf(luck)}};
    const int shown = scene->Decide("user", user, at_ms, attributes);
    if (shown < 0) continue;
    scene->Show(shown, "user", user, at_ms, attributes);
    const double taste = 0.7 * luck.Normal(kTaste);
    const int sessions = 1 + static_cast<int>(3 * luck.Uniform(kSessions));
    for (int s = 0; s < sessions; ++s) {
      const int64_t asked_ms = at_ms + Ms(luck.Uniform(kSessionWhen, s) * 6 * kDayMs);
      const std::string session = user + "-s" + std::to_string(s);
      const std::string order = user + "-o" + std::to_string(s);
      const bool answered = luck.Chance(0.95, kAnswered, s);
      const double value = Cents(luck.LogNormal(120, 0.5, kValue, s));
      const double delivery_days = luck.LogNormal(2.4, 0.4, kDelivery, s);
      for (size_t v = 0; v < scene->variants(); ++v) {
        const double faster = v == 0 ? 0 : -0.6;
        // Whoever answers one person slowly answers the next slowly too: sessions are alike.
        const double wait_s = luck.LogNormal(300 * std::exp(faster + 0.5 * taste), 0.9, kWait, s);
        const bool orders =
            answered &&
            luck.Chance(Logistic(0.4 - taste - 0.35 * std::log(wait_s / 300)), kAsksThenOrders, s);
        const double rating = std::clamp(
            std::round(4.6 - 0.2 * std::log(wait_s / 100) + luck.Normal(kRating, s)), 1.0, 5.0);
        const int64_t wait_ms = Ms(wait_s * 1000);
        const bool pays = orders && luck.Chance(0.9, kPaysAtOnce, s);
        const bool arrives = pays && luck.Chance(0.97, kArrives, s);
        scene->Count(v, "first_response",
                     answered && wait_ms < kHourMs ? static_cast<double>(wait_ms) : kHourMs);
        scene->Count(v, "consult_to_order", orders ? 1 : 0);
        scene->Count(v, "rating", arrives ? rating : 0, arrives ? 1 : 0);
        scene->Count(v, "order_funnel", pays ? 1 : 0, orders ? 1 : 0, "pay");
        scene->Count(v, "orders", orders ? 1 : 0, s == 0 ? 1 : 0);
        if (static_cast<int>(v) != shown) continue;
        scene->Happen("consult", user, asked_ms, 0, "", session);
        if (answered) scene->Happen("answer", user, asked_ms + wait_ms, 0, "", session);
        if (!orders) continue;
        const int64_t ordered_ms = asked_ms + wait_ms + 10 * kMinute;
        scene->Happen("order", user, ordered_ms, value, order, session);
        if (pays) scene->Happen("pay", user, ordered_ms + 2 * kMinute, value, order, session);
        if (arrives) {
          scene->Happen("service", user, ordered_ms + Ms(delivery_days * kDayMs), 0, order, "",
                        {{"rating", rating}});
        }
      }
    }
  }
}

}  // namespace fulcrum::sim
