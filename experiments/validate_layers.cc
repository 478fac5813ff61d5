// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/text.h"
#include "base/time.h"
#include "experiments/validate_context.h"

namespace fulcrum::experiments {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();

std::string RangeText(const std::pair<double, double>& range) {
  return "[" + FormatDouble(range.first) + ", " + FormatDouble(range.second) + "]";
}

bool Intersect(const std::pair<double, double>& a, const std::pair<double, double>& b) {
  return a.first < b.second && b.first < a.second;
}

// A draft counts: it would collide on the day it starts.
bool CanRunTogether(const ExperimentDefinition& a, const ExperimentDefinition& b) {
  if (a.status == ExperimentStatus::kStopped || b.status == ExperimentStatus::kStopped) {
    return false;
  }
  return a.start_ms.value_or(kAlways) < b.end_ms.value_or(kNever) &&
         b.start_ms.value_or(kAlways) < a.end_ms.value_or(kNever);
}

const Position& RangeAt(const ExperimentDefinition& experiment, size_t index) {
  return At(experiment.fields, "layer.range[" + std::to_string(index) + "]", experiment.pos);
}

void CheckRanges(const Checker& checker, const ExperimentDefinition& experiment,
                 HashAlgorithm hash) {
  const auto& ranges = experiment.layer_ranges;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const auto& [from, to] = ranges[i];
    if (!(from >= 0 && from < to && to <= 100)) {
      checker.Error(RangeAt(experiment, i), "range " + RangeText(ranges[i]) +
                                                " must be two percents from 0 to 100, the smaller "
                                                "first");
    } else if (!IsWholePpm(from, hash) || !IsWholePpm(to, hash)) {
      checker.Error(RangeAt(experiment, i), "range " + RangeText(ranges[i]) + " is finer than " +
                                                PpmStepText(hash) + ": round it");
    }
    for (size_t j = 0; j < i; ++j) {
      if (Intersect(ranges[i], ranges[j])) {
        checker.Error(RangeAt(experiment, i), "range " + RangeText(ranges[i]) + " overlaps " +
                                                  RangeText(ranges[j]) + " of the same experiment");
      }
    }
  }
}

void CheckPair(const Checker& checker, const ExperimentDefinition& first,
               const ExperimentDefinition& second) {
  if (first.unit != second.unit) {
    checker.Error(At(second.fields, "layer", second.pos),
                  "experiment `" + second.key + "` is by `" + second.unit + "` and `" + first.key +
                      "` of the same layer by `" + first.unit +
                      "`, so they could share a person: "
                      "use another layer");
    return;
  }
  if (!CanRunTogether(first, second)) return;
  for (size_t i = 0; i < second.layer_ranges.size(); ++i) {
    for (const auto& other : first.layer_ranges) {
      if (!Intersect(second.layer_ranges[i], other)) continue;
      checker.Error(RangeAt(second, i), "range " + RangeText(second.layer_ranges[i]) +
                                            " overlaps " + RangeText(other) + " of experiment `" +
                                            first.key + "` in layer `" + second.layer +
                                            "`, which runs at the same time: take free buckets");
    }
  }
}

void CheckRamp(const Checker& checker, const ExperimentDefinition& experiment) {
  int64_t last_ms = kAlways;
  double last_percent = 0;
  bool is_first = true;
  // An end before the start is reported by itself.
  const bool is_reversed =
      experiment.start_ms && experiment.end_ms && *experiment.end_ms <= *experiment.start_ms;
  for (const RampStep& step : experiment.ramp) {
    if (!(step.percent >= 0 && step.percent <= 100)) {
      checker.Error(step.pos, "`percent` of a ramp step must be from 0 to 100");
    } else if (!IsWholePpm(step.percent, experiment.hash)) {
      checker.Error(step.pos, "`percent` of a ramp step is finer than " +
                                  PpmStepText(experiment.hash) + ": round it");
    } else if (step.percent < last_percent) {
      checker.Error(step.pos, "the ramp goes down from " + FormatDouble(last_percent) + "% to " +
                                  FormatDouble(step.percent) +
                                  "%, which would take units out: "
                                  "stop the experiment, or keep it level");
    }
    if (step.elapsed && !experiment.start_ms) {
      checker.Error(step.pos, "`after` counts from the start: give `schedule` a `start`");
      return;
    }
    const int64_t at_ms = step.elapsed ? *experiment.start_ms + step.at_ms : step.at_ms;
    if (is_first && experiment.start_ms && at_ms != *experiment.start_ms) {
      checker.Error(step.pos, at_ms > *experiment.start_ms
                                  ? "the first ramp step must say what holds from the start: begin "
                                    "with `{after: 0d, percent: …}`"
                                  : "the ramp begins before the start of the experiment");
    } else if (!is_first && at_ms <= last_ms) {
      checker.Error(step.pos,
                    "ramp steps must be in order of time: this one is not after the one "
                    "before it");
    } else if (!is_reversed && experiment.end_ms && at_ms >= *experiment.end_ms) {
      checker.Error(step.pos, "this ramp step begins after the end of the experiment: remove it");
    }
    last_ms = at_ms;
    last_percent = std::max(last_percent, step.percent);
    is_first = false;
  }
}

}  // namespace

void Checker::CheckSchedule(const ExperimentDefinition& experiment) const {
  if (experiment.start_ms && experiment.end_ms && *experiment.end_ms <= *experiment.start_ms) {
    Error(At(experiment.fields, "schedule.end", experiment.pos),
          "`end` of `schedule` must be after its `start` (" + FormatRfc3339(*experiment.start_ms) +
              ")");
  }
  CheckRamp(*this, experiment);
}

void Checker::CheckLayers() const {
  std::vector<std::string> keys;
  for (const Layer& layer : project().layers) keys.push_back(layer.key);
  const std::vector<ExperimentDefinition>& all = definitions().experiments;
  for (size_t i = 0; i < all.size(); ++i) {
    const ExperimentDefinition& experiment = all[i];
    if (experiment.layer.empty()) continue;
    const auto layer = std::find(keys.begin(), keys.end(), experiment.layer);
    if (layer == keys.end()) {
      Unknown(At(experiment.fields, "layer.name", experiment.pos), "layer", experiment.layer, keys);
      continue;
    }
    CheckRanges(*this, experiment,
                project().layers[static_cast<size_t>(layer - keys.begin())].hash);
    for (size_t j = 0; j < i; ++j) {
      if (all[j].layer == experiment.layer) CheckPair(*this, all[j], experiment);
    }
  }
}

}  // namespace fulcrum::experiments
