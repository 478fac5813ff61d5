// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/bucket.h"
#include "core/controls.h"
#include "core/text.h"

namespace fulcrum::core {
namespace {

using text::Cat;
using text::Quoted;

struct TrafficFrom {
  int64_t start_ms = 0;
  uint32_t traffic_ppm = 0;
};

// Plays a designed ramp against its controls, in time order.
class RampPlayer {
 public:
  RampPlayer(int64_t start_ms, const std::vector<RampStep>& steps)
      : start_ms_(start_ms), steps_(steps) {}

  // "" where the control fits; else what is done instead.
  std::string Play(const RampControl& control) {
    const int64_t at_ms = std::max(control.at_ms, last_control_ms_);
    last_control_ms_ = at_ms;
    BeginStepsUntil(at_ms);
    switch (control.kind) {
      case RampControl::Kind::kHold:
        if (!is_held_) held_at_ms_ = at_ms;
        is_held_ = true;
        return "";
      case RampControl::Kind::kRelease:
        if (is_held_) delay_ms_ += at_ms - held_at_ms_;
        is_held_ = false;
        floor_ms_ = at_ms;
        return "";
      case RampControl::Kind::kAdvance:
        break;
    }
    return Advance(control.step, at_ms);
  }

  std::vector<TrafficFrom> Finish() {
    BeginStepsUntil(kDistantFutureMs);
    return std::move(begun_);
  }

 private:
  std::string Advance(int32_t to, int64_t at_ms) {
    if (to < 0) return Cat("an advance to ramp step ", to, ", which is none, does nothing");
    const bool is_beyond = static_cast<size_t>(to) >= steps_.size();
    next_ = is_beyond ? steps_.size() - 1 : static_cast<size_t>(to);
    // The steps after it keep their distance from it.
    const RampStep& step = steps_[next_];
    if (step.kind == RampStep::Kind::kElapsed) delay_ms_ = at_ms - (start_ms_ + step.elapsed_ms);
    is_held_ = false;
    floor_ms_ = at_ms;
    Begin(at_ms);
    if (!is_beyond) return "";
    return Cat("an advance to ramp step ", to, " of a ramp of ", uint64_t{steps_.size()},
               " steps begins the last one");
  }

  // A held-up elapsed step is late by the delay; a dated one keeps its date where that is still
  // ahead.
  int64_t DueMs(const RampStep& step) const {
    const int64_t planned_ms =
        step.kind == RampStep::Kind::kDated ? step.at_ms : start_ms_ + step.elapsed_ms + delay_ms_;
    return std::max(planned_ms, floor_ms_);
  }

  void BeginStepsUntil(int64_t until_ms) {
    while (!is_held_ && next_ < steps_.size() && DueMs(steps_[next_]) <= until_ms) {
      Begin(DueMs(steps_[next_]));
    }
  }

  void Begin(int64_t at_ms) {
    const uint32_t traffic_ppm = steps_[next_++].traffic_ppm;
    if (!begun_.empty() && begun_.back().start_ms >= at_ms) {
      begun_.back().traffic_ppm = traffic_ppm;  // overdue together: the later step is in force
    } else {
      begun_.push_back({at_ms, traffic_ppm});
    }
  }

