// SPDX-License-Identifier: Apache-2.0
#include "store/import.h"

#include <fstream>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "core/hash.h"
#include "store/import_rows.h"

namespace fulcrum::store {
namespace {

constexpr int64_t kBatchItems = 5000;
constexpr size_t kBatchBytes = 4 << 20;
constexpr int64_t kMemoryBytes = 1LL << 30;

std::string CsvCell(std::string_view text) {
  std::string cell = "\"";
  for (const char c : text) {
    if (c == '"') cell += '"';
    cell += c;
  }
  return cell + "\"";
}

// The file of rows that were left out, made when the first one is.
class RejectedRows {
 public:
  explicit RejectedRows(std::string path) : path_(std::move(path)) {}

  absl::Status Add(int64_t row, std::string_view reason, std::string_view data) {
    if (path_.empty()) return absl::OkStatus();
    if (!file_.is_open()) {
      file_.open(path_, std::ios::trunc);
      file_ << "row,reason,data\n";
    }
    file_ << row << ',' << CsvCell(reason) << ',' << CsvCell(data) << '\n';
    if (file_) return absl::OkStatus();
    return Unavailable("cannot write the rejected rows to " + path_);
  }
  absl::Status Close() {
    if (!file_.is_open()) return absl::OkStatus();
    file_.close();
    return file_ ? absl::OkStatus() : Unavailable("cannot write the rejected rows to " + path_);
  }

 private:
  const std::string path_;
  std::ofstream file_;
};

class Import {
 public:
  Import(const ImportSink& sink, const ImportRequest& request)
      : sink_(sink), request_(request), rejected_(request.rejected_path) {}

  absl::StatusOr<ImportResult> Run() {
    FULCRUM_ASSIGN_OR_RETURN(
        OpenedFile file,
        OpenFile({.path = request_.path, .format = request_.format, .table = request_.table},
                 kMemoryBytes));
    FULCRUM_ASSIGN_OR_RETURN(RowImporter importer, RowImporter::Make(request_, &file));
    FULCRUM_RETURN_IF_ERROR(ReadRows(&file, &importer));
    FULCRUM_RETURN_IF_ERROR(Send());
    if (file.is_csv) FULCRUM_RETURN_IF_ERROR(NoteUnreadableLines(&file.connection));
    FULCRUM_RETURN_IF_ERROR(rejected_.Close());
    FULCRUM_RETURN_IF_ERROR(sink_.flush());
    if (request_.progress) request_.progress(result_.rows);
    return result_;
  }

 private:
  absl::Status ReadRows(OpenedFile* file, RowImporter* importer) {
    FULCRUM_ASSIGN_OR_RETURN(
        duckdb::Result rows,
        file->connection.Stream("SELECT " + importer->select() + " FROM " + file->relation));
    ImportRow row(file->columns.size());
    while (true) {
      FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
      if (!chunk) return absl::OkStatus();
      for (int64_t i = 0; i < chunk.size(); ++i) {
        for (size_t column = 0; column < row.size(); ++column) {
          const int at = static_cast<int>(column);
          row[column] = chunk.is_null(at, i) ? std::string_view() : chunk.text(at, i);
        }
        FULCRUM_RETURN_IF_ERROR(AddRow(row, importer));
      }
      if (request_.progress) request_.progress(result_.rows);
    }
  }

  absl::Status AddRow(const ImportRow& row, RowImporter* importer) {
    ++result_.rows;
    // A batch was received at one instant.
    const std::optional<int64_t> said_ms = importer->ReceivedMs(row);
    const int64_t received_ms = said_ms.value_or(request_.received_ms);
    const bool other = received_ms != received_ms_ || said_ms.has_value() != history_;
    if (batch_.size() >= kBatchItems || batch_.payload().size() >= kBatchBytes ||
        (batch_.size() > 0 && other)) {
      FULCRUM_RETURN_IF_ERROR(Send());
    }
    received_ms_ = received_ms;
    history_ = said_ms.has_value();
    const std::optional<std::string> why = importer->Add(row, &batch_);
    if (!why) return absl::OkStatus();
    ++result_.rejected;
    std::string data;
    for (size_t i = 0; i < row.size(); ++i) data.append(i == 0 ? "" : ",").append(row[i]);
    return rejected_.Add(result_.rows, *why, data);
  }

  absl::Status Send() {
    if (batch_.size() == 0) return absl::OkStatus();
    // The same rows at the same place make the same id: importing again repeats nothing.
    const uint64_t hash = core::Xxh3(batch_.payload());
    const std::string batch_id =
        "import/" + std::to_string(batches_++) + "/" + std::to_string(hash);
    const AppendRequest request{.batch_id = batch_id,
                                .body_hash = hash,
                                .payload = batch_.payload(),
                                .items = batch_.size(),
                                .received_ms = received_ms_,
                                .history = history_};
    absl::StatusOr<AppendResult> sent = sink_.append(request);
    while (sent.status().code() == absl::StatusCode::kResourceExhausted) {
      FULCRUM_RETURN_IF_ERROR(sink_.flush());
      sent = sink_.append(request);
    }
    FULCRUM_RETURN_IF_ERROR(sent.status());
    result_.accepted += batch_.size();
    if (sent->replayed) result_.replayed += batch_.size();
    batch_.Clear();
    return absl::OkStatus();
  }

  // Lines of a CSV file that could not be split into its columns.
  absl::Status NoteUnreadableLines(duckdb::Connection* connection) {
    FULCRUM_ASSIGN_OR_RETURN(
        duckdb::Result lines,
        connection->Query("SELECT line::BIGINT, min(error_message), min(csv_line) "
                          "FROM reject_errors WHERE scan_id = (SELECT max(scan_id) FROM "
                          "reject_scans) GROUP BY file_id, line ORDER BY file_id, line"));
    while (true) {
      FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, lines.Next());
      if (!chunk) return absl::OkStatus();
      for (int64_t i = 0; i < chunk.size(); ++i) {
        ++result_.rows;
        ++result_.rejected;
        FULCRUM_RETURN_IF_ERROR(rejected_.Add(chunk.data<int64_t>(0)[i],
                                              "line of the file: " + TextAt(chunk, 1, i),
                                              TextAt(chunk, 2, i)));
      }
    }
  }

  static std::string TextAt(const duckdb::Chunk& chunk, int column, int64_t row) {
    return chunk.is_null(column, row) ? "" : std::string(chunk.text(column, row));
  }

  const ImportSink& sink_;
  const ImportRequest& request_;
  RejectedRows rejected_;
  ImportResult result_;
  BatchBuilder batch_;
  int64_t received_ms_ = 0;
  bool history_ = false;  // The rows say when they were received.
  int64_t batches_ = 0;
};

}  // namespace

absl::StatusOr<ImportResult> ImportFile(const ImportSink& sink, const ImportRequest& request) {
  return Import(sink, request).Run();
}

absl::StatusOr<ImportResult> ImportFile(Store* store, const ImportRequest& request) {
  return ImportFile(
      ImportSink{.append = [store](const AppendRequest& batch) { return store->Append(batch); },
                 .flush = [store] { return store->Flush(); }},
      request);
}

}  // namespace fulcrum::store
