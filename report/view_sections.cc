// SPDX-License-Identifier: Apache-2.0
#include "report/view_sections.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/format.h"
#include "report/words.h"

namespace fulcrum::report {
namespace {

std::string StepText(const FunnelComparison& c) {
  if (!c.log_step) return std::string(kNothing);
  const auto change = [](std::optional<double> log) -> std::optional<double> {
    return log ? std::optional(std::expm1(*log)) : std::nullopt;
  };
  return FormatChange(change(c.log_step), change(c.log_step_lo), change(c.log_step_hi));
}

// "+0.12 pp [+0.01 pp, +0.23 pp]", or a dash.
std::string WithInterval(const MetricReport& metric, std::optional<double> value,
                         std::optional<double> lo, std::optional<double> hi, double like) {
  if (!value) return std::string(kNothing);
  std::string out = FormatDifference(metric, *value, like);
  if (lo && hi) {
    out += " [" + FormatDifference(metric, *lo, like) + ", " + FormatDifference(metric, *hi, like) +
           "]";
  }
  return out;
}

// Which side of zero an interval is on.
int SideOf(std::optional<double> lo, std::optional<double> hi) {
  if (!lo || !hi || (*lo <= 0 && *hi >= 0)) return 0;
  return *lo > 0 ? 1 : -1;
}

Tone SideTone(const Report& report, int side) {
  if (report.verdict.withheld || side == 0) return Tone::kPlain;
  return side > 0 ? Tone::kGood : Tone::kBad;
}

std::string TrendSentence(const DaysReport& days) {
  const std::string p = " (trend p " + FormatP(days.p_trend) + ").";
  switch (days.trend) {
    case Trend::kNoTrend:
      return "No sign that the effect changes with the days" + p;
    case Trend::kFading:
      return "The effect gets smaller with the days" + p +
             " Where the base does too, look at it in relation before calling it novelty.";
    case Trend::kGrowing:
      return "The effect grows with the days" + p;
    case Trend::kReversing:
      return "The effect turns around with the days" + p + " The average says little.";
  }
  return "";
}

}  // namespace

ViewSection FunnelSection(const Report& report, const FunnelReport& funnel) {
  ViewSection section;
  section.title = funnel.title;
  section.table.columns = {{"Stage"},
                           {"Moved by", false, true},
                           {"Arm"},
                           {"Reached", true},
                           {"Of all", true},
                           {"Of the stage before", true},
                           {"Step against control", true}};
  for (const FunnelStageReport& stage : funnel.stages) {
    for (size_t a = 0; a < stage.arms.size(); ++a) {
      const FunnelArm& arm = stage.arms[a];
      const bool first = a == 0;
      const FunnelComparison* c = first ? nullptr : &stage.comparisons[a - 1];
      Tone tone = Tone::kPlain;
      if (c != nullptr && c->log_step_lo && !report.verdict.withheld) {
        if (*c->log_step_lo > 0) tone = Tone::kGood;
        if (*c->log_step_hi < 0) tone = Tone::kBad;
      }
      section.table.rows.push_back(
          {{first ? stage.title + (stage.optional ? " (optional)" : "") : ""},
           {first ? MoverWord(stage.mover) : ""},
           {ArmName(report, arm.arm)},
           {FormatCount(arm.x)},
           {FormatPercent(arm.rate, 2)},
           {arm.step_rate ? FormatPercent(*arm.step_rate, 2) : std::string(kNothing)},
           {c != nullptr ? StepText(*c) : "", tone}});
    }
  }
  section.table.note =
      "Required steps multiply to the change of the last stage. A step compares different people "
      "in each arm, so it locates an effect and does not prove one.";
  section.estimands.push_back({funnel.title, funnel.estimand});
  return section;
}

ViewTable SliceTable(const Report& report, const SliceReport& slice) {
  ViewTable table;
  const MetricReport* metric = report.FindMetric(slice.metric);
  table.title = MetricTitle(report, slice.metric) + " by " + slice.key;
  if (slice.of_events) table.title += " of the events";
  if (report.arms.size() > 2) table.title += ", " + ArmName(report, slice.arm);
  table.columns = {{slice.key}};
  if (!slice.of_events) {
    table.columns.push_back({"Control units", true, true});
    table.columns.push_back({"Arm's units", true, true});
  }
  table.columns.push_back({"Difference", true});
  if (!slice.of_events) {
    table.columns.push_back({"Shrunk", true});
    table.columns.push_back({"Of the whole", true, true});
  }
  table.columns.push_back({"p", true});
  for (const SliceEffect& effect : slice.effects) {
    const auto text = [&](std::optional<double> value) {
      if (!value || metric == nullptr) return std::string(kNothing);
      return FormatDifference(*metric, *value, Like(*metric, *value));
    };
    std::string difference = text(effect.diff);
    if (effect.status != Status::kOk) {
      difference = Sentence(effect.status);
    } else if (effect.lo) {
      difference += " [" + text(effect.lo) + ", " + text(effect.hi) + "]";
    }
    auto& row = table.rows.emplace_back();
    row.push_back({effect.value.empty() ? "(none)" : effect.value});
    if (!slice.of_events) {
      row.push_back({FormatCount(effect.n_control)});
      row.push_back({FormatCount(effect.n_treatment)});
    }
    row.push_back({difference});
    if (!slice.of_events) {
      row.push_back({text(effect.shrunk)});
      row.push_back({text(effect.contribution)});
    }
    row.push_back({FormatP(effect.p_adjusted)});
  }
  if (slice.of_events) {
    table.note = "Slices of what all units did: each is over every unit of its arm.";
  }
  if (slice.p_heterogeneity) {
    table.note =
        slice.heterogeneous
            ? "The effect differs between these units (p " + FormatP(slice.p_heterogeneity) + ")."
            : "No sign that the effect differs between these units (p " +
                  FormatP(slice.p_heterogeneity) + "): do not pick one out.";
  }
  if (slice.total && slice.mix && metric != nullptr) {
    const auto text = [&](double value) {
      return FormatDifference(*metric, value, Like(*metric, value));
    };
    table.note += " Together they make " + text(*slice.total) + ", of which " + text(*slice.mix) +
                  " is who came to which arm.";
  }
  if (slice.mix_changes_sign && !slice.reversal) {
    table.note += " The slices together point against the whole: the mix differs between the arms.";
  }
  if (slice.reversal) {
    table.note += " Every row points against the whole: the mix differs between the arms.";
  }
  return table;
}

ViewTable DaysTable(const Report& report, const DaysReport& days) {
  ViewTable table;
  const MetricReport* metric = report.FindMetric(days.metric);
  table.title = MetricTitle(report, days.metric) + ", by day since exposure";
  if (report.arms.size() > 2) table.title += ", " + ArmName(report, days.arm);
  table.columns = {
      {"Day"},
      {report.arms.empty() ? "Control" : ArmName(report, report.arms.front().key), true},
      {ArmName(report, days.arm), true},
      {"Difference", true}};
  if (metric == nullptr) return table;
  const double good = metric->direction == Direction::kIncrease ? 1 : -1;
  double like = 0;
  for (const DayEffect& day : days.days) like = std::max(like, std::fabs(day.control.value_or(0)));
  for (const DayEffect& day : days.days) {
    const auto value = [&](std::optional<double> v) {
      return v ? FormatValue(*metric, *v, like) : std::string(kNothing);
    };
    const int side = static_cast<int>(good) * SideOf(day.lo, day.hi);
    table.rows.push_back(
        {{std::to_string(day.day + 1)},
         {value(day.control)},
         {value(day.treatment)},
         {WithInterval(*metric, day.diff, day.lo, day.hi, like), SideTone(report, side)}});
  }
  table.note = TrendSentence(days) + " Of the " + FormatCount(days.n_control + days.n_treatment) +
               " units that have lived through all these days; intervals hold together.";
  return table;
}

ViewTable OverlapTable(const Report& report, const OverlapReport& overlap) {
  ViewTable table;
  table.title = "Together with " + overlap.title;
  const MetricReport* metric = report.FindMetric(overlap.metric);
  const bool arms = report.arms.size() > 2;
  table.columns = {{"Variant there"}};
  if (arms) table.columns.push_back({"Arm"});
  table.columns.insert(
      table.columns.end(),
      {{"Units", true}, {"Difference", true}, {"Against its control", true}, {"p", true}});
  for (const OverlapCell& cell : overlap.cells) {
    if (metric == nullptr) break;
    const double like = Like(*metric, cell.diff.value_or(0));
    std::vector<ViewCell> row = {{cell.other_variant}};
    if (arms) row.push_back({ArmName(report, cell.arm)});
    row.push_back({FormatCount(cell.n_control + cell.n_treatment)});
    row.push_back({WithInterval(*metric, cell.diff, std::nullopt, std::nullopt, like)});
    row.push_back({WithInterval(*metric, cell.interaction, cell.lo, cell.hi, like)});
    row.push_back({FormatP(cell.p_adjusted)});
    table.rows.push_back(std::move(row));
  }
  if (overlap.status != Status::kOk) {
    table.note =
        "Whether the effects depend on each other is not known: " + Sentence(overlap.status) + ".";
  } else if (overlap.interacts) {
    table.note = "The effect on " + MetricTitle(report, overlap.metric) +
                 " depends on the variant there (p " + FormatP(overlap.p_adjusted) +
                 "): decide on both together.";
  } else {
    table.note = "No sign that the effect on " + MetricTitle(report, overlap.metric) +
                 " depends on the variant there (p " + FormatP(overlap.p_adjusted) +
                 "): each can be read alone.";
  }
  return table;
}

// --- Economics -----------------------------------------------------------------------------------

namespace {

class EconomicsRows {
 public:
  explicit EconomicsRows(const Report& report) : report_(report) {
    unit_ = report.experiment.currency.empty() ? "" : " " + report.experiment.currency;
  }

