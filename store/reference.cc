// SPDX-License-Identifier: Apache-2.0
#include "store/reference.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <set>

#include "store/fold_cells.h"
#include "store/fold_filter.h"
#include "store/fold_tables.h"
#include "store/reference_survival.h"

namespace fulcrum::store {
namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
constexpr int64_t kDay = 24LL * 3600 * 1000;

struct Unit {
  UnitKey key;
  int arm = 0;
  const PastExposure* first = nullptr;
  bool multi_arm = false;
  std::optional<int64_t> clock_ms;
  std::vector<const PastEvent*> events;  // All of its own and its known users', in time order.
  std::vector<double> row;
};

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::optional<Literal> PropertyOf(const PastEvent& event, const std::string& name) {
  if (name == "value" && event.value) return Literal(*event.value);
  if (name == "order_id" && !event.order_id.empty()) return Literal(event.order_id);
  if (name == "session_id" && !event.session_id.empty()) return Literal(event.session_id);
  if (name == "currency" && !event.currency.empty()) return Literal(event.currency);
  const auto it = event.properties.find(name);
  if (it == event.properties.end()) return std::nullopt;
  return it->second;
}

// What one event adds under a term; nullopt = it does not match.
std::optional<double> TermValue(const Term& term, const PastEvent& event) {
  if (!Contains(term.events, event.name)) return std::nullopt;
  for (const EventFilter& filter : term.filters) {
    const std::optional<Literal> value = PropertyOf(event, filter.property);
    if (!FilterMatches(filter, value ? &*value : nullptr)) return std::nullopt;
  }
  if (term.property.empty()) return term.coefficient;
  const std::optional<Literal> value = PropertyOf(event, term.property);
  if (!value) return std::nullopt;
  const std::optional<double> number = NumberOf(*value);
  if (!number || !std::isfinite(*number)) return std::nullopt;
  return term.coefficient * *number;
}

bool Within(const PastEvent& event, int64_t clock_ms, int64_t start_ms, int64_t end_ms) {
  const int64_t dt_ms = event.ts_ms - clock_ms;
  return dt_ms >= start_ms && dt_ms < end_ms;
}

class Reference {
 public:
  Reference(const History& history, const Plan& plan) : history_(history), plan_(plan) {}

  ReferenceResult Run() {
    out_.result.health.arms.resize(plan_.population.arms.size());
    ReceivedBy();
    FindUnits();
    StartClocks();
    for (Unit& unit : units_) {
      if (!unit.clock_ms) continue;
      for (size_t c = 0; c < plan_.columns.size(); ++c) {
        unit.row.push_back(Value(unit, plan_.columns[c]));
      }
      out_.rows[unit.key] = unit.row;
    }
    FindCaps();
    MakeCells();
    MakeSurvival();
    MakeQuantiles();
    out_.result.as_of_ms = as_of_ms_;
    return std::move(out_);
  }

 private:
  // Keeps what had arrived by the as-of, without repeated ids.
  void ReceivedBy() {
    Health& health = out_.result.health;
    int64_t latest_ms = 0;
    std::set<std::string> seen;
    for (const PastExposure& exposure : history_.exposures) {
      if (exposure.received_ms > plan_.as_of_ms) continue;
      latest_ms = std::max(latest_ms, exposure.received_ms);
      exposures_.push_back(&exposure);
      repeated_.push_back(!exposure.exposure_id.empty() &&
                          !seen.insert(exposure.exposure_id).second);
    }
    seen.clear();
    for (const PastEvent& event : history_.events) {
      if (event.received_ms > plan_.as_of_ms) continue;
      latest_ms = std::max(latest_ms, event.received_ms);
      if (!event.event_id.empty() && !seen.insert(event.event_id).second) {
        ++health.duplicate_events;
      } else {
        events_.push_back(&event);
      }
    }
    for (const PastLink& link : history_.links) {
      if (link.received_ms > plan_.as_of_ms) continue;
      latest_ms = std::max(latest_ms, link.received_ms);
      links_.push_back(&link);
    }
    health.last_received_ms = latest_ms;
    as_of_ms_ = plan_.as_of_ms == kForever ? latest_ms : plan_.as_of_ms;
  }

