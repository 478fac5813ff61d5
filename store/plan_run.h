// SPDX-License-Identifier: Apache-2.0
//
// Runs a plan on the embedded database: DuckDB only scans coded columns, `Fold` gives them meaning.
#pragma once

#include "absl/status/statusor.h"
#include "store/duckdb_api.h"
#include "store/plan.h"

namespace fulcrum::store {

struct RunOptions {
  int threads = 2;  // Of the fold; the scan's are a setting of the database.
};

// Reads what is loaded when the call begins and was received at or before plan.as_of_ms; rows
// loaded meanwhile do not mix in. Makes its own connections, so any thread may call it, also at
// once. InvalidArgument: the plan cannot be run (says what). ResourceExhausted: the units need more
// than plan.memory_limit_bytes. An experiment nobody was exposed to gives a result without cells.
absl::StatusOr<PlanResult> RunPlan(duckdb::Database& database, const Plan& plan,
                                   const RunOptions& options = {});

}  // namespace fulcrum::store
