// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/bucket.h"
#include "core/context.h"
#include "core/decide.h"
#include "core/snapshot.h"

// Small snapshots for tests: a project of users and devices, and experiments that run everywhere
// unless a test says otherwise.
namespace fulcrum::core::test {

inline constexpr int64_t kNow = 1'775'000'000'000;
inline constexpr int64_t kHourMs = 3'600'000;

enum AttributeIndex : int32_t {
  kCountry,
  kAge,
  kSpend,
  kAppVersion,
  kIsMember,
  kSignedUp,
  kCity,
  kStore
};

inline SnapshotData Project() {
  SnapshotData data;
  data.version = "test";
  data.unit_kinds = {"user", "device", "order"};
  data.attributes = {{"country", AttributeType::kString}, {"age", AttributeType::kInt},
                     {"spend", AttributeType::kFloat},    {"app_version", AttributeType::kVersion},
                     {"is_member", AttributeType::kBool}, {"signed_up", AttributeType::kTimeMs},
                     {"city", AttributeType::kString},    {"store", AttributeType::kInt}};
  return data;
}

inline PhaseData Phase(std::vector<uint64_t> weights, uint32_t traffic_ppm = kPpm,
                       int64_t start_ms = kDistantPastMs,
                       HashAlgorithm hash = HashAlgorithm::kXxh3) {
  return {start_ms, traffic_ppm, WeightsToPpm(weights, hash)};
}

inline ExperimentData Experiment(std::string key, std::vector<uint64_t> weights = {1, 1}) {
  ExperimentData experiment;
  experiment.salt = key + "-salt";
  experiment.key = std::move(key);
  experiment.status = ExperimentStatus::kRunning;
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::string name = i == 0 ? "control" : i == 1 ? "treatment" : "arm" + std::to_string(i);
    experiment.variants.push_back({name, "\"" + name + "\"", i == 0});
  }
  experiment.phases = {Phase(weights)};
  return experiment;
}

inline int32_t Add(SnapshotData* data, ConditionData node) {
  data->conditions.push_back(std::move(node));
  return static_cast<int32_t>(data->conditions.size()) - 1;
}
inline int32_t Compare(SnapshotData* data, ConditionOp op, int32_t attribute,
                       std::vector<Operand> operands = {}) {
  ConditionData node;
  node.op = op;
  node.attribute = attribute;
  node.operands = std::move(operands);
  return Add(data, std::move(node));
}
inline int32_t Join(SnapshotData* data, ConditionOp op, std::vector<int32_t> children) {
  ConditionData node;
  node.op = op;
  node.children = std::move(children);
  return Add(data, std::move(node));
}

inline std::unique_ptr<const Snapshot> Make(SnapshotData data) {
  BuildError error;
  auto snapshot = Snapshot::Make(std::move(data), &error);
  EXPECT_NE(snapshot, nullptr) << error.message;
  return snapshot;
}

// Why Make refuses the data; "" where it does not.
inline std::string Refusal(SnapshotData data) {
  BuildError error;
  return Snapshot::Make(std::move(data), &error) == nullptr ? error.message : "";
}

inline Context User(std::string_view id, int64_t now_ms = kNow) {
  Context context;
  context.targeting_key = id;
  context.now_ms = now_ms;
  return context;
}

// Decide, having checked that Explain says the same.
inline Decision Ask(const Snapshot& snapshot, std::string_view key, const Context& context) {
  const ExperimentHandle handle = snapshot.Find(key);
  const Decision decision = Decide(snapshot, handle, context);
  Trace trace;
  EXPECT_EQ(Explain(snapshot, handle, context, &trace), decision);
  EXPECT_FALSE(trace.steps.empty());
  return decision;
}

}  // namespace fulcrum::core::test
