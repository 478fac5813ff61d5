// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/text.h"
#include "core/validate.h"
#include "experiments/validate_context.h"

namespace fulcrum::experiments {
namespace {

// Weights become whole millionths, whose sum times a million core::WeightsToPpm holds in 64 bits.
constexpr double kMaxWeightSum = 1e7;

std::vector<std::string> VariantKeys(const ExperimentDefinition& experiment) {
  std::vector<std::string> keys;
  for (const VariantDefinition& variant : experiment.variants) keys.push_back(variant.key);
  return keys;
}

bool HasVariant(const ExperimentDefinition& experiment, const std::string& key) {
  return std::any_of(experiment.variants.begin(), experiment.variants.end(),
                     [&](const VariantDefinition& variant) { return variant.key == key; });
}

void CheckWeight(const Checker& checker, const ExperimentDefinition& experiment,
                 const VariantDefinition& variant) {
  const Position& at = At(experiment.fields, "variants." + variant.key + ".weight", variant.pos);
  const std::string what = "`weight` of variant `" + variant.key + "`";
  if (!std::isfinite(variant.weight) || variant.weight < 0) {
    checker.Error(at, what + " is negative: write 0 for no traffic, or more");
  } else if (variant.weight > kMaxWeightSum) {
    checker.Error(at, what + " is above 10000000: any unit that sums will do, use a smaller one");
  } else if (const double scaled = variant.weight * 1e6;
             std::abs(scaled - std::round(scaled)) > 1e-6 * std::max(1.0, scaled * 1e-9)) {
    checker.Error(at, what + " has more than six decimals: round it");
  }
}

void CheckVariants(const Checker& checker, const ExperimentDefinition& experiment) {
  if (experiment.variants.empty()) return;  // Reported where `variants` was read.
  const Position& at = At(experiment.fields, "variants", experiment.pos);
  double sum = 0;
  int controls = 0, positive = 0;
  for (const VariantDefinition& variant : experiment.variants) {
    if (!checker.is_analyze() && !IsKey(variant.key)) {
      checker.Error(variant.pos, "variant `" + variant.key +
                                     "` must be 1 to 200 letters, digits, "
                                     "`.`, `_` or `-`: rename it (a `title` may be any text)");
    }
    CheckWeight(checker, experiment, variant);
    // One that is too large by itself is reported by itself.
    if (variant.weight > 0 && variant.weight <= kMaxWeightSum) sum += variant.weight;
    positive += variant.weight > 0 ? 1 : 0;
    controls += variant.control ? 1 : 0;
    if (variant.control && controls == 2) {
      checker.Error(At(experiment.fields, "variants." + variant.key + ".control", variant.pos),
                    "variant `" + variant.key +
                        "` is a second control: keep `control: true` on "
                        "one, the one the others are compared with");
    }
  }
  for (const VariantDefinition& variant : experiment.variants) {
    if (sum > 0 && variant.control && variant.weight == 0) {
      checker.Error(At(experiment.fields, "variants." + variant.key + ".weight", variant.pos),
                    "the control has weight 0, so nothing could be compared with it: give it "
                    "traffic");
    }
  }
  if (positive == 0) {
    checker.Error(at, "the weights of the variants sum to 0: give at least one a weight above 0");
  }
  if (sum > kMaxWeightSum && positive > 1) {
    checker.Error(at,
                  "the weights of the variants sum to more than 10000000: any unit that sums "
                  "will do, use a smaller one");
  }
  if (controls == 0 && experiment.variants.size() > 1) {
    checker.Error(at,
                  "no variant is the control: write `control: true` on the one the others are "
                  "compared with");
  }
  if (experiment.variants.size() > core::kMaxVariants) {
    checker.Error(at, "more than " + std::to_string(core::kMaxVariants) + " variants: merge some");
  }
}

void CheckMetricUses(const Checker& checker, const ExperimentDefinition& experiment) {
  std::vector<std::string> keys;
  for (const MetricDefinition& metric : checker.project().metrics) keys.push_back(metric.key);
  const auto check = [&](const std::vector<MetricUse>& uses, const char* list) {
    for (const MetricUse& use : uses) {
      const MetricDefinition* metric = checker.definitions().FindMetric(use.metric);
      if (metric == nullptr) {
        if (checker.read().all_metrics) checker.Unknown(use.pos, "metric", use.metric, keys);
      } else if (metric->kind == MetricKind::kFunnel) {
        checker.Error(use.pos, "`" + use.metric + "` is a funnel, several numbers, and cannot be " +
                                   "in `" + list + "`: name it in `funnel`");
      }
    }
  };
  check(experiment.primary, "primary");
  check(experiment.secondary, "secondary");
  check(experiment.guardrails, "guardrails");
  for (const MetricUse& use : experiment.guardrails) {
    if (use.margin && !(*use.margin > 0 && *use.margin < 1) && use.pos.line == 0) {
      checker.Error(use.pos, "`margin` of guardrail `" + use.metric + "` must be in (0, 1)");
    }
  }
  for (const MetricUse& use : experiment.secondary) {
    for (const MetricUse& primary : experiment.primary) {
      if (primary.metric != use.metric) continue;
      checker.Error(use.pos, "metric `" + use.metric +
                                 "` is primary and secondary: keep one, or "
                                 "it would be tested twice");
    }
  }
  if (experiment.primary.empty() && experiment.status != ExperimentStatus::kDraft) {
    checker.Warn(experiment.pos, "experiment `" + experiment.key +
                                     "` has no `primary` metric, so "
                                     "its report can give no verdict");
  }
  if (experiment.funnel.empty()) return;
  const Position& at = At(experiment.fields, "funnel", experiment.pos);
  const MetricDefinition* funnel = checker.definitions().FindMetric(experiment.funnel);
  if (funnel == nullptr) {
    if (checker.read().all_metrics) checker.Unknown(at, "metric", experiment.funnel, keys);
  } else if (funnel->kind != MetricKind::kFunnel) {
    checker.Error(at, "`" + experiment.funnel + "` is not of kind `funnel`: name one that is");
  }
}

void CheckEconomics(const Checker& checker, const ExperimentDefinition& experiment) {
  if (!experiment.economics) return;
  std::vector<std::string> keys;
  for (const MetricDefinition& metric : checker.project().metrics) keys.push_back(metric.key);
  const auto check = [&](const std::string& field, const std::string& key, bool money) {
    const Position& at = At(experiment.fields, "economics." + field, experiment.pos);
    const MetricDefinition* metric = checker.definitions().FindMetric(key);
    if (metric == nullptr) {
      if (checker.read().all_metrics) checker.Unknown(at, "metric", key, keys);
      return;
    }
    const bool sum = metric->kind == MetricKind::kMean || metric->kind == MetricKind::kCount;
    if (sum || (!money && metric->kind == MetricKind::kProportion)) return;
    checker.Error(at, "`" + field +
                          "` of `economics` is added up over units: name a metric of kind " +
                          (money ? "`mean` or `count`" : "`count`, `mean` or `proportion`"));
  };
  check("profit", experiment.economics->profit, true);
  check("cost", experiment.economics->cost, true);
  check("orders", experiment.economics->orders, false);
}

void CheckOverlaps(const Checker& checker, const ExperimentDefinition& experiment) {
  for (const std::string& key : experiment.analysis.overlaps) {
    const Position& at = At(experiment.fields, "analysis.overlaps", experiment.pos);
    const ExperimentDefinition* other = checker.definitions().FindExperiment(key);
    if (other == nullptr) {
      std::vector<std::string> keys;
      for (const auto& each : checker.definitions().experiments) keys.push_back(each.key);
      checker.Unknown(at, "experiment", key, keys);
    } else if (other->key == experiment.key) {
      checker.Error(at, "`" + key + "` cannot overlap with itself: name another experiment");
    } else if (other->unit != experiment.unit) {
      checker.Error(at, "`" + key + "` has units of `" + other->unit + "`, this experiment of `" +
                            experiment.unit + "`: only experiments of one unit can be crossed");
    }
  }
}

void CheckAttributeRef(const Checker& checker, const ExperimentDefinition& experiment,
                       const std::string& field, const std::string& key) {
  if (key.empty() || checker.FindAttribute(key) != nullptr) return;
  // On rows of a file, attributes are columns, which need no declaration.
  if (checker.is_analyze() && checker.project().attributes.empty()) return;
  checker.Unknown(At(experiment.fields, field, experiment.pos), "attribute", key,
                  checker.AttributeKeys());
}

// An attribute whose value is the unit: text or whole numbers, never a float.
void CheckUnitAttribute(const Checker& checker, const ExperimentDefinition& experiment,
                        const std::string& field, const std::string& key) {
  CheckAttributeRef(checker, experiment, field, key);
  const AttributeDecl* declared = checker.FindAttribute(key);
  if (declared != nullptr && declared->type == AttributeType::kFloat) {
    checker.Error(At(experiment.fields, field, experiment.pos),
                  "`" + key + "` is a float and cannot name units: declare it string or int");
  }
}

void CheckChannels(const Checker& checker, const ExperimentDefinition& experiment) {
  const AnalysisDefinition& analysis = experiment.analysis;
  if (analysis.channel_metric.empty()) return;
  const Position& at = At(experiment.fields, "analysis.channels.metric", experiment.pos);
  CheckAttributeRef(checker, experiment, "analysis.channels.attribute", analysis.channel_attribute);
  const MetricDefinition* metric = checker.definitions().FindMetric(analysis.channel_metric);
  if (metric == nullptr) {
    std::vector<std::string> keys;
    for (const MetricDefinition& one : checker.project().metrics) keys.push_back(one.key);
    if (checker.read().all_metrics) checker.Unknown(at, "metric", analysis.channel_metric, keys);
  } else if (metric->kind != MetricKind::kMean) {
    checker.Error(at, "`" + analysis.channel_metric +
                          "` is not of kind `mean`: a margin is money per unit less its cost");
  }
  if (checker.project().channels.empty()) {
    checker.Error(At(experiment.fields, "analysis.channels", experiment.pos),
                  "the project declares no `channels`: say each one's line and cost there");
  }
}

void CheckAnalysis(const Checker& checker, const ExperimentDefinition& experiment) {
  const AnalysisDefinition& analysis = experiment.analysis;
  const auto in_range = [&](const char* field, bool ok, const std::string& must) {
    if (ok) return;
    checker.Error(At(experiment.fields, field, experiment.pos),
                  "`" + std::string(field) + "` must be " + must);
  };
  in_range("analysis.alpha", analysis.alpha > 0 && analysis.alpha <= 0.5,
           "above 0 and at most 0.5, such as 0.05");
  in_range("analysis.srm_alpha", analysis.srm_alpha > 0 && analysis.srm_alpha <= 0.1,
           "above 0 and at most 0.1, such as 0.001");
  in_range(
      "analysis.alpha_look",
      analysis.alpha <= 0 || (analysis.alpha_look >= 0 && analysis.alpha_look < analysis.alpha),
      "at least 0 and below `alpha`, of which it is a part");
  for (const std::vector<std::string>& dimension : analysis.dimensions) {
    for (const std::string& attribute : dimension) {
      CheckAttributeRef(checker, experiment, "analysis.dimensions." + attribute, attribute);
    }
  }
  CheckChannels(checker, experiment);
  const DecisionRule& decision = experiment.decision;
  in_range("decision.min_lift", decision.min_lift >= 0 && decision.min_lift < 10,
           "at least 0 and below 10 (1000%)");
  in_range("decision.power", !decision.power || (*decision.power > 0 && *decision.power < 1),
           "between 0 and 1, such as 0.8");
  if (decision.power && decision.min_lift == 0) {
    checker.Error(At(experiment.fields, "decision.power", experiment.pos),
                  "`power` is the chance of seeing `min_lift`: give `decision` a `min_lift` too");
  }
}

void CheckOverrides(const Checker& checker, const ExperimentDefinition& experiment) {
  std::map<std::string, std::string> given;
  for (const Override& one : experiment.overrides) {
    if (!one.variant.empty() && !HasVariant(experiment, one.variant)) {
      checker.Unknown(one.pos, "variant", one.variant, VariantKeys(experiment));
    }
    if (one.when) checker.CheckCondition(*one.when, "an override of `" + experiment.key + "`");
    for (const std::string& unit : one.units) {
      const auto [other, is_new] = given.emplace(unit, one.variant);
      if (!is_new) {
        checker.Error(one.pos, "unit `" + unit + "` is overridden twice, to `" + other->second +
                                   "` and `" + one.variant + "`: keep one");
      }
    }
  }
}

void CheckSwitchback(const Checker& checker, const ExperimentDefinition& experiment) {
  if (!experiment.switchback) return;
  const Switchback& rule = *experiment.switchback;
  if (rule.block_ms <= 0) {
    checker.Error(At(experiment.fields, "switchback.block", experiment.pos),
                  "`block` of `switchback` must be above 0, such as 4h");
  } else if (rule.washout_ms < 0 || rule.washout_ms >= rule.block_ms) {
    checker.Error(At(experiment.fields, "switchback.washout", experiment.pos),
                  "`washout` must be shorter than `block`, or nothing would be analysed");
  }
  CheckUnitAttribute(checker, experiment, "switchback.region", rule.region_attribute);
  const Position& at = At(experiment.fields, "switchback", experiment.pos);
  if (!experiment.start_ms) {
    checker.Error(at, "`switchback` counts its blocks from the start: give `schedule` a `start`");
  }
  if (experiment.sticky) {
    checker.Error(at, "`switchback` changes variant by block and `sticky` keeps it: remove one");
  }
  if (!experiment.cluster.empty()) {
    checker.Error(at, "`switchback` takes its units from `region`: remove `cluster`");
  }
  if (!experiment.layer.empty() || experiment.hash != HashAlgorithm::kXxh3) {
    checker.Error(at,
                  "a `switchback` draws blocks of time, which no `layer` and no growthbook-v2 "
                  "hash can do: remove them");
  }
}

void CheckData(const Checker& checker, const ExperimentDefinition& experiment) {
  if (!experiment.data) return;
  for (const auto& [value, variant] : experiment.data->arms) {
    if (!HasVariant(experiment, variant)) {
      checker.Unknown(At(experiment.fields, "data.arms." + value, experiment.data->pos), "variant",
                      variant, VariantKeys(experiment));
    }
  }
}

}  // namespace

void Checker::CheckExperiment(const ExperimentDefinition& experiment) const {
  if (!experiment.unit.empty() && !project().units.empty() && !HasUnit(experiment.unit)) {
    std::vector<std::string> keys;
    for (const UnitKind& unit : project().units) keys.push_back(unit.key);
    Unknown(At(experiment.fields, "unit", experiment.pos), "unit", experiment.unit, keys);
  }
  CheckCurrency(At(experiment.fields, "currency", experiment.pos), experiment.currency);
  CheckUnitAttribute(*this, experiment, "cluster", experiment.cluster);
  if (!experiment.cluster.empty() && !experiment.layer.empty()) {
    Error(At(experiment.fields, "cluster", experiment.pos),
          "a layer excludes units and not clusters: remove `cluster` or `layer`");
  }
  CheckVariants(*this, experiment);
  if (experiment.audience) {
    CheckCondition(*experiment.audience, "the audience of `" + experiment.key + "`");
  }
  CheckOverrides(*this, experiment);
  CheckSwitchback(*this, experiment);
  if (!experiment.enrol_event.empty()) {
    CheckEventName(At(experiment.fields, "enrol.event", experiment.pos), experiment.enrol_event);
  }
  CheckMetricUses(*this, experiment);
  CheckEconomics(*this, experiment);
  CheckOverlaps(*this, experiment);
  CheckAnalysis(*this, experiment);
  CheckData(*this, experiment);
}

}  // namespace fulcrum::experiments
