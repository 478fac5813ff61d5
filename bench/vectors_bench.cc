// SPDX-License-Identifier: Apache-2.0
// One decision through the C ABI, averaged over the golden vectors, contexts ready in memory: what
// bench/wasm_bench.mjs measures of the WebAssembly module, on the same cases.
//   build/bin/vectors_bench [ROUNDS]     prints one number, nanoseconds a decision; median of 15
//                                        rounds unless told
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "core/wire.h"
#include "sdk/c/fulcrum.h"
#include "tests/vectors/vectors.h"

namespace {

namespace vectors = fulcrum::vectors;

fulcrum_text Text(const std::string& text) { return {text.data(), text.size()}; }

struct Call {
  const fulcrum_snapshot* snapshot;
  int32_t experiment;
  std::vector<fulcrum_unit> units;
  std::vector<fulcrum_attribute> attributes;
  std::vector<fulcrum_prior> priors;
  fulcrum_context context = FULCRUM_CONTEXT_INIT;
};

std::unique_ptr<Call> Prepare(const fulcrum_snapshot* snapshot, const vectors::Case& one) {
  auto call = std::make_unique<Call>();
  call->snapshot = snapshot;
  call->experiment = fulcrum_find(snapshot, Text(one.experiment));
  for (const auto& unit : one.context.units) {
    call->units.push_back({Text(unit.kind), Text(unit.id)});
  }
  for (const auto& attribute : one.context.attributes) {
    call->attributes.push_back({Text(attribute.key), Text(attribute.value.text),
                                attribute.value.integer, attribute.value.real,
                                static_cast<uint32_t>(attribute.value.type), 0});
  }
  for (const auto& prior : one.context.priors) {
    call->priors.push_back({Text(prior.experiment), Text(prior.variant), prior.phase, 0});
  }
  call->context.targeting_key = Text(one.context.targeting_key);
  call->context.now_ms = one.context.now_ms;
  call->context.units = call->units.data();
  call->context.unit_count = call->units.size();
  call->context.attributes = call->attributes.data();
  call->context.attribute_count = call->attributes.size();
  call->context.priors = call->priors.data();
  call->context.prior_count = call->priors.size();
  return call;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds_wanted = argc > 1 ? std::max(1, std::atoi(argv[1])) : 15;
  std::vector<std::unique_ptr<vectors::File>> files;  // own the texts of the calls
  std::vector<std::unique_ptr<Call>> calls;
  for (const auto& entry : std::filesystem::directory_iterator("tests/vectors")) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string json(std::istreambuf_iterator<char>(in), {});
    files.push_back(std::make_unique<vectors::File>(vectors::FromJson(json)));
    const std::string bytes = fulcrum::core::Encode(files.back()->snapshot);
    fulcrum_snapshot* snapshot = nullptr;
    if (fulcrum_snapshot_load(bytes.data(), bytes.size(), &snapshot, nullptr, 0) != FULCRUM_OK) {
      return 1;
    }
    for (const auto& one : files.back()->cases) calls.push_back(Prepare(snapshot, one));
  }
  std::vector<double> rounds;
  for (int round = 0; round < rounds_wanted; ++round) {
    constexpr int kRepeats = 300;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kRepeats; ++i) {
      for (const auto& call : calls) {
        fulcrum_decision decision = FULCRUM_DECISION_INIT;
        fulcrum_decide(call->snapshot, call->experiment, &call->context, &decision);
      }
    }
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
    rounds.push_back(spent.count() / (kRepeats * static_cast<double>(calls.size())));
  }
  std::sort(rounds.begin(), rounds.end());
  std::printf("%.1f\n", rounds[rounds.size() / 2]);
  return 0;
}
