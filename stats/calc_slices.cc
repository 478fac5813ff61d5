// SPDX-License-Identifier: Apache-2.0
// Slices, overlapping experiments and the estimate after a stop in the calculator.
#include <cmath>

#include "stats/calc_input.h"
#include "stats/factorial.h"
#include "stats/shrinkage.h"
#include "stats/slices.h"

namespace fulcrum::stats {
namespace {

Value SliceValue(const SliceEffect& e) {
  const bool ok = e.reason == Reason::kNone;
  const auto tested = [&](double x) { return ok ? Value(x) : Value(); };
  return Value::MakeObject({{"diff", e.diff},
                            {"se", tested(e.se)},
                            {"p", tested(e.p)},
                            {"p_adjusted", tested(e.p_adjusted)},
                            {"ci_lo", tested(e.interval.lo)},
                            {"ci_hi", tested(e.interval.hi)},
                            {"shrunk", tested(e.shrunk)},
                            {"shrunk_sd", tested(e.shrunk_sd)},
                            {"shrunk_lo", tested(e.shrunk_interval.lo)},
                            {"shrunk_hi", tested(e.shrunk_interval.hi)},
                            {"versus_rest", tested(e.versus_rest)},
                            {"versus_rest_p_adjusted", tested(e.versus_rest_p_adjusted)},
                            {"share", e.share},
                            {"contribution", e.contribution},
                            {"reason", ReasonText(e.reason)}});
}

Value Slices(const Input& in) {
  std::vector<Slice> slices;
  for (const Input& item : in.Items("slices")) {
    slices.push_back({item.Summary("treatment", 0), item.Summary("control", 0)});
  }
  if (slices.empty()) in.Fail("slices", "is empty");
  const SliceAnalysis r = AnalyseSlices(slices, in.Alpha());
  constexpr const char* kFlags[] = {"none", "mix_changes_sign", "reversal"};
  Value::Array each;
  for (const SliceEffect& e : r.slices) each.push_back(SliceValue(e));
  return Value::MakeObject({{"slices", each},
                            {"total", r.total},
                            {"mix", r.mix},
                            {"stratified", r.stratified},
                            {"stratified_se", r.stratified_se},
                            {"Q", r.q},
                            {"df", r.df},
                            {"p_heterogeneity", r.p_heterogeneity},
                            {"I2", r.i2},
                            {"tau2", r.tau2},
                            {"common", r.common},
                            {"may_name", r.may_name},
                            {"simpson", kFlags[static_cast<int>(r.simpson)]},
                            {"alpha", in.Alpha()},
                            {"reason", ReasonText(r.reason)}});
}

Value DifferenceValue(const Difference& d) {
  const bool tested = d.se > 0;
  return Value::MakeObject({{"diff", d.diff},
                            {"se", d.se},
                            {"z", tested ? Value(d.z) : Value()},
                            {"p", tested ? Value(d.p) : Value()}});
}

Value Factorial(const Input& in) {
  std::vector<Moments> cells;
  std::size_t columns = 0;
  for (const Input& row : in.Items("cells")) {
    const auto items = row.Elements();
    if (columns == 0) columns = items.size();
    if (items.size() != columns) row.Fail("", "has another length than the first row");
    for (const Input& cell : items) cells.push_back(cell.Summary(2));
  }
  if (columns < 2 || cells.size() < 2 * columns) in.Fail("cells", "needs 2 rows and 2 columns");
  if (cells.size() > 100) in.Fail("cells", "must be at most 100");
  const FactorialAnalysis r = AnalyseFactorial(cells, columns, in.Alpha());
  if (r.reason != Reason::kNone) in.Fail("cells", ReasonText(r.reason));
  const auto list = [](const std::vector<Difference>& effects) {
    Value::Array all;
    for (const Difference& d : effects) all.push_back(DifferenceValue(d));
    return Value(all);
  };
  Value::Array pairs;
  for (const InteractionCell& c : r.cells) {
    Value pair = DifferenceValue(c.interaction);
    pair.Set("a", c.a);
    pair.Set("b", c.b);
    pair.Set("p_adjusted", c.p_adjusted);
    pair.Set("ci_lo", c.interval.lo);
    pair.Set("ci_hi", c.interval.hi);
    pairs.push_back(std::move(pair));
  }
  return Value::MakeObject({{"chi2", r.chi2},
                            {"df", r.df},
                            {"p", r.p},
                            {"interactions", pairs},
                            {"critical_value", r.critical_value},
                            {"main_a", list(r.main_a)},
                            {"main_b", list(r.main_b)},
                            {"a_without_b", list(r.a_without_b)},
                            {"b_without_a", list(r.b_without_a)},
                            {"alpha", in.Alpha()}});
}

Value AfterStop(const Input& in) {
  const auto information = in.NumbersAtLeast("information", 1), z = in.Numbers("boundary_z");
  if (z.size() != information.size()) in.Fail("boundary_z", "must be as long as information");
  if (information.size() > 100) in.Fail("information", "must be at most 100 looks");
  for (std::size_t k = 0; k < z.size(); ++k) {
    if (!(information[k] > (k > 0 ? information[k - 1] : 0.0))) {
      in.Fail("information", "must be greater than 0 and rise");
    }
    if (!(z[k] > 0 && z[k] < 38)) in.Fail("boundary_z", "must be greater than 0 and less than 38");
  }
  const std::int64_t stopped = in.CountAtLeast("stopped_at", 1);
  if (stopped > static_cast<std::int64_t>(z.size())) in.Fail("stopped_at", "is beyond the looks");
  const double observed = in.Number("z_observed");
  if (!(std::abs(observed) < 38)) in.Fail("z_observed", "must be within 38");
  const StoppedEstimate r =
      GivenStop(information, z, static_cast<std::size_t>(stopped), observed, in.Alpha());
  return Value::MakeObject({{"naive", r.naive},
                            {"naive_lo", r.naive_interval.lo},
                            {"naive_hi", r.naive_interval.hi},
                            {"conditional_mle", r.conditional_mle},
                            {"median_unbiased", r.median_unbiased},
                            {"lo", r.interval.lo},
                            {"hi", r.interval.hi},
                            {"alpha", in.Alpha()}});
}

constexpr Method kMethods[] = {
    {"conditional_after_stop", "estimate corrected for having stopped at that look", AfterStop},
    {"factorial_interaction", "interaction of overlapping experiments, any number of variants",
     Factorial},
    {"slice_analysis", "slices: heterogeneity, shrunk, corrected, adding up, Simpson", Slices},
};

}  // namespace

std::span<const Method> SliceMethods() { return kMethods; }

}  // namespace fulcrum::stats
