// SPDX-License-Identifier: Apache-2.0
#include "experiments/diff_same.h"

#include <algorithm>
#include <tuple>

#include "base/text.h"
#include "experiments/widen.h"

namespace fulcrum::experiments {
namespace {

bool SameFilters(const std::vector<PropertyFilter>& a, const std::vector<PropertyFilter>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const PropertyFilter& x, const PropertyFilter& y) {
        return std::tie(x.property, x.op, x.values) == std::tie(y.property, y.op, y.values);
      });
}

bool SameTerms(const std::vector<Term>& a, const std::vector<Term>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Term& x, const Term& y) {
    return std::tie(x.coefficient, x.event, x.property, x.per) ==
               std::tie(y.coefficient, y.event, y.property, y.per) &&
           SameFilters(x.filters, y.filters);
  });
}

bool SameCap(const std::optional<Cap>& a, const std::optional<Cap>& b) {
  if (a.has_value() != b.has_value()) return false;
  const auto plain = [](const Cap& cap) {
    return std::tie(cap.value, cap.quantile, cap.include_zeros, cap.before_ms, cap.first_units);
  };
  return !a || plain(*a) == plain(*b);
}

bool SameTerm(const std::optional<Term>& a, const std::optional<Term>& b) {
  if (a.has_value() != b.has_value()) return false;
  return !a || SameTerms({*a}, {*b});
}

bool SameSlices(const std::vector<MetricSlice>& a, const std::vector<MetricSlice>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const MetricSlice& x, const MetricSlice& y) {
                      return std::tie(x.property, x.values) == std::tie(y.property, y.values);
                    });
}

bool SameUses(const std::vector<MetricUse>& a, const std::vector<MetricUse>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const MetricUse& x, const MetricUse& y) {
                      return std::tie(x.metric, x.margin) == std::tie(y.metric, y.margin);
                    });
}

bool SameExclusion(const Project& a, const Project& b) {
  if (a.exclude_when.has_value() != b.exclude_when.has_value()) return false;
  if (a.exclude_when && !SameCondition(*a.exclude_when, *b.exclude_when)) return false;
  return std::equal(a.exclude_events.begin(), a.exclude_events.end(), b.exclude_events.begin(),
                    b.exclude_events.end(), [](const BurstExclusion& x, const BurstExclusion& y) {
                      return std::tie(x.more_than, x.within_ms) ==
                                 std::tie(y.more_than, y.within_ms) &&
                             SameTerms({x.event}, {y.event});
                    });
}

const char* TypeName(AttributeType type) {
  switch (type) {
    case AttributeType::kBool:
      return "bool";
    case AttributeType::kInt:
      return "int";
    case AttributeType::kFloat:
      return "float";
    case AttributeType::kString:
      return "string";
    case AttributeType::kVersion:
      return "version";
    case AttributeType::kTime:
      return "time";
  }
  return "string";
}

bool Reads(const Condition& condition, const std::string& attribute) {
  return condition.attribute == attribute ||
         std::any_of(condition.children.begin(), condition.children.end(),
                     [&](const Condition& child) { return Reads(child, attribute); });
}

template <typename T>
const T* Find(const std::vector<T>& all, const std::string& key) {
  for (const T& one : all) {
    if (one.key == key) return &one;
  }
  return nullptr;
}

// Whether some running experiment satisfies `uses`.
template <typename Uses>
bool AnyOf(const std::vector<std::string>& running, const Definitions& definitions, Uses uses) {
  return std::any_of(running.begin(), running.end(), [&](const std::string& key) {
    const ExperimentDefinition* experiment = definitions.FindExperiment(key);
    return experiment != nullptr && uses(*experiment);
  });
}

void Add(std::string what, std::string before, std::string after, bool is_unsafe,
         const std::string& why, const Position& pos, std::vector<Edit>* out) {
  if (before == after) return;
  out->push_back({"", std::move(what), std::move(before), std::move(after),
                  is_unsafe ? EditClass::kUnsafe : EditClass::kSafe,
                  is_unsafe ? why : "no running experiment depends on it", pos});
}

}  // namespace

