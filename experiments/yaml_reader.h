// SPDX-License-Identifier: Apache-2.0
//
// One YAML document as a tree that keeps positions and what was quoted, read strictly: what YAML
// offers beyond maps, lists and scalars is refused rather than half understood. Private to this
// folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/definition.h"
#include "experiments/load.h"

namespace fulcrum::experiments {

// Deeper nesting than any definition needs; also bounds every recursion over the tree.
inline constexpr int kMaxYamlDepth = 40;

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  bool is_plain = false;  // A scalar written without quotes.
  std::string text;       // kScalar, exactly as written (after unquoting and folding).
  std::vector<YamlNode> items;
  std::vector<YamlEntry> entries;  // Unique keys, in the order written.
  int line = 0;
  int column = 0;

  const YamlNode* Find(std::string_view key) const;
};

struct YamlEntry {
  std::string key;
  int line = 0;
  int column = 0;
  YamlNode value;
};

// One file being read: where diagnostics go and what they are called there.
class Source {
 public:
  Source(std::string file, std::vector<Diagnostic>* out) : file_(std::move(file)), out_(out) {}

  const std::string& file() const { return file_; }
  Position At(const YamlNode& node) const { return {file_, node.line, node.column}; }
  Position At(const YamlEntry& entry) const { return {file_, entry.line, entry.column}; }

  void Error(const Position& at, std::string message) const {
    out_->push_back({at.file, at.line, at.column, Severity::kError, std::move(message)});
  }
  void Error(const YamlNode& at, std::string message) const { Error(At(at), std::move(message)); }
  void Error(const YamlEntry& at, std::string message) const { Error(At(at), std::move(message)); }
  void Warn(const Position& at, std::string message) const {
    out_->push_back({at.file, at.line, at.column, Severity::kWarning, std::move(message)});
  }

 private:
  std::string file_;
  std::vector<Diagnostic>* out_;
};

// nullopt after at least one error was reported. Never throws.
std::optional<YamlNode> ReadYaml(std::string_view text, const Source& source);

}  // namespace fulcrum::experiments
