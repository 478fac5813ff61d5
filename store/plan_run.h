// SPDX-License-Identifier: Apache-2.0
//
// Runs a plan on the embedded database: DuckDB only scans coded columns, `Fold` gives them meaning.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "store/duckdb_api.h"
#include "store/plan.h"

namespace fulcrum::store {

struct RunOptions {
  int threads = 2;              // Of the fold; the scan's are a setting of the database.
  std::string spill_directory;  // "" = the system's for temporary files.
};

// Reads what is loaded when the call begins and was received at or before plan.as_of_ms; rows
// loaded meanwhile do not mix in. Makes its own connections, so any thread may call it, also at
// once. Where the units' state is more than plan.memory_limit_bytes lets it have, the events are
// read in several passes, some units at a time, and the state is spilled. InvalidArgument: the plan
// cannot be run (says what). ResourceExhausted: not even the exposures fit. An experiment nobody
// was exposed to gives a result without cells.
absl::StatusOr<PlanResult> RunPlan(duckdb::Database& database, const Plan& plan,
                                   const RunOptions& options = {});

struct RunnerOptions {
  int threads = 2;
  std::string spill_directory;
  int64_t kept_bytes = 1LL << 30;  // Of folds, those used longest ago go first; 0 = keep none.
};

struct PlanState;

// The same for one database, but remembers the units' state of recent plans: the next run of a plan
// reads only what was loaded since, and once more the past of those units to whom something earlier
// happened (an exposure that moves the clock, a link, a first exposure). Its result is what a run
// from the start gives: counts exactly, sums to rounding. An as-of before the last run's data is
// answered from the start, and so is a plan with slices by another experiment's variant.
// Thread-safe.
class PlanRunner {
 public:
  explicit PlanRunner(const RunnerOptions& options);
  ~PlanRunner();
  absl::StatusOr<PlanResult> Run(duckdb::Database& database, const Plan& plan);

  struct Stats {
    int64_t kept_bytes = 0;
    int64_t runs = 0;
    int64_t continued = 0;  // Of those: from a kept state.
  };
  Stats stats() const;

 private:
  using Kept = std::list<std::unique_ptr<PlanState>>;  // The last used first.
  std::unique_ptr<PlanState> Take(const Plan& plan);
  void Keep(std::unique_ptr<PlanState> state);

  const RunnerOptions options_;
  mutable Mutex mutex_;
  Kept kept_ ABSL_GUARDED_BY(mutex_);
  Stats stats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fulcrum::store
