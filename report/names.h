// SPDX-License-Identifier: Apache-2.0
//
// The one name of every enumerator that a report shows: JSON values and CSS classes.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "report/report.h"

namespace fulcrum::report {

// In the order of the enumerators.
template <class E>
inline constexpr std::array<std::string_view, 0> kEnumNames{};

template <>
inline constexpr std::array<std::string_view, 12> kEnumNames<Status>{"ok",
                                                                     "no_units",
                                                                     "not_enough_units",
                                                                     "all_maturing",
                                                                     "no_variation",
                                                                     "no_events",
                                                                     "denominator_near_zero",
                                                                     "no_control",
                                                                     "not_planned",
                                                                     "not_enough_clusters",
                                                                     "not_for_clusters",
                                                                     "not_for_phases"};
template <>
inline constexpr std::array<std::string_view, 4> kEnumNames<Role>{"primary", "secondary",
                                                                  "guardrail", "funnel"};
template <>
inline constexpr std::array<std::string_view, 11> kEnumNames<DualPair>{
    "none",         "welch_t",          "score",
    "unpooled_z",   "ratio_delta",      "adjusted_z",
    "stratified_z", "order_statistics", "restricted_mean",
    "cluster_t",    "randomisation"};
template <>
inline constexpr std::array<std::string_view, 4> kEnumNames<Outcome>{
    "better", "worse", "no_difference", "insufficient"};
template <>
inline constexpr std::array<std::string_view, 5> kEnumNames<GuardrailState>{
    "not_a_guardrail", "cleared", "not_cleared", "breached", "insufficient"};
template <>
inline constexpr std::array<std::string_view, 4> kEnumNames<LiftMethod>{"none", "fieller", "score",
                                                                        "scaled"};
template <>
inline constexpr std::array<std::string_view, 6> kEnumNames<Decision>{
    "broken", "no_data", "stop", "ship", "keep_running", "inconclusive"};
template <>
inline constexpr std::array<std::string_view, 23> kEnumNames<ReasonCode>{
    "sample_ratio_mismatch",   "multi_arm_imbalance", "trigger_imbalance",
    "exposure_loss_imbalance", "unknown_variant",     "exclusion_imbalance",
    "definition_changed",      "no_primary_metric",   "insufficient_data",
    "primary_better",          "primary_worse",       "primary_unclear",
    "below_min_lift",          "min_lift_ruled_out",  "guardrail_breached",
    "guardrail_not_cleared",   "guardrails_cleared",  "planned_time_not_reached",
    "planned_time_reached",    "power_reached",       "power_not_reached",
    "waiting_for_power",       "power_out_of_reach"};
template <>
inline constexpr std::array<std::string_view, 5> kEnumNames<Correction>{
    "none", "bonferroni", "holm", "simultaneous", "benjamini_hochberg"};
template <>
inline constexpr std::array<std::string_view, 2> kEnumNames<Direction>{"increase", "decrease"};
template <>
inline constexpr std::array<std::string_view, 3> kEnumNames<ExperimentStatus>{"draft", "running",
                                                                              "stopped"};
template <>
inline constexpr std::array<std::string_view, 3> kEnumNames<Lens>{"business", "user", "future"};
template <>
inline constexpr std::array<std::string_view, 8> kEnumNames<MetricKind>{
    "proportion", "count", "mean", "ratio", "quantile", "funnel", "time_to", "retention"};
template <>
inline constexpr std::array<std::string_view, 3> kEnumNames<Mover>{"market", "product", "business"};

template <>
inline constexpr std::array<std::string_view, 4> kEnumNames<Trend>{"no_trend", "fading", "growing",
                                                                   "reversing"};
template <>
inline constexpr std::array<std::string_view, 3> kEnumNames<RatioSet>{"bounded", "complement",
                                                                      "whole_line"};

template <class E>
constexpr std::string_view Name(E value) {
  const auto index = static_cast<std::size_t>(value);
  return index < kEnumNames<E>.size() ? kEnumNames<E>[index] : std::string_view("unknown");
}

}  // namespace fulcrum::report
