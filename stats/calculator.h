// SPDX-License-Identifier: Apache-2.0
// Every statistical method by name, on plain values: what `fulcrum stats METHOD` runs.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "stats/value.h"

namespace fulcrum::stats {

// Outcome of a calculation. `error` is one sentence naming the field at fault; empty is success.
struct [[nodiscard]] CalculatorStatus {
  std::string error;
  bool ok() const { return error.empty(); }
};

struct MethodInfo {
  std::string_view name;
  std::string_view summary;  // one line
};

// All methods, sorted by name.
std::span<const MethodInfo> Methods();

// Runs `method` on the object `inputs` and stores an object in `*result`. Numbers in it are never
// NaN: what is not defined is null. Unknown methods, missing fields and inputs that contradict
// each other are errors; `*result` is then null. Where a method has `alpha` and the inputs do
// not, 0.05 is used and echoed. Pure; safe from any thread.
CalculatorStatus Calculate(std::string_view method, const Value& inputs, Value* result);

}  // namespace fulcrum::stats
