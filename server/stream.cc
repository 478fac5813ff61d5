// SPDX-License-Identifier: Apache-2.0
//
// GET /ofrep/v1/stream: server-sent events that tell a web client to evaluate again.
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "server/app_state.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

constexpr size_t kMaxHolderBytes = 64;
constexpr int64_t kLookEveryMs = 500;     // How long a client that has gone keeps its place.
constexpr int64_t kPingEveryMs = 15'000;  // Well within inactivityDelaySec of the bulk answer.

// Holds one of the places of those who wait, and counts as `holder`'s.
class ChangeStream : public EventStream {
 public:
  // `known_id`: of the last event the client saw before its connection broke, "" = none.
  ChangeStream(AppState& state, std::string holder, std::string_view known_id)
      : state_(state), holder_(std::move(holder)), etag_(state.published()->wire_etag) {
    state_.streams.Add(holder_);
    // What changed between the client's evaluation (or its last event) and now it is told at once;
    // where nothing did, its conditional request is answered 304.
    is_behind_ = known_id != IdOf(etag_);
  }
  ~ChangeStream() override {
    state_.streams.Remove(holder_);
    state_.long_polls.Give();
  }

  bool Next(std::string* bytes) override {
    bytes->clear();
    if (!greeted_) {
      greeted_ = true;
      *bytes = ": connected\n\n";  // The client's open event does not wait for the first change.
      return true;
    }
    const std::shared_ptr<const Published> published =
        is_behind_ ? state_.published() : state_.WaitForOther(etag_, kLookEveryMs);
    if (!is_behind_ && published->wire_etag == etag_) {
      quiet_ms_ += kLookEveryMs;
      if (quiet_ms_ >= kPingEveryMs) {
        quiet_ms_ = 0;
        *bytes = ": ping\n\n";
      }
    } else {
      is_behind_ = false;
      quiet_ms_ = 0;
      etag_ = published->wire_etag;
      *bytes = "id: ";
      bytes->append(IdOf(etag_)).append("\nevent: message\ndata: ");
      std::string data = "{";
      AppendField("type", "refetchEvaluation", &data);
      AppendField("etag", etag_, &data);
      AppendField("lastModified", published->created_ms / kSecondMs, &data);
      *bytes += data + "}\n\n";
    }
    MutexLock lock(&state_.mutex);
    return !state_.draining;
  }

 private:
  // The tag without its quotes: one line of plain letters, the same on every server.
  static std::string_view IdOf(std::string_view etag) { return etag.substr(1, etag.size() - 2); }

  AppState& state_;
  const std::string holder_;
  std::string etag_;
  int64_t quiet_ms_ = 0;  // Since something was sent.
  bool is_behind_ = false;
  bool greeted_ = false;
};

void AppendPercentEncoded(std::string_view text, std::string* out) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out->push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      *out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
}

}  // namespace

void StreamHolders::Add(const std::string& holder) {
  MutexLock lock(&mutex_);
  ++open_[holder];
}

void StreamHolders::Remove(const std::string& holder) {
  MutexLock lock(&mutex_);
  const auto at = open_.find(holder);
  if (at != open_.end() && --at->second == 0) open_.erase(at);
}

bool StreamHolders::Has(const std::string& holder) const {
  MutexLock lock(&mutex_);
  return open_.contains(holder);
}

std::string StreamUri(AppState& state, const Caller& caller, std::string_view targeting_key) {
  if (state.keys != nullptr && caller.public_key.empty()) return "";
  // Not the id itself: addresses are logged on their way.
  std::string tag = EntityTag(targeting_key);
  tag = tag.substr(1, tag.size() - 2);
  // Whoever holds a stream is told of it also when no place is left: a client that is not told
  // closes the one it has, and would be deaf.
  const bool has_room = state.long_polls.used() < state.options.limits.max_long_polls;
  if (!has_room && !state.streams.Has(tag)) return "";
  std::string uri(InfoOf(Route::kOfrepStream).pattern);
  uri += "?unit=" + tag;
  if (state.keys == nullptr) return uri;
  uri += "&token=";
  AppendPercentEncoded(caller.public_key, &uri);
  return uri;
}

void OpenStream(AppState& state, const Request& request, Response* response) {
  std::vector<std::pair<std::string, std::string>> query;
  std::string holder;
  if (!ParseQuery(request.query, &query)) {
    return ReplyError(400, "PARSE_ERROR", "The query has a broken %-escape.", response);
  }
  for (auto& [name, value] : query) {
    if (name == "unit" && value.size() <= kMaxHolderBytes) holder = std::move(value);
  }
  if (!state.long_polls.TryTake()) {
    return ReplyBusy(503, "BUSY", "All places for waiting connections are taken; poll instead.", 30,
                     response);
  }
  response->stream =
      std::make_unique<ChangeStream>(state, std::move(holder), request.Find("last-event-id"));
  response->content_type = "text/event-stream";
  response->Set("Cache-Control", "no-cache");
}

}  // namespace fulcrum::server
