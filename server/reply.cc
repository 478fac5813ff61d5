// SPDX-License-Identifier: Apache-2.0
#include "server/reply.h"

#include <charconv>

#include "base/status.h"
#include "base/text.h"
#include "core/hash.h"

namespace fulcrum::server {
namespace {

// Text from a request that is put into a message may be of any bytes; JSON may not.
void AppendSafe(std::string_view text, std::string* out) {
  if (IsValidUtf8(text)) {
    AppendJsonString(text, out);
    return;
  }
  std::string ascii(text);
  for (char& c : ascii) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  AppendJsonString(ascii, out);
}

}  // namespace

void ReplyError(int status, std::string_view code, std::string_view details, Response* response,
                std::string_view key) {
  response->status = status;
  response->content_type = "application/json";
  std::string& out = response->body;
  out.assign(1, '{');
  if (!key.empty()) {
    out += "\"key\":";
    AppendSafe(key, &out);
    out += ",";
  }
  out += "\"errorCode\":";
  AppendJsonString(code, &out);
  out += ",\"errorDetails\":";
  AppendSafe(details, &out);
  out += ",\"metadata\":{}}";
}

void ReplyBusy(int status, std::string_view code, std::string_view details, int retry_after_s,
               Response* response) {
  ReplyError(status, code, details, response);
  response->Set("Retry-After", std::to_string(retry_after_s));
}

void ReplyStatus(const absl::Status& status, Response* response) {
  const std::string_view details = Message(status);
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ReplyError(400, "INVALID_ARGUMENT", details, response);
    case absl::StatusCode::kNotFound:
      return ReplyError(404, "NOT_FOUND", details, response);
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return ReplyError(409, "CONFLICT", details, response);
    case absl::StatusCode::kResourceExhausted:
      return ReplyBusy(503, "BUSY", details, 1, response);
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ReplyBusy(503, "UNAVAILABLE", details, 5, response);
    default:
      return ReplyError(500, "GENERAL", details, response);
  }
}

std::string EntityTag(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  const uint64_t hash = core::Xxh3(bytes);
  std::string tag(1, '"');
  for (int shift = 60; shift >= 0; shift -= 4) tag.push_back(kHex[(hash >> shift) & 15]);
  tag.push_back('"');
  return tag;
}

bool MatchesTag(std::string_view if_none_match, std::string_view etag) {
  while (!if_none_match.empty()) {
    const size_t comma = if_none_match.find(',');
    std::string_view tag = if_none_match.substr(0, comma);
    if_none_match =
        comma == std::string_view::npos ? std::string_view() : if_none_match.substr(comma + 1);
    while (!tag.empty() && (tag.front() == ' ' || tag.front() == '\t')) tag.remove_prefix(1);
    while (!tag.empty() && (tag.back() == ' ' || tag.back() == '\t')) tag.remove_suffix(1);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || (!tag.empty() && tag == etag)) return true;
  }
  return false;
}

void AppendInt(int64_t value, std::string* out) {
  char buffer[24];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out->append(buffer, static_cast<size_t>(end - buffer));
}

void AppendDouble(double value, std::string* out) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out->append(buffer, static_cast<size_t>(end - buffer));
}

void AppendName(std::string_view name, std::string* out) {
  if (!out->empty() && out->back() != '{' && out->back() != '[') out->push_back(',');
  AppendJsonString(name, out);
  out->push_back(':');
}

void AppendField(std::string_view name, std::string_view value, std::string* out) {
  AppendName(name, out);
  AppendSafe(value, out);
}

void AppendField(std::string_view name, const char* value, std::string* out) {
  AppendField(name, std::string_view(value), out);
}

void AppendField(std::string_view name, int64_t value, std::string* out) {
  AppendName(name, out);
  AppendInt(value, out);
}

void AppendField(std::string_view name, bool value, std::string* out) {
  AppendName(name, out);
  out->append(value ? "true" : "false");
}

}  // namespace fulcrum::server
