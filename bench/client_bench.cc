// SPDX-License-Identifier: Apache-2.0
// What the C++ client adds to core::Decide, and how fast it takes exposures and events. The server
// is a function that answers at once, so that only the client is measured.
//
//   build/bin/client_bench --benchmark_repetitions=9 --benchmark_report_aggregates_only=true
//     --benchmark_enable_random_interleaving=true    (read the CPU column, as ratios)
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/decide.h"
#include "core/wire.h"
#include "sdk/cpp/client_for_test.h"
#include "sdk/cpp/test_support.h"

namespace {

namespace core = fulcrum::core;
namespace sdk = fulcrum::sdk;

constexpr int64_t kNowMs = 1'775'000'000'000;
constexpr int kExperiments = 1'000;
constexpr size_t kUnits = 4'096;

// A thousand experiments with two conditions each.
core::SnapshotData MakeData() {
  core::SnapshotData data;
  data.version = "bench";
  data.unit_kinds = {"user"};
  data.attributes = {{"country", core::AttributeType::kString}, {"age", core::AttributeType::kInt}};
  const auto add = [&data](core::ConditionData node) {
    data.conditions.push_back(std::move(node));
    return static_cast<int32_t>(data.conditions.size()) - 1;
  };
  for (int i = 0; i < kExperiments; ++i) {
    core::ConditionData country, age, both;
    country.op = core::ConditionOp::kEq;
    country.attribute = 0;
    country.operands = {core::Operand::String("DE")};
    age.op = core::ConditionOp::kGe;
    age.attribute = 1;
    age.operands = {core::Operand::Int(18)};
    both.op = core::ConditionOp::kAll;
    both.children = {add(country), add(age)};
    core::ExperimentData experiment;
    experiment.key = "experiment-" + std::to_string(i);
    experiment.salt = "salt-" + experiment.key;
    experiment.status = core::ExperimentStatus::kRunning;
    experiment.audience = add(both);
    experiment.value_type = core::ParameterType::kBool;
    experiment.variants = {{"control", "false", true}, {"treatment", "true", false}};
    experiment.phases = {{core::kDistantPastMs, core::kPpm, {500'000, 500'000}}};
    data.experiments.push_back(std::move(experiment));
  }
  return data;
}

struct Inputs {
  Inputs() {
    for (size_t i = 0; i < kUnits; ++i) {
      experiments.push_back("experiment-" + std::to_string(i * 7919 % kExperiments));
      contexts.push_back(fulcrum::Context("user-" + std::to_string(1'000'000 + i * 31))
                             .Set("country", "DE")
                             .Set("age", 30));
      contexts.back().now_ms = kNowMs;
    }
  }
  std::vector<std::string> experiments;
  std::vector<fulcrum::Context> contexts;
};

void CoreDecide(benchmark::State& state) {
  const Inputs inputs;
  core::BuildError error;
  const auto snapshot = core::Snapshot::Make(MakeData(), &error);
  if (snapshot == nullptr) std::abort();
  size_t i = 0;
  for (auto _ : state) {
    const fulcrum::Context& from = inputs.contexts[i];
    const core::Attribute attributes[] = {{"country", core::Value::String("DE")},
                                          {"age", core::Value::Int(30)}};
    const core::Context context{from.targeting_key, {}, attributes, kNowMs, {}};
    core::Decision decision =
        core::Decide(*snapshot, snapshot->Find(inputs.experiments[i]), context);
    benchmark::DoNotOptimize(decision);
    i = (i + 1) % kUnits;
  }
}
BENCHMARK(CoreDecide);

std::unique_ptr<fulcrum::Client> StartClient(const fulcrum::ClientOptions& options) {
  const std::string bytes = core::Encode(MakeData());
  const auto server = std::make_shared<sdk::FakeServer>([bytes](const sdk::HttpRequest& request) {
    if (request.method == "POST") return sdk::Reply(200, R"({"rejected":[]})");
    return request.if_none_match.empty() ? sdk::Reply(200, bytes, "\"e\"")
                                         : sdk::Reply(304, "", "\"e\"");
  });
  std::string error;
  auto client = fulcrum::ClientForTest::Start(options, server, &sdk::SystemClock(), &error);
  if (client == nullptr || !client->WaitUntilReady(std::chrono::seconds(20))) std::abort();
  return client;
}

fulcrum::ClientOptions Options() {
  fulcrum::ClientOptions options;
  options.url = "http://bench";
  options.max_queue_bytes = 256 << 20;
  return options;
}

void ClientGetBool(benchmark::State& state) {
  static const Inputs* const inputs = new Inputs;
  static fulcrum::Client* const client = StartClient(Options()).release();
  size_t i = static_cast<size_t>(state.thread_index()) * 977 % kUnits;
  for (auto _ : state) {
    auto flag = client->GetBool(inputs->experiments[i], inputs->contexts[i], false);
    benchmark::DoNotOptimize(flag);
    i = (i + 1) % kUnits;
  }
}
BENCHMARK(ClientGetBool)->Threads(1)->Threads(2);

// Each exposure a new unit, from the call to the batch handed to the transport.
void LogExposure(benchmark::State& state) {
  const auto client = StartClient(Options());
  auto flag = client->GetBool("experiment-1",
                              fulcrum::Context("u").Set("country", "DE").Set("age", 30), false);
  if (!flag.is_exposure) std::abort();
  int64_t i = 0;
  for (auto _ : state) {
    flag.unit_id = "user-" + std::to_string(++i);
    if (!client->LogExposure(flag)) state.SkipWithError("dropped");
  }
  if (!client->Flush(std::chrono::seconds(60))) state.SkipWithError("not flushed");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(LogExposure)->Iterations(300'000)->UseRealTime();

void LogEvent(benchmark::State& state) {
  const auto client = StartClient(Options());
  const fulcrum::Event event =
      fulcrum::Event("pay", "user", "u-81").Value(129.5, "CNY").Set("method", "card");
  for (auto _ : state) {
    if (!client->LogEvent(event)) state.SkipWithError("dropped");
  }
  if (!client->Flush(std::chrono::seconds(60))) state.SkipWithError("not flushed");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(LogEvent)->Iterations(300'000)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
