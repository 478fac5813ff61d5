// SPDX-License-Identifier: Apache-2.0
//
// Start here: the parsed form of a project, exactly what the YAML said, with positions.
//
// `Definition` types are plain values, produced by load.h, checked by validate.h, turned into a
// core::SnapshotData by compile.h, and read (never changed) by report/ and sim/.
// Durations are int64 milliseconds (`_ms`), instants are UTC Unix milliseconds (`_ms`), weights are
// exact decimals scaled to parts per million only in the compiled form.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fulcrum::experiments {

// Where something was written; line and column are 1-based, 0 when unknown.
struct Position {
  std::string file;
  int line = 0;
  int column = 0;
};

// Where the fields of one definition were written, by path ("unit", "layer.range", "schedule.end",
// "analysis.dimensions[0]"). Empty for definitions made in memory.
using FieldPositions = std::map<std::string, Position, std::less<>>;

using Scalar = std::variant<bool, int64_t, double, std::string>;

enum class AttributeType { kBool, kInt, kFloat, kString, kVersion, kTime };

struct AttributeDecl {
  std::string key;
  AttributeType type = AttributeType::kString;
  std::vector<std::string> values;  // Allowed strings; empty = any.
  std::string title;
  Position pos;
};

// --- Audience conditions (structured, no expression language) ---------------------------------

enum class ConditionOp {
  kAll,
  kAny,
  kNot,
  kEq,
  kNe,
  kIn,
  kNotIn,
  kLt,
  kLe,
  kGt,
  kGe,  // Compare by the attribute's declared type.
  kPrefix,
  kSuffix,
  kContains,
  kPresent,
  kAbsent,
  kPercentage,    // `percent` of units; see compile.h for its salt.
  kSegment,       // `ref` names a segment.
  kPrerequisite,  // `ref` names an experiment; `values` its variants that satisfy (empty = any).
  kNowBefore,     // The decision's instant is before `values[0]` (Unix ms) …
  kNowAfter,      // … or at or after it.
};

struct Condition {
  ConditionOp op = ConditionOp::kAll;
  std::string attribute;
  std::vector<Scalar> values;
  double percent = 0;  // kPercentage, in (0, 100].
  std::string ref;
  std::vector<Condition> children;
  Position pos;
};

// --- Metrics ---------------------------------------------------------------------------------

enum class MetricKind {
  kProportion,
  kCount,
  kMean,
  kRatio,
  kQuantile,
  kFunnel,
  kTimeTo,
  kRetention
};
enum class Lens { kBusiness, kUser, kFuture };      // Past value, present value, future value.
enum class Mover { kMarket, kProduct, kBusiness };  // Which force moves a stage most.
enum class Direction { kIncrease, kDecrease };      // Which way is good.

enum class FilterOp { kEq, kNe, kIn, kNotIn, kLt, kLe, kGt, kGe, kPresent, kAbsent };
struct PropertyFilter {
  std::string property;
  FilterOp op = FilterOp::kEq;
  std::vector<Scalar> values;
  Position pos;
};

// What a unit may have several of, each with an id in its events.
enum class CountedPer { kUnit, kOrder, kSession };

// One summand: coefficient * (number of events, or sum of a property over events).
struct Term {
  double coefficient = 1;
  std::string event;     // Canonical event name (Project::events) or raw name.
  std::string property;  // "" counts events; "value" is the event's own value.
  std::vector<PropertyFilter> filters;
  Position pos;
  CountedPer per = CountedPer::kUnit;  // kOrder, kSession: different ids among them are counted.
};

// Relative to the unit's clock (its enrolment). Only outcomes with start <= t - clock < end count.
struct Window {
  int64_t start_ms = 0;
  std::optional<int64_t> end_ms;  // Absent: until the analysis.
};

enum class Maturity { kWait, kCount };  // Leave a maturing unit out, or count what it has so far.

struct Cap {
  std::optional<double> value;
  std::optional<double> quantile;  // In (0, 1), of non-zero values pooled over arms.
  bool include_zeros = false;
  // Frozen, so that the cap does not follow what the arms do: `from: before` is the quantile of the
  // same sum over this long before the clock; `at: N` that of the first N units. Both may be said.
  int64_t before_ms = 0;
  int64_t first_units = 0;
};

// A metric split by a property of its events: one part for each value, "other" for values not
// named, "(none)" for events without it. (Parts of units are dimensions: AnalysisDefinition.)
struct MetricSlice {
  std::string property;
  std::vector<Scalar> values;
  Position pos;
};

struct MetricDefinition {
  std::string key;
  std::string title;
  std::string description;
  MetricKind kind = MetricKind::kProportion;
  Lens lens = Lens::kBusiness;
  Direction direction = Direction::kIncrease;
  std::string unit_label;  // "%", "CNY", "orders"; for readers only.

