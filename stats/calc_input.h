// SPDX-License-Identifier: Apache-2.0
// For the calculator's own files only: reads fields out of a Value and complains by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "stats/gram.h"
#include "stats/moments.h"
#include "stats/types.h"
#include "stats/value.h"

namespace fulcrum::stats {

// Thrown by Input and by methods, caught in Calculate and nowhere else: some 150 methods read half
// a dozen fields each, and an error check per field would bury every formula.
class BadInput : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A view of one object or array of the inputs, with its path ("treatment.n") for messages.
class Input {
 public:
  explicit Input(const Value& value, std::string path = "") : value_(&value), path_(path) {}

  [[noreturn]] void Fail(std::string_view name, std::string_view what) const;

  const Value& value() const { return *value_; }
  bool Has(std::string_view name) const;  // present and not null
  Input At(std::string_view name) const;  // any present member
  std::vector<Input> Items(std::string_view name) const;
  std::vector<Input> Elements() const;  // of this array

  double Number(std::string_view name) const;  // finite
  double NumberOr(std::string_view name, double fallback) const;
  double NumberOrInfinity(std::string_view name) const;
  double Positive(std::string_view name) const;
  double NonNegative(std::string_view name) const;
  double Probability(std::string_view name) const;      // in [0, 1]
  double OpenProbability(std::string_view name) const;  // in (0, 1)
  double Alpha() const;                                 // `alpha`, 0.05 where absent
  std::int64_t Count(std::string_view name) const;      // whole, 0 to 2^53
  std::int64_t CountAtLeast(std::string_view name, std::int64_t least) const;
  std::string Text(std::string_view name) const;
  bool BoolOr(std::string_view name, bool fallback) const;
  std::vector<double> Numbers(std::string_view name) const;
  std::vector<double> NumbersAtLeast(std::string_view name, std::size_t least) const;
  std::vector<double> Numbers() const;  // of this array
  std::vector<std::vector<double>> Rows(std::string_view name) const;

  // {x, n}, x <= n, n >= 1. The four-field form reads x1, n1 and the like from this object.
  Proportion Rate(std::string_view name) const;
  Proportion Rate(std::string_view x, std::string_view n) const;
  // {n, sum, sum_squares}, {mean, var, n}, {x, n} or a raw array; at least `least` units.
  Moments Summary(std::string_view name, std::int64_t least = 2) const;
  Moments Summary(std::int64_t least = 2) const;

 private:
  double ToNumber(const Value& value, std::string_view name, bool infinite) const;
  std::string Path(std::string_view name) const;

  const Value* value_;
  std::string path_;
};

// One arm's Gram: raw `rows` (arrays of one length), {n, mean, cov} with the unbiased covariance,
// or {n, sum, cross} with raw totals and cross-products. Refuses by name what is not symmetric, not
// positive semidefinite beyond rounding, or of fewer than `least` units.
Gram ReadGram(const Input& in, std::int64_t least = 2);
// `treatment` and `control` of one width.
struct GramArms {
  Gram treatment;
  Gram control;
};
GramArms ReadArms(const Input& in, std::int64_t least = 2);
// A column number (from 0) of a table of `width` columns; `fallback` where absent.
std::size_t Column(const Input& in, std::string_view name, std::size_t width,
                   std::optional<std::size_t> fallback = std::nullopt);
// An array of column numbers; every column where absent.
std::vector<std::size_t> Columns(const Input& in, std::string_view name, std::size_t width);

struct Method {
  std::string_view name;
  std::string_view summary;
  Value (*run)(const Input& in);
};

// One table per family, joined in calculator.cc.
std::span<const Method> ProportionMethods();
std::span<const Method> MeanMethods();
std::span<const Method> RatioMethods();
std::span<const Method> NumericMethods();
std::span<const Method> SmallMethods();
std::span<const Method> SurvivalMethods();
std::span<const Method> EffectMethods();
std::span<const Method> BayesMethods();
std::span<const Method> GroupMethods();
std::span<const Method> SequentialMethods();
std::span<const Method> PowerMethods();
std::span<const Method> QuantileMethods();
std::span<const Method> LinMethods();
std::span<const Method> CupedMethods();
std::span<const Method> MultiplicityMethods();
std::span<const Method> ClusterMethods();
std::span<const Method> JointMethods();
std::span<const Method> SliceMethods();

inline Value Optional(const std::optional<double>& x) { return x ? Value(*x) : Value(); }

}  // namespace fulcrum::stats
