// SPDX-License-Identifier: Apache-2.0
#include "report/funnel.h"

#include <cmath>
#include <optional>
#include <vector>

#include "report/cluster_effect.h"
#include "report/columns.h"
#include "report/effect.h"
#include "stats/distributions.h"
#include "stats/multiplicity.h"

namespace fulcrum::report {
namespace {

using experiments::Definitions;
using experiments::MetricDefinition;

class Funnel {
 public:
  Funnel(const store::Plan& plan, const Sample& sample, double alpha)
      : plan_(plan), sample_(sample), alpha_(alpha) {}

  FunnelReport Run(const Definitions& definitions, const MetricDefinition& metric);

 private:
  // A required stage's rate is conditional on the last required one before it; a side branch's too.
  struct Place {
    size_t column = 0;
    std::optional<size_t> before;  // Column of the stage it is conditional on.
  };

  // Reached, of the units; per order or session, of those that came to the first stage; of
  // clusters, over their units.
  double Rate(size_t arm, size_t column) const {
    const auto& mean = group_->arms[arm].mean;
    if (!base_) return mean[column];
    return mean[*base_] != 0 ? mean[column] / mean[*base_] : 0;
  }
  // d Rate / d mean, times `scale`, added to *form.
  void AddGradient(size_t arm, size_t column, double scale, std::vector<double>* form) const {
    if (!base_) {
      (*form)[column] += scale;
      return;
    }
    const double base = group_->arms[arm].mean[*base_];
    if (base == 0) return;
    (*form)[column] += scale / base;
    (*form)[*base_] -= scale * Rate(arm, column) / base;
  }
  FunnelArm ArmOf(size_t arm, const Place& place) const;
  LinearForm Difference(size_t arm, size_t column) const;
  LinearForm LogRatio(size_t arm, const Place& place, bool step) const;
  FunnelComparison Compare(size_t arm, const Place& place) const;
  void Intervals(FunnelReport* report) const;
  double CriticalZ(const std::vector<LinearForm>& forms) const;

  const store::Plan& plan_;
  const Sample& sample_;
  const double alpha_;
  int group_index_ = 0;
  const GroupStats* group_ = nullptr;
  std::optional<size_t> base_;  // What rates are of; none: every row is one unit.
  std::vector<Place> places_;
};

FunnelArm Funnel::ArmOf(size_t arm, const Place& place) const {
  const auto& gram = group_->arms[arm].gram;
  FunnelArm out;
  out.arm = plan_.population.arms[arm].key;
  const auto rows = static_cast<double>(gram.n());
  out.n = rows;
  if (gram.n() == 0) return out;
  if (base_) out.n = std::round(rows * gram.mean(*base_));
  if (!(out.n > 0)) return out;
  out.x = std::round(rows * gram.mean(place.column));
  out.rate = rows * gram.mean(place.column) / (base_ ? rows * gram.mean(*base_) : rows);
  const double before = place.before ? gram.mean(*place.before) : 0;
  if (!place.before) out.step_rate = out.rate;
  if (before > 0) out.step_rate = gram.mean(place.column) / before;
  return out;
}

LinearForm Funnel::Difference(size_t arm, size_t column) const {
  LinearForm form{group_index_, static_cast<int>(arm), std::vector<double>(group_->width, 0),
                  std::vector<double>(group_->width, 0)};
  AddGradient(arm, column, 1, &form.treatment);
  AddGradient(0, column, -1, &form.control);
  return form;
}

// ln(rate_T / rate_C), or of the step rates, by the delta method: d ln r = dr / r.
LinearForm Funnel::LogRatio(size_t arm, const Place& place, bool step) const {
  LinearForm form{group_index_, static_cast<int>(arm), std::vector<double>(group_->width, 0),
                  std::vector<double>(group_->width, 0)};
  AddGradient(arm, place.column, 1 / Rate(arm, place.column), &form.treatment);
  AddGradient(0, place.column, -1 / Rate(0, place.column), &form.control);
  if (step && place.before) {
    AddGradient(arm, *place.before, -1 / Rate(arm, *place.before), &form.treatment);
    AddGradient(0, *place.before, 1 / Rate(0, *place.before), &form.control);
  }
  return form;
}

FunnelComparison Funnel::Compare(size_t arm, const Place& place) const {
  FunnelComparison c;
  c.arm = plan_.population.arms[arm].key;
  const auto n_treatment = group_->arms[arm].gram.n();
  const auto n_control = group_->arms[0].gram.n();
  if (n_treatment < 2 || n_control < 2) {
    c.status = n_control == 0 ? Status::kNoControl : Status::kNotEnoughUnits;
    if (n_treatment == 0) c.status = Status::kNoUnits;
    if (group_->arms[arm].maturing > 0) c.status = Status::kAllMaturing;
    return c;
  }
  if (FewClusters(*group_, arm)) {
    c.status = Status::kNotEnoughClusters;
    return c;
  }
  const double treatment = Rate(arm, place.column);
  const double control = Rate(0, place.column);
  const LinearForm difference = Difference(arm, place.column);
  c.diff = treatment - control;
  c.se = std::sqrt(Covariance(sample_, difference, difference));
  c.status = treatment + control > 0 ? Status::kOk : Status::kNoEvents;
  if (*c.se > 0) {
    c.z = *c.diff / *c.se;
    c.p = stats::TwoSidedNormalP(*c.z);
  } else if (c.status == Status::kOk) {
    c.status = Status::kNoVariation;
  }
  if (control > 0) c.lift = *c.diff / control;
  if (!(treatment > 0) || !(control > 0)) return c;
  const LinearForm whole = LogRatio(arm, place, false);
  c.log_lift = std::log(treatment / control);
  c.se_log_lift = std::sqrt(Covariance(sample_, whole, whole));
  const double before =
      place.before ? std::log(Rate(arm, *place.before) / Rate(0, *place.before)) : 0;
  const LinearForm step = LogRatio(arm, place, true);
  c.log_step = *c.log_lift - before;
  c.se_log_step = std::sqrt(Covariance(sample_, step, step));
  return c;
}

double Funnel::CriticalZ(const std::vector<LinearForm>& forms) const {
  const size_t m = forms.size();
  if (m < 2) return stats::CriticalZ(alpha_);
  std::vector<double> covariance(m * m);
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < m; ++j) {
      covariance[i * m + j] = report::Covariance(sample_, forms[i], forms[j]);
    }
  }
  return stats::SimultaneousCriticalValue(stats::CorrelationOf(covariance), alpha_);
}

