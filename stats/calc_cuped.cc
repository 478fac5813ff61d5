// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "stats/calc_input.h"
#include "stats/cuped.h"

namespace fulcrum::stats {
namespace {

struct Arms {
  Gram treatment;
  Gram control;
  std::vector<std::size_t> covariates;
};

// raw {y, x, t}: t is 1 for treatment. A missing x (null) becomes 0 with an indicator column.
Arms FromRaw(const Input& raw, bool indicator) {
  const auto y = raw.Numbers("y"), t = raw.Numbers("t");
  const auto items = raw.Items("x");
  if (items.size() != y.size() || t.size() != y.size()) {
    raw.Fail("x", "and t must be as long as y");
  }
  std::size_t k = 0;
  Arms arms;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const Value& value = items[i].value();
    std::vector<double> row = {y[i]};
    const auto push = [&](const Value& x) {
      if (x.is_null() && !indicator) items[i].Fail("", "is missing");
      if (!x.is_null() && !x.is_number()) items[i].Fail("", "must be a number");
      row.push_back(x.is_null() ? 0.0 : x.number());
      if (indicator) row.push_back(x.is_null() ? 0.0 : 1.0);
    };
    if (value.is_array()) {
      for (const Value& x : value.array()) push(x);
    } else {
      push(value);
    }
    if (i == 0) {
      k = row.size();
      arms.treatment = Gram(k);
      arms.control = Gram(k);
    }
    if (row.size() != k) items[i].Fail("", "has another length than the first row");
    if (t[i] != 0 && t[i] != 1) raw.Fail("t", "must hold 0 for control and 1 for treatment");
    (t[i] == 1 ? arms.treatment : arms.control).Add(row);
  }
  return arms;
}

Arms Read(const Input& in, bool indicator = false) {
  Arms arms;
  if (in.Has("raw")) {
    arms = FromRaw(in.At("raw"), indicator);
    if (arms.treatment.n() < 2 || arms.control.n() < 2) {
      in.Fail("raw.t", "must have at least 2 units in each arm (insufficient data)");
    }
  } else {
    GramArms read = ReadArms(in);
    arms.treatment = std::move(read.treatment);
    arms.control = std::move(read.control);
  }
  for (std::size_t i = 1; i < arms.treatment.width(); ++i) arms.covariates.push_back(i);
  if (arms.covariates.empty()) in.Fail("", "need at least one covariate");
  return arms;
}

Value Report(const CupedResult& r, double alpha) {
  const auto tested = [&](double x) { return r.reason == Reason::kNone ? Value(x) : Value(); };
  return Value::MakeObject({{"theta", r.theta},
                            {"rank", r.rank},
                            {"diff_unadjusted", r.diff_unadjusted},
                            {"se_unadjusted", r.se_unadjusted},
                            {"diff_adjusted", r.diff},
                            {"se_adjusted", r.se},
                            {"z", tested(r.z)},
                            {"p_z", tested(r.p_z)},
                            {"ci_lo", tested(r.interval.lo)},
                            {"ci_hi", tested(r.interval.hi)},
                            {"df", tested(r.df)},
                            {"p_t", tested(r.p_t)},
                            {"variance_reduction", r.variance_reduction},
                            {"alpha", alpha},
                            {"reason", ReasonText(r.reason)}});
}

Value Run(const Input& in, CupedTheta kind) {
  const Arms arms = Read(in);
  return Report(Cuped(arms.treatment, arms.control, 0, arms.covariates, kind, in.Alpha()),
                in.Alpha());
}

Value Pooled(const Input& in) { return Run(in, CupedTheta::kPooled); }
Value WithinArm(const Input& in) { return Run(in, CupedTheta::kWithinArm); }

Value MissingIndicator(const Input& in) {
  const Arms arms = Read(in, true);
  Value out = Report(
      Cuped(arms.treatment, arms.control, 0, arms.covariates, CupedTheta::kPooled, in.Alpha()),
      in.Alpha());
  // Beside it: the covariate filled with 0 and no indicator, valid but less efficient.
  std::vector<std::size_t> filled;
  for (std::size_t i = 1; i < arms.treatment.width(); i += 2) filled.push_back(i);
  const CupedResult fill =
      Cuped(arms.treatment, arms.control, 0, filled, CupedTheta::kPooled, in.Alpha());
  out.Set("diff_adjusted_fill0_only", fill.diff);
  out.Set("se_adjusted_fill0_only", fill.se);
  return out;
}

// Many covariates: shrunk, the penalty chosen on both arms together.
Value Ridge(const Input& in) {
  const Arms arms = Read(in, true);
  Gram pooled = arms.treatment;
  pooled.Merge(arms.control);
  const RidgeTheta ridge = EstimateRidgeTheta(pooled, 0, arms.covariates);
  Value out = Report(
      Cuped(arms.treatment, arms.control, 0, arms.covariates, ridge.theta, in.Alpha()), in.Alpha());
  out.Set("rank", ridge.rank);
  out.Set("lambda", ridge.lambda);
  out.Set("effective_df", ridge.effective_df);
  return out;
}

Value RelativeLift(const Input& in) {
  const Arms arms = Read(in);
  const Gram both[] = {arms.treatment, arms.control};
  const auto theta = EstimateTheta(both, 0, arms.covariates, CupedTheta::kPooled).theta;
  const CupedLift r =
      CupedRelativeLift(arms.treatment, arms.control, 0, arms.covariates, theta, in.Alpha());
  if (r.reason == Reason::kDenominatorNearZero) in.Fail("control", "has mean 0: no relative lift");
  return Value::MakeObject({{"theta", theta.size() == 1 ? Value(theta[0]) : Value(theta)},
                            {"lift", r.lift},
                            {"se_exact_gradient", r.se},
                            {"se_gbstats_gradient", r.se_without_covariate_term},
                            {"ci_lo", r.interval.lo},
                            {"ci_hi", r.interval.hi},
                            {"alpha", in.Alpha()}});
}

Value RatioReport(const Input& in, const Gram& treatment, const Gram& control, double theta) {
  const RatioCupedResult r = RatioCuped(treatment, control, {}, theta, in.Alpha());
  if (r.reason != Reason::kNone) in.Fail("", ReasonText(r.reason));
  return Value::MakeObject({{"theta", r.theta},
                            {"diff", r.diff},
                            {"se_diff", r.se},
                            {"lift", r.lift},
                            {"se", r.se_lift},
                            {"se_without_covariate_term", r.se_lift_without_covariate_term},
                            {"ci_lo", r.lift_interval.lo},
                            {"ci_hi", r.lift_interval.hi},
                            {"alpha", in.Alpha()}});
}

constexpr const char* kColumns[] = {"m_post", "d_post", "m_pre", "d_pre"};

Gram RatioRaw(const Input& in) {
  std::vector<double> columns[4];
  for (int i = 0; i < 4; ++i) {
    columns[i] = in.NumbersAtLeast(kColumns[i], 2);
    if (columns[i].size() != columns[0].size()) in.Fail(kColumns[i], "must be as long as m_post");
  }
  Gram gram(4);
  for (std::size_t i = 0; i < columns[0].size(); ++i) {
    const double row[] = {columns[0][i], columns[1][i], columns[2][i], columns[3][i]};
    gram.Add(row);
  }
  return gram;
}

Gram RatioTotals(const Input& in) {
  const std::int64_t n = in.CountAtLeast("n", 2);
  const double count = static_cast<double>(n);
  std::vector<double> means(4), packed;
  double sum[4];
  for (int i = 0; i < 4; ++i) {
    const auto pair = in.NumbersAtLeast(kColumns[i], 2);
    sum[i] = pair[0];
    means[static_cast<std::size_t>(i)] = sum[i] / count;
  }
  const Input cross = in.At("cross");
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j <= i; ++j) {
      double product = 0;
      if (i == j) {
        product = in.Numbers(kColumns[i])[1];
      } else {
        const std::string a = std::string(kColumns[i]) + "_" + kColumns[j];
        const std::string b = std::string(kColumns[j]) + "_" + kColumns[i];
        product = cross.Number(cross.Has(a) ? a : b);
      }
      double centred = std::fma(-means[static_cast<std::size_t>(i)], sum[j], product);
      if (i == j && centred < -1e-10 * std::abs(product)) {
        in.Fail(kColumns[i], "has a sum of squares below sum^2 / n, which cannot be");
      }
      if (i == j) centred = std::max(0.0, centred);
      packed.push_back(centred);
    }
  }
  const auto gram = Gram::FromParts(n, std::move(means), std::move(packed));
  if (!gram) in.Fail("cross", "is not a table of cross-products");
  return *gram;
}

