// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "report/report.h"
#include "server/published.h"
#include "store/store.h"

namespace fulcrum::server {

// "draft", "scheduled", "running", "ended" or "stopped": what the definition and the control log
// together mean at this time.
std::string_view StateOf(const Published& published, std::string_view key, int64_t now_ms);

// A report's figures by metric, arm and the name they have in its JSON: the `results` view.
std::vector<store::Store::ResultRow> ResultRows(const report::Report& report);

}  // namespace fulcrum::server
