// SPDX-License-Identifier: Apache-2.0
//
// A plan to a FoldProgram: names become codes, windows become bounds of ts - clock, and what cannot
// be run is refused here, before any data is read.
#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "base/status.h"
#include "store/fold_program.h"

namespace fulcrum::store {
namespace {

constexpr int kMaxStages = 32;
constexpr int kMaxFilters = 64;
constexpr int kMaxArms = 1000;

int64_t AddSaturated(int64_t a, int64_t b) { return b > kNever - a ? kNever : a + b; }

int Intern(std::vector<std::string>* names, const std::string& name) {
  const auto it = std::find(names->begin(), names->end(), name);
  if (it != names->end()) return static_cast<int>(it - names->begin());
  names->push_back(name);
  return static_cast<int>(names->size()) - 1;
}

bool SameFilter(const EventFilter& a, const EventFilter& b) {
  return a.property == b.property && a.op == b.op && a.values == b.values;
}

class Compiler {
 public:
  explicit Compiler(const Plan& plan) { out_.plan = plan; }

  absl::StatusOr<FoldProgram> Run() {
    FULCRUM_RETURN_IF_ERROR(CheckPopulation());
    FULCRUM_RETURN_IF_ERROR(CompileFunnels());
    FULCRUM_RETURN_IF_ERROR(CompileJourneys());
    FULCRUM_RETURN_IF_ERROR(CompileColumns());
    FULCRUM_RETURN_IF_ERROR(CheckGroups());
    FULCRUM_RETURN_IF_ERROR(CompileTimes());
    FULCRUM_RETURN_IF_ERROR(CompileQuantiles());
    FULCRUM_RETURN_IF_ERROR(CompileSlices());
    FULCRUM_RETURN_IF_ERROR(CompileExclusions());
    out_.needs.enrolments = out_.plan.population.enrol_events;
    for (const EventProgram& event : out_.events) {
      out_.needs.earliest_ms = std::min(out_.needs.earliest_ms, event.lo_ms);
      out_.needs.latest_ms = std::max(out_.needs.latest_ms, event.hi_ms);
      uint64_t filters = 0;
      for (const AddOp& op : event.sums) filters |= op.filters;
      for (const AddOp& op : event.values) filters |= op.filters;
      for (const JourneyMark& mark : event.journeys) filters |= mark.filters;
      for (const BurstMark& mark : event.bursts) filters |= mark.filters;
      out_.needs.filters_of_event.push_back(filters);
    }
    out_.needs.every_event = out_.has_pre;
    return std::move(out_);
  }

 private:
  EventProgram& Event(const std::string& name) {
    const int code = Intern(&out_.needs.events, name);
    if (static_cast<size_t>(code) == out_.events.size()) out_.events.emplace_back();
    return out_.events[static_cast<size_t>(code)];
  }

  EventProgram& Event(const std::string& name, int64_t lo_ms, int64_t hi_ms) {
    EventProgram& event = Event(name);
    event.lo_ms = std::min(event.lo_ms, lo_ms);
    event.hi_ms = std::max(event.hi_ms, hi_ms);
    return event;
  }

  absl::Status CheckPopulation() {
    const Population& population = out_.plan.population;
    if (population.arms.empty()) {
      return InvalidArgument("the plan has no arms; name at least the control");
    }
    if (population.arms.size() > kMaxArms) {
      return InvalidArgument("the plan has " + std::to_string(population.arms.size()) +
                             " arms; at most " + std::to_string(kMaxArms) + " can be compared");
    }
    std::set<std::string> keys;
    for (const Arm& arm : population.arms) {
      if (!keys.insert(arm.key).second) {
        return InvalidArgument("arm \"" + arm.key + "\" is in the plan twice; name it once");
      }
    }
    if (population.enrol == EnrolRule::kEvent && population.enrol_events.empty()) {
      return InvalidArgument("enrolment is by event, but no enrol event is named; name one");
    }
    if (population.block_ms > 0) {
      if (population.from_ms == std::numeric_limits<int64_t>::min()) {
        return InvalidArgument("blocks of a switchback count from the start; set from_ms");
      }
      if (population.enrol == EnrolRule::kEvent) {
        return InvalidArgument(
            "a switchback's unit is of the block it was exposed in; "
            "enrol by exposure");
      }
    }
    if (!population.exclude_attribute.empty()) {
      out_.exclude_slot = Intern(&out_.needs.attributes, population.exclude_attribute);
    }
    if (!population.cluster_attribute.empty()) {
      out_.cluster_slot = Intern(&out_.needs.attributes, population.cluster_attribute);
    }
    return absl::OkStatus();
  }

