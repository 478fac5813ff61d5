// SPDX-License-Identifier: Apache-2.0
#include "experiments/definition.h"

namespace fulcrum::experiments {
namespace {

template <typename T>
const T* FindByKey(const std::vector<T>& all, std::string_view key) {
  for (const T& one : all) {
    if (one.key == key) return &one;
  }
  return nullptr;
}

}  // namespace

const ExperimentDefinition* Definitions::FindExperiment(std::string_view key) const {
  return FindByKey(experiments, key);
}

const MetricDefinition* Definitions::FindMetric(std::string_view key) const {
  return FindByKey(project.metrics, key);
}

const Stage* Definitions::FindStage(std::string_view key) const {
  return FindByKey(project.stages, key);
}

}  // namespace fulcrum::experiments
