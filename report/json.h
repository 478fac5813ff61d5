// SPDX-License-Identifier: Apache-2.0
//
// The lossless form of a Report, docs/schema/report.schema.json. Doubles survive exactly (shortest
// form that reads back the same), +-infinity is the text "Infinity" / "-Infinity", an absent number
// is null. Both directions and the schema walk the one field list in fields.h.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "report/report.h"

namespace fulcrum::report {

// Two-space indented UTF-8 with a final newline.
std::string ToJson(const Report& report);

// InvalidArgument names the field that is missing, unknown or of the wrong type, and the version
// when it is not ours.
absl::StatusOr<Report> FromJson(std::string_view text);

// The JSON Schema (draft-07) of ToJson's output, from the same field list.
std::string JsonSchema();

}  // namespace fulcrum::report
