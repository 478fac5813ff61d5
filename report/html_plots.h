// SPDX-License-Identifier: Apache-2.0
//
// The drawings of the HTML report, as inline SVG coloured by its style sheet. Private.
#pragma once

#include <string>
#include <string_view>

#include "report/report.h"
#include "report/view.h"

namespace fulcrum::report {

// Text as HTML, with a true minus before digits. The one way text gets into the page.
std::string Html(std::string_view text);

std::string_view ClassOf(Tone tone);

// Relative change of every metric and arm with its simultaneous interval; "" without any.
std::string ForestPlot(const Report& report);

// The share of all units that reached each stage, a bar per arm; "" without stages.
std::string FunnelPlot(const Report& report, const FunnelReport& funnel);

// The effect on each day since exposure with its interval; "" without days.
std::string DaysPlot(const Report& report, const DaysReport& days);

}  // namespace fulcrum::report
