// SPDX-License-Identifier: Apache-2.0
//
// A running server, as the command line finds and asks it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fulcrum::cli {

// `serve` leaves its URL in the data directory, so that other subcommands find who holds it.
absl::Status AnnounceServer(const std::string& data_dir, const std::string& url);
void WithdrawServer(const std::string& data_dir);
// "" where none is announced, or where none answers there any more (it was killed).
std::string AnnouncedServer(const std::string& data_dir);

// GET url+path. `key` is sent as a bearer token unless "". Errors carry the server's own message:
// NotFound for 404, InvalidArgument for other 4xx, Unavailable where nobody answers.
absl::StatusOr<std::string> Get(const std::string& url, const std::string& path,
                                const std::string& key);

// One connection for many calls. Errors are Get's; ResourceExhausted where the server is busy (429,
// 503): ask again after a while.
class ServerSession {
 public:
  ServerSession(const std::string& url, const std::string& key);
  ~ServerSession();
  // POST with the query in `path`.
  absl::StatusOr<std::string> Post(const std::string& path, std::string_view body,
                                   const char* content_type);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "a b" -> "a%20b", for a value in a query.
std::string QueryText(std::string_view text);

}  // namespace fulcrum::cli