  int ArmOf(const std::string& variant) const {
    for (size_t a = 0; a < plan_.population.arms.size(); ++a) {
      if (plan_.population.arms[a].key == variant) return static_cast<int>(a);
    }
    return -1;
  }

  // Population::active_units: every unit's first event or exposure is as if it were exposed then.
  void FindActiveUnits() {
    const Population& population = plan_.population;
    Health& health = out_.result.health;
    std::map<UnitKey, int64_t> first_ms;
    const auto see = [&](const UnitKey& key, int64_t ts_ms) {
      if (key.first != population.unit_kind) return;
      if (ts_ms < population.from_ms || ts_ms >= population.to_ms) return;
      if (health.first_exposure_ms == 0) health.first_exposure_ms = ts_ms;
      health.first_exposure_ms = std::min(health.first_exposure_ms, ts_ms);
      health.last_exposure_ms = std::max(health.last_exposure_ms, ts_ms);
      int64_t& first = first_ms.try_emplace(key, ts_ms).first->second;
      first = std::min(first, ts_ms);
    };
    const bool any = population.active_events.empty();
    for (const PastEvent* event : events_) {
      if (!any && !Contains(population.active_events, event->name)) continue;
      for (const UnitKey& id : IdsOf(*event)) see(id, event->ts_ms);
    }
    for (size_t i = 0; any && i < exposures_.size(); ++i) {
      if (!repeated_[i]) see(exposures_[i]->unit, exposures_[i]->ts_ms);
    }
    for (const auto& [key, ts_ms] : first_ms) {
      PastExposure& shown = activity_.emplace_back();
      shown.ts_ms = ts_ms;
      units_.push_back({.key = key, .first = &shown});
    }
  }

  static std::vector<UnitKey> IdsOf(const PastEvent& event) {
    std::vector<UnitKey> ids = event.ids;
    if (!event.order_id.empty()) ids.emplace_back("order", event.order_id);
    if (!event.session_id.empty()) ids.emplace_back("session", event.session_id);
    return ids;
  }

  void FindUnits() {
    const Population& population = plan_.population;
    if (population.active_units) return FindActiveUnits();
    Health& health = out_.result.health;
    std::map<UnitKey, Unit> units;
    for (size_t i = 0; i < exposures_.size(); ++i) {
      const PastExposure& exposure = *exposures_[i];
      if (exposure.experiment != population.experiment) continue;
      const int arm = ArmOf(exposure.variant);
      if (repeated_[i]) {
        ++health.duplicate_exposures;
        if (arm >= 0) ++health.arms[static_cast<size_t>(arm)].exposures;
        continue;
      }
      if (exposure.unit.first != population.unit_kind) continue;
      if (exposure.ts_ms < population.from_ms || exposure.ts_ms >= population.to_ms) continue;
      const bool washout =
          population.block_ms > 0 &&
          (exposure.ts_ms - population.from_ms) % population.block_ms < population.washout_ms;
      if (arm < 0) {
        ++health.unknown_variant_exposures;
        ++health.unknown_variants[exposure.variant];
        continue;
      }
      ++health.arms[static_cast<size_t>(arm)].exposures;
      if (health.first_exposure_ms == 0 || exposure.ts_ms < health.first_exposure_ms) {
        health.first_exposure_ms = exposure.ts_ms;
      }
      health.last_exposure_ms = std::max(health.last_exposure_ms, exposure.ts_ms);
      if (washout) continue;
      Unit& unit = units[exposure.unit];
      if (unit.first != nullptr && unit.arm != arm) unit.multi_arm = true;
      // Strictly earlier: of two at one instant the one ingested first is the first.
      if (unit.first == nullptr || exposure.ts_ms < unit.first->ts_ms) {
        unit.key = exposure.unit;
        unit.arm = arm;
        unit.first = &exposure;
      }
    }
    for (auto& [key, unit] : units) units_.push_back(std::move(unit));
  }

  const Literal* Attribute(const Unit& unit, const std::string& name) const {
    const auto it = unit.first->attributes.find(name);
    return it == unit.first->attributes.end() ? nullptr : &it->second;
  }