  std::vector<Term> terms;        // proportion, count, mean; numerator of a ratio.
  std::vector<Term> denominator;  // ratio only.
  // Counted per order or session (proportion, count, funnel, time_to): every id in the events is
  // one, and units, whose orders are alike, are what inference is by.
  CountedPer per = CountedPer::kUnit;
  std::optional<Term> among;  // proportion per order: the event that makes it one of them …
  int64_t within_ms = 0;      // … and how long after it `terms` (or a funnel's stages) may come.
  std::vector<MetricSlice> slices;
  double at_least = 1;  // proportion: the event count that satisfies it.
  Window window;
  Maturity maturity = Maturity::kWait;
  std::optional<Cap> cap;

  double quantile = 0.5;  // quantile only.
  bool quantile_of_events = false;

  std::vector<std::string> funnel_stages;  // funnel: keys of Project::stages, in order.

  std::string from_stage;  // time_to: "" = exposure.
  std::string to_stage;    // time_to.
  int64_t horizon_ms = 0;  // time_to: the restricted mean's limit.

  int64_t retention_from_ms = 0;  // retention: [from, to) after the clock.
  int64_t retention_to_ms = 0;
  std::optional<Term> after;  // retention: [from, to) counts from the first such event in `window`.
  bool calendar_days = false;

  std::string column;                          // `analyze` on one row per unit: the data column.
  std::string denominator_column;              // ratio on unit rows.
  std::vector<std::string> covariate_columns;  // `analyze`: known before exposure.
  int64_t covariate_window_ms = 0;  // Pre-period length for the CUPED covariate; 0 = none.
  Position pos;
  FieldPositions fields;
  std::string currency;  // "" = the project's; another one is refused until there are rates.
};

// --- Project -----------------------------------------------------------------------------------

enum class HashAlgorithm { kXxh3, kGrowthbookV2 };

struct Stage {
  std::string key;
  std::string title;
  std::vector<std::string> any_of;        // Canonical event names; one of them reaches the stage.
  std::optional<Condition> satisfied_if;  // An attribute at enrolment that already satisfies it.
  bool optional = false;                  // A side branch that never blocks.
  Mover mover = Mover::kProduct;
  Position pos;
};

struct UnitKind {
  std::string key;       // user, device, session, order, city …
  std::string links_to;  // device -> user: the known identity an anonymous one resolves to; or "".
  Position pos;
};

struct Layer {
  std::string key;
  std::string salt;
  Position pos;
  HashAlgorithm hash = HashAlgorithm::kXxh3;  // `hash:`, else the project's.
};

struct Holdout {
  std::string key;
  std::string salt;
  std::string layer;   // "" = global.
  double percent = 0;  // Held out; an equal share is marked as its comparison arm.
  Position pos;
  std::string unit;  // A Project::units key; the first where the YAML names none.
  HashAlgorithm hash = HashAlgorithm::kXxh3;  // `hash:`, else the project's.
};

struct Segment {
  std::string key;
  std::string title;
  Condition condition;
  Position pos;
};

struct Channel {
  std::string key;
  std::string line;  // traffic | brand
  std::string cost;  // free | paid
  Position pos;
  std::string title;
};

// What one channel cost over [from, to): a row of costs.csv.
struct ChannelCost {
  std::string channel;
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  double amount = 0;  // Of the project's currency.
  Position pos;
};

// Units with more than `more_than` of the event within `within_ms` are left out of reports.
struct BurstExclusion {
  Term event;
  int64_t more_than = 0;
  int64_t within_ms = 0;
};

struct Project {
  std::string key;
  std::string title;
  std::string timezone = "UTC";
  std::string currency;
  HashAlgorithm hash = HashAlgorithm::kXxh3;
  std::vector<UnitKind> units;  // The first is the default.
  std::vector<AttributeDecl> attributes;
  std::vector<Stage> stages;
  std::map<std::string, std::vector<std::string>>
      events;  // Canonical name -> raw names mapped to it.
  std::vector<Channel> channels;
  std::vector<Layer> layers;
  std::vector<Holdout> holdouts;
  std::vector<Segment> segments;
  std::vector<MetricDefinition> metrics;
  std::string exclude_attribute;  // A declared bool attribute: units with true are bots, excluded …
  std::optional<Condition> exclude_when;       // … and units whose attributes satisfy this …
  std::vector<BurstExclusion> exclude_events;  // … or who do more than people do.
  std::vector<ChannelCost> costs;              // In the order of the file.
  std::string costs_hash;                      // XXH3-64 hex of costs.csv; "" without one.
  Position pos;
  FieldPositions fields;
};

// --- Experiment ----------------------------------------------------------------------------------

enum class ValueType { kBool, kString, kInt, kFloat, kObject };

struct VariantDefinition {
  std::string key;  // Any printable text; "No E-Mail" is fine.
  std::string title;
  double weight = 1;  // In any unit that sums.
  bool control = false;
  // Canonical JSON of `value:` (sorted keys, no spaces, floats keep their point); the key as a
  // JSON string when absent.
  std::string value_json;
  Position pos;
};

struct RampStep {
  int64_t at_ms = 0;  // Absolute, or after start when `elapsed`.
  bool elapsed = false;
  double percent = 100;  // Traffic, non-decreasing.
  Position pos;
};

