// SPDX-License-Identifier: Apache-2.0
#include "report/effect.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "report/cluster_effect.h"
#include "report/columns.h"
#include "report/score_ratio.h"
#include "stats/cuped.h"
#include "stats/distributions.h"
#include "stats/lift.h"
#include "stats/linear.h"
#include "stats/means.h"
#include "stats/proportions.h"
#include "stats/ratio.h"

namespace fulcrum::report {
namespace {

using experiments::Direction;
using experiments::MetricDefinition;
using experiments::MetricKind;
using stats::Interval;

bool IsYesOrNo(MetricKind kind) {
  return kind == MetricKind::kProportion || kind == MetricKind::kRetention;
}

Status FromReason(stats::Reason reason) {
  switch (reason) {
    case stats::Reason::kNone:
      return Status::kOk;
    case stats::Reason::kNoVariance:
      return Status::kNoVariation;
    case stats::Reason::kDenominatorNearZero:
      return Status::kDenominatorNearZero;
    case stats::Reason::kTooFewUnits:
    case stats::Reason::kSingular:
    case stats::Reason::kNotConverged:
    case stats::Reason::kInvalidInput:
      break;
  }
  return Status::kNotEnoughUnits;
}

// What the columns of one metric are, and their place in its group.
class ColumnEstimator {
 public:
  explicit ColumnEstimator(const EffectInput& input)
      : input_(input),
        key_(input.metric.key),
        ratio_(input.metric.kind == MetricKind::kRatio || input.metric.among.has_value()) {}

  MetricResult Run();

 private:
  const ArmStats& Arm(size_t arm) const { return group_->arms[arm]; }
  stats::Moments MomentsOf(size_t arm) const { return Arm(arm).gram.moments(main_); }
  stats::Proportion ProportionOf(size_t arm) const;
  bool AsProportion() const;
  bool clustered() const { return group_->size_column.has_value(); }
  // The estimate is a ratio of two columns' means, the second being, with clusters, their sizes.
  bool OverDenominator() const { return ratio_ || clustered(); }
  ArmValue ClusterValueOf(size_t arm) const;

  ArmValue ValueOf(size_t arm) const;
  Status CountsStatus(size_t arm) const;
  void Compare(size_t arm);
  void CompareProportions(size_t arm, Comparison* c, Pivot* pivot) const;
  void CompareMeans(size_t arm, Comparison* c, Pivot* pivot) const;
  void CompareRatios(size_t arm, Comparison* c, Pivot* pivot) const;

  std::vector<double> Gradient(size_t arm) const;
  double PointOf(size_t arm) const;
  void FindCovariates();
  void FindBorrowed();
  std::vector<double> Theta() const;
  std::vector<double> RidgeTheta() const;
  void Linearise(size_t arm, Comparison* c, Pivot* pivot) const;
  void Adjust(size_t arm, Comparison* c, Pivot* pivot) const;

