// SPDX-License-Identifier: Apache-2.0
//
// What can be looked at: experiments, units, the snapshot, metrics.
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "server/app_state.h"
#include "server/experiment_view.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

void PrintPhases(const core::ExperimentData& data, std::string* out) {
  AppendName("phases", out);
  *out += "[";
  for (const core::PhaseData& phase : data.phases) {
    if (out->back() == '}') *out += ",";
    *out += "{";
    if (phase.start_ms != core::kDistantPastMs) {
      AppendField("start", FormatRfc3339(phase.start_ms), out);
    }
    AppendName("traffic", out);
    AppendDouble(static_cast<double>(phase.traffic_ppm) / core::kPpm, out);
    AppendName("weights", out);
    *out += "{";
    for (size_t i = 0; i < phase.weights_ppm.size(); ++i) {
      AppendName(data.variants[i].key, out);
      AppendDouble(static_cast<double>(phase.weights_ppm[i]) / core::kPpm, out);
    }
    *out += "}}";
  }
  *out += "]";
}

void PrintMetricUses(std::string_view name, const std::vector<experiments::MetricUse>& uses,
                     std::string* out) {
  AppendName(name, out);
  *out += "[";
  for (size_t i = 0; i < uses.size(); ++i) {
    if (i > 0) *out += ",";
    AppendJsonString(uses[i].metric, out);
  }
  *out += "]";
}

void PrintExperiment(const Published& published,
                     const experiments::ExperimentDefinition& definition, int64_t now_ms,
                     bool detailed, std::string* out) {
  const core::ExperimentHandle handle = published.snapshot->Find(definition.key);
  *out += "{";
  AppendField("key", definition.key, out);
  AppendField("title", definition.title, out);
  AppendField("owner", definition.owner, out);
  AppendField("hypothesis", definition.hypothesis, out);
  AppendField("state", StateOf(published, definition.key, now_ms), out);
  AppendField("unit", definition.unit, out);
  if (!definition.layer.empty()) AppendField("layer", definition.layer, out);
  if (definition.start_ms) AppendField("start", FormatRfc3339(*definition.start_ms), out);
  if (definition.end_ms) AppendField("end", FormatRfc3339(*definition.end_ms), out);
  AppendName("variants", out);
  *out += "[";
  for (size_t i = 0; i < definition.variants.size(); ++i) {
    const experiments::VariantDefinition& variant = definition.variants[i];
    if (i > 0) *out += ",";
    *out += "{";
    AppendField("key", variant.key, out);
    AppendField("control", variant.control, out);
    AppendName("weight", out);
    AppendDouble(variant.weight, out);
    if (detailed && !variant.value_json.empty()) {
      AppendName("value", out);
      *out += variant.value_json;
    }
    *out += "}";
  }
  *out += "]";
  if (const core::ExperimentControls* controls = published.controls.Find(definition.key);
      controls != nullptr && controls->stop) {
    AppendName("stop", out);
    *out += "{";
    AppendField("at", FormatRfc3339(controls->stop->at_ms), out);
    AppendField("by", controls->stop->actor, out);
    AppendField("reason", controls->stop->reason, out);
    if (!controls->stop->variant.empty()) AppendField("variant", controls->stop->variant, out);
    *out += "}";
  }
  if (detailed) {
    const std::string name = "experiment '" + definition.key + "': ";
    AppendName("unfit_controls", out);
    *out += "[";
    for (const std::string& unfit : published.unfit) {
      if (!unfit.starts_with(name)) continue;
      if (out->back() != '[') *out += ",";
      AppendJsonString(unfit.substr(name.size()), out);
    }
    *out += "]";
    if (handle) PrintPhases(published.snapshot->experiment(handle), out);
    PrintMetricUses("primary", definition.primary, out);
    PrintMetricUses("secondary", definition.secondary, out);
    PrintMetricUses("guardrails", definition.guardrails, out);
    AppendField("definition_hash", definition.content_hash, out);
    AppendField("snapshot", published.snapshot->version(), out);
  }
  *out += "}";
}

}  // namespace

