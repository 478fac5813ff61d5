// SPDX-License-Identifier: Apache-2.0
#include "report/metric_slices.h"

#include <utility>

#include "experiments/widen.h"
#include "report/slices.h"

namespace fulcrum::report {
namespace {

using experiments::FilterOp;
using experiments::MetricDefinition;
using experiments::MetricSlice;
using experiments::PropertyFilter;
using experiments::Term;

void Restrict(std::vector<Term>* terms, const std::vector<PropertyFilter>& filters) {
  for (Term& term : *terms) {
    term.filters.insert(term.filters.end(), filters.begin(), filters.end());
  }
}

MetricPart PartOf(const MetricDefinition& metric, const MetricSlice& slice, std::string value,
                  const std::vector<PropertyFilter>& filters) {
  MetricPart part{std::move(value), metric};
  part.metric.key = metric.key + "/slice/" + slice.property + "/" + part.value;
  part.metric.slices.clear();
  part.metric.cap.reset();  // The cap is on the whole; capped parts would not add up to it.
  part.metric.covariate_window_ms = 0;
  Restrict(&part.metric.terms, filters);
  Restrict(&part.metric.denominator, filters);
  return part;
}

}  // namespace

std::vector<MetricPart> PartsOf(const MetricDefinition& metric, const MetricSlice& slice) {
  const auto test = [&](FilterOp op, std::vector<experiments::Scalar> values) {
    return PropertyFilter{slice.property, op, std::move(values), slice.pos};
  };
  std::vector<MetricPart> parts;
  for (const experiments::Scalar& value : slice.values) {
    parts.push_back(
        PartOf(metric, slice, experiments::ScalarText(value), {test(FilterOp::kEq, {value})}));
  }
  parts.push_back(PartOf(metric, slice, "other",
                         {test(FilterOp::kPresent, {}), test(FilterOp::kNotIn, slice.values)}));
  parts.push_back(PartOf(metric, slice, "(none)", {test(FilterOp::kAbsent, {})}));
  return parts;
}

std::vector<SliceReport> EstimateMetricSlices(const experiments::ExperimentDefinition& experiment,
                                              const MetricDefinition& metric,
                                              const store::Plan& plan, const Sample& sample) {
  std::vector<SliceReport> out;
  for (const MetricSlice& slice : metric.slices) {
    std::vector<SliceReport> reports(plan.population.arms.size() - 1);
    for (size_t a = 0; a < reports.size(); ++a) {
      reports[a].key = slice.property;
      reports[a].of_events = true;
      reports[a].metric = metric.key;
      reports[a].arm = plan.population.arms[a + 1].key;
    }
    for (const MetricPart& part : PartsOf(metric, slice)) {
      const MetricResult result = EstimateColumns({plan, sample, part.metric, experiment});
      for (size_t a = 0; a < reports.size() && a < result.pivots.size(); ++a) {
        SliceEffect effect;
        effect.value = part.value;
        effect.n_control = result.report.arms.front().n;
        effect.n_treatment = result.report.arms[a + 1].n;
        effect.status = result.report.comparisons[a].status;
        if (result.pivots[a] && result.pivots[a]->se > 0) {
          effect.diff = result.pivots[a]->estimate;
          effect.se = result.pivots[a]->se;
        } else if (effect.status == Status::kOk) {
          effect.status = Status::kNoVariation;
        }
        reports[a].effects.push_back(std::move(effect));
      }
    }
    for (SliceReport& report : reports) {
      HoldTogether(&report, experiment.analysis.alpha);
      out.push_back(std::move(report));
    }
  }
  return out;
}

}  // namespace fulcrum::report