  const EffectInput& input_;
  const std::string& key_;
  const bool ratio_;  // A numerator and a denominator are planned.
  const GroupStats* group_ = nullptr;
  int group_index_ = 0;
  size_t main_ = 0;         // The column, or the numerator.
  size_t denominator_ = 0;  // Where ratio_.
  std::vector<size_t> covariates_;
  std::vector<std::string> covariate_names_;
  bool borrows_ = false;       // From other metrics' past too.
  std::vector<double> theta_;  // Of all comparisons.
  MetricResult out_;
};

stats::Proportion ColumnEstimator::ProportionOf(size_t arm) const {
  const stats::Gram& gram = Arm(arm).gram;
  const double events = gram.n() > 0 ? gram.mean(main_) * static_cast<double>(gram.n()) : 0;
  return {std::llround(events), gram.n()};
}

// A row that is a cluster holds many units: its yes-or-no sum is a mean like any other.
bool ColumnEstimator::AsProportion() const {
  return IsYesOrNo(input_.metric.kind) && !ratio_ && !clustered();
}

// Per unit, from sums over clusters.
ArmValue ColumnEstimator::ClusterValueOf(size_t arm) const {
  ArmValue value;
  value.arm = input_.plan.population.arms[arm].key;
  const stats::Gram& gram = Arm(arm).gram;
  value.n_clusters = static_cast<double>(gram.n());
  value.maturing = Arm(arm).maturing;
  if (gram.n() == 0) return value;
  const double size = gram.mean(*group_->size_column);
  value.n = std::round(size * static_cast<double>(gram.n()));
  if (!(size > 0)) return value;
  value.mean = gram.mean(main_) / size;
  if (IsYesOrNo(input_.metric.kind)) {
    value.rate = value.mean;
    value.x = std::round(*value.mean * value.n);
  }
  if (ratio_) {
    value.mean_denominator = gram.mean(denominator_) / size;
    if (gram.mean(denominator_) != 0) value.ratio = gram.mean(main_) / gram.mean(denominator_);
    if (value.ratio && IsYesOrNo(input_.metric.kind)) {
      value.rate = value.ratio;
      value.x = std::round(gram.mean(main_) * static_cast<double>(gram.n()));
    }
  }
  return value;
}

ArmValue ColumnEstimator::ValueOf(size_t arm) const {
  if (clustered()) return ClusterValueOf(arm);
  ArmValue value;
  value.arm = input_.plan.population.arms[arm].key;
  const stats::Gram& gram = Arm(arm).gram;
  value.n = static_cast<double>(gram.n());
  value.maturing = Arm(arm).maturing;
  if (gram.n() == 0) return value;
  value.mean = gram.mean(main_);
  if (gram.n() >= 2) value.var = gram.variance(main_);
  if (AsProportion()) {
    const stats::Proportion p = ProportionOf(arm);
    value.x = static_cast<double>(p.events);
    value.rate = p.Rate();
  }
  if (ratio_) {
    value.mean_denominator = gram.mean(denominator_);
    if (gram.mean(denominator_) != 0) {
      value.ratio = gram.mean(main_) / gram.mean(denominator_);
      if (IsYesOrNo(input_.metric.kind)) {
        value.rate = value.ratio;
        value.x = std::round(gram.mean(main_) * static_cast<double>(gram.n()));
      }
    }
    if (gram.n() >= 2) {
      value.var_denominator = gram.variance(denominator_);
      value.cov = gram.covariance(main_, denominator_);
    }
  }
  return value;
}

Status ColumnEstimator::CountsStatus(size_t arm) const {
  for (const size_t a : {size_t{0}, arm}) {
    if (Arm(a).gram.n() >= 2) continue;
    if (Arm(a).maturing > 0) return Status::kAllMaturing;
    if (Arm(a).gram.n() == 1) {
      return clustered() ? Status::kNotEnoughClusters : Status::kNotEnoughUnits;
    }
    return a == 0 ? Status::kNoControl : Status::kNoUnits;
  }
  return Status::kOk;
}

double ColumnEstimator::PointOf(size_t arm) const {
  const auto& mean = Arm(arm).mean;
  return OverDenominator() ? mean[main_] / mean[denominator_] : mean[main_];
}

// d PointOf / d mean.
std::vector<double> ColumnEstimator::Gradient(size_t arm) const {
  std::vector<double> gradient(group_->width, 0);
  if (!OverDenominator()) {
    gradient[main_] = 1;
    return gradient;
  }
  const double den = Arm(arm).mean[denominator_];
  gradient[main_] = 1 / den;
  gradient[denominator_] = -PointOf(arm) / den;
  return gradient;
}

void ColumnEstimator::CompareProportions(size_t arm, Comparison* c, Pivot* pivot) const {
  const double alpha = input_.experiment.analysis.alpha;
  pivot->treatment = ProportionOf(arm);
  pivot->control = ProportionOf(0);
  const auto r = stats::TwoProportions(pivot->treatment, pivot->control, alpha);
  c->status = FromReason(r.reason);
  if (c->status == Status::kNotEnoughUnits) return;
  if (pivot->treatment.events + pivot->control.events == 0) c->status = Status::kNoEvents;
  c->diff = r.diff;
  c->se_pooled = r.se_pooled;
  c->z_pooled = r.z_pooled;
  c->p_pooled = r.p_pooled;
  c->se_unpooled = r.se_unpooled;
  c->z_unpooled = r.z_unpooled;
  c->p_unpooled = r.p_unpooled;
  c->wald_lo = r.wald.lo;
  c->wald_hi = r.wald.hi;
  c->newcombe_lo = r.newcombe.lo;
  c->newcombe_hi = r.newcombe.hi;
  c->miettinen_nurminen_lo = r.miettinen_nurminen.lo;
  c->miettinen_nurminen_hi = r.miettinen_nurminen.hi;
  if (c->status == Status::kOk && r.se_pooled == 0) c->status = Status::kNoVariation;
  pivot->pair = DualPair::kScore;
  pivot->estimate = r.diff;
  pivot->se = r.se_unpooled;
  pivot->statistic = r.z_score;
  pivot->p = r.p_score;
  pivot->log10_p = stats::LogTwoSidedNormalP(r.z_score) / std::numbers::ln10;
}

void ColumnEstimator::CompareMeans(size_t arm, Comparison* c, Pivot* pivot) const {
  const double alpha = input_.experiment.analysis.alpha;
  const auto r = stats::Welch(MomentsOf(arm), MomentsOf(0), alpha);
  c->status = FromReason(r.reason);
  if (c->status == Status::kNotEnoughUnits) return;
  c->diff = r.diff;
  c->se = r.se;
  if (c->status != Status::kOk) return;
  c->df = r.df;
  c->t = r.t;
  c->p_two_sided = r.p;
  c->ci_lo = r.interval.lo;
  c->ci_hi = r.interval.hi;
  pivot->pair = DualPair::kWelch;
  pivot->estimate = r.diff;
  pivot->se = r.se;
  pivot->df = r.df;
  pivot->statistic = r.t;
  pivot->p = r.p;
  pivot->log10_p = r.log_p / std::numbers::ln10;
}

void ColumnEstimator::CompareRatios(size_t arm, Comparison* c, Pivot* pivot) const {
  const double alpha = input_.experiment.analysis.alpha;
  const auto moments = [&](size_t a) {
    return stats::RatioMoments::Of(Arm(a).gram, main_, denominator_);
  };
  if (Arm(0).gram.mean(denominator_) == 0 || Arm(arm).gram.mean(denominator_) == 0) {
    c->status = Status::kDenominatorNearZero;
    return;
  }
  const auto r = stats::RatioDelta(moments(arm), moments(0), alpha);
  c->status = FromReason(r.reason);
  if (c->status == Status::kNotEnoughUnits) return;
  c->ratio_control = r.ratio_control;
  c->ratio_treatment = r.ratio_treatment;
  if (c->status != Status::kOk) return;
  c->diff = r.diff;
  c->se = r.se;
  c->z = r.z;
  c->p_z = r.p_z;
  c->ci_lo = r.interval.lo;
  c->ci_hi = r.interval.hi;
  if (!(r.se > 0)) c->status = Status::kNoVariation;
  pivot->pair = DualPair::kRatioDelta;
  pivot->estimate = r.diff;
  pivot->se = r.se;
  pivot->statistic = r.z;
  pivot->p = r.p_z;
  pivot->log10_p = stats::LogTwoSidedNormalP(r.z) / std::numbers::ln10;
}

// A pivot whose test is t = estimate / se; z with infinite df.
void SetT(double estimate, double se, double df, DualPair pair, Pivot* pivot) {
  pivot->pair = pair;
  pivot->estimate = estimate;
  pivot->se = se;
  pivot->df = df;
  pivot->statistic = estimate / se;
  pivot->p = stats::TwoSidedTP(pivot->statistic, df);
  pivot->log10_p = stats::LogTwoSidedTP(pivot->statistic, df) / std::numbers::ln10;
}

// The linear form, and, where phases had different weights, the stratified estimate from it.
void ColumnEstimator::Linearise(size_t arm, Comparison* c, Pivot* pivot) const {
  pivot->form = {group_index_, static_cast<int>(arm), Gradient(arm), Gradient(0)};
  for (double& g : pivot->form.control) g = -g;
  // A randomisation test redraws inside each phase already.
  if (!group_->stratified || pivot->pair == DualPair::kRandomisation) return;
  const double se = std::sqrt(Covariance(input_.sample, pivot->form, pivot->form));
  if (!(se > 0)) {
    c->status = Status::kNoVariation;
    return;
  }
  const double df = clustered() ? pivot->df : stats::kInfinity;
  SetT(PointOf(arm) - PointOf(0), se, df, DualPair::kStratifiedZ, pivot);
}

void ColumnEstimator::FindCovariates() {
  // With clusters the errors are those of cluster sums, which this adjustment does not follow.
  if (!input_.experiment.analysis.cuped || clustered()) return;
  const auto add = [&](const std::string& column, const std::string& name) {
    if (const auto ref = FindColumn(input_.plan, column, group_index_)) {
      covariates_.push_back(ref->index);
      covariate_names_.push_back(name);
    }
  };
  for (const std::string& source : input_.metric.covariate_columns) {
    add(DataCovariateColumn(source), source);
  }
  if (input_.metric.covariate_window_ms <= 0) return;
  if (ratio_) {
    add(PreColumn(NumeratorColumn(key_)), key_ + " numerator before");
    add(PreColumn(DenominatorColumn(key_)), key_ + " denominator before");
  } else {
    add(PreColumn(key_), key_ + " before");
  }
  if (covariates_.empty()) return;
  add(HasPreColumn(), "seen before");
  FindBorrowed();
}

// The past of the other metrics, where the plan has it.
void ColumnEstimator::FindBorrowed() {
  const auto& columns = input_.plan.groups[group_index_].columns;
  for (size_t i = 0; i < columns.size(); ++i) {
    const store::Column& column = input_.plan.columns[columns[i]];
    if (column.pre_ms <= 0) continue;
    if (std::find(covariates_.begin(), covariates_.end(), i) != covariates_.end()) continue;
    covariates_.push_back(i);
    std::string name = column.name.substr(0, column.name.size() - kPreSuffix.size());
    std::replace(name.begin(), name.end(), '/', ' ');
    covariate_names_.push_back(name + " before");
    borrows_ = true;
  }
}

// Many covariates: shrunk, the penalty chosen on all arms together without their labels.
std::vector<double> ColumnEstimator::RidgeTheta() const {
  stats::Gram pooled;
  for (const ArmStats& arm : group_->arms) pooled.Merge(arm.gram);
  const size_t width = group_->width;
  const size_t k = covariates_.size();
  std::vector<double> rows((k + 1) * width, 0);
  if (ratio_) {
    const double den = pooled.mean(denominator_);
    if (den == 0) return std::vector<double>(k, 0);
    rows[main_] = 1 / den;
    rows[denominator_] = -pooled.mean(main_) / (den * den);
  } else {
    rows[main_] = 1;
  }
  std::vector<size_t> at;
  for (size_t i = 0; i < k; ++i) {
    rows[(i + 1) * width + covariates_[i]] = 1;
    at.push_back(i + 1);
  }
  return stats::EstimateRidgeTheta(pooled.Transform(rows), 0, at).theta;
}

// From the scatter within arms (and phases), all arms together: never looks at the effect. For a
// ratio the outcome is each arm's linearised unit value.
std::vector<double> ColumnEstimator::Theta() const {
  if (borrows_) return RidgeTheta();
  const size_t k = covariates_.size();
  std::vector<double> sxx(k * k);
  std::vector<double> sxy(k, 0);
  const size_t width = group_->width;
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = 0; j < k; ++j) {
      sxx[i * k + j] = group_->within[covariates_[i] * width + covariates_[j]];
    }
    if (!ratio_) {
      sxy[i] = group_->within[covariates_[i] * width + main_];
      continue;
    }
    for (size_t a = 0; a < group_->arms.size(); ++a) {
      const stats::Gram& gram = Arm(a).gram;
      if (gram.n() < 2 || gram.mean(denominator_) == 0) continue;
      const std::vector<double> gradient = Gradient(a);
      for (const size_t column : {main_, denominator_}) {
        sxy[i] += gradient[column] * gram.centred(covariates_[i], column);
      }
    }
  }
  return stats::SolveSemidefinite(sxx, sxy).x;
}

