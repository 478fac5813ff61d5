// SPDX-License-Identifier: Apache-2.0
//
// What Definitions must satisfy beyond their shape: every name resolves, every number is in range,
// nothing is cyclic, nobody is in two experiments of a layer. load.h calls it; definitions made in
// memory call it directly.
#pragma once

#include <vector>

#include "experiments/definition.h"
#include "experiments/load.h"

namespace fulcrum::experiments {

enum class ValidateMode {
  kProject,  // A directory: everything that compile.h needs must be there.
  kAnalyze,  // One file with data: no salt, schedule or audience is needed, variants may be named
             // by any printable text.
};

// All problems, ordered by file, line and column; empty when sound. Pure.
std::vector<Diagnostic> Validate(const Definitions& definitions,
                                 ValidateMode mode = ValidateMode::kProject);

}  // namespace fulcrum::experiments
