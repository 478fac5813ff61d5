// SPDX-License-Identifier: Apache-2.0
//
// The sections of a View that are tables of their own. Private to report/.
#pragma once

#include "report/report.h"
#include "report/view.h"

namespace fulcrum::report {

ViewSection FunnelSection(const Report& report, const FunnelReport& funnel);
ViewTable SliceTable(const Report& report, const SliceReport& slice);
ViewTable DaysTable(const Report& report, const DaysReport& days);
ViewTable OverlapTable(const Report& report, const OverlapReport& overlap);
ViewTable ChannelTable(const Report& report, const ChannelReport& channels);
ViewTable EconomicsTable(const Report& report, const EconomicsReport& economics);

}  // namespace fulcrum::report
