// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/time.h"
#include "report/forecast.h"
#include "report/format.h"
#include "report/names.h"
#include "report/words.h"

namespace fulcrum::report {
namespace {

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;

constexpr size_t kWidth = 100;
constexpr size_t kTitleWidth = 30;

std::string Percent(double fraction) {
  const double percent = std::abs(fraction * 100);
  const bool whole = std::abs(percent - std::round(percent)) < 1e-9;
  return FormatPercent(fraction, whole ? 0 : percent < 1 ? 2 : 1);
}

std::string Days(int days) { return std::to_string(days) + (days == 1 ? " day" : " days"); }

MetricReport AsMetric(const MetricForecast& metric) {
  MetricReport report;
  report.kind = metric.kind;
  report.unit_label = metric.unit_label;
  return report;
}

std::string Value(const MetricForecast& metric, double value) {
  return FormatValue(AsMetric(metric), value, value);
}

// Lines of at most kWidth columns, cut at spaces.
void Paragraph(const std::string& text, std::string* out) {
  size_t used = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t space = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, space - at);
    const size_t width = DisplayWidth(word);
    if (used > 0 && used + 1 + width > kWidth) {
      *out += '\n';
      used = 0;
    }
    if (used > 0) *out += ' ';
    *out += word;
    used += width + (used > 0 ? 1 : 0);
    at = space + 1;
  }
  *out += '\n';
}

// Left-aligned first column, the others to the right.
void Table(const std::vector<Row>& rows, std::string* out) {
  std::vector<size_t> width(rows.front().size(), 0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], DisplayWidth(row[i]));
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string pad(width[i] - DisplayWidth(row[i]), ' ');
      line += i == 0 ? row[i] + pad : "  " + pad + row[i];
    }
    *out += "  " + line + "\n";
  }
}

std::string Target(const MetricForecast& metric) {
  if (!metric.target) return std::string(kNothing);
  if (metric.one_sided) return "margin " + Percent(*metric.target);
  return FormatSignedPercent(
      metric.direction == Direction::kIncrease ? *metric.target : -*metric.target,
      *metric.target < 0.1 ? 1 : 0);
}

std::string Detectable(const MetricForecast& metric) {
  if (!metric.detectable) return std::string(kNothing);
  std::string text = (metric.one_sided ? "margin " : "") + Percent(*metric.detectable);
  if (metric.one_sided) return text;
  const bool rate = metric.kind == MetricKind::kProportion || metric.kind == MetricKind::kRetention;
  return text + " (" +
         (rate ? FormatFixed(*metric.detectable_abs * 100, 2) + " pp"
               : Value(metric, *metric.detectable_abs)) +
         ")";
}

Row MetricRow(const Forecast& forecast, const MetricForecast& metric) {
  Row row = {Truncate(metric.title, kTitleWidth), RoleWord(metric.role)};
  if (metric.status != Status::kOk) {
    row.push_back(metric.status == Status::kNotPlanned ? "no baseline" : Sentence(metric.status));
    row.resize(forecast.planned_days && forecast.arrivals ? 9 : 8, std::string(kNothing));
    return row;
  }
  const Baseline& base = *metric.baseline;
  row.push_back(Value(metric, base.mean));
  row.push_back(base.variance_reduction > 0 ? "-" + Percent(base.variance_reduction)
                                            : std::string(kNothing));
  row.push_back(Target(metric));
  std::string units(kNothing);
  if (metric.target && metric.arm_units.empty()) units = "never";
  for (size_t a = 0; a < metric.arm_units.size(); ++a) {
    if (a == 0) units.clear();
    // Equal arms need saying once.
    if (a > 0 && metric.arm_units[a] == metric.arm_units[0]) continue;
    units += (a > 0 ? " / " : "") + FormatCount(metric.arm_units[a]);
  }
  row.push_back(units);
  row.push_back(metric.decision_days ? std::to_string(*metric.decision_days)
                                     : std::string(kNothing));
  row.push_back(metric.maturity_ms > 0 ? FormatDuration(metric.maturity_ms)
                                       : std::string(kNothing));
  if (forecast.planned_days && forecast.arrivals) row.push_back(Detectable(metric));
  return row;
}

