// SPDX-License-Identifier: Apache-2.0
#include "cli/render.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "CLI/CLI.hpp"
#include "cli/command.h"
#include "report/json.h"
#include "report/render.h"

namespace fulcrum::cli {
namespace {

report::TextOptions TerminalOptions() {
  report::TextOptions options;
  winsize size = {};
  if (isatty(STDOUT_FILENO) != 0) {
    options.colour = std::getenv("NO_COLOR") == nullptr;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      options.width = std::clamp<int>(size.ws_col, 80, 140);
    }
  }
  return options;
}

std::string Render(const report::Report& report, const OutputOptions& options) {
  if (options.format == "json") return report::ToJson(report);
  if (options.format == "md") return report::RenderMarkdown(report);
  if (options.format == "html") return report::RenderHtml(report);
  // A file gets the plain form whatever the terminal is.
  return report::RenderText(report,
                            options.out.empty() ? TerminalOptions() : report::TextOptions());
}

}  // namespace

void AddOutputOptions(CLI::App* command, OutputOptions* options) {
  command->add_option("--format", options->format, "text, json, md or html")
      ->check(CLI::IsMember({"text", "json", "md", "html"}))
      ->capture_default_str();
  command->add_option("--out", options->out, "File to write (standard output if absent)");
}

absl::Status WriteReport(const report::Report& report, const OutputOptions& options) {
  return WriteOutput(options.out, Render(report, options));
}

}  // namespace fulcrum::cli
