// SPDX-License-Identifier: Apache-2.0
//
// History from files (CSV, Parquet, a DuckDB table) into a store, through the same durable inbox as
// live traffic. Rows are streamed; a row that cannot be used is left out and written, with the
// reason, to a file.
//
// Columns, in any order (those of `fulcrum export` read back as they are):
//   exposures  experiment, variant, ts, unit; optional: unit_kind, exposure_id, snapshot, phase,
//              propensity, received; every other column is an attribute.
//   events     name, ts, and unit (with unit_kind) or one column unit_<kind> a kind; optional:
//              event_id, order_id, session_id, value, currency, received; every other column is a
//              property.
//   links      anonymous, known, ts; optional: anonymous_kind, known_kind, received.
// An attribute or property may be written attr_<key> or prop_<key>. Empty and NULL cells are
// absent. A column whose every cell is a number (true or false) holds numbers (booleans), else
// texts; digits with a leading zero are text. Times: TIMESTAMP, Unix milliseconds, RFC 3339, or
// without an offset, which is then UTC. `seq` is ignored.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "store/store.h"

namespace fulcrum::store {

enum class ImportKind { kExposures, kEvents, kLinks };

struct ImportRequest {
  ImportKind kind = ImportKind::kEvents;
  std::string path;                // Globs allowed.
  std::string format;              // csv | parquet | duckdb | "" = by extension.
  std::string table;               // duckdb.
  std::string unit_kind = "user";  // Where no column says it.
  std::string anonymous_kind = "device";
  std::string rejected_path;  // A CSV file to make: row, reason, data. "" = none.
  int64_t received_ms = 0;    // Of rows without a column `received`, and the latest it may say.
  std::function<void(int64_t rows)> progress;  // Now and then; may be empty.
};

struct ImportResult {
  int64_t rows = 0;
  int64_t accepted = 0;
  int64_t rejected = 0;
  // Of the accepted ones: recognised as already imported from the same file, and not counted again.
  int64_t replayed = 0;
};

// Where batches go: a store, or a server that holds one.
struct ImportSink {
  // ResourceExhausted: called again after flush().
  std::function<absl::StatusOr<AppendResult>(const AppendRequest&)> append;
  std::function<absl::Status()> flush;  // Waits until there is room.
};

// InvalidArgument: a column is missing. NotFound: no such file. Whatever was accepted before an
// error stays; importing the same file again does not count it twice (while batch ids are kept).
absl::StatusOr<ImportResult> ImportFile(const ImportSink& sink, const ImportRequest& request);
absl::StatusOr<ImportResult> ImportFile(Store* store, const ImportRequest& request);

}  // namespace fulcrum::store
