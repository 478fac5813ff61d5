// SPDX-License-Identifier: Apache-2.0
// Group-sequential methods of the calculator.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "stats/always_valid.h"
#include "stats/calc_input.h"
#include "stats/distributions.h"
#include "stats/group_sequential.h"

namespace fulcrum::stats {
namespace {

constexpr std::size_t kMostLooks = 1000;

std::vector<double> Information(const Input& in) {
  std::vector<double> information;
  if (in.Has("information")) {
    information = in.NumbersAtLeast("information", 1);
  } else {
    const std::int64_t k = in.CountAtLeast("K", 1);
    if (k > static_cast<std::int64_t>(kMostLooks)) in.Fail("K", "must be at most 1000");
    for (std::int64_t i = 1; i <= k; ++i) {
      information.push_back(static_cast<double>(i) / static_cast<double>(k));
    }
  }
  if (information.size() > kMostLooks) in.Fail("information", "may have at most 1000 looks");
  double before = 0;
  for (const double i : information) {
    if (!(i > before)) in.Fail("information", "must be positive and rise from look to look");
    // Closer looks than this are one look; the grid would have to be as fine.
    if (before > 0 && i - before < 1e-5 * i) in.Fail("information", "has looks too close together");
    before = i;
  }
  if (in.Has("K") && in.Count("K") != static_cast<std::int64_t>(information.size())) {
    in.Fail("K", "must be the number of looks in information");
  }
  return information;
}

int Sides(const Input& in) {
  if (!in.Has("sides")) return 2;
  const std::int64_t sides = in.Count("sides");
  if (sides != 1 && sides != 2) in.Fail("sides", "must be 1 or 2");
  return static_cast<int>(sides);
}

Value ConstantDesign(const BoundaryResult& r, double alpha) {
  return Value::MakeObject({{"constant", r.constant},
                            {"z", r.z},
                            {"nominal_p", r.nominal_p},
                            {"cumulative_alpha", r.cumulative_alpha},
                            {"alpha", alpha}});
}

Value Pocock(const Input& in) {
  return ConstantDesign(PocockBoundary(Information(in), in.Alpha(), Sides(in)), in.Alpha());
}

Value OBrienFleming(const Input& in) {
  return ConstantDesign(OBrienFlemingBoundary(Information(in), in.Alpha(), Sides(in)), in.Alpha());
}

Value Spend(const Input& in, const Spending& spending) {
  const auto information = Information(in);
  // Fractions of the planned maximum; absolute information ends at its maximum.
  const double most = in.Has("information_max") ? in.Positive("information_max")
                                                : std::max(1.0, information.back());
  if (information.back() > most * (1 + 1e-12)) {
    in.Fail("information_max", "must not be below the last look's information");
  }
  const double per_side =
      in.Has("alpha_per_side") ? in.OpenProbability("alpha_per_side") : in.Alpha() / 2;
  const auto two = SpendingBoundary(information, most, spending, per_side, 2);
  const auto one = SpendingBoundary(information, most, spending, per_side, 1);
  return Value::MakeObject({{"cumulative_alpha_per_side", one.cumulative_alpha},
                            {"z_two_sided", two.z},
                            {"z_one_sided", one.z},
                            {"alpha", in.Alpha()}});
}

using Kind = Spending::Kind;

Value LanDeMetsObf(const Input& in) { return Spend(in, {Kind::kOBrienFleming, 0}); }
Value LanDeMetsPocock(const Input& in) { return Spend(in, {Kind::kPocock, 0}); }
Value KimDeMets2(const Input& in) { return Spend(in, {Kind::kPower, 2}); }
Value HwangShihDeCani4(const Input& in) { return Spend(in, {Kind::kHwangShihDeCani, -4}); }

Value KimDeMets(const Input& in) { return Spend(in, {Kind::kPower, in.Positive("rho")}); }

Value HwangShihDeCani(const Input& in) {
  const double gamma = in.Number("gamma");
  if (std::abs(gamma) > 100) in.Fail("gamma", "must be between -100 and 100");
  return Spend(in, {Kind::kHwangShihDeCani, gamma});
}

Spending ReadSpending(const Input& in) {
  const std::string name = in.Text("spending");
  if (name == "LDOF" || name == "OBF") return {Kind::kOBrienFleming, 0};
  if (name == "LDPocock" || name == "LDP" || name == "Pocock") return {Kind::kPocock, 0};
  if (name.rfind("alpha*t", 0) == 0) {
    char* end = nullptr;
    const double power = name == "alpha*t" ? 1.0 : std::strtod(name.c_str() + 8, &end);
    if (power > 0 && (end == nullptr || *end == '\0')) return {Kind::kPower, power};
  }
  if (name == "KD") return {Kind::kPower, in.Positive("rho")};
  if (name == "HSD") {
    const double gamma = in.Number("gamma");
    if (std::abs(gamma) > 100) in.Fail("gamma", "must be between -100 and 100");
    return {Kind::kHwangShihDeCani, gamma};
  }
  in.Fail("spending", "must be LDOF, LDPocock, HSD (with gamma), KD (with rho) or alpha*t^2");
}

Value SpendingUnequal(const Input& in) { return Spend(in, ReadSpending(in)); }

Value SpendingTiny(const Input& in) {
  const auto r = SpendingBoundary(Information(in), 1.0, ReadSpending(in), in.Alpha() / 2, 1);
  return Value::MakeObject(
      {{"z", r.z}, {"cumulative_alpha_per_side", r.cumulative_alpha}, {"alpha", in.Alpha()}});
}

Value SampleSize(const Input& in) {
  const auto information = Information(in);
  const double alpha = in.Alpha(), power = in.OpenProbability("power");
  if (!(power > alpha)) in.Fail("power", "must be larger than alpha");
  const int sides = Sides(in);
  const std::string name = in.Text("boundary");
  BoundaryResult boundary;
  if (name == "Pocock" || name == "P") {
    boundary = PocockBoundary(information, alpha, sides);
  } else if (name == "OBF" || name == "OF" || name.find("Brien") != std::string::npos) {
    boundary = OBrienFlemingBoundary(information, alpha, sides);
  } else {
    in.Fail("boundary", "must be 'Pocock' or 'OBF'");
  }
  const DesignSize r = SizeOf(information, boundary.z, alpha, power, sides);
  return Value::MakeObject({{"drift", r.drift},
                            {"inflation", r.inflation},
                            {"asn_alt", r.expected_information},
                            {"z", boundary.z},
                            {"alpha", alpha}});
}

struct Stopped {
  std::vector<double> information;
  std::vector<double> boundary;
  std::size_t at = 0;
  double z = 0;
};

Stopped ReadStopped(const Input& in) {
  Stopped s;
  s.information = Information(in);
  s.boundary = in.Numbers("boundary_z");
  s.at = static_cast<std::size_t>(in.CountAtLeast("stopped_at", 1));
  s.z = in.Number("z_observed");
  if (s.at > s.information.size()) in.Fail("stopped_at", "is beyond the last look");
  if (s.boundary.size() + 1 < s.at) in.Fail("boundary_z", "must have one value per look before");
  for (const double b : s.boundary) {
    if (!(b > 0)) in.Fail("boundary_z", "must be greater than 0");
  }
  return s;
}

Value Stagewise(const Input& in) {
  const Stopped s = ReadStopped(in);
  return Value::MakeObject({{"p_two_sided", StagewiseP(s.information, s.boundary, s.at, s.z)},
                            {"p_naive", TwoSidedNormalP(s.z)}});
}

Value StagewiseInterval(const Input& in) {
  const Stopped s = ReadStopped(in);
  const auto r = StagewiseInference(s.information, s.boundary, s.at, s.z, in.Alpha());
  return Value::MakeObject({{"mle", r.mle},
                            {"median_unbiased", r.median_unbiased},
                            {"lo", r.interval.lo},
                            {"hi", r.interval.hi},
                            {"naive_lo", r.naive.lo},
                            {"naive_hi", r.naive.hi},
                            {"alpha", in.Alpha()}});
}

Value RepeatedInterval(const Input& in) {
  const auto estimates = in.NumbersAtLeast("estimates", 1), se = in.Numbers("se");
  const auto boundary = in.Numbers("boundary_z");
  if (se.size() != estimates.size()) in.Fail("se", "must be as long as estimates");
  if (boundary.size() < estimates.size()) in.Fail("boundary_z", "must have one value per estimate");
  std::vector<double> lo, hi;
  for (std::size_t i = 0; i < se.size(); ++i) {
    if (!(se[i] >= 0)) in.Fail("se", "must not be negative");
    lo.push_back(estimates[i] - boundary[i] * se[i]);
    hi.push_back(estimates[i] + boundary[i] * se[i]);
  }
  return Value::MakeObject({{"lo", lo}, {"hi", hi}});
}

Value ConditionalPowerOf(const Input& in) {
  const double z = in.Number("z"), t = in.OpenProbability("information_fraction");
  const Value& given = in.At("drift").value();
  const bool text = given.is_text();
  if (text && given.text() != "trend" && given.text() != "null") {
    in.Fail("drift", "must be a number, 'trend' or 'null'");
  }
  const double drift = !text                     ? in.Number("drift")
                       : given.text() == "trend" ? z / std::sqrt(t)
                                                 : 0.0;
  const double critical =
      in.Has("final_critical") ? in.Number("final_critical") : CriticalZ(in.Alpha());
  return Value::MakeObject({{"conditional_power", ConditionalPower(z, t, drift, critical)}});
}

int Looks(const Input& in, std::string_view name) {
  const std::int64_t looks = in.CountAtLeast(name, 1);
  if (looks > static_cast<std::int64_t>(kMostLooks)) in.Fail(name, "must be at most 1000");
  return static_cast<int>(looks);
}

Value Peeking(const Input& in) {
  const double p = PeekingError(Looks(in, "looks"), CriticalZ(in.OpenProbability("nominal_alpha")));
  return Value::MakeObject({{"type1", p}});
}

Value SrmPeeking(const Input& in) {
  const double p =
      PeekingError(Looks(in, "daily_checks"), CriticalZ(in.OpenProbability("alpha_per_check")));
  return Value::MakeObject({{"false_alarm_rate", p}});
}

// Exact by recursion where others simulate: a Gaussian mean of known variance, looked at every
// `look_every` units.
Value SequentialError(const Input& in) {
  const double alpha = in.Alpha(), rho = AsympCsRho(in.Positive("tuning"), alpha);
  const double every = in.Positive("look_every"), most = in.Positive("n_max");
  const double looks = std::floor(most / every);
  if (!(looks >= 1 && looks <= static_cast<double>(kMostLooks))) {
    in.Fail("look_every", "must give between 1 and 1000 looks");
  }
  std::vector<double> information, sequential, fixed;
  for (double k = 1; k <= looks; ++k) {
    information.push_back(k * every);
    sequential.push_back(AsympCsMultiplier(k * every, rho, alpha));
    fixed.push_back(CriticalZ(alpha));
  }
  Value out = Value::MakeObject(
      {{"fpr_sequential", CrossingProbabilities(information, sequential, 0, 2).Total()}});
  char key[64];
  std::snprintf(key, sizeof key, "fpr_fixed_at_%.2f", CriticalZ(alpha));
  out.Set(key, CrossingProbabilities(information, fixed, 0, 2).Total());
  out.Set("alpha", alpha);
  return out;
}

constexpr Method kMethods[] = {
    {"conditional_power", "chance to end significant, given the data so far", ConditionalPowerOf},
    {"group_sequential_sample_size", "drift, inflation and expected size of a sequential design",
     SampleSize},
    {"hwang_shih_decani", "spending boundaries of Hwang, Shih and DeCani, any gamma",
     HwangShihDeCani},
    {"hwang_shih_decani_-4", "spending boundaries of Hwang, Shih and DeCani, gamma -4",
     HwangShihDeCani4},
    {"kim_demets", "power-family spending boundaries, any exponent rho", KimDeMets},
    {"kim_demets_power2", "power-family spending boundaries, exponent 2", KimDeMets2},
    {"lan_demets_obf", "O'Brien-Fleming-like spending boundaries", LanDeMetsObf},
    {"lan_demets_pocock", "Pocock-like spending boundaries", LanDeMetsPocock},
    {"obrien_fleming", "O'Brien-Fleming boundaries", OBrienFleming},
    {"peeking_false_positive_rate", "what repeated looks do to a fixed test", Peeking},
    {"pocock", "Pocock boundaries", Pocock},
    {"repeated_ci", "repeated confidence intervals", RepeatedInterval},
    {"sequential_error_under_peeking_simulated",
     "error of asymptotic confidence sequences under many looks", SequentialError},
    {"spending_tiny_increments", "one-sided spending boundaries with tiny spends", SpendingTiny},
    {"spending_unequal_information", "spending boundaries at unequal information", SpendingUnequal},
    {"srm_repeated_checks_false_alarm", "false alarms of a mismatch test run every day",
     SrmPeeking},
    {"stagewise_ci_median_unbiased", "estimate and interval after stopping, stage-wise ordering",
     StagewiseInterval},
    {"stagewise_p_value", "p-value after stopping, stage-wise ordering", Stagewise},
};

}  // namespace

std::span<const Method> GroupMethods() { return kMethods; }

}  // namespace fulcrum::stats
