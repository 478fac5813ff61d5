// SPDX-License-Identifier: Apache-2.0
#include "experiments/load.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <tuple>

#include "base/time.h"
#include "core/hash.h"
#include "experiments/costs.h"
#include "experiments/parse.h"
#include "experiments/validate_context.h"
#include "experiments/yaml_reader.h"

namespace fulcrum::experiments {
namespace {

namespace fs = std::filesystem;

// A file as read: its name within the project, what to call it in messages, and its bytes.
struct NamedFile {
  std::string name;
  std::string display;
  std::string text;
};

std::string Hex16(uint64_t value) {
  char buffer[17];
  std::snprintf(buffer, sizeof buffer, "%016llx", static_cast<unsigned long long>(value));
  return buffer;
}

// Lengths are hashed too, so that moving bytes from one file to the next changes the version.
std::string VersionOf(std::vector<NamedFile> files) {
  std::sort(files.begin(), files.end(),
            [](const NamedFile& a, const NamedFile& b) { return a.name < b.name; });
  std::string all;
  for (const NamedFile& file : files) {
    all += file.name + '\n' + std::to_string(file.text.size()) + '\n' + file.text;
  }
  return Hex16(core::Xxh3(all));
}

void Finish(std::vector<Diagnostic>* diagnostics) {
  const auto key = [](const Diagnostic& d) {
    return std::tie(d.file, d.line, d.column, d.severity, d.message);
  };
  std::sort(diagnostics->begin(), diagnostics->end(),
            [&](const Diagnostic& a, const Diagnostic& b) { return key(a) < key(b); });
  diagnostics->erase(std::unique(diagnostics->begin(), diagnostics->end()), diagnostics->end());
  if (diagnostics->size() <= kMaxDiagnostics) return;
  const size_t more = diagnostics->size() - kMaxDiagnostics;
  const bool was_error = HasErrors(*diagnostics);
  diagnostics->resize(kMaxDiagnostics);
  diagnostics->push_back({diagnostics->back().file, 0, 0,
                          was_error ? Severity::kError : Severity::kWarning,
                          "and " + std::to_string(more) + " more: fix these first"});
}

void Fail(const std::string& file, std::string message, std::vector<Diagnostic>* out) {
  out->push_back({file, 0, 0, Severity::kError, std::move(message)});
}

// nullopt with a diagnostic where the file cannot be read. Never reads a device or a pipe.
std::optional<std::string> ReadFile(const fs::path& path, std::vector<Diagnostic>* out) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (error || !fs::exists(status)) {
    Fail(path.string(), "cannot be read (" + error.message() + "): check its name and permissions",
         out);
    return std::nullopt;
  }
  if (!fs::is_regular_file(status)) {
    Fail(path.string(), "is not a regular file: replace it by one", out);
    return std::nullopt;
  }
  std::ifstream stream(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || (stream.fail() && !stream.eof())) {
    Fail(path.string(), "cannot be read: check its permissions", out);
    return std::nullopt;
  }
  // One byte more than allowed was asked for; the reader refuses a text that long.
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

// A guardrail with a window of its own is judged by a metric of its own: the same, sooner.
void GiveGuardrailsTheirWindows(Definitions* definitions, std::vector<Diagnostic>* out) {
  for (ExperimentDefinition& experiment : definitions->experiments) {
    for (MetricUse& use : experiment.guardrails) {
      if (use.window_ms <= 0) continue;
      const MetricDefinition* metric = definitions->FindMetric(use.metric);
      if (metric == nullptr) continue;  // Reported where metrics are checked.
      const auto error = [&](const std::string& what) {
        out->push_back(
            {use.pos.file, use.pos.line, use.pos.column, Severity::kError, std::move(what)});
      };
      if (metric->kind == MetricKind::kTimeTo || metric->kind == MetricKind::kRetention ||
          !metric->column.empty()) {
        error("guardrail `" + use.metric +
              "` has no window that a `window` could replace: " + "write a metric of its own");
        continue;
      }
      if (metric->window.end_ms && *metric->window.end_ms < use.window_ms) {
        error("`window` of guardrail `" + use.metric + "` is longer than the metric's own " +
              FormatDuration(*metric->window.end_ms) + ": a guardrail is to be known sooner");
        continue;
      }
      MetricDefinition sooner = *metric;
      sooner.key += "@" + FormatDuration(use.window_ms);
      sooner.title += ", in the first " + FormatDuration(use.window_ms);
      sooner.window = {0, use.window_ms};
      use.metric = sooner.key;
      if (definitions->FindMetric(sooner.key) == nullptr) {
        definitions->project.metrics.push_back(std::move(sooner));
      }
    }
  }
}

LoadResult LoadSet(const std::vector<NamedFile>& files, std::vector<Diagnostic> diagnostics) {
  LoadResult result;
  result.diagnostics = std::move(diagnostics);
  Definitions& definitions = result.definitions;
  definitions.version = VersionOf(files);
  bool has_project = false;
  Read read;
  // A file that could not even be opened or listed may be of either kind.
  read.all_metrics = read.all_experiments = !HasErrors(result.diagnostics);
  for (const char* name : {"project.yaml", "metrics.yaml"}) {
    for (const NamedFile& file : files) {
      if (file.name != name) continue;
      const Source source(file.display, &result.diagnostics);
      const std::optional<YamlNode> root = ReadYaml(file.text, source);
      if (!root) {
        read.all_metrics = false;
      } else if (file.name == "project.yaml") {
        has_project = true;
        ParseProjectFile(source, *root, &definitions.project);
      } else {
        ParseMetricsFile(source, *root, &definitions.project);
      }
    }
  }
  for (const NamedFile& file : files) {
    if (file.name.rfind("experiments/", 0) != 0) continue;
    const Source source(file.display, &result.diagnostics);
    const std::optional<YamlNode> root = ReadYaml(file.text, source);
    if (!root) {
      read.all_experiments = false;
      continue;
    }
    definitions.experiments.push_back(ParseExperimentFile(source, *root, definitions.project));
    definitions.experiments.back().content_hash = Hex16(core::Xxh3(file.text));
  }
  for (const NamedFile& file : files) {
    if (file.name != "costs.csv" || !has_project) continue;
    ParseCosts(Source(file.display, &result.diagnostics), file.text, &definitions.project);
    definitions.project.costs_hash = Hex16(core::Xxh3(file.text));
  }
  GiveGuardrailsTheirWindows(&definitions, &result.diagnostics);
  if (has_project) {
    ValidateInto(definitions, ValidateMode::kProject, read, &result.diagnostics);
  }
  for (const NamedFile& file : files) result.files[file.name] = file.text;
  Finish(&result.diagnostics);
  return result;
}

// The YAML files of DIR/experiments, in name order.
std::vector<fs::path> ListExperiments(const fs::path& dir, std::vector<Diagnostic>* out) {
  std::vector<fs::path> paths;
  std::error_code error;
  if (!fs::exists(dir, error)) return paths;
  fs::directory_iterator entries(dir, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const fs::path& path = entries->path();
    const std::string name = path.filename().string();
    if (name.empty() || name[0] == '.') continue;
    std::error_code ignored;
    if (path.extension() == ".yml") {
      Fail(path.string(), "would not be read: rename it to end in .yaml", out);
    } else if (fs::is_directory(path, ignored)) {
      out->push_back({path.string(), 0, 0, Severity::kWarning,
                      "is a directory and is not read: experiments lie directly in experiments/"});
    } else if (path.extension() == ".yaml") {
      paths.push_back(path);
    }
    if (paths.size() > kMaxFiles) {
      Fail(dir.string(),
           "holds more than " + std::to_string(kMaxFiles) +
               " experiments: split the "
               "project",
           out);
      paths.clear();
      break;
    }
  }
  if (error) Fail(dir.string(), "cannot be listed: " + error.message(), out);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

std::string Format(const Diagnostic& diagnostic) {
  std::string out = diagnostic.file;
  if (diagnostic.line > 0) {
    out += ":" + std::to_string(diagnostic.line);
    if (diagnostic.column > 0) out += ":" + std::to_string(diagnostic.column);
  }
  if (!out.empty()) out += ": ";
  out += diagnostic.severity == Severity::kError ? "error: " : "warning: ";
  return out + diagnostic.message;
}

bool HasErrors(const std::vector<Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& d) { return d.severity == Severity::kError; });
}

LoadResult LoadDirectory(const std::string& dir) {
  std::vector<Diagnostic> diagnostics;
  std::vector<NamedFile> files;
  std::error_code error;
  const fs::path root(dir);
  if (!fs::is_directory(root, error)) {
    LoadResult result;
    Fail(dir, "is not a directory that can be read: give the directory that holds project.yaml",
         &result.diagnostics);
    return result;
  }
  if (!fs::exists(root / "project.yaml", error)) {
    Fail((root / "project.yaml").string(),
         fs::exists(root / "project.yml", error) ? "is missing: rename project.yml to project.yaml"
                                                 : "is missing: a project directory starts with it",
         &diagnostics);
  }
  std::vector<std::pair<std::string, fs::path>> wanted;
  for (const char* name : {"project.yaml", "metrics.yaml", "costs.csv"}) {
    if (fs::exists(root / name, error)) wanted.emplace_back(name, root / name);
  }
  for (const fs::path& path : ListExperiments(root / "experiments", &diagnostics)) {
    wanted.emplace_back("experiments/" + path.filename().string(), path);
  }
  for (const auto& [name, path] : wanted) {
    std::optional<std::string> text = ReadFile(path, &diagnostics);
    if (text) files.push_back({name, path.string(), *std::move(text)});
  }
  return LoadSet(files, std::move(diagnostics));
}

LoadResult LoadFromFiles(const std::map<std::string, std::string>& files) {
  std::vector<Diagnostic> diagnostics;
  std::vector<NamedFile> set;
  for (const auto& [name, text] : files) {
    const bool is_experiment = name.rfind("experiments/", 0) == 0 &&
                               fs::path(name).extension() == ".yaml" &&
                               name.find('/', 12) == std::string::npos;
    if (name == "project.yaml" || name == "metrics.yaml" || name == "costs.csv" || is_experiment) {
      set.push_back({name, name, text});
    } else {
      Fail(name,
           "is not a file of a project: project.yaml, metrics.yaml, costs.csv or "
           "experiments/NAME.yaml",
           &diagnostics);
    }
  }
  if (files.count("project.yaml") == 0) {
    Fail("project.yaml", "is missing: a project starts with it", &diagnostics);
  }
  return LoadSet(set, std::move(diagnostics));
}

LoadResult LoadAnalyzeText(std::string_view name, std::string_view text) {
  LoadResult result;
  const Source source(std::string(name), &result.diagnostics);
  if (const std::optional<YamlNode> root = ReadYaml(text, source)) {
    Definitions& definitions = result.definitions;
    definitions.experiments.push_back(ParseAnalyzeFile(source, *root, &definitions.project));
    definitions.experiments.back().content_hash = Hex16(core::Xxh3(text));
    definitions.version = definitions.experiments.back().content_hash;
    GiveGuardrailsTheirWindows(&definitions, &result.diagnostics);
    ValidateInto(definitions, ValidateMode::kAnalyze, Read{}, &result.diagnostics);
  }
  Finish(&result.diagnostics);
  return result;
}

LoadResult LoadAnalyzeFile(const std::string& path) {
  LoadResult result;
  const std::optional<std::string> text = ReadFile(path, &result.diagnostics);
  return text ? LoadAnalyzeText(path, *text) : result;
}

}  // namespace fulcrum::experiments
