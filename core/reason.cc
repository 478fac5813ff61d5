// SPDX-License-Identifier: Apache-2.0
#include "core/decide.h"

namespace fulcrum::core {

std::string_view ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kAssigned:
      return "assigned";
    case Reason::kSingleArm:
      return "single_arm";
    case Reason::kSticky:
      return "sticky";
    case Reason::kOverride:
      return "override";
    case Reason::kWashout:
      return "washout";
    case Reason::kStopped:
      return "stopped";
    case Reason::kDraft:
      return "draft";
    case Reason::kNotStarted:
      return "not_started";
    case Reason::kEnded:
      return "ended";
    case Reason::kNoUnit:
      return "no_unit";
    case Reason::kEnrolmentClosed:
      return "enrolment_closed";
    case Reason::kHoldout:
      return "holdout";
    case Reason::kLayerExcluded:
      return "layer_excluded";
    case Reason::kPrerequisiteFailed:
      return "prerequisite_failed";
    case Reason::kAudienceMismatch:
      return "audience_mismatch";
    case Reason::kNotInTraffic:
      return "not_in_traffic";
    case Reason::kTypeMismatch:
      return "type_mismatch";
    case Reason::kUnknownExperiment:
      return "unknown_experiment";
  }
  return "unknown";
}

OfrepReason ToOfrepReason(Reason reason, bool has_variant) {
  switch (reason) {
    case Reason::kAssigned:
    case Reason::kSticky:
    case Reason::kWashout:
      return OfrepReason::kSplit;
    case Reason::kSingleArm:
      return OfrepReason::kStatic;
    case Reason::kOverride:
      return OfrepReason::kTargetingMatch;
    case Reason::kStopped:
      return has_variant ? OfrepReason::kStatic : OfrepReason::kDisabled;
    case Reason::kDraft:
    case Reason::kNotStarted:
    case Reason::kEnded:
      return OfrepReason::kDisabled;
    case Reason::kEnrolmentClosed:
    case Reason::kHoldout:
    case Reason::kLayerExcluded:
    case Reason::kPrerequisiteFailed:
    case Reason::kAudienceMismatch:
    case Reason::kNotInTraffic:
      return OfrepReason::kDefault;
    case Reason::kNoUnit:
    case Reason::kTypeMismatch:
    case Reason::kUnknownExperiment:
      return OfrepReason::kUnknown;
  }
  return OfrepReason::kUnknown;
}

std::string_view OfrepReasonName(OfrepReason reason) {
  switch (reason) {
    case OfrepReason::kStatic:
      return "STATIC";
    case OfrepReason::kTargetingMatch:
      return "TARGETING_MATCH";
    case OfrepReason::kSplit:
      return "SPLIT";
    case OfrepReason::kDisabled:
      return "DISABLED";
    case OfrepReason::kDefault:
      return "DEFAULT";
    case OfrepReason::kUnknown:
      break;
  }
  return "UNKNOWN";
}

}  // namespace fulcrum::core
