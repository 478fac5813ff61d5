// SPDX-License-Identifier: Apache-2.0
#include "store/load_group.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "base/text.h"
#include "core/hash.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

// Columns of the staged tables, in the order of their specs in MakeTables().
enum EventColumn { kEvSeq, kEvReceived, kEvTs, kEvName, kEvValue, kEvCurrency, kEvExtra };
enum ExposureColumn {
  kExSeq,
  kExReceived,
  kExTs,
  kExExperiment,
  kExVariant,
  kExKind,
  kExUnit,
  kExPhase,
  kExPropensity,
  kExSnapshot,
  kExExtra
};
enum DuplicateColumn { kDuSeq, kDuReceived, kDuScope, kDuExperiment, kDuVariant, kDuName };

// Bytes that one remembered thing costs, hash table slack included.
constexpr int64_t kCodeBytes = 32;
constexpr int64_t kFirstBytes = 32;
constexpr int64_t kIdBytes = 16;

std::unique_ptr<StagedTable> MakeExposures(const char* table) {
  return std::make_unique<StagedTable>(
      table, std::vector<ColumnSpec>{{"seq", DUCKDB_TYPE_BIGINT},
                                     {"received_ms", DUCKDB_TYPE_BIGINT},
                                     {"ts_ms", DUCKDB_TYPE_BIGINT},
                                     {"experiment"},
                                     {"variant"},
                                     {"kind"},
                                     {"unit"},
                                     {"phase"},
                                     {"propensity", DUCKDB_TYPE_DOUBLE, true},
                                     {"snapshot", DUCKDB_TYPE_INTEGER, true},
                                     {"extra", DUCKDB_TYPE_VARCHAR, true}});
}

}  // namespace

// Half for codes (units are most of what is remembered), a quarter each for the others.
LoadGroup::LoadGroup(int64_t memory_bytes)
    : codes_(memory_bytes / 2 / kCodeBytes),
      firsts_(memory_bytes / 4 / kFirstBytes),
      ids_(memory_bytes / 4 / kIdBytes) {
  MakeTables();
}

void LoadGroup::MakeTables() {
  events_ = std::make_unique<StagedTable>(
      "event_rows", std::vector<ColumnSpec>{{"seq", DUCKDB_TYPE_BIGINT},
                                            {"received_ms", DUCKDB_TYPE_BIGINT},
                                            {"ts_ms", DUCKDB_TYPE_BIGINT},
                                            {"name"},
                                            {"value", DUCKDB_TYPE_DOUBLE, true},
                                            {"currency", DUCKDB_TYPE_INTEGER, true},
                                            {"extra", DUCKDB_TYPE_VARCHAR, true}});
  exposures_ = MakeExposures("exposure_rows");
  first_exposures_ = MakeExposures("first_exposures");
  duplicates_ = std::make_unique<StagedTable>(
      "duplicates", std::vector<ColumnSpec>{{"seq", DUCKDB_TYPE_BIGINT},
                                            {"received_ms", DUCKDB_TYPE_BIGINT},
                                            {"scope"},
                                            {"experiment", DUCKDB_TYPE_INTEGER, true},
                                            {"variant", DUCKDB_TYPE_INTEGER, true},
                                            {"name", DUCKDB_TYPE_INTEGER, true}});
  links_ = std::make_unique<StagedTable>(
      "link_rows", std::vector<ColumnSpec>{{"seq", DUCKDB_TYPE_BIGINT},
                                           {"received_ms", DUCKDB_TYPE_BIGINT},
                                           {"ts_ms", DUCKDB_TYPE_BIGINT},
                                           {"anonymous_kind"},
                                           {"anonymous"},
                                           {"known_kind"},
                                           {"known"}});
  counts_rows_ = std::make_unique<StagedTable>(
      "client_count_rows", std::vector<ColumnSpec>{{"seq", DUCKDB_TYPE_BIGINT},
                                                   {"received_ms", DUCKDB_TYPE_BIGINT},
                                                   {"experiment"},
                                                   {"variant"},
                                                   {"assigned", DUCKDB_TYPE_BIGINT},
                                                   {"shown", DUCKDB_TYPE_BIGINT},
                                                   {"sent", DUCKDB_TYPE_BIGINT},
                                                   {"dropped", DUCKDB_TYPE_BIGINT}});
  seen_ids_ = std::make_unique<StagedTable>(
      "seen_ids",
      std::vector<ColumnSpec>{{"seq", DUCKDB_TYPE_BIGINT}, {"hash", DUCKDB_TYPE_UBIGINT}});
  event_properties_ =
      std::make_unique<PropertyColumns>(kScopeEvent, std::vector<StagedTable*>{events_.get()});
  exposure_properties_ = std::make_unique<PropertyColumns>(
      kScopeExposure, std::vector<StagedTable*>{exposures_.get(), first_exposures_.get()});
}

