// SPDX-License-Identifier: Apache-2.0
#include "store/reference_worlds.h"

#include <algorithm>
#include <limits>

namespace fulcrum::store {
namespace {

constexpr int64_t kStart = 1700000000000;
constexpr int64_t kTick = 3600 * 1000;  // Few distinct instants, so that they collide.
constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

const char* const kEvents[] = {"browse", "order", "pay", "refund", "login"};
const char* const kExperiment = "checkout";

// SplitMix64: the same everywhere, unlike the standard distributions.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  int Below(int n) { return static_cast<int>(Next() % static_cast<uint64_t>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }
  template <typename T, size_t N>
  const T& Pick(const T (&items)[N]) {
    return items[Next() % N];
  }
  // Sums of these are exact in any order.
  double Amount() {
    static const double kAmounts[] = {0, 0.5, 1, 2, 3, 10, 64, -1.25};
    return Pick(kAmounts);
  }

 private:
  uint64_t state_;
};

class WorldMaker {
 public:
  explicit WorldMaker(uint64_t seed) : random_(seed) {
    // In short spans outcomes fall on the very ends of windows; in long ones windows are open.
    static const int kSpans[] = {5, 10, 40};
    span_ticks_ = random_.Pick(kSpans);
  }

  World Make() {
    MakePlan();
    MakeHistory();
    if (random_.OneIn(2)) world_.plan.as_of_ms = kStart + random_.Below(70) * kTick;
    return std::move(world_);
  }

 private:
  std::vector<std::string> SomeEvents() {
    std::vector<std::string> events = {random_.Pick(kEvents)};
    if (random_.OneIn(3)) events.emplace_back(random_.Pick(kEvents));
    return events;
  }

  TimeWindow SomeWindow() {
    TimeWindow window;
    if (random_.OneIn(3)) window.start_ms = random_.Below(1 + span_ticks_ / 8) * kTick;
    if (!random_.OneIn(3)) {
      window.end_ms = window.start_ms + (1 + random_.Below(span_ticks_ / 2)) * kTick;
    }
    return window;
  }

  EventFilter SomeFilter() {
    static const char* const kProperties[] = {"value",    "method",     "quantity", "gift",
                                              "order_id", "session_id", "currency", "nowhere"};
    static const CompareOp kOps[] = {
        CompareOp::kEq,    CompareOp::kNe, CompareOp::kIn,      CompareOp::kLt,     CompareOp::kGe,
        CompareOp::kNotIn, CompareOp::kGt, CompareOp::kPresent, CompareOp::kAbsent, CompareOp::kLe};
    EventFilter filter;
    filter.property = random_.Pick(kProperties);
    filter.op = random_.Pick(kOps);
    if (filter.op == CompareOp::kPresent || filter.op == CompareOp::kAbsent) return filter;
    filter.values.push_back(SomeLiteral());
    if (filter.op == CompareOp::kIn || filter.op == CompareOp::kNotIn) {
      filter.values.push_back(SomeLiteral());
    }
    return filter;
  }

  Literal SomeLiteral() {
    static const char* const kTexts[] = {"card", "transfer", "o1", "s1", "CNY", "", "true"};
    switch (random_.Below(5)) {
      case 0:
        return random_.OneIn(2);
      case 1:
        return int64_t{random_.Below(3)};
      case 2:
        return random_.Amount();
      default:
        return std::string(random_.Pick(kTexts));
    }
  }

  Term SomeTerm() {
    static const double kCoefficients[] = {1, 1, 1, -1, 0.5};
    static const char* const kProperties[] = {"",         "",     "value", "value",
                                              "quantity", "gift", "method"};
    Term term;
    term.coefficient = random_.Pick(kCoefficients);
    term.events = SomeEvents();
    term.property = random_.Pick(kProperties);
    while (random_.OneIn(3)) term.filters.push_back(SomeFilter());
    return term;
  }

