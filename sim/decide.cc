// SPDX-License-Identifier: Apache-2.0
#include "sim/decide.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "core/decide.h"

namespace fulcrum::sim {

int64_t SliceBegin(const World& world, int64_t ts_ms, int64_t slice_ms) {
  const int64_t since_ms = ts_ms - world.begin_ms();
  return world.begin_ms() + since_ms / slice_ms * slice_ms;
}

AssignFn DecideWith(const World& world, std::shared_ptr<const core::Snapshot> snapshot,
                    int64_t slice_ms) {
  struct Experiment {
    core::ExperimentHandle handle;
    std::vector<int32_t> variants;  // The snapshot's index -> the definition's.
  };
  std::vector<Experiment> experiments;
  for (const auto& definition : world.definitions().experiments) {
    Experiment& experiment = experiments.emplace_back();
    experiment.handle = snapshot->Find(definition.key);
    if (!experiment.handle) continue;
    for (const auto& variant : snapshot->experiment(experiment.handle).variants) {
      int32_t index = -1;
      for (size_t i = 0; i < definition.variants.size(); ++i) {
        if (definition.variants[i].key == variant.key) index = static_cast<int32_t>(i);
      }
      experiment.variants.push_back(index);
    }
  }
  return [&world, snapshot, slice_ms, experiments](const Visitor& visitor,
                                                   std::span<Assignment> assignments) {
    const Profile profile = world.ProfileOf(visitor.user);
    const std::string device = world.DeviceId(visitor.user, visitor.device);
    const std::string user = visitor.user_known ? world.UserId(visitor.user) : "";
    const std::array<core::UnitId, 2> units = {core::UnitId{"device", device},
                                               core::UnitId{"user", user}};
    std::vector<core::Attribute> attributes = {
        {"channel", core::Value::String(profile.channel)},
        {"platform", core::Value::String(profile.platform)},
        {"registered", core::Value::Bool(visitor.registered)},
        {"orders_before", core::Value::Int(visitor.orders_before)}};
    if (!profile.app_version.empty()) {
      attributes.push_back({"app_version", core::Value::Version(profile.app_version)});
    }
    core::Context context;
    context.targeting_key = user;
    context.units = std::span(units).first(visitor.user_known ? 2 : 1);
    context.attributes = attributes;
    context.now_ms = SliceBegin(world, visitor.visit_ms, slice_ms);
    for (size_t i = 0; i < experiments.size(); ++i) {
      if (!experiments[i].handle) continue;
      const core::Decision decision = core::Decide(*snapshot, experiments[i].handle, context);
      if (!decision.has_variant() || !decision.is_enrolled()) continue;
      assignments[i].variant = experiments[i].variants[static_cast<size_t>(decision.variant)];
      assignments[i].phase = decision.phase;
      assignments[i].propensity = decision.propensity();
    }
  };
}

}  // namespace fulcrum::sim
