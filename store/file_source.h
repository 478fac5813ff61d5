// SPDX-License-Identifier: Apache-2.0
//
// Inside RunOnFile: a data file opened as a DuckDB relation, and its two shapes. Included by
// file_*.cc only; callers use RunOnFile in store.h.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/duckdb_api.h"
#include "store/plan.h"
#include "store/store.h"

namespace fulcrum::store {

struct FileColumn {
  std::string name;
  std::string type;  // DuckDB's name of it. Every column of a CSV file is VARCHAR.
};

// A file as something to select from. Not thread-safe.
struct OpenedFile {
  duckdb::Database database;
  duckdb::Connection connection;
  std::string relation;  // What to put after FROM.
  std::vector<FileColumn> columns;
  bool is_csv = false;

  // InvalidArgument: names what uses the column, and the columns that exist.
  absl::StatusOr<FileColumn> Find(std::string_view column, std::string_view used_by) const;
};

absl::StatusOr<OpenedFile> OpenFile(const FileSource& source, int64_t memory_limit_bytes);

// Adds lines of a CSV file that could not be split into the file's columns, as the last scan saw
// them, to the rejected rows of `health`.
absl::Status CountUnreadableLines(OpenedFile* file, Health* health);

void CountRejected(std::string_view reason, Health* health);

// Which arm a value of the arm column stands for.
class ArmMap {
 public:
  // InvalidArgument: source.arms names an arm that the plan does not have.
  static absl::StatusOr<ArmMap> Make(const FileSource& source, const Plan& plan);
  // -1 = unknown, which is counted under the value's own name.
  int Find(std::string_view value) const;
  static void CountUnknown(std::string_view value, Health* health);

 private:
  std::unordered_map<std::string, int> arms_;
};

// SQL of a column as a double (booleans are 0 and 1), NULL where it is no number.
std::string NumberSql(const FileColumn& column);

absl::StatusOr<PlanResult> RunOnUnitRows(const FileSource& source, const Plan& plan);
absl::StatusOr<PlanResult> RunOnEventRows(const FileSource& source, const Plan& plan);

}  // namespace fulcrum::store
