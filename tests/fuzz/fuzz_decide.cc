// SPDX-License-Identifier: Apache-2.0
//
// Any context on any snapshot that is accepted: a valid snapshot with a few bytes changed, and a
// context of any identities, attributes and priors. There is an answer, it is within the snapshot,
// Explain gives the same, and nobody gets a variant without a unit.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/decide.h"
#include "core/hash.h"
#include "core/snapshot.h"
#include "core/test_random.h"
#include "core/wire.h"

namespace {

using namespace fulcrum::core;

constexpr size_t kHeader = 24;  // wire.h

void Require(bool holds) {
  if (!holds) std::abort();
}

std::unique_ptr<const Snapshot> Mutated(FuzzedDataProvider* from) {
  std::string bytes = Encode(test::RandomWorld(from->ConsumeIntegral<uint8_t>()).Snapshot());
  for (int changes = from->ConsumeIntegralInRange(0, 4); changes > 0; --changes) {
    const size_t at = from->ConsumeIntegralInRange(kHeader, bytes.size() - 1);
    bytes[at] = from->ConsumeIntegral<char>();
  }
  const uint64_t checksum = Xxh3({bytes.data() + kHeader, bytes.size() - kHeader});
  std::memcpy(bytes.data() + 16, &checksum, 8);
  BuildError error;
  return Snapshot::FromBytes(bytes, &error);
}

Value AnyValue(FuzzedDataProvider* from, std::vector<std::string>* texts) {
  switch (from->ConsumeIntegralInRange(0, 5)) {
    case 0:
      return Value::Bool(from->ConsumeBool());
    case 1:
      return Value::Int(from->ConsumeIntegral<int64_t>());
    case 2:
      return Value::Float(from->ConsumeFloatingPoint<double>());
    case 3:
      return Value::TimeMs(from->ConsumeIntegral<int64_t>());
    default:
      break;
  }
  std::string text = from->ConsumeRandomLengthString(40);
  if (from->ConsumeIntegralInRange(0, 20) == 0) text.assign(100'000, text.empty() ? 'x' : text[0]);
  texts->push_back(std::move(text));
  return from->ConsumeBool() ? Value::String(texts->back()) : Value::Version(texts->back());
}

void Check(const Snapshot& snapshot, ExperimentHandle handle, const Context& context) {
  const Decision decision = Decide(snapshot, handle, context);
  Trace trace;
  Require(Explain(snapshot, handle, context, &trace) == decision);
  Require(!trace.steps.empty());
  const ExperimentData& data = snapshot.experiment(handle);
  Require(decision.variant >= -1 && decision.variant < static_cast<int32_t>(data.variants.size()));
  Require(decision.phase >= -1 && decision.phase < static_cast<int32_t>(data.phases.size()));
  Require(decision.propensity_ppm <= kPpm);
  Require(static_cast<int>(decision.reason) < kReasonCount);
  const bool draws = decision.is_enrolled() || decision.reason == Reason::kWashout;
  const bool may_have = draws || decision.is_override() || decision.reason == Reason::kStopped;
  Require(!decision.has_variant() || may_have);
  Require(decision.has_variant() || !decision.is_enrolled());
  UnitBuffer buffer;
  const bool has_unit = !UnitIdOf(snapshot, handle, context, &buffer).empty();
  Require(has_unit || !draws || data.switchback.block_ms != 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider from(bytes, size);
  const auto snapshot = Mutated(&from);
  if (snapshot == nullptr) return 0;
  std::vector<std::string> texts;
  texts.reserve(64);  // The views stay valid.
  const auto text = [&](size_t most) -> std::string_view {
    return texts.emplace_back(from.ConsumeRandomLengthString(most));
  };
  Context context;
  context.now_ms = from.ConsumeBool() ? test::kNow : from.ConsumeIntegral<int64_t>();
  context.targeting_key = text(30);
  std::vector<UnitId> units;
  std::vector<Attribute> attributes;
  std::vector<Prior> priors;
  const std::vector<AttributeData>& declared = snapshot->data().attributes;
  while (from.remaining_bytes() > 0 && texts.size() < 40) {
    switch (from.ConsumeIntegralInRange(0, 3)) {
      case 0:
        units.push_back({from.ConsumeBool() ? "device" : text(8), text(30)});
        break;
      case 1:
        priors.push_back({from.ConsumeBool() ? "e0" : text(8),
                          from.ConsumeBool() ? "control" : text(8),
                          from.ConsumeIntegral<int32_t>()});
        break;
      default: {
        const size_t known = from.ConsumeIntegralInRange<size_t>(0, declared.size());
        const std::string_view key =
            known < declared.size() ? std::string_view(declared[known].key) : text(8);
        attributes.push_back({key, AnyValue(&from, &texts)});
      }
    }
  }
  context.units = units;
  context.attributes = attributes;
  context.priors = priors;
  for (int32_t i = 0; i < snapshot->experiment_count(); ++i) Check(*snapshot, {i}, context);
  for (int32_t i = 0; i < static_cast<int32_t>(snapshot->data().holdouts.size()); ++i) {
    HoldoutArmOf(*snapshot, i, context);
  }
  return 0;
}
