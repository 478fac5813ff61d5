// SPDX-License-Identifier: Apache-2.0
// What does a decision cost, next to the least it could cost? The baseline is written by hand for
// one fixed shape: a flat_hash_map lookup of the experiment by key, two compiled conditions (a
// string equality and a comparison of integers) on attributes found by key, and XXH3 of the unit
// id. Decide does the same work for experiments of any shape, plus schedule, phases and traffic.
//
//   build/bin/decide_bench --benchmark_repetitions=9 --benchmark_report_aggregates_only=true
//     --benchmark_enable_random_interleaving=true    (read the CPU column, as ratios)
#include <absl/container/flat_hash_map.h>
#include <benchmark/benchmark.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/bucket.h"
#include "core/decide.h"
#include "core/snapshot.h"
#include "core/wire.h"

namespace {

namespace core = fulcrum::core;

constexpr int64_t kNowMs = 1'775'000'000'000;
constexpr size_t kUnits = 4096;

// Keys as people write them: a few words, some long.
std::string Key(size_t i) { return "checkout-experiment-" + std::to_string(i * 7919 % 1'000'003); }

struct Inputs {
  explicit Inputs(size_t experiments) {
    std::mt19937_64 random(1);
    for (size_t i = 0; i < kUnits; ++i) {
      asked.push_back(Key(random() % experiments));
      ids.push_back("user-" + std::to_string(10'000'000'000'000'000'000u + random() % 1'000'000));
      ages.push_back(static_cast<int64_t>(18 + random() % 60));
      is_german.push_back(random() % 4 != 0);
    }
  }
  core::Context ContextAt(size_t i, std::vector<core::Attribute>* attributes) const {
    attributes->clear();
    attributes->push_back({"platform", core::Value::String("ios")});
    attributes->push_back({"country", core::Value::String(is_german[i] ? "DE" : "FR")});
    attributes->push_back({"age", core::Value::Int(ages[i])});
    core::Context context;
    context.targeting_key = ids[i];
    context.attributes = *attributes;
    context.now_ms = kNowMs;
    return context;
  }
  std::vector<std::string> asked;
  std::vector<std::string> ids;
  std::vector<int64_t> ages;
  std::vector<bool> is_german;
};

core::SnapshotData MakeData(size_t experiments) {
  core::SnapshotData data;
  data.unit_kinds = {"user"};
  data.attributes = {{"country", core::AttributeType::kString},
                     {"age", core::AttributeType::kInt},
                     {"platform", core::AttributeType::kString}};
  const auto add = [&data](core::ConditionData node) {
    data.conditions.push_back(std::move(node));
    return static_cast<int32_t>(data.conditions.size()) - 1;
  };
  for (size_t i = 0; i < experiments; ++i) {
    core::ConditionData country;
    country.op = core::ConditionOp::kEq;
    country.attribute = 0;
    country.operands = {core::Operand::String("DE")};
    core::ConditionData age;
    age.op = core::ConditionOp::kGe;
    age.attribute = 1;
    age.operands = {core::Operand::Int(static_cast<int64_t>(18 + i % 3))};
    core::ConditionData both;
    both.op = core::ConditionOp::kAll;
    both.children = {add(country), add(age)};
    core::ExperimentData experiment;
    experiment.key = Key(i);
    experiment.salt = "salt-" + experiment.key;
    experiment.status = core::ExperimentStatus::kRunning;
    experiment.start_ms = kNowMs - 1'000'000;
    experiment.end_ms = kNowMs + 1'000'000;
    experiment.audience = add(both);
    experiment.variants = {{"control", "false", true}, {"treatment", "true", false}};
    experiment.phases = {{kNowMs - 1'000'000, core::kPpm, {500'000, 500'000}}};
    data.experiments.push_back(std::move(experiment));
  }
  return data;
}

std::unique_ptr<const core::Snapshot> MakeSnapshot(size_t experiments) {
  core::BuildError error;
  auto snapshot = core::Snapshot::Make(MakeData(experiments), &error);
  if (snapshot == nullptr) std::abort();
  return snapshot;
}

struct HandWritten {
  uint64_t seed = 0;
  std::string country;
  int64_t min_age = 0;
  uint32_t boundary = 0;
};

void ByHand(benchmark::State& state) {
  const auto experiments = static_cast<size_t>(state.range(0));
  const Inputs inputs(experiments);
  absl::flat_hash_map<std::string, HandWritten> map;
  for (size_t i = 0; i < experiments; ++i) {
    const std::string salt = "salt-" + Key(i);
    map[Key(i)] = {XXH3_64bits(salt.data(), salt.size()), "DE", static_cast<int64_t>(18 + i % 3),
                   500'000};
  }
  std::vector<core::Attribute> attributes;
  attributes.reserve(8);
  const auto attribute = [](const core::Context& context, std::string_view key) {
    for (const core::Attribute& candidate : context.attributes) {
      if (candidate.key == key) return &candidate.value;
    }
    return static_cast<const core::Value*>(nullptr);
  };
  size_t i = 0;
  for (auto _ : state) {
    const core::Context context = inputs.ContextAt(i, &attributes);
    int variant = -1;
    const auto found = map.find(inputs.asked[i]);
    if (found != map.end()) {
      const HandWritten& experiment = found->second;
      const core::Value* country = attribute(context, "country");
      const core::Value* age = attribute(context, "age");
      if (country != nullptr && country->text() == experiment.country && age != nullptr &&
          age->integer() >= experiment.min_age) {
        const uint64_t hash = XXH3_64bits_withSeed(context.targeting_key.data(),
                                                   context.targeting_key.size(), experiment.seed);
        const uint32_t bucket = core::Reduce(static_cast<uint32_t>(hash >> 32), core::kPpm);
        variant = bucket < experiment.boundary ? 0 : 1;
      }
    }
    benchmark::DoNotOptimize(variant);
    i = (i + 1) % kUnits;
  }
}
BENCHMARK(ByHand)->Arg(10)->Arg(1'000)->Arg(10'000);

void Decide(benchmark::State& state) {
  const auto experiments = static_cast<size_t>(state.range(0));
  const Inputs inputs(experiments);
  const auto snapshot = MakeSnapshot(experiments);
  std::vector<core::Attribute> attributes;
  attributes.reserve(8);
  size_t i = 0;
  for (auto _ : state) {
    const core::Context context = inputs.ContextAt(i, &attributes);
    const core::ExperimentHandle handle = snapshot->Find(inputs.asked[i]);
    core::Decision decision = core::Decide(*snapshot, handle, context);
    benchmark::DoNotOptimize(decision);
    i = (i + 1) % kUnits;
  }
}
BENCHMARK(Decide)->Arg(10)->Arg(100)->Arg(1'000)->Arg(10'000);

// What both pay for reading the next context, to be taken off where one wants the rest alone.
void ContextOnly(benchmark::State& state) {
  const Inputs inputs(1'000);
  std::vector<core::Attribute> attributes;
  attributes.reserve(8);
  size_t i = 0;
  for (auto _ : state) {
    core::Context context = inputs.ContextAt(i, &attributes);
    benchmark::DoNotOptimize(context);
    i = (i + 1) % kUnits;
  }
}
BENCHMARK(ContextOnly);

void FindKey(benchmark::State& state) {
  const auto experiments = static_cast<size_t>(state.range(0));
  const Inputs inputs(experiments);
  const auto snapshot = MakeSnapshot(experiments);
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(snapshot->Find(inputs.asked[i]));
    i = (i + 1) % kUnits;
  }
}
BENCHMARK(FindKey)->Arg(10)->Arg(1'000)->Arg(10'000);

// From the bytes a server sends to a snapshot that decides; the counter is their number.
void Load(benchmark::State& state) {
  const std::string bytes = core::Encode(MakeData(static_cast<size_t>(state.range(0))));
  for (auto _ : state) {
    core::BuildError error;
    benchmark::DoNotOptimize(core::Snapshot::FromBytes(bytes, &error));
  }
  state.counters["bytes"] = static_cast<double>(bytes.size());
}
BENCHMARK(Load)->Arg(1'000)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
