// SPDX-License-Identifier: Apache-2.0
//
// Randomness as a function, not a sequence: every draw is named by (seed, user, purpose, visit), so
// no draw depends on the order of users, on threads, or on how many draws came before. The same
// user met under two variants therefore has the same luck, which is what makes the difference
// between the two lives a true effect.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace fulcrum::sim {

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection with full avalanche.
constexpr uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

constexpr uint64_t MixTwo(uint64_t a, uint64_t b) {
  return Mix(Mix(a) ^ (b * 0xd6e8feb86659fd93ULL));
}

// What a draw decides. Numbers are part of the seed: append, never reorder.
enum class Purpose : uint32_t {
  kChannel = 1,
  kPlatform,
  kVersion,
  kExisting,
  kIntent,
  kWealth,
  kDevices,
  kRemembered,
  kArrivalDay,
  kArrivalHour,
  kHistory,
  kOrdersBefore,
  kDevicePick,
  kSearch,
  kConsult,
  kConsultDelay,
  kAnswerDelay,
  kCart,
  kCartDelay,
  kRegister,
  kRegisterDelay,
  kLogin,
  kOrder,
  kOrderDelay,
  kOrderValue,
  kPay,
  kPayDelay,
  kCancel,
  kCancelDelay,
  kRefund,
  kRefundDelay,
  kRefundShare,
  kService,
  kServiceDelay,
  kRating,
  kReturn,
  kGap,
  kGapHour,
  kBlocked,
  kLost,
  kDuplicated,
  kDelayed,
  kDelay,
};

// The draws of one user. A value; thread-compatible.
class UserRandom {
 public:
  UserRandom(uint64_t seed, uint64_t user) : key_(MixTwo(seed, user)) {}

  uint64_t Bits(Purpose purpose, uint64_t visit = 0, uint64_t part = 0) const {
    return MixTwo(key_ + part * 0xa0761d6478bd642fULL,
                  (static_cast<uint64_t>(purpose) << 40) + visit);
  }

  // In (0, 1), never an end point.
  double Uniform(Purpose purpose, uint64_t visit = 0, uint64_t part = 0) const {
    return (static_cast<double>(Bits(purpose, visit, part) >> 11) + 0.5) * 0x1.0p-53;
  }

  bool Chance(double p, Purpose purpose, uint64_t visit = 0, uint64_t part = 0) const {
    return Uniform(purpose, visit, part) < p;
  }

  // Standard normal (Box and Muller 1958, the cosine branch).
  double Normal(Purpose purpose, uint64_t visit = 0, uint64_t part = 0) const {
    const double radius = std::sqrt(-2.0 * std::log(Uniform(purpose, visit, part)));
    return radius * std::cos(2.0 * std::numbers::pi * Uniform(purpose, visit, part + 0x10000));
  }

  // Median `median`, spread `sigma` on the log scale.
  double LogNormal(double median, double sigma, Purpose purpose, uint64_t visit = 0) const {
    return median * std::exp(sigma * Normal(purpose, visit));
  }

 private:
  uint64_t key_;
};

inline double Logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }

}  // namespace fulcrum::sim
