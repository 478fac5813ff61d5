// SPDX-License-Identifier: Apache-2.0
//
// Inside MakeStrategyWorld: what scenes share. Included by strateg*.cc only.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "core/decide.h"
#include "sim/rng.h"
#include "sim/strategies.h"

namespace fulcrum::sim {

// A person of a scene: draws are named by a number, so that every life has the same luck.
class Luck {
 public:
  Luck(uint64_t seed, uint64_t scene, uint64_t user) : random_(MixTwo(seed, scene), user) {}
  double Uniform(int draw, int time = 0) const {
    return random_.Uniform(Purpose{static_cast<uint32_t>(draw)}, static_cast<uint64_t>(time));
  }
  bool Chance(double p, int draw, int time = 0) const { return Uniform(draw, time) < p; }
  double Normal(int draw, int time = 0) const {
    return random_.Normal(Purpose{static_cast<uint32_t>(draw)}, static_cast<uint64_t>(time));
  }
  double LogNormal(double median, double sigma, int draw, int time = 0) const {
    return median * std::exp(sigma * Normal(draw, time));
  }

 private:
  UserRandom random_;
};

// Sums that a metric is made of, over all units under one variant: Σ numerator and Σ denominator.
struct Sums {
  double numerator = 0;
  double denominator = 0;
};

// One experiment's scene.
class Scene {
 public:
  Scene(const experiments::Definitions& definitions, const core::Snapshot& snapshot,
        const StrategyOptions& options, std::string_view key, uint64_t number,
        StrategyWorld* world);

  bool exists() const { return experiment_ != nullptr; }
  int64_t start_ms() const { return *experiment_->start_ms; }
  int64_t users() const { return options_.users; }
  size_t variants() const { return experiment_->variants.size(); }
  const std::string& variant(size_t v) const { return experiment_->variants[v].key; }
  Luck LuckOf(int64_t user) const { return {options_.seed, number_, static_cast<uint64_t>(user)}; }
  std::string UserId(int64_t user) const;
  // An instant of the first `days`, by the person's luck.
  int64_t Arrival(const Luck& luck, int draw, double days) const;

  // The variant of the real evaluator, -1 = not in the experiment.
  int Decide(const std::string& unit_kind, const std::string& unit, int64_t ts_ms,
             const Properties& attributes) const;

  void Show(int variant, const std::string& kind, const std::string& unit, int64_t ts_ms,
            const Properties& attributes);
  void Happen(const std::string& name, const std::string& user, int64_t ts_ms, double value = 0,
              const std::string& order = "", const std::string& session = "",
              Properties properties = {});

  void Count(size_t variant, const std::string& metric, double numerator, double denominator = 1,
             const std::string& part = "");
  void Fact(const std::string& what, int64_t count = 1);
  // Turns what was counted into effects.
  void Close();

 private:
  const experiments::Definitions& definitions_;
  const core::Snapshot& snapshot_;
  const StrategyOptions& options_;
  uint64_t number_;
  const experiments::ExperimentDefinition* experiment_ = nullptr;
  core::ExperimentHandle handle_;
  StrategyWorld* world_;
  int64_t events_ = 0;
  std::map<std::pair<std::string, std::string>, std::vector<Sums>> sums_;  // By metric, part.
};

void OrderRecovery(Scene* scene);
void Reactivation(Scene* scene);
void AfterSaleRescue(Scene* scene);
void ChannelLanding(Scene* scene);
void ServiceDesk(Scene* scene);

}  // namespace fulcrum::sim
