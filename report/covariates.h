// SPDX-License-Identifier: Apache-2.0
//
// The least-squares step of covariate adjustment. Private to report/.
#pragma once

#include <vector>

namespace fulcrum::report {

// theta minimising the within-arm scatter of y - theta'x (Deng, Xu, Kohavi and Walker 2013, many
// covariates): solves sxx theta = sxy by LDL' of the correlation matrix. A covariate that is
// constant, or determined by the ones before it, gets 0: its information is already used. `sxx` is
// row by row, k * k.
std::vector<double> SolveTheta(const std::vector<double>& sxx, const std::vector<double>& sxy);

}  // namespace fulcrum::report
