// SPDX-License-Identifier: Apache-2.0
#include "report/overlap.h"

#include <algorithm>
#include <optional>

#include "report/columns.h"
#include "stats/factorial.h"
#include "stats/means.h"
#include "stats/multiplicity.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;
using experiments::ExperimentDefinition;
using experiments::MetricKind;

// The variants of the other experiment, its control first; only those that units of ours were
// shown.
std::vector<std::string> VariantsOf(const ExperimentDefinition* other,
                                    const store::PlanResult& result, int slice) {
  std::vector<std::string> out;
  if (other == nullptr) return out;
  const auto seen = [&](const std::string& value) {
    return std::any_of(result.cells.begin(), result.cells.end(), [&](const store::Cell& cell) {
      return cell.slice == slice && cell.slice_value == value && cell.gram.n() > 0;
    });
  };
  for (const bool control : {true, false}) {
    for (const auto& variant : other->variants) {
      if (variant.control == control && seen(variant.key)) out.push_back(variant.key);
    }
  }
  return out;
}

struct Table {
  std::vector<stats::Moments> cells;  // [arm][variant of the other]
  std::vector<std::string> variants;
};

Table TableOf(const store::Plan& plan, const store::PlanResult& result, int slice,
              const ColumnRef& column, std::vector<std::string> variants) {
  Table table;
  const size_t arms = plan.population.arms.size();
  table.cells.resize(arms * variants.size());
  table.variants = std::move(variants);
  std::vector<stats::Gram> grams(table.cells.size());
  for (const store::Cell& cell : result.cells) {
    if (cell.slice != slice || cell.group != column.group || cell.gram.n() == 0) continue;
    if (cell.arm < 0 || static_cast<size_t>(cell.arm) >= arms) continue;
    const auto at = std::find(table.variants.begin(), table.variants.end(), cell.slice_value);
    if (at == table.variants.end()) continue;
    grams[static_cast<size_t>(cell.arm) * table.variants.size() +
          static_cast<size_t>(at - table.variants.begin())]
        .Merge(cell.gram);
  }
  for (size_t i = 0; i < grams.size(); ++i) {
    if (grams[i].n() > 0) table.cells[i] = grams[i].moments(column.index);
  }
  return table;
}

void Fill(const store::Plan& plan, const Table& table, double alpha, OverlapReport* out) {
  const size_t columns = table.variants.size();
  for (const stats::Moments& cell : table.cells) out->units += static_cast<double>(cell.n);
  const stats::FactorialAnalysis r = stats::AnalyseFactorial(table.cells, columns, alpha);
  if (r.reason != stats::Reason::kNone) {
    out->status =
        r.reason == stats::Reason::kNoVariance ? Status::kNoVariation : Status::kNotEnoughUnits;
    return;
  }
  out->status = Status::kOk;
  out->chi2 = r.chi2;
  out->df = r.df;
  out->p = r.p;
  for (size_t a = 1; a < plan.population.arms.size(); ++a) {
    for (size_t b = 0; b < columns; ++b) {
      const stats::Moments& control = table.cells[b];
      const stats::Moments& treatment = table.cells[a * columns + b];
      OverlapCell cell;
      cell.arm = plan.population.arms[a].key;
      cell.other_variant = table.variants[b];
      cell.n_control = static_cast<double>(control.n);
      cell.n_treatment = static_cast<double>(treatment.n);
      const stats::WelchResult effect = stats::Welch(treatment, control, alpha);
      cell.diff = effect.diff;
      cell.se = effect.se;
      for (const stats::InteractionCell& each : r.cells) {
        if (each.a != a || each.b != b) continue;
        cell.interaction = each.interaction.diff;
        cell.interaction_se = each.interaction.se;
        cell.lo = each.interval.lo;
        cell.hi = each.interval.hi;
        cell.p_adjusted = each.p_adjusted;
      }
      out->cells.push_back(std::move(cell));
    }
  }
}

}  // namespace

bool IsOverlap(const store::SliceSpec& slice) {
  return slice.attributes.size() == 1 && !store::OtherExperiment(slice.attributes.front()).empty();
}

std::vector<OverlapReport> EstimateOverlaps(const Definitions& definitions,
                                            const ExperimentDefinition& experiment,
                                            const store::Plan& plan,
                                            const store::PlanResult& result, const Sample& sample) {
  std::vector<OverlapReport> out;
  if (experiment.primary.empty()) return out;
  const auto* metric = definitions.FindMetric(experiment.primary.front().metric);
  const bool one_column =
      metric != nullptr &&
      (metric->kind == MetricKind::kProportion || metric->kind == MetricKind::kRetention ||
       metric->kind == MetricKind::kCount || metric->kind == MetricKind::kMean);
  for (size_t s = 0; s < plan.slices.size(); ++s) {
    if (!IsOverlap(plan.slices[s])) continue;
    OverlapReport report;
    report.experiment = plan.slices[s].key;
    report.metric = experiment.primary.front().metric;
    const auto* other = definitions.FindExperiment(report.experiment);
    report.title = other == nullptr || other->title.empty() ? report.experiment : other->title;
    const auto column = one_column ? FindColumn(plan, report.metric) : std::nullopt;
    if (!column) {
      report.status = Status::kNotPlanned;
    } else if (store::Clustered(plan.population)) {
      report.status = Status::kNotForClusters;
    } else if (sample.groups[column->group].stratified) {
      report.status = Status::kNotForPhases;
    } else {
      const int slice = static_cast<int>(s);
      Table table = TableOf(plan, result, slice, *column, VariantsOf(other, result, slice));
      report.status = Status::kNotEnoughUnits;
      if (table.variants.size() >= 2) Fill(plan, table, experiment.analysis.alpha, &report);
    }
    out.push_back(std::move(report));
  }
  std::vector<double> p;
  for (const OverlapReport& each : out) {
    if (each.p) p.push_back(*each.p);
  }
  const std::vector<double> adjusted = stats::AdjustPValues(p, stats::Adjustment::kHolm);
  size_t next = 0;
  for (OverlapReport& each : out) {
    if (!each.p) continue;
    each.p_adjusted = adjusted[next++];
    each.interacts = *each.p_adjusted < experiment.analysis.alpha;
  }
  return out;
}

}  // namespace fulcrum::report