void ColumnEstimator::Adjust(size_t arm, Comparison* c, Pivot* pivot) const {
  if (covariates_.empty()) return;
  LinearForm form = pivot->form;
  const double plain_se = std::sqrt(Covariance(input_.sample, form, form));
  Adjusted adjusted;
  adjusted.covariates = covariate_names_;
  adjusted.theta = theta_;
  double shift = 0;
  for (size_t i = 0; i < covariates_.size(); ++i) {
    const size_t column = covariates_[i];
    form.treatment[column] -= adjusted.theta[i];
    form.control[column] += adjusted.theta[i];
    shift += adjusted.theta[i] * (Arm(arm).mean[column] - Arm(0).mean[column]);
  }
  adjusted.diff = PointOf(arm) - PointOf(0) - shift;
  adjusted.se = std::sqrt(Covariance(input_.sample, form, form));
  // Covariates that explain everything leave rounding, not a standard error.
  if (!(adjusted.se > 1e-9 * plain_se)) return;
  pivot->form = std::move(form);
  SetT(adjusted.diff, adjusted.se, stats::kInfinity, DualPair::kAdjustedZ, pivot);
  adjusted.z = pivot->statistic;
  adjusted.p = pivot->p;
  const double half = stats::CriticalZ(input_.experiment.analysis.alpha) * adjusted.se;
  adjusted.lo = adjusted.diff - half;
  adjusted.hi = adjusted.diff + half;
  adjusted.variance_reduction = 1 - std::pow(adjusted.se / plain_se, 2);
  c->adjusted = std::move(adjusted);
}

