// SPDX-License-Identifier: Apache-2.0
//
// Start here: from YAML to Definitions. Everything that is wrong is reported in one go, each with
// its file, line and column; nothing is guessed, and nothing throws.
//
//   experiments::LoadResult loaded = experiments::LoadDirectory("examples/shop");
//   for (const auto& d : loaded.diagnostics) std::cerr << Format(d) << "\n";
//   if (!loaded.ok()) return 1;
//   // loaded.definitions is complete and checked; compile.h turns it into a snapshot.
//
// The grammar is described for people in docs/definitions.md and for editors in docs/schema/.
// Stricter than YAML: duplicate and unknown keys, anchors, aliases, tags, directives, several
// documents, `yes`/`010`/`.inf` look-alikes and text that is not UTF-8 are errors.
//
// Thread-safety: free functions without shared state; call them from any thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/definition.h"

namespace fulcrum::experiments {

// A file larger than this is refused unread, and a project may not have more files.
inline constexpr size_t kMaxFileBytes = size_t{1} << 20;
inline constexpr size_t kMaxFiles = 10'000;
// After this many errors the rest is only counted.
inline constexpr size_t kMaxDiagnostics = 1'000;

enum class Severity { kError, kWarning };

// Line and column are 1-based; columns count characters (code points). 0 = the file as a whole.
struct Diagnostic {
  std::string file;
  int line = 0;
  int column = 0;
  Severity severity = Severity::kError;
  std::string message;
  bool operator==(const Diagnostic&) const = default;
};

// "experiments/x.yaml:12:5: error: …"; line and column are left out where 0.
std::string Format(const Diagnostic& diagnostic);

bool HasErrors(const std::vector<Diagnostic>& diagnostics);

struct LoadResult {
  // Where !ok(), what could be read of it: for display only.
  Definitions definitions;
  // What was read of a project: name within it -> text, as LoadFromFiles takes it.
  std::map<std::string, std::string> files;
  // Ordered by file, line and column.
  std::vector<Diagnostic> diagnostics;

  bool ok() const { return !HasErrors(diagnostics); }
};

// Reads DIR/project.yaml (required), DIR/metrics.yaml (optional) and DIR/experiments/*.yaml in name
// order, checks their shape, then their meaning (validate.h). Paths in messages start with `dir` as
// given. A directory or file that cannot be read is a diagnostic too.
LoadResult LoadDirectory(const std::string& dir);

// The same from memory: names are "project.yaml", "metrics.yaml" and "experiments/NAME.yaml"; any
// other name is an error.
LoadResult LoadFromFiles(const std::map<std::string, std::string>& files);

// One file for `fulcrum analyze`: an experiment with `data:`, its metrics and as much of a project
// as it needs (units, attributes, events, stages, currency, …) inline.
LoadResult LoadAnalyzeFile(const std::string& path);
LoadResult LoadAnalyzeText(std::string_view name, std::string_view text);

}  // namespace fulcrum::experiments
