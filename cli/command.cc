// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"

namespace fulcrum::cli {

int Fail(const absl::Status& status) {
  std::cerr << "error: " << Message(status) << "\n";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
      return kInputWrong;
    default:
      return kEnvironment;
  }
}

absl::StatusOr<experiments::Definitions> LoadProject(const std::string& dir) {
  experiments::LoadResult loaded = experiments::LoadDirectory(dir);
  for (const experiments::Diagnostic& diagnostic : loaded.diagnostics) {
    std::cerr << experiments::Format(diagnostic) << "\n";
  }
  if (!loaded.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", dir, "' is not a valid project; mend what is listed above and try again."));
  }
  return std::move(loaded.definitions);
}

absl::StatusOr<const experiments::ExperimentDefinition*> FindExperiment(
    const experiments::Definitions& definitions, const std::string& key) {
  if (const auto* found = definitions.FindExperiment(key)) return found;
  std::vector<std::string> keys;
  for (const auto& experiment : definitions.experiments) keys.push_back(experiment.key);
  const std::string near = DidYouMean(key, keys);
  std::string message = absl::StrCat("there is no experiment '", key, "' in this project");
  if (!near.empty()) {
    absl::StrAppend(&message, "; did you mean '", near, "'?");
  } else {
    absl::StrAppend(&message, "; it has:");
    for (const std::string& known : keys) absl::StrAppend(&message, " ", known);
  }
  return absl::NotFoundError(message);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    return std::move(text).str();
  }
  std::ifstream file(path, std::ios::binary);
  if (!file || !(text << file.rdbuf())) {
    // An empty file sets failbit too; only a file that did not open is an error.
    if (!file.is_open()) {
      return absl::NotFoundError(
          absl::StrCat("cannot read '", path, "': ", std::strerror(errno), "."));
    }
  }
  return std::move(text).str();
}

absl::Status WriteOutput(const std::string& path, std::string_view text) {
  if (path.empty() || path == "-") {
    std::cout << text << std::flush;
    if (std::cout) return absl::OkStatus();
    return absl::UnavailableError("cannot write to standard output.");
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot write '", path, "': ", std::strerror(errno), "."));
}

std::function<void(double)> ProgressBar() {
  if (isatty(STDERR_FILENO) == 0) return {};
  return [](double done) {
    constexpr int kWidth = 50;
    const int filled = static_cast<int>(done * kWidth);
    std::fprintf(stderr, "\r[%s%s] %3.0f%%%s",
                 std::string(static_cast<size_t>(filled), '=').c_str(),
                 std::string(static_cast<size_t>(kWidth - filled), ' ').c_str(), 100 * done,
                 done >= 1 ? "\n" : "");
  };
}

}  // namespace fulcrum::cli