void ColumnEstimator::Compare(size_t arm) {
  Comparison c;
  Pivot pivot;
  c.arm = input_.plan.population.arms[arm].key;
  c.control = input_.plan.population.arms[0].key;
  c.status = CountsStatus(arm);
  if (c.status == Status::kOk) {
    if (clustered()) {
      CompareClusters(*group_, arm, {main_, denominator_}, input_.experiment.analysis.alpha, &c,
                      &pivot);
    } else if (AsProportion()) {
      CompareProportions(arm, &c, &pivot);
    } else if (ratio_) {
      CompareRatios(arm, &c, &pivot);
    } else {
      CompareMeans(arm, &c, &pivot);
    }
  }
  if (c.status == Status::kOk) Linearise(arm, &c, &pivot);
  if (c.status == Status::kOk) {
    Adjust(arm, &c, &pivot);
    const std::vector<double> base = Gradient(0);
    const ArmStats& control = Arm(0);
    pivot.units = static_cast<double>(control.gram.n() + Arm(arm).gram.n());
    pivot.base = PointOf(0);
    if (pivot.pair == DualPair::kClusterT || pivot.pair == DualPair::kRandomisation) {
      pivot.base_covariance = -pivot.base_variance;  // The variance is CompareClusters'.
    } else {
      pivot.base_variance = control.Covariance(base, base);
      pivot.base_covariance = control.Covariance(pivot.form.control, base);
    }
  }
  out_.pivots.push_back(c.status == Status::kOk ? std::optional<Pivot>(std::move(pivot))
                                                : std::nullopt);
  out_.report.comparisons.push_back(std::move(c));
}

