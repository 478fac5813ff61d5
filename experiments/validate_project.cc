// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "absl/time/time.h"
#include "base/status.h"
#include "experiments/exclusion.h"
#include "experiments/validate_context.h"

namespace fulcrum::experiments {
namespace {

bool IsCurrencyCode(std::string_view text) {
  return text.size() == 3 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool LooksLikeTimeZone(std::string_view text) {
  return !text.empty() && text.size() < 64 && text.front() != '/' &&
         text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '_' || c == '-' ||
                  c == '+';
         });
}

// A machine without a time zone database knows only UTC; then only the form is checked.
bool IsTimeZone(const std::string& name) {
  absl::TimeZone zone;
  if (!LooksLikeTimeZone(name)) return false;
  if (absl::LoadTimeZone(name, &zone)) return true;
  return !absl::LoadTimeZone("America/New_York", &zone);
}

void CheckUnits(const Checker& checker) {
  const Project& project = checker.project();
  std::vector<std::string> keys;
  std::map<std::string, std::string> links;
  for (const UnitKind& unit : project.units) {
    keys.push_back(unit.key);
    if (!unit.links_to.empty()) links.emplace(unit.key, unit.links_to);
  }
  for (const UnitKind& unit : project.units) {
    if (unit.links_to.empty()) continue;
    if (!checker.HasUnit(unit.links_to)) {
      checker.Unknown(At(project.fields, "units." + unit.key + ".links_to", unit.pos), "unit",
                      unit.links_to, keys);
      continue;
    }
    std::string at = unit.key;
    for (size_t step = 0; step <= project.units.size() && links.count(at) > 0; ++step) {
      at = links[at];
      if (at == unit.key) {
        checker.Error(unit.pos, "unit `" + unit.key +
                                    "` links to itself in the end: an anonymous "
                                    "unit links to a known one, never back");
        break;
      }
    }
  }
}

void CheckEvents(const Checker& checker) {
  std::map<std::string, std::string> owner;
  for (const auto& [canonical, raw] : checker.project().events) {
    for (const std::string& name : raw) {
      const auto [other, is_new] = owner.emplace(name, canonical);
      if (is_new) continue;
      checker.Error(At(checker.project().fields, "events." + canonical, checker.project().pos),
                    "raw event `" + name + "` is mapped to both `" + other->second + "` and `" +
                        canonical + "`: keep one");
    }
  }
}

// The store tests one enrolment attribute for equality, so that is what a stage can say.
bool IsEqualityOnOneAttribute(const Condition& condition) {
  return condition.op == ConditionOp::kEq || condition.op == ConditionOp::kIn;
}

void CheckStages(const Checker& checker) {
  for (const Stage& stage : checker.project().stages) {
    const FieldPositions& fields = checker.project().fields;
    const std::string path = "stages." + stage.key + ".";
    const Position& at = At(fields, path + "event", At(fields, path + "any_of", stage.pos));
    for (const std::string& event : stage.any_of) checker.CheckEventName(at, event);
    if (!stage.satisfied_if) continue;
    const Condition& condition = *stage.satisfied_if;
    const bool was_unreadable = condition.op == ConditionOp::kAll && condition.children.empty();
    if (!was_unreadable && !IsEqualityOnOneAttribute(condition)) {
      checker.Error(condition.pos, "`satisfied_if` of stage `" + stage.key +
                                       "` must be one "
                                       "attribute and its value or values, such as "
                                       "`{registered: true}`");
    }
    checker.CheckCondition(condition, "`satisfied_if` of stage `" + stage.key + "`");
  }
}

void CheckHoldouts(const Checker& checker) {
  const Project& project = checker.project();
  std::vector<std::string> layers, units;
  for (const Layer& layer : project.layers) layers.push_back(layer.key);
  for (const UnitKind& unit : project.units) units.push_back(unit.key);
  for (const Holdout& holdout : project.holdouts) {
    const std::string what = "holdout `" + holdout.key + "`";
    const auto at = [&](const char* field) {
      return At(project.fields, "holdouts." + holdout.key + "." + field, holdout.pos);
    };
    if (!(holdout.percent > 0 && holdout.percent <= 50)) {
      checker.Error(at("percent"), "`percent` of " + what +
                                       " must be above 0 and at most 50, since "
                                       "an equal share is its comparison arm");
    } else if (!IsWholePpm(holdout.percent, holdout.hash)) {
      checker.Error(at("percent"), "`percent` of " + what + " is finer than " +
                                       PpmStepText(holdout.hash) + ": round it");
    }
    if (!holdout.layer.empty() &&
        std::find(layers.begin(), layers.end(), holdout.layer) == layers.end()) {
      checker.Unknown(at("layer"), "layer", holdout.layer, layers);
    }
    if (!holdout.unit.empty() && !checker.HasUnit(holdout.unit)) {
      checker.Unknown(at("unit"), "unit", holdout.unit, units);
    }
  }
}

// A holdout draws its own unit, so experiments by another unit pass it by: said, not hidden.
void CheckHoldoutMembers(const Checker& checker) {
  for (const ExperimentDefinition& experiment : checker.definitions().experiments) {
    const Holdout* missed = nullptr;
    bool is_held_out = false;
    for (const Holdout& holdout : checker.project().holdouts) {
      if (!holdout.layer.empty() && holdout.layer != experiment.layer) continue;
      if (holdout.unit == experiment.unit && !experiment.switchback) is_held_out = true;
      missed = &holdout;
    }
    if (missed == nullptr || is_held_out || !checker.HasUnit(experiment.unit)) continue;
    checker.Warn(experiment.pos,
                 "holdout `" + missed->key + "` (by `" + missed->unit +
                     "`) does not hold out experiment `" + experiment.key + "` (by " +
                     (experiment.switchback ? "blocks of time" : "`" + experiment.unit + "`") +
                     "): add a holdout with that `unit` if it should");
  }
}

void CheckExclusion(const Checker& checker) {
  const Project& project = checker.project();
  for (const BurstExclusion& rule : project.exclude_events) {
    checker.CheckEventName(rule.event.pos, rule.event.event);
  }
  if (!project.exclude_when) return;
  const Condition& when = *project.exclude_when;
  checker.CheckCondition(when, "`when` of `exclude`");
  const bool was_unreadable = when.op == ConditionOp::kAll && when.children.empty();
  std::string why;
  const auto tests = ExclusionTests(when, &why);
  if (tests.empty() && !was_unreadable) {
    checker.Error(when.pos, "`when` of `exclude` " + why);
  }
  for (const auto& all : tests) {
    for (const PropertyFilter& test : all) {
      const AttributeDecl* declared = checker.FindAttribute(test.property);
      if (test.op == FilterOp::kPresent || test.op == FilterOp::kAbsent) continue;
      if (declared == nullptr || declared->type == AttributeType::kString ||
          declared->type == AttributeType::kBool || declared->type == AttributeType::kInt ||
          declared->type == AttributeType::kFloat) {
        continue;
      }
      checker.Error(test.pos, "`when` of `exclude` cannot compare `" + test.property +
                                  "`, a time or version: use text, numbers and bools");
    }
  }
}

}  // namespace

