// SPDX-License-Identifier: Apache-2.0
//
// What MakePlan() calls its columns and Analyze() looks for. Private to report/.
#pragma once

#include <string>

namespace fulcrum::report {

// A metric's own column: its key. Keys have no '/', so the others cannot collide.
inline std::string NumeratorColumn(const std::string& metric) { return metric + "/numerator"; }
inline std::string DenominatorColumn(const std::string& metric) { return metric + "/denominator"; }
inline std::string StageColumn(const std::string& metric, const std::string& stage) {
  return metric + "/stage/" + stage;
}
// Covariates: the metric's own past, or a data column.
inline std::string PreColumn(const std::string& column) { return column + "/before"; }
inline std::string DataCovariateColumn(const std::string& column) { return "covariate/" + column; }
inline std::string HasPreColumn() { return "seen/before"; }
// The breakdown by channel that the margins are made of; a dimension's key has no '/' at its start.
inline std::string ChannelSlice() { return "/channel"; }

}  // namespace fulcrum::report
