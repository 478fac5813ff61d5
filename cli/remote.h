// SPDX-License-Identifier: Apache-2.0
//
// A running server, as the command line finds and asks it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fulcrum::cli {

// `serve` leaves its URL in the data directory, so that other subcommands find who holds it.
absl::Status AnnounceServer(const std::string& data_dir, const std::string& url);
void WithdrawServer(const std::string& data_dir);
// "" where none is announced.
std::string AnnouncedServer(const std::string& data_dir);

// GET url+path. `key` is sent as a bearer token unless "". Errors carry the server's own message:
// NotFound for 404, InvalidArgument for other 4xx, Unavailable where nobody answers.
absl::StatusOr<std::string> Get(const std::string& url, const std::string& path,
                                const std::string& key);

}  // namespace fulcrum::cli
