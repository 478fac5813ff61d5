// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/experiments/{key}/report: plan, run, analyse, render. The only slow route, so only few
// run at once and the rest wait for a while or are told to come back.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "report/analyze.h"
#include "report/json.h"
#include "report/plan.h"
#include "report/render.h"
#include "server/app_state.h"
#include "server/experiment_view.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

struct ReportQuery {
  std::optional<int64_t> as_of_ms;
  std::string format = "json";
};

bool ReadQuery(const Request& request, int64_t now_ms, ReportQuery* out, Response* response) {
  const auto refuse = [&](const std::string& details) {
    ReplyError(400, "INVALID_ARGUMENT", details, response);
    return false;
  };
  std::vector<std::pair<std::string, std::string>> query;
  if (!ParseQuery(request.query, &query)) return refuse("The query has a broken %-escape.");
  for (const auto& [name, value] : query) {
    if (name == "format") {
      if (value != "json" && value != "text" && value != "md" && value != "html") {
        return refuse("format must be json, text, md or html.");
      }
      out->format = value;
    } else if (name == "as_of") {
      // In a query '+' is a space, and people type offsets as they are.
      std::string text = value;
      std::replace(text.begin(), text.end(), ' ', '+');
      out->as_of_ms = ParseRfc3339(text);
      if (!out->as_of_ms) out->as_of_ms = ParseInt(text);
      if (!out->as_of_ms || *out->as_of_ms < kMinInstantMs || *out->as_of_ms >= kMaxInstantMs) {
        return refuse("as_of must be RFC 3339 with an offset or Unix milliseconds.");
      }
      if (*out->as_of_ms > now_ms) {
        return refuse("as_of is in the future: it is " + FormatRfc3339(now_ms) + " now.");
      }
    } else {
      return refuse("'" + name + "' is not a parameter; a report takes as_of and format.");
    }
  }
  return true;
}

// Weights of phases that were changed at run time, in the plan's order of arms.
std::vector<report::PhaseWeights> ChangedWeights(const Published& published,
                                                 const store::Plan& plan) {
  std::vector<report::PhaseWeights> changed;
  const core::ExperimentControls* controls = published.controls.Find(plan.population.experiment);
  const core::ExperimentHandle handle = published.snapshot->Find(plan.population.experiment);
  if (controls == nullptr || controls->weights.empty() || !handle) return changed;
  const core::ExperimentData& data = published.snapshot->experiment(handle);
  for (size_t p = 0; p < data.phases.size(); ++p) {
    report::PhaseWeights weights{static_cast<int>(p), {}};
    for (const store::Arm& arm : plan.population.arms) {
      double weight = 0;
      for (size_t v = 0; v < data.variants.size(); ++v) {
        if (data.variants[v].key == arm.key) weight = data.phases[p].weights_ppm[v];
      }
      weights.weights.push_back(weight);
    }
    changed.push_back(std::move(weights));
  }
  return changed;
}

absl::StatusOr<report::Report> Compute(AppState& state, const Published& published,
                                       const experiments::ExperimentDefinition& definition,
                                       int64_t as_of_ms) {
  FULCRUM_ASSIGN_OR_RETURN(store::Plan plan,
                           report::MakePlan(published.definitions, definition, as_of_ms));
  FULCRUM_ASSIGN_OR_RETURN(store::PlanResult result, state.options.store->Run(plan));
  report::AnalyzeOptions options;
  options.started_hash = StartedHash(state, definition);
  options.phases = ChangedWeights(published, plan);
  return report::Analyze(published.definitions, definition, plan, result, options);
}

void Render(const report::Report& report, const std::string& format, Response* response) {
  if (format == "html") {
    response->content_type = "text/html; charset=utf-8";
    response->body = report::RenderHtml(report);
  } else if (format == "md") {
    response->content_type = "text/markdown; charset=utf-8";
    response->body = report::RenderMarkdown(report);
  } else if (format == "text") {
    response->content_type = "text/plain; charset=utf-8";
    response->body = report::RenderText(report);
  } else {
    response->body = report::ToJson(report);
  }
}

}  // namespace

void MakeReport(AppState& state, std::string_view key, const Request& request, Response* response) {
  const std::shared_ptr<const Published> published = state.published();
  const experiments::ExperimentDefinition* definition = published->FindDefinition(key);
  if (definition == nullptr) {
    return ReplyError(404, "NOT_FOUND", "There is no experiment '" + std::string(key) + "'.",
                      response, key);
  }
  const int64_t now_ms = state.options.clock->NowMs();
  ReportQuery query;
  if (!ReadQuery(request, now_ms, &query, response)) return;
  if (!state.reports_waiting.TryTake()) {
    return ReplyBusy(503, "BUSY", "Other reports are being computed; ask again shortly.", 2,
                     response);
  }
  {
    MutexLock lock(&state.report_mutex);
    while (state.reports_running >= state.options.limits.max_reports) {
      state.report_done.Wait(&state.report_mutex);
    }
    ++state.reports_running;
  }
  const absl::Cleanup leave = [&state] {
    {
      MutexLock lock(&state.report_mutex);
      --state.reports_running;
    }
    state.report_done.Signal();
    state.reports_waiting.Give();
  };
  const absl::StatusOr<report::Report> report =
      Compute(state, *published, *definition, query.as_of_ms.value_or(now_ms));
  if (!report.ok()) return ReplyStatus(report.status(), response);
  if (!query.as_of_ms) {
    // The analysts' view follows the newest report; a past one does not overwrite it.
    const absl::Status stored = state.options.store->PutResults(ResultRows(*report));
    if (!stored.ok()) state.Log("results of " + definition->key + ": " + stored.ToString());
  }
  Render(*report, query.format, response);
}

std::vector<store::Store::ResultRow> ResultRows(const report::Report& report) {
  std::vector<store::Store::ResultRow> rows;
  const auto add = [&](const std::string& metric, const std::string& arm, const char* statistic,
                       const std::optional<double>& value) {
    if (!value) return;
    rows.push_back(
        {report.experiment.key, metric, arm, statistic, *value, report.analysis.as_of_ms});
  };
  for (const report::ArmInfo& arm : report.arms) add("", arm.key, "units", arm.units);
  add("", "", "srm_p", report.health.srm.p);
  for (const report::MetricReport& metric : report.metrics) {
    for (const report::ArmValue& arm : metric.arms) {
      add(metric.key, arm.arm, "n", arm.n);
      add(metric.key, arm.arm, "rate", arm.rate);
      add(metric.key, arm.arm, "mean", arm.mean);
      add(metric.key, arm.arm, "var", arm.var);
      add(metric.key, arm.arm, "ratio", arm.ratio);
      add(metric.key, arm.arm, "quantile", arm.quantile);
      add(metric.key, arm.arm, "restricted_mean_ms", arm.restricted_mean_ms);
    }
    for (const report::Comparison& comparison : metric.comparisons) {
      add(metric.key, comparison.arm, "diff", comparison.diff);
      add(metric.key, comparison.arm, "estimate", comparison.estimate);
      add(metric.key, comparison.arm, "p", comparison.p);
      add(metric.key, comparison.arm, "p_adjusted", comparison.p_adjusted);
      add(metric.key, comparison.arm, "sim_lo", comparison.sim_lo);
      add(metric.key, comparison.arm, "sim_hi", comparison.sim_hi);
      add(metric.key, comparison.arm, "lift", comparison.lift);
      add(metric.key, comparison.arm, "lift_lo", comparison.lift_lo);
      add(metric.key, comparison.arm, "lift_hi", comparison.lift_hi);
    }
  }
  return rows;
}

}  // namespace fulcrum::server
