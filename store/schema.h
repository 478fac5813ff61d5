// SPDX-License-Identifier: Apache-2.0
//
// The layout of the analytical database (DuckDB). Everything a report scans is a fixed-width coded
// column; texts live in dictionaries. `received_ms` and `seq` (one per row over all tables, in
// order of ingestion) make every past report reproducible: a report as of T reads the rows with
// received_ms <= T.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "store/duckdb_api.h"

namespace fulcrum::store {

inline constexpr int kSchemaVersion = 1;

// Codes are dense, from 0, in order of first sight, and never change. Tables:
//
//   unit_kinds(code, kind)           Also "order" and "session": event.order_id and .session_id are
//                                    units of these kinds, so that both can be analysed and joined.
//   units(kind, id, text)            id is dense per kind.
//   names(id, text)                  Event names.
//   experiments(id, text)  variants(id, text)
//   strings(id, text)                Text values of properties and attributes, currencies,
//                                    snapshot ids.
//   properties(scope, id, key, has_number, has_text, has_bool)
//                                    scope 0: event properties, columns of event_rows; scope 1:
//                                    exposure attributes, columns of exposure_rows. A key that came
//                                    with several types has several columns:
//                                      p_<id> DOUBLE, s_<id> INTEGER (strings.id), b_<id> BOOLEAN.
//                                    Beyond kMaxProperties keys a value goes to `extra`, a JSON
//                                    object as text (NULL for nearly every row).
//
//   event_rows(seq, received_ms, ts_ms, name, value, currency, extra, u_<kind> …, p_, s_, b_ …)
//                                    u_<kind> INTEGER: units.id of that kind, NULL = not given.
//   exposure_rows(seq, received_ms, ts_ms, experiment, variant, kind, unit, phase, propensity,
//                 snapshot, extra, p_, s_, b_ …)
//                                    Every exposure, without those whose exposure_id came before.
//   first_exposures(the same columns)
//                                    The rows of exposure_rows that were, when they arrived, the
//                                    earliest by ts of their (experiment, unit, variant). So, for
//                                    every instant T: the first exposure of a unit by (ts_ms, seq)
//                                    among all rows received by T, and its first in each variant,
//                                    are the minima over first_exposures received by T. About one
//                                    row a unit. NOT exact for a population that cuts off early
//                                    exposures (from_ms): use exposure_rows there; a cut at to_ms
//                                    is exact.
//   duplicates(seq, received_ms, scope, experiment, variant, name)
//                                    Rows left out because their event_id (scope 0) or exposure_id
//                                    (scope 1) came before: for health. name is NULL for exposures,
//                                    experiment and variant are NULL for events.
//   link_rows(seq, received_ms, ts_ms, anonymous_kind, anonymous, known_kind, known)
//   client_count_rows(seq, received_ms, experiment, variant, assigned, shown, sent, dropped)
//   seen_ids(seq, hash)              64-bit hash of each event_id and exposure_id that was loaded:
//                                    only the loader reads it.
//   result_rows(experiment, metric, arm, statistic, value, as_of_ms)
//   set_aside(sequence, received_ms, items, reason)
//                                    Batches that could not be loaded; their bytes stay in the
//                                    inbox.
//   watermark(sequence, next_seq, received_ms)
//                                    One row: the last batch of the inbox that is in here (the
//                                    truth about what was loaded), the next seq, the largest
//                                    received_ms.
//   meta(key, value)                 schema_version, store_id.
//
// Views for people (docs/sql.md): exposures, events, unit_outcomes, results.

inline constexpr int kMaxProperties = 128;  // Per scope.
inline constexpr int kScopeEvent = 0;
inline constexpr int kScopeExposure = 1;
inline constexpr char kOrderKind[] = "order";
inline constexpr char kSessionKind[] = "session";

std::string UnitColumn(int32_t kind);        // "u_3": of event_rows.
std::string NumberColumn(int32_t property);  // "p_3"
std::string TextColumn(int32_t property);    // "s_3"
std::string BoolColumn(int32_t property);    // "b_3"

// Makes the tables in an empty database. Run inside a transaction.
absl::Status CreateSchema(duckdb::Connection& connection, const std::string& store_id);

// FailedPrecondition: the file is no store, or of another schema version (says which).
absl::Status CheckSchema(duckdb::Connection& connection);

// The documented views over what columns there are now; run again after a column was added.
absl::Status CreateViews(duckdb::Connection& connection);

}  // namespace fulcrum::store
