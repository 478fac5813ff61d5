// SPDX-License-Identifier: Apache-2.0
//
// GET /ofrep/v1/stream: server-sent events that tell a web client to evaluate again.
#include <string>
#include <utility>

#include "base/time.h"
#include "server/app_state.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

constexpr int64_t kPingEveryMs = 15'000;  // Well within inactivityDelaySec of the bulk answer.

// Holds one of the places of those who wait.
class ChangeStream : public EventStream {
 public:
  explicit ChangeStream(AppState& state) : state_(state), etag_(state.published()->wire_etag) {}
  ~ChangeStream() override { state_.long_polls.Give(); }

  bool Next(std::string* bytes) override {
    if (!greeted_) {
      greeted_ = true;
      *bytes = ": connected\n\n";  // The client's open event does not wait for the first change.
      return true;
    }
    const std::shared_ptr<const Published> published = state_.WaitForOther(etag_, kPingEveryMs);
    if (published->wire_etag == etag_) {
      *bytes = ": ping\n\n";
    } else {
      etag_ = published->wire_etag;
      *bytes = "id: ";
      AppendInt(++id_, bytes);
      *bytes += "\nevent: message\ndata: ";
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
  AppState& state_;
  std::string etag_;
  int64_t id_ = 0;
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

std::string StreamUri(AppState& state, const Caller& caller) {
  if (state.long_polls.used() >= state.options.limits.max_long_polls) return "";
  std::string uri(InfoOf(Route::kOfrepStream).pattern);
  if (state.keys == nullptr) return uri;
  if (caller.public_key.empty()) return "";
  uri += "?token=";
  AppendPercentEncoded(caller.public_key, &uri);
  return uri;
}

void OpenStream(AppState& state, Response* response) {
  if (!state.long_polls.TryTake()) {
    return ReplyBusy(503, "BUSY", "All places for waiting connections are taken; poll instead.", 30,
                     response);
  }
  response->stream = std::make_unique<ChangeStream>(state);
  response->content_type = "text/event-stream";
  response->Set("Cache-Control", "no-cache");
}

}  // namespace fulcrum::server
