// SPDX-License-Identifier: Apache-2.0
#include "store/import_rows.h"

#include <algorithm>
#include <span>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"

namespace fulcrum::store {
namespace {

std::span<const std::string_view> KnownColumns(ImportKind kind) {
  static constexpr std::string_view kExposure[] = {
      "seq",       "received",    "ts",       "experiment", "variant",    "unit",
      "unit_kind", "exposure_id", "snapshot", "phase",      "propensity", "extra"};
  static constexpr std::string_view kEvent[] = {"seq",        "received",  "ts",       "name",
                                                "unit",       "unit_kind", "event_id", "order_id",
                                                "session_id", "value",     "currency", "extra"};
  static constexpr std::string_view kLink[] = {"seq",   "received",       "ts",        "anonymous",
                                               "known", "anonymous_kind", "known_kind"};
  switch (kind) {
    case ImportKind::kExposures:
      return kExposure;
    case ImportKind::kEvents:
      return kEvent;
    case ImportKind::kLinks:
      break;
  }
  return kLink;
}

std::vector<std::string_view> RequiredColumns(ImportKind kind) {
  switch (kind) {
    case ImportKind::kExposures:
      return {"experiment", "variant", "unit", "ts"};
    case ImportKind::kEvents:
      return {"name", "ts"};
    case ImportKind::kLinks:
      break;
  }
  return {"anonymous", "known", "ts"};
}

const char* NameOf(ImportKind kind) {
  switch (kind) {
    case ImportKind::kExposures:
      return "the import of exposures";
    case ImportKind::kEvents:
      return "the import of events";
    case ImportKind::kLinks:
      break;
  }
  return "the import of links";
}

bool StripPrefix(std::string_view prefix, std::string* text) {
  if (!text->starts_with(prefix) || text->size() == prefix.size()) return false;
  text->erase(0, prefix.size());
  return true;
}

// A time of any DuckDB type as Unix milliseconds, all else as text.
std::string TextSql(const FileColumn& column) {
  const std::string name = duckdb::QuoteName(column.name);
  if (column.type.starts_with("TIMESTAMP") || column.type == "DATE") {
    return "epoch_ms(" + name + ")::VARCHAR";
  }
  return column.type == "VARCHAR" ? name : name + "::VARCHAR";
}

std::string Quote(std::string_view text) { return "\"" + std::string(text) + "\""; }

}  // namespace

std::optional<int64_t> ParseImportTime(std::string_view text) {
  std::optional<int64_t> ms = ParseInt(text);
  if (!ms) ms = ParseRfc3339(text);
  if (!ms && text.size() >= 10) {
    std::string utc(text);
    if (utc.size() == 10) utc += "T00:00:00";
    if (utc[10] == ' ') utc[10] = 'T';
    ms = ParseRfc3339(utc + "Z");
  }
  if (!ms || *ms < kMinInstantMs || *ms >= kMaxInstantMs) return std::nullopt;
  return ms;
}

absl::StatusOr<RowImporter> RowImporter::Make(const ImportRequest& request, OpenedFile* file) {
  RowImporter importer(request);
  FULCRUM_RETURN_IF_ERROR(importer.AssignColumns(*file));
  FULCRUM_RETURN_IF_ERROR(importer.FindTypes(file));
  return importer;
}

absl::Status RowImporter::AssignColumns(const OpenedFile& file) {
  columns_ = file.columns;
  const std::string who = NameOf(request_.kind);
  for (const std::string_view column : RequiredColumns(request_.kind)) {
    FULCRUM_RETURN_IF_ERROR(file.Find(column, who).status());
  }
  const auto known = KnownColumns(request_.kind);
  for (size_t i = 0; i < columns_.size(); ++i) {
    const std::string& name = columns_[i].name;
    select_ += (i == 0 ? "" : ", ") + TextSql(columns_[i]);
    if (std::find(known.begin(), known.end(), name) != known.end()) {
      named_.emplace_back(name, i);
      continue;
    }
    std::string key = name;
    if (request_.kind == ImportKind::kEvents && StripPrefix("unit_", &key)) {
      units_.push_back({i, key});
      continue;
    }
    if (request_.kind == ImportKind::kLinks) {
      return InvalidArgument(who + " does not know column " + Quote(name) + " of " + request_.path +
                             "; leave it out");
    }
    StripPrefix(request_.kind == ImportKind::kEvents ? "prop_" : "attr_", &key);
    properties_.push_back({i, key});
  }
  const bool has_unit = std::any_of(named_.begin(), named_.end(),
                                    [](const auto& column) { return column.first == "unit"; });
  if (request_.kind == ImportKind::kEvents && units_.empty() && !has_unit) {
    return InvalidArgument(who +
                           " needs a column \"unit\", or one like \"unit_user\" for each kind"
                           " of unit, which " +
                           request_.path + " does not have");
  }
  return absl::OkStatus();
}

absl::Status RowImporter::FindTypes(OpenedFile* file) {
  std::string sql;
  for (const Property& property : properties_) {
    const std::string text = TextSql(columns_[property.column]);
    // A code like "0042" would lose its zero as a number.
    sql += (sql.empty() ? "SELECT " : ", ") +
           ("bool_and(" + text + " = '' OR (TRY_CAST(" + text +
            " AS DOUBLE) IS NOT NULL AND isfinite(TRY_CAST(" + text +
            " AS DOUBLE)) AND NOT regexp_matches(" + text + ", '^[+-]?0[0-9]'))), bool_and(" +
            text + " IN ('', 'true', 'false'))");
  }
  if (sql.empty()) return absl::OkStatus();
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result result,
                           file->connection.Query(sql + " FROM " + file->relation));
  FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
  for (size_t i = 0; i < properties_.size(); ++i) {
    const int column = static_cast<int>(2 * i);
    const auto all = [&](int at) { return !chunk.is_null(at, 0) && chunk.data<bool>(at)[0]; };
    if (all(column)) properties_[i].type = PropertyType::kNumber;
    if (all(column + 1)) properties_[i].type = PropertyType::kBool;
  }
  return absl::OkStatus();
}

