// SPDX-License-Identifier: Apache-2.0
#include "server/ofrep.h"

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "core/decide.h"
#include "server/context_json.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

using core::Decision;
using core::ExperimentHandle;
using core::Reason;

constexpr std::string_view kUnavailable = "GENERAL";

ContextBuffer& ThreadContext() {
  thread_local ContextBuffer buffer;
  return buffer;
}

// Why a decision cannot be given to this caller: a flag that buckets and has nothing to bucket by,
// or an attribute of the wrong type. `code` is empty where it can.
ContextError ProblemOf(const Published& published, ExperimentHandle handle,
                       const Decision& decision) {
  if (decision.reason == Reason::kNoUnit) {
    const core::ExperimentData& experiment = published.snapshot->experiment(handle);
    const std::string& kind =
        published.snapshot->data().unit_kinds.at(static_cast<size_t>(experiment.unit_kind));
    return {"TARGETING_KEY_MISSING", "Experiment '" + experiment.key + "' draws by '" + kind +
                                         "', and the context has no targetingKey or '" + kind +
                                         "'."};
  }
  if (decision.reason == Reason::kTypeMismatch) {
    std::string name = "an attribute";
    if (decision.detail >= 0) {
      const core::AttributeData& attribute =
          published.snapshot->data().attributes.at(static_cast<size_t>(decision.detail));
      name = "'" + attribute.key + "', declared " +
             std::string(core::AttributeTypeName(attribute.type)) + ",";
    }
    return {"INVALID_CONTEXT",
            "The audience reads " + name + " and the context's value has another type."};
  }
  return {};
}

// The id an exposure is logged under, where it is not the targetingKey: of another unit kind, or a
// cluster's or region's.
std::string_view OtherUnit(const core::Snapshot& snapshot, ExperimentHandle handle,
                           const Decision& decision, const core::Context& context,
                           core::UnitBuffer* buffer) {
  if (!decision.is_enrolled()) return {};
  const std::string_view unit = core::UnitIdOf(snapshot, handle, context, buffer);
  return unit == context.targeting_key ? std::string_view() : unit;
}

// What is logged with an exposure, and why the decision is what it is.
void AppendMetadata(const Decision& decision, std::string_view snapshot_version,
                    std::string_view unit, std::string* out) {
  out->append(",\"metadata\":{\"detail\":\"").append(ReasonName(decision.reason)).append("\"");
  if (decision.has_variant()) {
    out->append(",\"exposure\":").append(decision.is_enrolled() ? "true" : "false");
  }
  if (decision.phase >= 0) {
    out->append(",\"phase\":");
    AppendInt(decision.phase, out);
  }
  if (decision.propensity_ppm > 0) {
    out->append(",\"propensity\":");
    AppendDouble(decision.propensity(), out);
  }
  if (!unit.empty()) {
    out->append(",\"unit_id\":");
    AppendJsonString(unit, out);
  }
  if (!snapshot_version.empty()) {
    out->append(",\"snapshot\":");
    AppendJsonString(snapshot_version, out);
  }
  out->append("}");
}

void AppendSuccess(const FlagText& text, const Decision& decision,
                   std::string_view snapshot_version, std::string_view unit, std::string* out) {
  out->append(text.head);
  if (decision.has_variant()) {
    out->append(text.variants[static_cast<size_t>(decision.variant)]);
  } else {
    out->append(text.fallback);  // "": the value is absent, and the caller's default is used.
  }
  out->append(",\"reason\":\"")
      .append(OfrepReasonName(ToOfrepReason(decision.reason, decision.has_variant())))
      .append("\"");
  AppendMetadata(decision, snapshot_version, unit, out);
  out->append("}");
}

void AppendFailure(const FlagText& text, const ContextError& problem, std::string* out) {
  out->append(text.head).append(",\"errorCode\":\"").append(problem.code).append("\"");
  AppendField("errorDetails", problem.details, out);
  out->append(",\"metadata\":{}}");
}