std::vector<StagedTable*> LoadGroup::Tables() {
  return {events_.get(), exposures_.get(),   first_exposures_.get(), duplicates_.get(),
          links_.get(),  counts_rows_.get(), seen_ids_.get()};
}

absl::Status LoadGroup::Load(duckdb::Connection* connection) {
  MakeTables();
  spoilt_.clear();
  counts_ = {};
  alterations_.clear();
  FULCRUM_RETURN_IF_ERROR(codes_.Load(connection));
  FULCRUM_RETURN_IF_ERROR(firsts_.Load(connection));
  FULCRUM_RETURN_IF_ERROR(ids_.Load(connection));
  FULCRUM_RETURN_IF_ERROR(event_properties_->Load(connection));
  FULCRUM_RETURN_IF_ERROR(exposure_properties_->Load(connection));
  unit_columns_.clear();
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result columns,
      connection->Query("SELECT CAST(substr(column_name, 3) AS INTEGER) FROM duckdb_columns() "
                        "WHERE table_name = 'event_rows' AND starts_with(column_name, 'u_') "
                        "ORDER BY column_index"));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, columns.Next());
    if (!chunk) break;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      UnitColumnOf(chunk.data<int32_t>(0)[row]);
    }
  }
  alterations_.clear();
  FULCRUM_ASSIGN_OR_RETURN(next_seq_, connection->QueryInt("SELECT next_seq FROM watermark"));
  FULCRUM_ASSIGN_OR_RETURN(max_received_ms_,
                           connection->QueryInt("SELECT received_ms FROM watermark"));
  return absl::OkStatus();
}

absl::Status LoadGroup::Prepare(const std::vector<InboxBatch>& batches,
                                duckdb::Connection* connection) {
  if (codes_.complete()) return absl::OkStatus();
  const auto want_unit = [this](const UnitRef& unit) {
    codes_.Want(codes_.Code(kUnitKinds, unit.kind), unit.id);
  };
  const auto want_texts = [this](std::span<const PropertyView> properties) {
    for (const PropertyView& property : properties) {
      if (property.type == PropertyType::kString) codes_.Want(kStrings, property.text);
    }
  };
  BatchVisitor visitor;
  visitor.exposure = [&](const ExposureView& exposure) {
    want_unit(exposure.unit);
    codes_.Want(kStrings, exposure.snapshot);
    want_texts(exposure.attributes);
  };
  visitor.event = [&](const EventView& event) {
    for (const UnitRef& id : event.ids) want_unit(id);
    if (!event.order_id.empty()) want_unit({kOrderKind, event.order_id});
    if (!event.session_id.empty()) want_unit({kSessionKind, event.session_id});
    codes_.Want(kStrings, event.currency);
    want_texts(event.properties);
  };
  visitor.link = [&](const LinkView& link) {
    want_unit(link.anonymous);
    want_unit(link.known);
  };
  std::string ignored;  // Add() reports damage.
  for (const InboxBatch& batch : batches) ReadBatch(batch.payload, visitor, &ignored);
  return codes_.Resolve(connection);
}

bool LoadGroup::Add(const InboxBatch& batch, std::string* error) {
  if (core::Xxh3(batch.payload) != batch.checksum) {
    *error = "its bytes are not those that arrived (checksum)";
    return false;
  }
  received_ms_ = batch.received_ms;
  max_received_ms_ = std::max(max_received_ms_, received_ms_);
  const BatchVisitor visitor = {
      .exposure = [this](const ExposureView& exposure) { AddExposure(exposure); },
      .event = [this](const EventView& event) { AddEvent(event); },
      .link = [this](const LinkView& link) { AddLink(link); },
      .client_counts = [this](const ClientCountsView& counts) { AddCounts(counts); },
  };
  if (!ReadBatch(batch.payload, visitor, error)) return false;
  if (spoilt_.empty()) return true;
  *error = spoilt_;
  return false;
}