MetricResult ColumnEstimator::Run() {
  const auto main = FindColumn(input_.plan, ratio_ ? NumeratorColumn(key_) : key_);
  if (main) {
    auto den = main;
    if (ratio_) den = FindColumn(input_.plan, DenominatorColumn(key_), main->group);
    group_index_ = main->group;
    main_ = main->index;
    if (den) {
      group_ = &input_.sample.groups[group_index_];
      denominator_ = !ratio_ && clustered() ? *group_->size_column : den->index;
    }
  }
  if (group_ == nullptr) {
    out_.report.status = Status::kNotPlanned;
    return std::move(out_);
  }
  FindCovariates();
  if (!covariates_.empty()) theta_ = Theta();
  for (size_t a = 0; a < group_->arms.size(); ++a) out_.report.arms.push_back(ValueOf(a));
  for (size_t a = 1; a < group_->arms.size(); ++a) Compare(a);
  // Nothing to compare at all: say the first arm's reason for the metric.
  out_.report.status = out_.report.comparisons.front().status;
  for (const Comparison& c : out_.report.comparisons) {
    if (c.status == Status::kOk) out_.report.status = Status::kOk;
  }
  return std::move(out_);
}

}  // namespace

double Covariance(const Sample& sample, const LinearForm& a, const LinearForm& b) {
  if (a.group < 0 || a.group != b.group) return 0;
  const GroupStats& group = sample.groups[a.group];
  double sum = group.arms[0].Covariance(a.control, b.control);
  if (a.arm == b.arm) sum += group.arms[a.arm].Covariance(a.treatment, b.treatment);
  return sum;
}