void Checker::CheckProject() const {
  if (!IsTimeZone(project().timezone)) {
    Error(At(project().fields, "timezone", project().pos),
          "unknown `timezone` `" + project().timezone +
              "`: write an IANA name such as Asia/Shanghai, or UTC");
  }
  if (!project().currency.empty() && !IsCurrencyCode(project().currency)) {
    Error(At(project().fields, "currency", project().pos),
          "`currency` must be a three-letter ISO 4217 code such as CNY, not `" +
              project().currency + "`");
  }
  CheckUnits(*this);
  CheckEvents(*this);
  CheckStages(*this);
  CheckHoldouts(*this);
  CheckHoldoutMembers(*this);
  for (const Segment& segment : project().segments) {
    CheckCondition(segment.condition, "segment `" + segment.key + "`");
  }
  CheckExclusion(*this);
  if (!project().exclude_attribute.empty()) {
    const Position& at = At(project().fields, "exclude_attribute", project().pos);
    const AttributeDecl* declared = FindAttribute(project().exclude_attribute);
    if (declared == nullptr) {
      Unknown(at, "attribute", project().exclude_attribute, AttributeKeys());
    } else if (declared->type != AttributeType::kBool) {
      Error(at, "`exclude_attribute` must be a bool: declare `" + declared->key +
                    "` with `type: bool`, true for units to leave out");
    }
  }
}

void Checker::CheckSalts() const {
  // Two draws with one salt are the same draw: assignments would be correlated.
  std::map<std::string, std::string> owner;
  const auto add = [&](const std::string& salt, std::string what, const Position& at) {
    if (salt.empty()) return;
    const auto [other, is_new] = owner.emplace(salt, std::move(what));
    if (is_new) return;
    Error(at, "salt `" + salt + "` is already used by " + other->second +
                  ", which would make the two assignments depend on each other: write another");
  };
  for (const Layer& layer : project().layers) {
    add(layer.salt, "layer `" + layer.key + "`",
        At(project().fields, "layers." + layer.key + ".salt", layer.pos));
  }
  for (const Holdout& holdout : project().holdouts) {
    add(holdout.salt, "holdout `" + holdout.key + "`",
        At(project().fields, "holdouts." + holdout.key + ".salt", holdout.pos));
  }
  for (const ExperimentDefinition& experiment : definitions().experiments) {
    add(experiment.salt, "experiment `" + experiment.key + "`",
        At(experiment.fields, "salt", experiment.pos));
  }
}

}  // namespace fulcrum::experiments
