// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/compiled.h"
#include "core/condition_eval.h"
#include "core/context.h"
#include "core/decide.h"

// What Explain says about each rule, in words. Internal to core/.
namespace fulcrum::core::describe {

// The id a cluster or region attribute stands for: its text, or its number in decimal digits, or
// "true"/"false". Points into `value` or `buffer`.
std::string_view AsUnitId(const Value& value, UnitBuffer* buffer);

std::string Stop(const ExperimentData& experiment, int64_t now_ms);
std::string Unit(const ExperimentData& experiment, const SnapshotData& data, std::string_view unit);
std::string UnitOverride(const ExperimentData& experiment, std::string_view unit, int32_t variant);
std::string ConditionOverride(const ExperimentData& experiment, uint32_t index, int32_t variant,
                              bool holds);
std::string Schedule(const ExperimentData& experiment, int64_t now_ms, int32_t phase);
std::string PriorOf(const Prior* prior, int32_t variant);
std::string Enrolment(const ExperimentData& experiment, int64_t now_ms);
std::string Holdout(const HoldoutData& holdout, uint32_t bucket, HoldoutArm arm);
std::string Layer(const LayerData& layer, const ExperimentData& experiment, uint32_t bucket);
std::string GivenBy(const ExperimentData& experiment, int32_t variant);
std::string Audience(Tri result);
std::string Traffic(uint32_t bucket, int32_t phase, uint32_t traffic_ppm);
// `variant` is the count of variants where the bucket belongs to none.
std::string Variant(const ExperimentData& experiment, uint32_t bucket, const BucketRange* ranges,
                    uint32_t variant);
std::string Washout(int64_t block, int64_t into_block_ms, int64_t washout_ms);
std::string Condition(const SnapshotData& data, const ConditionData& node, const Context& context,
                      Tri result);

}  // namespace fulcrum::core::describe
