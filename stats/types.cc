// SPDX-License-Identifier: Apache-2.0
#include "stats/types.h"

namespace fulcrum::stats {

std::string_view ReasonText(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "";
    case Reason::kTooFewUnits:
      return "not enough units";
    case Reason::kNoVariance:
      return "every unit has the same value, so there is nothing to test";
    case Reason::kDenominatorNearZero:
      return "denominator too close to zero";
    case Reason::kSingular:
      return "the covariates or correlations do not determine an answer";
    case Reason::kNotConverged:
      return "the iteration did not converge";
    case Reason::kInvalidInput:
      return "the inputs contradict each other";
  }
  return "";
}

}  // namespace fulcrum::stats
