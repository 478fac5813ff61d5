// SPDX-License-Identifier: Apache-2.0
//
// A world as C++ that makes it: what a shrunk failure prints can be pasted into a test.
#include <limits>
#include <sstream>

#include "base/text.h"
#include "store/reference_worlds.h"

namespace fulcrum::store {
namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

std::string Text(const std::string& text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

std::string Text(int64_t value) {
  if (value == kForever) return "INT64_MAX";
  if (value == std::numeric_limits<int64_t>::min()) return "INT64_MIN";
  return std::to_string(value);
}

std::string Text(double value) { return FormatDouble(value); }

std::string Text(const Literal& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return "int64_t{" + Text(*integer) + "}";
  if (const auto* number = std::get_if<double>(&value)) return "double{" + Text(*number) + "}";
  return "std::string(" + Text(std::get<std::string>(value)) + ")";
}

std::string Text(int value) { return std::to_string(value); }
// Found by List, which comes before what they are made of.
std::string Text(const UnitKey& key);
std::string Text(const EventFilter& filter);
std::string Text(const Term& term);
std::string Text(const FunnelStage& stage);
std::string Text(const Arm& arm);
std::string Text(const JourneyStage& stage);
std::string Text(const BurstRule& rule);
std::string Text(const std::vector<EventFilter>& all);

template <typename T>
std::string List(const std::vector<T>& items) {
  std::string out;
  for (const T& item : items) out += (out.empty() ? "" : ", ") + Text(item);
  return "{" + out + "}";
}

std::string Text(const UnitKey& key) {
  return "{" + Text(key.first) + ", " + Text(key.second) + "}";
}

// {.a = 1, .b = 2} of the members that are not as a default-made one has them.
class Members {
 public:
  explicit Members(std::string type = "") : out_(std::move(type)) { out_ += "{"; }
  Members& Add(const char* name, const std::string& value, bool is_default = false) {
    if (is_default) return *this;
    out_ += (first_ ? "." : ", .") + std::string(name) + " = " + value;
    first_ = false;
    return *this;
  }
  std::string End() const { return out_ + "}"; }

 private:
  std::string out_;
  bool first_ = true;
};

std::string Text(const TimeWindow& window) {
  return "{" + Text(window.start_ms) + ", " + Text(window.end_ms) + "}";
}
bool IsDefault(const TimeWindow& window) {
  return window.start_ms == 0 && window.end_ms == kForever;
}

std::string Enumerator(const char* type, const char* const* names, int value) {
  return std::string(type) + "::" + names[value];
}

std::string Text(const EventFilter& filter) {
  static constexpr const char* kOps[] = {"kEq", "kNe", "kIn", "kNotIn",   "kLt",
                                         "kLe", "kGt", "kGe", "kPresent", "kAbsent"};
  return Members()
      .Add("property", Text(filter.property))
      .Add("op", Enumerator("CompareOp", kOps, static_cast<int>(filter.op)))
      .Add("values", List(filter.values), filter.values.empty())
      .End();
}

std::string Text(const Term& term) {
  return Members()
      .Add("coefficient", Text(term.coefficient), term.coefficient == 1)
      .Add("events", List(term.events))
      .Add("property", Text(term.property), term.property.empty())
      .Add("filters", List(term.filters), term.filters.empty())
      .End();
}

std::string Text(const CapRule& cap) {
  return Members("CapRule")
      .Add("value", cap.value ? Text(*cap.value) : "", !cap.value)
      .Add("quantile", cap.quantile ? Text(*cap.quantile) : "", !cap.quantile)
      .Add("include_zeros", "true", !cap.include_zeros)
      .Add("pre_ms", Text(cap.pre_ms), cap.pre_ms == 0)
      .Add("first_units", Text(cap.first_units), cap.first_units == 0)
      .End();
}

std::string Text(const Column& column) {
  static constexpr const char* kKinds[] = {"kSum", "kAtLeast", "kStage",
                                           "kPre", "kHasPre",  "kJourney"};
  return Members()
      .Add("name", Text(column.name))
      .Add("kind", Enumerator("ColumnKind", kKinds, static_cast<int>(column.kind)))
      .Add("terms", List(column.terms), column.terms.empty())
      .Add("threshold", Text(column.threshold), column.threshold == 1)
      .Add("window", Text(column.window), IsDefault(column.window))
      .Add("cap", column.cap ? Text(*column.cap) : "", !column.cap)
      .Add("funnel", Text(column.funnel), column.funnel < 0)
      .Add("stage", Text(column.stage), column.stage < 0)
      .Add("journey", Text(column.journey), column.journey < 0)
      .Add("pre_ms", Text(column.pre_ms), column.pre_ms == 0)
      .End();
}

std::string Text(const FunnelStage& stage) {
  return Members()
      .Add("key", Text(stage.key))
      .Add("events", List(stage.events), stage.events.empty())
      .Add("optional", "true", !stage.optional)
      .Add("satisfied_attribute", Text(stage.satisfied_attribute),
           stage.satisfied_attribute.empty())
      .Add("satisfied_values", List(stage.satisfied_values), stage.satisfied_values.empty())
      .End();
}

std::string Text(const FunnelSpec& funnel) {
  return Members()
      .Add("key", Text(funnel.key))
      .Add("stages", List(funnel.stages))
      .Add("window", Text(funnel.window), IsDefault(funnel.window))
      .End();
}

std::string Text(const JourneyStage& stage) {
  return Members()
      .Add("events", List(stage.events))
      .Add("filters", List(stage.filters), stage.filters.empty())
      .End();
}

std::string Text(const JourneySpec& journey) {
  static constexpr const char* kKeys[] = {"kUnit", "kOrder", "kSession"};
  return Members()
      .Add("key", Text(journey.key))
      .Add("per", Enumerator("JourneyKey", kKeys, static_cast<int>(journey.per)))
      .Add("stages", List(journey.stages))
      .Add("window", Text(journey.window), IsDefault(journey.window))
      .Add("after", Text(journey.after), IsDefault(journey.after))
      .End();
}

std::string Text(const BurstRule& rule) {
  return Members()
      .Add("events", List(rule.events))
      .Add("filters", List(rule.filters), rule.filters.empty())
      .Add("more_than", Text(rule.more_than))
      .Add("within_ms", Text(rule.within_ms))
      .End();
}

std::string Text(const std::vector<EventFilter>& all) { return List(all); }

std::string Text(const Group& group) {
  return Members()
      .Add("maturity_ms", Text(group.maturity_ms), group.maturity_ms == 0)
      .Add("columns", List(group.columns))
      .End();
}

std::string Text(const TimeToSpec& spec) {
  return Members()
      .Add("key", Text(spec.key))
      .Add("from_events", List(spec.from_events), spec.from_events.empty())
      .Add("to_events", List(spec.to_events), spec.to_events.empty())
      .Add("horizon_ms", Text(spec.horizon_ms))
      .Add("journey", Text(spec.journey), spec.journey < 0)
      .End();
}

std::string Text(const QuantileSpec& spec) {
  return Members()
      .Add("key", Text(spec.key))
      .Add("q", Text(spec.q))
      .Add("of_events", "true", !spec.of_events)
      .Add("column", Text(spec.column), spec.column < 0)
      .Add("term", Text(spec.term), !spec.of_events)
      .Add("window", Text(spec.window), IsDefault(spec.window))
      .Add("maturity_ms", Text(spec.maturity_ms), spec.maturity_ms == 0)
      .End();
}

std::string Text(const SliceSpec& slice) {
  return Members()
      .Add("key", Text(slice.key))
      .Add("attributes", List(slice.attributes))
      .Add("max_values", Text(slice.max_values))
      .End();
}

std::string Text(const Arm& arm) { return "{" + Text(arm.key) + ", " + Text(arm.weight) + "}"; }

std::string Text(const Population& p) {
  return Members()
      .Add("experiment", Text(p.experiment))
      .Add("unit_kind", Text(p.unit_kind))
      .Add("arms", List(p.arms))
      .Add("enrol", "EnrolRule::kEvent", p.enrol == EnrolRule::kExposure)
      .Add("enrol_events", List(p.enrol_events), p.enrol_events.empty())
      .Add("from_ms", Text(p.from_ms), p.from_ms == std::numeric_limits<int64_t>::min())
      .Add("to_ms", Text(p.to_ms), p.to_ms == kForever)
      .Add("exclude_attribute", Text(p.exclude_attribute), p.exclude_attribute.empty())
      .Add("exclude_any", List(p.exclude_any), p.exclude_any.empty())
      .Add("exclude_bursts", List(p.exclude_bursts), p.exclude_bursts.empty())
      .Add("exclude_multi_arm", "true", !p.exclude_multi_arm)
      .Add("cluster_attribute", Text(p.cluster_attribute), p.cluster_attribute.empty())
      .Add("active_units", "true", !p.active_units)
      .Add("active_events", List(p.active_events), p.active_events.empty())
      .End();
}

std::string Text(const std::map<std::string, Literal>& values) {
  std::string out;
  for (const auto& [key, value] : values) {
    out += (out.empty() ? "{" : ", {") + Text(key) + ", " + Text(value) + "}";
  }
  return "{" + out + "}";
}

std::string Text(const PastExposure& e) {
  return Members()
      .Add("exposure_id", Text(e.exposure_id), e.exposure_id.empty())
      .Add("experiment", Text(e.experiment))
      .Add("variant", Text(e.variant))
      .Add("unit", Text(e.unit))
      .Add("ts_ms", Text(e.ts_ms))
      .Add("phase", Text(e.phase), e.phase == 0)
      .Add("attributes", Text(e.attributes), e.attributes.empty())
      .Add("received_ms", Text(e.received_ms))
      .End();
}

std::string Text(const PastEvent& e) {
  return Members()
      .Add("event_id", Text(e.event_id), e.event_id.empty())
      .Add("name", Text(e.name))
      .Add("ts_ms", Text(e.ts_ms))
      .Add("ids", List(e.ids))
      .Add("order_id", Text(e.order_id), e.order_id.empty())
      .Add("session_id", Text(e.session_id), e.session_id.empty())
      .Add("value", e.value ? Text(*e.value) : "", !e.value)
      .Add("currency", Text(e.currency), e.currency.empty())
      .Add("properties", Text(e.properties), e.properties.empty())
      .Add("received_ms", Text(e.received_ms))
      .End();
}

std::string Text(const PastLink& link) {
  return Members()
      .Add("anonymous", Text(link.anonymous))
      .Add("known", Text(link.known))
      .Add("ts_ms", Text(link.ts_ms))
      .Add("received_ms", Text(link.received_ms))
      .End();
}

template <typename T>
void Assign(const char* member, const std::vector<T>& items, std::string* out) {
  if (items.empty()) return;
  *out += std::string(member) + " = {\n";
  for (const T& item : items) *out += "    " + Text(item) + ",\n";
  *out += "};\n";
}

}  // namespace

std::string Describe(const World& world) {
  const Plan& plan = world.plan;
  std::string out = "World world;\nworld.plan.population = " + Text(plan.population) + ";\n";
  Assign("world.plan.columns", plan.columns, &out);
  Assign("world.plan.groups", plan.groups, &out);
  Assign("world.plan.funnels", plan.funnels, &out);
  Assign("world.plan.journeys", plan.journeys, &out);
  Assign("world.plan.time_to", plan.time_to, &out);
  Assign("world.plan.quantiles", plan.quantiles, &out);
  Assign("world.plan.slices", plan.slices, &out);
  if (plan.as_of_ms != kForever) out += "world.plan.as_of_ms = " + Text(plan.as_of_ms) + ";\n";
  Assign("world.history.exposures", world.history.exposures, &out);
  Assign("world.history.events", world.history.events, &out);
  Assign("world.history.links", world.history.links, &out);
  return out;
}

}  // namespace fulcrum::store
