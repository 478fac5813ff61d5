// SPDX-License-Identifier: Apache-2.0
//
// Report -> something to read. Pure; no renderer computes a statistic.
#pragma once

#include <string>

#include "report/report.h"

namespace fulcrum::report {

struct TextOptions {
  int width = 100;      // Columns; wide characters count as two.
  bool colour = false;  // ANSI; the caller knows whether this is a terminal.
};

std::string RenderText(const Report& report, const TextOptions& options = {});

std::string RenderMarkdown(const Report& report);

// One self-contained page: no script, nothing fetched, light and dark.
std::string RenderHtml(const Report& report);

// JSON: ToJson() in json.h.

}  // namespace fulcrum::report
