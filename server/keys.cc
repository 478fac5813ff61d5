// SPDX-License-Identifier: Apache-2.0
#include "server/keys.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "absl/strings/escaping.h"
#include "base/status.h"
#include "base/text.h"
#include "server/http.h"

namespace fulcrum::server {
namespace {

using nlohmann::json;

constexpr size_t kMinSecretBytes = 8;

absl::StatusOr<uint8_t> ParseScopes(const json& list, const std::string& where) {
  uint8_t scopes = 0;
  if (list.is_array()) {
    for (const json& item : list) {
      const std::string name = item.is_string() ? item.get<std::string>() : item.dump();
      if (name == "client") {
        scopes |= kScopeClient;
      } else if (name == "server") {
        scopes |= kScopeServer;
      } else if (name == "read") {
        scopes |= kScopeRead;
      } else if (name == "admin") {
        scopes |= kScopeAdmin;
      } else {
        return InvalidArgument(where + ": unknown scope '" + name +
                               "'; write client, server, read or admin.");
      }
    }
  }
  if (scopes == 0) {
    return InvalidArgument(where +
                           ": 'scopes' must list at least one of client, server, read, "
                           "admin.");
  }
  return scopes;
}

absl::StatusOr<Key> ParseKey(const json& item, const std::string& where) {
  if (!item.is_object()) return InvalidArgument(where + " must be an object.");
  for (const auto& [field, value] : item.items()) {
    if (field != "name" && field != "key" && field != "scopes" && field != "requests_per_second") {
      return InvalidArgument(where + ": unknown field '" + field +
                             "'; a key has name, key, scopes and requests_per_second.");
    }
  }
  Key key;
  if (!item.contains("name") || !item["name"].is_string() ||
      item["name"].get<std::string>().empty()) {
    return InvalidArgument(where + ": 'name' must be text; it is what the audit shows.");
  }
  key.name = item["name"].get<std::string>();
  if (!item.contains("key") || !item["key"].is_string() ||
      item["key"].get<std::string>().size() < kMinSecretBytes) {
    return InvalidArgument(where + ": 'key' must be text of at least 8 bytes.");
  }
  key.secret = item["key"].get<std::string>();
  FULCRUM_ASSIGN_OR_RETURN(
      key.scopes, ParseScopes(item.value("scopes", json()), where + " (" + key.name + ")"));
  if (item.contains("requests_per_second")) {
    const json& rate = item["requests_per_second"];
    if (!rate.is_number() || !(rate.get<double>() >= 1)) {
      return InvalidArgument(where + ": 'requests_per_second' must be a number of at least 1.");
    }
    key.requests_per_second = rate.get<double>();
  }
  return key;
}

}  // namespace

bool RateLimit::Take(int64_t steady_now_ms, int* retry_after_s) {
  MutexLock lock(&mutex_);
  if (last_ms_ == 0) last_ms_ = steady_now_ms;
  const double elapsed_s =
      static_cast<double>(std::max<int64_t>(0, steady_now_ms - last_ms_)) / 1e3;
  last_ms_ = std::max(last_ms_, steady_now_ms);
  tokens_ = std::min(per_second_, tokens_ + elapsed_s * per_second_);
  if (tokens_ >= 1) {
    tokens_ -= 1;
    return true;
  }
  *retry_after_s = std::max(1, static_cast<int>(std::ceil((1 - tokens_) / per_second_)));
  return false;
}

absl::StatusOr<std::unique_ptr<KeyRing>> KeyRing::Load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return InvalidArgument("The key file " + path +
                           " cannot be read; check that it exists and that this user may read it.");
  }
  return Parse(text.str(), path);
}

absl::StatusOr<std::unique_ptr<KeyRing>> KeyRing::Parse(std::string_view text,
                                                        std::string_view name) {
  const std::string file(name);
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) return InvalidArgument(file + " is not valid JSON.");
  if (!root.is_object() || root.size() != 1 || !root.contains("keys") || !root["keys"].is_array() ||
      root["keys"].empty()) {
    return InvalidArgument(file + " must be {\"keys\": [...]} with at least one key.");
  }
  auto ring = std::make_unique<KeyRing>();
  std::set<std::string> names, secrets;
  for (size_t i = 0; i < root["keys"].size(); ++i) {
    const std::string where = file + ": keys[" + std::to_string(i) + "]";
    Entry entry;
    FULCRUM_ASSIGN_OR_RETURN(entry.key, ParseKey(root["keys"][i], where));
    if (!names.insert(entry.key.name).second || !secrets.insert(entry.key.secret).second) {
      return InvalidArgument(where + " repeats the name or the key of another entry.");
    }
    if (entry.key.requests_per_second > 0) {
      entry.limit = std::make_unique<RateLimit>(entry.key.requests_per_second);
    }
    ring->entries_.push_back(std::move(entry));
  }
  return ring;
}

const KeyRing::Entry* KeyRing::Find(std::string_view secret) const {
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    const std::string& expected = entry.key.secret;
    unsigned differs = expected.size() == secret.size() ? 0 : 1;
    for (size_t i = 0; i < expected.size(); ++i) {
      const char other = secret.empty() ? '\0' : secret[i % secret.size()];
      differs |= static_cast<unsigned char>(expected[i]) ^ static_cast<unsigned char>(other);
    }
    if (differs == 0) found = &entry;
  }
  return found;
}

std::string_view KeyFromAuthorization(std::string_view authorization, std::string* buffer) {
  const size_t space = authorization.find(' ');
  if (space == std::string_view::npos) return {};
  const std::string_view scheme = authorization.substr(0, space);
  std::string_view rest = authorization.substr(space + 1);
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  if (EqualsIgnoreCase(scheme, "bearer")) return rest;
  if (!EqualsIgnoreCase(scheme, "basic")) return {};
  if (!absl::Base64Unescape(ToAbsl(rest), buffer)) return {};
  return std::string_view(*buffer).substr(0, buffer->find(':'));
}

}  // namespace fulcrum::server
