// SPDX-License-Identifier: Apache-2.0
//
// Which column a property goes to. A key gets a number at first sight, and a typed column for each
// type it comes with; columns are added to the tables when they are first needed.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "store/batch.h"
#include "store/duckdb_api.h"
#include "store/staged_table.h"

namespace fulcrum::store {

// Not thread-safe: the loader's.
class PropertyColumns {
 public:
  // `tables` have the same columns and get the same new ones.
  PropertyColumns(int scope, std::vector<StagedTable*> tables)
      : scope_(scope), tables_(std::move(tables)) {}

  absl::Status Load(duckdb::Connection* connection);
  // The index of the staged tables' column; -1 = there are too many keys (or the key is not valid
  // UTF-8: check the row's text before).
  int ColumnFor(const PropertyView& property);
  // ALTER TABLE … for what was added since, inside the caller's transaction. True = something was.
  absl::StatusOr<bool> Write(duckdb::Connection* connection);

 private:
  struct Slots {
    int32_t id = 0;
    std::array<int, 3> columns = {-1, -1, -1};  // By PropertyType.
    bool changed = false;
  };
  int AddColumn(const Slots& slots, PropertyType type);

  const int scope_;
  std::vector<StagedTable*> tables_;
  absl::flat_hash_map<std::string, Slots> slots_;
  std::vector<std::string> alterations_;
};

}  // namespace fulcrum::store
