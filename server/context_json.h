// SPDX-License-Identifier: Apache-2.0
//
// From the context of an OFREP body, or the query of a URL, to a core::Context.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/context.h"
#include "server/published.h"

namespace fulcrum::server {

// Reusable storage of one context; its views end with the next parse on this thread.
struct ContextBuffer {
  std::vector<core::Attribute> attributes;
  std::vector<core::UnitId> units;
  core::Context context;

  void Clear() {
    attributes.clear();
    units.clear();
    context = {};
  }
};

// OFREP's errorCode and errorDetails.
struct ContextError {
  std::string_view code;
  std::string details;
};

// {"context": {"targetingKey": …, attribute: …}}. `context` and `targetingKey` may be missing or
// null. Attributes named as a unit kind are identities of that kind as well. Attributes that the
// project does not declare are ignored, since a context serves more than one reader; a declared one
// with an array or object is passed on as a value of no type, so that exactly the experiments that
// read it are type mismatches.
bool ParseContext(const Published& published, std::string_view body, int64_t now_ms,
                  ContextBuffer* buffer, ContextError* error);

// ?unit=…&name=value, read by the declared types. `unit` is of `unit_kind`. Unlike above, a name
// that is neither a declared attribute nor a unit kind is an error: whoever types it by hand wants
// to know. `query` must outlive the buffer's use.
bool ParseQueryContext(const Published& published, std::string_view unit_kind, int64_t now_ms,
                       const std::vector<std::pair<std::string, std::string>>& query,
                       ContextBuffer* buffer, ContextError* error);

}  // namespace fulcrum::server
