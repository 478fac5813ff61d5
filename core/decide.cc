// SPDX-License-Identifier: Apache-2.0
#include "core/decide.h"

#include "core/compiled.h"
#include "core/evaluator.h"
#include "core/tracer.h"

namespace fulcrum::core {
namespace {

bool IsOf(const CompiledSnapshot& snapshot, ExperimentHandle experiment) {
  return experiment.index >= 0 &&
         static_cast<size_t>(experiment.index) < snapshot.experiments.size();
}

}  // namespace

Decision Decide(const Snapshot& snapshot, ExperimentHandle experiment, const Context& context) {
  const CompiledSnapshot& compiled = snapshot.compiled();
  if (!IsOf(compiled, experiment)) return {};
  return Evaluator<NullTracer>(compiled, context, NullTracer()).Run(experiment.index);
}

Decision Explain(const Snapshot& snapshot, ExperimentHandle experiment, const Context& context,
                 Trace* trace) {
  const CompiledSnapshot& compiled = snapshot.compiled();
  TextTracer tracer(trace);
  if (!IsOf(compiled, experiment)) {
    tracer.Step("", "experiment", false, "the snapshot has no such experiment");
    return {};
  }
  return Evaluator<TextTracer>(compiled, context, tracer).Run(experiment.index);
}

HoldoutArm HoldoutArmOf(const Snapshot& snapshot, int32_t holdout, const Context& context) {
  const CompiledSnapshot& compiled = snapshot.compiled();
  if (holdout < 0 || static_cast<size_t>(holdout) >= compiled.holdouts.size()) {
    return HoldoutArm::kNone;
  }
  const CompiledHoldout& data = compiled.holdouts[static_cast<size_t>(holdout)];
  const Evaluator<NullTracer> evaluator(compiled, context, NullTracer());
  const std::string_view unit = evaluator.UnitOfKind(data.unit_kind);
  uint32_t bucket = 0;
  return unit.empty() ? HoldoutArm::kNone : evaluator.Holdout(data, unit, &bucket);
}

std::string_view UnitIdOf(const Snapshot& snapshot, ExperimentHandle experiment,
                          const Context& context, UnitBuffer* buffer) {
  const CompiledSnapshot& compiled = snapshot.compiled();
  if (!IsOf(compiled, experiment)) return {};
  Reason problem = Reason::kNoUnit;
  return Evaluator<NullTracer>(compiled, context, NullTracer())
      .Unit(experiment.index, buffer, &problem);
}

}  // namespace fulcrum::core
