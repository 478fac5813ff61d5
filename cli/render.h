// SPDX-License-Identifier: Apache-2.0
//
// A report in the format that was asked for, to where it was asked for.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "report/report.h"

namespace CLI {
class App;
}

namespace fulcrum::cli {

struct OutputOptions {
  std::string format = "text";  // text | json | md | html
  std::string out;              // "" = standard output.
};

// --format and --out.
void AddOutputOptions(CLI::App* command, OutputOptions* options);

absl::Status WriteReport(const report::Report& report, const OutputOptions& options);

}  // namespace fulcrum::cli
