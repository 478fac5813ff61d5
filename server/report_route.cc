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
#include "report/json.h"
#include "report/render.h"
#include "server/app_state.h"
#include "server/experiment_view.h"
#include "server/past.h"
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

struct AsOf {
  std::shared_ptr<const Published> published;
  int64_t as_of_ms = 0;
};

// What is served and the instant that goes with it, taken together: no control, definition or
// event of that instant comes after.
AsOf FreezeNow(AppState& state) {
  MutexLock change(&state.change_mutex);
  const int64_t now_ms = std::max(state.options.clock->NowMs(), state.last_report_ms.load());
  int64_t as_of_ms = now_ms;
  if (const absl::StatusOr<int64_t> frozen = state.options.store->Freeze(now_ms); frozen.ok()) {
    as_of_ms = *frozen;
  } else {
    // The inbox cannot write (a full disk); what is in the store can still be read.
    state.Log("a report could not close its instant and may not come out the same later: " +
              std::string(Message(frozen.status())));
  }
  state.last_report_ms = as_of_ms;
  return AsOf{state.published(), as_of_ms};
}

absl::StatusOr<AsOf> FreezeThen(AppState& state, int64_t as_of_ms) {
  // Nothing that is under way may still count as received by then.
  const AsOf now = FreezeNow(state);
  FULCRUM_ASSIGN_OR_RETURN(auto then, PublishedAt(*state.options.store, *now.published, as_of_ms));
  return AsOf{std::move(then), as_of_ms};
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

bool EnterReports(AppState& state, Response* response) {
  if (!state.reports_waiting.TryTake()) {
    ReplyBusy(503, "BUSY", "Other reports are being computed; ask again shortly.", 2, response);
    return false;
  }
  MutexLock lock(&state.report_mutex);
  while (state.reports_running >= state.options.limits.max_reports) {
    state.report_done.Wait(&state.report_mutex);
  }
  ++state.reports_running;
  return true;
}

void LeaveReports(AppState& state) {
  {
    MutexLock lock(&state.report_mutex);
    --state.reports_running;
  }
  state.report_done.Signal();
  state.reports_waiting.Give();
}

void MakeReport(AppState& state, std::string_view key, const Request& request, Response* response) {
  const auto not_found = [&](const std::string& when) {
    ReplyError(404, "NOT_FOUND", "There is no experiment '" + std::string(key) + "'" + when + ".",
               response, key);
  };
  // A report may stand for a little after the clock: for when the last thing was received.
  const int64_t now_ms = std::max(state.options.clock->NowMs(), state.last_report_ms.load());
  ReportQuery query;
  if (!ReadQuery(request, now_ms, &query, response)) return;
  // Found out at once, before waiting for a place.
  if (!query.as_of_ms && state.published()->FindDefinition(key) == nullptr) return not_found("");
  if (!EnterReports(state, response)) return;
  const absl::Cleanup leave = [&state] { LeaveReports(state); };
  const absl::StatusOr<AsOf> at =
      query.as_of_ms ? FreezeThen(state, *query.as_of_ms) : absl::StatusOr<AsOf>(FreezeNow(state));
  if (!at.ok()) return ReplyStatus(at.status(), response);
  const experiments::ExperimentDefinition* definition = at->published->FindDefinition(key);
  if (definition == nullptr) return not_found(query.as_of_ms ? " as of then" : "");
  const absl::StatusOr<report::Report> report =
      ComputeReport(*state.options.store, *at->published, *definition, at->as_of_ms);
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
