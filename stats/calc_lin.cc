// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "stats/calc_input.h"
#include "stats/lin.h"
#include "stats/means.h"

namespace fulcrum::stats {
namespace {

struct Data {
  std::vector<double> y;
  std::vector<double> treated;
  std::vector<double> x;
  std::size_t k = 0;
};

Data ReadOutcome(const Input& in) {
  Data data;
  data.y = in.NumbersAtLeast("y", 4);
  data.treated = in.Numbers("t");
  if (data.treated.size() != data.y.size()) in.Fail("t", "must be as long as y");
  for (const double t : data.treated) {
    if (t != 0 && t != 1) in.Fail("t", "must hold 0 for control and 1 for treatment");
  }
  const auto n_t = std::count(data.treated.begin(), data.treated.end(), 1.0);
  if (n_t < 2 || static_cast<std::size_t>(n_t) + 2 > data.y.size()) {
    in.Fail("t", "must have at least 2 units in each arm (insufficient data)");
  }
  return data;
}

Data Read(const Input& in) {
  Data data = ReadOutcome(in);
  const auto rows = in.Rows("x");
  if (rows.size() != data.y.size()) in.Fail("x", "must be as long as y");
  data.k = rows[0].size();
  for (const auto& row : rows) data.x.insert(data.x.end(), row.begin(), row.end());
  return data;
}

LinResult Fit(const Input& in, const Data& data, bool interacted = true) {
  const LinResult r = Lin(data.y, data.x, data.k, data.treated, interacted);
  if (r.reason != Reason::kNone) in.Fail("y", ReasonText(r.reason));
  return r;
}

Value Estimator(const Input& in) {
  const LinResult r = Fit(in, Read(in));
  const WelchResult t = FromEstimate(r.ate, r.se_hc2, r.df_residual, in.Alpha());
  const bool tested = t.reason == Reason::kNone;
  return Value::MakeObject({{"ate", r.ate},
                            {"se_hc0", r.se_hc0},
                            {"se_hc1", r.se_hc1},
                            {"se_hc2", r.se_hc2},
                            {"se_hc3", r.se_hc3},
                            {"se_classical", r.se_classical},
                            {"df_resid", r.df_residual},
                            {"p_hc2", tested ? Value(t.p) : Value()},
                            {"ci_lo", tested ? Value(t.interval.lo) : Value()},
                            {"ci_hi", tested ? Value(t.interval.hi) : Value()},
                            {"alpha", in.Alpha()}});
}

Value Published(const Input& in) {
  const Data data = Read(in);
  const auto n_t = std::count(data.treated.begin(), data.treated.end(), 1.0);
  const LinResult plain = Lin(data.y, {}, 0, data.treated);
  const LinResult lin = Fit(in, data), common = Fit(in, data, false);
  return Value::MakeObject(
      {{"n_treat", n_t},
       {"n_control", static_cast<double>(data.y.size()) - static_cast<double>(n_t)},
       {"unadjusted", plain.ate},
       {"unadjusted_se_hc2", plain.se_hc2},
       {"lin", lin.ate},
       {"lin_se_hc2", lin.se_hc2},
       {"ols_adjusted", common.ate},
       {"ols_adjusted_se_hc2", common.se_hc2}});
}

// Dummies of the strata through Lin's regression, and post-stratification by hand.
Value AgainstStrata(const Input& in) {
  Data data = ReadOutcome(in);
  const auto stratum = in.Numbers("stratum");
  if (stratum.size() != data.y.size()) in.Fail("stratum", "must be as long as y");
  std::map<double, std::array<Moments, 2>> strata;
  for (std::size_t i = 0; i < stratum.size(); ++i) {
    strata[stratum[i]][data.treated[i] == 1].Add(data.y[i]);
  }
  double variance = 0;
  for (const auto& [key, arms] : strata) {
    if (arms[0].n < 2 || arms[1].n < 2) {
      in.Fail("stratum", "needs at least 2 units of each arm in every stratum");
    }
    const double weight =
        static_cast<double>(arms[0].n + arms[1].n) / static_cast<double>(data.y.size());
    variance += weight * weight * (arms[0].VarianceOfMean() + arms[1].VarianceOfMean());
  }
  data.k = strata.size() - 1;
  for (const double s : stratum) {
    for (auto it = std::next(strata.begin()); it != strata.end(); ++it) {
      data.x.push_back(s == it->first ? 1.0 : 0.0);
    }
  }
  const LinResult r = Fit(in, data);
  return Value::MakeObject(
      {{"ate", r.ate}, {"se_hc2", r.se_hc2}, {"poststrat_se", std::sqrt(variance)}});
}

constexpr Method kMethods[] = {
    {"lin_estimator", "Lin's regression adjustment with HC0 to HC3 errors", Estimator},
    {"lin_estimator_published_data", "unadjusted, Lin's and common-slope estimates with HC2",
     Published},
    {"lin_vs_poststratification", "Lin's regression on stratum dummies beside post-stratification",
     AgainstStrata},
};

}  // namespace

std::span<const Method> LinMethods() { return kMethods; }

}  // namespace fulcrum::stats
