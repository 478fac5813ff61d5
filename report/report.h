// SPDX-License-Identifier: Apache-2.0
//
// Start here: the one report model. Analyze() (analyze.h) fills it, renderers (render.h) print it,
// JSON (json.h) is its lossless form. It holds raw numbers and reasons; every sentence a reader
// sees is made by a renderer from the enums, and no renderer computes a statistic.
//
// Conventions: effects are treatment minus control; rates and lifts are fractions (0.05 is 5%);
// p-values are two-sided unless named otherwise; instants are UTC Unix milliseconds (`_ms`). An
// absent optional means "not defined here", and the `status` beside it says why. No field is NaN;
// +-infinity is allowed where said (an unbounded interval, a t of identical units).
// All types are plain values: distinct objects may be used from distinct threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "experiments/definition.h"

namespace fulcrum::report {

using experiments::Correction;
using experiments::Direction;
using experiments::ExperimentStatus;
using experiments::Lens;
using experiments::MetricKind;
using experiments::Mover;

inline constexpr int kReportVersion = 1;

// --- Reasons ---------------------------------------------------------------------------------

// Whether an estimate could be made, and if not, why not.
enum class Status {
  kOk,
  kNoUnits,              // An arm has no unit yet.
  kNotEnoughUnits,       // Fewer than two units in an arm: no variance.
  kAllMaturing,          // Units exist, but no unit's window has fully passed.
  kNoVariation,          // Every unit has the same value in both arms.
  kNoEvents,             // The outcome never happened in any arm.
  kDenominatorNearZero,  // A ratio's denominator, or the control's mean, is within noise of zero.
  kNoControl,            // The control arm has no data, so there is nothing to compare with.
  kNotPlanned,           // The data does not carry what the metric needs.
  kNotEnoughClusters,    // Fewer than two in an arm, or than a normal error needs.
  kNotForClusters,       // No error of this kind of metric is computed with clusters.
  kNotForPhases,         // Not computed where the weights changed while it ran.
};

enum class Role { kPrimary, kSecondary, kGuardrail, kFunnel };

// The test and the interval a verdict rests on. Both come from one pivot, so p_adjusted <
// alpha_final exactly when the simultaneous interval excludes zero.
enum class DualPair {
  kNone,
  kWelch,            // Welch t and its t interval.
  kScore,            // Score z with Miettinen and Nurminen's interval (two proportions).
  kUnpooledZ,        // Estimate / standard error, and estimate +- z * standard error.
  kRatioDelta,       // The same with the delta method's standard error of a ratio.
  kAdjustedZ,        // The same on the covariate-adjusted difference (CUPED).
  kStratifiedZ,      // The same on the phase-stratified difference.
  kOrderStatistics,  // Quantiles: the spread of order statistics.
  kRestrictedMean,   // Restricted mean time and its Greenwood-type standard error.
  kClusterT,         // Clusters: t with CR2 errors and Satterthwaite degrees of freedom.
  kRandomisation,    // Few clusters: the assignment itself, and the effects it does not reject.
};

// How one arm compares with the control on one metric, in terms of what is good.
enum class Outcome { kBetter, kWorse, kNoDifference, kInsufficient };

// How a guardrail stands against its margin.
enum class GuardrailState { kNotAGuardrail, kCleared, kNotCleared, kBreached, kInsufficient };

enum class LiftMethod { kNone, kFieller, kScore, kScaled };  // kScaled: over the control as seen.

enum class Decision { kBroken, kNoData, kStop, kShip, kKeepRunning, kInconclusive };

enum class ReasonCode {
  kSampleRatioMismatch,
  kMultiArmImbalance,
  kTriggerImbalance,
  kExposureLossImbalance,
  kUnknownVariant,
  kExclusionImbalance,  // The arms fit before units were excluded and do not fit after.
  kDefinitionChanged,
  kNoPrimaryMetric,
  kInsufficientData,
  kPrimaryBetter,
  kPrimaryWorse,
  kPrimaryUnclear,
  kBelowMinLift,     // Better, but its size may be under the smallest lift worth shipping.
  kMinLiftRuledOut,  // The interval's good end is under the smallest lift worth shipping.
  kGuardrailBreached,
  kGuardrailNotCleared,
  kGuardrailsCleared,
  kPlannedTimeNotReached,
  kPlannedTimeReached,
  kPowerReached,  // At min_lift, as asked for: what did not show is probably smaller.
  kPowerNotReached,
  kWaitingForPower,  // The planned time is over, the power asked for is not there yet.
  kPowerOutOfReach,  // Not within as long again as was planned.
};

struct Reason {
  ReasonCode code = ReasonCode::kInsufficientData;
  std::string arm;              // "" = the whole experiment.
  std::string metric;           // "" = none.
  std::optional<double> value;  // What was seen …
  std::optional<double> limit;  // … against what.
};

// --- Parts -------------------------------------------------------------------------------------

struct ExperimentInfo {
  std::string key;
  std::string title;
  std::string hypothesis;
  std::string owner;
  ExperimentStatus status = ExperimentStatus::kRunning;
  std::string unit;                 // What is randomised and counted: "user".
  std::string cluster;              // Attribute; "" = the unit itself.
  int64_t block_ms = 0;             // Switchback: the row of analysis is a block of time …
  int64_t washout_ms = 0;           // … whose first exposures are left out.
  std::string definition_hash;      // Of the definition this report used.
  std::string started_hash;         // Of the definition in force at the start; "" = not known.
  bool definition_changed = false;  // After the start: not what was pre-registered.
  std::optional<int64_t> start_ms;
  std::optional<int64_t> end_ms;
  int64_t planned_duration_ms = 0;  // 0 = none stated.
  std::string currency;
  std::string timezone;
};

struct AnalysisInfo {
  double alpha = 0.05;
  // Where an end is planned, alpha = alpha_look + alpha_final: the always-valid band may be read at
  // any time, the simultaneous intervals at the planned end; both hold together (union bound).
  double alpha_look = 0;
  double alpha_final = 0.05;
  // The planned end is reached, or none is planned: the simultaneous intervals apply. Otherwise the
  // band for looking does.
  bool final = true;
  Correction correction = Correction::kSimultaneous;
  double srm_alpha = 0.001;
  double min_lift = 0;
  std::optional<double>
      target_power;  // Asked for at min_lift; absent: the end is the planned time.
  int64_t as_of_ms = 0;
  int64_t first_exposure_ms = 0;
  int64_t last_exposure_ms = 0;
  int64_t last_received_ms = 0;
  bool stratified_by_phase = false;
};

// A chi-squared test of counts against expected counts.
struct CountTest {
  Status status = Status::kNoUnits;
  std::vector<double> observed;  // Per arm, in Report::arms order.
  std::vector<double> expected;
  std::optional<double> chi2;
  std::optional<int> df;
  std::optional<double> p;
  std::optional<double> log10_p;  // Meaningful where p underflows.
  bool mismatch = false;          // p < srm_alpha.
};

struct ArmInfo {
  std::string key;
  std::string title;
  bool control = false;
  double weight = 0;  // As a share of all arms: expected_share.
  double units = 0;
  std::optional<double> clusters;  // Or blocks, where they are what was randomised.
  double exposures = 0;
  double multi_arm_units = 0;  // Seen in other arms too; analysed by the first.
  double excluded_units = 0;   // By the declared rule for bots and brushing …
  double burst_units = 0;      // … of them for doing more than people do.
  double triggered_units = 0;  // enrol: event.
  std::optional<double> client_assigned;
  std::optional<double> client_shown;
  std::optional<double> client_sent;
  std::optional<double> client_dropped;
  std::optional<double> loss_rate;  // 1 - sent / shown, as the clients counted.
};

struct Health {
  bool ok = true;  // No problem that withholds the verdict.
  CountTest srm;
  std::optional<CountTest> srm_before;  // Where units were excluded: with them.
  std::optional<CountTest> multi_arm;   // Are units of several arms spread as the weights say?
  std::optional<CountTest> triggered;   // enrol: event.
  std::optional<CountTest> loss;        // Sent against lost, by arm (clients' own counts).
  double duplicate_exposures = 0;
  double duplicate_events = 0;
  double unknown_variant_exposures = 0;
  double events_scanned = 0;
  double rejected_rows = 0;
  std::vector<Reason> problems;
};

// One arm's numbers for one metric. Fields that a kind does not have are absent.
struct ArmValue {
  std::string arm;
  double n = 0;                            // Units analysed; time per order: orders.
  std::optional<double> n_clusters;        // What is independent, where it is not each of n.
  double maturing = 0;                     // Units left out because their window has not passed.
  std::optional<double> x;                 // proportion, retention: units with the outcome.
  std::optional<double> rate;              // x / n.
  std::optional<double> mean;              // mean, count; proportion too; ratio: of the numerator.
  std::optional<double> var;               // Unbiased, n - 1.
  std::optional<double> ratio;             // ratio: sum of numerator / sum of denominator.
  std::optional<double> mean_denominator;  // ratio.
  std::optional<double> var_denominator;   // ratio.
  std::optional<double> cov;               // ratio: of numerator and denominator.
  std::optional<double> quantile;          // quantile: the value …
  std::optional<double> quantile_lo;       // … and the order statistics around it.
  std::optional<double> quantile_hi;
  std::optional<double> n_values;            // quantile of events: values, not units.
  std::optional<double> restricted_mean_ms;  // time_to, up to the horizon …
  std::optional<double> se_restricted_mean_ms;
  std::optional<double> median_ms;  // … Kaplan-Meier; absent when never reached.
  std::optional<double> reached;    // time_to: Kaplan-Meier share that reached it.
};

// Where a covariate known before exposure is declared: the adjusted analysis, beside the plain one.
struct Adjusted {
  std::vector<std::string> covariates;
  std::vector<double> theta;
  double diff = 0;
  double se = 0;
  double z = 0;
  double p = 1;
  double lo = 0;
  double hi = 0;
  double variance_reduction = 0;  // 1 - (se / unadjusted se)^2.
};

// The estimate given that it was picked for being significant, which alone overstates it (winner's
// curse): of the normal estimate truncated to |z| > threshold.
struct Corrected {
  double threshold = 0;                          // |z| it had to pass.
  double median_unbiased = 0;                    // The one to read.
  double conditional_mle = 0;                    // Shrinks harder near the threshold.
  double lo = 0, hi = 0;                         // At the level that applies.
  std::optional<double> lift, lift_lo, lift_hi;  // median_unbiased and its interval / |control|.
};

// One arm against the control on one metric. The plain figures first, each by its usual name; then
// what the verdict rests on.
struct Comparison {
  std::string arm;
  std::string control;
  Status status = Status::kNoUnits;