  Column SomeColumn() {
    static const ColumnKind kKinds[] = {
        ColumnKind::kSum,     ColumnKind::kSum,    ColumnKind::kSum, ColumnKind::kAtLeast,
        ColumnKind::kStage,   ColumnKind::kStage,  ColumnKind::kPre, ColumnKind::kHasPre,
        ColumnKind::kAtLeast, ColumnKind::kJourney};
    Column column;
    column.name = "c" + std::to_string(world_.plan.columns.size());
    column.kind = random_.Pick(kKinds);
    if (column.kind == ColumnKind::kStage && world_.plan.funnels.empty()) {
      column.kind = ColumnKind::kSum;
    }
    if (column.kind == ColumnKind::kStage) {
      column.funnel = random_.Below(static_cast<int>(world_.plan.funnels.size()));
      const auto& funnel = world_.plan.funnels[static_cast<size_t>(column.funnel)];
      column.stage = random_.Below(static_cast<int>(funnel.stages.size()));
      return column;
    }
    if (column.kind == ColumnKind::kJourney && world_.plan.journeys.empty()) {
      column.kind = ColumnKind::kSum;
    }
    if (column.kind == ColumnKind::kJourney) {
      column.journey = random_.Below(static_cast<int>(world_.plan.journeys.size()));
      const auto& journey = world_.plan.journeys[static_cast<size_t>(column.journey)];
      column.stage = random_.Below(static_cast<int>(journey.stages.size()));
      return column;
    }
    if (column.kind == ColumnKind::kHasPre) return column;
    column.terms.push_back(SomeTerm());
    if (random_.OneIn(3)) column.terms.push_back(SomeTerm());
    if (column.kind == ColumnKind::kAtLeast && random_.OneIn(3)) column.threshold = 2;
    if (column.kind == ColumnKind::kPre) {
      column.pre_ms = (1 + random_.Below(span_ticks_ / 2)) * kTick;
    }
    column.window = SomeWindow();
    if (column.kind == ColumnKind::kSum && random_.OneIn(3)) {
      CapRule cap;
      if (random_.OneIn(2)) cap.value = random_.Amount();
      if (random_.OneIn(2)) cap.quantile = random_.OneIn(2) ? 0.5 : 0.9;
      cap.include_zeros = random_.OneIn(3);
      if (random_.OneIn(3)) cap.pre_ms = (1 + random_.Below(20)) * kTick;
      if (random_.OneIn(3)) cap.first_units = 1 + random_.Below(4);
      column.cap = cap;
    }
    return column;
  }

  FunnelSpec SomeFunnel() {
    FunnelSpec funnel;
    funnel.key = "f" + std::to_string(world_.plan.funnels.size());
    funnel.window = SomeWindow();
    const int stages = 1 + random_.Below(4);
    for (int s = 0; s < stages; ++s) {
      FunnelStage stage;
      stage.key = "s" + std::to_string(s);
      stage.events = SomeEvents();
      stage.optional = random_.OneIn(4);
      if (random_.OneIn(4)) {
        stage.satisfied_attribute = "registered";
        stage.satisfied_values = {Literal(true)};
        if (random_.OneIn(2)) stage.events.clear();
      }
      funnel.stages.push_back(std::move(stage));
    }
    return funnel;
  }

  JourneySpec SomeJourney() {
    static const JourneyKey kKeys[] = {JourneyKey::kOrder, JourneyKey::kOrder, JourneyKey::kSession,
                                       JourneyKey::kUnit};
    JourneySpec journey;
    journey.key = "j" + std::to_string(world_.plan.journeys.size());
    journey.per = random_.Pick(kKeys);
    journey.window = SomeWindow();
    journey.after = SomeWindow();
    const int stages = random_.OneIn(2) ? 2 : 1 + random_.Below(4);
    for (int s = 0; s < stages; ++s) {
      JourneyStage stage;
      stage.events = SomeEvents();
      while (random_.OneIn(4)) stage.filters.push_back(SomeFilter());
      journey.stages.push_back(std::move(stage));
    }
    return journey;
  }

  void MakeExclusions(Population* population) {
    while (random_.OneIn(4)) {
      EventFilter test;
      test.property = random_.OneIn(2) ? "channel" : "level";
      test.op = random_.OneIn(2) ? CompareOp::kEq : CompareOp::kGt;
      test.values.push_back(test.property == "level" ? Literal(0.5) : Literal("media"));
      if (random_.OneIn(3)) test = {"registered", CompareOp::kAbsent, {}};
      population->exclude_any.push_back({test});
      if (random_.OneIn(2)) {
        population->exclude_any.back().push_back({"registered", CompareOp::kNe, {Literal(true)}});
      }
    }
    if (random_.OneIn(5)) {
      BurstRule rule;
      rule.events = SomeEvents();
      if (random_.OneIn(3)) rule.filters.push_back(SomeFilter());
      rule.more_than = 1 + random_.Below(3);
      rule.within_ms = (1 + random_.Below(12)) * kTick;
      population->exclude_bursts.push_back(std::move(rule));
    }
  }

