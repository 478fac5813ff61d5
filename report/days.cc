// SPDX-License-Identifier: Apache-2.0
#include "report/days.h"

#include <cmath>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "report/columns.h"
#include "stats/novelty.h"

namespace fulcrum::report {
namespace {

// Fewer units in an arm leave a longer table for a shorter one.
constexpr int64_t kEnoughUnits = 100;

struct Table {
  const GroupStats* group = nullptr;
  std::vector<size_t> columns;  // By day.
};

// The table of exactly `days` days.
std::optional<Table> TableOf(const std::string& metric, const store::Plan& plan,
                             const Sample& sample, int days) {
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    if (plan.groups[g].maturity_ms != days * kDayMs) continue;
    Table table;
    table.group = &sample.groups[g];
    for (int d = 0; d < days; ++d) {
      const auto ref = FindColumn(plan, DayColumn(metric, d), static_cast<int>(g));
      if (ref) table.columns.push_back(ref->index);
    }
    if (table.columns.size() == static_cast<size_t>(days)) return table;
  }
  return std::nullopt;
}

bool Enough(const Table& table, size_t arm, int64_t units) {
  return table.group->arms[0].gram.n() >= units && table.group->arms[arm].gram.n() >= units;
}

Trend TrendOf(stats::NoveltyVerdict verdict) {
  switch (verdict) {
    case stats::NoveltyVerdict::kNoTrend:
      return Trend::kNoTrend;
    case stats::NoveltyVerdict::kFading:
      return Trend::kFading;
    case stats::NoveltyVerdict::kGrowing:
      return Trend::kGrowing;
    case stats::NoveltyVerdict::kReversing:
      return Trend::kReversing;
  }
  return Trend::kNoTrend;
}

void Fill(const Table& table, size_t arm, double alpha, DaysReport* out) {
  const stats::Gram& treatment = table.group->arms[arm].gram;
  const stats::Gram& control = table.group->arms[0].gram;
  std::vector<double> axis;
  for (size_t d = 0; d < table.columns.size(); ++d) axis.push_back(static_cast<double>(d));
  out->n_control = static_cast<double>(control.n());
  out->n_treatment = static_cast<double>(treatment.n());
  const stats::NoveltyResult r =
      stats::AnalyseNovelty(treatment, control, table.columns, axis, alpha);
  if (r.reason != stats::Reason::kNone) {
    out->status =
        r.reason == stats::Reason::kNoVariance ? Status::kNoVariation : Status::kNotEnoughUnits;
    return;
  }
  out->status = Status::kOk;
  const size_t days = table.columns.size();
  for (size_t d = 0; d < days; ++d) {
    DayEffect day;
    day.day = static_cast<int>(d);
    day.control = control.mean(table.columns[d]);
    day.treatment = treatment.mean(table.columns[d]);
    day.diff = r.effect[d];
    day.se = std::sqrt(r.covariance[d * days + d]);
    day.lo = r.interval[d].lo;
    day.hi = r.interval[d].hi;
    out->days.push_back(day);
  }
  out->slope = r.per_day.slope;
  out->slope_se = r.per_day.slope_se;
  out->p_trend = r.per_day.p;
  out->p_equal = r.p_equal;
  out->trend = TrendOf(r.verdict);
  // A line that ends a little beyond zero has faded; it has turned around when a day shows it.
  if (out->trend != Trend::kReversing) return;
  const double first = r.per_day.intercept;
  bool shown = false;
  for (const DayEffect& day : out->days) {
    shown = shown || (first > 0 ? *day.hi < 0 : *day.lo > 0);
  }
  if (!shown) out->trend = Trend::kFading;
}

}  // namespace

std::vector<DaysReport> EstimateDays(const std::string& metric, const store::Plan& plan,
                                     const Sample& sample, double alpha) {
  std::vector<DaysReport> out;
  std::vector<Table> tables;  // Longest first.
  for (const int days : kDayPanels) {
    if (auto table = TableOf(metric, plan, sample, days)) tables.push_back(*std::move(table));
  }
  if (tables.empty()) return out;
  for (size_t a = 1; a < plan.population.arms.size(); ++a) {
    DaysReport report;
    report.metric = metric;
    report.arm = plan.population.arms[a].key;
    const Table* chosen = &tables.back();
    for (const Table& table : tables) {
      if (!Enough(table, a, kEnoughUnits)) continue;
      chosen = &table;
      break;
    }
    if (chosen->group->stratified) {
      report.status = Status::kNotForPhases;
    } else if (!Enough(*chosen, a, 2)) {
      report.status =
          chosen->group->arms[a].maturing > 0 ? Status::kAllMaturing : Status::kNotEnoughUnits;
    } else {
      Fill(*chosen, a, alpha, &report);
    }
    out.push_back(std::move(report));
  }
  return out;
}

}  // namespace fulcrum::report
