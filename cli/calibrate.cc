// SPDX-License-Identifier: Apache-2.0
#include "calibrate/calibrate.h"

#include <iostream>
#include <map>
#include <memory>

#include "CLI/CLI.hpp"
#include "base/status.h"
#include "cli/command.h"

namespace fulcrum::cli {
namespace {

enum class Format { kText, kJson, kMarkdown };

struct Options {
  calibrate::Options calibrate;
  Format format = Format::kText;
  std::string out;
  bool list = false;
};

int RunCalibrate(const Options& options) {
  if (options.list) {
    for (const calibrate::Row& row : calibrate::ListRows()) {
      std::cout << row.key << "\t" << row.what << "\n";
    }
    return kDone;
  }
  calibrate::Options calibrate = options.calibrate;
  calibrate.progress = ProgressBar();
  const auto table = calibrate::Calibrate(calibrate);
  if (!table.ok()) return Fail(table.status());
  const std::string text = options.format == Format::kJson       ? calibrate::ToJson(*table)
                           : options.format == Format::kMarkdown ? calibrate::ToMarkdown(*table)
                                                                 : calibrate::ToText(*table);
  const absl::Status written = WriteOutput(options.out, text);
  if (!written.ok()) return Fail(written);
  return table->Within() ? kDone : kInputWrong;
}

}  // namespace

void AddCalibrate(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "calibrate",
      "Proves the statistics by simulation: false positives, coverage, power, error under looks,\n"
      "family-wise error and decisions, each against exact binomial bounds. Exits 1 when a row is\n"
      "outside them.\n"
      "Example: fulcrum calibrate --replications 2000 --only aa");
  command->add_option("--replications", options->calibrate.replications,
                      "Simulated experiments a row (10,000 if absent)");
  command->add_option("--seed", options->calibrate.seed, "Other draws (20260302 if absent)");
  command->add_option("--only", options->calibrate.only,
                      "Studies (aa) or rows (aa_ratio.delta) to run; see --list");
  command->add_option("--threads", options->calibrate.threads,
                      "Threads (all of the machine if absent); the table does not depend on it");
  static const std::map<std::string, Format> kFormats = {
      {"text", Format::kText}, {"json", Format::kJson}, {"md", Format::kMarkdown}};
  command->add_option("--format", options->format, "text, json or md")
      ->transform(CLI::CheckedTransformer(kFormats));
  static const std::map<std::string, calibrate::Plant> kPlants = {
      {"raw-variance-ratio", calibrate::Plant::kRawVarianceRatio},
      {"peeking", calibrate::Plant::kPeeking}};
  command
      ->add_option("--plant", options->calibrate.plant,
                   "Put an error in, to see it caught: raw-variance-ratio or peeking")
      ->transform(CLI::CheckedTransformer(kPlants));
  command->add_option("--out", options->out, "File to write (standard output if absent)");
  command->add_flag("--list", options->list, "Every row, a line each");
  command->callback([=] { *run = [=] { return RunCalibrate(*options); }; });
}

}  // namespace fulcrum::cli
