// SPDX-License-Identifier: Apache-2.0
//
// What was in force at an instant, and the report on it. Every file of the project and every
// control is kept with its time, and a store does not let anything be received by an instant that
// was reported, so a report as of then is the same whenever it is made. Without an HTTP request in
// sight: the command line makes the same reports from a data directory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "report/report.h"
#include "server/published.h"
#include "store/store.h"

namespace fulcrum::server {

// Kinds of store::DefinitionRecord: an experiment's hash by its key; a project file by its name,
// with its bytes ("" hash and content from when it is gone).
inline constexpr char kExperimentKind[] = "experiment";
inline constexpr char kFileKind[] = "file";

// Keeps what changed of the project's files and experiments as in force from `now_ms` on.
// `kept_files` holds the names that were kept before and is brought up to date. `before` are files
// that are known to be kept as the latest, so that one edit among a thousand files is one write.
absl::Status KeepProject(store::Store& store, const experiments::Definitions& definitions,
                         const std::map<std::string, std::string>& files,
                         const std::map<std::string, std::string>& before, int64_t now_ms,
                         std::vector<std::string>* kept_files);

// The files in force at `as_of_ms` (INT64_MAX: now), as experiments::LoadFromFiles takes them;
// empty where none was kept by then.
std::map<std::string, std::string> FilesAt(const std::vector<store::DefinitionRecord>& records,
                                           int64_t as_of_ms);

// Names of the files that are in force in the store.
absl::StatusOr<std::vector<std::string>> KeptFiles(store::Store& store);

// The project and the controls of `as_of_ms`; the definitions of `current` where no file was kept
// by then (an older store, a project that was never served).
absl::StatusOr<std::shared_ptr<const Published>> PublishedAt(store::Store& store,
                                                             const Published& current,
                                                             int64_t as_of_ms);

// Plan, run, analyse. INT64_MAX: of everything there is.
absl::StatusOr<report::Report> ComputeReport(store::Store& store, const Published& published,
                                             const experiments::ExperimentDefinition& definition,
                                             int64_t as_of_ms);

// The hash of the definition that was in force when the experiment started, as known by `as_of_ms`;
// "" = not known.
std::string StartedHash(store::Store& store, const experiments::ExperimentDefinition& definition,
                        int64_t as_of_ms);

}  // namespace fulcrum::server
