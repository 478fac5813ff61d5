// SPDX-License-Identifier: Apache-2.0
//
// The one list of the report's JSON fields: name, member, meaning. Writing, reading and the schema
// all walk it, so they cannot disagree. Private to report/.
//
// A visitor is called as visit(name, member, meaning) for each field, in the order of the output.
#pragma once

#include <concepts>
#include <type_traits>

#include "report/report.h"

namespace fulcrum::report {

// Matches T and const T, so one list serves reading and writing.
template <class T, class U>
concept Is = std::same_as<std::remove_const_t<T>, U>;

template <class V>
void VisitFields(V& visit, Is<Reason> auto& r) {
  visit("code", r.code, "Why.");
  visit("arm", r.arm, "The arm it is about; empty: the whole experiment.");
  visit("metric", r.metric, "The metric it is about; empty: none.");
  visit("value", r.value, "What was seen.");
  visit("limit", r.limit, "What it was held against.");
}

template <class V>
void VisitFields(V& visit, Is<ExperimentInfo> auto& e) {
  visit("key", e.key, "The experiment.");
  visit("title", e.title, "Its title.");
  visit("hypothesis", e.hypothesis, "What was expected, written before the start.");
  visit("owner", e.owner, "Who decides.");
  visit("status", e.status, "As the definition says.");
  visit("unit", e.unit, "What is randomised and counted.");
  visit("cluster", e.cluster, "Attribute that names the cluster of analysis; empty: the unit.");
  visit("block_ms", e.block_ms, "Switchback: length of a block; 0: not one.");
  visit("washout_ms", e.washout_ms, "Switchback: left out at the start of each block.");
  visit("definition_hash", e.definition_hash, "Of the definition this report used.");
  visit("started_hash", e.started_hash, "Of the definition in force at the start, if known.");
  visit("definition_changed", e.definition_changed, "It changed after the start.");
  visit("start_ms", e.start_ms, "Planned start, UTC Unix milliseconds.");
  visit("end_ms", e.end_ms, "Planned end, UTC Unix milliseconds.");
  visit("planned_duration_ms", e.planned_duration_ms, "Planned duration; 0: none stated.");
  visit("currency", e.currency, "Of money figures.");
  visit("timezone", e.timezone, "Of calendar days.");
}

template <class V>
void VisitFields(V& visit, Is<AnalysisInfo> auto& a) {
  visit("alpha", a.alpha, "Two-sided error rate of each family of comparisons.");
  visit("alpha_look", a.alpha_look, "Of it, spent on looking before the planned end.");
  visit("alpha_final", a.alpha_final, "Of it, left for the planned end.");
  visit("final", a.final, "The simultaneous intervals apply; otherwise the band for looking does.");
  visit("correction", a.correction, "How a family shares it.");
  visit("srm_alpha", a.srm_alpha, "Level of the data-quality tests.");
  visit("min_lift", a.min_lift, "Smallest relative effect worth shipping.");
  visit("target_power", a.target_power, "Power asked for at min_lift.");
  visit("as_of_ms", a.as_of_ms, "The instant the figures stand for.");
  visit("first_exposure_ms", a.first_exposure_ms, "First exposure analysed; 0: unknown.");
  visit("last_exposure_ms", a.last_exposure_ms, "Last exposure analysed; 0: unknown.");
  visit("last_received_ms", a.last_received_ms, "When the last row arrived; 0: unknown.");
  visit("stratified_by_phase", a.stratified_by_phase,
        "The weights changed while it ran, so effects are averaged over phases.");
}

template <class V>
void VisitFields(V& visit, Is<CountTest> auto& c) {
  visit("status", c.status, "Whether there was enough to test.");
  visit("observed", c.observed, "Per arm, in the order of `arms`.");
  visit("expected", c.expected, "Per arm, if nothing were wrong.");
  visit("chi2", c.chi2, "Pearson's statistic.");
  visit("df", c.df, "Degrees of freedom.");
  visit("p", c.p, "Chi-squared tail.");
  visit("log10_p", c.log10_p, "Its decimal logarithm, also where p underflows.");
  visit("mismatch", c.mismatch, "p is below srm_alpha.");
}

template <class V>
void VisitFields(V& visit, Is<ArmInfo> auto& a) {
  visit("key", a.key, "The variant's key.");
  visit("title", a.title, "Its title.");
  visit("control", a.control, "What the others are compared with.");
  visit("weight", a.weight, "Configured share of units, 0 to 1.");
  visit("units", a.units, "Units first shown this arm.");
  visit("clusters", a.clusters, "Clusters or blocks, where they are what was randomised.");
  visit("exposures", a.exposures, "Exposure rows, duplicates included.");
  visit("multi_arm_units", a.multi_arm_units, "Units also shown another arm later.");
  visit("burst_units", a.burst_units, "Of the excluded, those who did more than people do.");
  visit("excluded_units", a.excluded_units, "Units left out by the declared rule.");
  visit("triggered_units", a.triggered_units, "Units whose clock was started by an event.");
  visit("client_assigned", a.client_assigned, "As clients counted: evaluations.");
  visit("client_shown", a.client_shown, "As clients counted: shown.");
  visit("client_sent", a.client_sent, "As clients counted: exposures sent.");
  visit("client_dropped", a.client_dropped, "As clients counted: exposures dropped.");
  visit("loss_rate", a.loss_rate, "1 - sent / shown.");
}

template <class V>
void VisitFields(V& visit, Is<Health> auto& h) {
  visit("ok", h.ok, "Nothing was found that withholds the verdict.");
  visit("srm_before", h.srm_before, "The same with the units that were excluded; null: none was.");
  visit("srm", h.srm, "Sample-ratio mismatch: do arm sizes fit the weights?");
  visit("multi_arm", h.multi_arm, "Units seen in several arms, by arm.");
  visit("triggered", h.triggered, "Triggered units, by arm.");
  visit("loss", h.loss, "Exposures lost between shown and sent, by arm.");
  visit("duplicate_exposures", h.duplicate_exposures, "Repeated exposure ids, removed.");
  visit("duplicate_events", h.duplicate_events, "Repeated event ids, removed.");
  visit("unknown_variant_exposures", h.unknown_variant_exposures,
        "Exposures to variants that the definition does not have.");
  visit("events_scanned", h.events_scanned, "Rows read.");
  visit("rejected_rows", h.rejected_rows, "Rows that could not be read.");
  visit("problems", h.problems, "What is wrong, worst first.");
}

template <class V>
void VisitFields(V& visit, Is<ArmValue> auto& a) {
  visit("arm", a.arm, "The arm.");
  visit("n", a.n, "Units analysed.");
  visit("n_clusters", a.n_clusters, "What is independent, where it is not each of n.");
  visit("maturing", a.maturing, "Units left out: their window has not passed.");
  visit("x", a.x, "Units with the outcome.");
  visit("rate", a.rate, "x / n.");
  visit("mean", a.mean, "Mean per unit; of a ratio: of its numerator.");
  visit("var", a.var, "Unbiased variance of a unit (n - 1).");
  visit("ratio", a.ratio, "Sum of numerators / sum of denominators.");
  visit("mean_denominator", a.mean_denominator, "Mean denominator per unit.");
  visit("var_denominator", a.var_denominator, "Its unbiased variance.");
  visit("cov", a.cov, "Covariance of numerator and denominator.");
  visit("quantile", a.quantile, "The quantile.");
  visit("quantile_lo", a.quantile_lo, "Lower order statistic around it.");
  visit("quantile_hi", a.quantile_hi, "Upper order statistic around it.");
  visit("n_values", a.n_values, "Values the quantile is of.");
  visit("restricted_mean_ms", a.restricted_mean_ms, "Mean time, up to the horizon.");
  visit("se_restricted_mean_ms", a.se_restricted_mean_ms, "Its standard error.");
  visit("median_ms", a.median_ms, "Kaplan-Meier median; null: not reached.");
  visit("reached", a.reached, "Kaplan-Meier share that got there by the horizon.");
}

template <class V>
void VisitFields(V& visit, Is<Adjusted> auto& a) {
  visit("covariates", a.covariates, "Known before exposure.");
  visit("theta", a.theta, "Coefficients, in their order.");
  visit("diff", a.diff, "Adjusted difference.");
  visit("se", a.se, "Its standard error.");
  visit("z", a.z, "diff / se.");
  visit("p", a.p, "Two-sided.");
  visit("lo", a.lo, "Interval at 1 - alpha.");
  visit("hi", a.hi, "Interval at 1 - alpha.");
  visit("variance_reduction", a.variance_reduction, "1 - (se / unadjusted se)^2.");
}

template <class V>
void VisitFields(V& visit, Is<Corrected> auto& c) {
  visit("threshold", c.threshold, "|z| that the estimate had to pass to be picked.");
  visit("median_unbiased", c.median_unbiased, "The estimate given that it passed.");
  visit("conditional_mle", c.conditional_mle, "Most likely effect given that it passed.");
  visit("lo", c.lo, "Conditional interval at the level that applies.");
  visit("hi", c.hi, "Conditional interval at the level that applies.");
  visit("lift", c.lift, "median_unbiased / |control|.");
  visit("lift_lo", c.lift_lo, "lo / |control|.");
  visit("lift_hi", c.lift_hi, "hi / |control|.");
}

template <class V>
void VisitFields(V& visit, Is<Comparison> auto& c) {
  visit("arm", c.arm, "Treatment.");
  visit("control", c.control, "Compared with.");
  visit("status", c.status, "Whether it could be estimated.");
  visit("diff", c.diff, "Treatment minus control, not adjusted for covariates.");
  visit("se_pooled", c.se_pooled, "Proportions: standard error with the pooled rate.");
  visit("z_pooled", c.z_pooled, "Proportions: the classic z.");
  visit("p_pooled", c.p_pooled, "Proportions: its p.");
  visit("se_unpooled", c.se_unpooled, "Proportions: standard error with each arm's rate.");
  visit("z_unpooled", c.z_unpooled, "Proportions: diff / se_unpooled.");
  visit("p_unpooled", c.p_unpooled, "Proportions: its p.");
  visit("wald_lo", c.wald_lo, "Proportions: diff - z * se_unpooled.");
  visit("wald_hi", c.wald_hi, "Proportions: diff + z * se_unpooled.");
  visit("newcombe_lo", c.newcombe_lo, "Proportions: Newcombe's hybrid score interval.");
  visit("newcombe_hi", c.newcombe_hi, "Proportions: Newcombe's hybrid score interval.");
  visit("miettinen_nurminen_lo", c.miettinen_nurminen_lo, "Proportions: score interval.");
  visit("miettinen_nurminen_hi", c.miettinen_nurminen_hi, "Proportions: score interval.");
  visit("se", c.se, "Standard error; means: Welch.");
  visit("df", c.df, "Means: Satterthwaite degrees of freedom.");
  visit("t", c.t, "Means: Welch's t.");
  visit("p_two_sided", c.p_two_sided, "Means: its p.");
  visit("z", c.z, "Ratios, quantiles, times: diff / se.");
  visit("p_z", c.p_z, "Ratios, quantiles, times: its p.");
  visit("ci_lo", c.ci_lo, "Interval of diff at 1 - alpha.");
  visit("ci_hi", c.ci_hi, "Interval of diff at 1 - alpha.");
  visit("ratio_control", c.ratio_control, "Ratios: the control's.");
  visit("ratio_treatment", c.ratio_treatment, "Ratios: the treatment's.");
  visit("log_rank_chi2", c.log_rank_chi2, "Times: log-rank statistic.");
  visit("log_rank_p", c.log_rank_p, "Times: its p.");
  visit("adjusted", c.adjusted, "Adjusted for covariates known before exposure.");
  visit("lift", c.lift, "estimate / |control|.");
  visit("lift_lo", c.lift_lo, "Its interval at 1 - alpha.");
  visit("lift_hi", c.lift_hi, "Its interval at 1 - alpha.");
  visit("lift_method", c.lift_method, "How the lift's intervals were made.");
  visit("fieller_bounded", c.fieller_bounded, "False: the data cannot bound the lift.");
  visit("pair", c.pair, "The test and interval the verdict rests on.");
  visit("estimate", c.estimate, "The difference it rests on: plain or adjusted.");
  visit("statistic", c.statistic, "Its z or t.");
  visit("p", c.p, "Of this comparison alone.");
  visit("p_adjusted", c.p_adjusted, "Over the comparisons of its family.");
  visit("sim_lo", c.sim_lo, "Simultaneous interval of estimate.");
  visit("sim_hi", c.sim_hi, "Simultaneous interval of estimate.");
  visit("sim_lift_lo", c.sim_lift_lo, "Simultaneous interval of lift.");
  visit("sim_lift_hi", c.sim_lift_hi, "Simultaneous interval of lift.");
  visit("log10_p", c.log10_p, "Decimal logarithm of p, also where p underflows.");
  visit("p_look", c.p_look, "Always-valid p, over the comparisons of its family.");
  visit("look_lo", c.look_lo, "Always-valid band of estimate.");
  visit("look_hi", c.look_hi, "Always-valid band of estimate.");
  visit("look_lift_lo", c.look_lift_lo, "Always-valid band of lift.");
  visit("look_lift_hi", c.look_lift_hi, "Always-valid band of lift.");
  visit("outcome", c.outcome, "In terms of what is good, by the interval that applies.");
  visit("power", c.power, "Primary: of seeing min_lift with the precision reached.");
  visit("detectable_lift", c.detectable_lift, "Primary: smallest lift seen with target_power.");
  visit("days_to_power", c.days_to_power, "Primary: until target_power is reached.");
  visit("corrected", c.corrected, "Primary: given that it was picked (winner's curse).");
  visit("guardrail", c.guardrail, "Against the margin.");
  visit("margin_abs", c.margin_abs, "The margin in the metric's own unit.");
  visit("p_noninferiority", c.p_noninferiority, "One-sided, of harm beyond the margin.");
}

template <class V>
void VisitFields(V& visit, Is<MetricReport> auto& m) {
  visit("key", m.key, "The metric.");
  visit("title", m.title, "Its title.");
  visit("description", m.description, "Its description.");
  visit("kind", m.kind, "What is computed.");
  visit("role", m.role, "What it is for in this experiment.");
  visit("lens", m.lens, "Past, present or future value.");
  visit("mover", m.mover, "The force that moves it most.");
  visit("direction", m.direction, "Which way is good.");
  visit("unit_label", m.unit_label, "For readers.");
  visit("estimand", m.estimand, "Who, from when, over what window, with which exclusions.");
  visit("status", m.status, "Whether there is anything to compare.");
  visit("margin", m.margin, "Guardrails: largest acceptable harm, as a fraction of control.");
  visit("cap_value", m.cap_value, "The cap that was applied.");
  visit("quantile", m.quantile, "Which quantile.");
  visit("horizon_ms", m.horizon_ms, "Limit of the restricted mean.");
  visit("arms", m.arms, "Figures of each arm.");
  visit("comparisons", m.comparisons, "Each treatment against the control.");
}

template <class V>
void VisitFields(V& visit, Is<Family> auto& f) {
  visit("role", f.role, "The comparisons that share one error rate.");
  visit("size", f.size, "How many could be made.");
  visit("correction", f.correction, "As the definition says.");
  visit("critical_method", f.critical_method, "Where the critical value comes from.");
  visit("critical_z", f.critical_z, "Individual normal quantile that holds jointly.");
  visit("alpha_each", f.alpha_each, "The level it means for one comparison.");
}

template <class V>
void VisitFields(V& visit, Is<FunnelArm> auto& a) {
  visit("arm", a.arm, "The arm.");
  visit("n", a.n, "Units in the funnel.");
  visit("x", a.x, "Units that reached the stage.");
  visit("rate", a.rate, "Unconditional: x / n.");
  visit("step_rate", a.step_rate, "Of those at the required stage before; not causal.");
}

template <class V>
void VisitFields(V& visit, Is<FunnelComparison> auto& c) {
  visit("arm", c.arm, "Treatment.");
  visit("status", c.status, "Whether it could be estimated.");
  visit("diff", c.diff, "Of unconditional rates.");
  visit("se", c.se, "Unpooled.");
  visit("z", c.z, "diff / se.");
  visit("p", c.p, "Its p.");
  visit("lo", c.lo, "Simultaneous over stages and arms.");
  visit("hi", c.hi, "Simultaneous over stages and arms.");
  visit("lift", c.lift, "Relative to the control's rate.");
  visit("log_step", c.log_step, "ln of the step rates' ratio; required stages sum to log_lift.");
  visit("se_log_step", c.se_log_step, "Delta method, joint covariance.");
  visit("log_step_lo", c.log_step_lo, "Simultaneous over stages and arms.");
  visit("log_step_hi", c.log_step_hi, "Simultaneous over stages and arms.");
  visit("log_lift", c.log_lift, "ln of the unconditional rates' ratio.");
  visit("se_log_lift", c.se_log_lift, "Delta method.");
}

template <class V>
void VisitFields(V& visit, Is<FunnelStageReport> auto& s) {
  visit("key", s.key, "The stage.");
  visit("title", s.title, "Its title.");
  visit("mover", s.mover, "The force that moves it most.");
  visit("optional", s.optional, "A side branch that never blocks.");
  visit("arms", s.arms, "Rates of each arm.");
  visit("comparisons", s.comparisons, "Each treatment against the control.");
}

template <class V>
void VisitFields(V& visit, Is<FunnelReport> auto& f) {
  visit("key", f.key, "The funnel metric.");
  visit("title", f.title, "Its title.");
  visit("estimand", f.estimand, "Who, from when, over what window.");
  visit("status", f.status, "Whether there is anything to compare.");
  visit("stages", f.stages, "In order.");
}

template <class V>
void VisitFields(V& visit, Is<DayEffect> auto& d) {
  visit("day", d.day, "Since exposure; 0: the first 24 hours.");
  visit("control", d.control, "Mean per unit on that day.");
  visit("treatment", d.treatment, "Mean per unit on that day.");
  visit("diff", d.diff, "Treatment minus control.");
  visit("se", d.se, "Its standard error.");
  visit("lo", d.lo, "Simultaneous over the days.");
  visit("hi", d.hi, "Simultaneous over the days.");
}

template <class V>
void VisitFields(V& visit, Is<DaysReport> auto& d) {
  visit("metric", d.metric, "The first primary metric.");
  visit("arm", d.arm, "Treatment.");
  visit("status", d.status, "Whether it could be estimated.");
  visit("n_control", d.n_control, "Units that have lived through every day shown.");
  visit("n_treatment", d.n_treatment, "Units that have lived through every day shown.");
  visit("days", d.days, "Day by day.");
  visit("slope", d.slope, "Change of the effect per day.");
  visit("slope_se", d.slope_se, "Its standard error, from the days' joint covariance.");
  visit("p_trend", d.p_trend, "That the slope is 0.");
  visit("p_equal", d.p_equal, "That all days have one effect.");
  visit("trend", d.trend, "fading: novelty; growing: learning.");
}

template <class V>
void VisitFields(V& visit, Is<OverlapCell> auto& c) {
  visit("arm", c.arm, "Treatment.");
  visit("other_variant", c.other_variant, "Variant first shown in the other experiment.");
  visit("n_control", c.n_control, "Units of the control with that variant.");
  visit("n_treatment", c.n_treatment, "Units of the treatment with that variant.");
  visit("diff", c.diff, "Effect among them.");
  visit("se", c.se, "Its standard error.");
  visit("interaction", c.interaction, "Effect less that with the other experiment's control.");
  visit("interaction_se", c.interaction_se, "Its standard error.");
  visit("lo", c.lo, "Simultaneous over all pairs.");
  visit("hi", c.hi, "Simultaneous over all pairs.");
  visit("p_adjusted", c.p_adjusted, "Over all pairs.");
}

template <class V>
void VisitFields(V& visit, Is<OverlapReport> auto& o) {
  visit("experiment", o.experiment, "The other experiment.");
  visit("title", o.title, "Its title.");
  visit("metric", o.metric, "The first primary metric.");
  visit("status", o.status, "Whether it could be estimated.");
  visit("units", o.units, "Units in both experiments.");
  visit("chi2", o.chi2, "Wald statistic that nothing interacts.");
  visit("df", o.df, "Its degrees of freedom.");
  visit("p", o.p, "Its p.");
  visit("p_adjusted", o.p_adjusted, "Holm over the other experiments.");
  visit("interacts", o.interacts, "p_adjusted is below alpha.");
  visit("cells", o.cells, "Each treatment with each variant of the other.");
}

template <class V>
void VisitFields(V& visit, Is<EconomicsEffect> auto& e) {
  visit("diff", e.diff, "Per exposed unit, treatment minus control.");
  visit("se", e.se, "Welch.");
  visit("lo", e.lo, "Interval at 1 - alpha.");
  visit("hi", e.hi, "Interval at 1 - alpha.");
  visit("p", e.p, "Two-sided.");
}

template <class V>
void VisitFields(V& visit, Is<EconomicsRatio> auto& e) {
  visit("value", e.value, "Ratio of the two effects.");
  visit("set", e.set, "Shape of Fieller's set; complement: all outside (lo, hi).");
  visit("lo", e.lo, "At 1 - alpha.");
  visit("hi", e.hi, "At 1 - alpha.");
}

template <class V>
void VisitFields(V& visit, Is<EconomicsShare> auto& e) {
  visit("low", e.low, "Lower bound of the share.");
  visit("high", e.high, "Upper bound of the share.");
  visit("lo", e.lo, "Lower bound, widened for chance.");
  visit("hi", e.hi, "Upper bound, widened for chance.");
}

template <class V>
void VisitFields(V& visit, Is<EconomicsArm> auto& e) {
  visit("arm", e.arm, "Treatment.");
  visit("status", e.status, "Whether it could be estimated.");
  visit("profit", e.profit, "Incremental profit.");
  visit("cost", e.cost, "Incremental cost of the subsidy.");
  visit("orders", e.orders, "Incremental orders.");
  visit("return_on_cost", e.return_on_cost, "Incremental profit / incremental cost.");
  visit("cost_per_order", e.cost_per_order, "Incremental cost / incremental orders.");
  visit("subsidy_status", e.subsidy_status, "Whether the shares could be bounded.");
  visit("subsidy_any", e.subsidy_any, "Of redeemers, would have bought anyway; no assumption.");
  visit("subsidy_monotone", e.subsidy_monotone, "If a subsidy never stops an order.");
  visit("subsidy_money", e.subsidy_money, "Of the money, if it never stops an order.");
}

template <class V>
void VisitFields(V& visit, Is<EconomicsReport> auto& e) {
  visit("profit", e.profit, "Metric of profit after every cost.");
  visit("cost", e.cost, "Metric of what the subsidy cost.");
  visit("orders", e.orders, "Metric of orders.");
  visit("estimand", e.estimand, "Who, over what windows.");
  visit("arms", e.arms, "Each treatment.");
}

template <class V>
void VisitFields(V& visit, Is<SliceEffect> auto& s) {
  visit("value", s.value, "The slice.");
  visit("n_control", s.n_control, "Units of the control.");
  visit("n_treatment", s.n_treatment, "Units of the treatment.");
  visit("status", s.status, "Whether it could be estimated.");
  visit("diff", s.diff, "Treatment minus control inside the slice.");
  visit("se", s.se, "Its standard error.");
  visit("lo", s.lo, "Simultaneous over the attribute's values.");
  visit("hi", s.hi, "Simultaneous over the attribute's values.");
  visit("shrunk", s.shrunk, "Shrunk towards the common effect.");
  visit("shrunk_sd", s.shrunk_sd, "Posterior standard deviation.");
  visit("p_adjusted", s.p_adjusted, "Holm over the attribute's values.");
  visit("share", s.share, "Mean of the slice's shares of the two arms.");
  visit("contribution", s.contribution,
        "share * plain difference; these and `mix` make the total.");
}

template <class V>
void VisitFields(V& visit, Is<SliceReport> auto& s) {
  visit("key", s.key, "The attributes, frozen at first exposure; or the events' property.");
  visit("of_events", s.of_events, "A slice of the metric's events; false: a dimension of units.");
  visit("metric", s.metric, "The metric.");
  visit("arm", s.arm, "Treatment.");
  visit("q", s.q, "Cochran's Q.");
  visit("q_df", s.q_df, "Its degrees of freedom.");
  visit("p_heterogeneity", s.p_heterogeneity, "Its p.");
  visit("heterogeneous", s.heterogeneous, "Effects differ: a slice may be named.");
  visit("reversal", s.reversal, "Every slice points against the whole.");
  visit("total", s.total, "Plain difference of the whole; ratios have none.");
  visit("mix", s.mix, "Of it, what comes from who was in which arm.");
  visit("mix_changes_sign", s.mix_changes_sign, "Slices together point against the whole.");
  visit("effects", s.effects, "Per value.");
}

template <class V>
void VisitFields(V& visit, Is<ChannelArm> auto& a) {
  visit("arm", a.arm, "The arm.");
  visit("n", a.n, "Units whose window is over.");
  visit("contribution", a.contribution, "Mean of the metric per unit.");
  visit("margin", a.margin, "contribution - cost_per_unit.");
  visit("margin_lo", a.margin_lo, "Interval at 1 - alpha.");
  visit("margin_hi", a.margin_hi, "Interval at 1 - alpha.");
}

template <class V>
void VisitFields(V& visit, Is<ChannelRow> auto& c) {
  visit("key", c.key, "The channel, or the line or cost of a total.");
  visit("title", c.title, "Its title.");
  visit("line", c.line, "traffic or brand; empty for a total.");
  visit("paid", c.paid, "Its cost is paid.");
  visit("total", c.total, "Of several channels.");
  visit("units", c.units, "Enrolled, in all arms.");
  visit("cost", c.cost, "Of the days of enrolment.");
  visit("cost_per_unit", c.cost_per_unit, "cost / units.");
  visit("arms", c.arms, "Each arm.");
}

template <class V>
void VisitFields(V& visit, Is<ChannelReport> auto& c) {
  visit("metric", c.metric, "What a unit brings in before its channel's cost.");
  visit("attribute", c.attribute, "Where the channel is, frozen at first exposure.");
  visit("costs_hash", c.costs_hash, "Of costs.csv; empty: there is none.");
  visit("rows", c.rows, "Channels, then totals.");
}

template <class V>
void VisitFields(V& visit, Is<ArmVerdict> auto& a) {
  visit("arm", a.arm, "Treatment.");
  visit("decision", a.decision, "For this arm alone.");
  visit("reasons", a.reasons, "Why.");
}

template <class V>
void VisitFields(V& visit, Is<Verdict> auto& d) {
  visit("decision", d.decision, "What to do.");
  visit("arm", d.arm, "What to ship or stop; empty otherwise.");
  visit("withheld", d.withheld, "The figures must not be acted on.");
  visit("days_left", d.days_left, "keep_running: days until the end.");
  visit("reasons", d.reasons, "Why.");
  visit("arms", d.arms, "Each treatment.");
}

template <class V>
void VisitFields(V& visit, Is<Report> auto& r) {
  visit("version", r.version, "Of this form.");
  visit("experiment", r.experiment, "What was run.");
  visit("analysis", r.analysis, "How it was analysed.");
  visit("health", r.health, "Data quality, before any test.");
  visit("verdict", r.verdict, "The answer.");
  visit("arms", r.arms, "The control first.");
  visit("families", r.families, "How comparisons share an error rate.");
  visit("metrics", r.metrics, "Primary, guardrails, secondary.");
  visit("funnels", r.funnels, "Stage by stage.");
  visit("slices", r.slices, "By dimension of units, and by slice of events.");
  visit("days", r.days, "By day since exposure.");
  visit("overlaps", r.overlaps, "With other experiments.");
  visit("economics", r.economics, "What a subsidy bought.");
  visit("channels", r.channels, "What each channel leaves after its cost.");
}

}  // namespace fulcrum::report