std::string TrafficText(const Forecast& forecast) {
  if (!forecast.arrivals) {
    return "Days are not known: give --traffic N/day, or --history.";
  }
  const Arrivals& arrivals = *forecast.arrivals;
  std::string text = "Traffic: ";
  if (arrivals.by_day.empty()) {
    text += FormatCount(arrivals.per_day_after) + " new units a day, as given";
  } else {
    text += FormatCount(arrivals.by_day.front()) + " units on the first day, " +
            FormatCount(arrivals.per_day_after) + " new ones a day in the last week of the history";
  }
  const double share = forecast.layer_share * forecast.holdout_share * forecast.audience_share;
  if (share < 1) {
    text += "; " + Percent(share) + " of them come into the experiment (";
    std::string parts;
    const auto add = [&](double part, const char* what) {
      if (part < 1) parts += (parts.empty() ? "" : ", ") + (what + (" " + Percent(part)));
    };
    add(forecast.layer_share, "layer");
    add(forecast.holdout_share, "outside holdouts");
    add(forecast.audience_share, "audience");
    text += parts + ")";
  }
  if (forecast.ramped) text += "; the ramp is counted in";
  return text + ".";
}

std::string LevelText(const Forecast& forecast) {
  std::string text = "Alpha " + Percent(forecast.alpha);
  if (forecast.alpha_look > 0) {
    text += ", of which " + Percent(forecast.alpha_look) + " for looking early and " +
            Percent(forecast.alpha_final) + " at the planned end";
  }
  text += "; power " + Percent(forecast.power) + " for each comparison" +
          (forecast.power_stated ? "" : " (the usual one: the definition states none)") + ".";
  for (const MetricForecast& metric : forecast.metrics) {
    if (metric.role != Role::kPrimary || forecast.comparisons < 2) continue;
    text += " Correction " + std::string(Name(forecast.correction)) + " over " +
            std::to_string(forecast.comparisons) + " primary comparisons: each at " +
            FormatPercent(metric.alpha, 2) + ".";
    break;
  }
  return text;
}

std::string Headline(const Forecast& forecast) {
  const std::string lift = Percent(forecast.min_lift);
  if (forecast.min_lift <= 0) {
    return "No smallest lift worth shipping is stated (decision: {min_lift: …}), so no number of "
           "units follows; what the planned time can show is below.";
  }
  if (!forecast.units) {
    return "A lift of " + lift +
           " cannot be shown on every primary metric with any number of "
           "units: see below.";
  }
  std::string text =
      "To show a lift of " + lift + ": " + FormatCount(*forecast.units) + " units in all";
  if (!forecast.decision_days) {
    return text + (forecast.arrivals ? ", which would take more than ten years." : ".");
  }
  text += ", " + Days(*forecast.decision_days) +
          " to a decision, maturing included (slowest: " + forecast.slowest + ").";
  if (forecast.planned_days && *forecast.decision_days > *forecast.planned_days) {
    text += " That is longer than the " + Days(*forecast.planned_days) +
            " planned: plan for longer, or for a larger lift.";
  } else if (forecast.planned_days) {
    text += " The " + Days(*forecast.planned_days) + " planned are enough.";
  }
  return text;
}

std::vector<std::string> Notes(const Forecast& forecast) {
  std::vector<std::string> notes;
  if (forecast.audience_unknown) {
    notes.push_back(
        "The audience's conditions are not known of past units: days assume that all "
        "of them qualify; give --traffic of those that do.");
  }
  if (forecast.history && forecast.arrivals && forecast.arrivals->by_day.size() < 7 &&
      !forecast.arrivals->by_day.empty()) {
    notes.push_back("Less than a week of history: weekends are not seen, take the days as rough.");
  }
  if (forecast.design_effect != 1) {
    notes.push_back("Variances are multiplied by " + FormatFixed(forecast.design_effect, 2) +
                    ", the design effect of clusters.");
  }
  for (const MetricForecast& metric : forecast.metrics) {
    if (!metric.one_sided || !metric.decision_days || !forecast.decision_days ||
        *metric.decision_days <= *forecast.decision_days) {
      continue;
    }
    notes.push_back("Guardrail " + metric.key + " needs " + Days(*metric.decision_days) +
                    " before its margin can be cleared: nothing ships before that.");
  }
  return notes;
}

}  // namespace

