// SPDX-License-Identifier: Apache-2.0
#include "core/bucket.h"

#include <algorithm>
#include <numeric>

namespace fulcrum::core {
namespace {

// Keeps weight * kPpm within 64 bits.
constexpr uint64_t kMaxWeightSum = uint64_t{1} << 44;

}  // namespace

std::vector<uint32_t> WeightsToPpm(std::span<const uint64_t> weights, HashAlgorithm hash) {
  const uint32_t step = BucketStepPpm(hash);
  const uint32_t total_steps = kPpm / step;
  uint64_t sum = 0;
  size_t positive = 0;
  for (const uint64_t weight : weights) {
    if (weight > kMaxWeightSum - sum) return {};
    sum += weight;
    positive += weight > 0 ? 1 : 0;
  }
  if (positive == 0 || positive > total_steps) return {};

  // Largest remainder; ties go to the earlier variant so that the result is a function of the
  // weights alone.
  std::vector<uint32_t> steps(weights.size(), 0);
  std::vector<uint64_t> remainder(weights.size(), 0);
  uint32_t given = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint64_t scaled = weights[i] * total_steps;
    steps[i] = static_cast<uint32_t>(scaled / sum);
    remainder[i] = scaled % sum;
    if (weights[i] > 0 && steps[i] == 0) {
      steps[i] = 1;  // every weight above zero gets traffic
      remainder[i] = 0;
    }
    given += steps[i];
  }
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return remainder[a] > remainder[b]; });
  for (size_t i = 0; given < total_steps; i = (i + 1) % order.size()) {
    if (weights[order[i]] == 0) continue;
    ++steps[order[i]];
    ++given;
  }
  while (given > total_steps) {  // lifting tiny weights overshot: the largest can best spare it
    const auto largest = std::max_element(steps.begin(), steps.end());
    --*largest;
    --given;
  }
  for (uint32_t& count : steps) count *= step;
  return steps;
}

BucketRange VariantRange(const PhaseData& phase, HashAlgorithm hash, size_t variant) {
  uint32_t begin = 0;
  for (size_t i = 0; i < variant; ++i) begin += phase.weights_ppm[i];
  const uint32_t weight = phase.weights_ppm[variant];
  if (hash != HashAlgorithm::kGrowthBookV2) return {begin, begin + weight};
  const uint32_t step = BucketStepPpm(hash);
  auto width = static_cast<uint32_t>(uint64_t{weight} * phase.traffic_ppm / kPpm / step * step);
  if (width == 0 && weight > 0 && phase.traffic_ppm > 0) width = step;
  return {begin, begin + width};
}

}  // namespace fulcrum::core
