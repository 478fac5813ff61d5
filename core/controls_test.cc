// SPDX-License-Identifier: Apache-2.0
// The log of controls, what it folds to, and what that does to decisions.
#include "core/controls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/test_world.h"

namespace fulcrum::core::test {
namespace {

ControlRecord Record(uint64_t seq, int64_t ts_ms, ControlKind kind, std::string experiment = "x") {
  ControlRecord record;
  record.seq = seq;
  record.ts_ms = ts_ms;
  record.kind = kind;
  record.experiment = std::move(experiment);
  return record;
}

TEST(Controls, NamesGoBothWays) {
  for (int i = 0; i < kControlKindCount; ++i) {
    const auto kind = static_cast<ControlKind>(i);
    EXPECT_EQ(ParseControlKind(ControlKindName(kind)), kind);
  }
  EXPECT_FALSE(ParseControlKind("restart").has_value());
}

TEST(Controls, ApplyIsAFunctionOfTheLogWhateverItsOrder) {
  std::vector<ControlRecord> log;
  std::mt19937 random(2);
  for (uint64_t seq = 1; seq <= 60; ++seq) {
    log.push_back(Record(seq, static_cast<int64_t>(seq * 10),
                         static_cast<ControlKind>(random() % kControlKindCount),
                         "e" + std::to_string(random() % 4)));
  }
  const Controls expected = Apply(log);
  EXPECT_EQ(expected.last_seq, 60u);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(log.begin(), log.end(), random);
    EXPECT_EQ(Apply(log), expected);
  }
  log.insert(log.end(), log.begin(), log.begin() + 30);  // delivered twice
  EXPECT_EQ(Apply(log), expected);
}

TEST(Controls, StopAndResume) {
  std::vector<ControlRecord> log = {Record(1, 100, ControlKind::kStop),
                                    Record(2, 200, ControlKind::kStop)};
  ASSERT_TRUE(Apply(log).Find("x")->stop.has_value());
  EXPECT_EQ(Apply(log).Find("x")->stop->at_ms, 100);
  EXPECT_EQ(Apply(log).Find("y"), nullptr);
  log.push_back(Record(3, 300, ControlKind::kResume));
  EXPECT_FALSE(Apply(log).Find("x")->stop.has_value());
}

// A compiled experiment from a definition that knows nothing of what happened.
ExperimentData Defined() {
  ExperimentData experiment = Experiment("x", {50, 50});
  experiment.start_ms = 0;
  return experiment;
}
const std::vector<uint32_t> kHalves = {500'000, 500'000};

RampStep Elapsed(int64_t elapsed_ms, uint32_t traffic_ppm) {
  return {RampStep::Kind::kElapsed, 0, elapsed_ms, traffic_ppm};
}
RampStep Dated(int64_t at_ms, uint32_t traffic_ppm) {
  return {RampStep::Kind::kDated, at_ms, 0, traffic_ppm};
}

using Starts = std::vector<std::pair<int64_t, uint32_t>>;  // start_ms, traffic_ppm

Starts Phases(const std::vector<RampStep>& ramp, const std::vector<ControlRecord>& log) {
  std::string error;
  const Controls controls = Apply(log);
  const auto phases = BuildPhases(Defined(), kHalves, ramp, controls.Find("x"), &error);
  EXPECT_TRUE(phases.has_value()) << error;
  Starts starts;
  for (const PhaseData& phase : *phases) starts.emplace_back(phase.start_ms, phase.traffic_ppm);
  return starts;
}

const std::vector<RampStep> kRamp = {Elapsed(0, 10'000), Elapsed(100, 100'000),
                                     Elapsed(200, 500'000), Elapsed(300, kPpm)};

ControlRecord Advance(uint64_t seq, int64_t ts_ms, int32_t step) {
  ControlRecord record = Record(seq, ts_ms, ControlKind::kAdvanceRamp);
  record.step = step;
  return record;
}

TEST(Ramp, AsDesigned) {
  EXPECT_EQ(Phases({}, {}), (Starts{{0, kPpm}}));
  EXPECT_EQ(Phases(kRamp, {}), (Starts{{0, 10'000}, {100, 100'000}, {200, 500'000}, {300, kPpm}}));
  EXPECT_EQ(Phases({Dated(50, 1), Dated(70, 2)}, {}), (Starts{{50, 1}, {70, 2}}));
}

TEST(Ramp, HeldReleasedAdvanced) {
  EXPECT_EQ(Phases(kRamp, {Record(1, 150, ControlKind::kHoldRamp)}),
            (Starts{{0, 10'000}, {100, 100'000}}));
  // 1,000 ms late from there on.
  EXPECT_EQ(Phases(kRamp, {Record(1, 150, ControlKind::kHoldRamp),
                           Record(2, 1'150, ControlKind::kReleaseRamp)}),
            (Starts{{0, 10'000}, {100, 100'000}, {1'200, 500'000}, {1'300, kPpm}}));
  EXPECT_EQ(Phases(kRamp, {Record(1, 150, ControlKind::kHoldRamp), Advance(2, 1'000, 2)}),
            (Starts{{0, 10'000}, {100, 100'000}, {1'000, 500'000}, {1'100, kPpm}}));
  // Back to an earlier step, and on from it.
  EXPECT_EQ(Phases(kRamp, {Advance(1, 250, 1)}), (Starts{{0, 10'000},
                                                         {100, 100'000},
                                                         {200, 500'000},
                                                         {250, 100'000},
                                                         {350, 500'000},
                                                         {450, kPpm}}));
  // Dated steps keep their date, unless it has passed while held.
  EXPECT_EQ(
      Phases({Dated(0, 1), Dated(10, 2), Dated(20, 3), Dated(90, 4)},
             {Record(1, 5, ControlKind::kHoldRamp), Record(2, 50, ControlKind::kReleaseRamp)}),
      (Starts{{0, 1}, {50, 3}, {90, 4}}));
  EXPECT_EQ(Phases(kRamp, {Record(1, -5, ControlKind::kHoldRamp)}), (Starts{{0, 0}}));
}

// What has happened stays: controls in the future change no phase of the past, so the phase numbers
// that exposures carry keep their meaning.
TEST(Ramp, TheLogOnlyChangesTheFuture) {
  std::mt19937 random(9);
  for (int round = 0; round < 500; ++round) {
    std::vector<ControlRecord> log;
    int64_t now_ms = 0;
    Starts before = Phases(kRamp, log);
    for (uint64_t seq = 1; seq <= 6; ++seq) {
      now_ms += 1 + static_cast<int64_t>(random() % 120);
      const uint32_t kind = random() % 3;
      log.push_back(kind == 0   ? Record(seq, now_ms, ControlKind::kHoldRamp)
                    : kind == 1 ? Record(seq, now_ms, ControlKind::kReleaseRamp)
                                : Advance(seq, now_ms, static_cast<int32_t>(random() % 4)));
      const Starts after = Phases(kRamp, log);
      for (size_t i = 0; i < before.size() && before[i].first < now_ms; ++i) {
        ASSERT_LT(i, after.size());
        ASSERT_EQ(after[i], before[i]);
      }
      for (size_t i = 1; i < after.size(); ++i) ASSERT_LT(after[i - 1].first, after[i].first);
      before = after;
    }
  }
}

ControlRecord Weights(uint64_t seq, int64_t ts_ms, std::vector<ArmWeight> weights) {
  ControlRecord record = Record(seq, ts_ms, ControlKind::kSetWeights);
  record.weights = std::move(weights);
  return record;
}

TEST(Weights, StartAPhaseAndRespectFloors) {
  ExperimentData experiment = Defined();
  experiment.is_sticky = true;
  const Controls controls = Apply(std::vector<ControlRecord>{
      Weights(1, 150, {{"control", 0, 100'000}, {"treatment", 1'000'000, 100'000}})});
  std::string error;
  ASSERT_TRUE(FoldControls(controls.Find("x"), kHalves, kRamp, &experiment, &error)) << error;
  ASSERT_EQ(experiment.phases.size(), 5u);
  EXPECT_EQ(experiment.phases[1].weights_ppm, kHalves);
  EXPECT_EQ(experiment.phases[2].start_ms, 150);
  EXPECT_EQ(experiment.phases[2].traffic_ppm, 100'000u);
  for (size_t i = 2; i < 5; ++i) {
    EXPECT_EQ(experiment.phases[i].weights_ppm, (std::vector<uint32_t>{100'000, 900'000}));
  }
  SnapshotData data = Project();
  data.experiments = {experiment};
  EXPECT_EQ(Refusal(std::move(data)), "");
}

TEST(Weights, RefusedWithAReason) {
  const auto refusal = [](bool is_sticky, std::vector<ArmWeight> weights) {
    ExperimentData experiment = Defined();
    experiment.is_sticky = is_sticky;
    const Controls controls = Apply(std::vector<ControlRecord>{Weights(1, 5, std::move(weights))});
    std::string error;
    EXPECT_FALSE(FoldControls(controls.Find("x"), kHalves, {}, &experiment, &error));
    return error;
  };
  const auto says = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  says(refusal(false, {{"control", 1, 0}, {"treatment", 1, 0}}), "sticky");
  says(refusal(true, {{"control", 1, 0}}), "none for 'treatment'");
  says(refusal(true, {{"control", 1, 0}, {"other", 1, 0}}), "no variant");
  says(refusal(true, {{"control", 1, 0}, {"control", 1, 0}}), "two weights");
  says(refusal(true, {{"control", 0, 0}, {"treatment", 0, 0}}), "no weight is above zero");
  says(refusal(true, {{"control", 1, 600'000}, {"treatment", 1, 600'000}}), "floors exceed");
  says(refusal(true, {{"control", 2'000'000, 0}, {"treatment", 1, 0}}), "above 100%");
}

// The stop works even where another control cannot be applied, and outlives every reload.
TEST(Stop, HoldsWhateverElseIsWrong) {
  ControlRecord stop = Record(2, kNow, ControlKind::kStop);
  stop.variant = "treatment";
  const Controls controls = Apply(std::vector<ControlRecord>{Weights(1, 5, {}), stop});
  ExperimentData experiment = Defined();
  std::string error;
  EXPECT_FALSE(FoldControls(controls.Find("x"), kHalves, {}, &experiment, &error));
  SnapshotData data = Project();
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  EXPECT_EQ(Ask(*snapshot, "x", User("u", kNow - 1)).reason, Reason::kAssigned);
  EXPECT_EQ(Ask(*snapshot, "x", User("u", kNow)).reason, Reason::kStopped);
  EXPECT_EQ(Ask(*snapshot, "x", User("u", kNow)).variant, 1);
}

TEST(Stop, AnUnknownVariantServesNobody) {
  ControlRecord stop = Record(1, kNow, ControlKind::kStop);
  stop.variant = "gone";
  const Controls controls = Apply(std::vector<ControlRecord>{stop});
  ExperimentData experiment = Defined();
  std::string error;
  EXPECT_TRUE(FoldControls(controls.Find("x"), kHalves, {}, &experiment, &error)) << error;
  EXPECT_EQ(experiment.stopped_at_ms, kNow);
  EXPECT_EQ(experiment.stop_variant, -1);
}

TEST(Enrolment, ClosesAtTheFirstInstant) {
  const Controls controls = Apply(std::vector<ControlRecord>{
      Record(1, 700, ControlKind::kCloseEnrolment), Record(2, 900, ControlKind::kCloseEnrolment)});
  ExperimentData experiment = Defined();
  std::string error;
  EXPECT_TRUE(FoldControls(controls.Find("x"), kHalves, {}, &experiment, &error)) << error;
  EXPECT_EQ(experiment.enrolment_closed_at_ms, 700);
}

}  // namespace
}  // namespace fulcrum::core::test
