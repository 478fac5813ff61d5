// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"
#include "experiments/parse.h"

namespace fulcrum::experiments {
namespace {

const std::vector<std::string> kExperimentKeys = {
    "experiment", "title",   "hypothesis", "owner",    "status",   "salt",      "hash",
    "unit",       "cluster", "layer",      "audience", "variants", "schedule",  "ramp",
    "overrides",  "sticky",  "switchback", "enrol",    "primary",  "secondary", "guardrails",
    "economics",  "funnel",  "analysis",   "decision", "currency"};

void ParseVariant(const Source& source, const YamlEntry& entry, ExperimentDefinition* experiment,
                  std::optional<ValueType>* type) {
  VariantDefinition& variant = experiment->variants.emplace_back();
  variant.key = entry.key;
  variant.title = entry.key;
  variant.pos = source.At(entry);
  const std::string what = "variant `" + entry.key + "`";
  const Fields fields(source, entry.value, what, {"weight", "control", "value", "title"},
                      &experiment->fields, "variants." + entry.key + ".");
  fields.Number("weight", &variant.weight);
  if (const YamlNode* control = fields.Get("control")) {
    // Unreadable, it still says which one is meant.
    variant.control = ReadBool(source, *control, "`control` of " + what).value_or(true);
  }
  fields.Text("title", &variant.title);
  variant.value_json = JsonString(variant.key);
  const YamlNode* value = fields.Get("value");
  if (value == nullptr) return;
  ValueType own = ValueType::kString;
  if (!ParseVariantValue(source, *value, "`value` of " + what, &variant.value_json, &own)) return;
  if (*type && **type != own) {
    source.Error(*value, "`value` of " + what + " is of type " + ValueTypeName(own) +
                             ", the variants before it have " + ValueTypeName(**type) +
                             ": give all the same type (1.0 is a float, 1 an int)");
    return;
  }
  *type = own;
  experiment->value_type = own;
}

void ParseVariants(const Fields& fields, ExperimentDefinition* experiment) {
  const Source& source = fields.source();
  const YamlNode* node = fields.Require("variants",
                                        "the arms, such as `control: {weight: 50, "
                                        "control: true}`");
  if (node == nullptr) return;
  std::optional<ValueType> type;
  ForEachEntry(source, *node, "`variants`",
               [&](const YamlEntry& entry) { ParseVariant(source, entry, experiment, &type); });
  // All or none: a missing weight or value beside given ones is a slip more often than a wish.
  for (const char* key : {"weight", "value"}) {
    const auto lacks = [&](const VariantDefinition& variant) {
      return experiment->fields.count("variants." + variant.key + "." + key) == 0;
    };
    const auto& variants = experiment->variants;
    const auto missing = std::count_if(variants.begin(), variants.end(), lacks);
    if (missing == 0 || missing == static_cast<std::ptrdiff_t>(variants.size())) continue;
    for (const VariantDefinition& variant : variants) {
      if (lacks(variant)) {
        source.Error(variant.pos, "variant `" + variant.key + "` has no `" + key +
                                      "`, others have one: give it to all or to none");
      }
    }
  }
}

void ParseLayerUse(const Fields& fields, ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("layer");
  if (node == nullptr) return;
  const Source& source = fields.source();
  const Fields layer(source, *node, "`layer`", {"name", "range", "ranges"}, &experiment->fields,
                     "layer.");
  layer.Require("name", "a layer of the project");
  layer.Name("name", &experiment->layer);
  if (layer.is_map() && layer.Has("range") == layer.Has("ranges")) {
    source.Error(*node,
                 "`layer` needs `range` such as [0, 50] (percent), or `ranges`, a list of "
                 "such; and only one of them");
  }
  const auto add = [&](const YamlNode& range) {
    if (range.kind != YamlNode::Kind::kSequence || range.items.size() != 2) {
      source.Error(range, "a range is two percents, such as [0, 50], not " + KindName(range));
      return;
    }
    const auto from = ReadPercent(source, range.items[0], "the start of a range");
    const auto to = ReadPercent(source, range.items[1], "the end of a range");
    if (!from || !to) return;
    experiment->fields.emplace(
        "layer.range[" + std::to_string(experiment->layer_ranges.size()) + "]", source.At(range));
    experiment->layer_ranges.emplace_back(*from, *to);
  };
  if (const YamlNode* range = layer.Get("range")) add(*range);
  if (const YamlNode* ranges = layer.Get("ranges")) ForEachItem(source, *ranges, "`ranges`", add);
}

void ParseSchedule(const Fields& fields, ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("schedule");
  if (node == nullptr) return;
  const Fields schedule(fields.source(), *node, "`schedule`", {"start", "end"}, &experiment->fields,
                        "schedule.");
  schedule.Time("start", &experiment->start_ms);
  schedule.Time("end", &experiment->end_ms);
}

void ParseRamp(const Fields& fields, ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("ramp");
  if (node == nullptr) return;
  const Source& source = fields.source();
  ForEachItem(source, *node, "`ramp`", [&](const YamlNode& item) {
    const Fields step(source, item, "a step of `ramp`", {"after", "at", "percent"});
    if (!step.is_map()) return;
    RampStep out;
    out.pos = source.At(item);
    out.elapsed = step.Has("after");
    if (step.Has("after") == step.Has("at")) {
      source.Error(item,
                   "a step of `ramp` needs `after` (a duration) or `at` (a time), and only "
                   "one of them");
      return;
    }
    step.Duration("after", &out.at_ms);
    std::optional<int64_t> at_ms;
    step.Time("at", &at_ms);
    if (at_ms) out.at_ms = *at_ms;
    const YamlNode* percent = step.Require("percent", "the share of traffic, such as 10");
    if (percent == nullptr) return;
    const auto value = ReadPercent(source, *percent, "`percent` of a ramp step");
    if (!value || (!out.elapsed && !at_ms)) return;
    out.percent = *value;
    experiment->ramp.push_back(out);
  });
}

void ParseOverrides(const Fields& fields, const Project& project,
                    ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("overrides");
  if (node == nullptr) return;
  const Source& source = fields.source();
  ForEachItem(source, *node, "`overrides`", [&](const YamlNode& item) {
    const Fields fields_of(source, item, "an entry of `overrides`", {"units", "when", "variant"});
    if (!fields_of.is_map()) return;
    Override out;
    out.pos = source.At(item);
    if (fields_of.Has("units") == fields_of.Has("when")) {
      source.Error(item,
                   "an override needs `units` (a list of ids) or `when` (a condition), and "
                   "only one of them");
    }
    fields_of.Texts("units", &out.units);
    if (const YamlNode* when = fields_of.Get("when")) {
      out.when = ParseCondition(source, *when, "`when` of an override", project.attributes);
    }
    if (const YamlNode* variant = fields_of.Require("variant", "the variant they get")) {
      out.pos = source.At(*variant);
      fields_of.Text("variant", &out.variant);
    }
    experiment->overrides.push_back(std::move(out));
  });
}

void ParseSwitchback(const Fields& fields, ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("switchback");
  if (node == nullptr) return;
  const Fields inner(fields.source(), *node, "`switchback`", {"block", "washout", "region"},
                     &experiment->fields, "switchback.");
  if (!inner.is_map()) return;
  Switchback out;
  if (inner.Require("block", "the length of a block, such as 4h") == nullptr) return;
  inner.Duration("block", &out.block_ms);
  inner.Duration("washout", &out.washout_ms);
  inner.Name("region", &out.region_attribute);
  experiment->switchback = out;
}

void ParseEnrol(const Fields& fields, ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("enrol");
  if (node == nullptr) return;
  if (node->kind == YamlNode::Kind::kMap) {
    const Fields inner(fields.source(), *node, "`enrol`", {"event"}, &experiment->fields, "enrol.");
    inner.Require("event", "the name of the event that starts a unit's clock");
    inner.Text("event", &experiment->enrol_event);
    experiment->enrol = EnrolKind::kEvent;
    return;
  }
  if (node->kind == YamlNode::Kind::kScalar && node->text == "event") {
    fields.source().Error(*node, "`enrol: event` needs its name: write `enrol: {event: NAME}`");
    return;
  }
  fields.Choice<EnrolKind>(
      "enrol", {{"exposure", EnrolKind::kExposure}, {"eligibility", EnrolKind::kEligibility}},
      &experiment->enrol);
}

// `- name` or `- {metric: name, margin: 5%}`.
void ParseMetricUses(const Fields& fields, std::string_view key, bool with_margin,
                     std::vector<MetricUse>* out) {
  const YamlNode* node = fields.Get(key);
  if (node == nullptr) return;
  const Source& source = fields.source();
  const std::string list = "`" + std::string(key) + "`";
  ForEachItem(source, *node, list, [&](const YamlNode& item) {
    MetricUse use;
    use.pos = source.At(item);
    if (item.kind == YamlNode::Kind::kScalar) {
      const auto name = ReadText(source, item, "a metric of " + list);
      if (!name) return;
      use.metric = *name;
      if (with_margin) {
        source.Error(item, "guardrail `" + *name + "` has no margin, so no harm could ever be " +
                               "ruled out: write `{metric: " + *name + ", margin: 5%}`");
      }
    } else {
      std::vector<std::string> known = {"metric"};
      if (with_margin) known.insert(known.end(), {"margin", "window"});
      const Fields inner(source, item, "an entry of " + list, known);
      const YamlNode* metric = inner.Require("metric", "the key of a metric");
      if (metric == nullptr) return;
      use.pos = source.At(*metric);
      inner.Text("metric", &use.metric);
      if (with_margin &&
          inner.Require("margin", "the largest harm that is acceptable, such as 5%") != nullptr) {
        double margin = 0.05;
        inner.Fraction("margin", &margin);
        use.margin = margin;
        if (margin <= 0 || margin >= 1) {
          source.Error(*inner.Get("margin"), "`margin` must be above 0 and below 100%, such as 5%");
        }
      }
      inner.Duration("window", &use.window_ms);
    }
    for (const MetricUse& other : *out) {
      if (other.metric == use.metric) {
        source.Error(use.pos,
                     "metric `" + use.metric + "` is listed twice in " + list + ": remove one");
        return;
      }
    }
    out->push_back(std::move(use));
  });
}

// `[channel, [channel, platform]]`: attributes, or lists of them that are crossed. `slices` says
// the same: an earlier name, kept so that older files load.
void ParseDimensions(const Fields& analysis, ExperimentDefinition* experiment) {
  const Source& source = analysis.source();
  const YamlNode* node = analysis.Get("dimensions");
  if (const YamlNode* slices = analysis.Get("slices")) {
    if (node != nullptr) {
      source.Error(*slices, "`slices` is the earlier name of `dimensions`: keep `dimensions`");
      return;
    }
    node = slices;
    source.Warn(source.At(*slices),
                "parts of units by their attributes are `dimensions`; `slices` are a metric's, by "
                "properties of events");
  }
  if (node == nullptr) return;
  auto& out = experiment->analysis.dimensions;
  const auto add = [&](const YamlNode& item) {
    std::vector<std::string> attributes = ReadTexts(source, item, "an entry of `dimensions`");
    if (attributes.empty()) return;
    if (std::find(out.begin(), out.end(), attributes) != out.end()) {
      source.Error(item, "a dimension that is listed already: remove one");
      return;
    }
    for (const std::string& attribute : attributes) {
      experiment->fields.emplace("analysis.dimensions." + attribute, source.At(item));
    }
    out.push_back(std::move(attributes));
  };
  if (node->kind == YamlNode::Kind::kSequence) {
    ForEachItem(source, *node, "`dimensions`", add);
  } else {
    add(*node);
  }
}

void ParseAnalysis(const Fields& fields, ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("analysis");
  if (node == nullptr) return;
  const Source& source = fields.source();
  AnalysisDefinition& out = experiment->analysis;
  const Fields inner(source, *node, "`analysis`",
                     {"alpha", "correction", "cuped", "dimensions", "slices", "srm_alpha",
                      "alpha_look", "channels", "by_day", "overlaps"},
                     &experiment->fields, "analysis.");
  inner.Fraction("alpha", &out.alpha);
  inner.Fraction("srm_alpha", &out.srm_alpha);
  // A fifth of alpha where only alpha is given, as 0.01 is of 0.05.
  out.alpha_look = out.alpha / 5;
  inner.Fraction("alpha_look", &out.alpha_look);
  inner.Bool("cuped", &out.cuped);
  inner.Bool("by_day", &out.by_day);
  inner.Texts("overlaps", &out.overlaps);
  inner.Choice<Correction>("correction",
                           {{"none", Correction::kNone},
                            {"bonferroni", Correction::kBonferroni},
                            {"holm", Correction::kHolm},
                            {"simultaneous", Correction::kSimultaneous},
                            {"benjamini_hochberg", Correction::kBenjaminiHochberg}},
                           &out.correction);
  ParseDimensions(inner, experiment);
  const YamlNode* channels = inner.Get("channels");
  if (channels == nullptr) return;
  const Fields margin(source, *channels, "`channels` of `analysis`", {"metric", "attribute"},
                      &experiment->fields, "analysis.channels.");
  margin.Require("metric", "what a unit brings in, in money, before its channel's cost");
  margin.Text("metric", &out.channel_metric);
  out.channel_attribute = "channel";
  margin.Name("attribute", &out.channel_attribute);
}

void ParseEconomics(const Fields& fields, ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("economics");
  if (node == nullptr) return;
  const Fields inner(fields.source(), *node, "`economics`", {"profit", "cost", "orders"},
                     &experiment->fields, "economics.");
  if (!inner.is_map()) return;
  Economics out;
  for (const auto& [key, to, what] :
       {std::tuple{"profit", &out.profit, "the metric of profit after every cost"},
        std::tuple{"cost", &out.cost, "the metric of what the subsidy cost"},
        std::tuple{"orders", &out.orders, "the metric of orders"}}) {
    if (inner.Require(key, what) == nullptr) return;
    inner.Text(key, to);
  }
  experiment->economics = out;
}

void ParseDecision(const Fields& fields, ExperimentDefinition* experiment) {
  const YamlNode* node = fields.Get("decision");
  if (node == nullptr) return;
  DecisionRule& out = experiment->decision;
  const Fields inner(fields.source(), *node, "`decision`",
                     {"min_lift", "planned", "power", "require_guardrails"}, &experiment->fields,
                     "decision.");
  inner.Fraction("min_lift", &out.min_lift);
  inner.Duration("planned", &out.planned_duration_ms);
  inner.Bool("require_guardrails", &out.require_guardrails);
  if (inner.Get("power") != nullptr) {
    double power = 0.8;
    inner.Fraction("power", &power);
    out.power = power;
  }
}

ExperimentDefinition ParseBody(const Fields& fields, const Project& project) {
  ExperimentDefinition out;
  out.pos = {fields.source().file(), 1, 1};
  out.hash = project.hash;
  if (!project.units.empty()) out.unit = project.units.front().key;
  if (const YamlNode* key = fields.Require("experiment", "its key, such as `one-page-checkout`")) {
    out.pos = fields.source().At(*key);
  }
  fields.Name("experiment", &out.key);
  out.title = out.key;
  fields.Text("title", &out.title);
  fields.Text("hypothesis", &out.hypothesis);
  fields.Text("owner", &out.owner);
  fields.Text("currency", &out.currency);
  fields.Choice<ExperimentStatus>("status",
                                  {{"draft", ExperimentStatus::kDraft},
                                   {"running", ExperimentStatus::kRunning},
                                   {"stopped", ExperimentStatus::kStopped}},
                                  &out.status);
  fields.Text("salt", &out.salt);
  fields.Choice<HashAlgorithm>(
      "hash", {{"xxh3", HashAlgorithm::kXxh3}, {"growthbook-v2", HashAlgorithm::kGrowthbookV2}},
      &out.hash);
  fields.Name("unit", &out.unit);
  fields.Name("cluster", &out.cluster);
  fields.Bool("sticky", &out.sticky);
  ParseLayerUse(fields, &out);
  if (const YamlNode* audience = fields.Get("audience")) {
    out.audience = ParseCondition(fields.source(), *audience, "`audience`", project.attributes);
  }
  ParseVariants(fields, &out);
  ParseSchedule(fields, &out);
  ParseRamp(fields, &out);
  ParseOverrides(fields, project, &out);
  ParseSwitchback(fields, &out);
  ParseEconomics(fields, &out);
  ParseEnrol(fields, &out);
  ParseMetricUses(fields, "primary", false, &out.primary);
  ParseMetricUses(fields, "secondary", false, &out.secondary);
  ParseMetricUses(fields, "guardrails", true, &out.guardrails);
  fields.Text("funnel", &out.funnel);
  ParseAnalysis(fields, &out);
  ParseDecision(fields, &out);
  return out;
}

}  // namespace

ExperimentDefinition ParseExperimentFile(const Source& source, const YamlNode& root,
                                         const Project& project) {
  FieldPositions positions;
  const Fields fields(source, root, "the experiment", kExperimentKeys, &positions);
  ExperimentDefinition out;
  if (!fields.is_map()) {
    out.pos = {source.file(), 1, 1};
    return out;
  }
  out = ParseBody(fields, project);
  fields.Require("salt",
                 "any text, written once and kept (a rename then reshuffles nobody), such "
                 "as `" +
                     (out.key.empty() ? "name" : out.key) + "-2026`");
  out.fields.merge(positions);
  return out;
}

ExperimentDefinition ParseAnalyzeFile(const Source& source, const YamlNode& root,
                                      Project* project) {
  std::vector<std::string> known = kExperimentKeys;
  known.push_back("data");
  known.insert(known.end(), InlineProjectKeys().begin(), InlineProjectKeys().end());
  // `hash` is a word of both: one list entry each is enough.
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  FieldPositions positions;
  const Fields fields(source, root, "the file", known, &positions);
  ExperimentDefinition out;
  out.pos = {source.file(), 1, 1};
  project->pos = out.pos;
  if (!fields.is_map()) return out;
  ParseInlineProject(fields, project);
  project->fields.insert(positions.begin(), positions.end());
  project->title = project->key;
  if (project->units.empty()) {
    // A file of rows needs no `units`: whatever `unit` it names is the one there is.
    std::string unit = "unit";
    fields.Name("unit", &unit);
    project->units.push_back({unit, "", project->pos});
  }
  out = ParseBody(fields, *project);
  if (out.salt.empty()) out.salt = out.key;
  out.fields.merge(positions);
  if (const YamlNode* data =
          fields.Require("data",
                         "where the rows are, such as `{format: csv, rows: units, arm: "
                         "COLUMN}`")) {
    out.data = ParseDataSource(source, *data, &out.fields);
  }
  return out;
}

}  // namespace fulcrum::experiments
