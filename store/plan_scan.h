// SPDX-License-Identifier: Apache-2.0
//
// Inside RunPlan: what the scans of one run share. Included by plan_*.cc only.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/duckdb_api.h"
#include "store/fold.h"
#include "store/page_vector.h"
#include "store/plan.h"

namespace fulcrum::store {

// Where a property's values are: at most one column a type, "" where it never came so.
struct TypedColumns {
  std::string number;
  std::string text;  // Codes of strings.
  std::string boolean;
  bool empty() const { return number.empty() && text.empty() && boolean.empty(); }
};

// What the run reads: rows with begin_seq <= seq < end_seq and received_ms <= as_of_ms. Codes are
// -1 where the database has never seen the text.
struct Scope {
  int64_t begin_seq = 0;
  int64_t end_seq = 0;
  int64_t received_ms = 0;  // The latest arrival in the database.
  int64_t as_of_ms = 0;     // Of the rows; the plan's.
  int32_t experiment = -1;
  int32_t kind = -1;
  std::set<std::string> event_columns;

  // All that was received by the as-of: nothing later needs to be told apart.
  bool complete() const { return as_of_ms >= received_ms; }
  Scope Between(int64_t begin, int64_t end) const;
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
using UnitNumbers = PageVector<uint32_t>;

// Feeds every exposure that matters to `fold`, and adds to *numbers. Units whose dense id is at
// least `fresh_from` and that are new to *numbers go to *fresh.
absl::Status ScanExposures(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                           int64_t fresh_from, Fold* fold, UnitNumbers* numbers,
                           std::vector<uint32_t>* fresh);

// The same where Population::active_units: each unit with its first event or exposure. Sets the
// first and last time of any in *health.
absl::Status ScanActiveUnits(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                             Fold* fold, UnitNumbers* numbers, Health* health);

// What the database alone knows of data quality; adds up over scopes.
struct HealthCounts {
  struct Variant {
    double rows = 0;
    int64_t first_ms = std::numeric_limits<int64_t>::max();
    int64_t last_ms = std::numeric_limits<int64_t>::min();
    double repeated = 0;  // Exposure ids that came again.
    double assigned = 0, shown = 0, sent = 0, dropped = 0;
  };
  std::vector<Variant> variants;  // By code.
  double duplicate_exposures = 0;
  double duplicate_events = 0;
};

absl::Status AddHealth(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                       HealthCounts* counts);
absl::Status TellHealth(duckdb::Connection& connection, const Plan& plan,
                        const HealthCounts& counts, Health* health);

// Units that a link of the scope joins to someone.
absl::StatusOr<std::vector<uint32_t>> NewlyLinked(duckdb::Connection& connection,
                                                  const Scope& scope, const UnitNumbers& numbers);

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
// `restart`: only those of units in restart.
absl::Status ScanEnrolments(duckdb::Connection& connection, const Scope& scope,
                            const std::vector<Route>& routes, bool restart, Fold* fold);

inline constexpr int64_t kMinRoundRows = 1 << 17;

// One pass over the events.
struct EventScan {
  enum Of { kAll, kReplay, kRestart };
  Of of = kAll;             // Only events of units in replay, or in restart.
  uint32_t first_unit = 0;  // Only events of these units.
  uint32_t end_unit = kNoUnit;
  int64_t round_bytes = 512LL << 20;  // Of records, before they are folded.
  int threads = 1;
};

// Feeds the events the fold needs. Adds to *scanned what it reads of all units.
absl::Status ScanEvents(duckdb::Connection& connection, const Scope& scope,
                        const std::vector<Route>& routes, const EventScan& scan, Fold* fold,
                        double* scanned);

}  // namespace fulcrum::store