// What sticky experiments gave before goes into the context; nothing where there are none.
void AddPriors(const EvaluationContext& evaluation, ContextBuffer* buffer) {
  if (evaluation.published.sticky.empty()) return;
  thread_local PriorBuffer priors;
  evaluation.sticky.FindPriors(evaluation.published, buffer->context, &priors);
  buffer->context.priors = priors.priors;
}

// Decides, counts, and makes what a sticky experiment gives for the first time durable. UNAVAILABLE
// where that fails: a variant that might not be kept must not be shown.
Decision DecideAndKeep(const EvaluationContext& evaluation, ExperimentHandle handle,
                       ContextBuffer* buffer, ContextError* error) {
  const core::Snapshot& snapshot = *evaluation.published.snapshot;
  Decision decision = core::Decide(snapshot, handle, buffer->context);
  const core::ExperimentData& data = snapshot.experiment(handle);
  const bool drawn = decision.reason == Reason::kAssigned || decision.reason == Reason::kSingleArm;
  if (data.is_sticky && drawn) {
    core::UnitBuffer unit_buffer;
    const std::string_view unit = core::UnitIdOf(snapshot, handle, buffer->context, &unit_buffer);
    const absl::StatusOr<bool> had_another = evaluation.sticky.Keep(
        evaluation.store, data.key, unit, data.variants[static_cast<size_t>(decision.variant)].key,
        decision.phase);
    if (!had_another.ok()) {
      *error = {kUnavailable, std::string(Message(had_another.status()))};
    } else if (*had_another) {
      AddPriors(evaluation, buffer);
      decision = core::Decide(snapshot, handle, buffer->context);
    }
  }
  evaluation.metrics.CountEvaluation(decision.reason);
  if (error->code.empty()) *error = ProblemOf(evaluation.published, handle, decision);
  return decision;
}

void ReplyProblem(const ContextError& problem, std::string_view key, Response* response) {
  const bool unavailable = problem.code == kUnavailable;
  ReplyError(unavailable ? 503 : 400, problem.code, problem.details, response, key);
  if (unavailable) response->Set("Retry-After", "1");
}

}  // namespace

void EvaluateFlag(const EvaluationContext& evaluation, std::string_view key, std::string_view body,
                  Response* response) {
  const Published& published = evaluation.published;
  ContextBuffer& buffer = ThreadContext();
  ContextError error;
  if (!ParseContext(published, body, evaluation.now_ms, &buffer, &error)) {
    return ReplyError(400, error.code, error.details, response, key);
  }
  AddPriors(evaluation, &buffer);
  const core::Snapshot& snapshot = *published.snapshot;
  const ExperimentHandle handle = snapshot.Find(key);
  if (!handle) {
    evaluation.metrics.CountEvaluation(Reason::kUnknownExperiment);
    return ReplyError(404, "FLAG_NOT_FOUND", "There is no experiment '" + std::string(key) + "'.",
                      response, key);
  }
  const Decision decision = DecideAndKeep(evaluation, handle, &buffer, &error);
  if (!error.code.empty()) return ReplyProblem(error, key, response);
  core::UnitBuffer unit_buffer;
  AppendSuccess(published.flags[static_cast<size_t>(handle.index)], decision, snapshot.version(),
                OtherUnit(snapshot, handle, decision, buffer.context, &unit_buffer),
                &response->body);
}

