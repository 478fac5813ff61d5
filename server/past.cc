// SPDX-License-Identifier: Apache-2.0
#include "server/past.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "base/status.h"
#include "base/time.h"
#include "core/hash.h"
#include "experiments/load.h"
#include "report/analyze.h"
#include "report/plan.h"

namespace fulcrum::server {
namespace {

std::string HashOf(std::string_view text) {
  char hash[20];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(core::Xxh3(text)));
  return hash;
}

// Weights of phases that were changed at run time, in the plan's order of arms.
std::vector<report::PhaseWeights> ChangedWeights(const Published& published,
                                                 const store::Plan& plan) {
  std::vector<report::PhaseWeights> changed;
  const core::ExperimentControls* controls = published.controls.Find(plan.population.experiment);
  const core::ExperimentHandle handle = published.snapshot->Find(plan.population.experiment);
  if (controls == nullptr || !handle) return changed;
  if (controls->weights.empty() && controls->edits.empty()) return changed;
  const core::ExperimentData& data = published.snapshot->experiment(handle);
  for (size_t p = 0; p < data.phases.size(); ++p) {
    report::PhaseWeights weights{static_cast<int>(p), {}};
    for (const store::Arm& arm : plan.population.arms) {
      double weight = 0;
      for (size_t v = 0; v < data.variants.size(); ++v) {
        if (data.variants[v].key == arm.key) weight = data.phases[p].weights_ppm[v];
      }
      weights.weights.push_back(weight);
    }
    changed.push_back(std::move(weights));
  }
  // A phase that an edit of something else began is drawn like the one before it.
  const bool differ = std::any_of(changed.begin(), changed.end(), [&](const auto& phase) {
    return phase.weights != changed.front().weights;
  });
  if (!differ) changed.clear();
  return changed;
}

}  // namespace

std::map<std::string, std::string> FilesAt(const std::vector<store::DefinitionRecord>& records,
                                           int64_t as_of_ms) {
  std::map<std::string, std::string> files;
  for (const store::DefinitionRecord& record : records) {
    if (record.kind != kFileKind || record.received_ms > as_of_ms) continue;
    if (record.hash.empty()) {
      files.erase(record.key);
    } else {
      files[record.key] = record.content;
    }
  }
  return files;
}

absl::Status KeepProject(store::Store& store, const experiments::Definitions& definitions,
                         const std::map<std::string, std::string>& files,
                         const std::map<std::string, std::string>& before, int64_t now_ms,
                         std::vector<std::string>* kept_files) {
  store::DefinitionRecord record;
  record.received_ms = now_ms;
  record.kind = kFileKind;
  std::set<std::string> kept_hashes;
  for (const auto& [name, text] : before) kept_hashes.insert(HashOf(text));
  for (const auto& [name, text] : files) {
    const auto old = before.find(name);
    if (old != before.end() && old->second == text) continue;
    record.key = name;
    record.hash = HashOf(text);
    record.content = text;
    FULCRUM_RETURN_IF_ERROR(store.PutDefinition(record));
  }
  for (const std::string& name : *kept_files) {
    if (files.contains(name)) continue;
    record.key = name;
    record.hash.clear();
    record.content.clear();
    FULCRUM_RETURN_IF_ERROR(store.PutDefinition(record));
  }
  kept_files->clear();
  for (const auto& [name, text] : files) kept_files->push_back(name);
  record.kind = kExperimentKind;
  record.content.clear();
  for (const experiments::ExperimentDefinition& definition : definitions.experiments) {
    if (kept_hashes.contains(definition.content_hash)) continue;
    record.key = definition.key;
    record.hash = definition.content_hash;
    FULCRUM_RETURN_IF_ERROR(store.PutDefinition(record));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> KeptFiles(store::Store& store) {
  FULCRUM_ASSIGN_OR_RETURN(const auto records, store.ReadDefinitions());
  std::vector<std::string> names;
  for (const auto& [name, text] : FilesAt(records, INT64_MAX)) names.push_back(name);
  return names;
}

absl::StatusOr<std::shared_ptr<const Published>> PublishedAt(store::Store& store,
                                                             const Published& current,
                                                             int64_t as_of_ms) {
  FULCRUM_ASSIGN_OR_RETURN(const auto records, store.ReadDefinitions());
  LoadedProject project{current.definitions, current.files};
  if (const auto files = FilesAt(records, as_of_ms); !files.empty()) {
    experiments::LoadResult loaded = experiments::LoadFromFiles(files);
    if (!loaded.ok()) {
      const auto error =
          std::find_if(loaded.diagnostics.begin(), loaded.diagnostics.end(),
                       [](const auto& d) { return d.severity == experiments::Severity::kError; });
      return FailedPrecondition(
          "the project of " + FormatRfc3339(as_of_ms) +
          " was kept but does not load any more: " + experiments::Format(*error));
    }
    project = {std::move(loaded.definitions), std::move(loaded.files)};
  }
  FULCRUM_ASSIGN_OR_RETURN(std::vector<core::ControlRecord> log, store.ReadControls());
  std::erase_if(log, [&](const core::ControlRecord& record) { return record.ts_ms > as_of_ms; });
  return Publish(std::move(project), std::move(log), as_of_ms);
}

absl::StatusOr<report::Report> ComputeReport(store::Store& store, const Published& published,
                                             const experiments::ExperimentDefinition& definition,
                                             int64_t as_of_ms) {
  FULCRUM_ASSIGN_OR_RETURN(store::Plan plan,
                           report::MakePlan(published.definitions, definition, as_of_ms,
                                            published.controls.Find(definition.key)));
  FULCRUM_ASSIGN_OR_RETURN(store::PlanResult result, store.Run(plan));
  report::AnalyzeOptions options;
  options.started_hash = StartedHash(store, definition, as_of_ms);
  options.phases = ChangedWeights(published, plan);
  return report::Analyze(published.definitions, definition, plan, result, options);
}

std::string StartedHash(store::Store& store, const experiments::ExperimentDefinition& definition,
                        int64_t as_of_ms) {
  const absl::StatusOr<std::vector<store::DefinitionRecord>> records = store.ReadDefinitions();
  if (!records.ok()) return "";
  std::string hash;
  for (const store::DefinitionRecord& record : *records) {
    if (record.kind != kExperimentKind || record.key != definition.key) continue;
    if (record.received_ms > as_of_ms) continue;
    // The first that is known counts even where it is of after the start.
    const bool in_force = definition.start_ms && record.received_ms <= *definition.start_ms;
    if (hash.empty() || in_force) hash = record.hash;
  }
  return hash;
}

}  // namespace fulcrum::server
