// SPDX-License-Identifier: Apache-2.0
#include "core/controls.h"

#include <algorithm>

namespace fulcrum::core {
namespace {

ExperimentControls* FindOrAdd(Controls* controls, const std::string& experiment) {
  const auto at = std::lower_bound(
      controls->experiments.begin(), controls->experiments.end(), experiment,
      [](const ExperimentControls& a, const std::string& key) { return a.experiment < key; });
  if (at != controls->experiments.end() && at->experiment == experiment) return &*at;
  return &*controls->experiments.insert(at, ExperimentControls{experiment, {}, {}, {}, {}, {}});
}

void ApplyOne(const ControlRecord& record, ExperimentControls* to) {
  switch (record.kind) {
    case ControlKind::kStop:
      // The first stop counts: a second press of the switch does not move the instant.
      if (!to->stop.has_value()) {
        to->stop = Stop{record.ts_ms, record.reason, record.actor, record.variant};
      }
      break;
    case ControlKind::kResume:
      to->stop.reset();
      break;
    case ControlKind::kHoldRamp:
      to->ramp.push_back({RampControl::Kind::kHold, record.ts_ms, -1});
      break;
    case ControlKind::kReleaseRamp:
      to->ramp.push_back({RampControl::Kind::kRelease, record.ts_ms, -1});
      break;
    case ControlKind::kAdvanceRamp:
      to->ramp.push_back({RampControl::Kind::kAdvance, record.ts_ms, record.step});
      break;
    case ControlKind::kSetWeights:
      to->weights.push_back({record.ts_ms, record.weights});
      break;
    case ControlKind::kCloseEnrolment:
      if (!to->enrolment_closed_at_ms.has_value()) to->enrolment_closed_at_ms = record.ts_ms;
      break;
    case ControlKind::kEdit:
      to->edits.push_back({record.ts_ms, record.weights});
      break;
  }
}

}  // namespace

std::string_view ControlKindName(ControlKind kind) {
  switch (kind) {
    case ControlKind::kStop:
      return "stop";
    case ControlKind::kResume:
      return "resume";
    case ControlKind::kHoldRamp:
      return "hold_ramp";
    case ControlKind::kReleaseRamp:
      return "release_ramp";
    case ControlKind::kAdvanceRamp:
      return "advance_ramp";
    case ControlKind::kSetWeights:
      return "set_weights";
    case ControlKind::kCloseEnrolment:
      return "close_enrolment";
    case ControlKind::kEdit:
      return "edit";
  }
  return "unknown";
}

std::optional<ControlKind> ParseControlKind(std::string_view name) {
  for (int i = 0; i < kControlKindCount; ++i) {
    const auto kind = static_cast<ControlKind>(i);
    if (ControlKindName(kind) == name) return kind;
  }
  return std::nullopt;
}

const ExperimentControls* Controls::Find(std::string_view experiment) const {
  const auto at = std::lower_bound(
      experiments.begin(), experiments.end(), experiment,
      [](const ExperimentControls& a, std::string_view key) { return a.experiment < key; });
  return at != experiments.end() && at->experiment == experiment ? &*at : nullptr;
}

Controls Apply(std::span<const ControlRecord> records) {
  std::vector<const ControlRecord*> ordered;
  ordered.reserve(records.size());
  for (const ControlRecord& record : records) ordered.push_back(&record);
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const ControlRecord* a, const ControlRecord* b) { return a->seq < b->seq; });
  Controls controls;
  bool is_first = true;
  for (const ControlRecord* record : ordered) {
    if (!is_first && record->seq == controls.last_seq) continue;
    is_first = false;
    controls.last_seq = record->seq;
    ApplyOne(*record, FindOrAdd(&controls, record->experiment));
  }
  return controls;
}

}  // namespace fulcrum::core
