// SPDX-License-Identifier: Apache-2.0
//
// True effects on paper: as a table, as a JSON file, and held against reports.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "report/report.h"
#include "sim/truth.h"

namespace fulcrum::cli {

struct PlantedExperiment {
  std::string experiment;
  sim::Planted planted = sim::Planted::kNothing;
};

// What a simulation knows and a report must find.
struct TruthFile {
  uint64_t seed = 0;
  int64_t users = 0;
  int64_t as_of_ms = 0;
  sim::Truth truth;
  std::vector<PlantedExperiment> planted;
};

std::string TruthToJson(const TruthFile& file);
// InvalidArgument names the field that is missing or of the wrong type.
absl::StatusOr<TruthFile> TruthFromJson(std::string_view text);

// For people; one line per effect.
std::string TruthTable(const TruthFile& file);

// One interval of a report beside the true effect it should hold.
struct CheckLine {
  std::string experiment, metric, stage, arm;
  double truth = 0;
  double estimate = 0;
  double lower = 0;
  double upper = 0;
  bool covered = false;
};

struct CheckResult {
  std::vector<CheckLine> lines;
  // What the report should have said of a planted experiment and did not; empty = all found.
  std::vector<std::string> failures;
  std::vector<std::string> findings;  // What it rightly said.

  bool ok() const;
};

// Adds one report's intervals: the simultaneous ones of every metric and of the funnel. Where a
// mismatch was planted, only that it was caught and the verdict withheld: its numbers mean nothing.
void CheckReport(const TruthFile& file, const report::Report& report, CheckResult* result);

std::string CheckTable(const CheckResult& result);

}  // namespace fulcrum::cli