std::string_view RowImporter::Cell(const ImportRow& row, std::string_view name) const {
  for (const auto& [column, index] : named_) {
    if (column == name) return row[index];
  }
  return {};
}

std::optional<int64_t> RowImporter::ReceivedMs(const ImportRow& row) const {
  const std::string_view text = Cell(row, "received");
  return text.empty() ? std::nullopt : ParseImportTime(text);
}

std::optional<std::string> RowImporter::ReadTime(const ImportRow& row, int64_t* ts_ms) const {
  const std::string_view text = Cell(row, "ts");
  const std::optional<int64_t> ms = ParseImportTime(text);
  if (!ms) return "ts " + Quote(text) + " is not a time between 2000 and 2200";
  *ts_ms = *ms;
  if (const std::string_view received = Cell(row, "received"); !received.empty()) {
    const std::optional<int64_t> received_ms = ParseImportTime(received);
    if (!received_ms) return "received " + Quote(received) + " is not a time between 2000 and 2200";
    if (request_.received_ms > 0 && *received_ms > request_.received_ms) {
      return "received " + Quote(received) + " is in the future";
    }
  }
  if (!Cell(row, "extra").empty()) {
    return "its column extra holds properties beyond those that have columns; give each a column";
  }
  return std::nullopt;
}

std::optional<std::string> RowImporter::ReadProperties(const ImportRow& row) {
  views_.clear();
  for (const Property& property : properties_) {
    const std::string_view text = row[property.column];
    if (text.empty()) continue;
    PropertyView view{.key = property.key, .type = property.type};
    if (property.type == PropertyType::kNumber) {
      const std::optional<double> number = ParseDouble(text);
      if (!number) return property.key + " " + Quote(text) + " is not a number";
      view.number = *number;
    } else if (property.type == PropertyType::kBool) {
      view.boolean = text == "true";
    } else {
      view.text = text;
    }
    views_.push_back(view);
  }
  return std::nullopt;
}