struct Override {
  std::vector<std::string> units;
  std::string variant;
  Position pos;
  std::optional<Condition> when;  // Instead of `units`: whoever satisfies it.
};

enum class EnrolKind { kExposure, kEvent, kEligibility };

struct MetricUse {
  std::string metric;
  // Guardrails: the largest acceptable harm, relative to control (0.02 = 2%), as a fraction.
  std::optional<double> margin;
  Position pos;
  // Guardrails: a window of their own, shorter than the metric's. Loading makes it a metric of its
  // own, `metric` + "@" + window, and names that here.
  int64_t window_ms = 0;
};

enum class Correction { kNone, kBonferroni, kHolm, kSimultaneous, kBenjaminiHochberg };

struct AnalysisDefinition {
  double alpha = 0.05;
  Correction correction = Correction::kSimultaneous;
  bool cuped = true;  // Where a covariate is declared.
  // Unit attributes, frozen at first exposure; several in one are crossed.
  std::vector<std::vector<std::string>> dimensions;
  // A metric in money whose mean per unit, less what the unit's channel cost, is the channel's
  // margin; and the attribute that holds the channel. "" = no such section.
  std::string channel_metric;
  std::string channel_attribute;
  double srm_alpha = 0.001;
  bool by_day = true;                 // Effect of the first primary metric by day since exposure.
  std::vector<std::string> overlaps;  // Other experiments, to test for interaction with.
  double alpha_look = 0.01;  // Spent on looking before the planned end; alpha / 5 unless said.
};

// What a subsidy bought. Keys of metrics: `profit` after every cost, the subsidy's included; what
// the subsidy cost; orders.
struct Economics {
  std::string profit;
  std::string cost;
  std::string orders;
};

enum class DecisionAction { kShip, kStop, kKeepRunning, kAskOwner };
struct DecisionRule {
  double min_lift = 0;  // Smallest relative effect worth shipping, as a fraction.
  int64_t planned_duration_ms = 0;
  std::optional<double> power;  // Target power at min_lift, for planning.
  bool require_guardrails = true;
};

struct Switchback {
  int64_t block_ms = 0;
  int64_t washout_ms = 0;
  std::string region_attribute;
};

// `analyze`: where the data is and what its columns mean.
struct DataSource {
  std::string input;       // Path or glob, relative to the YAML file; --input overrides.
  std::string format;      // csv | parquet | duckdb | "" = by extension.
  std::string table;       // duckdb only.
  bool per_event = false;  // One row per event, not per unit.
  std::string arm_column;
  std::string unit_column;   // Required per event.
  std::string event_column;  // Per event: the event's name; exposure rows carry exposure_event.
  std::string exposure_event;
  std::string time_column;
  std::string value_column;
  std::map<std::string, std::string> arms;  // Data value -> variant key; empty = the same text.
  Position pos;
};

enum class ExperimentStatus { kDraft, kRunning, kStopped };

struct ExperimentDefinition {
  std::string key;
  std::string title;
  std::string hypothesis;
  std::string owner;
  ExperimentStatus status = ExperimentStatus::kRunning;
  std::string salt;  // Written once; a rename of `key` reshuffles nobody.
  HashAlgorithm hash = HashAlgorithm::kXxh3;
  std::string unit;     // A Project::units key.
  std::string cluster;  // Attribute that names the cluster of analysis; "" = none.
  std::string layer;    // "" = none.
  std::vector<std::pair<double, double>> layer_ranges;  // Percent of the layer, [from, to).
  std::optional<Condition> audience;
  std::vector<VariantDefinition> variants;
  ValueType value_type = ValueType::kString;
  std::optional<int64_t> start_ms;
  std::optional<int64_t> end_ms;
  std::vector<RampStep> ramp;  // Empty = 100% from start.
  std::vector<Override> overrides;
  bool sticky = false;
  std::optional<Switchback> switchback;
  EnrolKind enrol = EnrolKind::kExposure;
  std::string enrol_event;
  std::vector<MetricUse> primary;
  std::vector<MetricUse> secondary;
  std::vector<MetricUse> guardrails;
  std::optional<Economics> economics;
  std::string funnel;  // A metric of kind funnel drawn in the report; "" = none.
  AnalysisDefinition analysis;
  DecisionRule decision;
  std::optional<DataSource> data;
  std::string content_hash;  // XXH3-64 hex of the file's bytes: pre-registration.
  Position pos;
  FieldPositions fields;
  std::string currency;  // As MetricDefinition::currency.
};

// Everything a directory (or, for `analyze`, a single file) says.
struct Definitions {
  Project project;
  std::vector<ExperimentDefinition> experiments;  // In file-name order.
  std::string version;  // 16 hex digits over the names and bytes of all files.

  const ExperimentDefinition* FindExperiment(std::string_view key) const;
  const MetricDefinition* FindMetric(std::string_view key) const;
  const Stage* FindStage(std::string_view key) const;
};

}  // namespace fulcrum::experiments
