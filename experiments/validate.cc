// SPDX-License-Identifier: Apache-2.0
#include "experiments/validate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "base/status.h"
#include "base/text.h"
#include "experiments/compile.h"
#include "experiments/validate_context.h"
#include "experiments/yaml_values.h"

namespace fulcrum::experiments {

const Position& At(const FieldPositions& fields, std::string_view path, const Position& fallback) {
  const auto found = fields.find(path);
  return found == fields.end() ? fallback : found->second;
}

bool IsWholePpm(double percent, HashAlgorithm hash) {
  const double steps = percent * (hash == HashAlgorithm::kGrowthbookV2 ? 100 : 10'000);
  // A decimal such as 0.07 is not a whole number of steps in binary by a rounding error only.
  return std::abs(steps - std::round(steps)) <= 1e-6;
}

std::string PpmStepText(HashAlgorithm hash) {
  return hash == HashAlgorithm::kGrowthbookV2 ? "0.01% (growthbook-v2)" : "0.0001%";
}

void Checker::Unknown(const Position& at, std::string_view kind, const std::string& name,
                      const std::vector<std::string>& candidates) const {
  std::string message = "unknown " + std::string(kind) + " `" + name + "`: ";
  const std::string near = DidYouMean(name, candidates);
  if (!near.empty()) {
    message += "did you mean `" + near + "`?";
  } else if (candidates.empty()) {
    message += "none is declared; declare it first";
  } else if (candidates.size() <= 12) {
    message += "declared are " + JoinOr(candidates);
  } else {
    message += "it is none of the " + std::to_string(candidates.size()) + " declared";
  }
  Error(at, std::move(message));
}

const AttributeDecl* Checker::FindAttribute(std::string_view key) const {
  for (const AttributeDecl& attribute : project().attributes) {
    if (attribute.key == key) return &attribute;
  }
  return nullptr;
}

std::vector<std::string> Checker::AttributeKeys() const {
  std::vector<std::string> keys;
  for (const AttributeDecl& attribute : project().attributes) keys.push_back(attribute.key);
  return keys;
}

bool Checker::HasUnit(std::string_view key) const {
  return std::any_of(project().units.begin(), project().units.end(),
                     [&](const UnitKind& unit) { return unit.key == key; });
}

void Checker::CheckEventName(const Position& at, const std::string& name) const {
  if (project().events.count(name) > 0) return;
  for (const auto& [canonical, raw] : project().events) {
    if (std::find(raw.begin(), raw.end(), name) != raw.end()) {
      Error(at, "`" + name + "` is one of the raw names of event `" + canonical +
                    "` and would count only part of it: write `" + canonical + "`");
    }
  }
}

void Checker::CheckCurrency(const Position& at, const std::string& currency) const {
  if (currency.empty() || currency == project().currency) return;
  Error(at, "`" + currency + "` is not the currency of the project (" +
                (project().currency.empty() ? "which declares none" : project().currency) +
                "): amounts cannot be converted; log them in the project's currency");
}

void ValidateInto(const Definitions& definitions, ValidateMode mode, const Read& read,
                  std::vector<Diagnostic>* out) {
  const Checker checker(definitions, mode, read, out);
  checker.CheckProject();
  for (const MetricDefinition& metric : definitions.project.metrics) checker.CheckMetric(metric);
  std::map<std::string, const ExperimentDefinition*> by_key;
  for (const ExperimentDefinition& experiment : definitions.experiments) {
    const auto [other, is_new] = by_key.emplace(experiment.key, &experiment);
    if (!is_new && !experiment.key.empty()) {
      checker.Error(experiment.pos, "experiment `" + experiment.key + "` is already defined in " +
                                        other->second->pos.file + ": give this one another key");
    }
    checker.CheckExperiment(experiment);
    checker.CheckSchedule(experiment);
  }
  checker.CheckSalts();
  checker.CheckLayers();
  checker.CheckCycles();
  if (mode == ValidateMode::kAnalyze || checker.has_errors()) return;
  // Bounds that only the compiled form knows (depths, evaluation cost) are found by compiling.
  const auto compiled = Compile(definitions, core::Controls{});
  if (!compiled.ok()) {
    checker.Error(definitions.project.pos, std::string(Message(compiled.status())));
  }
}

std::vector<Diagnostic> Validate(const Definitions& definitions, ValidateMode mode) {
  std::vector<Diagnostic> out;
  ValidateInto(definitions, mode, Read{}, &out);
  std::stable_sort(out.begin(), out.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
  return out;
}

}  // namespace fulcrum::experiments
