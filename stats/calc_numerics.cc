// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "stats/calc_input.h"
#include "stats/distributions.h"
#include "stats/gram.h"

namespace fulcrum::stats {
namespace {

Value MeanSd(const Moments& m) {
  return Value::MakeObject({{"mean", m.mean},
                            {"sd", m.n >= 2 ? Value(std::sqrt(m.Variance())) : Value()},
                            {"variance", m.n >= 2 ? Value(m.Variance()) : Value()},
                            {"m2", m.m2},
                            {"n", m.n}});
}

// The head of a long series that goes on by alternating its second and third value.
Value MeanSdStreaming(const Input& in) {
  const auto head = in.NumbersAtLeast("values_head", 1);
  const std::int64_t n = in.CountAtLeast("n", 1);
  if (n > static_cast<std::int64_t>(head.size()) && (head.size() < 3 || !in.Has("repeat"))) {
    in.Fail("values_head", "has fewer than n values and no rule to go on");
  }
  if (n > 100000000) in.Fail("n", "must be at most 1e8: the values are streamed one by one");
  Moments m;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    m.Add(at < head.size() ? head[at] : head[at % 2 == 1 ? 1 : 2]);
  }
  return MeanSd(m);
}

Value MeanSdOf(const Input& in) {
  const double offset = in.NumberOr("offset", 0);
  Moments m;
  for (const double x : in.NumbersAtLeast("values", 1)) m.Add(x + offset);
  return MeanSd(m);
}

Value MergeParts(const Input& in) {
  Moments m;
  for (const Input& part : in.Items("parts")) m.Merge(Moments::Of(part.Numbers()));
  return MeanSd(m);
}

Value StreamingCovariance(const Input& in) {
  Gram gram(2);
  for (const auto& row : in.Rows("pairs")) {
    if (row.size() != 2) in.Fail("pairs", "must hold pairs");
    gram.Add(row);
  }
  if (gram.n() < 2) in.Fail("pairs", "needs at least 2 pairs");
  const double scale = std::sqrt(gram.variance(0)) * std::sqrt(gram.variance(1));
  return Value::MakeObject({{"cov", gram.covariance(0, 1)},
                            {"corr", scale > 0 ? Value(gram.covariance(0, 1) / scale) : Value()}});
}

Value NormalTails(const Input& in) {
  std::vector<double> sf, log_sf;
  for (const double x : in.Numbers("x")) {
    sf.push_back(NormalSf(x));
    log_sf.push_back(LogNormalSf(x));
  }
  return Value::MakeObject({{"sf", sf}, {"log_sf", log_sf}});
}

Value NormalQuantiles(const Input& in) {
  std::vector<double> z;
  for (const double p : in.Numbers("p")) {
    if (!(p > 0 && p < 1)) in.Fail("p", "must be greater than 0 and less than 1");
    z.push_back(NormalQuantile(p));
  }
  return Value::MakeObject({{"z", z}});
}

// One result per row of arguments, each row of the given width.
template <typename F>
Value PerRow(const Input& in, std::string_view field, std::size_t width, std::string_view name,
             F f) {
  std::vector<double> results;
  for (const auto& row : in.Rows(field)) {
    if (row.size() != width) in.Fail(field, "has rows of another length");
    if (width == 2 && !(row[1] > 0)) in.Fail(field, "needs degrees of freedom greater than 0");
    if (width == 3 && !(row[1] > 0 && row[2] > 0)) in.Fail(field, "needs a and b greater than 0");
    results.push_back(f(row));
  }
  Value out;
  out.Set(name, results);
  return out;
}

Value TTails(const Input& in) {
  return PerRow(in, "t_df", 2, "sf", [](const auto& r) { return TSf(r[0], r[1]); });
}

Value TQuantiles(const Input& in) {
  return PerRow(in, "p_df", 2, "q", [&](const auto& r) {
    if (!(r[0] > 0 && r[0] < 1)) in.Fail("p_df", "needs p greater than 0 and less than 1");
    return r[0] > 0.5 ? -TQuantile(1 - r[0], r[1]) : TQuantile(r[0], r[1]);
  });
}

Value ChiSquareTails(const Input& in) {
  return PerRow(in, "x_df", 2, "sf", [](const auto& r) { return ChiSquareSf(r[0], r[1]); });
}

Value BetaCdfs(const Input& in) {
  return PerRow(in, "x_a_b", 3, "cdf", [](const auto& r) { return BetaCdf(r[0], r[1], r[2]); });
}

constexpr Method kMethods[] = {
    {"beta_cdf", "distribution function of the beta distribution", BetaCdfs},
    {"chi2_sf", "upper tail of the chi-square distribution", ChiSquareTails},
    {"mean_sd", "mean and standard deviation of a list", MeanSdOf},
    {"mean_sd_streaming", "mean and standard deviation of a stream, one value at a time",
     MeanSdStreaming},
    {"merge_partial_moments", "mean and variance of parts merged", MergeParts},
    {"normal_quantile", "quantiles of the normal distribution", NormalQuantiles},
    {"normal_sf", "upper tails of the normal distribution", NormalTails},
    {"streaming_covariance", "covariance and correlation, one pair at a time", StreamingCovariance},
    {"t_quantile", "quantiles of Student's t", TQuantiles},
    {"t_sf", "upper tails of Student's t", TTails},
};

}  // namespace

std::span<const Method> NumericMethods() { return kMethods; }

}  // namespace fulcrum::stats
