// SPDX-License-Identifier: Apache-2.0
//
// `exclude: {when: …}` in the form a store tests: alternatives, each a list of tests that must all
// hold.
#pragma once

#include <string>
#include <vector>

#include "experiments/definition.h"

namespace fulcrum::experiments {

// Empty where the condition cannot be put so; then *why says what to write instead. A test on an
// attribute is a PropertyFilter whose property is the attribute.
std::vector<std::vector<PropertyFilter>> ExclusionTests(const Condition& condition,
                                                        std::string* why);

}  // namespace fulcrum::experiments