void DiffProject(const Definitions& before, const Definitions& after,
                 const std::vector<std::string>& running, std::vector<Edit>* out) {
  const auto any_running = [&](auto uses) { return AnyOf(running, before, uses); };
  const auto default_unit = [](const Definitions& definitions) {
    return definitions.project.units.empty() ? "" : definitions.project.units.front().key;
  };
  // What a request calls its targetingKey is an id of the first unit kind.
  Add("units", default_unit(before), default_unit(after),
      any_running([&](const ExperimentDefinition& e) {
        return e.unit == default_unit(before) || e.unit == default_unit(after);
      }),
      "the first unit kind is what a targetingKey names, so every unit would be read as another "
      "one: keep it first",
      after.project.pos, out);
  for (const Layer& layer : after.project.layers) {
    const Layer* old = Find(before.project.layers, layer.key);
    if (old == nullptr) continue;
    const bool is_used =
        any_running([&](const ExperimentDefinition& e) { return e.layer == layer.key; });
    const std::string why =
        "every unit of the layer is drawn anew: keep it as long as an experiment runs there";
    Add("layers." + layer.key + ".salt", old->salt, layer.salt, is_used, why, layer.pos, out);
    Add("layers." + layer.key + ".hash",
        old->hash == HashAlgorithm::kXxh3 ? "xxh3" : "growthbook-v2",
        layer.hash == HashAlgorithm::kXxh3 ? "xxh3" : "growthbook-v2", is_used, why, layer.pos,
        out);
  }
  const auto holds = [](const Holdout& holdout) {
    return [&holdout](const ExperimentDefinition& e) {
      return e.unit == holdout.unit && (holdout.layer.empty() || holdout.layer == e.layer);
    };
  };
  const auto text = [](const Holdout* holdout) {
    if (holdout == nullptr) return std::string();
    return FormatDouble(holdout->percent) + "% of " + holdout->unit + ", salt " + holdout->salt +
           (holdout->layer.empty() ? "" : ", layer " + holdout->layer);
  };
  for (const Holdout& holdout : before.project.holdouts) {
    const Holdout* now = Find(after.project.holdouts, holdout.key);
    Add("holdouts." + holdout.key, text(&holdout), text(now), any_running(holds(holdout)),
        "units held out come in, or units that are in leave: change it between experiments",
        now == nullptr ? holdout.pos : now->pos, out);
  }
  for (const Holdout& holdout : after.project.holdouts) {
    if (Find(before.project.holdouts, holdout.key) != nullptr) continue;
    Add("holdouts." + holdout.key, "", text(&holdout), any_running(holds(holdout)),
        "units that are in leave: add it before experiments start", holdout.pos, out);
  }
  for (const AttributeDecl& attribute : after.project.attributes) {
    const AttributeDecl* old = Find(before.project.attributes, attribute.key);
    if (old == nullptr) continue;
    const bool is_read = any_running([&](const ExperimentDefinition& e) {
      return Reads(ResolvedAudience(before.project, e.audience), attribute.key) ||
             e.cluster == attribute.key;
    });
    Add("attributes." + attribute.key + ".type", TypeName(old->type), TypeName(attribute.type),
        is_read, "running audiences read it, and values of the old type would no longer match",
        attribute.pos, out);
  }
  if (!SameExclusion(before.project, after.project)) {
    out->push_back({"", "exclude", "", "", EditClass::kSafe,
                    "changes which units are analysed and not who gets what", after.project.pos});
  }
  if (before.project.exclude_attribute != after.project.exclude_attribute) {
    out->push_back({"", "exclude_attribute", before.project.exclude_attribute,
                    after.project.exclude_attribute, EditClass::kSafe,
                    "changes which units are analysed and not who gets what", after.project.pos});
  }
}

bool SameMetric(const MetricDefinition& a, const MetricDefinition& b) {
  const auto plain = [](const MetricDefinition& m) {
    return std::tie(m.kind, m.direction, m.at_least, m.window.start_ms, m.window.end_ms, m.maturity,
                    m.quantile, m.quantile_of_events, m.funnel_stages, m.from_stage, m.to_stage,
                    m.horizon_ms, m.retention_from_ms, m.retention_to_ms, m.calendar_days, m.column,
                    m.denominator_column, m.covariate_columns, m.covariate_window_ms, m.currency,
                    m.per, m.within_ms);
  };
  return plain(a) == plain(b) && SameTerms(a.terms, b.terms) &&
         SameTerms(a.denominator, b.denominator) && SameCap(a.cap, b.cap) &&
         SameTerm(a.among, b.among) && SameTerm(a.after, b.after) && SameSlices(a.slices, b.slices);
}

std::vector<std::string> UsedMetrics(const ExperimentDefinition& experiment) {
  std::vector<std::string> keys;
  const auto add = [&](const std::string& key) {
    if (!key.empty() && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  };
  for (const auto* uses : {&experiment.primary, &experiment.secondary, &experiment.guardrails}) {
    for (const MetricUse& use : *uses) add(use.metric);
  }
  add(experiment.funnel);
  if (experiment.economics) {
    add(experiment.economics->profit);
    add(experiment.economics->cost);
    add(experiment.economics->orders);
  }
  return keys;
}

std::vector<std::string> ChangedAnalysis(const ExperimentDefinition& a,
                                         const ExperimentDefinition& b) {
  std::vector<std::string> changed;
  const auto check = [&](const char* field, bool same) {
    if (!same) changed.emplace_back(field);
  };
  const auto analysis = [](const AnalysisDefinition& d) {
    return std::tie(d.alpha, d.correction, d.cuped, d.dimensions, d.srm_alpha, d.alpha_look,
                    d.channel_metric, d.channel_attribute, d.by_day, d.overlaps);
  };
  const auto decision = [](const DecisionRule& d) {
    return std::tie(d.min_lift, d.planned_duration_ms, d.power, d.require_guardrails);
  };
  check("title", a.title == b.title);
  check("hypothesis", a.hypothesis == b.hypothesis);
  check("owner", a.owner == b.owner);
  check("enrol", a.enrol == b.enrol && a.enrol_event == b.enrol_event);
  check("primary", SameUses(a.primary, b.primary));
  check("secondary", SameUses(a.secondary, b.secondary));
  check("guardrails", SameUses(a.guardrails, b.guardrails));
  check("funnel", a.funnel == b.funnel);
  const auto economics = [](const ExperimentDefinition& e) {
    const Economics none;
    const Economics& d = e.economics ? *e.economics : none;
    return std::tuple{d.profit, d.cost, d.orders};
  };
  check("economics", economics(a) == economics(b));
  check("analysis", analysis(a.analysis) == analysis(b.analysis));
  check("decision", decision(a.decision) == decision(b.decision));
  return changed;
}

std::string OverridesText(const ExperimentDefinition& experiment) {
  std::string out;
  for (const Override& one : experiment.overrides) {
    out += out.empty() ? "" : "; ";
    for (const std::string& unit : one.units) out += unit + " ";
    if (one.when) out += ConditionText(*one.when) + " ";
    out += "-> " + one.variant;
  }
  return out;
}

}  // namespace fulcrum::experiments
