// SPDX-License-Identifier: Apache-2.0
//
// What every subcommand shares. One file per subcommand; each AddX() declares its options on the
// program and, when chosen, sets `*run` to what does the work and returns the exit code.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "experiments/load.h"

namespace CLI {
class App;
}

namespace fulcrum::cli {

// Exit codes, the same for every subcommand.
inline constexpr int kDone = 0;
inline constexpr int kInputWrong = 1;   // The user's input: YAML, data, names.
inline constexpr int kUsage = 2;        // The command line.
inline constexpr int kEnvironment = 3;  // Disk, network, store.

using Run = std::function<int()>;

void AddServe(CLI::App* program, Run* run);
void AddValidate(CLI::App* program, Run* run);
void AddDiff(CLI::App* program, Run* run);
void AddExplain(CLI::App* program, Run* run);
void AddAssign(CLI::App* program, Run* run);
void AddImport(CLI::App* program, Run* run);
void AddPlan(CLI::App* program, Run* run);
void AddReport(CLI::App* program, Run* run);
void AddAnalyze(CLI::App* program, Run* run);
void AddExport(CLI::App* program, Run* run);
void AddSimulate(CLI::App* program, Run* run);
void AddStats(CLI::App* program, Run* run);
void AddCalibrate(CLI::App* program, Run* run);

// Prints "error: …" to stderr and gives the exit code that the kind of error has.
int Fail(const absl::Status& status);

// Definitions of a project directory, or an error after every diagnostic was printed to stderr.
absl::StatusOr<experiments::Definitions> LoadProject(const std::string& dir);

// The experiment of that key; NotFound names those that exist.
absl::StatusOr<const experiments::ExperimentDefinition*> FindExperiment(
    const experiments::Definitions& definitions, const std::string& key);

absl::StatusOr<std::string> ReadFile(const std::string& path);  // "-" = standard input.
// To the file, or to standard output when `path` is "" or "-".
absl::Status WriteOutput(const std::string& path, std::string_view text);

// For long work: a line on the terminal that fills up; empty, so silent, where stderr is none.
std::function<void(double)> ProgressBar();

}  // namespace fulcrum::cli
