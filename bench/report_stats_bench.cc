// SPDX-License-Identifier: Apache-2.0
//
// What do a report's statistics cost, once the store has given its Gram matrices? Analyze() with
// everything the report uses: data quality, every test and interval, covariate adjustment, ratios,
// simultaneous intervals over all comparisons, always-valid bands, power, corrected estimates, the
// funnel with its joint covariance, slices of every metric, days since exposure, the decision.
//
//   report_stats_bench                          20 metrics x 3 arms x 10 slices with intervals that
//                                               hold jointly, and a sweep with Holm's correction
//   report_stats_bench METRICS ARMS SLICES      one point
//
// Prints JSON lines: metrics, arms, slices, the median of the runs in ms, and the same per (metric
// x arm x slice) in microseconds. One thread.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "report/analyze.h"
#include "report/plan.h"

namespace {

namespace experiments = fulcrum::experiments;
namespace report = fulcrum::report;
namespace store = fulcrum::store;

constexpr int64_t kDayMs = 86'400'000;
constexpr int kUnits = 400;  // Rows behind each Gram; the cost does not depend on it.

class Dice {
 public:
  double Uniform() {
    state_ += 0x9E3779B97F4A7C15ULL;
    uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return static_cast<double>((z ^ (z >> 31U)) >> 11U) * 0x1.0p-53;
  }