std::optional<std::string> RowImporter::AddExposure(const ImportRow& row, BatchBuilder* batch) {
  ExposureView exposure;
  if (auto why = ReadTime(row, &exposure.ts_ms)) return why;
  if (auto why = ReadProperties(row)) return why;
  exposure.exposure_id = Cell(row, "exposure_id");
  exposure.experiment = Cell(row, "experiment");
  exposure.variant = Cell(row, "variant");
  exposure.unit = {Cell(row, "unit_kind"), Cell(row, "unit")};
  if (exposure.unit.kind.empty()) exposure.unit.kind = request_.unit_kind;
  exposure.snapshot = Cell(row, "snapshot");
  exposure.attributes = views_;
  if (!IsKey(exposure.experiment)) {
    return "experiment " + Quote(exposure.experiment) + " is not a key ([A-Za-z0-9._-]+)";
  }
  if (exposure.variant.empty()) return "variant is empty";
  if (exposure.unit.id.empty()) return "unit is empty";
  if (const std::string_view text = Cell(row, "phase"); !text.empty()) {
    const std::optional<int64_t> phase = ParseInt(text);
    if (!phase || *phase < 0 || *phase > INT32_MAX) return "phase " + Quote(text) + " is no phase";
    exposure.phase = static_cast<int32_t>(*phase);
  }
  if (const std::string_view text = Cell(row, "propensity"); !text.empty()) {
    const std::optional<double> propensity = ParseDouble(text);
    if (!propensity || *propensity <= 0 || *propensity > 1) {
      return "propensity " + Quote(text) + " is not in (0, 1]";
    }
    exposure.propensity = *propensity;
  }
  batch->Add(exposure);
  return std::nullopt;
}

std::optional<std::string> RowImporter::AddEvent(const ImportRow& row, BatchBuilder* batch) {
  EventView event;
  if (auto why = ReadTime(row, &event.ts_ms)) return why;
  if (auto why = ReadProperties(row)) return why;
  event.event_id = Cell(row, "event_id");
  event.name = Cell(row, "name");
  event.order_id = Cell(row, "order_id");
  event.session_id = Cell(row, "session_id");
  event.currency = Cell(row, "currency");
  event.properties = views_;
  ids_.clear();
  for (const UnitColumn& unit : units_) {
    if (!row[unit.column].empty()) ids_.push_back({unit.kind, row[unit.column]});
  }
  if (const std::string_view unit = Cell(row, "unit"); !unit.empty()) {
    const std::string_view kind = Cell(row, "unit_kind");
    ids_.push_back({kind.empty() ? std::string_view(request_.unit_kind) : kind, unit});
  }
  event.ids = ids_;
  if (event.name.empty()) return "name is empty";
  if (ids_.empty()) return "it has no unit";
  if (const std::string_view text = Cell(row, "value"); !text.empty()) {
    event.value = ParseDouble(text);
    if (!event.value) return "value " + Quote(text) + " is not a number";
  }
  batch->Add(event);
  return std::nullopt;
}

std::optional<std::string> RowImporter::AddLink(const ImportRow& row, BatchBuilder* batch) {
  LinkView link;
  if (auto why = ReadTime(row, &link.ts_ms)) return why;
  link.anonymous = {Cell(row, "anonymous_kind"), Cell(row, "anonymous")};
  link.known = {Cell(row, "known_kind"), Cell(row, "known")};
  if (link.anonymous.kind.empty()) link.anonymous.kind = request_.anonymous_kind;
  if (link.known.kind.empty()) link.known.kind = request_.unit_kind;
  if (link.anonymous.id.empty()) return "anonymous is empty";
  if (link.known.id.empty()) return "known is empty";
  batch->Add(link);
  return std::nullopt;
}

std::optional<std::string> RowImporter::Add(const ImportRow& row, BatchBuilder* batch) {
  for (size_t i = 0; i < row.size(); ++i) {
    if (!IsValidUtf8(row[i])) return "column " + Quote(columns_[i].name) + " is not valid UTF-8";
  }
  switch (request_.kind) {
    case ImportKind::kExposures:
      return AddExposure(row, batch);
    case ImportKind::kEvents:
      return AddEvent(row, batch);
    case ImportKind::kLinks:
      break;
  }
  return AddLink(row, batch);
}

}  // namespace fulcrum::store