  void StartClocks() {
    const Population& population = plan_.population;
    for (Unit& unit : units_) {
      ArmHealth& health = out_.result.health.arms[static_cast<size_t>(unit.arm)];
      if (Excluded(unit)) {
        ++health.excluded_units;
        ++health.excluded_by_phase[unit.first->phase];
        continue;
      }
      FindClock(&unit);
      if (unit.clock_ms && Bursts(unit)) {
        ++health.excluded_units;
        ++health.burst_units;
        ++health.excluded_by_phase[unit.first->phase];
        unit.clock_ms.reset();
        continue;
      }
      ++health.units;
      ++health.units_by_phase[unit.first->phase];
      ++health.units_by_day[unit.first->ts_ms / kDay * kDay];
      if (unit.multi_arm) ++health.multi_arm_units;
      if (population.enrol == EnrolRule::kEvent && unit.clock_ms) ++health.triggered_units;
    }
  }

  bool Excluded(const Unit& unit) const {
    const Population& population = plan_.population;
    const Literal* excluded = Attribute(unit, population.exclude_attribute);
    if (!population.exclude_attribute.empty() && excluded != nullptr && IsTrue(*excluded)) {
      return true;
    }
    for (const std::vector<EventFilter>& all : population.exclude_any) {
      bool holds = true;
      for (const EventFilter& test : all) {
        if (!FilterMatches(test, Attribute(unit, test.property))) holds = false;
      }
      if (holds) return true;
    }
    return false;
  }

  // Without one the unit is not analysed.
  void FindClock(Unit* unit) {
    const Population& population = plan_.population;
    if (unit->multi_arm && population.exclude_multi_arm) return;
    GatherEvents(unit);
    if (population.enrol == EnrolRule::kExposure) {
      unit->clock_ms = unit->first->ts_ms;
      return;
    }
    for (const PastEvent* event : unit->events) {
      if (!Contains(population.enrol_events, event->name)) continue;
      if (event->ts_ms < unit->first->ts_ms) continue;
      unit->clock_ms = std::min(unit->clock_ms.value_or(kForever), event->ts_ms);
    }
  }

  static bool Passes(const std::vector<EventFilter>& filters, const PastEvent& event) {
    for (const EventFilter& filter : filters) {
      const std::optional<Literal> value = PropertyOf(event, filter.property);
      if (!FilterMatches(filter, value ? &*value : nullptr)) return false;
    }
    return true;
  }

  bool Bursts(const Unit& unit) const {
    for (const BurstRule& rule : plan_.population.exclude_bursts) {
      for (const PastEvent* first : unit.events) {
        int64_t count = 0;
        for (const PastEvent* event : unit.events) {
          if (event->ts_ms < *unit.clock_ms - rule.within_ms) continue;
          if (!Contains(rule.events, event->name) || !Passes(rule.filters, *event)) continue;
          const int64_t later_ms = event->ts_ms - first->ts_ms;
          if (later_ms >= 0 && later_ms < rule.within_ms) ++count;
        }
        if (count > rule.more_than) return true;
      }
    }
    return false;
  }

  void GatherEvents(Unit* unit) {
    std::set<UnitKey> own = {unit->key};
    for (const PastLink* link : links_) {
      if (link->anonymous == unit->key) own.insert(link->known);
    }
    for (const PastEvent* event : events_) {
      // One event, once, whichever of its ids lead here.
      const std::vector<UnitKey> ids = IdsOf(*event);
      if (std::any_of(ids.begin(), ids.end(),
                      [&](const UnitKey& id) { return own.count(id) > 0; })) {
        unit->events.push_back(event);
      }
    }
    std::stable_sort(unit->events.begin(), unit->events.end(),
                     [](const PastEvent* a, const PastEvent* b) { return a->ts_ms < b->ts_ms; });
  }

  double SumOf(const Unit& unit, const Column& column, int64_t start_ms, int64_t end_ms) const {
    double sum = 0;
    for (const PastEvent* event : unit.events) {
      if (!Within(*event, *unit.clock_ms, start_ms, end_ms)) continue;
      for (const Term& term : column.terms) sum += TermValue(term, *event).value_or(0);
    }
    return sum;
  }

