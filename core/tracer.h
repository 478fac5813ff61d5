// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "core/decide.h"

// What the evaluator is parameterised with: Decide compiles every report away, Explain keeps it.
// Internal to core/.
namespace fulcrum::core {

struct NullTracer {
  static constexpr bool kOn = false;
};

class TextTracer {
 public:
  static constexpr bool kOn = true;
  explicit TextTracer(Trace* trace) : trace_(trace) {}

  void Step(std::string_view experiment, std::string_view rule, bool passed, std::string detail,
            int depth = 0) {
    trace_->steps.push_back(
        {std::string(experiment), std::string(rule), passed, std::move(detail), depth});
  }
  // Reserves the place of a step whose outcome is known only after the steps below it.
  size_t Open() {
    trace_->steps.emplace_back();
    return trace_->steps.size() - 1;
  }
  void Close(size_t place, std::string_view experiment, std::string_view rule, bool passed,
             std::string detail, int depth) {
    trace_->steps[place] = {std::string(experiment), std::string(rule), passed, std::move(detail),
                            depth};
  }

 private:
  Trace* trace_;
};

}  // namespace fulcrum::core
