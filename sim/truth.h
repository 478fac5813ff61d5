// SPDX-License-Identifier: Apache-2.0
//
// True effects by potential outcomes: every exposed user's life is lived again under each variant
// of the experiment with the same luck and the same variants of all other experiments; the
// difference of the averages is the effect, exactly, on the estimand that the report uses (its
// window, its maturity, the units it analyses). Nothing here reads a store or a report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/world.h"

namespace fulcrum::sim {

struct TrueEffect {
  std::string experiment;
  std::string variant;
  std::string control;
  std::string metric;
  std::string stage;         // Funnels: the stage; "" otherwise.
  int64_t units = 0;         // Analysed, over all arms: whose average it is.
  double control_value = 0;  // Had all of them been shown the control …
  double variant_value = 0;  // … and had all been shown the variant.
  double effect = 0;         // variant_value - control_value.
  double lift = 0;           // effect / |control_value|; 0 where that is 0.
  // Of `effect` as an estimate of the effect on the endless population these units come from;
  // 0 for ratios and quantiles, where it is not computed.
  double standard_error = 0;
};

// What was counted in one arm of the world as it happened, to be compared with a store's counts
// where nothing was lost.
struct ArmCount {
  std::string experiment;
  std::string variant;
  int64_t units = 0;      // First shown in this arm.
  int64_t exposures = 0;  // Received, repeats of an id included.
};

// What the units of one arm did, as it happened: a metric's units and the sum of their values.
struct ArmFigure {
  std::string experiment;
  std::string variant;
  std::string metric;
  std::string stage;
  bool denominator = false;  // Of a ratio; its numerator is a figure of its own.
  int64_t n = 0;             // Units analysed: first shown in this arm, and mature.
  double sum = 0;
};

struct TruthOptions {
  int64_t as_of_ms = 0;  // 0 = the world's end.
  int threads = 1;       // The result does not depend on it.
  // Follow outcomes this long past the as-of where a time would be censored.
  int64_t follow_ms = 30LL * 24 * 3600 * 1000;
};

struct Truth {
  std::vector<TrueEffect> effects;
  std::vector<ArmCount> arms;
  std::vector<ArmFigure> figures;  // Without quantiles and times, and before caps by quantile.

  const TrueEffect* Find(std::string_view experiment, std::string_view variant,
                         std::string_view metric, std::string_view stage = "") const;
};

// `assign` must be pure and thread-safe (core::Decide on a fixed snapshot): it is asked again for
// every life lived. REQUIRES every experiment to have a control.
Truth ComputeTruth(const World& world, const AssignFn& assign, const TruthOptions& options);

}  // namespace fulcrum::sim