// Simultaneous over stages and arms: differences among themselves, log steps among themselves.
void Funnel::Intervals(FunnelReport* report) const {
  std::vector<LinearForm> differences;
  std::vector<LinearForm> steps;
  const auto each = [&](auto&& visit) {
    for (size_t s = 0; s < report->stages.size(); ++s) {
      for (size_t a = 0; a < report->stages[s].comparisons.size(); ++a) {
        visit(report->stages[s].comparisons[a], places_[s], a + 1);
      }
    }
  };
  each([&](const FunnelComparison& c, const Place& place, size_t arm) {
    if (c.z) differences.push_back(Difference(arm, place.column));
    if (c.se_log_step && *c.se_log_step > 0) steps.push_back(LogRatio(arm, place, true));
  });
  const double z_difference = CriticalZ(differences);
  const double z_step = CriticalZ(steps);
  each([&](FunnelComparison& c, const Place&, size_t) {
    if (c.z) {
      c.lo = *c.diff - z_difference * *c.se;
      c.hi = *c.diff + z_difference * *c.se;
    }
    if (c.se_log_step && *c.se_log_step > 0) {
      c.log_step_lo = *c.log_step - z_step * *c.se_log_step;
      c.log_step_hi = *c.log_step + z_step * *c.se_log_step;
    }
  });
}

FunnelReport Funnel::Run(const Definitions& definitions, const MetricDefinition& metric) {
  FunnelReport report;
  report.key = metric.key;
  std::optional<size_t> required;
  std::optional<size_t> base_of_ids;  // Column of the first stage, where ids are what is counted.
  for (const std::string& key : metric.funnel_stages) {
    const auto ref = FindColumn(plan_, StageColumn(metric.key, key));
    const auto* stage = definitions.FindStage(key);
    if (!ref || stage == nullptr) {
      report.status = Status::kNotPlanned;
      report.stages.clear();
      return report;
    }
    group_index_ = ref->group;
    group_ = &sample_.groups[group_index_];
    if (group_->size_column) base_ = group_->size_column;
    if (metric.per != experiments::CountedPer::kUnit && !base_of_ids) base_of_ids = ref->index;
    if (base_of_ids) base_ = base_of_ids;
    FunnelStageReport out;
    out.key = key;
    out.title = stage->title.empty() ? key : stage->title;
    out.mover = stage->mover;
    out.optional = stage->optional;
    const Place place{ref->index, required};
    for (size_t a = 0; a < group_->arms.size(); ++a) out.arms.push_back(ArmOf(a, place));
    for (size_t a = 1; a < group_->arms.size(); ++a) out.comparisons.push_back(Compare(a, place));
    places_.push_back(place);
    if (!stage->optional) required = ref->index;
    report.stages.push_back(std::move(out));
  }
  Intervals(&report);
  if (!report.stages.empty() && !report.stages.front().comparisons.empty()) {
    report.status = report.stages.front().comparisons.front().status;
    // The first stage may be certain (everybody was exposed on it); the rest still says something.
    if (report.status == Status::kNoVariation) report.status = Status::kOk;
  }
  return report;
}

}  // namespace

FunnelReport EstimateFunnel(const Definitions& definitions, const MetricDefinition& metric,
                            const store::Plan& plan, const Sample& sample, double alpha) {
  return Funnel(plan, sample, alpha).Run(definitions, metric);
}

}  // namespace fulcrum::report
