// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/value.h"

namespace fulcrum::core {

// One identity of whoever is deciding: {"user", "u-81"}, {"device", "9f3c"}, {"order", "55"}.
// `id` is any bytes; an empty id is no id.
struct UnitId {
  std::string_view kind;
  std::string_view id;
};

// What a unit was given before, for experiments that are sticky (or whose enrolment has closed).
// The host keeps it; Decide only honours it. A variant the experiment no longer has is ignored.
struct Prior {
  std::string_view experiment;
  std::string_view variant;
  int32_t phase = -1;  // the phase it was assigned in; -1 where the host does not know
};

// Everything a decision may depend on, besides the snapshot. All views: what they point to must
// outlive the call, and nothing is kept after it. There is no clock: the caller says what time it
// is, which makes every decision reproducible.
//
// The unit of an experiment is looked up by its unit kind in `units`; where that kind is absent
// and it is the project's default kind, `targeting_key` is the unit id. (A cluster or switchback
// experiment takes its unit from an attribute instead; see snapshot_data.h.)
struct Context {
  std::string_view targeting_key;
  std::span<const UnitId> units;
  std::span<const Attribute> attributes;
  int64_t now_ms = 0;  // UTC
  std::span<const Prior> priors;
};

}  // namespace fulcrum::core