MetricResult EstimateColumns(const EffectInput& input) { return ColumnEstimator(input).Run(); }

std::optional<double> LiftOf(const Pivot& pivot) {
  if (pivot.base == 0) return std::nullopt;
  return pivot.estimate / std::fabs(pivot.base);
}

PivotInterval IntervalAt(const Pivot& pivot, double alpha) {
  PivotInterval out;
  if (pivot.pair == DualPair::kScore) {
    out.estimate = stats::MiettinenNurminenInterval(pivot.treatment, pivot.control, alpha);
    if (pivot.control.events > 0) {
      const Interval ratio = ScoreRatioInterval(pivot.treatment, pivot.control, alpha);
      out.lift = Interval{ratio.lo - 1, ratio.hi - 1};
      out.lift_method = LiftMethod::kScore;
    }
    return out;
  }
  if (pivot.pair == DualPair::kRandomisation) return RandomisationInterval(pivot, alpha);
  return IntervalFromQuantile(pivot, stats::CriticalT(alpha, pivot.df));
}

PivotInterval IntervalFromQuantile(const Pivot& pivot, double quantile) {
  PivotInterval out;
  out.estimate = {pivot.estimate - quantile * pivot.se, pivot.estimate + quantile * pivot.se};
  if (pivot.base == 0) return out;
  const auto set =
      stats::Fieller({pivot.estimate, pivot.se * pivot.se}, {pivot.base, pivot.base_variance},
                     pivot.base_covariance, quantile);
  out.lift_bounded = set.shape == stats::FiellerSet::Shape::kBounded;
  out.lift = Interval{};
  if (out.lift_bounded) {
    out.lift = pivot.base > 0 ? Interval{set.lo, set.hi} : Interval{-set.hi, -set.lo};
  }
  return out;
}

std::optional<double> NonInferiorityP(const Pivot& pivot, double margin, Direction direction) {
  const double sign = pivot.base < 0 ? -1 : 1;
  const double good = direction == Direction::kIncrease ? 1 : -1;
  // Slack = good * estimate + margin * |base|; harm beyond the margin is slack <= 0.
  const double slack = good * pivot.estimate + margin * sign * pivot.base;
  const double variance = pivot.se * pivot.se + margin * margin * pivot.base_variance +
                          2 * good * margin * sign * pivot.base_covariance;
  if (!(variance > 0)) return std::nullopt;
  return stats::TSf(slack / std::sqrt(variance), pivot.df);
}

}  // namespace fulcrum::report
