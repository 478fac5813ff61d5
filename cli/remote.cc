// SPDX-License-Identifier: Apache-2.0
#include "cli/remote.h"

#include <httplib.h>

#include <cctype>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "cli/command.h"

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
  if (url.empty()) return url;
  httplib::Client client(url);
  client.set_connection_timeout(2);
  return client.Get("/healthz") ? url : "";
}

namespace {

absl::StatusOr<std::string> Answer(const std::string& url, const std::string& path,
                                   const httplib::Result& result) {
  if (!result) {
    return absl::UnavailableError(absl::StrCat("no server answers at ", url, " (",
                                               httplib::to_string(result.error()),
                                               "); start one with 'fulcrum serve'."));
  }
  if (result->status == 200) return result->body;
  const std::string message =
      absl::StrCat(url, path, " answered ", result->status, ": ", result->body);
  if (result->status == 404) return absl::NotFoundError(message);
  if (result->status == 429 || result->status == 503) return absl::ResourceExhaustedError(message);
  if (result->status >= 400 && result->status < 500) return absl::InvalidArgumentError(message);
  return absl::UnavailableError(message);
}

void Prepare(const std::string& key, httplib::Client* client) {
  // Months of data may take their time.
  client->set_read_timeout(3600);
  client->set_tcp_nodelay(true);
  if (!key.empty()) client->set_bearer_token_auth(key);
}

}  // namespace

absl::StatusOr<std::string> Get(const std::string& url, const std::string& path,
                                const std::string& key) {
  httplib::Client client(url);
  Prepare(key, &client);
  return Answer(url, path, client.Get(path));
}

struct ServerSession::Impl {
  std::string url;
  httplib::Client client;
};

ServerSession::ServerSession(const std::string& url, const std::string& key)
    : impl_(new Impl{url, httplib::Client(url)}) {
  Prepare(key, &impl_->client);
  impl_->client.set_keep_alive(true);
}
ServerSession::~ServerSession() = default;

absl::StatusOr<std::string> ServerSession::Post(const std::string& path, std::string_view body,
                                                const char* content_type) {
  return Answer(impl_->url, path, impl_->client.Post(path, body.data(), body.size(), content_type));
}

std::string QueryText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_') {
      out += c;
    } else {
      char escape[4];
      std::snprintf(escape, sizeof escape, "%%%02X", byte);
      out += escape;
    }
  }
  return out;
}

}  // namespace fulcrum::cli