  int64_t start_ms_;
  const std::vector<RampStep>& steps_;
  std::vector<TrafficFrom> begun_;
  size_t next_ = 0;
  bool is_held_ = false;
  int64_t held_at_ms_ = 0;
  int64_t delay_ms_ = 0;
  int64_t floor_ms_ = kDistantPastMs;
  int64_t last_control_ms_ = kDistantPastMs;
};

bool Fail(std::string* error, const ExperimentData& experiment, std::string why) {
  *error = Cat("experiment ", Quoted(experiment.key), ": ", why);
  return false;
}

// The weights in the order of the experiment's variants, lifted to their floors: what is above the
// floors shares what the floors leave.
bool ResolveWeights(const ExperimentData& experiment, const WeightControl& control,
                    std::vector<uint32_t>* weights_ppm, std::string* error) {
  const uint32_t step = BucketStepPpm(experiment.hash);
  std::vector<uint64_t> floors(experiment.variants.size(), 0);
  std::vector<uint64_t> excess(experiment.variants.size(), 0);
  std::vector<bool> given(experiment.variants.size(), false);
  for (const ArmWeight& arm : control.weights) {
    const auto at = std::find_if(experiment.variants.begin(), experiment.variants.end(),
                                 [&](const VariantData& v) { return v.key == arm.variant; });
    if (at == experiment.variants.end()) {
      return Fail(error, experiment,
                  Cat("a weight is set for ", Quoted(arm.variant), ", which is no variant of it"));
    }
    if (arm.weight_ppm > kPpm) return Fail(error, experiment, "a weight is set above 100%");
    const auto i = static_cast<size_t>(at - experiment.variants.begin());
    if (given[i]) return Fail(error, experiment, Cat("two weights for ", Quoted(arm.variant)));
    given[i] = true;
    floors[i] = (uint64_t{arm.floor_ppm} + step - 1) / step * step;
    excess[i] = arm.weight_ppm > floors[i] ? arm.weight_ppm - floors[i] : 0;
  }
  const auto missing = std::find(given.begin(), given.end(), false);
  if (missing != given.end()) {
    const auto i = static_cast<size_t>(missing - given.begin());
    return Fail(error, experiment,
                Cat("weights are set, but none for ", Quoted(experiment.variants[i].key)));
  }
  uint64_t floor_sum = 0;
  uint64_t excess_sum = 0;
  for (size_t i = 0; i < floors.size(); ++i) {
    floor_sum += floors[i];
    excess_sum += excess[i];
  }
  if (floor_sum > kPpm || floor_sum + excess_sum == 0) {
    return Fail(error, experiment, "the floors exceed 100%, or no weight is above zero");
  }
  if (excess_sum == 0) {  // nothing above the floors: they share the rest in proportion
    excess = floors;
    excess_sum = floor_sum;
  }
  // In units of 1 / excess_sum ppm, so that nothing is lost before WeightsToPpm rounds once.
  std::vector<uint64_t> exact(floors.size());
  for (size_t i = 0; i < floors.size(); ++i) {
    exact[i] = floors[i] * excess_sum + (kPpm - floor_sum) * excess[i];
  }
  *weights_ppm = WeightsToPpm(exact, experiment.hash);
  return !weights_ppm->empty() || Fail(error, experiment, "the weights cannot be rounded to ppm");
}

// The first phase that begins at or after at_ms; the phase that at_ms falls into is cut in two.
size_t CutAt(int64_t at_ms, std::vector<PhaseData>* phases) {
  auto at = std::find_if(phases->begin(), phases->end(),
                         [&](const PhaseData& p) { return p.start_ms >= at_ms; });
  if (at != phases->begin() && (at == phases->end() || at->start_ms > at_ms)) {
    PhaseData second = *std::prev(at);
    second.start_ms = at_ms;
    at = phases->insert(at, std::move(second));
  }
  return static_cast<size_t>(at - phases->begin());
}

// Edits say what held before them, controls what holds from them on, over the design's weights.
void SetWeights(const ExperimentData& experiment, const ExperimentControls& controls,
                std::vector<PhaseData>* phases, std::vector<std::string>* unfit) {
  size_t begin = 0;
  for (const WeightControl& edit : controls.edits) {
    const size_t end = CutAt(edit.at_ms, phases);
    std::vector<uint32_t> before;
    std::string why;
    // Only the numbers of past phases hang on it, so an edit that does not fit is nobody's concern.
    if (!edit.weights.empty() && ResolveWeights(experiment, edit, &before, &why)) {
      for (size_t i = begin; i < end; ++i) (*phases)[i].weights_ppm = before;
    }
    begin = std::max(begin, end);
  }
  for (const WeightControl& control : controls.weights) {
    size_t i = CutAt(control.at_ms, phases);
    std::vector<uint32_t> resolved;
    std::string why;
    if (!experiment.is_sticky) {
      Fail(&why, experiment,
           "weights can be set at run time only where it is sticky, because its units would change "
           "variant");
    } else if (ResolveWeights(experiment, control, &resolved, &why)) {
      for (; i < phases->size(); ++i) (*phases)[i].weights_ppm = resolved;
      continue;
    }
    unfit->push_back(Cat(why, "; the weights stay as they were"));
  }
}

}  // namespace

std::optional<std::vector<PhaseData>> BuildPhases(const ExperimentData& experiment,
                                                  const std::vector<uint32_t>& weights_ppm,
                                                  const std::vector<RampStep>& ramp,
                                                  const ExperimentControls* controls,
                                                  std::vector<std::string>* unfit,
                                                  std::string* error) {
  const ExperimentControls none;
  if (controls == nullptr) controls = &none;
  std::vector<RampStep> steps = ramp;
  if (steps.empty()) steps.push_back({RampStep::Kind::kDated, experiment.start_ms, 0, kPpm});
  for (const RampStep& step : steps) {
    if (step.kind == RampStep::Kind::kElapsed && experiment.start_ms == kDistantPastMs) {
      Fail(error, experiment, "a ramp by elapsed time needs a start");
      return std::nullopt;
    }
  }
  RampPlayer player(experiment.start_ms, steps);
  for (const RampControl& control : controls->ramp) {
    const std::string instead = player.Play(control);
    if (instead.empty()) continue;
    unfit->emplace_back();
    Fail(&unfit->back(), experiment, instead);
  }
  std::vector<TrafficFrom> traffic = player.Finish();
  // Held before its first step: it runs, and enrols nobody.
  if (traffic.empty()) traffic.push_back({experiment.start_ms, 0});

  std::vector<PhaseData> phases;
  for (const TrafficFrom& from : traffic) {
    phases.push_back({from.start_ms, from.traffic_ppm, weights_ppm});
  }
  SetWeights(experiment, *controls, &phases, unfit);
  return phases;
}

bool FoldControls(const ExperimentControls* controls, const std::vector<uint32_t>& weights_ppm,
                  const std::vector<RampStep>& ramp, ExperimentData* experiment,
                  std::vector<std::string>* unfit, std::string* error) {
  // First what must work whatever else is wrong.
  if (controls != nullptr && controls->stop.has_value()) {
    const Stop& stop = *controls->stop;
    experiment->stopped_at_ms = std::min(experiment->stopped_at_ms, stop.at_ms);
    // A variant that no longer exists does not keep the switch from working: nobody gets one.
    experiment->stop_variant = -1;
    for (size_t i = 0; i < experiment->variants.size(); ++i) {
      if (experiment->variants[i].key == stop.variant) {
        experiment->stop_variant = static_cast<int32_t>(i);
      }
    }
    if (!stop.variant.empty() && experiment->stop_variant == -1) {
      unfit->emplace_back();
      Fail(&unfit->back(), *experiment,
           Cat("its stop serves ", Quoted(stop.variant),
               ", which is no variant of it; nobody gets one"));
    }
  }
  if (controls != nullptr && controls->enrolment_closed_at_ms.has_value()) {
    experiment->enrolment_closed_at_ms =
        std::min(experiment->enrolment_closed_at_ms, *controls->enrolment_closed_at_ms);
  }
  std::optional<std::vector<PhaseData>> phases =
      BuildPhases(*experiment, weights_ppm, ramp, controls, unfit, error);
  if (!phases.has_value()) return false;
  experiment->phases = *std::move(phases);
  return true;
}

}  // namespace fulcrum::core
