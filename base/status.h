// SPDX-License-Identifier: Apache-2.0
//
// The two status macros, and the one place where Debian's absl::string_view meets
// std::string_view. A message says what, where, and what to do.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fulcrum {

// Debian 12's Abseil is built for C++14, where absl::string_view is a type of its own.
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }
inline std::string_view Message(const absl::Status& status) { return ToStd(status.message()); }

inline absl::Status InvalidArgument(std::string_view m) {
  return absl::InvalidArgumentError(ToAbsl(m));
}
inline absl::Status NotFound(std::string_view m) { return absl::NotFoundError(ToAbsl(m)); }
inline absl::Status FailedPrecondition(std::string_view m) {
  return absl::FailedPreconditionError(ToAbsl(m));
}
inline absl::Status Unavailable(std::string_view m) { return absl::UnavailableError(ToAbsl(m)); }
inline absl::Status Internal(std::string_view m) { return absl::InternalError(ToAbsl(m)); }

// The same error, with where it happened in front: "loading x.yaml: <message>".
inline absl::Status Annotate(const absl::Status& status, std::string_view where) {
  if (status.ok()) return status;
  std::string text(where);
  text.append(": ").append(Message(status));
  return absl::Status(status.code(), text);
}

}  // namespace fulcrum

#define FULCRUM_CONCAT_INNER_(a, b) a##b
#define FULCRUM_CONCAT_(a, b) FULCRUM_CONCAT_INNER_(a, b)

#define FULCRUM_RETURN_IF_ERROR(expr)                                                         \
  do {                                                                                        \
    if (absl::Status fulcrum_status_ = (expr); !fulcrum_status_.ok()) return fulcrum_status_; \
  } while (false)

#define FULCRUM_ASSIGN_OR_RETURN(lhs, expr) \
  FULCRUM_ASSIGN_OR_RETURN_IMPL_(FULCRUM_CONCAT_(fulcrum_or_, __LINE__), lhs, expr)
#define FULCRUM_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                   \
  if (!tmp.ok()) return tmp.status();                  \
  lhs = std::move(tmp).value()
