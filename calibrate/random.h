// SPDX-License-Identifier: Apache-2.0
//
// A fast generator for one replication. Private to calibrate/.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "sim/rng.h"

namespace fulcrum::calibrate {

// xoshiro256++ (Blackman and Vigna 2021), seeded by SplitMix64. Thread-compatible.
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& s : state_) s = seed = sim::Mix(seed);
  }

  uint64_t Bits() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // In (0, 1), never an end point.
  double Uniform() { return (static_cast<double>(Bits() >> 11) + 0.5) * 0x1.0p-53; }
  bool Chance(double p) { return Uniform() < p; }
  double Exponential() { return -std::log(Uniform()); }

  // Box and Muller (1958), both branches.
  double Normal() {
    if (spare_ready_) {
      spare_ready_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2 * std::log(Uniform()));
    const double angle = 2 * std::numbers::pi * Uniform();
    spare_ = radius * std::sin(angle);
    spare_ready_ = true;
    return radius * std::cos(angle);
  }

 private:
  uint64_t state_[4];
  double spare_ = 0;
  bool spare_ready_ = false;
};

}  // namespace fulcrum::calibrate
