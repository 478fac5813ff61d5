// SPDX-License-Identifier: Apache-2.0
//
// A plan says what to compute, in plain structs; a store says how. One plan, several executions
// (embedded: DuckDB scans and C++ folds per unit; a cluster: its own SQL), the same meaning.
//
// The result is, per arm, phase, slice and maturity group, one stats::Gram of the planned columns,
// plus what a Gram cannot hold (order statistics, survival tables) and the facts of data quality.
//
// Rules that hold everywhere (`reference.h` says them as code):
// - The analysis unit is the (kind, id) that was exposed, in the arm, phase and with the attributes
//   of its first exposure by time, then order of arrival. Its events are those that carry its id or
//   that of a known unit to which a link joins it, each once, whenever the link was made; two units
//   linked to one known unit both get its events. An event's order_id and session_id are ids of the
//   kinds "order" and "session".
// - Only what was received at or before as_of counts, and of a repeated id the first arrival.
// - Windows count from the clock, start included, end not: an outcome at the clock counts.
// - Events at one instant have no order among themselves: in funnels and times they act as one, and
//   one event may reach several stages.
// - Journeys are what a unit has several of (orders, sessions): one for each id of the kind in its
//   events. A journey begins with the first event of its first stage inside the window; each
//   later stage is the first event of it at or after the stage before and inside `after`, which
//   counts from the journey's beginning. Inference stays by unit: a unit's journeys are not
//   independent.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "stats/gram.h"

