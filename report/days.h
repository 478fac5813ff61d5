// SPDX-License-Identifier: Apache-2.0
//
// Does an effect fade (novelty) or grow (learning) with the days since exposure? Private to
// report/.
#pragma once

#include <string>
#include <vector>

#include "report/report.h"
#include "report/sample.h"
#include "store/plan.h"

namespace fulcrum::report {

// One report per treatment, from the longest table of days in which both arms have enough units.
// Every unit of a table has lived through all its days, so a day is never compared with a day of
// other people. Empty where the plan has no days for `metric`.
std::vector<DaysReport> EstimateDays(const std::string& metric, const store::Plan& plan,
                                     const Sample& sample, double alpha);

}  // namespace fulcrum::report
