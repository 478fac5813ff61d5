// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "stats/calc_input.h"
#include "stats/multiplicity.h"

namespace fulcrum::stats {
namespace {

Value Adjusted(const Input& in) {
  const double alpha = in.Alpha();
  const auto p = in.NumbersAtLeast("p", 1);
  for (const double x : p) {
    if (!(x >= 0 && x <= 1)) in.Fail("p", "must be between 0 and 1");
  }
  const std::pair<const char*, Adjustment> methods[] = {{"bonferroni", Adjustment::kBonferroni},
                                                        {"sidak", Adjustment::kSidak},
                                                        {"holm", Adjustment::kHolm},
                                                        {"holm_sidak", Adjustment::kHolmSidak},
                                                        {"hochberg", Adjustment::kHochberg},
                                                        {"bh", Adjustment::kBenjaminiHochberg},
                                                        {"by", Adjustment::kBenjaminiYekutieli},
                                                        {"hommel", Adjustment::kHommel}};
  Value out, rejected;
  for (const auto& [name, method] : methods) {
    const auto adjusted = AdjustPValues(p, method);
    out.Set(name, adjusted);
    rejected.Set(name, std::count_if(adjusted.begin(), adjusted.end(),
                                     [&](double x) { return x <= alpha; }));
  }
  char key[64];
  std::snprintf(key, sizeof key, "n_rejected_%.12g", alpha);
  out.Set(key, rejected);
  out.Set("alpha", alpha);
  return out;
}

Value CriticalValue(const Input& in) {
  const std::int64_t k = in.CountAtLeast("treatments", 1);
  if (k > 1000) in.Fail("treatments", "must be at most 1000");
  const double df = in.NumberOrInfinity("df");
  if (!(df > 0)) in.Fail("df", "must be greater than 0");
  const double rho = in.Number("rho");
  if (!(rho >= 0 && rho < 1)) in.Fail("rho", "must be at least 0 and less than 1");
  const std::int64_t sides = in.Has("sides") ? in.Count("sides") : 2;
  if (sides != 1 && sides != 2) in.Fail("sides", "must be 1 or 2");
  const std::vector<double> lambda(static_cast<std::size_t>(k), std::sqrt(rho));
  const double c = DunnettCriticalValue(lambda, df, in.Alpha(), static_cast<int>(sides));
  return Value::MakeObject(
      {{"critical_value", c},
       {"coverage", 1 - DunnettExceedance(c, lambda, df, static_cast<int>(sides))},
       {"alpha", in.Alpha()}});
}

Value Report(const Input& in, const DunnettResult& r) {
  if (r.reason != Reason::kNone) in.Fail("", ReasonText(r.reason));
  std::vector<double> t, p, diff, lo, hi;
  for (const auto& c : r.comparisons) {
    t.push_back(c.t);
    p.push_back(c.p_adjusted);
    diff.push_back(c.diff);
    lo.push_back(c.interval.lo);
    hi.push_back(c.interval.hi);
  }
  return Value::MakeObject(
      {{"t", t},
       {"z", t},
       {"df", r.df},
       {"lambda", r.lambda},
       {"p_adjusted", p},
       {"critical_value", r.critical_value},
       {"coverage", 1 - DunnettExceedance(r.critical_value, r.lambda, r.df, 2)},
       {"diff", diff},
       {"lo", lo},
       {"hi", hi},
       {"alpha", in.Alpha()}});
}

// Every array beside the control is a treatment, in the order given.
Value DunnettRaw(const Input& in) {
  std::vector<Moments> treatments;
  for (const auto& [name, item] : in.value().object()) {
    if (name != "control" && item.is_array()) treatments.push_back(in.Summary(name, 1));
  }
  if (treatments.empty()) in.Fail("", "need at least one treatment beside the control");
  return Report(in, DunnettPooled(treatments, in.Summary("control", 1), in.Alpha()));
}

Value DunnettLarge(const Input& in) {
  std::vector<Moments> treatments;
  for (const Input& item : in.Items("treatments")) treatments.push_back(item.Summary());
  if (treatments.empty()) in.Fail("treatments", "is empty");
  return Report(in, DunnettUnequal(treatments, in.Summary("control"), in.Alpha()));
}

Value Simultaneous(const Input& in) {
  const auto rows = in.Rows("correlation");
  const std::size_t k = rows.size();
  if (k == 0 || k != rows[0].size()) in.Fail("correlation", "must be a square matrix");
  std::vector<double> flat;
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      if (std::abs(rows[i][j] - rows[j][i]) > 1e-9) in.Fail("correlation", "must be symmetric");
      if (i == j ? std::abs(rows[i][j] - 1) > 1e-9 : std::abs(rows[i][j]) > 1) {
        in.Fail("correlation", "must have ones on the diagonal and entries within -1 and 1");
      }
      flat.push_back(rows[i][j]);
    }
  }
  Value out = Value::MakeObject(
      {{"critical_value", SimultaneousCriticalValue(flat, in.Alpha())}, {"alpha", in.Alpha()}});
  if (in.Has("z")) {
    const auto z = in.Numbers("z");
    out.Set("p_adjusted", SimultaneousPValues(flat, z));
  }
  return out;
}

constexpr Method kMethods[] = {
    {"adjusted_p_values", "Bonferroni, Sidak, Holm, Hochberg, Hommel, BH and BY", Adjusted},
    {"dunnett_critical_value", "critical value of Dunnett's test with one common correlation",
     CriticalValue},
    {"dunnett_two_sided", "Dunnett's test of several groups against a control, raw values",
     DunnettRaw},
    {"dunnett_z_unequal", "Dunnett's test with unequal variances, large samples", DunnettLarge},
    {"simultaneous_critical_value", "critical value of several tests together, any correlation",
     Simultaneous},
};

}  // namespace

std::span<const Method> MultiplicityMethods() { return kMethods; }

}  // namespace fulcrum::stats
