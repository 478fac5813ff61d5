// SPDX-License-Identifier: Apache-2.0
#include "store/property_columns.h"

#include "base/status.h"
#include "base/text.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

ColumnSpec SpecOf(int32_t property, PropertyType type) {
  switch (type) {
    case PropertyType::kBool:
      return {BoolColumn(property), DUCKDB_TYPE_BOOLEAN, true};
    case PropertyType::kNumber:
      return {NumberColumn(property), DUCKDB_TYPE_DOUBLE, true};
    case PropertyType::kString:
      break;
  }
  return {TextColumn(property), DUCKDB_TYPE_INTEGER, true};
}

const char* SqlType(PropertyType type) {
  switch (type) {
    case PropertyType::kBool:
      return "BOOLEAN";
    case PropertyType::kNumber:
      return "DOUBLE";
    case PropertyType::kString:
      break;
  }
  return "INTEGER";
}

}  // namespace

int PropertyColumns::AddColumn(const Slots& slots, PropertyType type) {
  int column = -1;
  for (StagedTable* table : tables_) column = table->AddColumn(SpecOf(slots.id, type));
  return column;
}

absl::Status PropertyColumns::Load(duckdb::Connection* connection) {
  slots_.clear();
  alterations_.clear();
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      connection->Query("SELECT id, key, has_bool, has_number, has_text FROM properties "
                        "WHERE scope = $1 ORDER BY id",
                        {int32_t{scope_}}));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      Slots slots{.id = chunk.data<int32_t>(0)[row]};
      for (int type = 0; type < 3; ++type) {
        if (!chunk.data<bool>(2 + type)[row]) continue;
        slots.columns[static_cast<size_t>(type)] =
            AddColumn(slots, static_cast<PropertyType>(type));
      }
      slots_.emplace(std::string(chunk.text(1, row)), slots);
    }
  }
}

int PropertyColumns::ColumnFor(const PropertyView& property) {
  auto it = slots_.find(ToAbsl(property.key));
  if (it == slots_.end()) {
    if (slots_.size() >= kMaxProperties || !IsValidUtf8(property.key)) return -1;
    const auto id = static_cast<int32_t>(slots_.size());
    it = slots_.emplace(std::string(property.key), Slots{.id = id}).first;
  }
  int& column = it->second.columns[static_cast<size_t>(property.type)];
  if (column >= 0) return column;
  column = AddColumn(it->second, property.type);
  it->second.changed = true;
  const ColumnSpec spec = SpecOf(it->second.id, property.type);
  for (const StagedTable* table : tables_) {
    alterations_.push_back("ALTER TABLE " + table->table() + " ADD COLUMN " + spec.name + " " +
                           SqlType(property.type));
  }
  return column;
}

absl::StatusOr<bool> PropertyColumns::Write(duckdb::Connection* connection) {
  if (alterations_.empty()) return false;
  for (const std::string& alteration : alterations_) {
    FULCRUM_RETURN_IF_ERROR(connection->Execute(alteration));
  }
  alterations_.clear();
  for (auto& [key, slots] : slots_) {
    if (!slots.changed) continue;
    slots.changed = false;
    FULCRUM_RETURN_IF_ERROR(connection->Execute(
        "DELETE FROM properties WHERE scope = $1 AND id = $2", {int32_t{scope_}, slots.id}));
    FULCRUM_RETURN_IF_ERROR(connection->Execute(
        "INSERT INTO properties(scope, id, key, has_bool, has_number, has_text) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        {int32_t{scope_}, slots.id, std::string_view(key), slots.columns[0] >= 0,
         slots.columns[1] >= 0, slots.columns[2] >= 0}));
  }
  return true;
}

}  // namespace fulcrum::store
