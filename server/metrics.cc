// SPDX-License-Identifier: Apache-2.0
#include "server/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

namespace fulcrum::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

MetricFamily& AddFamily(std::vector<MetricFamily>* families, std::string name, MetricType type,
                        std::string help) {
  MetricFamily family;
  family.name = std::move(name);
  family.type = type;
  family.help = std::move(help);
  families->push_back(std::move(family));
  return families->back();
}

void AddValue(MetricFamily* family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family->type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family->metric.push_back(std::move(metric));
}

void AddSingle(std::vector<MetricFamily>* families, std::string name, MetricType type,
               std::string help, double value) {
  AddValue(&AddFamily(families, std::move(name), type, std::move(help)), {}, value);
}

void AddStore(const store::StoreStats& stats, std::vector<MetricFamily>* families) {
  AddSingle(families, "fulcrum_inbox_backlog_batches", MetricType::Gauge,
            "Batches that are durable and not yet in the analytical database.",
            static_cast<double>(stats.backlog_batches));
  AddSingle(families, "fulcrum_inbox_backlog_bytes", MetricType::Gauge,
            "Bytes that are durable and not yet in the analytical database.",
            static_cast<double>(stats.backlog_bytes));
  AddSingle(families, "fulcrum_store_durable_sequence", MetricType::Gauge,
            "Sequence number of the last batch that was acknowledged.",
            static_cast<double>(stats.durable_sequence));
  AddSingle(families, "fulcrum_store_loaded_sequence", MetricType::Gauge,
            "Sequence number of the last batch in the analytical database.",
            static_cast<double>(stats.loaded_sequence));
  MetricFamily& rows = AddFamily(families, "fulcrum_store_rows", MetricType::Gauge,
                                 "Rows in the analytical database.");
  AddValue(&rows, {{"table", "exposures"}}, static_cast<double>(stats.rows_exposures));
  AddValue(&rows, {{"table", "events"}}, static_cast<double>(stats.rows_events));
  AddSingle(families, "fulcrum_store_load_failures_total", MetricType::Counter,
            "Attempts to load a batch that failed; they are repeated.",
            static_cast<double>(stats.load_failures));
  AddSingle(families, "fulcrum_store_last_load_seconds", MetricType::Gauge,
            "How long the last load took.", stats.last_load_ms / 1e3);
}

constexpr const char* kItemKinds[] = {"exposure", "event", "link", "client_counts"};
constexpr const char* kItemOutcomes[] = {"accepted", "duplicate", "rejected"};

}  // namespace

void Metrics::CountRequest(Route route, int status, int64_t elapsed_us) {
  RouteCounters& counters = routes_[static_cast<size_t>(route)];
  auto at = std::find(kStatuses.begin(), kStatuses.end(), status);
  if (at == kStatuses.end()) at = kStatuses.end() - 2;  // Nothing else is sent; 500 if it were.
  Add(&counters.by_status[static_cast<size_t>(at - kStatuses.begin())], 1);
  const auto bound = std::lower_bound(kBoundsUs.begin(), kBoundsUs.end(), elapsed_us);
  Add(&counters.by_time[static_cast<size_t>(bound - kBoundsUs.begin())], 1);
  Add(&counters.total_us, elapsed_us);
}

