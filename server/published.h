// SPDX-License-Identifier: Apache-2.0
//
// What is being served: definitions and control log compiled to a snapshot, with everything that
// can be printed ahead of a request printed ahead.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/controls.h"
#include "core/snapshot.h"
#include "experiments/definition.h"

namespace fulcrum::server {

// Parts of an OFREP answer that depend on the experiment only.
struct FlagText {
  std::string head;                   // {"key":"one-page-checkout"
  std::vector<std::string> variants;  // ,"value":"one-page","variant":"one-page"
  std::string fallback;               // ,"value":… where the definition has a default, else "".
};

// A project as read: what it means, and the text of its files by name within the project.
struct LoadedProject {
  experiments::Definitions definitions;
  std::map<std::string, std::string> files;
};

// Immutable, so any number of threads may read it; replaced as a whole.
struct Published {
  experiments::Definitions definitions;
  std::map<std::string, std::string> files;  // As LoadedProject.
  std::vector<core::ControlRecord> log;      // In order of seq.
  core::Controls controls;
  std::vector<std::string> unfit;  // A sentence for each control that no longer fits.
  std::shared_ptr<const core::Snapshot> snapshot;
  std::string wire;                            // core::Encode of it.
  std::string wire_etag;                       // Quoted.
  std::vector<FlagText> flags;                 // As the snapshot's experiments.
  std::vector<core::ExperimentHandle> sticky;  // Experiments whose units may have a prior.
  absl::flat_hash_map<std::string, core::AttributeType> attributes;
  bool has_time_attributes = false;
  int64_t created_ms = 0;

  absl::flat_hash_map<std::string, size_t> definition_index;  // Key -> in definitions.experiments.

  // By hash: asked for every exposure. nullptr where there is none.
  const experiments::ExperimentDefinition* FindDefinition(std::string_view key) const;
  // -1 where there is no such kind.
  int UnitKind(std::string_view kind) const;
  std::string_view default_unit_kind() const;
};

// InvalidArgument: why it does not compile, naming the experiment.
absl::StatusOr<std::shared_ptr<const Published>> Publish(LoadedProject project,
                                                         std::vector<core::ControlRecord> log,
                                                         int64_t now_ms);

// Every error of the directory in one InvalidArgument, one a line; warnings go to *warnings.
absl::StatusOr<LoadedProject> LoadProject(const std::string& directory,
                                          std::vector<std::string>* warnings);

}  // namespace fulcrum::server
