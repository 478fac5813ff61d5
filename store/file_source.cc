// SPDX-License-Identifier: Apache-2.0
#include "store/file_source.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/status.h"
#include "base/text.h"

namespace fulcrum::store {
namespace {

constexpr size_t kMaxNamedUnknowns = 20;

std::string FormatOf(const FileSource& source) {
  if (!source.format.empty()) return source.format;
  const std::string extension = std::filesystem::path(source.path).extension().string();
  if (extension == ".parquet") return "parquet";
  if (extension == ".duckdb" || extension == ".db") return "duckdb";
  if (extension == ".csv" || extension == ".tsv" || extension == ".gz") return "csv";
  return "";
}

absl::StatusOr<std::string> OnlyTable(duckdb::Connection& connection) {
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result tables,
                           connection.Query("SELECT table_name FROM information_schema.tables "
                                            "WHERE table_catalog = 'data' ORDER BY table_name"));
  std::vector<std::string> names;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, tables.Next());
    if (!chunk) break;
    for (int64_t i = 0; i < chunk.size(); ++i) names.emplace_back(chunk.text(0, i));
  }
  if (names.size() == 1) return names.front();
  std::string message = names.empty() ? "the database has no table" : "name the table to read: ";
  for (size_t i = 0; i < names.size(); ++i) message += (i > 0 ? ", " : "") + names[i];
  return InvalidArgument(message);
}

absl::StatusOr<std::string> RelationOf(const FileSource& source, const std::string& format,
                                       duckdb::Connection& connection) {
  const std::string path = duckdb::QuoteText(source.path);
  if (format == "csv") {
    // As text: a bad value then costs its row and not the file, and says why.
    return "read_csv(" + path + ", all_varchar = true, header = true, store_rejects = true)";
  }
  if (format == "parquet") return "read_parquet(" + path + ")";
  if (format != "duckdb") {
    return InvalidArgument("the format of " + source.path +
                           " is not known; say csv, parquet or duckdb");
  }
  FULCRUM_RETURN_IF_ERROR(connection.Execute("ATTACH " + path + " AS data (READ_ONLY)"));
  std::string table = source.table;
  if (table.empty()) {
    FULCRUM_ASSIGN_OR_RETURN(table, OnlyTable(connection));
  }
  return "data." + duckdb::QuoteName(table);
}

}  // namespace

absl::StatusOr<FileColumn> OpenedFile::Find(std::string_view column,
                                            std::string_view used_by) const {
  std::vector<std::string> names;
  for (const FileColumn& candidate : columns) {
    if (candidate.name == column) return candidate;
    names.push_back(candidate.name);
  }
  std::string message = std::string(used_by) + " reads column \"" + std::string(column) +
                        "\", which the data does not have; it has ";
  for (size_t i = 0; i < names.size(); ++i) message += (i > 0 ? ", " : "") + names[i];
  const std::string near = DidYouMean(column, names);
  if (!near.empty()) message += "; did you mean \"" + near + "\"?";
  return InvalidArgument(message);
}

absl::StatusOr<OpenedFile> OpenFile(const FileSource& source, int64_t memory_limit_bytes) {
  const bool is_glob = source.path.find_first_of("*?[") != std::string::npos;
  std::error_code error;
  if (!is_glob && !std::filesystem::exists(source.path, error)) {
    return NotFound("the data file " + source.path + " does not exist; check its path");
  }
  OpenedFile file;
  const std::filesystem::path spill =
      std::filesystem::temp_directory_path(error) / ("fulcrum-spill-" + std::to_string(::getpid()));
  FULCRUM_ASSIGN_OR_RETURN(
      file.database, duckdb::Database::Open(
                         "", {{"memory_limit", std::to_string(memory_limit_bytes / 1024) + "KiB"},
                              {"threads", "2"},
                              {"temp_directory", spill.string()}}));
  FULCRUM_ASSIGN_OR_RETURN(file.connection, file.database.Connect());
  const std::string format = FormatOf(source);
  FULCRUM_ASSIGN_OR_RETURN(file.relation, RelationOf(source, format, file.connection));
  file.is_csv = format == "csv";
  absl::StatusOr<duckdb::Result> described = file.connection.Query(
      "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM " + file.relation + ")");
  if (!described.ok()) return Annotate(described.status(), "reading " + source.path);
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, described->Next());
    if (!chunk) break;
    for (int64_t i = 0; i < chunk.size(); ++i) {
      file.columns.push_back({std::string(chunk.text(0, i)), std::string(chunk.text(1, i))});
    }
  }
  return file;
}

absl::Status CountUnreadableLines(OpenedFile* file, Health* health) {
  if (!file->is_csv) return absl::OkStatus();
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result rejects,
      file->connection.Query(
          "SELECT lower(error_type::VARCHAR), count(DISTINCT (file_id, line))::DOUBLE "
          "FROM reject_errors WHERE scan_id = (SELECT max(scan_id) FROM reject_scans) "
          "GROUP BY ALL"));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rejects.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t i = 0; i < chunk.size(); ++i) {
      const double lines = chunk.data<double>(1)[i];
      health->rejected_rows += lines;
      health->rejected_reasons["line: " + std::string(chunk.text(0, i))] += lines;
    }
  }
}

void CountRejected(std::string_view reason, Health* health) {
  ++health->rejected_rows;
  ++health->rejected_reasons[std::string(reason)];
}

absl::StatusOr<ArmMap> ArmMap::Make(const FileSource& source, const Plan& plan) {
  ArmMap map;
  const std::vector<Arm>& arms = plan.population.arms;
  const auto index_of = [&](const std::string& key) {
    const auto it =
        std::find_if(arms.begin(), arms.end(), [&](const Arm& arm) { return arm.key == key; });
    return it == arms.end() ? -1 : static_cast<int>(it - arms.begin());
  };
  for (const Arm& arm : arms) {
    if (source.arms.empty()) map.arms_[arm.key] = index_of(arm.key);
  }
  for (const auto& [value, key] : source.arms) {
    const int index = index_of(key);
    if (index < 0) {
      return InvalidArgument("data value \"" + value + "\" is mapped to arm \"" + key +
                             "\", which the experiment does not have");
    }
    map.arms_[value] = index;
  }
  return map;
}

int ArmMap::Find(std::string_view value) const {
  const auto it = arms_.find(std::string(value));
  return it == arms_.end() ? -1 : it->second;
}

void ArmMap::CountUnknown(std::string_view value, Health* health) {
  ++health->unknown_variant_exposures;
  auto& named = health->unknown_variants;
  const std::string name(value);
  if (named.size() < kMaxNamedUnknowns || named.count(name) > 0) ++named[name];
}

std::string NumberSql(const FileColumn& column) {
  const std::string name = duckdb::QuoteName(column.name);
  if (column.type != "VARCHAR") return "TRY_CAST(" + name + " AS DOUBLE)";
  return "coalesce(TRY_CAST(" + name + " AS DOUBLE), CASE lower(" + name +
         ") WHEN 'true' THEN 1.0::DOUBLE WHEN 'false' THEN 0.0::DOUBLE END)";
}

absl::StatusOr<PlanResult> RunOnFile(const FileSource& source, const Plan& plan) {
  if (plan.population.active_units) {
    return InvalidArgument("units by their activity are found in a store; import the file first");
  }
  return source.per_event ? RunOnEventRows(source, plan) : RunOnUnitRows(source, plan);
}

}  // namespace fulcrum::store