  double Value(const Unit& unit, const Column& column) const {
    const TimeWindow& window = column.window;
    switch (column.kind) {
      case ColumnKind::kSum:
        return SumOf(unit, column, window.start_ms, window.end_ms);
      case ColumnKind::kAtLeast:
        return SumOf(unit, column, window.start_ms, window.end_ms) >= column.threshold ? 1 : 0;
      case ColumnKind::kPre:
        return SumOf(unit, column, -column.pre_ms, 0);
      case ColumnKind::kHasPre:
        return !unit.events.empty() && unit.events.front()->ts_ms < *unit.clock_ms ? 1 : 0;
      case ColumnKind::kStage:
        return Reached(unit, plan_.funnels[static_cast<size_t>(column.funnel)], column.stage) ? 1
                                                                                              : 0;
      case ColumnKind::kJourney: {
        double count = 0;
        for (const Journey& journey :
             JourneysOf(unit, plan_.journeys[static_cast<size_t>(column.journey)])) {
          if (journey.at_ms.size() > static_cast<size_t>(column.stage)) ++count;
        }
        return count;
      }
    }
    return 0;
  }

  struct Journey {
    std::vector<int64_t> at_ms;  // When each stage was reached, as far as it came.
  };

  // Those that began.
  std::vector<Journey> JourneysOf(const Unit& unit, const JourneySpec& spec) const {
    std::map<std::string, std::vector<const PastEvent*>> events_of;
    for (const PastEvent* event : unit.events) {
      std::string key = "all";
      if (spec.per == JourneyKey::kOrder) key = event->order_id;
      if (spec.per == JourneyKey::kSession) key = event->session_id;
      if (!key.empty()) events_of[key].push_back(event);
    }
    std::vector<Journey> journeys;
    for (const auto& [key, events] : events_of) {
      Journey journey;
      for (const JourneyStage& stage : spec.stages) {
        std::optional<int64_t> at_ms;
        for (const PastEvent* event : events) {
          if (at_ms || !Contains(stage.events, event->name)) continue;
          if (!Passes(stage.filters, *event)) continue;
          if (journey.at_ms.empty()) {
            if (!Within(*event, *unit.clock_ms, spec.window.start_ms, spec.window.end_ms)) continue;
          } else {
            if (event->ts_ms < journey.at_ms.back()) continue;
            if (!Within(*event, journey.at_ms[0], spec.after.start_ms, spec.after.end_ms)) continue;
          }
          at_ms = event->ts_ms;
        }
        if (!at_ms) break;
        journey.at_ms.push_back(*at_ms);
      }
      if (!journey.at_ms.empty()) journeys.push_back(std::move(journey));
    }
    return journeys;
  }

  bool Reached(const Unit& unit, const FunnelSpec& funnel, int wanted) const {
    int64_t since_ms = *unit.clock_ms;  // When the last required stage was reached.
    for (size_t s = 0; s < funnel.stages.size(); ++s) {
      const FunnelStage& stage = funnel.stages[s];
      std::optional<int64_t> at_ms;
      const Literal* attribute = Attribute(unit, stage.satisfied_attribute);
      if (!stage.satisfied_attribute.empty() && attribute != nullptr) {
        for (const Literal& value : stage.satisfied_values) {
          if (LiteralEquals(*attribute, value)) at_ms = since_ms;
        }
      }
      for (const PastEvent* event : unit.events) {
        if (at_ms) break;
        if (event->ts_ms < since_ms || !Contains(stage.events, event->name)) continue;
        if (!Within(*event, *unit.clock_ms, funnel.window.start_ms, funnel.window.end_ms)) continue;
        at_ms = event->ts_ms;
      }
      if (static_cast<int>(s) == wanted) return at_ms.has_value();
      if (stage.optional) continue;
      if (!at_ms) return false;
      since_ms = *at_ms;
    }
    return false;
  }

  bool Mature(const Unit& unit, int64_t maturity_ms) const {
    return as_of_ms_ - *unit.clock_ms >= maturity_ms;
  }

  int64_t ShortestMaturity(int column) const {
    int64_t shortest_ms = kForever;
    for (const Group& group : plan_.groups) {
      if (std::find(group.columns.begin(), group.columns.end(), column) != group.columns.end()) {
        shortest_ms = std::min(shortest_ms, group.maturity_ms);
      }
    }
    return shortest_ms == kForever ? 0 : shortest_ms;
  }

