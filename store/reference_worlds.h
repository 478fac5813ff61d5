// SPDX-License-Identifier: Apache-2.0
//
// For differential tests: small random worlds (a plan and a history) full of what goes wrong in
// real data, the comparison of two results, and the shrinking of a failing world to a minimal one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "store/plan.h"
#include "store/reference.h"

namespace fulcrum::store {

struct World {
  Plan plan;
  History history;
};

// The same seed gives the same world on every platform. Holds repeated ids, disorder, late arrival,
// ties in time, links before and after, shared and multiple ids, refunds, units in several arms,
// unknown variants, empty arms, text where numbers are expected, other kinds and experiments.
World MakeWorld(uint64_t seed);

// "" when the two are the same: counts, tables and caps exactly, moments to `tolerance`. Else the
// first difference in words.
std::string Difference(const PlanResult& got, const PlanResult& want, double tolerance = 1e-9);

// Removes everything that can go while `fails` stays true.
World Shrink(World world, const std::function<bool(const World&)>& fails);

// As C++ that makes it, to read and to paste into a test.
std::string Describe(const World& world);

// Views into an event or exposure of a history; valid while it and the scratch live.
struct ViewScratch {
  std::vector<PropertyView> properties;
  std::vector<UnitRef> ids;
};
ExposureView View(const PastExposure& exposure, ViewScratch* scratch);
EventView View(const PastEvent& event, ViewScratch* scratch);
LinkView View(const PastLink& link);

}  // namespace fulcrum::store
