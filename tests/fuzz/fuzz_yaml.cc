// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as an experiment or an analyze file: diagnostics or definitions, never a crash.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "experiments/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fulcrum::experiments::LoadAnalyzeText("fuzz.yaml", text);
  fulcrum::experiments::LoadFromFiles({{"project.yaml", "project: p\nunits: {user: {}}\n"},
                                       {"experiments/x.yaml", std::string(text)}});
  return 0;
}