std::string Metrics::Text(const Gauges& gauges) const {
  const auto read = [](const Counter& counter) {
    return static_cast<double>(counter.load(std::memory_order_relaxed));
  };
  std::vector<MetricFamily> families;
  families.reserve(32);  // References into it stay valid.

  MetricFamily& requests = AddFamily(&families, "fulcrum_http_requests_total", MetricType::Counter,
                                     "Requests answered, by route and status.");
  MetricFamily& durations =
      AddFamily(&families, "fulcrum_http_request_duration_seconds", MetricType::Histogram,
                "Time from a whole request to its answer, by route.");
  for (int r = 0; r < kRouteCount; ++r) {
    const RouteCounters& counters = routes_[static_cast<size_t>(r)];
    const std::string route(InfoOf(static_cast<Route>(r)).pattern);
    ClientMetric histogram;
    histogram.label = {{"route", route}};
    for (size_t i = 0; i < counters.by_time.size(); ++i) {
      histogram.histogram.sample_count +=
          static_cast<uint64_t>(counters.by_time[i].load(std::memory_order_relaxed));
      if (i < kBoundsUs.size()) {
        histogram.histogram.bucket.push_back(
            {histogram.histogram.sample_count, static_cast<double>(kBoundsUs[i]) / 1e6});
      }
    }
    if (histogram.histogram.sample_count == 0) continue;
    histogram.histogram.sample_sum = read(counters.total_us) / 1e6;
    durations.metric.push_back(std::move(histogram));
    for (size_t s = 0; s < kStatuses.size(); ++s) {
      const double n = read(counters.by_status[s]);
      if (n == 0) continue;
      AddValue(&requests, {{"route", route}, {"status", std::to_string(kStatuses[s])}}, n);
    }
  }

  MetricFamily& evaluations = AddFamily(&families, "fulcrum_evaluations_total", MetricType::Counter,
                                        "Decisions made for callers, by the rule that decided.");
  for (int i = 0; i < core::kReasonCount; ++i) {
    AddValue(&evaluations, {{"reason", std::string(ReasonName(static_cast<core::Reason>(i)))}},
             read(evaluations_[static_cast<size_t>(i)]));
  }
  MetricFamily& items = AddFamily(&families, "fulcrum_ingest_items_total", MetricType::Counter,
                                  "Exposures, events, links and client counts that were sent.");
  for (size_t k = 0; k < kItemKindCount; ++k) {
    for (size_t o = 0; o < kItemOutcomeCount; ++o) {
      AddValue(&items, {{"kind", kItemKinds[k]}, {"outcome", kItemOutcomes[o]}},
               read(items_[k][o]));
    }
  }
  MetricFamily& reloads = AddFamily(&families, "fulcrum_reloads_total", MetricType::Counter,
                                    "Readings of the project directory, by outcome.");
  AddValue(&reloads, {{"outcome", "ok"}}, read(reloads_ok_));
  AddValue(&reloads, {{"outcome", "refused"}}, read(reloads_refused_));
  AddSingle(&families, "fulcrum_last_reload_ok", MetricType::Gauge,
            "1 if the project directory as it is now is what is being served.",
            gauges.last_reload_ok ? 1 : 0);
  AddValue(&AddFamily(&families, "fulcrum_snapshot_info", MetricType::Gauge,
                      "The snapshot that is being served."),
           {{"version", gauges.snapshot_version}}, 1);
  AddSingle(&families, "fulcrum_snapshot_experiments", MetricType::Gauge,
            "Experiments in the snapshot.", static_cast<double>(gauges.experiments));
  AddSingle(&families, "fulcrum_snapshot_created_timestamp_seconds", MetricType::Gauge,
            "When the snapshot was made.", static_cast<double>(gauges.snapshot_created_ms) / 1e3);
  AddSingle(&families, "fulcrum_http_connections", MetricType::Gauge, "Open connections.",
            read(connections_));
  AddSingle(&families, "fulcrum_http_connections_refused_total", MetricType::Counter,
            "Connections that were answered 503 because all were taken.",
            read(connections_refused_));
  AddSingle(&families, "fulcrum_http_rate_limited_total", MetricType::Counter,
            "Requests that were answered 429 because their key was over its rate.",
            read(rate_limited_));
  AddSingle(&families, "fulcrum_http_long_polls", MetricType::Gauge,
            "Long polls and event streams that are waiting.",
            static_cast<double>(gauges.long_polls));
  AddStore(gauges.store, &families);

  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace fulcrum::server
