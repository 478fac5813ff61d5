// SPDX-License-Identifier: Apache-2.0
//
// What MakePlan() calls its columns and Analyze() looks for. Private to report/.
#pragma once

#include <string>
#include <string_view>

namespace fulcrum::report {

// A metric's own column: its key. Keys have no '/', so the others cannot collide.
inline std::string NumeratorColumn(const std::string& metric) { return metric + "/numerator"; }
inline std::string DenominatorColumn(const std::string& metric) { return metric + "/denominator"; }
inline std::string StageColumn(const std::string& metric, const std::string& stage) {
  return metric + "/stage/" + stage;
}
// Covariates: the metric's own past, or a data column.
inline std::string PreColumn(const std::string& column) { return column + "/before"; }
inline constexpr std::string_view kPreSuffix = "/before";
inline std::string DataCovariateColumn(const std::string& column) { return "covariate/" + column; }
// Coupon economics: profit, cost, orders, and from them who bought and who used the subsidy.
inline std::string EconomicsColumn(const std::string& which) { return "economics/" + which; }
// The outcome of day 0, 1, … since the unit's clock.
inline std::string DayColumn(const std::string& metric, int day) {
  return metric + "/day/" + std::to_string(day);
}
inline std::string HasPreColumn() { return "seen/before"; }
// The breakdown by channel that the margins are made of; a dimension's key has no '/' at its start.
inline std::string ChannelSlice() { return "/channel"; }

// Days since exposure that are shown, and how many days a unit must have lived through to be in the
// table: the longest table with enough units is used.
inline constexpr int kDayPanels[] = {7, 3};

}  // namespace fulcrum::report