void LoadGroup::Spoil(std::string reason) {
  if (spoilt_.empty()) spoilt_ = std::move(reason);
}

int32_t LoadGroup::Code(Space space, std::string_view text) {
  const int32_t code = codes_.Code(space, text);
  if (code >= 0) return code;
  Spoil("it holds a text that is not valid UTF-8");
  return 0;
}

int LoadGroup::UnitColumnOf(int32_t kind) {
  const auto index = static_cast<size_t>(kind);
  if (index >= unit_columns_.size()) unit_columns_.resize(index + 1, -1);
  if (unit_columns_[index] < 0) {
    unit_columns_[index] = events_->AddColumn({UnitColumn(kind), DUCKDB_TYPE_INTEGER, true});
    alterations_.push_back("ALTER TABLE event_rows ADD COLUMN " + UnitColumn(kind) + " INTEGER");
  }
  return unit_columns_[index];
}

bool LoadGroup::IsRepeat(int scope, std::string_view id) {
  if (id.empty()) return false;
  const uint64_t hash = RecentIds::HashOf(scope, id);
  if (!ids_.Add(hash)) return true;
  seen_ids_->BeginRow();
  seen_ids_->Put(0, next_seq_);
  seen_ids_->Put(1, static_cast<int64_t>(hash));
  return false;
}

void LoadGroup::PutProperties(std::span<const PropertyView> properties, PropertyColumns* columns,
                              StagedTable* table, int extra_column) {
  std::string extra;
  for (const PropertyView& property : properties) {
    if (property.type == PropertyType::kNumber && !std::isfinite(property.number)) {
      Spoil("property " + std::string(property.key) + " is not a finite number");
      continue;
    }
    const int column = columns->ColumnFor(property);
    if (column >= 0) {
      switch (property.type) {
        case PropertyType::kBool:
          table->Put(column, property.boolean ? 1 : 0);
          break;
        case PropertyType::kNumber:
          table->PutDouble(column, property.number);
          break;
        case PropertyType::kString:
          table->Put(column, Code(kStrings, property.text));
          break;
      }
      continue;
    }
    if (!IsValidUtf8(property.key) || !IsValidUtf8(property.text)) {
      Spoil("it holds a text that is not valid UTF-8");
      continue;
    }
    extra += extra.empty() ? '{' : ',';
    AppendJsonString(property.key, &extra);
    extra += ':';
    if (property.type == PropertyType::kString) AppendJsonString(property.text, &extra);
    if (property.type == PropertyType::kNumber) extra += FormatDouble(property.number);
    if (property.type == PropertyType::kBool) extra += property.boolean ? "true" : "false";
  }
  if (!extra.empty()) table->PutText(extra_column, extra + "}");
}

void LoadGroup::AddExposure(const ExposureView& exposure) {
  const int32_t experiment = Code(kExperiments, exposure.experiment);
  const int32_t variant = Code(kVariants, exposure.variant);
  if (IsRepeat(kScopeExposure, exposure.exposure_id)) {
    duplicates_->BeginRow();
    duplicates_->Put(kDuSeq, next_seq_++);
    duplicates_->Put(kDuReceived, received_ms_);
    duplicates_->Put(kDuScope, kScopeExposure);
    duplicates_->Put(kDuExperiment, experiment);
    duplicates_->Put(kDuVariant, variant);
    return;
  }
  const int32_t kind = Code(kUnitKinds, exposure.unit.kind);
  const int32_t unit = Code(kind, exposure.unit.id);
  exposures_->BeginRow();
  exposures_->Put(kExSeq, next_seq_++);
  exposures_->Put(kExReceived, received_ms_);
  exposures_->Put(kExTs, exposure.ts_ms);
  exposures_->Put(kExExperiment, experiment);
  exposures_->Put(kExVariant, variant);
  exposures_->Put(kExKind, kind);
  exposures_->Put(kExUnit, unit);
  exposures_->Put(kExPhase, exposure.phase);
  if (exposure.propensity > 0) exposures_->PutDouble(kExPropensity, exposure.propensity);
  if (!exposure.snapshot.empty()) exposures_->Put(kExSnapshot, Code(kStrings, exposure.snapshot));
  PutProperties(exposure.attributes, exposure_properties_.get(), exposures_.get(), kExExtra);
  ++counts_.exposures;
  if (firsts_.IsFirst(experiment, variant, kind, unit, exposure.ts_ms, received_ms_)) {
    first_exposures_->CopyLastRow(*exposures_);
  }
}

