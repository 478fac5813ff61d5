// SPDX-License-Identifier: Apache-2.0
//
// Whether one audience provably contains another. Private to this folder.
#pragma once

#include <optional>
#include <string>

#include "experiments/definition.h"

namespace fulcrum::experiments {

// The audience with every segment replaced by its condition; everyone (an empty `all`) where there
// is none.
Condition ResolvedAudience(const Project& project, const std::optional<Condition>& audience);

// True only if whoever satisfies `narrow` satisfies `wide`, whatever their attributes. False where
// it cannot be shown. By structure: `in` with more values, a lower `gte`, fewer entries of `all`.
bool Implies(const Condition& narrow, const Condition& wide);

// Equal but for positions.
bool SameCondition(const Condition& a, const Condition& b);

// In the words of the grammar, on one line: "all(channel in [search, organic], not(tester =
// true))".
std::string ConditionText(const Condition& condition);
std::string ScalarText(const Scalar& value);

}  // namespace fulcrum::experiments