  static absl::Status CheckWindow(const TimeWindow& window, const std::string& where) {
    if (window.start_ms < 0 || window.end_ms <= window.start_ms) {
      return InvalidArgument(where + " has a window that is empty or begins before the clock; " +
                             "it must be 0 <= start < end");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<AddOp> CompileTerm(const Term& term, const std::string& where) {
    if (term.events.empty()) {
      return InvalidArgument(where + " has a term without an event; name the events it adds up");
    }
    if (!std::isfinite(term.coefficient)) {
      return InvalidArgument(where + " has a coefficient that is not a finite number");
    }
    AddOp op;
    op.coefficient = term.coefficient;
    if (!term.property.empty()) op.slot = Intern(&out_.needs.values, term.property);
    FULCRUM_ASSIGN_OR_RETURN(op.filters, CompileFilters(term.filters, where));
    return op;
  }

  static absl::Status CheckFilters(const std::vector<EventFilter>& filters,
                                   const std::string& where) {
    for (const EventFilter& filter : filters) {
      const bool valueless = filter.op == CompareOp::kPresent || filter.op == CompareOp::kAbsent;
      const bool many = filter.op == CompareOp::kIn || filter.op == CompareOp::kNotIn;
      if (!valueless && (filter.values.empty() || (!many && filter.values.size() != 1))) {
        return InvalidArgument(where + " has a filter on \"" + filter.property + "\" with " +
                               std::to_string(filter.values.size()) +
                               " values; give one, or a list to in / not in");
      }
    }
    return absl::OkStatus();
  }

  // Their bits.
  absl::StatusOr<uint64_t> CompileFilters(const std::vector<EventFilter>& filters,
                                          const std::string& where) {
    FULCRUM_RETURN_IF_ERROR(CheckFilters(filters, where));
    uint64_t bits = 0;
    for (const EventFilter& filter : filters) {
      auto& known = out_.needs.filters;
      size_t bit = 0;
      while (bit < known.size() && !SameFilter(known[bit], filter)) ++bit;
      if (bit == known.size()) known.push_back(filter);
      if (known.size() > kMaxFilters) {
        return InvalidArgument(where + " takes the plan past " + std::to_string(kMaxFilters) +
                               " different filters; run fewer metrics at once");
      }
      bits |= uint64_t{1} << bit;
    }
    return bits;
  }

  absl::Status CompileColumns() {
    std::set<std::string> names;
    for (const Column& column : out_.plan.columns) {
      const std::string where = "column \"" + column.name + "\"";
      if (!names.insert(column.name).second) {
        return InvalidArgument(where + " is in the plan twice; give it another name");
      }
      if (!column.source_column.empty()) {
        return InvalidArgument(where + " reads source_column \"" + column.source_column +
                               "\", but this data has one row per event; give it terms");
      }
      if (column.cap && column.kind != ColumnKind::kSum) {
        return InvalidArgument(where + " has a cap, but only sums can be capped; remove it");
      }
      out_.sum_of_column.push_back(-1);
      out_.cap_sum_of_column.push_back(-1);
      FULCRUM_RETURN_IF_ERROR(CompileColumn(column, where));
    }
    return absl::OkStatus();
  }

  absl::Status CompileColumn(const Column& column, const std::string& where) {
    switch (column.kind) {
      case ColumnKind::kStage: {
        const auto& funnels = out_.plan.funnels;
        if (column.funnel < 0 || column.funnel >= static_cast<int>(funnels.size()) ||
            column.stage < 0 ||
            column.stage >=
                static_cast<int>(funnels[static_cast<size_t>(column.funnel)].stages.size())) {
          return InvalidArgument(where + " names a funnel or stage that the plan does not have");
        }
        return absl::OkStatus();
      }
      case ColumnKind::kJourney: {
        const auto& journeys = out_.plan.journeys;
        if (column.journey < 0 || column.journey >= static_cast<int>(journeys.size()) ||
            column.stage < 0 ||
            column.stage >=
                static_cast<int>(journeys[static_cast<size_t>(column.journey)].stages.size())) {
          return InvalidArgument(where + " names a journey or stage that the plan does not have");
        }
        out_.sum_of_column.back() = out_.sums++;
        return absl::OkStatus();
      }
      case ColumnKind::kHasPre:
        out_.has_pre = true;
        return absl::OkStatus();
      case ColumnKind::kAtLeast:
        if (!(column.threshold > 0) || !std::isfinite(column.threshold)) {
          return InvalidArgument(where + " has a threshold that is not above 0");
        }
        return CompileSum(column, where, column.window, &out_.sum_of_column);
      case ColumnKind::kSum:
        FULCRUM_RETURN_IF_ERROR(CheckCap(column, where));
        FULCRUM_RETURN_IF_ERROR(CompileSum(column, where, column.window, &out_.sum_of_column));
        if (!column.cap || !column.cap->quantile || column.cap->pre_ms == 0) {
          out_.cap_sum_of_column.back() = out_.sum_of_column.back();
          return absl::OkStatus();
        }
        return CompileSum(column, where, {-column.cap->pre_ms, 0}, &out_.cap_sum_of_column);
      case ColumnKind::kPre:
        if (column.pre_ms <= 0) {
          return InvalidArgument(where + " is a covariate without a pre-period; set pre_ms");
        }
        return CompileSum(column, where, {-column.pre_ms, 0}, &out_.sum_of_column);
    }
    return InvalidArgument(where + " is of an unknown kind");
  }

  static absl::Status CheckCap(const Column& column, const std::string& where) {
    if (!column.cap) return absl::OkStatus();
    const CapRule& cap = *column.cap;
    if (cap.value && !std::isfinite(*cap.value)) {
      return InvalidArgument(where + " has a cap that is not a finite number");
    }
    if (cap.quantile && !(*cap.quantile > 0 && *cap.quantile <= 1)) {
      return InvalidArgument(where + " has a cap quantile outside (0, 1]");
    }
    if (cap.pre_ms < 0 || cap.first_units < 0) {
      return InvalidArgument(where + " has a cap of a negative time or number of units");
    }
    return absl::OkStatus();
  }

  // Adds a sum and puts its index last into *sums.
  absl::Status CompileSum(const Column& column, const std::string& where, TimeWindow window,
                          std::vector<int>* sums) {
    if (window.start_ms >= 0) FULCRUM_RETURN_IF_ERROR(CheckWindow(window, where));
    if (column.terms.empty()) {
      return InvalidArgument(where + " has no terms; say which events it adds up");
    }
    sums->back() = out_.sums;
    for (const Term& term : column.terms) {
      FULCRUM_ASSIGN_OR_RETURN(AddOp op, CompileTerm(term, where));
      op.target = out_.sums;
      op.lo_ms = window.start_ms;
      op.hi_ms = window.end_ms;
      const std::set<std::string> distinct(term.events.begin(), term.events.end());
      for (const std::string& name : distinct) {
        Event(name, op.lo_ms, op.hi_ms).sums.push_back(op);
      }
    }
    ++out_.sums;
    return absl::OkStatus();
  }

  absl::Status CheckGroups() {
    out_.maturity_of_column.assign(out_.plan.columns.size(), kNever);
    for (size_t g = 0; g < out_.plan.groups.size(); ++g) {
      const Group& group = out_.plan.groups[g];
      if (group.maturity_ms < 0) {
        return InvalidArgument("group " + std::to_string(g) + " has a negative maturity");
      }
      for (const int c : group.columns) {
        if (c < 0 || c >= static_cast<int>(out_.plan.columns.size())) {
          return InvalidArgument("group " + std::to_string(g) + " names column " +
                                 std::to_string(c) + ", which the plan does not have");
        }
        int64_t& shortest = out_.maturity_of_column[static_cast<size_t>(c)];
        shortest = std::min(shortest, group.maturity_ms);
      }
    }
    for (int64_t& maturity_ms : out_.maturity_of_column) {
      if (maturity_ms == kNever) maturity_ms = 0;
    }
    return absl::OkStatus();
  }

  void MarkStage(int chain, size_t stage, const std::vector<std::string>& events) {
    const Chain& of = out_.chains[static_cast<size_t>(chain)];
    for (const std::string& name : events) {
      EventProgram& event = Event(name, of.lo_ms, of.hi_ms);
      if (event.marks.empty() || event.marks.back().chain != chain) {
        event.marks.push_back({chain, 0});
      }
      event.marks.back().stages |= uint32_t{1} << stage;
    }
  }

  absl::Status CompileFunnels() {
    for (size_t f = 0; f < out_.plan.funnels.size(); ++f) {
      const FunnelSpec& funnel = out_.plan.funnels[f];
      const std::string where = "funnel \"" + funnel.key + "\"";
      if (funnel.stages.empty() || funnel.stages.size() > kMaxStages) {
        return InvalidArgument(where + " has " + std::to_string(funnel.stages.size()) +
                               " stages; give 1 to " + std::to_string(kMaxStages));
      }
      FULCRUM_RETURN_IF_ERROR(CheckWindow(funnel.window, where));
      Chain chain;
      chain.funnel = static_cast<int>(f);
      chain.lo_ms = funnel.window.start_ms;
      chain.hi_ms = funnel.window.end_ms;
      for (const FunnelStage& stage : funnel.stages) {
        if (stage.events.empty() && stage.satisfied_attribute.empty()) {
          return InvalidArgument(where + " has stage \"" + stage.key + "\" that no event reaches");
        }
        ChainStage compiled{stage.optional, -1, stage.satisfied_values};
        if (!stage.satisfied_attribute.empty()) {
          compiled.attribute = Intern(&out_.needs.attributes, stage.satisfied_attribute);
          chain.any_satisfied = true;
        }
        if (!stage.optional) chain.required |= uint32_t{1} << chain.stages.size();
        chain.stages.push_back(std::move(compiled));
      }
      const int index = static_cast<int>(out_.chains.size());
      out_.chain_of_funnel.push_back(index);
      out_.chains.push_back(std::move(chain));
      for (size_t s = 0; s < funnel.stages.size(); ++s) {
        MarkStage(index, s, funnel.stages[s].events);
      }
    }
    return absl::OkStatus();
  }

  absl::Status CompileJourneys() {
    for (size_t j = 0; j < out_.plan.journeys.size(); ++j) {
      const JourneySpec& journey = out_.plan.journeys[j];
      const std::string where = "journey \"" + journey.key + "\"";
      if (journey.stages.empty() || journey.stages.size() > kMaxStages) {
        return InvalidArgument(where + " has " + std::to_string(journey.stages.size()) +
                               " stages; give 1 to " + std::to_string(kMaxStages));
      }
      FULCRUM_RETURN_IF_ERROR(CheckWindow(journey.window, where));
      FULCRUM_RETURN_IF_ERROR(CheckWindow(journey.after, where));
      out_.needs.order_keys |= journey.per == JourneyKey::kOrder;
      out_.needs.session_keys |= journey.per == JourneyKey::kSession;
      for (size_t s = 0; s < journey.stages.size(); ++s) {
        const JourneyStage& stage = journey.stages[s];
        if (stage.events.empty()) {
          return InvalidArgument(where + " has a stage that no event reaches");
        }
        JourneyMark mark{static_cast<int>(j), uint32_t{1} << s, 0, journey.window.start_ms,
                         journey.window.end_ms};
        FULCRUM_ASSIGN_OR_RETURN(mark.filters, CompileFilters(stage.filters, where));
        if (s > 0) mark.hi_ms = AddSaturated(mark.hi_ms, journey.after.end_ms);
        const std::set<std::string> distinct(stage.events.begin(), stage.events.end());
        for (const std::string& name : distinct) {
          Event(name, mark.lo_ms, mark.hi_ms).journeys.push_back(mark);
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status CompileExclusions() {
    const Population& population = out_.plan.population;
    for (const std::vector<EventFilter>& all : population.exclude_any) {
      FULCRUM_RETURN_IF_ERROR(CheckFilters(all, "the exclusion"));
      std::vector<int> slots;
      for (const EventFilter& test : all) {
        slots.push_back(Intern(&out_.needs.attributes, test.property));
      }
      out_.exclude_any_slots.push_back(std::move(slots));
    }
    for (size_t r = 0; r < population.exclude_bursts.size(); ++r) {
      const BurstRule& rule = population.exclude_bursts[r];
      if (rule.events.empty() || rule.more_than < 1 || rule.within_ms <= 0) {
        return InvalidArgument("an exclusion by events needs an event, a number and a time");
      }
      BurstMark mark{static_cast<int>(r), 0, -rule.within_ms};
      FULCRUM_ASSIGN_OR_RETURN(mark.filters, CompileFilters(rule.filters, "the exclusion"));
      const std::set<std::string> distinct(rule.events.begin(), rule.events.end());
      for (const std::string& name : distinct) {
        Event(name, mark.lo_ms, kNever).bursts.push_back(mark);
      }
    }
    return absl::OkStatus();
  }

  absl::Status CompileTimeOfJourney(const TimeToSpec& spec) {
    if (spec.horizon_ms <= 0 || !spec.from_events.empty() || !spec.to_events.empty() ||
        spec.journey >= static_cast<int>(out_.plan.journeys.size()) ||
        out_.plan.journeys[static_cast<size_t>(spec.journey)].stages.size() != 2) {
      return InvalidArgument("time \"" + spec.key +
                             "\" is of a journey: it needs one of two stages, and a horizon");
    }
    return absl::OkStatus();
  }

  absl::Status CompileTimes() {
    for (size_t i = 0; i < out_.plan.time_to.size(); ++i) {
      const TimeToSpec& spec = out_.plan.time_to[i];
      if (spec.journey >= 0) {
        FULCRUM_RETURN_IF_ERROR(CompileTimeOfJourney(spec));
        continue;
      }
      if (spec.to_events.empty() || spec.horizon_ms <= 0) {
        return InvalidArgument("time \"" + spec.key + "\" needs an event to end at and a horizon");
      }
      if (spec.from_events.empty()) {
        const int index = static_cast<int>(out_.first_times.size());
        out_.first_times.push_back(static_cast<int>(i));
        const std::set<std::string> distinct(spec.to_events.begin(), spec.to_events.end());
        for (const std::string& name : distinct) {
          Event(name, 0, spec.horizon_ms).first_times.push_back(index);
        }
        continue;
      }
      Chain chain;
      chain.time_to = static_cast<int>(i);
      chain.stages.resize(2);
      const int index = static_cast<int>(out_.chains.size());
      out_.chains.push_back(std::move(chain));
      MarkStage(index, 0, spec.from_events);
      MarkStage(index, 1, spec.to_events);
    }
    return absl::OkStatus();
  }

  absl::Status CompileQuantiles() {
    for (size_t i = 0; i < out_.plan.quantiles.size(); ++i) {
      const QuantileSpec& spec = out_.plan.quantiles[i];
      const std::string where = "quantile \"" + spec.key + "\"";
      if (!(spec.q > 0 && spec.q < 1) || !(spec.confidence > 0 && spec.confidence < 1)) {
        return InvalidArgument(where + " needs q and confidence between 0 and 1");
      }
      if (!spec.of_events) {
        if (spec.column < 0 || spec.column >= static_cast<int>(out_.plan.columns.size())) {
          return InvalidArgument(where + " names a column that the plan does not have");
        }
        continue;
      }
      FULCRUM_RETURN_IF_ERROR(CheckWindow(spec.window, where));
      FULCRUM_ASSIGN_OR_RETURN(AddOp op, CompileTerm(spec.term, where));
      op.target = static_cast<int>(i);
      op.lo_ms = spec.window.start_ms;
      op.hi_ms = spec.window.end_ms;
      const std::set<std::string> distinct(spec.term.events.begin(), spec.term.events.end());
      for (const std::string& name : distinct) {
        Event(name, op.lo_ms, op.hi_ms).values.push_back(op);
      }
    }
    return absl::OkStatus();
  }

  absl::Status CompileSlices() {
    for (const SliceSpec& slice : out_.plan.slices) {
      if (slice.attributes.empty() || slice.max_values < 1) {
        return InvalidArgument("slice \"" + slice.key +
                               "\" needs an attribute and room for at least one value");
      }
      std::vector<int> slots;
      for (const std::string& attribute : slice.attributes) {
        slots.push_back(Intern(&out_.needs.attributes, attribute));
      }
      out_.slice_slots.push_back(std::move(slots));
    }
    return absl::OkStatus();
  }

  FoldProgram out_;
};

}  // namespace

absl::StatusOr<FoldProgram> CompileFold(const Plan& plan) { return Compiler(plan).Run(); }

}  // namespace fulcrum::store
