// SPDX-License-Identifier: Apache-2.0
//
// Inside RunPlan: what the scans of one run share. Included by plan_*.cc only.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/duckdb_api.h"
#include "store/fold.h"
#include "store/plan.h"

namespace fulcrum::store {

// Where a property's values are: at most one column a type, "" where it never came so.
struct TypedColumns {
  std::string number;
  std::string text;  // Codes of strings.
  std::string boolean;
  bool empty() const { return number.empty() && text.empty() && boolean.empty(); }
};

// What the run reads: rows with seq < end_seq and received_ms <= as_of_ms. Codes are -1 where the
// database has never seen the text.
struct Scope {
  int64_t end_seq = 0;
  int64_t received_ms = 0;  // The latest arrival in the database.
  int64_t as_of_ms = 0;     // Of the rows; the plan's.
  int32_t experiment = -1;
  int32_t kind = -1;
  std::set<std::string> event_columns;

  // " WHERE seq < … AND received_ms <= …", to which more may be appended.
  std::string Where() const;
};

absl::StatusOr<Scope> MakeScope(duckdb::Connection& connection, const Plan& plan);

// Codes of texts in a dictionary table ("names", "variants", …); -1 where absent.
absl::StatusOr<std::vector<int32_t>> CodesOf(duckdb::Connection& connection,
                                             const std::string& table,
                                             const std::vector<std::string>& texts);

absl::StatusOr<TypedColumns> FindProperty(duckdb::Connection& connection, int scope,
                                          const std::string& key);

// dense id of a unit -> its number in the fold, kNoUnit where it was not exposed.
using UnitNumbers = std::vector<uint32_t>;

// Feeds every exposure that matters to `fold`, and fills *numbers.
absl::Status ScanExposures(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                           Fold* fold, UnitNumbers* numbers);

// The same where Population::active_units: each unit with its first event or exposure. Sets the
// first and last time of any in *health.
absl::Status ScanActiveUnits(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                             Fold* fold, UnitNumbers* numbers, Health* health);

// Exposure counts, clients' own counts, duplicates.
absl::Status ReadHealth(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                        Health* health);

// Which units an event's id of some kind leads to.
struct Route {
  std::string column;                // Of event_rows: u_<kind>.
  const UnitNumbers* own = nullptr;  // The population's kind: the unit itself, or nullptr.
  std::vector<uint32_t> first;  // By dense id: where its list in `units` begins; one more ends it.
  std::vector<uint32_t> units;  // Units that a link says are this known unit.
};

absl::StatusOr<std::vector<Route>> FindRoutes(duckdb::Connection& connection, const Scope& scope,
                                              const UnitNumbers& numbers);

// Feeds enrolment events (times only).
absl::Status ScanEnrolments(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                            const std::vector<Route>& routes, Fold* fold);

// Feeds the events the fold needs; in a replay only those of units in it. Adds to *scanned.
absl::Status ScanEvents(duckdb::Connection& connection, const Scope& scope,
                        const std::vector<Route>& routes, bool replay, Fold* fold, double* scanned);

}  // namespace fulcrum::store
