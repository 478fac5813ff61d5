// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "base/text.h"
#include "experiments/parse.h"

namespace fulcrum::experiments {
namespace {

using Words = std::vector<std::string>;

const std::vector<std::pair<std::string, MetricKind>> kKinds = {
    {"proportion", MetricKind::kProportion},
    {"count", MetricKind::kCount},
    {"mean", MetricKind::kMean},
    {"ratio", MetricKind::kRatio},
    {"quantile", MetricKind::kQuantile},
    {"funnel", MetricKind::kFunnel},
    {"time_to", MetricKind::kTimeTo},
    {"retention", MetricKind::kRetention},
};

const Words kCommon = {"kind",      "title",      "description", "lens",
                       "direction", "unit_label", "currency"};

// What each kind takes beyond kCommon.
const Words& OwnKeys(MetricKind kind) {
  static const std::map<MetricKind, Words> kKeys = {
      {MetricKind::kProportion,
       {"event", "property", "filter", "sum", "at_least", "window", "maturity", "column",
        "covariates", "covariate_window", "per", "among", "within", "slices"}},
      {MetricKind::kCount,
       {"event", "property", "filter", "sum", "window", "maturity", "cap", "column", "covariates",
        "covariate_window", "per", "slices"}},
      {MetricKind::kMean,
       {"event", "property", "filter", "sum", "window", "maturity", "cap", "column", "covariates",
        "covariate_window", "slices"}},
      {MetricKind::kRatio,
       {"numerator", "denominator", "window", "maturity", "column", "denominator_column",
        "covariates", "covariate_window", "slices"}},
      {MetricKind::kQuantile,
       {"q", "of", "event", "property", "filter", "sum", "window", "maturity", "column"}},
      {MetricKind::kFunnel, {"stages", "window", "maturity", "per", "within"}},
      {MetricKind::kTimeTo, {"from", "to", "horizon", "per"}},
      {MetricKind::kRetention,
       {"event", "filter", "sum", "from", "to", "calendar", "maturity", "covariate_window", "after",
        "window"}},
  };
  return kKeys.at(kind);
}

Words AllKeys() {
  Words keys = kCommon;
  for (const auto& [name, kind] : kKinds) {
    for (const std::string& key : OwnKeys(kind)) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  }
  return keys;
}

struct FilterWord {
  const char* word;
  FilterOp op;
};
constexpr FilterWord kFilterOps[] = {
    {"eq", FilterOp::kEq},         {"ne", FilterOp::kNe},  {"in", FilterOp::kIn},
    {"not_in", FilterOp::kNotIn},  {"lt", FilterOp::kLt},  {"lte", FilterOp::kLe},
    {"gt", FilterOp::kGt},         {"gte", FilterOp::kGe}, {"present", FilterOp::kPresent},
    {"absent", FilterOp::kAbsent},
};

bool Compares(FilterOp op) {
  return op == FilterOp::kLt || op == FilterOp::kLe || op == FilterOp::kGt || op == FilterOp::kGe;
}

std::optional<PropertyFilter> ParseFilterOp(const Source& source, const YamlEntry& entry,
                                            const YamlNode& value, FilterOp op) {
  PropertyFilter filter{entry.key, op, {}, source.At(entry)};
  const std::string what = "the value of property `" + entry.key + "`";
  if (op == FilterOp::kPresent || op == FilterOp::kAbsent) {
    const auto flag = ReadBool(source, value, "`present` and `absent`");
    if (!flag) return std::nullopt;
    if (!*flag) filter.op = op == FilterOp::kPresent ? FilterOp::kAbsent : FilterOp::kPresent;
    return filter;
  }
  if (Compares(op)) {
    const auto number = ReadNumber(source, value, what);
    if (!number) return std::nullopt;
    filter.values = {*number};
    return filter;
  }
  bool ok = true;
  const auto add = [&](const YamlNode& item) {
    auto scalar = ReadScalar(source, item, what);
    if (scalar) {
      filter.values.push_back(*std::move(scalar));
    } else {
      ok = false;
    }
  };
  if (value.kind == YamlNode::Kind::kSequence && (op == FilterOp::kIn || op == FilterOp::kNotIn)) {
    if (value.items.empty()) {
      source.Error(value, "an empty list can never match: list values or remove it");
      return std::nullopt;
    }
    ForEachItem(source, value, what, add);
  } else {
    add(value);
  }
  if (!ok) return std::nullopt;
  return filter;
}

const std::vector<std::pair<std::string, CountedPer>> kPer = {{"order", CountedPer::kOrder},
                                                              {"session", CountedPer::kSession}};

// A map with the keys of a term: `event`, `property`, `filter`, `times`, `per`.
Term ParseTerm(const Fields& fields) {
  const Source& source = fields.source();
  Term term;
  term.pos = source.At(fields.node());
  if (const YamlNode* event = fields.Require("event", "the name of the event to count or sum")) {
    term.pos = source.At(*event);
    if (auto name = ReadText(source, *event, "`event`")) term.event = *name;
  }
  fields.Text("property", &term.property);
  fields.Number("times", &term.coefficient);
  if (fields.Has("times") && term.coefficient == 0) {
    source.Error(*fields.node().Find("times"), "`times: 0` adds nothing: remove the entry");
  }
  if (const YamlNode* filter = fields.Get("filter")) {
    term.filters = ParseFilters(source, *filter, "`filter` of " + fields.what());
  }
  fields.Choice("per", kPer, &term.per);
  if (term.per != CountedPer::kUnit && !term.property.empty()) {
    source.Error(fields.node(),
                 "`per` counts different ids and `property` adds up a value: keep one of them");
  }
  return term;
}

// One event as a name, or as a map with its `filter`.
Term ParseEvent(const Source& source, const YamlNode& node, const std::string& what) {
  if (node.kind == YamlNode::Kind::kMap) {
    return ParseTerm(Fields(source, node, what, {"event", "filter"}));
  }
  Term term;
  term.pos = source.At(node);
  if (auto name = ReadText(source, node, what)) term.event = *name;
  return term;
}

// One term as a map, or several as a list of maps.
std::vector<Term> ParseTerms(const Source& source, const YamlNode& node, const std::string& what,
                             bool of_ratio) {
  Words keys = {"event", "property", "filter", "times"};
  if (of_ratio) keys.push_back("per");
  std::vector<Term> terms;
  if (node.kind == YamlNode::Kind::kMap) {
    terms.push_back(ParseTerm(Fields(source, node, what, keys)));
    return terms;
  }
  if (node.kind == YamlNode::Kind::kSequence && node.items.empty()) {
    source.Error(node, what + " is empty: list events or remove it");
  }
  ForEachItem(source, node, what, [&](const YamlNode& item) {
    const Fields fields(source, item, "an entry of " + what, keys);
    if (fields.is_map()) terms.push_back(ParseTerm(fields));
  });
  for (const Term& term : terms) {
    if (term.per == CountedPer::kUnit || terms.size() == 1) continue;
    source.Error(term.pos, "`per` counts by itself: give " + what + " that one entry only");
    break;
  }
  return terms;
}

// `event:` with its companions, or `sum:`, or (on unit rows) `column:`: exactly one of them.
void ParseOutcome(const Fields& fields, MetricDefinition* metric) {
  const Source& source = fields.source();
  int ways = 0;
  for (const char* key : {"event", "sum", "column"}) ways += fields.Has(key) ? 1 : 0;
  if (ways == 0) {
    source.Error(metric->pos, fields.what() + " needs `event` (or `sum`, or `column` for one row " +
                                  "per unit): say what is measured");
    return;
  }
  if (ways > 1) {
    source.Error(metric->pos,
                 fields.what() + " has more than one of `event`, `sum` and `column`: keep one");
    return;
  }
  if (const YamlNode* event = fields.Get("event")) {
    Term term;
    term.pos = source.At(*event);
    if (auto name = ReadText(source, *event, "`event` of " + fields.what())) term.event = *name;
    fields.Text("property", &term.property);
    if (const YamlNode* filter = fields.Get("filter")) {
      term.filters = ParseFilters(source, *filter, "`filter` of " + fields.what());
    }
    metric->terms.push_back(std::move(term));
    return;
  }
  for (const char* key : {"property", "filter"}) {
    if (fields.Has(key)) {
      source.Error(*fields.node().Find(key), "`" + std::string(key) + "` goes with `event`: in " +
                                                 "`sum`, write it inside an entry");
    }
  }
  if (const YamlNode* sum = fields.Get("sum")) {
    metric->terms = ParseTerms(source, *sum, "`sum` of " + fields.what(), false);
  }
  fields.Text("column", &metric->column);
}

// `7d`, or {from: 1d, to: 8d}.
void ParseWindow(const Fields& fields, MetricDefinition* metric) {
  const YamlNode* window = fields.Get("window");
  if (window == nullptr) return;
  const Source& source = fields.source();
  const std::string what = "`window` of " + fields.what();
  if (window->kind != YamlNode::Kind::kMap) {
    metric->window.end_ms = ReadDurationMs(source, *window, what);
  } else {
    const Fields range(source, *window, what, {"from", "to"});
    range.Duration("from", &metric->window.start_ms);
    int64_t to_ms = 0;
    if (range.Require("to", "the end of the window, such as 7d") != nullptr) {
      range.Duration("to", &to_ms);
      metric->window.end_ms = to_ms;
    }
  }
  if (metric->window.end_ms && *metric->window.end_ms <= metric->window.start_ms) {
    // Only where both were readable: an unreadable end was reported already.
    source.Error(*window, what + " is empty: its end must be after its start");
    metric->window.end_ms.reset();
  }
}

void ParseCap(const Fields& fields, MetricDefinition* metric) {
  const YamlNode* node = fields.Get("cap");
  if (node == nullptr) return;
  const Source& source = fields.source();
  const Fields cap(source, *node, "`cap` of " + fields.what(),
                   {"value", "quantile", "include_zeros", "before", "at"});
  if (!cap.is_map()) return;
  Cap out;
  double number = 0;
  if (cap.Has("value")) {
    cap.Number("value", &number);
    out.value = number;
  }
  if (cap.Has("quantile")) {
    number = 0.5;
    cap.Number("quantile", &number);
    out.quantile = number;
    if (number <= 0 || number >= 1) {
      source.Error(*cap.node().Find("quantile"),
                   "`quantile` of a cap must be between 0 and 1, such as 0.999");
    }
  }
  cap.Bool("include_zeros", &out.include_zeros);
  cap.Duration("before", &out.before_ms);
  double first_units = 0;
  cap.Number("at", &first_units);
  if (cap.Has("at") && !(first_units >= 2 && first_units == std::floor(first_units))) {
    source.Error(*cap.node().Find("at"),
                 "`at` of a cap is a number of units, at least 2: the cap is that of the first so "
                 "many");
  }
  out.first_units = static_cast<int64_t>(first_units);
  for (const char* key : {"before", "at"}) {
    if (!cap.Has(key) || !cap.Has("value")) continue;
    source.Error(*cap.node().Find(key), "`" + std::string(key) + "` goes with a cap by " +
                                            "`quantile`: a `value` never moves");
  }
  if (cap.Has("value") == cap.Has("quantile")) {
    source.Error(*node, "`cap` needs `value` or `quantile`, and only one of them");
  } else if (cap.Has("value") && cap.Has("include_zeros")) {
    source.Error(*node, "`include_zeros` goes with a cap by `quantile`: remove it");
  }
  metric->cap = out;
}

void ParseRatio(const Fields& fields, MetricDefinition* metric) {
  const Source& source = fields.source();
  if (fields.Has("column") || fields.Has("denominator_column")) {
    fields.Require("column", "the column of the numerator");
    fields.Require("denominator_column", "the column of the denominator");
    fields.Text("column", &metric->column);
    fields.Text("denominator_column", &metric->denominator_column);
    if (fields.Has("numerator") || fields.Has("denominator")) {
      source.Error(metric->pos, fields.what() + " has both events and columns: keep one");
    }
    return;
  }
  if (const YamlNode* node = fields.Require("numerator", "what is summed above the line")) {
    metric->terms = ParseTerms(source, *node, "`numerator` of " + fields.what(), true);
  }
  if (const YamlNode* node = fields.Require("denominator", "what is summed below the line")) {
    metric->denominator = ParseTerms(source, *node, "`denominator` of " + fields.what(), true);
  }
}

void ParseQuantile(const Fields& fields, MetricDefinition* metric) {
  const Source& source = fields.source();
  if (const YamlNode* q = fields.Require("q", "which quantile, such as 0.5")) {
    fields.Number("q", &metric->quantile);
    if (metric->quantile <= 0 || metric->quantile >= 1) {
      source.Error(*q, "`q` must be between 0 and 1, such as 0.5 or 0.9");
    }
  }
  if (fields.Has("of") || !fields.Has("column")) {
    fields.Require("of", "`units` (one value per unit) or `events` (one per event)");
  }
  fields.Choice<bool>("of", {{"units", false}, {"events", true}}, &metric->quantile_of_events);
  ParseOutcome(fields, metric);
  if (!metric->quantile_of_events) return;
  if (metric->terms.size() != 1 || metric->terms.front().property.empty()) {
    source.Error(metric->pos,
                 fields.what() + " is of events: it needs one `event` and its " + "`property`");
  }
}

void ParseTimeTo(const Fields& fields, MetricDefinition* metric) {
  fields.Require("from", "`exposure` or a stage");
  fields.Text("from", &metric->from_stage);
  if (metric->from_stage == "exposure") metric->from_stage.clear();
  fields.Require("to", "the stage that ends the time");
  fields.Text("to", &metric->to_stage);
  if (const YamlNode* horizon =
          fields.Require("horizon", "how far times are followed, such as 7d")) {
    metric->horizon_ms = 1;
    fields.Duration("horizon", &metric->horizon_ms);
    if (metric->horizon_ms <= 0) fields.source().Error(*horizon, "`horizon` must be above 0");
  }
}

void ParseRetention(const Fields& fields, MetricDefinition* metric) {
  const Source& source = fields.source();
  fields.Require("from", "when the return may begin, such as 1d");
  const YamlNode* to = fields.Require("to", "when it must have happened, such as 8d");
  fields.Duration("from", &metric->retention_from_ms);
  fields.Duration("to", &metric->retention_to_ms);
  fields.Bool("calendar", &metric->calendar_days);
  ParseOutcome(fields, metric);
  if (const YamlNode* after = fields.Get("after")) {
    metric->after = ParseEvent(source, *after, "`after` of " + fields.what());
    fields.Require("window", "how long after the clock the first `after` event may come, as 30d");
    if (metric->calendar_days) {
      source.Error(*after, "`after` counts elapsed time from an event: remove `calendar`");
    }
    if (metric->terms.size() != 1 || !metric->terms.front().property.empty()) {
      source.Error(*after, "`after` goes with one `event`, counted: remove `sum` and `property`");
    }
  } else if (fields.Has("window")) {
    source.Error(*fields.node().Find("window"),
                 "`window` of a retention goes with `after`: `from` and `to` are its own window");
  }
  if (to != nullptr && metric->retention_to_ms <= metric->retention_from_ms &&
      metric->retention_to_ms > 0) {
    fields.source().Error(*to, "`to` must be after `from` in " + fields.what());
  }
}

// A proportion of orders or sessions: of those with `among`, the share with the event.
void ParseAmong(const Fields& fields, MetricDefinition* metric) {
  const Source& source = fields.source();
  const YamlNode* among = fields.Get("among");
  if (among != nullptr) {
    metric->among = ParseEvent(source, *among, "`among` of " + fields.what());
    fields.Require("per", "`order` or `session`, which `among` chooses from");
  } else if (fields.Has("per")) {
    source.Error(*fields.node().Find("per"),
                 "`per` of a proportion needs `among`, the event that every order or session of "
                 "the share has, such as `among: order`");
  } else if (fields.Has("within")) {
    source.Error(*fields.node().Find("within"),
                 "`within` counts from the `among` event: name one, or write `window`");
  }
  if (among == nullptr) return;
  if (fields.Has("at_least") || metric->terms.size() != 1 ||
      !metric->terms.front().property.empty()) {
    source.Error(metric->pos, fields.what() + " is of single orders or sessions: it takes one " +
                                  "`event` and no `sum`, `property` or `at_least`");
  }
}

void ParsePer(const Fields& fields, MetricDefinition* metric) {
  const Source& source = fields.source();
  fields.Choice("per", kPer, &metric->per);
  fields.Duration("within", &metric->within_ms);
  if (metric->per == CountedPer::kUnit) return;
  if (metric->kind == MetricKind::kCount && metric->terms.size() > 1) {
    source.Error(metric->pos, fields.what() + " counts different ids of one `event`: remove `sum`");
  }
  if (metric->kind == MetricKind::kTimeTo && metric->from_stage.empty()) {
    source.Error(*fields.node().Find("per"),
                 "a time per order or session runs from stage to stage: name one in `from`");
  }
  if (metric->cap) {
    source.Error(*fields.node().Find("per"), "`cap` is of sums: remove it, or `per`");
  }
}

// {property: [value, …]}.
void ParseSlices(const Fields& fields, MetricDefinition* metric) {
  const YamlNode* node = fields.Get("slices");
  if (node == nullptr) return;
  const Source& source = fields.source();
  const std::string what = "`slices` of " + fields.what();
  ForEachEntry(source, *node, what, [&](const YamlEntry& entry) {
    MetricSlice& slice = metric->slices.emplace_back();
    slice.property = entry.key;
    slice.pos = source.At(entry);
    ForEachItem(source, entry.value, "the values of `" + entry.key + "`", [&](const YamlNode& v) {
      if (auto value = ReadScalar(source, v, "a value of `" + entry.key + "`")) {
        slice.values.push_back(*std::move(value));
      }
    });
    if (slice.values.empty()) {
      source.Error(entry, "list the values of `" + entry.key + "` to tell apart; the rest is " +
                              "\"other\"");
    }
  });
  if (metric->per != CountedPer::kUnit) {
    source.Error(*node, what + " split sums over events: remove `per`");
  }
}

void ParseByKind(const Fields& fields, MetricDefinition* metric) {
  const Source& source = fields.source();
  switch (metric->kind) {
    case MetricKind::kProportion:
      ParseOutcome(fields, metric);
      ParseAmong(fields, metric);
      fields.Number("at_least", &metric->at_least);
      if (metric->at_least <= 0) {
        source.Error(*fields.node().Find("at_least"), "`at_least` must be above 0");
      }
      break;
    case MetricKind::kCount:
      ParseOutcome(fields, metric);
      for (const Term& term : metric->terms) {
        if (!term.property.empty()) {
          source.Error(term.pos, "a count counts events and takes no `property`: use kind `mean` " +
                                     std::string("to sum one"));
        }
      }
      break;
    case MetricKind::kMean:
      ParseOutcome(fields, metric);
      if (fields.Has("event") && !fields.Has("property")) {
        source.Error(metric->pos, fields.what() + " needs `property`, what is summed (`value` is " +
                                      "the event's own value): use kind `count` to count events");
      }
      break;
    case MetricKind::kRatio:
      ParseRatio(fields, metric);
      break;
    case MetricKind::kQuantile:
      ParseQuantile(fields, metric);
      break;
    case MetricKind::kFunnel:
      if (fields.Require("stages", "two or more stages of the project, in order") != nullptr) {
        fields.Texts("stages", &metric->funnel_stages);
      }
      if (fields.Has("within") && !fields.Has("per")) {
        source.Error(*fields.node().Find("within"),
                     "`within` counts from the first stage of each order or session: write `per`");
      }
      break;
    case MetricKind::kTimeTo:
      ParseTimeTo(fields, metric);
      break;
    case MetricKind::kRetention:
      ParseRetention(fields, metric);
      break;
  }
  ParseWindow(fields, metric);
  ParseCap(fields, metric);
  ParsePer(fields, metric);
  ParseSlices(fields, metric);
  fields.Choice<Maturity>("maturity", {{"wait", Maturity::kWait}, {"count", Maturity::kCount}},
                          &metric->maturity);
  fields.Texts("covariates", &metric->covariate_columns);
  fields.Duration("covariate_window", &metric->covariate_window_ms);
}

void ParseMetric(const Source& source, const YamlEntry& entry, MetricDefinition* metric) {
  const std::string what = "metric `" + entry.key + "`";
  metric->key = entry.key;
  metric->title = entry.key;
  metric->pos = source.At(entry);
  CheckName(source, metric->pos, entry.key, "the metric's key");
  const YamlNode* kind = entry.value.Find("kind");
  bool has_kind = false;
  for (const auto& [name, value] : kKinds) {
    if (kind != nullptr && kind->kind == YamlNode::Kind::kScalar && kind->text == name) {
      metric->kind = value;
      has_kind = true;
    }
  }
  Words known = kCommon;
  if (has_kind) {
    const Words& own = OwnKeys(metric->kind);
    known.insert(known.end(), own.begin(), own.end());
  } else {
    known = AllKeys();
  }
  const Fields fields(source, entry.value, has_kind ? what + " of kind `" + kind->text + "`" : what,
                      known, &metric->fields);
  if (!fields.is_map()) return;
  fields.Text("title", &metric->title);
  fields.Text("description", &metric->description);
  fields.Text("unit_label", &metric->unit_label);
  fields.Text("currency", &metric->currency);
  fields.Choice<Lens>(
      "lens", {{"business", Lens::kBusiness}, {"user", Lens::kUser}, {"future", Lens::kFuture}},
      &metric->lens);
  fields.Choice<Direction>("direction",
                           {{"increase", Direction::kIncrease}, {"decrease", Direction::kDecrease}},
                           &metric->direction);
  if (has_kind) {
    ParseByKind(fields, metric);
  } else if (fields.Require("kind",
                            "what is measured: `proportion`, `count`, `mean`, `ratio`, "
                            "`quantile`, `funnel`, `time_to` or `retention`") != nullptr) {
    fields.Choice("kind", kKinds, &metric->kind);
  }
}

}  // namespace

std::vector<PropertyFilter> ParseFilters(const Source& source, const YamlNode& node,
                                         const std::string& what) {
  std::vector<PropertyFilter> filters;
  if (node.kind == YamlNode::Kind::kMap && node.entries.empty()) {
    source.Error(node, what + " is empty: write a condition on a property or remove it");
  }
  Words known;
  for (const FilterWord& word : kFilterOps) known.push_back(word.word);
  ForEachEntry(source, node, what, [&](const YamlEntry& entry) {
    const auto keep = [&](std::optional<PropertyFilter> filter) {
      if (filter) filters.push_back(*std::move(filter));
    };
    if (entry.value.kind == YamlNode::Kind::kScalar) {
      keep(ParseFilterOp(source, entry, entry.value, FilterOp::kEq));
    } else if (entry.value.kind == YamlNode::Kind::kSequence) {
      keep(ParseFilterOp(source, entry, entry.value, FilterOp::kIn));
    } else {
      const Fields fields(source, entry.value, "the filter on `" + entry.key + "`", known);
      if (entry.value.entries.empty()) {
        source.Error(entry.value, "the filter on `" + entry.key + "` is empty: write an operator");
      }
      for (const FilterWord& word : kFilterOps) {
        if (const YamlNode* value = fields.Get(word.word)) {
          keep(ParseFilterOp(source, entry, *value, word.op));
        }
      }
    }
  });
  return filters;
}

void ParseMetrics(const Source& source, const YamlNode& node, std::vector<MetricDefinition>* out) {
  ForEachEntry(source, node, "`metrics`", [&](const YamlEntry& entry) {
    for (const MetricDefinition& other : *out) {
      // Within one map the reader has reported it; across files it is found here.
      if (other.key == entry.key && other.pos.file != source.file()) {
        source.Error(entry, "metric `" + entry.key + "` is already defined in " + other.pos.file +
                                ", line " + std::to_string(other.pos.line) + ": keep one of them");
        return;
      }
    }
    ParseMetric(source, entry, &out->emplace_back());
  });
}

}  // namespace fulcrum::experiments
