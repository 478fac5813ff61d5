// SPDX-License-Identifier: Apache-2.0
//
// Inside ImportFile: which column plays which part, and one row of texts as one item of a batch.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "store/batch.h"
#include "store/file_source.h"
#include "store/import.h"

namespace fulcrum::store {

// Cells of a row as texts; "" = absent.
using ImportRow = std::vector<std::string_view>;

// Not thread-safe: it holds room for one row.
class RowImporter {
 public:
  // Scans the file once for the types of the properties. InvalidArgument: a column is missing.
  static absl::StatusOr<RowImporter> Make(const ImportRequest& request, OpenedFile* file);

  // SQL of every column as text, in the order of ImportRow.
  const std::string& select() const { return select_; }

  // Adds the row to the batch; else says why not.
  std::optional<std::string> Add(const ImportRow& row, BatchBuilder* batch);

  // When the row says it was received; nullopt = it does not say.
  std::optional<int64_t> ReceivedMs(const ImportRow& row) const;

 private:
  struct Property {
    size_t column = 0;
    std::string key;
    PropertyType type = PropertyType::kString;
  };
  struct UnitColumn {
    size_t column = 0;
    std::string kind;
  };

  explicit RowImporter(const ImportRequest& request) : request_(request) {}
  absl::Status AssignColumns(const OpenedFile& file);
  absl::Status FindTypes(OpenedFile* file);
  std::string_view Cell(const ImportRow& row, std::string_view name) const;
  std::optional<std::string> ReadTime(const ImportRow& row, int64_t* ts_ms) const;
  std::optional<std::string> ReadProperties(const ImportRow& row);
  std::optional<std::string> AddExposure(const ImportRow& row, BatchBuilder* batch);
  std::optional<std::string> AddEvent(const ImportRow& row, BatchBuilder* batch);
  std::optional<std::string> AddLink(const ImportRow& row, BatchBuilder* batch);

  ImportRequest request_;
  std::string select_;
  std::vector<FileColumn> columns_;
  std::vector<std::pair<std::string, size_t>> named_;  // The columns with a meaning of their own.
  std::vector<UnitColumn> units_;
  std::vector<Property> properties_;
  std::vector<PropertyView> views_;
  std::vector<UnitRef> ids_;
};

// A time as a cell may hold it; nullopt = none that is accepted as data.
std::optional<int64_t> ParseImportTime(std::string_view text);

}  // namespace fulcrum::store
