// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "experiments/parse.h"

namespace fulcrum::experiments {
namespace {

const std::vector<std::pair<std::string, HashAlgorithm>> kHashes = {
    {"xxh3", HashAlgorithm::kXxh3}, {"growthbook-v2", HashAlgorithm::kGrowthbookV2}};

void ParseUnits(const Source& source, const YamlNode& node, Project* project) {
  if (node.kind != YamlNode::Kind::kMap) {
    source.Error(node, "`units` must be a map (`name: {}` lines), not " + KindName(node));
  }
  for (const YamlEntry& entry : node.entries) {
    UnitKind& unit = project->units.emplace_back();
    unit.key = entry.key;
    unit.pos = source.At(entry);
    CheckName(source, unit.pos, entry.key, "the unit's key");
    // `user:` says as much as `user: {}`.
    if (entry.value.kind == YamlNode::Kind::kNull) continue;
    const Fields fields(source, entry.value, "unit `" + entry.key + "`", {"links_to"},
                        &project->fields, "units." + entry.key + ".");
    fields.Name("links_to", &unit.links_to);
  }
}

void ParseAttributes(const Source& source, const YamlNode& node, Project* project) {
  const std::vector<std::pair<std::string, AttributeType>> types = {
      {"bool", AttributeType::kBool},       {"int", AttributeType::kInt},
      {"float", AttributeType::kFloat},     {"string", AttributeType::kString},
      {"version", AttributeType::kVersion}, {"time", AttributeType::kTime}};
  ForEachEntry(source, node, "`attributes`", [&](const YamlEntry& entry) {
    AttributeDecl& attribute = project->attributes.emplace_back();
    attribute.key = entry.key;
    attribute.pos = source.At(entry);
    CheckName(source, attribute.pos, entry.key, "the attribute's key");
    const auto& reserved = ReservedConditionWords();
    if (std::find(reserved.begin(), reserved.end(), entry.key) != reserved.end()) {
      source.Error(entry, "`" + entry.key + "` is a word of the condition grammar: give the " +
                              "attribute another name");
    }
    const Fields fields(source, entry.value, "attribute `" + entry.key + "`",
                        {"type", "values", "title"});
    fields.Require("type", "`bool`, `int`, `float`, `string`, `version` or `time`");
    fields.Choice("type", types, &attribute.type);
    fields.Texts("values", &attribute.values);
    fields.Text("title", &attribute.title);
    if (fields.Has("values") && attribute.type != AttributeType::kString) {
      source.Error(*fields.node().Find("values"),
                   "`values` lists the allowed strings: attribute `" + entry.key +
                       "` must be of type `string` to have them");
    }
  });
}

void ParseEvents(const Source& source, const YamlNode& node, Project* project) {
  ForEachEntry(source, node, "`events`", [&](const YamlEntry& entry) {
    std::vector<std::string> raw = {entry.key};
    for (std::string& name :
         ReadTexts(source, entry.value, "the names of event `" + entry.key + "`")) {
      if (name != entry.key) raw.push_back(std::move(name));
    }
    project->events.emplace(entry.key, std::move(raw));
    project->fields.emplace("events." + entry.key, source.At(entry));
  });
}

void ParseStages(const Source& source, const YamlNode& node, Project* project) {
  ForEachEntry(source, node, "`stages`", [&](const YamlEntry& entry) {
    Stage& stage = project->stages.emplace_back();
    stage.key = entry.key;
    stage.title = entry.key;
    stage.pos = source.At(entry);
    CheckName(source, stage.pos, entry.key, "the stage's key");
    const Fields fields(source, entry.value, "stage `" + entry.key + "`",
                        {"event", "any_of", "mover", "optional", "satisfied_if", "title"},
                        &project->fields, "stages." + entry.key + ".");
    if (!fields.is_map()) return;
    if (fields.Has("event") == fields.Has("any_of")) {
      source.Error(entry, fields.what() + " needs `event` (one name) or `any_of` (a list), and " +
                              "only one of them");
    }
    std::string event;
    fields.Text("event", &event);
    if (!event.empty()) stage.any_of = {event};
    fields.Texts("any_of", &stage.any_of);
    fields.Choice<Mover>(
        "mover",
        {{"market", Mover::kMarket}, {"product", Mover::kProduct}, {"business", Mover::kBusiness}},
        &stage.mover);
    fields.Bool("optional", &stage.optional);
    fields.Text("title", &stage.title);
    if (const YamlNode* when = fields.Get("satisfied_if")) {
      stage.satisfied_if =
          ParseCondition(source, *when, "`satisfied_if` of " + fields.what(), project->attributes);
    }
  });
}

void ParseChannels(const Source& source, const YamlNode& node, Project* project) {
  ForEachEntry(source, node, "`channels`", [&](const YamlEntry& entry) {
    Channel& channel = project->channels.emplace_back();
    channel.key = entry.key;
    channel.pos = source.At(entry);
    CheckName(source, channel.pos, entry.key, "the channel's key");
    const Fields fields(source, entry.value, "channel `" + entry.key + "`",
                        {"line", "cost", "title"});
    channel.title = entry.key;
    fields.Text("title", &channel.title);
    fields.Require("line", "`traffic` or `brand`");
    fields.Require("cost", "`free` or `paid`");
    fields.Choice<std::string>("line", {{"traffic", "traffic"}, {"brand", "brand"}}, &channel.line);
    fields.Choice<std::string>("cost", {{"free", "free"}, {"paid", "paid"}}, &channel.cost);
  });
}

void ParseLayers(const Source& source, const YamlNode& node, Project* project) {
  ForEachEntry(source, node, "`layers`", [&](const YamlEntry& entry) {
    Layer& layer = project->layers.emplace_back();
    layer.key = entry.key;
    layer.pos = source.At(entry);
    layer.hash = project->hash;
    CheckName(source, layer.pos, entry.key, "the layer's key");
    const Fields fields(source, entry.value, "layer `" + entry.key + "`", {"salt", "hash"},
                        &project->fields, "layers." + entry.key + ".");
    fields.Require("salt", "any text, written once and kept, such as `" + entry.key + "-2026`");
    fields.Text("salt", &layer.salt);
    fields.Choice("hash", kHashes, &layer.hash);
  });
}

void ParseHoldouts(const Source& source, const YamlNode& node, Project* project) {
  ForEachEntry(source, node, "`holdouts`", [&](const YamlEntry& entry) {
    Holdout& holdout = project->holdouts.emplace_back();
    holdout.key = entry.key;
    holdout.pos = source.At(entry);
    holdout.hash = project->hash;
    if (!project->units.empty()) holdout.unit = project->units.front().key;
    CheckName(source, holdout.pos, entry.key, "the holdout's key");
    const Fields fields(source, entry.value, "holdout `" + entry.key + "`",
                        {"percent", "salt", "layer", "unit", "hash"}, &project->fields,
                        "holdouts." + entry.key + ".");
    fields.Require("salt", "any text, written once and kept, such as `" + entry.key + "-2026`");
    fields.Text("salt", &holdout.salt);
    fields.Name("layer", &holdout.layer);
    fields.Name("unit", &holdout.unit);
    fields.Choice("hash", kHashes, &holdout.hash);
    if (const YamlNode* percent = fields.Require("percent", "the share held out, such as 2")) {
      holdout.percent = 1;
      if (auto value = ReadPercent(source, *percent, "`percent` of " + fields.what())) {
        holdout.percent = *value;
      }
    }
  });
}

void ParseSegments(const Source& source, const YamlNode& node, Project* project) {
  ForEachEntry(source, node, "`segments`", [&](const YamlEntry& entry) {
    Segment& segment = project->segments.emplace_back();
    segment.key = entry.key;
    segment.title = entry.key;
    segment.pos = source.At(entry);
    CheckName(source, segment.pos, entry.key, "the segment's key");
    const Fields fields(source, entry.value, "segment `" + entry.key + "`", {"when", "title"});
    fields.Text("title", &segment.title);
    if (const YamlNode* when = fields.Require("when", "the condition that units satisfy")) {
      segment.condition =
          ParseCondition(source, *when, "`when` of " + fields.what(), project->attributes);
    }
  });
}

// {when: CONDITION, events: [{event: order, more_than: 20, within: 1d}]}: who is no customer.
void ParseExclude(const Source& source, const YamlNode& node, Project* project) {
  const Fields fields(source, node, "`exclude`", {"when", "events"}, &project->fields, "exclude.");
  if (!fields.is_map()) return;
  if (!fields.Has("when") && !fields.Has("events")) {
    source.Error(node, "`exclude` needs `when` (a condition on attributes) or `events`");
  }
  if (const YamlNode* when = fields.Get("when")) {
    project->exclude_when =
        ParseCondition(source, *when, "`when` of `exclude`", project->attributes);
  }
  const YamlNode* events = fields.Get("events");
  if (events == nullptr) return;
  ForEachItem(source, *events, "`events` of `exclude`", [&](const YamlNode& item) {
    const Fields rule(source, item, "an entry of `events` of `exclude`",
                      {"event", "filter", "more_than", "within"});
    if (!rule.is_map()) return;
    BurstExclusion out;
    if (const YamlNode* event = rule.Require("event", "what bots and brushers do too often")) {
      out.event.pos = source.At(*event);
    }
    rule.Text("event", &out.event.event);
    if (const YamlNode* filter = rule.Get("filter")) {
      out.event.filters = ParseFilters(source, *filter, "`filter` of " + rule.what());
    }
    double more_than = 1;
    if (const YamlNode* number = rule.Require("more_than", "how many people may do, such as 20")) {
      rule.Number("more_than", &more_than);
      if (!(more_than >= 1 && more_than <= 1e6 && more_than == std::floor(more_than))) {
        source.Error(*number, "`more_than` must be a whole number from 1 on");
        more_than = 1;
      }
    }
    out.more_than = static_cast<int64_t>(more_than);
    if (const YamlNode* within = rule.Require("within", "in what time, such as 1d")) {
      out.within_ms = 1;
      rule.Duration("within", &out.within_ms);
      if (out.within_ms <= 0) source.Error(*within, "`within` must be above 0");
    }
    project->exclude_events.push_back(std::move(out));
  });
}

template <typename Fn>
void Part(const Fields& fields, std::string_view key, Fn parse, Project* project) {
  if (const YamlNode* node = fields.Get(key)) parse(fields.source(), *node, project);
}

}  // namespace

const std::vector<std::string>& InlineProjectKeys() {
  static const std::vector<std::string> kKeys = {
      "project", "timezone", "currency", "hash",     "units",    "attributes",        "events",
      "stages",  "channels", "layers",   "holdouts", "segments", "exclude_attribute", "exclude",
      "metrics"};
  return kKeys;
}

void ParseInlineProject(const Fields& fields, Project* project) {
  fields.Name("project", &project->key);
  fields.Text("timezone", &project->timezone);
  fields.Text("currency", &project->currency);
  fields.Choice("hash", kHashes, &project->hash);
  fields.Name("exclude_attribute", &project->exclude_attribute);
  // Attributes first: they give the operands of conditions their types.
  Part(fields, "units", ParseUnits, project);
  Part(fields, "attributes", ParseAttributes, project);
  Part(fields, "events", ParseEvents, project);
  Part(fields, "stages", ParseStages, project);
  Part(fields, "channels", ParseChannels, project);
  Part(fields, "layers", ParseLayers, project);
  Part(fields, "holdouts", ParseHoldouts, project);
  Part(fields, "segments", ParseSegments, project);
  Part(fields, "exclude", ParseExclude, project);
  if (const YamlNode* metrics = fields.Get("metrics")) {
    ParseMetrics(fields.source(), *metrics, &project->metrics);
  }
}

void ParseProjectFile(const Source& source, const YamlNode& root, Project* project) {
  std::vector<std::string> known = InlineProjectKeys();
  known.push_back("title");
  const Fields fields(source, root, "the project", known, &project->fields);
  project->pos = {source.file(), 1, 1};
  if (!fields.is_map()) return;
  fields.Require("project", "a key for the project, such as `shop`");
  fields.Require("units",
                 "what is randomised, such as `units: {user: {}}`; the first is the default");
  ParseInlineProject(fields, project);
  project->title = project->key;
  fields.Text("title", &project->title);
  if (!fields.Has("timezone")) {
    source.Warn(project->pos,
                "the project declares no `timezone`: calendar days are UTC days; write "
                "`timezone: UTC` to say so");
  }
  if (!fields.Has("currency")) {
    source.Warn(project->pos,
                "the project declares no `currency`: amounts of any currency would be added "
                "up; write one such as `currency: CNY`");
  }
}

void ParseMetricsFile(const Source& source, const YamlNode& root, Project* project) {
  const Fields fields(source, root, "the metrics file", {"metrics"});
  if (const YamlNode* metrics = fields.Require("metrics", "a map of metrics")) {
    ParseMetrics(source, *metrics, &project->metrics);
  }
}

}  // namespace fulcrum::experiments