  void FindCaps() {
    for (size_t c = 0; c < plan_.columns.size(); ++c) {
      double cap = std::numeric_limits<double>::infinity();
      const std::optional<CapRule>& rule = plan_.columns[c].cap;
      if (rule && rule->value) cap = *rule->value;
      if (rule && rule->quantile) {
        std::vector<double> values = CapValues(plan_.columns[c], static_cast<int>(c));
        std::sort(values.begin(), values.end());
        if (!values.empty()) {
          const double position = *rule->quantile * static_cast<double>(values.size() - 1);
          const double below = std::floor(position);
          const double low = values[static_cast<size_t>(below)];
          const double high = values[static_cast<size_t>(std::ceil(position))];
          cap = std::min(cap, low + (position - below) * (high - low));
        }
      }
      out_.result.cap_values.push_back(cap);
    }
  }

  // What the unit was first shown in another experiment.
  std::optional<Literal> FirstVariantIn(const std::string& experiment, const Unit& unit) const {
    if (plan_.population.active_units) return std::nullopt;
    const PastExposure* first = nullptr;
    for (size_t i = 0; i < exposures_.size(); ++i) {
      const PastExposure& exposure = *exposures_[i];
      if (repeated_[i] || exposure.experiment != experiment || exposure.unit != unit.key) continue;
      if (first == nullptr || exposure.ts_ms < first->ts_ms) first = &exposure;
    }
    return first == nullptr ? std::nullopt : std::optional(Literal(first->variant));
  }

  std::vector<double> CapValues(const Column& column, int c) const {
    const CapRule& rule = *column.cap;
    std::multimap<int64_t, double> by_clock;
    for (const Unit& unit : units_) {
      if (!unit.clock_ms) continue;
      if (rule.pre_ms > 0) {
        by_clock.emplace(*unit.clock_ms, SumOf(unit, column, -rule.pre_ms, 0));
      } else if (Mature(unit, ShortestMaturity(c))) {
        by_clock.emplace(*unit.clock_ms, unit.row[static_cast<size_t>(c)]);
      }
    }
    if (by_clock.size() < static_cast<size_t>(rule.first_units)) return {};
    std::vector<double> values;
    int64_t taken = 0, last_clock_ms = 0;
    for (const auto& [clock_ms, value] : by_clock) {
      if (rule.first_units > 0 && taken >= rule.first_units && clock_ms != last_clock_ms) break;
      if (value != 0 || rule.include_zeros) values.push_back(value);
      last_clock_ms = clock_ms, ++taken;
    }
    return values;
  }

  std::string SliceValue(const Unit& unit, const SliceSpec& slice) const {
    std::string text;
    for (const std::string& attribute : slice.attributes) {
      const std::string other = OtherExperiment(attribute);
      const std::optional<Literal> shown = FirstVariantIn(other, unit);
      const Literal* value = other.empty() ? Attribute(unit, attribute) : shown ? &*shown : nullptr;
      if (&attribute != &slice.attributes.front()) text += " / ";
      text += value == nullptr ? "(none)" : LiteralText(*value);
    }
    return text;
  }

  // Value of each slice per unit, the tail as "other".
  std::map<UnitKey, std::string> SliceValues(const SliceSpec& slice) const {
    std::map<UnitKey, std::string> values;
    std::map<std::string, int> counts;
    for (const Unit& unit : units_) {
      if (!unit.clock_ms) continue;
      ++counts[values[unit.key] = SliceValue(unit, slice)];
    }
    for (auto& [key, value] : values) {
      int ahead = 0;  // Values that come before this one.
      for (const auto& [other, count] : counts) {
        if (count > counts[value] || (count == counts[value] && other < value)) ++ahead;
      }
      if (ahead >= slice.max_values) value = "other";
    }
    return values;
  }

