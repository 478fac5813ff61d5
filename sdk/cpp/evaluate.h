// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/context.h"
#include "core/decide.h"
#include "sdk/cpp/include/fulcrum/client.h"
#include "sdk/cpp/priors.h"
#include "sdk/cpp/ready.h"

namespace fulcrum::sdk {

// An evaluation with its value as JSON text, which lives as long as evaluation.keep does.
struct Answer {
  Evaluation evaluation;
  std::string_view value;  // "" where neither a variant nor the experiment's own default gives one
};

// Decides on the snapshot. `priors` (guarded by `mutex`) are read and written for experiments that
// are sticky; nullptr: none are kept.
Answer EvaluateLocally(const std::shared_ptr<const Ready>& ready, std::string_view experiment,
                       const Context& context, int64_t now_ms, PriorTable* priors,
                       std::mutex* mutex);
std::string ExplainLocally(const Ready& ready, std::string_view experiment, const Context& context,
                           int64_t now_ms);

// The value read as what the caller asked for; false where it is of another type.
bool ReadBool(std::string_view json, bool* value);
bool ReadInt(std::string_view json, int64_t* value);
bool ReadDouble(std::string_view json, double* value);
bool ReadString(std::string_view json, std::string* value);

}  // namespace fulcrum::sdk