  std::optional<double> diff;  // Plain: not adjusted for covariates.

  // Proportions: pooled z for the classic test, unpooled for the classic interval.
  std::optional<double> se_pooled, z_pooled, p_pooled;
  std::optional<double> se_unpooled, z_unpooled, p_unpooled;
  std::optional<double> wald_lo, wald_hi;
  std::optional<double> newcombe_lo, newcombe_hi;
  std::optional<double> miettinen_nurminen_lo, miettinen_nurminen_hi;

  // Means: Welch. Ratios, quantiles, times: se, z, p_z.
  std::optional<double> se, df, t, p_two_sided;
  std::optional<double> z, p_z;
  std::optional<double> ci_lo, ci_hi;
  std::optional<double> ratio_control, ratio_treatment;
  std::optional<double> log_rank_chi2, log_rank_p;  // time_to.

  std::optional<Adjusted> adjusted;

  // Relative lift: estimate / |control|, at the individual level 1 - alpha.
  std::optional<double> lift, lift_lo, lift_hi;
  LiftMethod lift_method = LiftMethod::kNone;
  bool fieller_bounded = true;  // False: the data cannot bound the lift; ends are +-infinity.

  // What the verdict rests on: one pivot, test and interval from it.
  DualPair pair = DualPair::kNone;
  std::optional<double> estimate;                  // diff, or the adjusted difference.
  std::optional<double> statistic;                 // z or t.
  std::optional<double> p;                         // Of this comparison alone.
  std::optional<double> p_adjusted;                // Over its family.
  std::optional<double> sim_lo, sim_hi;            // Simultaneous interval of `estimate`.
  std::optional<double> sim_lift_lo, sim_lift_hi;  // The same, relative to the control.
  std::optional<double> log10_p;                   // Where p underflows.
  // The band for looking: valid however often it is read (asymptotic confidence sequence), shared
  // over the family; p_look < alpha_look exactly when [look_lo, look_hi] excludes 0.
  std::optional<double> p_look, look_lo, look_hi, look_lift_lo, look_lift_hi;
  // By the interval that applies: simultaneous at the planned end, the band before it.
  Outcome outcome = Outcome::kInsufficient;

