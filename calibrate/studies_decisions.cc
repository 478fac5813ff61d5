// SPDX-License-Identifier: Apache-2.0
//
// The decision rule on whole experiments: the report is read every day, a stop is obeyed at once,
// and the planned end is final.
#include <cmath>
#include <memory>

#include "calibrate/bench.h"
#include "calibrate/study.h"
#include "stats/power.h"

namespace fulcrum::calibrate {
namespace {

using report::Decision;

constexpr int kDays = 14;
constexpr double kFinal = 0.04;  // Of alpha 0.05, what the look band leaves.

struct Course {
  Decision decision = Decision::kInconclusive;
  bool ever_broken = false;
  int last_day = 0;
};

// `daily` units arrive a day, each assigned by a fair draw, until the report says that it is over:
// at the planned end, or, where a power was asked for, up to as long again.
Course Live(const Bench& bench, Random& random, int daily, double lost_of_treatment = 0) {
  Course course;
  store::PlanResult result = bench.Empty();
  std::vector<int> units(bench.arms());
  for (int day = 1; day <= 2 * kDays; ++day) {
    std::fill(units.begin(), units.end(), 0);
    for (int i = 0; i < daily; ++i) {
      const auto arm = static_cast<size_t>(random.Uniform() * static_cast<double>(units.size()));
      if (arm > 0 && lost_of_treatment > 0 && random.Chance(lost_of_treatment)) continue;
      ++units[arm];
    }
    bench.Extend(random, units, 0, &result);
    const report::Report report = bench.AnalyzeOnDay(&result, day);
    course.decision = report.verdict.decision;
    course.last_day = day;
    if (course.decision == Decision::kBroken) course.ever_broken = true;
    if (course.decision == Decision::kStop) break;
    if (day >= kDays && course.decision != Decision::kKeepRunning) break;
  }
  return course;
}

BenchOptions Trial(std::string_view more = "") {
  BenchOptions options;
  options.experiment = "primary: [pay_rate]\nanalysis: {cuped: false}\n" + std::string(more);
  options.planned_days = kDays;
  return options;
}

Study NoEffect() {
  Study study;
  study.key = "decide_null";
  study.rows = {
      {"ship", "no effect, shipped", kFinal / 2, Claim::kAtMost},
      {"stop", "no effect, stopped as harm on any day", 0.01 / 2 + kFinal / 2, Claim::kAtMost},
      {"broken",
       "right assignment called broken on any of 14 days: the fixed "
       "chi-squared test at 0.001 that the report repeats; 0.68 of 100 by "
       "integration",
       0.0068070451018853876, Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    auto bench = std::make_shared<const Bench>(Trial());
    return [bench](Random& random, Tally& tally) {
      const Course course = Live(*bench, random, 150);
      tally.Add(0, course.decision == Decision::kShip);
      tally.Add(1, course.decision == Decision::kStop);
      tally.Add(2, course.ever_broken);
    };
  };
  return study;
}

Study ThreeArms() {
  Study study;
  study.key = "decide_arms";
  study.rows = {
      {"ship", "two treatments without effect, any shipped", kFinal, Claim::kAtMost},
      {"stop", "two treatments without effect, stopped on any day", 0.05, Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options = Trial();
    options.arms = {{}, {}, {}};
    auto bench = std::make_shared<const Bench>(options);
    return [bench](Random& random, Tally& tally) {
      const Course course = Live(*bench, random, 150);
      tally.Add(0, course.decision == Decision::kShip);
      tally.Add(1, course.decision == Decision::kStop);
    };
  };
  return study;
}

// Units an arm that give 80% power at the level of the planned end.
int UnitsFor(const Bench& bench, double alpha) {
  return static_cast<int>(
      std::ceil(stats::SampleSizeProportions(bench.shop(0).Mean(kPay), bench.shop(1).Mean(kPay),
                                             0.8, alpha, 2)
                    .pooled));
}

Study Harm() {
  Study study;
  study.key = "decide_harm";
  study.rows = {{"ship", "planned harm, shipped", kFinal / 2, Claim::kAtMost},
                {"stop", "planned harm, stopped: the plan's power, and looking adds to it", 0.8,
                 Claim::kAtLeast}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options = Trial();
    options.arms[1].pay = 0.72;
    auto bench = std::make_shared<const Bench>(options);
    const int daily = 2 * UnitsFor(*bench, kFinal) / kDays + 1;
    return [bench, daily](Random& random, Tally& tally) {
      const Course course = Live(*bench, random, daily);
      tally.Add(0, course.decision == Decision::kShip);
      tally.Add(1, course.decision == Decision::kStop);
    };
  };
  return study;
}

Study Win() {
  Study study;
  study.key = "decide_win";
  study.rows = {{"ship", "planned gain, shipped at the end: the plan's power", 0.8},
                {"stop", "planned gain, stopped as harm on any day", 0.01 / 2, Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options = Trial();
    options.arms[1].pay = 1.28;
    auto bench = std::make_shared<const Bench>(options);
    const int daily = (2 * UnitsFor(*bench, kFinal) + kDays - 1) / kDays;
    return [bench, daily](Random& random, Tally& tally) {
      const Course course = Live(*bench, random, daily);
      tally.Add(0, course.decision == Decision::kShip);
      tally.Add(1, course.decision == Decision::kStop);
    };
  };
  return study;
}

// The primary gains much; the guardrail is harmed by exactly its margin.
Study GuardrailAtMargin() {
  Study study;
  study.key = "decide_guardrail";
  study.rows = {{"ship", "a gain whose guardrail is harmed by exactly its margin, shipped",
                 kFinal / 2, Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options = Trial("guardrails:\n  - {metric: return_rate, margin: 10%}\n");
    options.arms[1].pay = 1.38;
    options.arms[1].returns = 0.85;
    auto bench = std::make_shared<Bench>(options);
    bench->experiment().guardrails.front().margin =
        1 - bench->shop(1).Mean(kReturn) / bench->shop(0).Mean(kReturn);
    return [bench = std::shared_ptr<const Bench>(bench)](Random& random, Tally& tally) {
      tally.Add(0, Live(*bench, random, 150).decision == Decision::kShip);
    };
  };
  return study;
}

// The plan was too short for the power it asked for, so the report waits for it: looking at
// variance and traffic only, which must not raise the error.
Study Waiting() {
  Study study;
  study.key = "decide_waiting";
  study.rows = {
      {"ship", "no effect, the end put off until the power asked for, shipped", kFinal / 2,
       Claim::kAtMost},
      {"stop", "the same, stopped as harm on any day", 0.01 / 2 + kFinal / 2, Claim::kAtMost},
      {"waited", "the same: the end was put off in most runs, so the rows above are about it", 0.5,
       Claim::kAtLeast}};
  study.prepare = [](Plant) -> Replicate {
    auto bench = std::make_shared<const Bench>(
        Trial("decision: {min_lift: 27%, planned: 14d, power: 0.8}\n"));
    return [bench](Random& random, Tally& tally) {
      const Course course = Live(*bench, random, 150);
      tally.Add(0, course.decision == Decision::kShip);
      tally.Add(1, course.decision == Decision::kStop);
      if (course.decision != Decision::kStop) tally.Add(2, course.last_day > kDays);
    };
  };
  return study;
}

// The guardrail is harmed as much as the plan can see, and more than its margin.
Study Breach() {
  Study study;
  study.key = "decide_breach";
  study.rows = {
      {"ship", "a gain whose guardrail is harmed beyond its margin, shipped", kFinal / 2,
       Claim::kAtMost},
      {"stop", "the same, stopped: the plan's power for that harm, and looking adds to it", 0.8,
       Claim::kAtLeast}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options = Trial("guardrails:\n  - {metric: return_rate, margin: 5%}\n");
    options.arms[1].pay = 1.2;
    options.arms[1].returns = 0.85;
    auto bench = std::make_shared<const Bench>(options);
    const double units = stats::SampleSizeProportions(bench->shop(0).Mean(kReturn),
                                                      bench->shop(1).Mean(kReturn), 0.8, kFinal, 2)
                             .pooled;
    const int daily = static_cast<int>(2 * units) / kDays + 1;
    return [bench, daily](Random& random, Tally& tally) {
      const Course course = Live(*bench, random, daily);
      tally.Add(0, course.decision == Decision::kShip);
      tally.Add(1, course.decision == Decision::kStop);
    };
  };
  return study;
}

// One in eight of the treatment's units gets lost, 53 to 47: nothing may be concluded.
Study Mismatch() {
  constexpr double kLost = 0.125;
  constexpr int kDaily = 400;
  constexpr double kControl = 1 / (2 - kLost);  // Its share of those that arrive.
  constexpr double kArrive = kDaily * kDays * (1 - kLost / 2);
  const double seen = stats::PowerZ(2 * kControl - 1, 1 / std::sqrt(kArrive), 0.001);
  Study study;
  study.key = "decide_mismatch";
  study.rows = {{"broken",
                 "one in eight of an arm's 2,800 units lost: called broken at the end, with "
                 "the power of the chi-squared test",
                 seen},
                {"acts", "the same, shipped or stopped", 1 - seen, Claim::kAtMost}};
  study.prepare = [](Plant) -> Replicate {
    BenchOptions options = Trial();
    options.arms[1].pay = 1.4;
    auto bench = std::make_shared<const Bench>(options);
    return [bench](Random& random, Tally& tally) {
      const Course course = Live(*bench, random, kDaily, kLost);
      tally.Add(0, course.decision == Decision::kBroken);
      tally.Add(1, course.decision == Decision::kShip || course.decision == Decision::kStop);
    };
  };
  return study;
}

// One look, no plan: is harm of exactly the margin called acceptable?
Study NonInferiority() {
  Study study;
  study.key = "guardrail";
  study.rows = {{"proportion", "came back, harm of exactly the margin called cleared", 0.025},
                {"mean", "minutes, the same", 0.025},
                {"ratio", "order value, the same", 0.025},
                {"adjusted", "minutes adjusted for minutes before (CUPED), the same", 0.025}};
  study.prepare = [](Plant) -> Replicate {
    struct World {
      Bench plain;
      Bench adjusted;
    };
    BenchOptions options;
    options.experiment =
        "primary: [pay_rate]\nguardrails:\n  - {metric: return_rate, margin: 10%}\n"
        "  - {metric: minutes, margin: 10%}\n  - {metric: order_value, margin: 10%}\n"
        "analysis: {cuped: false}\n";
    options.arms[1].returns = 0.9;
    options.arms[1].minutes = 0.94;
    options.arms[1].value = 0.94;
    BenchOptions adjusted = options;
    adjusted.experiment =
        "primary: [pay_rate]\nguardrails:\n  - {metric: minutes, margin: 10%}\n"
        "analysis: {cuped: true}\n";
    auto world = std::make_shared<World>(World{Bench(options), Bench(adjusted)});
    const auto margin = [&](auto&& of) {
      return 1 - of(world->plain.shop(1)) / of(world->plain.shop(0));
    };
    auto& uses = world->plain.experiment().guardrails;
    uses[0].margin = margin([](const Shop& s) { return s.Mean(kReturn); });
    uses[1].margin = margin([](const Shop& s) { return s.Mean(kMinutes); });
    uses[2].margin = margin([](const Shop& s) { return s.RatioOf(kRevenue, kOrders); });
    world->adjusted.experiment().guardrails[0].margin = uses[1].margin;
    return [world = std::shared_ptr<const World>(world)](Random& random, Tally& tally) {
      constexpr std::array kArms = {1000, 1000};
      constexpr std::array kMetrics = {"return_rate", "minutes", "order_value"};
      const report::Report report = world->plain.Analyze(world->plain.Draw(random, kArms));
      for (size_t row = 0; row < kMetrics.size(); ++row) {
        tally.Add(row, Find(report, kMetrics[row]).guardrail == report::GuardrailState::kCleared);
      }
      const report::Report other = world->adjusted.Analyze(world->adjusted.Draw(random, kArms));
      tally.Add(3, Find(other, "minutes").guardrail == report::GuardrailState::kCleared);
    };
  };
  return study;
}

}  // namespace

void AddDecisionStudies(std::vector<Study>* out) {
  Study guardrail = NonInferiority();
  guardrail.group = "Guardrails: harm of exactly the margin called cleared";
  out->push_back(std::move(guardrail));
  for (Study study : {NoEffect(), ThreeArms(), Harm(), Win(), Waiting(), GuardrailAtMargin(),
                      Breach(), Mismatch()}) {
    study.group = "Decisions, the report read on each of 14 days";
    out->push_back(std::move(study));
  }
}

}  // namespace fulcrum::calibrate
