// SPDX-License-Identifier: Apache-2.0
#include "report/slices.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "report/columns.h"
#include "report/overlap.h"
#include "stats/distributions.h"
#include "stats/heterogeneity.h"
#include "stats/multiplicity.h"
#include "stats/shrinkage.h"

namespace fulcrum::report {
namespace {

// The common effect, the spread between values, and each value pulled towards the common one.
void Shrink(SliceReport* slice, double alpha) {
  std::vector<SliceEffect*> usable;
  for (SliceEffect& effect : slice->effects) {
    if (effect.status == Status::kOk) usable.push_back(&effect);
  }
  if (usable.size() < 2) return;
  std::vector<stats::Estimate> estimates;
  for (const SliceEffect* e : usable) estimates.push_back({*e->diff, *e->se * *e->se});
  const stats::MetaResult meta = stats::MetaAnalysis(estimates);
  slice->q = meta.q;
  slice->q_df = meta.df;
  slice->p_heterogeneity = meta.p_q;
  slice->heterogeneous = meta.p_q < alpha;
  const stats::ShrinkageResult shrunk = stats::Shrink(estimates, meta.tau2_dl);
  // The common effect is estimated too, with weights that carry the spread between values.
  double precision = 0;
  for (const stats::Estimate& e : estimates) precision += 1 / (e.variance + meta.tau2_dl);
  for (size_t i = 0; i < usable.size(); ++i) {
    const double towards = estimates[i].variance / (estimates[i].variance + meta.tau2_dl);
    usable[i]->shrunk = shrunk.shrunk[i];
    usable[i]->shrunk_sd =
        std::sqrt(shrunk.posterior_sd[i] * shrunk.posterior_sd[i] + towards * towards / precision);
  }
}

}  // namespace

void HoldTogether(SliceReport* slice, double alpha) {
  std::vector<double> p;
  for (const SliceEffect& e : slice->effects) {
    if (e.status == Status::kOk) p.push_back(stats::TwoSidedNormalP(*e.diff / *e.se));
  }
  if (p.empty()) return;
  const std::vector<double> adjusted = stats::AdjustPValues(p, stats::Adjustment::kHolm);
  const double each = -std::expm1(std::log1p(-alpha) / static_cast<double>(p.size()));
  const double z = stats::CriticalZ(each);
  size_t next = 0;
  for (SliceEffect& e : slice->effects) {
    if (e.status != Status::kOk) continue;
    e.p_adjusted = adjusted[next++];
    e.lo = *e.diff - z * *e.se;
    e.hi = *e.diff + z * *e.se;
  }
}

namespace {

// The whole as the sum of its slices: each one's plain difference times its share of the units, and
// what is left is the mix. A slice that nobody in one arm is in has no difference, so then there is
// no sum.
void Decompose(const MetricReport& whole, size_t comparison, SliceReport* slice) {
  const Comparison& c = whole.comparisons[comparison];
  bool complete = c.diff.has_value() && whole.kind != experiments::MetricKind::kRatio;
  double n_control = 0;
  double n_treatment = 0;
  for (const SliceEffect& effect : slice->effects) {
    n_control += effect.n_control;
    n_treatment += effect.n_treatment;
    complete = complete && effect.contribution;
  }
  complete = complete && n_control > 0 && n_treatment > 0;
  double sum = 0;
  for (SliceEffect& effect : slice->effects) {
    const std::optional<double> diff = effect.contribution;
    effect.contribution.reset();
    if (!complete) continue;
    effect.share = 0.5 * (effect.n_control / n_control + effect.n_treatment / n_treatment);
    effect.contribution = *effect.share * *diff;
    sum += *effect.contribution;
  }
  if (!complete) return;
  slice->total = c.diff;
  slice->mix = *c.diff - sum;
  // Of sizes that chance alone would not often give.
  const double se = c.se.value_or(c.se_unpooled.value_or(0));
  slice->mix_changes_sign =
      sum * *c.diff < 0 && std::fabs(sum) > se && std::fabs(*c.diff) > se && se > 0;
}

bool Reversal(const SliceReport& slice, const Comparison& whole) {
  if (!whole.diff || *whole.diff == 0) return false;
  size_t usable = 0;
  for (const SliceEffect& e : slice.effects) {
    if (e.status != Status::kOk) continue;
    ++usable;
    if (*e.diff * *whole.diff >= 0) return false;
  }
  return usable >= 2;
}

}  // namespace

std::vector<SliceReport> EstimateSlices(const experiments::ExperimentDefinition& experiment,
                                        const experiments::MetricDefinition& metric,
                                        const store::Plan& plan,
                                        std::span<const std::vector<SliceValue>> samples,
                                        const MetricResult& whole) {
  std::vector<SliceReport> out;
  const double alpha = experiment.analysis.alpha;
  for (size_t s = 0; s < plan.slices.size(); ++s) {
    if (IsOverlap(plan.slices[s])) continue;
    if (plan.slices[s].key == ChannelSlice()) continue;  // Of the margins only.
    if (samples[s].empty()) continue;
    std::vector<SliceReport> slices(whole.report.comparisons.size());
    for (size_t a = 0; a < slices.size(); ++a) {
      slices[a].key = plan.slices[s].key;
      slices[a].metric = metric.key;
      slices[a].arm = whole.report.comparisons[a].arm;
    }
    for (const auto& [value, sample] : samples[s]) {
      const MetricResult part = EstimateColumns({plan, sample, metric, experiment});
      if (part.report.comparisons.size() != slices.size()) continue;
      for (size_t a = 0; a < slices.size(); ++a) {
        SliceEffect effect;
        effect.value = value;
        effect.n_control = part.report.arms.front().n;
        effect.n_treatment = part.report.arms[a + 1].n;
        effect.status = part.report.comparisons[a].status;
        // Plain for now; Decompose() turns it into a contribution.
        effect.contribution = part.report.comparisons[a].diff;
        if (part.pivots[a] && part.pivots[a]->se > 0) {
          effect.diff = part.pivots[a]->estimate;
          effect.se = part.pivots[a]->se;
        } else if (effect.status == Status::kOk) {
          effect.status = Status::kNoVariation;
        }
        slices[a].effects.push_back(std::move(effect));
      }
    }
    for (size_t a = 0; a < slices.size(); ++a) {
      Shrink(&slices[a], alpha);
      HoldTogether(&slices[a], alpha);
      Decompose(whole.report, a, &slices[a]);
      slices[a].reversal = Reversal(slices[a], whole.report.comparisons[a]);
      out.push_back(std::move(slices[a]));
    }
  }
  return out;
}

}  // namespace fulcrum::report
