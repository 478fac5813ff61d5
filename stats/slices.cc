// SPDX-License-Identifier: Apache-2.0
#include "stats/slices.h"

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"
#include "stats/means.h"
#include "stats/multiplicity.h"
#include "stats/shrinkage.h"

namespace fulcrum::stats {
namespace {

// Own effect and test of each slice; the indices of those that can be tested.
std::vector<std::size_t> TestEach(std::span<const Slice> slices, double alpha, SliceAnalysis* r) {
  std::vector<std::size_t> tested;
  for (std::size_t k = 0; k < slices.size(); ++k) {
    const WelchResult w = Welch(slices[k].treatment, slices[k].control, alpha);
    SliceEffect& e = r->slices[k];
    e.diff = w.diff;
    e.se = w.se;
    e.reason = w.reason;
    if (w.reason != Reason::kNone || !(w.se * w.se > 0)) continue;
    e.p = w.p;
    tested.push_back(k);
  }
  // Independent slices: each at the level whose joint coverage is exact.
  const double each = -std::expm1(std::log1p(-alpha) / static_cast<double>(tested.size()));
  std::vector<double> p;
  for (const std::size_t k : tested) {
    r->slices[k].interval = Welch(slices[k].treatment, slices[k].control, each).interval;
    p.push_back(r->slices[k].p);
  }
  const std::vector<double> adjusted = AdjustPValues(p, Adjustment::kHolm);
  for (std::size_t i = 0; i < tested.size(); ++i) r->slices[tested[i]].p_adjusted = adjusted[i];
  return tested;
}

void Decompose(std::span<const Slice> slices, SliceAnalysis* r) {
  Moments all_t, all_c;
  for (const Slice& s : slices) {
    all_t.Merge(s.treatment);
    all_c.Merge(s.control);
  }
  if (all_t.n == 0 || all_c.n == 0) return;
  r->total = (all_t.mean - all_c.mean) + (all_t.mean_lo - all_c.mean_lo);
  double variance = 0;
  for (std::size_t k = 0; k < slices.size(); ++k) {
    const Moments &t = slices[k].treatment, &c = slices[k].control;
    const double share_t = static_cast<double>(t.n) / static_cast<double>(all_t.n);
    const double share_c = static_cast<double>(c.n) / static_cast<double>(all_c.n);
    SliceEffect& e = r->slices[k];
    e.share = 0.5 * (share_t + share_c);
    // An empty side has no mean of its own: it borrows the other's, so its effect counts as 0 and
    // the whole slice goes to the mix.
    const double mean_t = t.n > 0 ? t.mean : c.mean, mean_c = c.n > 0 ? c.mean : t.mean;
    e.contribution = e.share * (mean_t - mean_c);
    r->stratified += e.contribution;
    // Against the whole's level: the same sum, without cancellation where the level is high.
    r->mix += (share_t - share_c) * (0.5 * (mean_t + mean_c) - all_c.mean);
    variance += e.share * e.share * (t.VarianceOfMean() + c.VarianceOfMean());
  }
  r->stratified_se = std::sqrt(variance);
}

SimpsonFlag Contradiction(const SliceAnalysis& r) {
  if (r.total == 0) return SimpsonFlag::kNone;
  const auto opposite = [&](double x) { return x * r.total < 0; };
  const bool all = std::all_of(r.slices.begin(), r.slices.end(),
                               [&](const SliceEffect& e) { return opposite(e.diff); });
  if (all && !r.slices.empty()) return SimpsonFlag::kReversal;
  return opposite(r.stratified) ? SimpsonFlag::kMixChangesSign : SimpsonFlag::kNone;
}

// Each slice against the mean of the others, corrected for asking it of every slice.
void CompareWithRest(const std::vector<std::size_t>& tested, SliceAnalysis* r) {
  if (tested.size() < 2) return;
  std::vector<double> p;
  for (const std::size_t k : tested) {
    std::vector<Estimate> others;
    for (const std::size_t j : tested) {
      if (j != k) others.push_back({r->slices[j].diff, r->slices[j].se * r->slices[j].se});
    }
    const SliceEffect& e = r->slices[k];
    const Difference d = DifferenceOfEffects({e.diff, e.se * e.se}, RandomEffectsMean(others, 0));
    r->slices[k].versus_rest = d.diff;
    p.push_back(d.p);
  }
  const std::vector<double> adjusted = AdjustPValues(p, Adjustment::kHolm);
  for (std::size_t i = 0; i < tested.size(); ++i) {
    r->slices[tested[i]].versus_rest_p_adjusted = adjusted[i];
  }
}

}  // namespace

SliceAnalysis AnalyseSlices(std::span<const Slice> slices, double alpha) {
  SliceAnalysis r;
  r.slices.resize(slices.size());
  const std::vector<std::size_t> tested = TestEach(slices, alpha, &r);
  Decompose(slices, &r);
  r.simpson = Contradiction(r);
  if (tested.empty()) {
    r.reason = Reason::kTooFewUnits;
    return r;
  }
  std::vector<Estimate> effects;
  for (const std::size_t k : tested) {
    effects.push_back({r.slices[k].diff, r.slices[k].se * r.slices[k].se});
  }
  const MetaResult meta = MetaAnalysis(effects);
  r.q = meta.q;
  r.df = meta.df;
  r.p_heterogeneity = meta.df > 0 ? meta.p_q : 1;
  r.i2 = meta.i2;
  r.tau2 = meta.tau2_dl;
  r.may_name = tested.size() > 1 && r.p_heterogeneity <= alpha;
  const ShrinkageResult shrunk = Shrink(effects, r.tau2);
  const double mean_variance = RandomEffectsMean(effects, r.tau2).variance;
  r.common = shrunk.mu;
  for (std::size_t i = 0; i < tested.size(); ++i) {
    SliceEffect& e = r.slices[tested[i]];
    const double b = effects[i].variance / (effects[i].variance + r.tau2);
    e.shrunk = shrunk.shrunk[i];
    // Morris (1983): the common mean's own error comes on top of the posterior's.
    e.shrunk_sd =
        std::sqrt(shrunk.posterior_sd[i] * shrunk.posterior_sd[i] + b * b * mean_variance);
    const double half = CriticalZ(alpha) * e.shrunk_sd;
    e.shrunk_interval = {e.shrunk - half, e.shrunk + half};
  }
  CompareWithRest(tested, &r);
  return r;
}

}  // namespace fulcrum::stats
