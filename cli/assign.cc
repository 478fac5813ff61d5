// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <sstream>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/context.h"
#include "core/decide.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string dir;
  std::string experiment;
  std::string units;
  std::string at;
  std::string out;
};

std::string CsvCell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

// One unit id a line. Ids with commas are fine: the line is the id.
absl::StatusOr<std::string> Assign(const core::Snapshot& snapshot, core::ExperimentHandle handle,
                                   std::string_view lines, int64_t now_ms) {
  const core::ExperimentData& experiment = snapshot.experiment(handle);
  const std::string& kind = snapshot.data().unit_kinds[static_cast<size_t>(experiment.unit_kind)];
  std::string out = "unit,variant,reason,phase,propensity\n";
  size_t number = 0;
  for (const absl::string_view absl_line : absl::StrSplit(ToAbsl(lines), '\n')) {
    ++number;
    std::string_view line = ToStd(absl_line);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    if (!IsValidUtf8(line)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " of the units is not UTF-8; convert the file first."));
    }
    const core::UnitId unit = {kind, line};
    core::Context context;
    context.units = {&unit, 1};
    context.now_ms = now_ms;
    const core::Decision decision = core::Decide(snapshot, handle, context);
    absl::StrAppend(&out, CsvCell(line), ",",
                    decision.has_variant()
                        ? CsvCell(experiment.variants[static_cast<size_t>(decision.variant)].key)
                        : std::string(),
                    ",", ToAbsl(core::ReasonName(decision.reason)), ",");
    if (decision.phase >= 0) absl::StrAppend(&out, decision.phase);
    absl::StrAppend(&out, ",");
    if (decision.propensity_ppm > 0) absl::StrAppend(&out, FormatDouble(decision.propensity()));
    absl::StrAppend(&out, "\n");
  }
  return out;
}

absl::Status RunAssign(const Options& options) {
  int64_t now_ms = WallClockMs();
  if (!options.at.empty()) {
    const auto at = ParseRfc3339(options.at);
    if (!at) return InvalidArgument("--at is an instant with its offset, as 2026-03-02T00:00:00Z.");
    now_ms = *at;
  }
  FULCRUM_ASSIGN_OR_RETURN(const auto definitions, LoadProject(options.dir));
  FULCRUM_ASSIGN_OR_RETURN(const auto snapshot, CompileProject(definitions));
  FULCRUM_ASSIGN_OR_RETURN(const core::ExperimentHandle handle,
                           FindHandle(definitions, *snapshot, options.experiment));
  FULCRUM_ASSIGN_OR_RETURN(const std::string lines, ReadFile(options.units));
  FULCRUM_ASSIGN_OR_RETURN(const std::string csv, Assign(*snapshot, handle, lines, now_ms));
  return WriteOutput(options.out, csv);
}

}  // namespace

void AddAssign(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program->add_subcommand("assign",
                              "Variants for many units as CSV, by unit id alone (audiences that "
                              "read attributes see none).\n"
                              "Example: fulcrum assign examples/shop coupon-depth --units ids.txt");
  command->add_option("DIR", options->dir, "Project directory")->required();
  command->add_option("EXPERIMENT", options->experiment, "Key of the experiment")->required();
  command->add_option("--units", options->units, "File with one unit id a line; - for stdin")
      ->required();
  command->add_option("--at", options->at, "Decide as of this instant (RFC 3339; now if absent)");
  command->add_option("--out", options->out, "File to write (standard output if absent)");
  command->callback([=] {
    *run = [=] {
      const absl::Status status = RunAssign(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
