// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace fulcrum::core {

// Versions in the precedence of Semantic Versioning 2.0.0, section 11, read leniently because
// application versions are written leniently: a leading "v" is skipped, any number of dot-separated
// numbers is allowed and missing ones are zero (1.2 == 1.2.0 < 1.2.0.1), numbers have any length.
// "-pre.release" follows SemVer; "+build" is ignored.
bool IsVersion(std::string_view text);

// Negative, zero or positive. REQUIRES: IsVersion of both.
int CompareVersions(std::string_view a, std::string_view b);

}  // namespace fulcrum::core