  // Primary metrics: the probability of seeing a change of min_lift at the planned end's level with
  // the precision reached, the smallest lift seen with target_power (0.8 where none is asked for),
  // and the days until target_power, where one is asked for (infinite: not with these units).
  std::optional<double> power, detectable_lift, days_to_power;
  std::optional<Corrected> corrected;  // Primary metrics that are better or worse.

  // Guardrails: the largest acceptable harm in the metric's unit and where the one-sided bound is.
  GuardrailState guardrail = GuardrailState::kNotAGuardrail;
  std::optional<double> margin_abs;
  std::optional<double> p_noninferiority;
};

struct MetricReport {
  std::string key;
  std::string title;
  std::string description;
  MetricKind kind = MetricKind::kProportion;
  Role role = Role::kSecondary;
  Lens lens = Lens::kBusiness;
  std::optional<Mover> mover;  // Of the funnel stage its event belongs to.
  Direction direction = Direction::kIncrease;
  std::string unit_label;
  std::string estimand;  // Who, from when, over what window, with which exclusions.
  Status status = Status::kOk;
  std::optional<double> margin;      // Guardrails, as a fraction of the control.
  std::optional<double> cap_value;   // The cap that was applied, where one was.
  std::optional<double> quantile;    // Which quantile.
  std::optional<double> horizon_ms;  // time_to.
  std::vector<ArmValue> arms;
  std::vector<Comparison> comparisons;
};

// The comparisons of one role share one error rate.
struct Family {
  Role role = Role::kPrimary;
  int size = 0;  // Comparisons that could be made.
  Correction correction = Correction::kSimultaneous;
  std::string critical_method;       // "max |z| of the joint normal", "Sidak", …
  std::optional<double> critical_z;  // Individual normal quantile that holds 1 - alpha jointly.
  std::optional<double> alpha_each;  // The level it means for one comparison.
};

struct FunnelArm {
  std::string arm;
  double n = 0;                     // Units at the start of the funnel.
  double x = 0;                     // Units that reached this stage.
  double rate = 0;                  // Unconditional: x / n.
  std::optional<double> step_rate;  // Of those at the last required stage before. Not causal.
};

struct FunnelComparison {
  std::string arm;
  Status status = Status::kNoUnits;
  std::optional<double> diff, se, z, p;  // Unconditional rates, unpooled.
  std::optional<double> lo, hi;          // Simultaneous over stages and arms.
  std::optional<double> lift;
  // ln of the step rate's ratio to the control's: over required stages these sum exactly to
  // `log_lift`, the logarithm of this stage's unconditional rate ratio. An accounting identity.
  std::optional<double> log_step, se_log_step, log_step_lo, log_step_hi;
  std::optional<double> log_lift, se_log_lift;
};

struct FunnelStageReport {
  std::string key;
  std::string title;
  Mover mover = Mover::kProduct;
  bool optional = false;
  std::vector<FunnelArm> arms;
  std::vector<FunnelComparison> comparisons;
};

struct FunnelReport {
  std::string key;
  std::string title;
  std::string estimand;
  Status status = Status::kOk;
  std::vector<FunnelStageReport> stages;
};

// Effect of the first primary metric by day since exposure, on units that have lived through every
// day shown: whether it fades (novelty) or grows (learning).
enum class Trend { kNoTrend, kFading, kGrowing, kReversing };

struct DayEffect {
  int day = 0;                               // 0: the first 24 hours.
  std::optional<double> control, treatment;  // Mean per unit on that day.
  std::optional<double> diff, se, lo, hi;    // Simultaneous over the days.
};

struct DaysReport {
  std::string metric;
  std::string arm;
  Status status = Status::kNoUnits;
  double n_control = 0;
  double n_treatment = 0;
  std::vector<DayEffect> days;
  std::optional<double> slope, slope_se, p_trend;  // Change of the effect per day.
  std::optional<double> p_equal;                   // All days have one effect.
  Trend trend = Trend::kNoTrend;
};

// Units that are in another experiment too: does the effect depend on its variant?
struct OverlapCell {
  std::string arm;
  std::string other_variant;
  double n_control = 0;  // Units of the control with that variant …
  double n_treatment = 0;
  std::optional<double> diff, se;  // … and the effect among them.
  // Effect with that variant less the effect with the other experiment's control.
  std::optional<double> interaction, interaction_se, lo, hi, p_adjusted;
};

struct OverlapReport {
  std::string experiment;
  std::string title;
  std::string metric;
  Status status = Status::kNoUnits;
  double units = 0;                   // In both.
  std::optional<double> chi2, df, p;  // That nothing interacts.
  std::optional<double> p_adjusted;   // Holm over the other experiments.
  bool interacts = false;
  std::vector<OverlapCell> cells;
};

// Coupon economics. Per exposed unit, treatment minus control.
struct EconomicsEffect {
  std::optional<double> diff, se, lo, hi, p;
};

// A ratio of two effects; Fieller's set.
enum class RatioSet { kBounded, kComplement, kWholeLine };
struct EconomicsRatio {
  std::optional<double> value;
  RatioSet set = RatioSet::kWholeLine;  // kComplement: everything outside (lo, hi).
  double lo = 0;
  double hi = 0;
};

// A share that the data bound but do not fix; lo and hi widen the bounds for chance.
struct EconomicsShare {
  double low = 0;
  double high = 1;
  double lo = 0;
  double hi = 1;
};

struct EconomicsArm {
  std::string arm;
  Status status = Status::kNoUnits;
  EconomicsEffect profit, cost, orders;
  EconomicsRatio return_on_cost;  // Incremental profit / incremental cost.
  EconomicsRatio cost_per_order;  // Incremental cost / incremental orders.
  // Share of the subsidy that went to units that would have bought without it: without assumption,
  // and where it never stops an order; of redeemers, and of the money.
  Status subsidy_status = Status::kNoUnits;
  std::optional<EconomicsShare> subsidy_any, subsidy_monotone, subsidy_money;
};

struct EconomicsReport {
  std::string profit, cost, orders;  // Metrics.
  std::string estimand;
  std::vector<EconomicsArm> arms;  // Each treatment.
};

struct SliceEffect {
  std::string value;
  double n_control = 0;
  double n_treatment = 0;
  Status status = Status::kNoUnits;
  std::optional<double> diff, se;
  std::optional<double> lo, hi;             // Simultaneous over the slice's values.
  std::optional<double> shrunk, shrunk_sd;  // Towards the common effect.
  std::optional<double> p_adjusted;         // Holm over the slice's values.
  // The whole as the sum of its parts: share * plain difference, and what is left is the mix.
  std::optional<double> share, contribution;
};

// A primary metric broken down by a dimension (attributes of units, frozen at first exposure), or a
// metric split by a property of its events (a slice: parts of what the same units did).
struct SliceReport {
  std::string key;         // The attribute, several as "a / b"; or the property.
  bool of_events = false;  // A slice of the metric; otherwise a dimension of units.
  std::string metric;
  std::string arm;
  std::optional<double> q, q_df, p_heterogeneity;  // Cochran's Q over the values.
  bool heterogeneous = false;                      // p under alpha: only then may a slice be named.
  bool reversal = false;  // Every slice points against the whole (Simpson).
  // total = sum of contributions + mix, exactly (Kitagawa 1955); plain differences. `mix` is who
  // came to which arm. Absent for ratios, which do not add up.
  std::optional<double> total, mix;
  bool mix_changes_sign = false;  // The sum of contributions points against the whole.
  std::vector<SliceEffect> effects;
};

struct ChannelArm {
  std::string arm;
  double n = 0;                                        // Units whose window is over.
  std::optional<double> contribution;                  // Mean of the metric.
  std::optional<double> margin, margin_lo, margin_hi;  // Less the cost per unit; 1 - alpha.
};

// One channel, or a total of several.
struct ChannelRow {
  std::string key;
  std::string title;
  std::string line;  // traffic | brand; "" for a total or a channel that is not declared.
  bool paid = false;
  bool total = false;  // Of a line, or of what is paid or free.
  double units = 0;    // Enrolled, in all arms.
  double cost = 0;     // Of the days of enrolment.
  double cost_per_unit = 0;
  std::vector<ChannelArm> arms;
};

struct ChannelReport {
  std::string metric;
  std::string attribute;
  std::string costs_hash;  // Of costs.csv; "" without one.
  std::vector<ChannelRow> rows;
};

struct ArmVerdict {
  std::string arm;
  Decision decision = Decision::kInconclusive;
  std::vector<Reason> reasons;
};

struct Verdict {
  Decision decision = Decision::kNoData;
  std::string arm;               // What to ship or stop; "" otherwise.
  bool withheld = false;         // Broken: numbers are shown but must not be acted on.
  std::optional<int> days_left;  // kKeepRunning: until the plan's end and the power asked for.
  std::vector<Reason> reasons;
  std::vector<ArmVerdict> arms;  // Each treatment.
};

struct Report {
  int version = kReportVersion;
  ExperimentInfo experiment;
  AnalysisInfo analysis;
  Health health;
  Verdict verdict;
  std::vector<ArmInfo> arms;  // The control first.
  std::vector<Family> families;
  std::vector<MetricReport> metrics;  // Primary, guardrails, secondary; in the order defined.
  std::vector<FunnelReport> funnels;
  std::vector<SliceReport> slices;
  std::vector<DaysReport> days;         // Each treatment; empty: not planned.
  std::vector<OverlapReport> overlaps;  // Each experiment of analysis.overlaps.
  std::optional<EconomicsReport> economics;
  std::optional<ChannelReport> channels;

  const ArmInfo* FindArm(const std::string& key) const;
  const MetricReport* FindMetric(const std::string& key) const;
};

}  // namespace fulcrum::report
