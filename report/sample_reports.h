// SPDX-License-Identifier: Apache-2.0
//
// Test support: a small shop's definitions and the store's answer for made-up units, seeded.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "experiments/definition.h"
#include "report/report.h"
#include "store/plan.h"

namespace fulcrum::report {

// Deterministic on every platform (the standard's distributions are not).
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 0x2545F4914F6CDD1DULL) {}
  double Uniform();  // [0, 1)
  double Normal();
  bool Chance(double p) { return Uniform() < p; }

 private:
  uint64_t Next();
  uint64_t state_;
};

struct ShopWorld {
  uint64_t seed = 1;
  std::vector<int> units = {4000, 4000};    // Per arm, the control first.
  std::vector<double> pay_factor = {1, 1};  // On the step from order to payment.
  std::vector<double> register_factor = {1, 1};
  std::vector<double> return_factor = {1, 1};
  int phases = 1;
  int clusters = 0;       // In each arm, where the definition has a cluster.
  double cluster_sd = 0;  // How much clusters differ in paying, on the log scale.
};

// Three kinds of funnel metrics, money with a covariate, a ratio, a time, a median, a guardrail.
experiments::Definitions ShopDefinitions(int arms = 2);

// The plan of ShopDefinitions' one experiment.
store::Plan ShopPlan(const experiments::Definitions& definitions);

store::PlanResult ShopResult(const store::Plan& plan, const ShopWorld& world);

// Definitions, plan, result and analysis in one go.
Report ShopReport(const ShopWorld& world);

inline constexpr int64_t kShopStartMs = 1772380800000;  // 2026-03-01T16:00:00Z
inline constexpr int64_t kShopEndMs = 1774800000000;    // 28 days later

}  // namespace fulcrum::report