  ViewCell Effect(const EconomicsArm& arm, const EconomicsEffect& effect, bool money,
                  int good) const {
    if (arm.status != Status::kOk) return {Sentence(arm.status), Tone::kMuted};
    if (!effect.diff) return {std::string(kNothing)};
    const int decimals = money ? 2 : 4;
    const std::string unit = money ? unit_ : "";
    std::string text = FormatSigned(*effect.diff, decimals) + unit;
    if (effect.lo) {
      text += " [" + FormatSigned(*effect.lo, decimals) + ", " +
              FormatSigned(*effect.hi, decimals) + "]";
    }
    return {std::move(text), SideTone(report_, good * SideOf(effect.lo, effect.hi))};
  }

  ViewCell Ratio(const EconomicsArm& arm, const EconomicsRatio& ratio,
                 const std::string& unit) const {
    if (arm.status != Status::kOk || !ratio.value) return {std::string(kNothing), Tone::kMuted};
    const std::string value = FormatFixed(*ratio.value, 2) + unit;
    switch (ratio.set) {
      case RatioSet::kBounded:
        return {value + " [" + FormatFixed(ratio.lo, 2) + ", " + FormatFixed(ratio.hi, 2) + "]"};
      case RatioSet::kComplement:
        return {value + ", not bounded: below " + FormatFixed(ratio.lo, 2) + " or above " +
                FormatFixed(ratio.hi, 2)};
      case RatioSet::kWholeLine:
        break;
    }
    return {value + ", not bounded"};
  }

