// SPDX-License-Identifier: Apache-2.0
#include "experiments/estimand.h"

#include <string>
#include <vector>

#include "base/text.h"
#include "base/time.h"
#include "experiments/widen.h"

namespace fulcrum::experiments {
namespace {

std::string Ticked(const std::string& text) { return "`" + text + "`"; }

std::string Join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

const char* FilterSign(FilterOp op) {
  switch (op) {
    case FilterOp::kEq:
      return " = ";
    case FilterOp::kNe:
      return " != ";
    case FilterOp::kIn:
      return " in ";
    case FilterOp::kNotIn:
      return " not in ";
    case FilterOp::kLt:
      return " < ";
    case FilterOp::kLe:
      return " <= ";
    case FilterOp::kGt:
      return " > ";
    case FilterOp::kGe:
      return " >= ";
    case FilterOp::kPresent:
      return " present";
    case FilterOp::kAbsent:
      return " absent";
  }
  return "";
}

std::string FilterText(const std::vector<PropertyFilter>& filters) {
  std::vector<std::string> parts;
  for (const PropertyFilter& filter : filters) {
    std::vector<std::string> values;
    for (const Scalar& value : filter.values) values.push_back(ScalarText(value));
    const bool is_list = filter.op == FilterOp::kIn || filter.op == FilterOp::kNotIn;
    const std::string list = Join(values, ", ");
    parts.push_back(filter.property + FilterSign(filter.op) + (is_list ? "[" + list + "]" : list));
  }
  return parts.empty() ? "" : " where " + Join(parts, " and ");
}

const char* IdOf(CountedPer per) {
  return per == CountedPer::kSession ? "`session_id`" : "`order_id`";
}

// "`pay`.value + -1 x `refund`.value", "number of `order`", "different `order_id` of `pay`".
std::string TermsText(const std::vector<Term>& terms) {
  std::vector<std::string> parts;
  for (const Term& term : terms) {
    std::string part;
    if (term.coefficient != 1) part = FormatDouble(term.coefficient) + " x ";
    if (term.per != CountedPer::kUnit) {
      part += std::string("different ") + IdOf(term.per) + " of " + Ticked(term.event);
    } else {
      part += term.property.empty() ? "number of " + Ticked(term.event)
                                    : Ticked(term.event) + "." + term.property;
    }
    parts.push_back(part + FilterText(term.filters));
  }
  return Join(parts, " + ");
}

std::string EventsText(const MetricDefinition& metric) {
  std::vector<std::string> parts;
  for (const Term& term : metric.terms) {
    parts.push_back(Ticked(term.event) + (term.property.empty() ? "" : "." + term.property) +
                    FilterText(term.filters));
  }
  return Join(parts, " or ");
}

std::string Clock(const ExperimentDefinition& experiment) {
  switch (experiment.enrol) {
    case EnrolKind::kExposure:
      return "first exposure";
    case EnrolKind::kEvent:
      return "the first " + Ticked(experiment.enrol_event) + " after exposure";
    case EnrolKind::kEligibility:
      return "first eligibility";
  }
  return "first exposure";
}

// What of a unit is measured, without the window.
std::string Quantity(const Project& project, const MetricDefinition& metric,
                     const std::string& units) {
  const bool is_column = !metric.column.empty();
  switch (metric.kind) {
    case MetricKind::kProportion:
      if (is_column) return "share of " + units + " with " + Ticked(metric.column) + " true";
      if (metric.among) {
        return std::string("share of different ") + IdOf(metric.per) + " with " +
               Ticked(metric.among->event) + FilterText(metric.among->filters) + " that have " +
               EventsText(metric) +
               (metric.within_ms > 0 ? " within " + FormatDuration(metric.within_ms) + " of it"
                                     : "") +
               ", over all " + units + ", of those that begin";
      }
      if (metric.terms.size() == 1 && metric.terms[0].property.empty()) {
        return "share of " + units + " with at least " + FormatDouble(metric.at_least) + " " +
               EventsText(metric);
      }
      return "share of " + units + " with " + TermsText(metric.terms) + " of at least " +
             FormatDouble(metric.at_least);
    case MetricKind::kCount:
    case MetricKind::kMean:
      if (metric.per != CountedPer::kUnit) {
        return "mean per unit, over all " + units + ", of the number of different " +
               IdOf(metric.per) + " with " + EventsText(metric);
      }
      return "mean per unit, over all " + units + ", of " +
             (is_column ? Ticked(metric.column) : TermsText(metric.terms));
    case MetricKind::kRatio:
      if (is_column) {
        return "sum of " + Ticked(metric.column) + " / sum of " +
               Ticked(metric.denominator_column) + " over all " + units;
      }
      return "sum of (" + TermsText(metric.terms) + ") / sum of (" + TermsText(metric.denominator) +
             ") over all " + units;
    case MetricKind::kQuantile: {
      const std::string q = FormatDouble(metric.quantile) + " quantile of ";
      if (is_column) return q + Ticked(metric.column) + " over all " + units;
      return metric.quantile_of_events
                 ? q + EventsText(metric) + " over single events of all " + units
                 : q + TermsText(metric.terms) + " per unit, over all " + units;
    }
    case MetricKind::kFunnel: {
      std::vector<std::string> stages;
      for (const std::string& key : metric.funnel_stages) {
        std::string text = key;
        for (const Stage& stage : project.stages) {
          if (stage.key == key && stage.optional) text += " (optional)";
        }
        stages.push_back(text);
      }
      if (metric.per != CountedPer::kUnit) {
        return std::string("share of different ") + IdOf(metric.per) + " at " + stages.front() +
               " that reach each of " + Join(stages, " > ") + ", each at or after the one before" +
               (metric.within_ms > 0
                    ? " and within " + FormatDuration(metric.within_ms) + " of the first"
                    : "") +
               ", over all " + units + ", of those that begin";
      }
      return "share of all " + units + " reaching each of " + Join(stages, " > ") +
             ", each at or after the one before";
    }
    case MetricKind::kTimeTo:
      return (metric.per == CountedPer::kUnit
                  ? std::string()
                  : std::string("for every different ") + IdOf(metric.per) + " of all " + units +
                        ", compared by them, ") +
             "time from " +
             (metric.from_stage.empty() ? std::string("the start of the clock")
                                        : "stage " + Ticked(metric.from_stage)) +
             " to stage " + Ticked(metric.to_stage) + ", restricted mean to " +
             FormatDuration(metric.horizon_ms) + ", those who never arrive counted as censored";
    case MetricKind::kRetention:
      if (metric.after) {
        return "share of all " + units + " with " + EventsText(metric) + " in [" +
               FormatDuration(metric.retention_from_ms) + ", " +
               FormatDuration(metric.retention_to_ms) + ") after their first " +
               Ticked(metric.after->event) + FilterText(metric.after->filters);
      }
      return "share of " + units + " with " + EventsText(metric) + " in [" +
             FormatDuration(metric.retention_from_ms) + ", " +
             FormatDuration(metric.retention_to_ms) + ")" +
             (metric.calendar_days ? " by calendar days in " + project.timezone : "");
  }
  return "";
}

std::string WindowText(const MetricDefinition& metric, const std::string& clock) {
  if (metric.kind == MetricKind::kTimeTo) return ", the clock starting at " + clock;
  if (metric.kind == MetricKind::kRetention && !metric.after) return " after " + clock;
  const Window& window = metric.window;
  if (window.end_ms && window.start_ms == 0) {
    return " within " + FormatDuration(*window.end_ms) + " of " + clock;
  }
  if (window.end_ms) {
    return " in [" + FormatDuration(window.start_ms) + ", " + FormatDuration(*window.end_ms) +
           ") after " + clock;
  }
  return " from " + clock + " until the analysis";
}

std::string Dates(const ExperimentDefinition& experiment) {
  if (!experiment.start_ms && !experiment.end_ms) return "";
  std::string out = "exposed";
  if (experiment.start_ms) out += " from " + FormatRfc3339(*experiment.start_ms);
  if (experiment.end_ms) out += " until " + FormatRfc3339(*experiment.end_ms);
  return out;
}

// When a unit begins to count; "" where there is nothing to wait for.
std::string MaturityText(const MetricDefinition& metric) {
  int64_t wait_ms = metric.window.end_ms.value_or(0);
  if (metric.kind == MetricKind::kRetention) {
    wait_ms = metric.retention_to_ms + (metric.after ? metric.window.end_ms.value_or(0) : 0);
  }
  if (wait_ms > 0) wait_ms += metric.within_ms;
  if (metric.kind == MetricKind::kTimeTo || wait_ms == 0) return "";
  if (metric.maturity == Maturity::kCount) return "units count before their window has passed";
  return "a unit counts once its " + FormatDuration(wait_ms) + " have passed";
}

std::string BlockText(const Switchback& rule) {
  std::string out = "randomised and compared by blocks of " + FormatDuration(rule.block_ms);
  if (!rule.region_attribute.empty()) out += " for each " + Ticked(rule.region_attribute);
  out += ", a unit in that of its first exposure";
  if (rule.washout_ms > 0) {
    out += ", exposures in a block's first " + FormatDuration(rule.washout_ms) + " left out";
  }
  return out;
}

std::string CapText(const MetricDefinition& metric) {
  if (!metric.cap) return "";
  if (metric.cap->value) return "values capped at " + FormatDouble(*metric.cap->value);
  if (!metric.cap->quantile) return "";
  const Cap& cap = *metric.cap;
  std::string out = "values capped at the " + FormatDouble(*cap.quantile) + " quantile of " +
                    (cap.include_zeros ? "all" : "non-zero") + " values ";
  out += cap.before_ms > 0 ? "of the " + FormatDuration(cap.before_ms) + " before the clock"
                           : std::string("of all arms");
  if (cap.first_units > 0) {
    return out + ", of the first " + std::to_string(cap.first_units) + " units";
  }
  if (cap.before_ms > 0) return out;
  return out + ", which moves as units come, so that it is read at the planned end only";
}

}  // namespace

std::string Estimand(const Project& project, const MetricDefinition& metric,
                     const ExperimentDefinition& experiment) {
  std::string units =
      experiment.unit.empty() ? std::string("units") : "units of " + Ticked(experiment.unit);
  const bool is_unit_rows = experiment.data && !experiment.data->per_event;

  std::string out = Quantity(project, metric, is_unit_rows ? "rows" : units);
  if (!is_unit_rows) out += WindowText(metric, Clock(experiment));
  std::vector<std::string> parts;
  parts.push_back(is_unit_rows ? "by the variant in column " + Ticked(experiment.data->arm_column)
                               : std::string("by the variant first shown"));
  for (std::string part :
       {Dates(experiment), is_unit_rows ? "" : MaturityText(metric), CapText(metric)}) {
    if (!part.empty()) parts.push_back(std::move(part));
  }
  if (!experiment.cluster.empty()) {
    parts.push_back("randomised and compared by cluster of " + Ticked(experiment.cluster));
  }
  if (experiment.switchback) parts.push_back(BlockText(*experiment.switchback));
  if (!project.exclude_attribute.empty()) {
    parts.push_back("units with " + Ticked(project.exclude_attribute) + " excluded");
  }
  if (!experiment.cluster.empty()) {
    parts.push_back("clusters of " + Ticked(experiment.cluster) + " are what is independent");
  }
  if (project.exclude_when) parts.push_back("units excluded by their attributes");
  for (const BurstExclusion& rule : project.exclude_events) {
    if (is_unit_rows) break;
    parts.push_back("units with more than " + std::to_string(rule.more_than) + " " +
                    Ticked(rule.event.event) + FilterText(rule.event.filters) + " in " +
                    FormatDuration(rule.within_ms) + " excluded");
  }
  out += ", " + Join(parts, "; ") + ".";
  out[0] = static_cast<char>(out[0] >= 'a' && out[0] <= 'z' ? out[0] - 'a' + 'A' : out[0]);
  return out;
}

}  // namespace fulcrum::experiments