Value RatioRelative(const Input& in) {
  return RatioReport(in, RatioRaw(in.At("treatment")), RatioRaw(in.At("control")),
                     in.Number("theta"));
}

Value RatioOptimal(const Input& in) {
  const auto read = [](const Input& arm) {
    return arm.Has("cross") ? RatioTotals(arm) : RatioRaw(arm);
  };
  const Gram treatment = read(in.At("treatment")), control = read(in.At("control"));
  return RatioReport(in, treatment, control, RatioTheta(treatment, control, {}));
}

constexpr Method kMethods[] = {
    {"cuped_missing_indicator", "CUPED where some units have no pre-period", MissingIndicator},
    {"cuped_numerical_stability", "CUPED with covariates far from zero", Pooled},
    {"cuped_pooled_theta", "CUPED, one regression over both arms", Pooled},
    {"cuped_ratio_relative", "CUPED of a ratio metric, relative lift, given theta", RatioRelative},
    {"cuped_ratio_relative_theta_optimal", "CUPED of a ratio metric, variance-minimising theta",
     RatioOptimal},
    {"cuped_relative_lift", "CUPED, relative lift with the exact delta gradient", RelativeLift},
    {"cuped_ridge", "CUPED from many pre-period metrics, ridge-shrunk", Ridge},
    {"cuped_singular_gram", "CUPED with collinear covariates", Pooled},
    {"cuped_within_arm_theta", "CUPED with the within-arm (ANCOVA) slope", WithinArm},
    {"cuped_zero_variance_covariate", "CUPED with a constant covariate", Pooled},
};

}  // namespace

std::span<const Method> CupedMethods() { return kMethods; }

}  // namespace fulcrum::stats