void EvaluateAllFlags(const EvaluationContext& evaluation, std::string_view body,
                      std::string_view if_none_match,
                      const std::function<std::string(std::string_view)>& stream_uri,
                      Response* response) {
  const Published& published = evaluation.published;
  ContextBuffer& buffer = ThreadContext();
  ContextError error;
  if (!ParseContext(published, body, evaluation.now_ms, &buffer, &error)) {
    return ReplyError(400, error.code, error.details, response);
  }
  AddPriors(evaluation, &buffer);
  const core::Snapshot& snapshot = *published.snapshot;
  std::string& out = response->body;
  out = "{\"flags\":[";
  for (int32_t i = 0; i < snapshot.experiment_count(); ++i) {
    const ExperimentHandle handle{i};
    error = {};
    const Decision decision = DecideAndKeep(evaluation, handle, &buffer, &error);
    if (i > 0) out.push_back(',');
    const FlagText& text = published.flags[static_cast<size_t>(i)];
    if (!error.code.empty()) {
      AppendFailure(text, error, &out);
    } else {
      // Without the snapshot's version: an edit of one experiment is no news to the others.
      core::UnitBuffer unit_buffer;
      AppendSuccess(text, decision, {},
                    OtherUnit(snapshot, handle, decision, buffer.context, &unit_buffer), &out);
    }
  }
  out += "],\"metadata\":{}";
  if (const std::string uri = stream_uri(buffer.context.targeting_key); !uri.empty()) {
    out += ",\"eventStreams\":[{\"type\":\"sse\",\"endpoint\":{";
    AppendField("requestUri", uri, &out);
    out += "},\"inactivityDelaySec\":120}]";
  }
  out += "}";
  std::string etag = EntityTag(out);
  if (MatchesTag(if_none_match, etag)) {
    response->status = 304;
    out.clear();
  }
  response->Set("ETag", std::move(etag));
}

void AppendRules(const core::Trace& trace, std::string* out) {
  *out += "[";
  for (const core::TraceStep& step : trace.steps) {
    if (out->back() == '}') *out += ",";
    *out += "{";
    AppendField("experiment", step.experiment, out);
    AppendField("rule", step.rule, out);
    AppendField("passed", step.passed, out);
    AppendField("detail", step.detail, out);
    AppendField("depth", static_cast<int64_t>(step.depth), out);
    *out += "}";
  }
  *out += "]";
}

void EvaluateVariant(const EvaluationContext& evaluation, std::string_view experiment,
                     std::string_view query, Response* response) {
  const Published& published = evaluation.published;
  const core::Snapshot& snapshot = *published.snapshot;
  const ExperimentHandle handle = snapshot.Find(experiment);
  if (!handle) {
    evaluation.metrics.CountEvaluation(Reason::kUnknownExperiment);
    return ReplyError(404, "FLAG_NOT_FOUND",
                      "There is no experiment '" + std::string(experiment) + "'.", response,
                      experiment);
  }
  std::vector<std::pair<std::string, std::string>> parameters;
  if (!ParseQuery(query, &parameters)) {
    return ReplyError(400, "PARSE_ERROR", "The query has a broken %-escape.", response, experiment);
  }
  const core::ExperimentData& data = snapshot.experiment(handle);
  const std::string& kind = snapshot.data().unit_kinds.at(static_cast<size_t>(data.unit_kind));
  ContextBuffer& buffer = ThreadContext();
  ContextError error;
  if (!ParseQueryContext(published, kind, evaluation.now_ms, parameters, &buffer, &error)) {
    return ReplyError(400, error.code, error.details, response, experiment);
  }
  bool explain = false;
  for (const auto& [name, value] : parameters) explain |= name == "explain" && value != "0";
  AddPriors(evaluation, &buffer);
  const Decision decision = DecideAndKeep(evaluation, handle, &buffer, &error);
  core::Trace trace;
  if (explain) core::Explain(snapshot, handle, buffer.context, &trace);
  if (!error.code.empty()) return ReplyProblem(error, experiment, response);
  std::string& out = response->body;
  AppendSuccess(published.flags[static_cast<size_t>(handle.index)], decision, snapshot.version(),
                {}, &out);  // its unit is told below
  out.pop_back();           // The closing brace: more follows.
  core::UnitBuffer unit_buffer;
  const std::string_view unit = core::UnitIdOf(snapshot, handle, buffer.context, &unit_buffer);
  AppendName("unit", &out);
  out += "{";
  AppendField("kind", kind, &out);
  AppendField("id", unit, &out);
  out += "}";
  if (explain) {
    AppendName("rules", &out);
    AppendRules(trace, &out);
  }
  out += "}\n";
}

}  // namespace fulcrum::server
