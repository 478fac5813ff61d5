// SPDX-License-Identifier: Apache-2.0
//
// What the checks of validate.h share. Private to this folder.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experiments/definition.h"
#include "experiments/load.h"
#include "experiments/validate.h"

namespace fulcrum::experiments {

// Whether all files could be parsed. Where one could not, what is missing may be in it, and is not
// called unknown.
struct Read {
  bool all_metrics = true;
  bool all_experiments = true;
};

// Appends to *out.
void ValidateInto(const Definitions& definitions, ValidateMode mode, const Read& read,
                  std::vector<Diagnostic>* out);

class Checker {
 public:
  Checker(const Definitions& definitions, ValidateMode mode, const Read& read,
          std::vector<Diagnostic>* out)
      : definitions_(definitions), mode_(mode), read_(read), out_(out) {}

  const Definitions& definitions() const { return definitions_; }
  const Project& project() const { return definitions_.project; }
  bool is_analyze() const { return mode_ == ValidateMode::kAnalyze; }
  const Read& read() const { return read_; }
  // Whether anything was found so far, also before this checker.
  bool has_errors() const { return HasErrors(*out_); }

  void Error(const Position& at, std::string message) const {
    out_->push_back({at.file, at.line, at.column, Severity::kError, std::move(message)});
  }
  void Warn(const Position& at, std::string message) const {
    out_->push_back({at.file, at.line, at.column, Severity::kWarning, std::move(message)});
  }
  // "unknown <kind> `name`: did you mean `near`?", or what is declared.
  void Unknown(const Position& at, std::string_view kind, const std::string& name,
               const std::vector<std::string>& candidates) const;

  const AttributeDecl* FindAttribute(std::string_view key) const;
  std::vector<std::string> AttributeKeys() const;
  bool HasUnit(std::string_view key) const;

  // The parts, each in a file of its own.
  void CheckProject() const;
  void CheckSalts() const;
  // `where` names the surrounding thing: "the audience of `x`".
  void CheckCondition(const Condition& condition, const std::string& where) const;
  void CheckCycles() const;
  void CheckMetric(const MetricDefinition& metric) const;
  void CheckExperiment(const ExperimentDefinition& experiment) const;
  void CheckSchedule(const ExperimentDefinition& experiment) const;
  void CheckLayers() const;
  // An event name that is an alias of a canonical one would count only part of its events.
  void CheckEventName(const Position& at, const std::string& name) const;
  void CheckCurrency(const Position& at, const std::string& currency) const;

 private:
  const Definitions& definitions_;
  ValidateMode mode_;
  Read read_;
  std::vector<Diagnostic>* out_;
};

// Where `path` was written, or `fallback`.
const Position& At(const FieldPositions& fields, std::string_view path, const Position& fallback);

// Whether a percentage is a whole number of the steps a hash can tell apart: 0.0001% (1 ppm), or
// 0.01% for growthbook-v2.
bool IsWholePpm(double percent, HashAlgorithm hash);
std::string PpmStepText(HashAlgorithm hash);

}  // namespace fulcrum::experiments
