// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate_truth.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "base/time.h"

namespace fulcrum::cli {
namespace {

using nlohmann::json;

constexpr const char* kPlantedNames[] = {"nothing", "harm", "mismatch"};

sim::Planted PlantedIn(const TruthFile& file, const std::string& experiment) {
  for (const PlantedExperiment& entry : file.planted) {
    if (entry.experiment == experiment) return entry.planted;
  }
  return sim::Planted::kNothing;
}

void AddLine(const TruthFile& file, const CheckLine& where, std::optional<double> estimate,
             std::optional<double> lower, std::optional<double> upper, CheckResult* result) {
  const sim::TrueEffect* effect =
      file.truth.Find(where.experiment, where.arm, where.metric, where.stage);
  if (effect == nullptr || !estimate || !lower || !upper) return;
  CheckLine line = where;
  line.truth = effect->effect;
  line.estimate = *estimate;
  line.lower = *lower;
  line.upper = *upper;
  line.covered = *lower <= effect->effect && effect->effect <= *upper;
  result->lines.push_back(line);
}

void CheckHarm(const report::Report& report, CheckResult* result) {
  const std::string& key = report.experiment.key;
  const bool worse = std::any_of(
      report.metrics.begin(), report.metrics.end(), [](const report::MetricReport& metric) {
        return metric.role == report::Role::kPrimary &&
               std::any_of(metric.comparisons.begin(), metric.comparisons.end(),
                           [](const report::Comparison& comparison) {
                             return comparison.outcome == report::Outcome::kWorse;
                           });
      });
  if (worse && report.verdict.decision == report::Decision::kStop) {
    result->findings.push_back(key + ": the planted harm is called harmful, and to be stopped");
  } else {
    result->failures.push_back(key + ": harm was planted, and the report does not call it harmful");
  }
}

void CheckMismatch(const report::Report& report, CheckResult* result) {
  const std::string& key = report.experiment.key;
  if (report.health.srm.mismatch && report.verdict.withheld) {
    result->findings.push_back(key +
                               ": the planted sample-ratio mismatch is caught, its verdict "
                               "withheld");
  } else {
    result->failures.push_back(key +
                               ": a sample-ratio mismatch was planted, and the report does "
                               "not withhold its verdict");
  }
}

std::string MetricName(const std::string& metric, const std::string& stage) {
  return stage.empty() ? metric : metric + "/" + stage;
}

}  // namespace

bool CheckResult::ok() const {
  return failures.empty() && !lines.empty() &&
         std::all_of(lines.begin(), lines.end(), [](const CheckLine& l) { return l.covered; });
}

std::string TruthToJson(const TruthFile& file) {
  json out = {{"seed", file.seed}, {"users", file.users}, {"as_of_ms", file.as_of_ms}};
  json& planted = out["planted"] = json::object();
  for (const auto& entry : file.planted) {
    planted[entry.experiment] = kPlantedNames[static_cast<int>(entry.planted)];
  }
  json& effects = out["effects"] = json::array();
  for (const auto& effect : file.truth.effects) {
    effects.push_back({{"experiment", effect.experiment},
                       {"variant", effect.variant},
                       {"control", effect.control},
                       {"metric", effect.metric},
                       {"stage", effect.stage},
                       {"units", effect.units},
                       {"control_value", effect.control_value},
                       {"variant_value", effect.variant_value},
                       {"effect", effect.effect},
                       {"lift", effect.lift},
                       {"standard_error", effect.standard_error}});
  }
  json& arms = out["arms"] = json::array();
  for (const auto& arm : file.truth.arms) {
    arms.push_back({{"experiment", arm.experiment},
                    {"variant", arm.variant},
                    {"units", arm.units},
                    {"exposures", arm.exposures}});
  }
  return out.dump(2) + "\n";
}

absl::StatusOr<TruthFile> TruthFromJson(std::string_view text) {
  TruthFile file;
  // The library reports a missing or mistyped field by an exception that names it.
  try {
    const json in = json::parse(text);
    in.at("seed").get_to(file.seed);
    in.at("users").get_to(file.users);
    in.at("as_of_ms").get_to(file.as_of_ms);
    for (const auto& [experiment, name] : in.at("planted").items()) {
      const auto* found =
          std::find(std::begin(kPlantedNames), std::end(kPlantedNames), name.get<std::string>());
      if (found == std::end(kPlantedNames)) {
        return InvalidArgument("the truth file's `planted` of " + experiment + " is not known");
      }
      file.planted.push_back(
          {experiment, static_cast<sim::Planted>(found - std::begin(kPlantedNames))});
    }
    for (const json& item : in.at("effects")) {
      sim::TrueEffect& effect = file.truth.effects.emplace_back();
      item.at("experiment").get_to(effect.experiment);
      item.at("variant").get_to(effect.variant);
      item.at("control").get_to(effect.control);
      item.at("metric").get_to(effect.metric);
      item.at("stage").get_to(effect.stage);
      item.at("units").get_to(effect.units);
      item.at("control_value").get_to(effect.control_value);
      item.at("variant_value").get_to(effect.variant_value);
      item.at("effect").get_to(effect.effect);
      item.at("lift").get_to(effect.lift);
      item.at("standard_error").get_to(effect.standard_error);
    }
    for (const json& item : in.at("arms")) {
      sim::ArmCount& arm = file.truth.arms.emplace_back();
      item.at("experiment").get_to(arm.experiment);
      item.at("variant").get_to(arm.variant);
      item.at("units").get_to(arm.units);
      item.at("exposures").get_to(arm.exposures);
    }
  } catch (const json::exception& error) {
    return InvalidArgument(absl::StrCat("the truth file cannot be read: ", error.what()));
  }
  return file;
}

std::string TruthTable(const TruthFile& file) {
  std::string out = absl::StrFormat("True effects at %s (seed %d, %d users)\n\n",
                                    FormatRfc3339(file.as_of_ms), file.seed, file.users);
  absl::StrAppendFormat(&out, "%-24s %-18s %-28s %9s %14s %14s %9s\n", "experiment", "arm",
                        "metric", "units", "control", "arm", "lift");
  for (const auto& effect : file.truth.effects) {
    absl::StrAppendFormat(&out, "%-24s %-18s %-28s %9d %14.6g %14.6g %8.2f%%\n", effect.experiment,
                          effect.variant, MetricName(effect.metric, effect.stage), effect.units,
                          effect.control_value, effect.variant_value, 100 * effect.lift);
  }
  return out;
}

void CheckReport(const TruthFile& file, const report::Report& report, CheckResult* result) {
  const std::string& key = report.experiment.key;
  const sim::Planted planted = PlantedIn(file, key);
  if (planted == sim::Planted::kMismatch) return CheckMismatch(report, result);
  if (planted == sim::Planted::kHarm) CheckHarm(report, result);
  if (report.verdict.withheld) {
    result->failures.push_back(key + ": the verdict is withheld, and nothing was planted to do so");
  }
  for (const auto& metric : report.metrics) {
    for (const auto& comparison : metric.comparisons) {
      AddLine(file, {key, metric.key, "", comparison.arm}, comparison.estimate, comparison.sim_lo,
              comparison.sim_hi, result);
    }
  }
  for (const auto& funnel : report.funnels) {
    for (const auto& stage : funnel.stages) {
      for (const auto& comparison : stage.comparisons) {
        AddLine(file, {key, funnel.key, stage.key, comparison.arm}, comparison.diff, comparison.lo,
                comparison.hi, result);
      }
    }
  }
}

std::string CheckTable(const CheckResult& result) {
  std::string out =
      absl::StrFormat("%-24s %-18s %-28s %12s %12s   %-27s %s\n", "experiment", "arm", "metric",
                      "true effect", "estimate", "simultaneous interval", "covers");
  int covered = 0;
  for (const CheckLine& line : result.lines) {
    absl::StrAppendFormat(&out, "%-24s %-18s %-28s %12.5g %12.5g   [%12.5g, %12.5g] %s\n",
                          line.experiment, line.arm, MetricName(line.metric, line.stage),
                          line.truth, line.estimate, line.lower, line.upper,
                          line.covered ? "yes" : "NO");
    covered += line.covered ? 1 : 0;
  }
  absl::StrAppendFormat(&out, "\n%d of %d intervals cover the true effect.\n", covered,
                        result.lines.size());
  for (const auto& finding : result.findings) absl::StrAppend(&out, finding, ".\n");
  for (const auto& failure : result.failures) absl::StrAppend(&out, "FAILED: ", failure, ".\n");
  return out;
}

}  // namespace fulcrum::cli
