// SPDX-License-Identifier: Apache-2.0
#include "store/schema.h"

#include <algorithm>
#include <vector>

#include "base/status.h"

namespace fulcrum::store {
namespace {

constexpr char kTables[] = R"sql(
CREATE TABLE meta(key VARCHAR NOT NULL, value VARCHAR NOT NULL);
CREATE TABLE watermark(sequence BIGINT NOT NULL, next_seq BIGINT NOT NULL,
                       received_ms BIGINT NOT NULL);
INSERT INTO watermark VALUES (0, 1, 0);

CREATE TABLE unit_kinds(code INTEGER NOT NULL, kind VARCHAR NOT NULL);
CREATE TABLE units(kind INTEGER NOT NULL, id INTEGER NOT NULL, text VARCHAR NOT NULL);
CREATE TABLE names(id INTEGER NOT NULL, text VARCHAR NOT NULL);
CREATE TABLE experiments(id INTEGER NOT NULL, text VARCHAR NOT NULL);
CREATE TABLE variants(id INTEGER NOT NULL, text VARCHAR NOT NULL);
CREATE TABLE strings(id INTEGER NOT NULL, text VARCHAR NOT NULL);
CREATE TABLE properties(scope INTEGER NOT NULL, id INTEGER NOT NULL, key VARCHAR NOT NULL,
                        has_number BOOLEAN NOT NULL, has_text BOOLEAN NOT NULL,
                        has_bool BOOLEAN NOT NULL);

CREATE TABLE event_rows(seq BIGINT NOT NULL, received_ms BIGINT NOT NULL, ts_ms BIGINT NOT NULL,
                        name INTEGER NOT NULL, value DOUBLE, currency INTEGER, extra VARCHAR);
CREATE TABLE exposure_rows(seq BIGINT NOT NULL, received_ms BIGINT NOT NULL,
                           ts_ms BIGINT NOT NULL, experiment INTEGER NOT NULL,
                           variant INTEGER NOT NULL, kind INTEGER NOT NULL,
                           unit INTEGER NOT NULL, phase INTEGER NOT NULL, propensity DOUBLE,
                           snapshot INTEGER, extra VARCHAR);
CREATE TABLE first_exposures(seq BIGINT NOT NULL, received_ms BIGINT NOT NULL,
                             ts_ms BIGINT NOT NULL, experiment INTEGER NOT NULL,
                             variant INTEGER NOT NULL, kind INTEGER NOT NULL,
                             unit INTEGER NOT NULL, phase INTEGER NOT NULL, propensity DOUBLE,
                             snapshot INTEGER, extra VARCHAR);
CREATE TABLE duplicates(seq BIGINT NOT NULL, received_ms BIGINT NOT NULL, scope INTEGER NOT NULL,
                        experiment INTEGER, variant INTEGER, name INTEGER);
CREATE TABLE link_rows(seq BIGINT NOT NULL, received_ms BIGINT NOT NULL, ts_ms BIGINT NOT NULL,
                       anonymous_kind INTEGER NOT NULL, anonymous INTEGER NOT NULL,
                       known_kind INTEGER NOT NULL, known INTEGER NOT NULL);
CREATE TABLE client_count_rows(seq BIGINT NOT NULL, received_ms BIGINT NOT NULL,
                               experiment INTEGER NOT NULL, variant INTEGER NOT NULL,
                               assigned BIGINT NOT NULL, shown BIGINT NOT NULL,
                               sent BIGINT NOT NULL, dropped BIGINT NOT NULL);
CREATE TABLE seen_ids(seq BIGINT NOT NULL, hash UBIGINT NOT NULL);
CREATE TABLE result_rows(experiment VARCHAR NOT NULL, metric VARCHAR NOT NULL,
                         arm VARCHAR NOT NULL, statistic VARCHAR NOT NULL, value DOUBLE,
                         as_of_ms BIGINT NOT NULL);
CREATE TABLE set_aside(sequence BIGINT NOT NULL, received_ms BIGINT NOT NULL,
                       items BIGINT NOT NULL, reason VARCHAR NOT NULL);
)sql";

}  // namespace

std::string UnitColumn(int32_t kind) { return "u_" + std::to_string(kind); }
std::string NumberColumn(int32_t property) { return "p_" + std::to_string(property); }
std::string TextColumn(int32_t property) { return "s_" + std::to_string(property); }
std::string BoolColumn(int32_t property) { return "b_" + std::to_string(property); }

absl::Status CreateSchema(duckdb::Connection& connection, const std::string& store_id) {
  FULCRUM_RETURN_IF_ERROR(connection.Execute(kTables));
  FULCRUM_RETURN_IF_ERROR(connection.Execute("INSERT INTO meta VALUES ('schema_version', $1)",
                                             {std::to_string(kSchemaVersion)}));
  return connection.Execute("INSERT INTO meta VALUES ('store_id', $1)", {store_id});
}

absl::Status CheckSchema(duckdb::Connection& connection) {
  const absl::StatusOr<std::string> version =
      connection.QueryText("SELECT value FROM meta WHERE key = 'schema_version'");
  if (!version.ok()) {
    return FailedPrecondition(
        "it is a DuckDB file, but not one that Fulcrum made (it has no table meta with a "
        "schema_version); give another path");
  }
  if (*version != std::to_string(kSchemaVersion)) {
    return FailedPrecondition("it has schema version " + *version + ", this program needs " +
                              std::to_string(kSchemaVersion) +
                              "; use the program version that wrote it, export, and import");
  }
  return absl::OkStatus();
}

}  // namespace fulcrum::store
