// SPDX-License-Identifier: Apache-2.0
#include "server/sticky.h"

#include "base/status.h"
#include "core/decide.h"

namespace fulcrum::server {
namespace {

// An experiment's key has no newline, so no two pairs share one.
std::string KeyOf(std::string_view experiment, std::string_view unit) {
  std::string key;
  key.reserve(experiment.size() + 1 + unit.size());
  key.append(experiment).append("\n").append(unit);
  return key;
}

}  // namespace

void StickyTable::Load(const std::vector<store::StickyAssignment>& assignments) {
  MutexLock lock(&mutex_);
  for (const store::StickyAssignment& given : assignments) {
    given_.try_emplace(KeyOf(given.experiment, given.unit), Given{given.variant, given.phase});
  }
}

void StickyTable::FindPriors(const Published& published, const core::Context& context,
                             PriorBuffer* buffer) const {
  buffer->priors.clear();
  buffer->variants.clear();
  buffer->variants.reserve(published.sticky.size());  // The views stay valid.
  for (const core::ExperimentHandle handle : published.sticky) {
    core::UnitBuffer unit_buffer;
    const std::string_view unit =
        core::UnitIdOf(*published.snapshot, handle, context, &unit_buffer);
    if (unit.empty()) continue;
    const std::string& experiment = published.snapshot->experiment(handle).key;
    MutexLock lock(&mutex_);
    const auto at = given_.find(KeyOf(experiment, unit));
    if (at == given_.end()) continue;
    buffer->variants.push_back(at->second.variant);
    buffer->priors.push_back({experiment, buffer->variants.back(), at->second.phase});
  }
}

absl::StatusOr<bool> StickyTable::Keep(store::Store& store, std::string_view experiment,
                                       std::string_view unit, std::string_view variant,
                                       int32_t phase) {
  {
    MutexLock lock(&mutex_);
    const auto at = given_.find(KeyOf(experiment, unit));
    if (at != given_.end()) return at->second.variant != variant;
  }
  FULCRUM_RETURN_IF_ERROR(store.PutSticky(experiment, unit, variant, phase));
  MutexLock lock(&mutex_);
  const auto [at, first] =
      given_.try_emplace(KeyOf(experiment, unit), Given{std::string(variant), phase});
  return !first && at->second.variant != variant;
}

}  // namespace fulcrum::server
