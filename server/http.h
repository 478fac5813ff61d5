// SPDX-License-Identifier: Apache-2.0
//
// Start here to read a route: what a handler is given and what it gives back, with no socket, no
// thread and no HTTP library in sight. listener.h carries these over TCP; tests make them by hand.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fulcrum::server {

struct Header {
  std::string_view name;
  std::string_view value;
};

// All views; they live as long as the call that takes the request.
struct Request {
  std::string_view method;  // "GET", "POST", "OPTIONS", ...
  std::string_view path;    // Without the query, still percent-encoded.
  std::string_view query;   // After '?', still percent-encoded.
  std::span<const Header> headers;
  std::string_view body;
  bool body_too_large = false;  // More was announced than is allowed; `body` is empty then.

  // The first header of this name, whatever its case; "" where there is none.
  std::string_view Find(std::string_view name) const;
};

// Server-sent events: the listener calls Next until it says false or the client has gone. Each call
// may block for some seconds and gives bytes to send at once ("" = nothing yet).
class EventStream {
 public:
  virtual ~EventStream() = default;
  virtual bool Next(std::string* bytes) = 0;
};

struct Response {
  int status = 200;
  std::string_view content_type = "application/json";  // A constant of the program.
  std::string body;
  std::vector<std::pair<std::string_view, std::string>> headers;  // Names are constants.
  std::unique_ptr<EventStream> stream;                            // Instead of a body.

  void Set(std::string_view name, std::string value) {
    headers.emplace_back(name, std::move(value));
  }
  // "" where it was not set.
  std::string_view Get(std::string_view name) const;
  // Makes it as good as new but keeps the body's capacity.
  void Clear();
};

// ASCII only, as header names are.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

// "%41+b" -> "A+b"; false where an escape is broken. With `form`, '+' is a space.
bool PercentDecode(std::string_view text, bool form, std::string* out);

// "a=1&b=x%20y" decoded, in order. False where an escape is broken.
bool ParseQuery(std::string_view query, std::vector<std::pair<std::string, std::string>>* out);

}  // namespace fulcrum::server
