// SPDX-License-Identifier: Apache-2.0
//
// A test bench: one experiment's definition and plan, a crowd for each arm, and what a store would
// answer for units drawn from them; analysed by the report itself. Private to calibrate/.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibrate/random.h"
#include "calibrate/shop.h"
#include "experiments/definition.h"
#include "report/analyze.h"
#include "report/report.h"
#include "stats/gram.h"
#include "store/plan.h"

namespace fulcrum::calibrate {

// The experiment's own lines of YAML: "primary: [pay_rate]\nanalysis: {cuped: false}". The metrics
// to choose from: pay_rate, refund_rate, return_rate, register_rate (proportions), orders (count),
// revenue, minutes (means), order_value (ratio), minutes_p50, minutes_p90, order_p50 (of events),
// time_to_pay and funnel.
struct BenchOptions {
  std::string experiment;
  std::vector<Effects> arms = {{}, {}};  // The control first.
  int planned_days = 0;                  // 0: no end is planned.
};

// Immutable: any number of threads may draw and analyse.
class Bench {
 public:
  // The options are the program's own, so a definition that does not load ends the program with
  // its errors.
  explicit Bench(const BenchOptions& options);

  // The store's answer for `units[arm]` units of each arm.
  store::PlanResult Draw(Random& random, std::span<const int> units) const;
  // Adds more units of one phase to an answer; only Grams and counts, not times and quantiles.
  void Extend(Random& random, std::span<const int> units, int phase,
              store::PlanResult* result) const;
  // An answer with no units yet.
  store::PlanResult Empty() const;

  report::Report Analyze(const store::PlanResult& result,
                         const report::AnalyzeOptions& options = {}) const;
  // At the end of the given day since the start; the planned end is reached at planned_days.
  report::Report AnalyzeOnDay(store::PlanResult* result, int day) const;

  const Shop& shop(size_t arm) const { return shops_[arm]; }
  size_t arms() const { return shops_.size(); }
  experiments::ExperimentDefinition& experiment() { return definitions_.experiments.front(); }

 private:
  void AddPeople(std::span<const size_t> people, size_t arm, size_t group, stats::Gram* gram) const;
  void AddTimes(Random& random, std::span<const size_t> people, size_t arm,
                store::PlanResult* result) const;
  void AddQuantiles(std::span<const size_t> people, size_t arm, store::PlanResult* result) const;

  experiments::Definitions definitions_;
  store::Plan plan_;
  std::vector<Shop> shops_;
  std::vector<std::vector<Trait>> traits_;  // Per group, as its columns.
};

// `count` people drawn with replacement.
std::vector<size_t> DrawPeople(Random& random, int count);

// Plain Grams for studies of single methods: `count` units, these traits.
stats::Gram DrawGram(Random& random, const Shop& shop, std::span<const Trait> traits, int count);
// Adds to a Gram that is there already.
void DrawInto(Random& random, const Shop& shop, std::span<const Trait> traits, int count,
              stats::Gram* gram);

// The one comparison of an arm on a metric; both exist in every bench that asks.
const report::Comparison& Find(const report::Report& report, std::string_view metric,
                               size_t arm = 1);

}  // namespace fulcrum::calibrate