 private:
  uint64_t state_ = 42;
};

// By turns a proportion, money with a covariate, a ratio, a count.
experiments::MetricDefinition Metric(int index) {
  experiments::MetricDefinition metric;
  metric.key = "m" + std::to_string(index);
  metric.window.end_ms = 7 * kDayMs;
  metric.terms = {{1, "e" + std::to_string(index), "", {}, {}}};
  switch (index % 4) {
    case 0:
      metric.kind = experiments::MetricKind::kProportion;
      break;
    case 1:
      metric.kind = experiments::MetricKind::kMean;
      metric.terms.front().property = "value";
      metric.covariate_window_ms = 14 * kDayMs;
      break;
    case 2:
      metric.kind = experiments::MetricKind::kRatio;
      metric.terms.front().property = "value";
      metric.denominator = {{1, "e" + std::to_string(index), "", {}, {}}};
      break;
    default:
      metric.kind = experiments::MetricKind::kCount;
      break;
  }
  return metric;
}

experiments::Definitions Define(int metrics, int arms) {
  experiments::Definitions definitions;
  definitions.project.key = "bench";
  definitions.project.units = {{"user", "", {}}};
  for (const char* key : {"browse", "register", "order", "pay"}) {
    experiments::Stage stage;
    stage.key = key;
    stage.any_of = {key};
    definitions.project.stages.push_back(stage);
  }
  experiments::ExperimentDefinition experiment;
  experiment.key = "bench";
  experiment.unit = "user";
  for (int a = 0; a < arms; ++a) {
    experiments::VariantDefinition variant;
    variant.key = "arm" + std::to_string(a);
    variant.control = a == 0;
    experiment.variants.push_back(variant);
  }
  for (int m = 0; m < metrics; ++m) {
    definitions.project.metrics.push_back(Metric(m));
    experiment.primary.push_back({"m" + std::to_string(m), {}, {}});
  }
  experiments::MetricDefinition funnel;
  funnel.key = "funnel";
  funnel.kind = experiments::MetricKind::kFunnel;
  funnel.funnel_stages = {"browse", "register", "order", "pay"};
  funnel.window.end_ms = 7 * kDayMs;
  definitions.project.metrics.push_back(funnel);
  experiment.funnel = "funnel";
  experiment.start_ms = 1'770'000'000'000;
  experiment.decision.planned_duration_ms = 28 * kDayMs;
  experiment.decision.min_lift = 0.02;
  experiment.decision.power = 0.8;
  experiment.analysis.dimensions = {{"channel"}};
  definitions.experiments.push_back(experiment);
  return definitions;
}

// A row in which columns of one metric go together and every yes-or-no column is one.
std::vector<double> Row(const store::Plan& plan, const store::Group& group, Dice* dice) {
  std::vector<double> row;
  const double taste = dice->Uniform();
  for (const int c : group.columns) {
    const store::Column& column = plan.columns[c];
    const bool on = dice->Uniform() < 0.2 + 0.4 * taste;
    const bool yes_or_no = column.kind == store::ColumnKind::kAtLeast ||
                           column.kind == store::ColumnKind::kStage ||
                           column.kind == store::ColumnKind::kHasPre;
    row.push_back(yes_or_no ? (on ? 1 : 0) : on ? 1 + std::floor(20 * taste * dice->Uniform()) : 0);
  }
  return row;
}

store::PlanResult Answer(const store::Plan& plan, int slices) {
  store::PlanResult result;
  Dice dice;
  for (int arm = 0; arm < static_cast<int>(plan.population.arms.size()); ++arm) {
    for (int slice = -1; slice < slices; ++slice) {
      for (size_t g = 0; g < plan.groups.size(); ++g) {
        store::Cell cell;
        cell.arm = arm;
        cell.slice = slice < 0 ? -1 : 0;
        if (slice >= 0) cell.slice_value = "v" + std::to_string(slice);
        cell.group = static_cast<int>(g);
        cell.gram = fulcrum::stats::Gram(plan.groups[g].columns.size());
        for (int i = 0; i < kUnits; ++i) cell.gram.Add(Row(plan, plan.groups[g], &dice));
        result.cells.push_back(std::move(cell));
      }
    }
    store::ArmHealth health;
    health.units = kUnits;
    result.health.arms.push_back(health);
  }
  result.health.first_exposure_ms = 1'770'000'000'000;
  result.as_of_ms = 1'770'000'000'000 + 40 * kDayMs;
  return result;
}

void Measure(int metrics, int arms, int slices, bool simultaneous, int runs) {
  experiments::Definitions definitions = Define(metrics, arms);
  definitions.experiments.front().analysis.correction =
      simultaneous ? experiments::Correction::kSimultaneous : experiments::Correction::kHolm;
  const auto& experiment = definitions.experiments.front();
  const auto plan = report::MakePlan(definitions, experiment);
  if (!plan.ok()) {
    std::fprintf(stderr, "report_stats_bench: %s\n", std::string(plan.status().message()).c_str());
    std::exit(1);
  }
  const store::PlanResult result = Answer(*plan, slices);
  std::vector<double> times;
  size_t compared = 0;
  for (int run = 0; run < runs; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    const report::Report out = report::Analyze(definitions, experiment, *plan, result);
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
            .count());
    compared = 0;
    for (const auto& slice : out.slices) {
      for (const auto& effect : slice.effects) compared += effect.diff ? 1 : 0;
    }
  }
  // A benchmark that estimates nothing would be quick.
  const auto wanted = static_cast<size_t>(metrics * (arms - 1) * slices);
  if (compared != wanted) {
    std::fprintf(stderr, "report_stats_bench: %zu effects in slices, not %zu\n", compared, wanted);
    std::exit(1);
  }
  std::sort(times.begin(), times.end());
  const double ms = times[times.size() / 2];
  std::printf(
      "{\"correction\":\"%s\",\"metrics\":%d,\"arms\":%d,\"slices\":%d,\"ms\":%.3f,\"best_ms\":%."
      "3f,"
      "\"us_each\":%.3f}\n",
      simultaneous ? "simultaneous" : "holm", metrics, arms, slices, ms, times.front(),
      1000 * ms / (metrics * arms * slices));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4) {
    Measure(std::atoi(argv[1]), std::atoi(argv[2]), std::atoi(argv[3]), true, 3);
    return 0;
  }
  Measure(20, 3, 10, true, 3);
  Measure(20, 3, 10, false, 9);
  for (const int metrics : {5, 10, 20, 40, 80}) Measure(metrics, 3, 10, false, 9);
  for (const int arms : {2, 3, 5, 8}) Measure(20, arms, 10, false, 9);
  for (const int slices : {5, 10, 20, 40, 80}) Measure(20, 3, slices, false, 9);
  return 0;
}
