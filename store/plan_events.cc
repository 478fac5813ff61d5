// SPDX-License-Identifier: Apache-2.0
//
// Events out of the database. DuckDB's threads read coded columns of the rows that can matter and
// turn them into records by unit; then the fold takes those, partition by partition. A round of
// rows at a time, so that the records of a long history need not all be in memory at once.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/status.h"
#include "store/event_records.h"
#include "store/plan_reader.h"
#include "store/plan_scan.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

constexpr uint32_t kAnyUnit = kNoUnit;  // An end of a range that takes in every unit.

// Enrolments are few: they are kept until the scan is over.
class EnrolmentSink : public duckdb::RowSink {
 public:
  EnrolmentSink(const EventReader& reader, const Fold& fold, bool restart)
      : reader_(reader), fold_(fold), restart_(restart) {}
  void AddRows(const duckdb::ChunkView& rows, int worker) override {
    Part& part = parts_[static_cast<size_t>(worker)];
    reader_.FindUnits(rows, 0, kAnyUnit, &part.scratch);
    const int64_t* ts_ms = reader_.ts_ms(rows);
    for (size_t i = 0; i < part.scratch.units.size(); ++i) {
      if (restart_ && !fold_.InRestart(part.scratch.units[i])) continue;
      part.units.push_back(part.scratch.units[i]);
      part.ts_ms.push_back(ts_ms[part.scratch.rows[i]]);
    }
  }
  void FoldInto(Fold* fold) const {
    for (const Part& part : parts_) {
      fold->AddEnrolments(part.units.size(), part.units.data(), part.ts_ms.data());
    }
  }

 private:
  struct Part {
    EventScratch scratch;
    std::vector<uint32_t> units;
    std::vector<int64_t> ts_ms;
  };
  const EventReader& reader_;
  const Fold& fold_;
  const bool restart_;
  std::array<Part, kMaxWorkers> parts_;
};

// Rows to records.
class EventSink : public duckdb::RowSink {
 public:
  EventSink(const EventReader& reader, const Fold& fold, EventScan::Of of, EventRecords* records)
      : reader_(reader), fold_(fold), of_(of), records_(records) {}

  void AddRows(const duckdb::ChunkView& rows, int worker) override {
    EventScratch& scratch = scratch_[static_cast<size_t>(worker)];
    reader_.FindUnits(rows, records_->first_unit(), records_->end_unit(), &scratch);
    if (of_ != EventScan::kAll) KeepThose(&scratch);
    reader_.ReadFilters(rows, &scratch);
    const bool filters = records_->shape().filters;
    const bool keys = records_->shape().keys;
    EventRecords::Writer& writer = records_->writer(worker);
    const int64_t* ts_ms = reader_.ts_ms(rows);
    const std::vector<EventReader::Value>& values = reader_.ReadValues(rows, &scratch);
    for (size_t i = 0; i < scratch.units.size(); ++i) {
      const int32_t row = scratch.rows[i];
      uint64_t* record = writer.Add(scratch.units[i], scratch.codes[i], ts_ms[row]);
      for (const EventReader::Value& value : values) {
        const double number = value.At(row);
        std::memcpy(record++, &number, sizeof number);
      }
      if (filters) *record++ = scratch.filters[i];
      if (keys) *record = reader_.KeysOf(rows, row);
    }
  }

 private:
  void KeepThose(EventScratch* scratch) const {
    size_t kept = 0;
    for (size_t i = 0; i < scratch->units.size(); ++i) {
      const uint32_t unit = scratch->units[i];
      if (!(of_ == EventScan::kReplay ? fold_.InReplay(unit) : fold_.InRestart(unit))) continue;
      scratch->units[kept] = scratch->units[i];
      scratch->rows[kept] = scratch->rows[i];
      scratch->codes[kept++] = scratch->codes[i];
    }
    scratch->units.resize(kept);
    scratch->rows.resize(kept);
    scratch->codes.resize(kept);
  }

  const EventReader& reader_;
  const Fold& fold_;
  const EventScan::Of of_;
  EventRecords* const records_;
  std::array<EventScratch, kMaxWorkers> scratch_;
};

}  // namespace

absl::Status ScanEnrolments(duckdb::Connection& connection, const Scope& scope,
                            const std::vector<Route>& routes, bool restart, Fold* fold) {
  if (routes.empty()) return absl::OkStatus();
  EventReader reader(scope, routes);
  FULCRUM_RETURN_IF_ERROR(reader.Open(connection, fold->needs(), true));
  if (!reader.any_name()) return absl::OkStatus();
  EnrolmentSink sink(reader, *fold, restart);
  FULCRUM_RETURN_IF_ERROR(
      connection
          .ScanInto(reader.Columns(), "FROM event_rows" + scope.Where() + reader.NamesSql(), &sink)
          .status());
  sink.FoldInto(fold);
  return absl::OkStatus();
}

absl::Status ScanEvents(duckdb::Connection& connection, const Scope& scope,
                        const std::vector<Route>& routes, const EventScan& scan, Fold* fold,
                        double* scanned) {
  const FoldNeeds& needs = fold->needs();
  if (routes.empty()) return absl::OkStatus();
  EventReader reader(scope, routes);
  FULCRUM_RETURN_IF_ERROR(reader.Open(connection, needs, false));
  if (!reader.any_name() && (!needs.every_event || scan.of == EventScan::kReplay)) {
    return absl::OkStatus();
  }
  // Rows that no unit's windows reach: whole row groups are skipped by their times.
  std::pair<int64_t, int64_t> span = {fold->earliest_ms(), fold->latest_ms()};
  if (scan.of == EventScan::kReplay) span = fold->span_of_replay();
  if (scan.of == EventScan::kRestart) span = fold->span_of_restart();
  std::string where;
  if (span.first > 0) where += " AND ts_ms >= " + std::to_string(span.first);
  if (span.second != std::numeric_limits<int64_t>::max()) {
    where += " AND ts_ms < " + std::to_string(span.second);
  }
  EventRecords records(fold->record_shape(), scan.first_unit, scan.end_unit, fold->state_bytes());
  EventSink sink(reader, *fold, scan.of, &records);
  const auto record_bytes = static_cast<int64_t>(8 * records.shape().words());
  const int64_t round_rows = std::max<int64_t>(scan.round_bytes / record_bytes, kMinRoundRows);
  for (int64_t seq = scope.begin_seq; seq < scope.end_seq; seq += round_rows) {
    const Scope round = scope.Between(seq, std::min(scope.end_seq, seq + round_rows));
    FULCRUM_ASSIGN_OR_RETURN(
        const int64_t rows,
        connection.ScanInto(reader.Columns(), "FROM event_rows" + round.Where() + where, &sink));
    if (scan.of == EventScan::kAll) *scanned += static_cast<double>(rows);
    records.FoldInto(fold, scan.threads);
  }
  return absl::OkStatus();
}

}  // namespace fulcrum::store