  void MakePopulation() {
    Population& population = world_.plan.population;
    population.experiment = kExperiment;
    population.unit_kind = random_.OneIn(6) ? "order" : "device";
    population.arms = {{"control", 1}, {"one-page", 1}};
    if (random_.OneIn(4)) population.arms.push_back({"nobody", 1});
    if (random_.OneIn(4)) {
      population.enrol = EnrolRule::kEvent;
      population.enrol_events = SomeEvents();
    }
    if (random_.OneIn(5)) population.from_ms = kStart + random_.Below(1 + span_ticks_ / 4) * kTick;
    if (random_.OneIn(5)) {
      population.to_ms = kStart + (span_ticks_ / 4 + random_.Below(span_ticks_ / 2)) * kTick;
    }
    if (random_.OneIn(4)) population.exclude_attribute = "bot";
    population.exclude_multi_arm = random_.OneIn(4);
    if (random_.OneIn(4)) population.cluster_attribute = "household";
    if (population.enrol == EnrolRule::kExposure && random_.OneIn(6)) {
      if (population.from_ms == std::numeric_limits<int64_t>::min()) {
        population.from_ms = kStart - kTick * random_.Below(3);
      }
      population.block_ms = (2 + random_.Below(8)) * kTick;
      if (random_.OneIn(2)) population.washout_ms = population.block_ms / 3;
    }
    MakeExclusions(&population);
  }

  void MakePlan() {
    Plan& plan = world_.plan;
    MakePopulation();
    for (int i = random_.Below(3); i > 0; --i) plan.funnels.push_back(SomeFunnel());
    for (int i = random_.Below(3); i > 0; --i) plan.journeys.push_back(SomeJourney());
    for (int i = 1 + random_.Below(5); i > 0; --i) plan.columns.push_back(SomeColumn());
    for (int i = 1 + random_.Below(2); i > 0; --i) {
      Group group;
      if (random_.OneIn(2)) group.maturity_ms = random_.Below(span_ticks_) * kTick;
      for (size_t c = 0; c < plan.columns.size(); ++c) {
        if (!random_.OneIn(4)) group.columns.push_back(static_cast<int>(c));
      }
      plan.groups.push_back(std::move(group));
    }
    for (int i = random_.Below(3); i > 0; --i) {
      TimeToSpec spec;
      spec.key = "t" + std::to_string(i);
      if (random_.OneIn(2)) spec.from_events = SomeEvents();
      spec.to_events = SomeEvents();
      if (!plan.journeys.empty() && plan.journeys.back().stages.size() == 2 && random_.OneIn(2)) {
        spec.journey = static_cast<int>(plan.journeys.size()) - 1;
        spec.from_events.clear();
        spec.to_events.clear();
      }
      spec.horizon_ms = (1 + random_.Below(30)) * kTick;
      plan.time_to.push_back(std::move(spec));
    }
    for (int i = random_.Below(3); i > 0; --i) {
      QuantileSpec spec;
      spec.key = "q" + std::to_string(i);
      spec.q = random_.OneIn(2) ? 0.5 : 0.9;
      spec.of_events = random_.OneIn(2);
      spec.column = random_.Below(static_cast<int>(plan.columns.size()));
      spec.term = SomeTerm();
      spec.window = SomeWindow();
      if (random_.OneIn(3)) spec.maturity_ms = random_.Below(20) * kTick;
      plan.quantiles.push_back(std::move(spec));
    }
    for (int i = random_.Below(3); i > 0; --i) {
      SliceSpec slice;
      slice.key = "slice" + std::to_string(i);
      slice.attributes = {random_.OneIn(2) ? "channel" : "registered"};
      if (random_.OneIn(3)) slice.attributes.push_back("level");
      slice.max_values = 1 + random_.Below(4);
      plan.slices.push_back(std::move(slice));
    }
  }

  UnitKey SomeDevice() { return {"device", "d" + std::to_string(random_.Below(6))}; }
  UnitKey SomeUser() { return {"user", "u" + std::to_string(random_.Below(3))}; }
  int64_t SomeTime() {
    return kStart + random_.Below(span_ticks_) * kTick + (random_.OneIn(8) ? random_.Below(3) : 0);
  }

  void MakeExposure(int64_t received_ms) {
    static const char* const kVariants[] = {"control", "one-page", "control", "one-page", "old"};
    static const char* const kChannels[] = {"search", "search", "organic", "other", "media"};
    PastExposure exposure;
    if (random_.OneIn(2)) exposure.exposure_id = "x" + std::to_string(random_.Below(8));
    exposure.experiment = random_.OneIn(6) ? "another" : kExperiment;
    exposure.unit = random_.OneIn(8) ? SomeUser() : SomeDevice();
    if (world_.plan.population.unit_kind == "order" && !random_.OneIn(8)) {
      exposure.unit = {"order", "o" + std::to_string(random_.Below(3))};
    }
    exposure.variant = random_.OneIn(3)
                           ? random_.Pick(kVariants)
                           : kVariants[exposure.unit.second.back() % 2];  // Mostly faithful.
    exposure.ts_ms = SomeTime();
    exposure.phase = random_.OneIn(4) ? random_.Below(3) : 1;
    if (!random_.OneIn(4)) exposure.attributes["channel"] = std::string(random_.Pick(kChannels));
    if (!random_.OneIn(4)) exposure.attributes["registered"] = random_.OneIn(2);
    if (random_.OneIn(2)) exposure.attributes["level"] = 0.5 * random_.Below(3);
    if (random_.OneIn(6)) exposure.attributes["bot"] = true;
    if (random_.OneIn(9)) exposure.attributes["bot"] = std::string("no");
    if (!random_.OneIn(4)) {
      exposure.attributes["household"] = "h" + std::to_string(random_.Below(3));
    }
    exposure.received_ms = received_ms;
    world_.history.exposures.push_back(std::move(exposure));
  }

