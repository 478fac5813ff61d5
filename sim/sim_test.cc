// SPDX-License-Identifier: Apache-2.0
//
// The simulator's promises: the same seed gives the same world whatever the order; variants change
// only what comes after they are shown; true effects are what a huge randomised trial finds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/time.h"
#include "sim/life.h"
#include "sim/outcome.h"
#include "sim/truth.h"
#include "sim/world.h"

namespace fulcrum::sim {
namespace {

constexpr int64_t kStartMs = 1772380800000;  // 2026-03-02T00:00:00+08:00, a Monday.

experiments::MetricDefinition Metric(const std::string& key, experiments::MetricKind kind,
                                     const std::string& event, const std::string& property = "") {
  experiments::MetricDefinition metric;
  metric.key = key;
  metric.kind = kind;
  metric.terms.push_back({1, event, property, {}, {}});
  metric.window.end_ms = 7 * kDayMs;
  return metric;
}

experiments::Definitions SmallShop() {
  experiments::Definitions shop;
  shop.project.key = "test";
  shop.project.units = {{"user", "", {}}, {"device", "user", {}}};
  shop.project.events["pay"] = {"pay", "Order Completed"};
  const auto stage = [&](const std::string& key, bool optional) {
    experiments::Stage out;
    out.key = key;
    out.any_of = {key};
    out.optional = optional;
    shop.project.stages.push_back(out);
  };
  stage("browse", false);
  stage("consult", true);
  stage("order", false);
  stage("pay", false);
  auto& metrics = shop.project.metrics;
  metrics.push_back(Metric("pay_rate", experiments::MetricKind::kProportion, "pay"));
  metrics.push_back(Metric("revenue", experiments::MetricKind::kMean, "pay", "value"));
  metrics.push_back(Metric("order_value", experiments::MetricKind::kRatio, "pay", "value"));
  metrics.back().denominator.push_back({1, "pay", "", {}, {}});
  experiments::MetricDefinition funnel;
  funnel.key = "funnel";
  funnel.kind = experiments::MetricKind::kFunnel;
  funnel.funnel_stages = {"browse", "consult", "order", "pay"};
  funnel.window.end_ms = 7 * kDayMs;
  metrics.push_back(funnel);
  experiments::MetricDefinition time;
  time.key = "time_to_pay";
  time.kind = experiments::MetricKind::kTimeTo;
  time.to_stage = "pay";
  time.horizon_ms = 7 * kDayMs;
  metrics.push_back(time);
  for (const auto& [key, unit] :
       std::map<std::string, std::string>{{"page", "device"}, {"till", "user"}}) {
    experiments::ExperimentDefinition experiment;
    experiment.key = key;
    experiment.unit = unit;
    experiment.variants = {{"control", "", 1, true, "", {}}, {"on", "", 1, false, "", {}}};
    experiment.primary = {{"pay_rate", {}, {}},
                          {"revenue", {}, {}},
                          {"order_value", {}, {}},
                          {"time_to_pay", {}, {}}};
    experiment.funnel = "funnel";
    shop.experiments.push_back(experiment);
  }
  return shop;
}

std::vector<ExperimentModel> Models() {
  return {{"page", Trigger::kVisit, {{"on", {.cart_logit = -0.5}}}},
          {"till", Trigger::kCheckout, {{"on", {.order_logit = 0.6, .pay_logit = 0.4}}}}};
}

// A fair coin per unit and experiment, independent of everything the simulator draws.
AssignFn Coin(const World& world, uint64_t salt) {
  return [&world, salt](const Visitor& visitor, std::span<Assignment> out) {
    for (size_t i = 0; i < out.size(); ++i) {
      const bool device = world.unit_is_device(static_cast<int>(i));
      if (!device && !visitor.user_known) continue;
      const uint64_t unit = visitor.user * 4ULL + (device ? visitor.device : 2);
      out[i] = {static_cast<int32_t>(MixTwo(salt + i, unit) >> 63), 0, 0.5};
    }
  };
}

World MakeWorld(const experiments::Definitions& shop, uint64_t seed, int64_t users,
                Faults faults = {}) {
  WorldOptions options;
  options.seed = seed;
  options.users = users;
  options.start_ms = kStartMs;
  options.days = 21;
  return World(options, ShopModel{}, Models(), faults, shop);
}

class Collector : public Sink {
 public:
  void OnRecord(const Record& record) override { records.push_back(record); }
  std::vector<Record> records;
};

using Key = std::tuple<int64_t, uint32_t, int, int, int, int, double>;
Key KeyOf(const Record& r) {
  return {r.ts_ms,      r.user,    static_cast<int>(r.kind),          static_cast<int>(r.event),
          r.experiment, r.variant, std::isnan(r.value) ? -1 : r.value};
}

TEST(World, SameSeedSameWorldWhateverTheOrder) {
  const auto shop = SmallShop();
  const World world = MakeWorld(shop, 7, 300);
  const AssignFn coin = Coin(world, 1);
  Collector together;
  world.Run(coin, together);
  std::vector<Record> apart;
  for (int user = 299; user >= 0; --user) {
    Life life(world, static_cast<uint32_t>(user));
    while (life.next_visit_ms() < world.end_ms()) life.RunVisit(coin, &apart);
  }
  std::multiset<Key> a;
  std::multiset<Key> b;
  for (const auto& record : together.records) a.insert(KeyOf(record));
  for (const auto& record : apart) {
    if (record.received_ms <= world.end_ms()) b.insert(KeyOf(record));
  }
  EXPECT_GT(a.size(), 1000u);
  EXPECT_EQ(a, b);
  Collector other;
  const World another = MakeWorld(shop, 8, 300);
  another.Run(Coin(another, 1), other);
  std::multiset<Key> c;
  for (const auto& record : other.records) c.insert(KeyOf(record));
  EXPECT_NE(a, c);
}

TEST(World, RecordsArriveInOrderAndIdsAreUnique) {
  const auto shop = SmallShop();
  const World world = MakeWorld(shop, 3, 400);
  Collector sink;
  world.Run(Coin(world, 2), sink);
  std::set<std::string> ids;
  int64_t last_ms = 0;
  for (const Record& record : sink.records) {
    EXPECT_GE(record.received_ms, last_ms);
    EXPECT_GE(record.received_ms, record.ts_ms);
    last_ms = record.received_ms;
    if (record.kind != RecordKind::kLink) {
      EXPECT_TRUE(ids.insert(world.RecordId(record)).second) << world.RecordId(record);
    }
  }
}

TEST(World, FaultsLoseRepeatAndDelayAsToldAndNothingElse) {
  const auto shop = SmallShop();
  Faults faults;
  faults.event_loss = 0.05;
  faults.duplicate_rate = 0.1;
  faults.delay_rate = 0.2;
  faults.max_delay_ms = kDayMs;
  const World clean = MakeWorld(shop, 5, 2000);
  const World faulty = MakeWorld(shop, 5, 2000, faults);
  Collector a;
  Collector b;
  clean.Run(Coin(clean, 4), a);
  faulty.Run(Coin(faulty, 4), b);
  std::multiset<Key> sent;
  for (const auto& record : a.records) sent.insert(KeyOf(record));
  size_t copies = 0;
  size_t late = 0;
  std::multiset<Key> arrived;
  for (const auto& record : b.records) {
    copies += record.copy ? 1 : 0;
    if (record.copy) continue;
    late += record.received_ms > record.ts_ms ? 1 : 0;
    arrived.insert(KeyOf(record));
  }
  // Nothing arrives that was not sent in the world without faults.
  EXPECT_TRUE(std::includes(sent.begin(), sent.end(), arrived.begin(), arrived.end()));
  const auto n = static_cast<double>(arrived.size());
  EXPECT_NEAR(static_cast<double>(copies) / n, 0.1, 0.01);
  EXPECT_NEAR(static_cast<double>(late) / n, 0.2, 0.02);
  EXPECT_LT(arrived.size(), sent.size());
}

TEST(World, VariantsChangeOnlyWhatFollowsThem) {
  const auto shop = SmallShop();
  const World world = MakeWorld(shop, 11, 1500);
  for (uint32_t user = 0; user < 1500; ++user) {
    std::vector<Record> lives[2];
    for (int variant = 0; variant < 2; ++variant) {
      Life life(world, user);
      const AssignFn fixed = [&](const Visitor& visitor, std::span<Assignment> out) {
        if (visitor.user_known) out[1] = {variant, 0, 0.5};
      };
      while (life.next_visit_ms() < world.end_ms()) life.RunVisit(fixed, &lives[variant]);
    }
    int64_t shown_ms = INT64_MAX;
    for (const auto& record : lives[0]) {
      if (record.kind == RecordKind::kExposure) shown_ms = std::min(shown_ms, record.ts_ms);
    }
    std::multiset<Key> before[2];
    for (int variant = 0; variant < 2; ++variant) {
      for (const auto& record : lives[variant]) {
        if (record.ts_ms < shown_ms) before[variant].insert(KeyOf(record));
      }
    }
    ASSERT_EQ(before[0], before[1]) << "user " << user;
  }
}

// The difference of means between the arms as they happened, in a world large enough that its
// standard error is small, against the potential outcomes of the same world.
TEST(Truth, IsWhatARandomisedTrialFinds) {
  const auto shop = SmallShop();
  const World world = MakeWorld(shop, 21, 30000);
  const AssignFn coin = Coin(world, 5);
  TruthOptions options;
  options.threads = 2;
  const Truth truth = ComputeTruth(world, coin, options);
  Collector sink;
  world.Run(coin, sink);

  struct Unit {
    int variant = -1;
    int64_t clock_ms = 0;
    bool paid = false;
  };
  std::map<uint32_t, Unit> units;
  std::stable_sort(sink.records.begin(), sink.records.end(),
                   [](const Record& a, const Record& b) { return a.ts_ms < b.ts_ms; });
  for (const auto& record : sink.records) {
    if (record.kind == RecordKind::kExposure && record.experiment == 1) {
      units.try_emplace(record.user, Unit{record.variant, record.ts_ms, false});
    }
    const auto unit = units.find(record.user);
    if (record.kind != RecordKind::kEvent || record.event != EventType::kPay) continue;
    if (unit == units.end() || record.received_ms > world.end_ms()) continue;
    const int64_t since_ms = record.ts_ms - unit->second.clock_ms;
    if (since_ms >= 0 && since_ms < 7 * kDayMs) unit->second.paid = true;
  }
  double n[2] = {0, 0};
  double paid[2] = {0, 0};
  for (const auto& [user, unit] : units) {
    if (world.end_ms() - unit.clock_ms < 7 * kDayMs) continue;
    n[unit.variant] += 1;
    paid[unit.variant] += unit.paid ? 1 : 0;
  }
  const TrueEffect* effect = truth.Find("till", "on", "pay_rate");
  ASSERT_NE(effect, nullptr);
  EXPECT_EQ(effect->units, static_cast<int64_t>(n[0] + n[1]));
  const double p0 = paid[0] / n[0];
  const double p1 = paid[1] / n[1];
  const double se = std::sqrt(p0 * (1 - p0) / n[0] + p1 * (1 - p1) / n[1]);
  EXPECT_NEAR(effect->effect, p1 - p0, 3.5 * se);
  EXPECT_GT(effect->effect, 5 * se) << "the planted effect must be visible for this to mean much";
  EXPECT_LT(truth.Find("page", "on", "pay_rate")->effect, 0);
  // A funnel's stages can only lose people.
  double last = 1;
  for (const char* stage : {"browse", "order", "pay"}) {
    const TrueEffect* reached = truth.Find("page", "on", "funnel", stage);
    ASSERT_NE(reached, nullptr);
    EXPECT_LE(reached->control_value, last);
    last = reached->control_value;
  }
}

TEST(Truth, DoesNotDependOnThreadsAndIsZeroWithoutEffects) {
  const auto shop = SmallShop();
  WorldOptions options;
  options.seed = 9;
  options.users = 1200;
  options.start_ms = kStartMs;
  const World world(options, ShopModel{}, {}, Faults{}, shop);
  const AssignFn coin = Coin(world, 6);
  TruthOptions two;
  two.threads = 2;
  const Truth a = ComputeTruth(world, coin, {});
  const Truth b = ComputeTruth(world, coin, two);
  ASSERT_EQ(a.effects.size(), b.effects.size());
  ASSERT_GT(a.effects.size(), 10u);
  for (size_t i = 0; i < a.effects.size(); ++i) {
    EXPECT_EQ(a.effects[i].effect, b.effects[i].effect);
    EXPECT_EQ(a.effects[i].effect, 0.0) << a.effects[i].experiment << " " << a.effects[i].metric;
  }
}

TEST(Random, DrawsAreUniformAndIndependentOfPurpose) {
  constexpr int kDraws = 200000;
  double sum = 0;
  double squares = 0;
  double cross = 0;
  double normal_squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const UserRandom random(1, static_cast<uint64_t>(i));
    const double u = random.Uniform(Purpose::kCart, 3) - 0.5;
    const double v = random.Uniform(Purpose::kOrder, 3) - 0.5;
    const double z = random.Normal(Purpose::kGap, 1);
    sum += u;
    squares += u * u;
    cross += u * v;
    normal_squares += z * z;
  }
  // Four standard deviations of each statistic.
  EXPECT_NEAR(sum / kDraws, 0, 4 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 12, 4 * std::sqrt(1.0 / 180 / kDraws));
  EXPECT_NEAR(cross / kDraws, 0, 4 * (1.0 / 12) / std::sqrt(kDraws));
  EXPECT_NEAR(normal_squares / kDraws, 1, 4 * std::sqrt(2.0 / kDraws));
}

TEST(Outcome, QuantileInterpolatesBetweenOrderStatistics) {
  EXPECT_DOUBLE_EQ(Quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Quantile({5}, 0.9), 5);
  EXPECT_DOUBLE_EQ(Quantile({0, 10}, 0.25), 2.5);
}

}  // namespace
}  // namespace fulcrum::sim