std::string ForecastText(const Forecast& forecast) {
  std::string out = "Plan for " + forecast.experiment;
  if (!forecast.title.empty()) out += ": " + forecast.title;
  out += "\n\n";
  Paragraph(Headline(forecast), &out);
  out += '\n';
  std::vector<Row> rows = {
      {"Metric", "Role", "Baseline", "Covariates", "To show", "Units per arm", "Days", "Maturing"}};
  if (forecast.planned_days && forecast.arrivals) {
    rows.front().push_back("By day " + std::to_string(*forecast.planned_days));
  }
  for (const MetricForecast& metric : forecast.metrics) rows.push_back(MetricRow(forecast, metric));
  Table(rows, &out);
  out += '\n';
  if (forecast.planned_days && forecast.arrivals) {
    Paragraph("By day " + std::to_string(*forecast.planned_days) +
                  ": the smallest change (or margin) that the units mature by then can show.",
              &out);
  }
  std::string arms = "Arms of units of kind " + forecast.unit + ":";
  for (const ForecastArm& arm : forecast.arms) {
    arms += (&arm == &forecast.arms.front() ? " " : ", ") + arm.key + " " + Percent(arm.share);
  }
  Paragraph(arms + ".", &out);
  Paragraph(TrafficText(forecast), &out);
  if (forecast.history) {
    Paragraph("Baselines: " + FormatCount(forecast.history->units) + " units first active " +
                  FormatDate(forecast.history->from_ms) + " to " +
                  FormatDate(forecast.history->to_ms - 1) +
                  ", each over the metric's whole window.",
              &out);
  }
  Paragraph(LevelText(forecast), &out);
  for (const std::string& note : Notes(forecast)) Paragraph(note, &out);
  return out + "Definition " + forecast.definition_hash + "\n";
}

std::string ForecastJson(const Forecast& forecast) {
  const auto number = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
  Json out = {{"experiment", forecast.experiment},
              {"title", forecast.title},
              {"unit", forecast.unit},
              {"definition_hash", forecast.definition_hash},
              {"alpha", forecast.alpha},
              {"alpha_look", forecast.alpha_look},
              {"alpha_final", forecast.alpha_final},
              {"correction", Name(forecast.correction)},
              {"comparisons", forecast.comparisons},
              {"min_lift", forecast.min_lift},
              {"power", forecast.power},
              {"power_stated", forecast.power_stated},
              {"design_effect", forecast.design_effect},
              {"layer_share", forecast.layer_share},
              {"holdout_share", forecast.holdout_share},
              {"audience_share", forecast.audience_share},
              {"audience_unknown", forecast.audience_unknown},
              {"planned_days", number(forecast.planned_days)},
              {"units", number(forecast.units)},
              {"decision_days", number(forecast.decision_days)},
              {"slowest", forecast.slowest},
              {"arrivals", nullptr},
              {"history", nullptr},
              {"arms", Json::array()},
              {"metrics", Json::array()}};
  if (forecast.arrivals) {
    out["arrivals"] = {{"by_day", forecast.arrivals->by_day},
                       {"per_day_after", forecast.arrivals->per_day_after},
                       {"from_history", forecast.arrivals->from_history}};
  }
  if (forecast.history) {
    out["history"] = {{"from_ms", forecast.history->from_ms},
                      {"to_ms", forecast.history->to_ms},
                      {"units", forecast.history->units}};
  }
  for (const ForecastArm& arm : forecast.arms) {
    out["arms"].push_back({{"key", arm.key}, {"share", arm.share}});
  }
  for (const MetricForecast& metric : forecast.metrics) {
    Json row = {{"key", metric.key},
                {"title", metric.title},
                {"role", Name(metric.role)},
                {"kind", Name(metric.kind)},
                {"direction", Name(metric.direction)},
                {"status", Name(metric.status)},
                {"baseline", nullptr},
                {"alpha", metric.alpha},
                {"one_sided", metric.one_sided},
                {"maturity_ms", metric.maturity_ms},
                {"target", number(metric.target)},
                {"arm_units", metric.arm_units},
                {"units", metric.arm_units.empty() ? Json(nullptr) : Json(metric.units)},
                {"collect_days", number(metric.collect_days)},
                {"decision_days", number(metric.decision_days)},
                {"planned_units", number(metric.planned_units)},
                {"detectable", number(metric.detectable)},
                {"detectable_abs", number(metric.detectable_abs)}};
    if (metric.baseline) {
      row["baseline"] = {{"mean", metric.baseline->mean},
                         {"variance", metric.baseline->variance},
                         {"variance_reduction", metric.baseline->variance_reduction},
                         {"units", metric.baseline->units}};
    }
    out["metrics"].push_back(std::move(row));
  }
  return out.dump(2) + "\n";
}

}  // namespace fulcrum::report