  void MakeCells() {
    std::set<int32_t> phases;
    for (const Unit& unit : units_) {
      if (unit.clock_ms) phases.insert(unit.first->phase);
    }
    for (int s = -1; s < static_cast<int>(plan_.slices.size()); ++s) {
      std::map<UnitKey, std::string> value_of;
      if (s >= 0) value_of = SliceValues(plan_.slices[static_cast<size_t>(s)]);
      std::set<std::string> values;
      if (s < 0) values.insert("");
      for (const auto& [key, value] : value_of) values.insert(value);
      for (const std::string& value : values) {
        for (const int32_t phase : phases) {
          for (size_t arm = 0; arm < plan_.population.arms.size(); ++arm) {
            for (size_t g = 0; g < plan_.groups.size(); ++g) {
              Cell cell;
              cell.arm = static_cast<int>(arm);
              cell.phase = phase;
              cell.slice = s;
              cell.slice_value = value;
              cell.group = static_cast<int>(g);
              FillCell(value_of, &cell);
              if (s >= 0 && cell.gram.n() == 0 && cell.maturing == 0) continue;
              out_.result.cells.push_back(std::move(cell));
            }
          }
        }
      }
    }
  }

  void FillCell(const std::map<UnitKey, std::string>& value_of, Cell* cell) const {
    const Group& group = plan_.groups[static_cast<size_t>(cell->group)];
    const bool clustered = Clustered(plan_.population);
    const size_t width = group.columns.size() + (clustered ? 1 : 0);
    std::map<std::string, std::vector<double>> clusters;
    for (const Unit& unit : units_) {
      if (!unit.clock_ms || unit.arm != cell->arm || unit.first->phase != cell->phase) continue;
      if (cell->slice >= 0 && value_of.at(unit.key) != cell->slice_value) continue;
      if (!Mature(unit, group.maturity_ms)) {
        ++cell->maturing;
        continue;
      }
      std::vector<double>& row = clusters[ClusterOf(unit)];
      row.resize(width, 0.0);
      for (size_t i = 0; i < group.columns.size(); ++i) {
        const size_t c = static_cast<size_t>(group.columns[i]);
        row[i] += std::min(unit.row[c], out_.result.cap_values[c]);
      }
      if (clustered) row[width - 1] += 1;
    }
    cell->gram = stats::Gram(width);
    for (const auto& [cluster, row] : clusters) {
      cell->gram.Add(row);
      if (clustered && cell->slice < 0 && clusters.size() <= kMaxClusterRows) {
        cell->clusters.push_back(row);
      }
    }
  }

  // A text that no two clusters share; without a cluster attribute each unit is one.
  std::string ClusterOf(const Unit& unit) const {
    const Literal* cluster = Attribute(unit, plan_.population.cluster_attribute);
    if (plan_.population.block_ms > 0) {
      const int64_t since_ms = unit.first->ts_ms - plan_.population.from_ms;
      std::string block = "block " + std::to_string(since_ms / plan_.population.block_ms);
      if (cluster == nullptr) return block;
      return block + (std::holds_alternative<std::string>(*cluster) ? " t" : " v") +
             LiteralText(*cluster);
    }
    if (plan_.population.cluster_attribute.empty() || cluster == nullptr) {
      return "unit " + unit.key.first + "/" + unit.key.second;
    }
    const char type = std::holds_alternative<std::string>(*cluster) ? 't' : 'v';
    return std::string("cluster ") + type + LiteralText(*cluster);
  }

  void MakeSurvival() {
    for (size_t i = 0; i < plan_.time_to.size(); ++i) {
      for (size_t arm = 0; arm < plan_.population.arms.size(); ++arm) {
        SurvivalTable table;
        table.time_to = static_cast<int>(i);
        table.arm = static_cast<int>(arm);
        FillSurvival(plan_.time_to[i], &table);
        out_.result.survival.push_back(std::move(table));
      }
    }
  }

