// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "store/duckdb_api.h"

namespace fulcrum::store {

// Writes the views exposures, events, links, client_counts and results as one file each into
// `directory` (made when missing; its parent must exist). `format` is parquet or csv. Rows are
// streamed; each file is written under a temporary name and then renamed, and no file that is
// already there is overwritten (AlreadyExists).
absl::Status ExportTo(duckdb::Connection& connection, const std::string& directory,
                      const std::string& format);

}  // namespace fulcrum::store