namespace fulcrum::store {

using Literal = std::variant<bool, int64_t, double, std::string>;

enum class CompareOp { kEq, kNe, kIn, kNotIn, kLt, kLe, kGt, kGe, kPresent, kAbsent };

// A test on one event property; an absent property satisfies only kAbsent, kNe and kNotIn.
struct EventFilter {
  std::string property;
  CompareOp op = CompareOp::kEq;
  std::vector<Literal> values;
  bool operator==(const EventFilter&) const = default;
};

// coefficient * Σ over matching events of (property or, when property is "", 1).
// `property` "value" is the event's own value. An event without the property adds nothing.
struct Term {
  double coefficient = 1;
  std::vector<std::string> events;  // Raw names; any of them matches.
  std::string property;
  std::vector<EventFilter> filters;
  bool operator==(const Term&) const = default;
};

// Outcomes with start_ms <= t - clock < end_ms count; INT64_MAX = until as_of.
struct TimeWindow {
  int64_t start_ms = 0;
  int64_t end_ms = INT64_MAX;
  bool operator==(const TimeWindow&) const = default;
};

struct CapRule {
  std::optional<double> value;
  std::optional<double> quantile;  // Pooled over arms; of non-zero values unless include_zeros.
  bool include_zeros = false;
  // What the quantile is of: 0 = the column's own values, of mature units; else the same terms over
  // [clock - pre_ms, clock), of every unit, which no arm can have changed.
  int64_t pre_ms = 0;
  // 0 = of all units so far; else of the first so many by clock (with all that share the last
  // one's instant), and no cap before there are so many: once set it never moves.
  int64_t first_units = 0;
  bool operator==(const CapRule&) const = default;
};

enum class ColumnKind {
  kSum,      // Σ terms within the window.
  kAtLeast,  // 1 if Σ terms >= threshold, else 0.
  kStage,    // 1 if the unit reached `stage` of `funnel` (each at or after the one before).
  kPre,      // Covariate: Σ terms over [clock - pre_ms, clock); NaN-free, 0 when nothing happened.
  kHasPre,   // 1 if the unit was ever seen before its clock; goes with kPre.
  kJourney,  // How many of the unit's journeys reached `stage` of `journey`.
};

// One per-unit number. Columns of a group share maturity and so share one Gram.
struct Column {
  std::string name;  // Unique within the plan; the report's handle.
  ColumnKind kind = ColumnKind::kSum;
  std::vector<Term> terms;
  double threshold = 1;
  TimeWindow window;
  std::optional<CapRule> cap;  // kSum only.
  int funnel = -1;             // kStage: index into Plan::funnels …
  int stage = -1;              // … and its stage; kJourney: of the journey.
  int journey = -1;            // kJourney: index into Plan::journeys.
  int64_t pre_ms = 0;          // kPre.
  std::string source_column;   // Unit-row data: the file's column (numeric or boolean).
  bool operator==(const Column&) const = default;
};

struct FunnelStage {
  std::string key;
  std::vector<std::string> events;  // Raw names; any of them reaches it.
  bool optional = false;            // Never blocks a later stage.
  std::string satisfied_attribute;  // Enrolment attribute that already satisfies it, or "".
  std::vector<Literal> satisfied_values;
  bool operator==(const FunnelStage&) const = default;
};

struct FunnelSpec {
  std::string key;
  std::vector<FunnelStage> stages;
  TimeWindow window;
  bool operator==(const FunnelSpec&) const = default;
};

// Which ids of an event name a journey: its own order_id or session_id, or none (all of the unit's
// events are one journey).
enum class JourneyKey { kUnit, kOrder, kSession };

struct JourneyStage {
  std::vector<std::string> events;   // Raw names; any of them reaches it …
  std::vector<EventFilter> filters;  // … where all of these hold.
  bool operator==(const JourneyStage&) const = default;
};

struct JourneySpec {
  std::string key;
  JourneyKey per = JourneyKey::kOrder;
  std::vector<JourneyStage> stages;
  TimeWindow window;  // Of the first stage, from the clock.
  TimeWindow after;   // Of the later stages, from the first.
  bool operator==(const JourneySpec&) const = default;
};

// One Gram per (arm, phase, slice). Units with as_of - clock < maturity_ms are left out (counted in
// `maturing`); 0 = every unit counts at once.
struct Group {
  int64_t maturity_ms = 0;
  std::vector<int> columns;  // Indices into Plan::columns.
  bool operator==(const Group&) const = default;
};

// Time from the clock (from_events empty) or from the first from-event to the first to-event at or
// after it; censored at as_of or at horizon_ms. With a journey, of two stages: from its first to
// its second, every journey an observation.
struct TimeToSpec {
  std::string key;
  std::vector<std::string> from_events;
  std::vector<std::string> to_events;
  int64_t horizon_ms = 0;
  int journey = -1;  // Index into Plan::journeys, and no events here; or -1.
  bool operator==(const TimeToSpec&) const = default;
};

// The distribution of a column's per-unit values, or of single events' values.
struct QuantileSpec {
  std::string key;
  double q = 0.5;
  bool of_events = false;
  int column = -1;           // Not of_events: index into Plan::columns.
  Term term;                 // of_events.
  TimeWindow window;         // of_events.
  double confidence = 0.95;  // How wide an order-statistic interval must be available.
  int64_t maturity_ms = 0;   // Units younger than this at as_of are left out, as in Group.
  bool operator==(const QuantileSpec&) const = default;
};

// A breakdown by unit attributes, frozen at first exposure; several = compound.
struct SliceSpec {
  std::string key;
  std::vector<std::string> attributes;
  int max_values = 20;  // The rest is "other".
  bool operator==(const SliceSpec&) const = default;
};

struct Arm {
  std::string key;
  double weight = 1;  // Expected share is weight / Σ weights, per phase where exposures carry one.
  bool operator==(const Arm&) const = default;
};

// What a SliceSpec names among its attributes to slice by the variant that the unit was first shown
// in another experiment, at any time: for interactions of experiments. Files know of no other one.
inline constexpr std::string_view kVariantIn = "\x01variant in ";
inline std::string VariantIn(const std::string& experiment) {
  return std::string(kVariantIn) + experiment;
}
// The experiment, "" where `attribute` is an attribute of the unit.
inline std::string OtherExperiment(std::string_view attribute) {
  if (attribute.substr(0, kVariantIn.size()) != kVariantIn) return "";
  return std::string(attribute.substr(kVariantIn.size()));
}

enum class EnrolRule { kExposure, kEvent };

// A unit with more than `more_than` such events within `within_ms`, at any time from `within_ms`
// before its clock on, is left out. Seen of analysed units only.
struct BurstRule {
  std::vector<std::string> events;
  std::vector<EventFilter> filters;
  int64_t more_than = 0;
  int64_t within_ms = 0;
  bool operator==(const BurstRule&) const = default;
};

struct Population {
  std::string experiment;
  std::string unit_kind;
  std::vector<Arm> arms;  // The control first.
  EnrolRule enrol = EnrolRule::kExposure;
  std::vector<std::string> enrol_events;  // kEvent: the clock starts at the first, after exposure.
  int64_t from_ms = INT64_MIN;            // Exposures outside [from, to) are not of this analysis.
  int64_t to_ms = INT64_MAX;
  std::string exclude_attribute;  // Units with this attribute true are left out, counted.
  // … and units of which one of these lists of tests on attributes holds entirely …
  std::vector<std::vector<EventFilter>> exclude_any;
  std::vector<BurstRule> exclude_bursts;  // … and these, once their events are seen.
  bool exclude_multi_arm = false;         // Sensitivity: leave out units seen in several arms.
  // Planning from history, before anybody was exposed: the units are those of unit_kind that did
  // anything (or, where events are named, one of these) in [from, to), all in arms[0], their clock
  // at the first such event. `experiment`, attributes and wash-out play no part. Stores only, not
  // files.
  bool active_units = false;
  std::vector<std::string> active_events;  // Raw names; empty = any event or exposure.
  std::string cluster_attribute;           // One Gram row per cluster and arm when set.
  // Switchback: blocks of this length from from_ms on, which must be set; the cluster is then the
  // block of the unit's first exposure (with a cluster_attribute: per value of it). Exposures in
  // the first washout_ms of a block are as if they had not been. 0 = not a switchback.
  int64_t block_ms = 0;
  int64_t washout_ms = 0;
  bool operator==(const Population&) const = default;
};

// Whether Grams have a row per cluster, and Cell::clusters is filled.
inline bool Clustered(const Population& population) {
  return !population.cluster_attribute.empty() || population.block_ms > 0;
}

// The first washout_ms of a block: what the block before did may not have worn off.
inline bool InWashout(const Population& population, int64_t ts_ms) {
  return population.washout_ms > 0 && population.block_ms > 0 && !population.active_units &&
         (ts_ms - population.from_ms) % population.block_ms < population.washout_ms;
}

struct Plan {
  Population population;
  std::vector<Column> columns;
  std::vector<Group> groups;
  std::vector<FunnelSpec> funnels;
  std::vector<JourneySpec> journeys;
  std::vector<TimeToSpec> time_to;
  std::vector<QuantileSpec> quantiles;
  std::vector<SliceSpec> slices;  // The whole is always computed.
  int64_t as_of_ms = INT64_MAX;   // Only what was received at or before counts; INT64_MAX
                                  // stands for the last arrival, also for maturity.
  int64_t memory_limit_bytes = 4LL << 30;
  bool operator==(const Plan&) const = default;
};

// --- Results -------------------------------------------------------------------------------------

// The whole has a cell for every arm, and phase that any unit is in, also without units; slices
// only where there are units. Data with one row per unit has phase 0 and no maturity.
// More clusters than this in a cell, and the Gram says enough: Cell::clusters stays empty.
inline constexpr size_t kMaxClusterRows = 2000;

struct Cell {
  int arm = 0;
  int phase = 0;
  int slice = -1;           // -1 = the whole; else index into Plan::slices …
  std::string slice_value;  // … and its value ("a / b" for compound ones, "(none)" where a unit
                            // has no such attribute, "other" for the tail).
  int group = 0;
  stats::Gram gram;      // Over Group::columns, in their order. With clusters or blocks: one
                         // row per cluster, the sums over its units of this cell, and one more
                         // column, last: their number. Units without the attribute are clusters
                         // of their own. A mean per unit is then a ratio to that column.
  int64_t maturing = 0;  // Units left out because their window has not passed.
  // The rows behind the Gram, in no order: of the whole, with clusters, up to kMaxClusterRows. For
  // leverages and for randomisation inference, which a Gram cannot give.
  std::vector<std::vector<double>> clusters;
};

// Kaplan–Meier input: at each distinct time of an event, units at risk and events. `censored` are
// the censorings from this time up to the next row's; before the first event they have a row.
struct RiskRow {
  double time_ms = 0;
  double at_risk = 0;
  double events = 0;
  double censored = 0;
};

struct SurvivalTable {
  int time_to = 0;  // Index into Plan::time_to.
  int arm = 0;
  std::vector<RiskRow> rows;
  // Where observations are not independent (journeys of a unit, units of a cluster): how many
  // independent groups there are, and the restricted mean's variance by the infinitesimal jackknife
  // over them, in ms². 0 and 0 where every observation is on its own.
  double n_clusters = 0;
  double clustered_variance = 0;
};

struct QuantileResult {
  int quantile = 0;  // Index into Plan::quantiles.
  int arm = 0;
  double n = 0;           // Values.
  double n_clusters = 0;  // Units that contributed.
  double value = 0;       // Linear interpolation (type 7).
  double lower = 0;       // Order statistics that bracket it at `confidence` …
  double upper = 0;
  double density_sd = 0;  // … and the standard error they imply, design effect included.
};

// What was observed, before any test. Unit counts are of the analysis population unless said.
struct ArmHealth {
  double units = 0;            // First shown in this arm, excluded_units left out; units
                               // seen in several arms or never triggered are in it.
  double exposures = 0;        // Exposure rows, repeated exposure_ids included.
  double multi_arm_units = 0;  // First shown here, also seen elsewhere.
  double excluded_units = 0;   // By exclude_attribute, exclude_any or exclude_bursts …
  double burst_units = 0;      // … of them by exclude_bursts.
  std::map<int, double> excluded_by_phase;
  double triggered_units = 0;  // enrol: event only.
  double client_assigned = 0;  // Reported by clients: for exposure loss.
  double client_shown = 0;
  double client_sent = 0;
  double client_dropped = 0;
  std::map<int, double> units_by_phase;
  std::map<int64_t, double> units_by_day;  // Key: day start, UTC ms.
};

struct Health {
  std::vector<ArmHealth> arms;  // As Population::arms.
  double unknown_variant_exposures = 0;
  double duplicate_exposures = 0;  // Of the experiment: exposure_id was there before; left out.
  double duplicate_events = 0;     // Of everything: event_id was there before; left out.
  double events_scanned = 0;
  double rejected_rows = 0;                        // Files: rows that could not be read …
  std::map<std::string, double> rejected_reasons;  // … and why: "spend: not a number".
  std::map<std::string, double> unknown_variants;  // The unknown ones by name, the first 20.
  int64_t first_exposure_ms = 0;
  int64_t last_exposure_ms = 0;
  int64_t last_received_ms = 0;
};

struct PlanResult {
  std::vector<Cell> cells;
  std::vector<SurvivalTable> survival;
  std::vector<QuantileResult> quantiles;
  std::vector<double> cap_values;  // Per column: the cap applied, +inf where none.
  Health health;
  int64_t as_of_ms = 0;  // The instant the result stands for.
};

}  // namespace fulcrum::store