  void FillSurvival(const TimeToSpec& spec, SurvivalTable* table) const {
    std::multimap<int64_t, bool> ends;  // Duration -> whether it ended in the event.
    std::vector<ReferenceObservation> observed;
    const auto add = [&](const Unit& unit, int64_t start_ms, std::optional<int64_t> end_ms) {
      const int64_t watched_ms = std::max<int64_t>(0, as_of_ms_ - start_ms);
      ReferenceObservation seen{std::min(watched_ms, spec.horizon_ms), false, ClusterOf(unit)};
      if (end_ms && *end_ms - start_ms < spec.horizon_ms && *end_ms - start_ms <= watched_ms) {
        seen.time_ms = *end_ms - start_ms;
        seen.event = true;
      }
      ends.emplace(seen.time_ms, seen.event);
      observed.push_back(std::move(seen));
    };
    for (const Unit& unit : units_) {
      if (!unit.clock_ms || unit.arm != table->arm) continue;
      if (spec.journey >= 0) {
        for (const Journey& journey :
             JourneysOf(unit, plan_.journeys[static_cast<size_t>(spec.journey)])) {
          std::optional<int64_t> end_ms;
          if (journey.at_ms.size() > 1) end_ms = journey.at_ms[1];
          add(unit, journey.at_ms[0], end_ms);
        }
        continue;
      }
      std::optional<int64_t> start_ms;
      if (spec.from_events.empty()) start_ms = *unit.clock_ms;
      std::optional<int64_t> end_ms;
      for (const PastEvent* event : unit.events) {
        if (event->ts_ms < *unit.clock_ms) continue;
        if (!start_ms && Contains(spec.from_events, event->name)) start_ms = event->ts_ms;
      }
      if (!start_ms) continue;
      for (const PastEvent* event : unit.events) {
        if (event->ts_ms < *start_ms || end_ms) continue;
        if (Contains(spec.to_events, event->name)) end_ms = event->ts_ms;
      }
      add(unit, *start_ms, end_ms);
    }
    for (auto it = ends.begin(); it != ends.end(); it = ends.upper_bound(it->first)) {
      RiskRow row;
      row.time_ms = static_cast<double>(it->first);
      row.at_risk = static_cast<double>(std::distance(it, ends.end()));
      for (auto same = it; same != ends.upper_bound(it->first); ++same) {
        ++(same->second ? row.events : row.censored);
      }
      if (row.events == 0 && !table->rows.empty()) {
        table->rows.back().censored += row.censored;
      } else {
        table->rows.push_back(row);
      }
    }
    if (spec.journey >= 0 || !plan_.population.cluster_attribute.empty()) {
      AddReferenceVariance(observed, static_cast<double>(spec.horizon_ms), table);
    }
  }

  void MakeQuantiles() {
    std::map<std::string, uint32_t> number_of;
    for (size_t i = 0; i < plan_.quantiles.size(); ++i) {
      const QuantileSpec& spec = plan_.quantiles[i];
      for (size_t arm = 0; arm < plan_.population.arms.size(); ++arm) {
        std::vector<QuantileMember> members;
        for (const Unit& unit : units_) {
          if (!unit.clock_ms || unit.arm != static_cast<int>(arm)) continue;
          if (!Mature(unit, spec.maturity_ms)) continue;
          const uint32_t cluster =
              number_of.try_emplace(ClusterOf(unit), static_cast<uint32_t>(number_of.size()))
                  .first->second;
          if (!spec.of_events) {
            const size_t c = static_cast<size_t>(spec.column);
            members.push_back({cluster, std::min(unit.row[c], out_.result.cap_values[c])});
            continue;
          }
          for (const PastEvent* event : unit.events) {
            if (!Within(*event, *unit.clock_ms, spec.window.start_ms, spec.window.end_ms)) continue;
            const std::optional<double> value = TermValue(spec.term, *event);
            if (value) members.push_back({cluster, *value});
          }
        }
        const bool clustered = spec.of_events || Clustered(plan_.population);
        QuantileResult result = MakeQuantile(std::move(members), clustered, spec);
        result.quantile = static_cast<int>(i);
        result.arm = static_cast<int>(arm);
        out_.result.quantiles.push_back(result);
      }
    }
  }

  const History& history_;
  const Plan& plan_;
  int64_t as_of_ms_ = 0;
  std::vector<const PastExposure*> exposures_;
  std::deque<PastExposure> activity_;  // Units point into it.
  std::vector<bool> repeated_;
  std::vector<const PastEvent*> events_;
  std::vector<const PastLink*> links_;
  std::vector<Unit> units_;
  ReferenceResult out_;
};

}  // namespace

ReferenceResult RunReference(const History& history, const Plan& plan) {
  return Reference(history, plan).Run();
}

}  // namespace fulcrum::store