std::string_view StateOf(const Published& published, std::string_view key, int64_t now_ms) {
  const core::ExperimentHandle handle = published.snapshot->Find(key);
  if (!handle) return "draft";
  const core::ExperimentData& data = published.snapshot->experiment(handle);
  if (data.status == core::ExperimentStatus::kStopped || data.stopped_at_ms <= now_ms) {
    return "stopped";
  }
  if (data.status == core::ExperimentStatus::kDraft) return "draft";
  if (now_ms < data.start_ms) return "scheduled";
  return now_ms >= data.end_ms ? "ended" : "running";
}

void ListExperiments(AppState& state, int64_t now_ms, Response* response) {
  const std::shared_ptr<const Published> published = state.published();
  std::string& out = response->body;
  out = "{\"experiments\":[";
  bool first = true;
  for (const experiments::ExperimentDefinition& definition : published->definitions.experiments) {
    if (!first) out += ",\n";
    first = false;
    PrintExperiment(*published, definition, now_ms, false, &out);
  }
  out += "]";
  AppendField("snapshot", published->snapshot->version(), &out);
  out += "}\n";
}

void ShowExperiment(AppState& state, std::string_view key, int64_t now_ms, Response* response) {
  const std::shared_ptr<const Published> published = state.published();
  const experiments::ExperimentDefinition* definition = published->FindDefinition(key);
  if (definition == nullptr) {
    return ReplyError(404, "NOT_FOUND", "There is no experiment '" + std::string(key) + "'.",
                      response, key);
  }
  PrintExperiment(*published, *definition, now_ms, true, &response->body);
  response->body += "\n";
}

void AppState::Serve(std::shared_ptr<const Published> next) {
  {
    MutexLock lock(&mutex);
    current = std::move(next);
  }
  changed.SignalAll();
}

std::shared_ptr<const Published> AppState::WaitForOther(std::string_view etag, int64_t wait_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  MutexLock lock(&mutex);
  while (!draining && current->wire_etag == etag) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    changed.WaitFor(&mutex, left);
  }
  return current;
}

void ServeSnapshot(AppState& state, const Request& request, Response* response) {
  std::vector<std::pair<std::string, std::string>> query;
  int64_t wait_s = 0;
  if (!ParseQuery(request.query, &query)) {
    return ReplyError(400, "PARSE_ERROR", "The query has a broken %-escape.", response);
  }
  for (const auto& [name, value] : query) {
    const std::optional<int64_t> seconds = ParseInt(value);
    if (name != "wait" || !seconds || *seconds < 0) {
      return ReplyError(400, "INVALID_ARGUMENT",
                        "The snapshot takes one parameter, wait, in whole seconds.", response);
    }
    wait_s = std::min<int64_t>(*seconds, state.options.limits.max_wait_s);
  }
  const std::string_view known = request.Find("if-none-match");
  std::shared_ptr<const Published> published = state.published();
  if (wait_s > 0 && MatchesTag(known, published->wire_etag) && state.long_polls.TryTake()) {
    published = state.WaitForOther(published->wire_etag, wait_s * kSecondMs);
    state.long_polls.Give();
  }
  response->Set("ETag", published->wire_etag);
  response->Set("Cache-Control", "no-cache");
  response->content_type = "application/octet-stream";
  if (MatchesTag(known, published->wire_etag)) {
    response->status = 304;
    return;
  }
  response->Set("Fulcrum-Snapshot", std::string(published->snapshot->version()));
  response->body = published->wire;
}

void ShowMetrics(AppState& state, Response* response) {
  const std::shared_ptr<const Published> published = state.published();
  Metrics::Gauges gauges;
  gauges.snapshot_version = published->snapshot->version();
  gauges.experiments = published->snapshot->experiment_count();
  gauges.snapshot_created_ms = published->created_ms;
  gauges.long_polls = state.long_polls.used();
  gauges.last_reload_ok = state.last_reload_ok.load(std::memory_order_relaxed);
  gauges.store = state.options.store->stats();
  response->content_type = "text/plain; version=0.0.4; charset=utf-8";
  response->body = state.metrics.Text(gauges);
}

}  // namespace fulcrum::server
