// SPDX-License-Identifier: Apache-2.0
//
// Numbers and text for readers: the one place that rounds. Private to report/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/report.h"

namespace fulcrum::report {

// What is shown where a number is not defined.
inline constexpr std::string_view kNothing = "-";

// Fixed decimals with thousands separators; never "-0". Infinity is "inf".
std::string FormatFixed(double value, int decimals);
std::string FormatSigned(double value, int decimals);  // With "+" where positive.

std::string FormatCount(double count);

// A fraction as percent: 0.1514 -> "15.14%".
std::string FormatPercent(double fraction, int decimals);
std::string FormatSignedPercent(double fraction, int decimals);

// A relative change and its interval: "+4.2% [+1.1%, +7.3%]"; an end that is not bounded is said
// so.
std::string FormatChange(std::optional<double> change);
std::string FormatChange(std::optional<double> change, std::optional<double> lo,
                         std::optional<double> hi);

// Three decimals; "<0.001" below.
std::string FormatP(std::optional<double> p);

// "42 ms", "3.2 s", "12.5 min", "7.1 h", "2.3 d".
std::string FormatTime(double ms);
std::string FormatSignedTime(double ms);

// A metric's value in its own unit. `like` fixes the decimals, so that figures of one row match.
std::string FormatValue(const MetricReport& metric, double value, double like);
std::string FormatDifference(const MetricReport& metric, double value, double like);

// The figure that stands for an arm: rate, mean, ratio, quantile or time.
std::optional<double> MainValue(const MetricReport& metric, const ArmValue& arm);
// The control's figure, which fixes the decimals of a metric's row.
double Like(const MetricReport& metric, double otherwise);

std::string Join(const std::vector<std::string>& parts, std::string_view separator);

// Columns on a terminal: East Asian wide characters are two, combining marks none.
size_t DisplayWidth(std::string_view utf8);
// Cut to at most `width` columns, with an ellipsis where something was cut.
std::string Truncate(std::string_view utf8, size_t width);

}  // namespace fulcrum::report
