// SPDX-License-Identifier: Apache-2.0
#include "cli/remote.h"

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include <httplib.h>

namespace fulcrum::cli {
namespace {

std::string UrlFile(const std::string& data_dir) { return data_dir + "/server.url"; }

}  // namespace

absl::Status AnnounceServer(const std::string& data_dir, const std::string& url) {
  return WriteOutput(UrlFile(data_dir), url + "\n");
}

void WithdrawServer(const std::string& data_dir) { std::remove(UrlFile(data_dir).c_str()); }

std::string AnnouncedServer(const std::string& data_dir) {
  std::ifstream file(UrlFile(data_dir));
  std::string url;
  std::getline(file, url);
  return url;
}

absl::StatusOr<std::string> Get(const std::string& url, const std::string& path,
                                const std::string& key) {
  httplib::Client client(url);
  // A report over months of data may take its time.
  client.set_read_timeout(600);
  client.set_tcp_nodelay(true);
  if (!key.empty()) client.set_bearer_token_auth(key);
  const httplib::Result result = client.Get(path);
  if (!result) {
    return absl::UnavailableError(absl::StrCat("no server answers at ", url, " (",
                                               httplib::to_string(result.error()),
                                               "); start one with 'fulcrum serve'."));
  }
  if (result->status == 200) return result->body;
  const std::string message =
      absl::StrCat(url, path, " answered ", result->status, ": ", result->body);
  if (result->status == 404) return absl::NotFoundError(message);
  if (result->status >= 400 && result->status < 500 && result->status != 429) {
    return absl::InvalidArgumentError(message);
  }
  return absl::UnavailableError(message);
}

}  // namespace fulcrum::cli