  static ViewCell Share(const EconomicsArm& arm, const std::optional<EconomicsShare>& share) {
    if (!share) {
      return {
          arm.subsidy_status == Status::kOk ? std::string(kNothing) : Sentence(arm.subsidy_status),
          Tone::kMuted};
    }
    return {FormatPercent(share->low, 0) + " to " + FormatPercent(share->high, 0) +
            " (with chance " + FormatPercent(share->lo, 0) + " to " + FormatPercent(share->hi, 0) +
            ")"};
  }

  const std::string& unit() const { return unit_; }

 private:
  const Report& report_;
  std::string unit_;
};

}  // namespace

ViewTable EconomicsTable(const Report& report, const EconomicsReport& economics) {
  ViewTable table;
  table.title = "What the subsidy bought";
  table.columns = {{"For each exposed unit"}};
  const EconomicsRows rows(report);
  for (const EconomicsArm& arm : economics.arms) {
    table.columns.push_back({ArmName(report, arm.arm), true});
  }
  const auto add = [&](const std::string& label, auto&& cell) {
    std::vector<ViewCell> row = {{label}};
    for (const EconomicsArm& arm : economics.arms) row.push_back(cell(arm));
    table.rows.push_back(std::move(row));
  };
  const std::string& unit = rows.unit();
  add("More profit", [&](const EconomicsArm& a) { return rows.Effect(a, a.profit, true, 1); });
  add("More cost", [&](const EconomicsArm& a) { return rows.Effect(a, a.cost, true, 0); });
  add("More orders", [&](const EconomicsArm& a) { return rows.Effect(a, a.orders, false, 1); });
  add("Profit for each 1" + unit + " of cost",
      [&](const EconomicsArm& a) { return rows.Ratio(a, a.return_on_cost, unit); });
  add("Cost of one more order",
      [&](const EconomicsArm& a) { return rows.Ratio(a, a.cost_per_order, unit); });
  add("Redeemed by those who would have bought anyway",
      [&](const EconomicsArm& a) { return rows.Share(a, a.subsidy_any); });
  add("… if a subsidy never stops an order",
      [&](const EconomicsArm& a) { return rows.Share(a, a.subsidy_monotone); });
  add("… of the money", [&](const EconomicsArm& a) { return rows.Share(a, a.subsidy_money); });
  table.note =
      "Profit is " + MetricTitle(report, economics.profit) + ", cost " +
      MetricTitle(report, economics.cost) + ", without caps. Each interval at " +
      FormatPercent(1 - report.analysis.alpha, 0) +
      " by itself; nothing is decided by them. Who would have bought anyway cannot be seen "
      "unit by unit, so the data give bounds.";
  return table;
}

}  // namespace fulcrum::report
