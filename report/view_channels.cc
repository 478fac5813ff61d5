// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>

#include "report/format.h"
#include "report/view_sections.h"
#include "report/words.h"

namespace fulcrum::report {
namespace {

std::optional<double> MarginOf(const ChannelRow& row, size_t arm) {
  return arm < row.arms.size() ? row.arms[arm].margin : std::nullopt;
}

}  // namespace

ViewTable ChannelTable(const Report& report, const ChannelReport& channels) {
  ViewTable table;
  const MetricReport* metric = report.FindMetric(channels.metric);
  MetricReport money;  // Where the metric is not in the report's own lists.
  money.kind = MetricKind::kMean;
  if (metric == nullptr) metric = &money;
  table.title = "Margin by channel";
  table.columns = {{"Channel"},
                   {"Line", false, true},
                   {"Units", true},
                   {"Cost", true, true},
                   {"Cost a unit", true},
                   {"Arm"},
                   {"Contribution a unit", true, true},
                   {"Margin a unit", true}};
  for (const ChannelRow& row : channels.rows) {
    std::string line = row.line;
    if (!line.empty()) line += row.paid ? ", paid" : ", free";
    for (size_t a = 0; a < row.arms.size(); ++a) {
      const ChannelArm& arm = row.arms[a];
      const double like = MarginOf(row, 0).value_or(1);
      const auto text = [&](std::optional<double> value) {
        return value ? FormatValue(*metric, *value, like) : std::string(kNothing);
      };
      std::string margin = text(arm.margin);
      if (arm.margin_lo) margin += " [" + text(arm.margin_lo) + ", " + text(arm.margin_hi) + "]";
      Tone tone = Tone::kPlain;
      if (arm.margin_lo && *arm.margin_lo > 0) tone = Tone::kGood;
      if (arm.margin_hi && *arm.margin_hi < 0) tone = Tone::kBad;
      const bool first = a == 0;
      table.rows.push_back({{first ? (row.total ? "All " : "") + row.title : ""},
                            {first ? line : ""},
                            {first ? FormatCount(row.units) : ""},
                            {first ? FormatFixed(row.cost, 0) : ""},
                            {first ? FormatFixed(row.cost_per_unit, 2) : ""},
                            {ArmName(report, arm.arm)},
                            {text(arm.contribution)},
                            {margin, report.verdict.withheld ? Tone::kMuted : tone}});
    }
  }
  table.note = "A unit's channel is the one it first came by. " +
               std::string(channels.costs_hash.empty()
                               ? "No costs are known (there is no costs.csv), so margins are "
                                 "contributions."
                               : "Costs (costs.csv " + channels.costs_hash +
                                     ") are those of the days of enrolment, over all units they "
                                     "brought; intervals are each row's own.");
  return table;
}

}  // namespace fulcrum::report
