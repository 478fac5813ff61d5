// SPDX-License-Identifier: Apache-2.0
#include "store/export.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/status.h"

namespace fulcrum::store {
namespace {

constexpr const char* kViews[] = {"exposures", "events", "links", "client_counts", "results"};

absl::Status ExportOne(duckdb::Connection& connection, const std::string& view,
                       const std::string& path, const std::string& options) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) {
    return absl::AlreadyExistsError(path + " is already there; give an empty directory");
  }
  const std::string partial = path + ".partial";
  const absl::Status status = connection.Execute("COPY (SELECT * FROM " + view + ") TO " +
                                                 duckdb::QuoteText(partial) + " (" + options + ")");
  if (!status.ok()) {
    std::remove(partial.c_str());
    return Annotate(status, "exporting " + view + " to " + path);
  }
  if (std::rename(partial.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return Unavailable("cannot rename " + partial + " to " + path + ": " + strerror(errno));
}

}  // namespace

absl::Status ExportTo(duckdb::Connection& connection, const std::string& directory,
                      const std::string& format) {
  std::string options;
  if (format == "parquet") {
    options = "FORMAT parquet, COMPRESSION zstd";
  } else if (format == "csv") {
    options = "FORMAT csv, HEADER true";
  } else {
    return InvalidArgument("cannot export as \"" + format + "\"; the formats are parquet and csv");
  }
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return Unavailable("cannot make the directory " + directory + ": " + strerror(errno));
  }
  for (const std::string view : kViews) {
    FULCRUM_RETURN_IF_ERROR(
        ExportOne(connection, view, directory + "/" + view + "." + format, options));
  }
  return absl::OkStatus();
}

}  // namespace fulcrum::store
