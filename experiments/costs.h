// SPDX-License-Identifier: Apache-2.0
//
// costs.csv: what each channel cost, as finance exports it. Private to this folder.
#pragma once

#include <string_view>

#include "experiments/definition.h"
#include "experiments/yaml_reader.h"

namespace fulcrum::experiments {

// Reads `channel,from,to,amount`, a header line first; `from` and `to` are days (2026-03-02) of the
// project's time zone, both included. Appends to project->costs; every line that cannot be
// read is reported at its place. REQUIRES the project was parsed before.
void ParseCosts(const Source& source, std::string_view text, Project* project);

}  // namespace fulcrum::experiments