  void MakeEvent(int64_t received_ms) {
    PastEvent event;
    if (random_.OneIn(2)) event.event_id = "e" + std::to_string(random_.Below(20));
    event.name = random_.OneIn(10) ? "unplanned" : random_.Pick(kEvents);
    event.ts_ms = SomeTime();
    if (random_.OneIn(3)) event.ids.push_back(SomeUser());
    if (event.ids.empty() || random_.OneIn(2)) event.ids.push_back(SomeDevice());
    if (random_.OneIn(3)) event.order_id = "o" + std::to_string(random_.Below(3));
    if (random_.OneIn(3)) event.session_id = "s" + std::to_string(random_.Below(3));
    if (!random_.OneIn(3)) event.value = random_.Amount();
    if (random_.OneIn(3)) event.currency = random_.OneIn(3) ? "USD" : "CNY";
    if (random_.OneIn(2)) event.properties["method"] = SomeLiteral();
    if (random_.OneIn(2)) event.properties["quantity"] = random_.Amount();
    if (random_.OneIn(3)) event.properties["gift"] = random_.OneIn(2);
    for (auto& [key, value] : event.properties) {
      // Properties arrive as JSON numbers: one numeric type.
      if (const auto* integer = std::get_if<int64_t>(&value)) {
        value = static_cast<double>(*integer);
      }
    }
    event.received_ms = received_ms;
    world_.history.events.push_back(std::move(event));
  }

  void MakeHistory() {
    int64_t received_ms = kStart;
    const int items = random_.Below(random_.OneIn(2) ? 60 : 120);
    for (int i = 0; i < items; ++i) {
      if (random_.OneIn(3)) received_ms += random_.Below(4) * kTick;
      const int what = random_.Below(10);
      if (what < 3) {
        MakeExposure(received_ms);
      } else if (what == 3) {
        world_.history.links.push_back({SomeDevice(), SomeUser(), SomeTime(), received_ms});
      } else {
        MakeEvent(received_ms);
      }
    }
  }

  Random random_;
  int span_ticks_ = 40;
  World world_;
};

void FillProperties(const std::map<std::string, Literal>& values,
                    std::vector<PropertyView>* views) {
  views->clear();
  for (const auto& [key, value] : values) {
    PropertyView view;
    view.key = key;
    if (const auto* text = std::get_if<std::string>(&value)) {
      view.text = *text;
    } else if (const auto* boolean = std::get_if<bool>(&value)) {
      view.type = PropertyType::kBool;
      view.boolean = *boolean;
    } else {
      view.type = PropertyType::kNumber;
      view.number = std::get<double>(value);
    }
    views->push_back(view);
  }
}

}  // namespace

World MakeWorld(uint64_t seed) { return WorldMaker(seed).Make(); }

ExposureView View(const PastExposure& exposure, ViewScratch* scratch) {
  FillProperties(exposure.attributes, &scratch->properties);
  ExposureView view;
  view.exposure_id = exposure.exposure_id;
  view.experiment = exposure.experiment;
  view.variant = exposure.variant;
  view.unit = {exposure.unit.first, exposure.unit.second};
  view.ts_ms = exposure.ts_ms;
  view.phase = exposure.phase;
  view.attributes = scratch->properties;
  return view;
}

EventView View(const PastEvent& event, ViewScratch* scratch) {
  scratch->ids.clear();
  for (const UnitKey& id : event.ids) scratch->ids.push_back({id.first, id.second});
  FillProperties(event.properties, &scratch->properties);
  EventView view;
  view.event_id = event.event_id;
  view.name = event.name;
  view.ts_ms = event.ts_ms;
  view.ids = scratch->ids;
  view.order_id = event.order_id;
  view.session_id = event.session_id;
  view.value = event.value;
  view.currency = event.currency;
  view.properties = scratch->properties;
  return view;
}

LinkView View(const PastLink& link) {
  return {{link.anonymous.first, link.anonymous.second},
          {link.known.first, link.known.second},
          link.ts_ms};
}

}  // namespace fulcrum::store