void LoadGroup::PutUnit(std::string_view kind, std::string_view id) {
  if (id.empty()) return;
  const int32_t code = Code(kUnitKinds, kind);
  events_->Put(UnitColumnOf(code), Code(code, id));
}

void LoadGroup::AddEvent(const EventView& event) {
  const int32_t name = Code(kNames, event.name);
  if (IsRepeat(kScopeEvent, event.event_id)) {
    duplicates_->BeginRow();
    duplicates_->Put(kDuSeq, next_seq_++);
    duplicates_->Put(kDuReceived, received_ms_);
    duplicates_->Put(kDuScope, kScopeEvent);
    duplicates_->Put(kDuName, name);
    return;
  }
  events_->BeginRow();
  events_->Put(kEvSeq, next_seq_++);
  events_->Put(kEvReceived, received_ms_);
  events_->Put(kEvTs, event.ts_ms);
  events_->Put(kEvName, name);
  if (event.value) {
    if (!std::isfinite(*event.value)) Spoil("the value of an event is not a finite number");
    events_->PutDouble(kEvValue, *event.value);
  }
  if (!event.currency.empty()) events_->Put(kEvCurrency, Code(kStrings, event.currency));
  // Ids given by kind come last, so that they win over order_id and session_id.
  PutUnit(kOrderKind, event.order_id);
  PutUnit(kSessionKind, event.session_id);
  for (const UnitRef& id : event.ids) PutUnit(id.kind, id.id);
  PutProperties(event.properties, event_properties_.get(), events_.get(), kEvExtra);
  ++counts_.events;
}

void LoadGroup::AddLink(const LinkView& link) {
  links_->BeginRow();
  const int32_t anonymous_kind = Code(kUnitKinds, link.anonymous.kind);
  const int32_t known_kind = Code(kUnitKinds, link.known.kind);
  const int64_t cells[] = {next_seq_++,
                           received_ms_,
                           link.ts_ms,
                           anonymous_kind,
                           Code(anonymous_kind, link.anonymous.id),
                           known_kind,
                           Code(known_kind, link.known.id)};
  for (int i = 0; i < 7; ++i) links_->Put(i, cells[i]);
}

void LoadGroup::AddCounts(const ClientCountsView& counts) {
  counts_rows_->BeginRow();
  const int64_t cells[] = {next_seq_++,
                           received_ms_,
                           Code(kExperiments, counts.experiment),
                           Code(kVariants, counts.variant),
                           counts.assigned,
                           counts.shown,
                           counts.sent,
                           counts.dropped};
  for (int i = 0; i < 8; ++i) counts_rows_->Put(i, cells[i]);
}

absl::Status LoadGroup::Write(duckdb::Connection* connection, int64_t from, int64_t to,
                              bool* columns_added) {
  FULCRUM_ASSIGN_OR_RETURN(const bool of_events, event_properties_->Write(connection));
  FULCRUM_ASSIGN_OR_RETURN(const bool of_exposures, exposure_properties_->Write(connection));
  *columns_added = of_events || of_exposures || !alterations_.empty();
  for (const std::string& alteration : alterations_) {
    FULCRUM_RETURN_IF_ERROR(connection->Execute(alteration));
  }
  alterations_.clear();
  FULCRUM_RETURN_IF_ERROR(codes_.Write(connection));
  for (const StagedTable* table : Tables()) {
    FULCRUM_RETURN_IF_ERROR(table->AppendTo(connection));
  }
  // The guard against counting a batch twice, whatever went wrong before.
  FULCRUM_ASSIGN_OR_RETURN(
      const duckdb::Result moved,
      connection->Query("UPDATE watermark SET sequence = $1, next_seq = $2, received_ms = $3 "
                        "WHERE sequence = $4",
                        {to, next_seq_, max_received_ms_, from}));
  if (moved.rows_changed() == 1) return absl::OkStatus();
  return FailedPrecondition("the analytical file's watermark is not at batch " +
                            std::to_string(from) + ", where this load begins");
}

void LoadGroup::Committed() {
  for (StagedTable* table : Tables()) table->Clear();
  codes_.Committed();
  firsts_.Committed();
  ids_.Committed();
  counts_ = {};
}

}  // namespace fulcrum::store
