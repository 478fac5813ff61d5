// SPDX-License-Identifier: Apache-2.0
// The log of controls, what it folds to, and what that does to decisions.
#include "core/controls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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

// The sentences about controls that do not fit.
std::vector<std::string> Fold(const Controls& controls, const std::vector<RampStep>& ramp,
                              ExperimentData* experiment) {
  std::vector<std::string> unfit;
  std::string error;
  EXPECT_TRUE(FoldControls(controls.Find("x"), kHalves, ramp, experiment, &unfit, &error)) << error;
  return unfit;
}

using Starts = std::vector<std::pair<int64_t, uint32_t>>;  // start_ms, traffic_ppm

Starts Phases(const std::vector<RampStep>& ramp, const std::vector<ControlRecord>& log) {
  std::string error;
  std::vector<std::string> unfit;
  const Controls controls = Apply(log);
  const auto phases = BuildPhases(Defined(), kHalves, ramp, controls.Find("x"), &unfit, &error);
  EXPECT_TRUE(phases.has_value()) << error;
  EXPECT_EQ(unfit, std::vector<std::string>{});
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
  ASSERT_EQ(Fold(controls, kRamp, &experiment), std::vector<std::string>{});
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

// What was written for an older definition is told, changes no weight, and still begins its phase.
TEST(Weights, ThatDoNotFitAreToldAndChangeNothing) {
  const auto told = [](bool is_sticky, std::vector<ArmWeight> weights) {
    ExperimentData experiment = Defined();
    experiment.is_sticky = is_sticky;
    const Controls controls = Apply(std::vector<ControlRecord>{Weights(1, 5, std::move(weights))});
    const std::vector<std::string> unfit = Fold(controls, {}, &experiment);
    EXPECT_EQ(experiment.phases.size(), 2u);
    for (const PhaseData& phase : experiment.phases) EXPECT_EQ(phase.weights_ppm, kHalves);
    return unfit.size() == 1 ? unfit.front() : "";
  };
  const auto says = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  says(told(false, {{"control", 1, 0}, {"treatment", 1, 0}}), "sticky");
  says(told(true, {{"control", 1, 0}}), "none for 'treatment'");
  says(told(true, {{"control", 1, 0}, {"other", 1, 0}}), "no variant");
  says(told(true, {{"control", 1, 0}, {"control", 1, 0}}), "two weights");
  says(told(true, {{"control", 0, 0}, {"treatment", 0, 0}}), "no weight is above zero");
  says(told(true, {{"control", 1, 600'000}, {"treatment", 1, 600'000}}), "floors exceed");
  says(told(true, {{"control", 2'000'000, 0}, {"treatment", 1, 0}}), "above 100%");
}

TEST(Ramp, AnAdvanceThatDoesNotFitIsToldAndEndsAtTheLastStep) {
  ExperimentData experiment = Defined();
  const Controls controls =
      Apply(std::vector<ControlRecord>{Advance(1, 50, 7), Advance(2, 60, -1)});
  const std::vector<std::string> unfit = Fold(controls, kRamp, &experiment);
  ASSERT_EQ(unfit.size(), 2u);
  EXPECT_NE(unfit[0].find("'x': an advance to ramp step 7 of a ramp of 4 steps begins the last"),
            std::string::npos)
      << unfit[0];
  EXPECT_NE(unfit[1].find("does nothing"), std::string::npos) << unfit[1];
  ASSERT_EQ(experiment.phases.size(), 2u);
  EXPECT_EQ(experiment.phases[1].start_ms, 50);
  EXPECT_EQ(experiment.phases[1].traffic_ppm, kPpm);
}

// An edit of the definition begins a phase; before it the design's old weights hold, so that what
// exposures of that phase carry stays true.
TEST(Edit, BeginsAPhaseAndKeepsThePast) {
  const auto edit = [](uint64_t seq, int64_t ts_ms, std::vector<ArmWeight> before) {
    ControlRecord record = Weights(seq, ts_ms, std::move(before));
    record.kind = ControlKind::kEdit;
    return record;
  };
  ExperimentData experiment = Defined();
  const std::vector<ControlRecord> log = {
      edit(1, 150, {{"control", 900'000, 0}, {"treatment", 100'000, 0}}),
      edit(2, 250, {}),                                    // a value was edited
      edit(3, 350, {{"control", 1, 0}, {"gone", 1, 0}})};  // tells nothing any more
  ASSERT_EQ(Fold(Apply(log), kRamp, &experiment), std::vector<std::string>{});
  Starts starts;
  std::vector<uint32_t> control_ppm;
  for (const PhaseData& phase : experiment.phases) {
    starts.emplace_back(phase.start_ms, phase.traffic_ppm);
    control_ppm.push_back(phase.weights_ppm[0]);
  }
  EXPECT_EQ(starts, (Starts{{0, 10'000},
                            {100, 100'000},
                            {150, 100'000},
                            {200, 500'000},
                            {250, 500'000},
                            {300, kPpm},
                            {350, kPpm}}));
  EXPECT_EQ(control_ppm,
            (std::vector<uint32_t>{900'000, 900'000, 500'000, 500'000, 500'000, 500'000, 500'000}));
}

// Whatever the log of an experiment says and however its definition was edited since, it compiles
// to phases that core/validate.h accepts.
TEST(Controls, AnyLogOnAnyDefinitionIsValid) {
  std::mt19937 random(11);
  const std::vector<std::string> names = {"control", "treatment", "gone", "arm2"};
  for (int round = 0; round < 3'000; ++round) {
    std::vector<ControlRecord> log;
    for (uint64_t seq = 1; seq <= 8; ++seq) {
      ControlRecord record = Record(seq, static_cast<int64_t>(random() % 500),
                                    static_cast<ControlKind>(random() % kControlKindCount));
      record.step = static_cast<int32_t>(random() % 8) - 2;
      if (random() % 3 == 0) record.variant = names[random() % names.size()];
      for (uint32_t arms = random() % 4; arms > 0; --arms) {
        record.weights.push_back({names[random() % names.size()],
                                  static_cast<uint32_t>(random() % 1'200'000),
                                  static_cast<uint32_t>(random() % 600'000)});
      }
      log.push_back(std::move(record));
    }
    ExperimentData experiment = Defined();
    experiment.hash = static_cast<HashAlgorithm>(random() % 2);
    experiment.is_sticky = random() % 2 == 0;
    const std::vector<RampStep> ramp(kRamp.begin(), kRamp.begin() + random() % 5);
    Fold(Apply(log), ramp, &experiment);
    SnapshotData data = Project();
    data.experiments = {experiment};
    ASSERT_EQ(Refusal(std::move(data)), "") << round;
  }
}

// The stop works even where another control does not fit, and outlives every reload.
TEST(Stop, HoldsWhateverElseIsWrong) {
  ControlRecord stop = Record(2, kNow, ControlKind::kStop);
  stop.variant = "treatment";
  const Controls controls = Apply(std::vector<ControlRecord>{Weights(1, 5, {}), stop});
  ExperimentData experiment = Defined();
  EXPECT_EQ(Fold(controls, {}, &experiment).size(), 1u);
  // Even where the design cannot be built at all.
  ExperimentData broken = Experiment("x");
  std::vector<std::string> unfit;
  std::string error;
  EXPECT_FALSE(FoldControls(controls.Find("x"), kHalves, kRamp, &broken, &unfit, &error));
  EXPECT_EQ(broken.stopped_at_ms, kNow);
  SnapshotData data = Project();
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  EXPECT_EQ(Ask(*snapshot, "x", User("u", kNow - 1)).reason, Reason::kAssigned);
  EXPECT_EQ(Ask(*snapshot, "x", User("u", kNow)).reason, Reason::kStopped);
  EXPECT_EQ(Ask(*snapshot, "x", User("u", kNow)).variant, 1);
}

TEST(Stop, AnUnknownVariantServesNobodyAndIsTold) {
  ControlRecord stop = Record(1, kNow, ControlKind::kStop);
  stop.variant = "gone";
  ExperimentData experiment = Defined();
  const std::vector<std::string> unfit =
      Fold(Apply(std::vector<ControlRecord>{stop}), {}, &experiment);
  ASSERT_EQ(unfit.size(), 1u);
  EXPECT_NE(unfit[0].find("its stop serves 'gone'"), std::string::npos) << unfit[0];
  EXPECT_EQ(experiment.stopped_at_ms, kNow);
  EXPECT_EQ(experiment.stop_variant, -1);
}

// A spent budget: at one logged instant nobody new comes in, in no arm; whoever is in stays.
TEST(Enrolment, ClosesForAllArmsAtTheFirstInstant) {
  ExperimentData experiment = Defined();
  ASSERT_TRUE(
      Fold(Apply(std::vector<ControlRecord>{Record(1, kNow, ControlKind::kCloseEnrolment),
                                            Record(2, kNow + 900, ControlKind::kCloseEnrolment)}),
           {}, &experiment)
          .empty());
  EXPECT_EQ(experiment.enrolment_closed_at_ms, kNow);
  SnapshotData data = Project();
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  for (int i = 0; i < 200; ++i) {
    const std::string id = "u" + std::to_string(i);
    EXPECT_EQ(Ask(*snapshot, "x", User(id, kNow - 1)).reason, Reason::kAssigned);
    EXPECT_EQ(Ask(*snapshot, "x", User(id, kNow)).reason, Reason::kEnrolmentClosed);
    const Prior prior{"x", i % 2 == 0 ? "control" : "treatment", 0};
    Context context = User(id, kNow);
    context.priors = {&prior, 1};
    const Decision kept = Ask(*snapshot, "x", context);
    EXPECT_EQ(kept.reason, Reason::kSticky);
    EXPECT_EQ(kept.variant, i % 2);
    EXPECT_EQ(kept.phase, 0);
    EXPECT_EQ(kept.propensity_ppm, 500'000u);
  }
}

// What a bandit needs: arms are drawn by the weights of the phase, never below their floors, and
// each decision carries its phase and its propensity; units that are in keep theirs.
TEST(Weights, DecisionsCarryPhaseAndPropensity) {
  ExperimentData experiment = Defined();
  experiment.is_sticky = true;
  const Controls controls = Apply(std::vector<ControlRecord>{
      Weights(1, 1'000, {{"control", 0, 100'000}, {"treatment", 1'000'000, 0}})});
  ASSERT_TRUE(Fold(controls, {}, &experiment).empty());
  SnapshotData data = Project();
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  constexpr int kUnits = 20'000;
  int in_control = 0;
  for (int i = 0; i < kUnits; ++i) {
    const std::string id = "u" + std::to_string(i);
    const Decision before = Decide(*snapshot, {0}, User(id, 999));
    EXPECT_EQ(before.phase, 0);
    EXPECT_EQ(before.propensity_ppm, 500'000u);
    const Decision after = Decide(*snapshot, {0}, User(id, 1'000));
    EXPECT_EQ(after.phase, 1);
    EXPECT_EQ(after.propensity_ppm, after.variant == 0 ? 100'000u : 900'000u);
    in_control += after.variant == 0;
    const Prior prior{"x", before.variant == 0 ? "control" : "treatment", 0};
    Context context = User(id, 1'000);
    context.priors = {&prior, 1};
    const Decision kept = Decide(*snapshot, {0}, context);
    EXPECT_EQ(kept.variant, before.variant);
    EXPECT_EQ(kept.phase, 0);
    EXPECT_EQ(kept.propensity_ppm, 500'000u);
  }
  EXPECT_NEAR(in_control, 0.1 * kUnits, 5 * std::sqrt(kUnits * 0.1 * 0.9));
}

}  // namespace
}  // namespace fulcrum::core::test
