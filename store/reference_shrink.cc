// SPDX-License-Identifier: Apache-2.0
//
// A failing world to a minimal one: everything that can go goes, what stays becomes as plain as it
// can, while it still fails.
#include <algorithm>
#include <limits>
#include <utility>

#include "store/fold.h"
#include "store/reference_worlds.h"

namespace fulcrum::store {
namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

using Fails = std::function<bool(const World&)>;

class Shrinker {
 public:
  Shrinker(World world, const Fails& fails) : world_(std::move(world)), fails_(fails) {}

  World Run() {
    do {
      changed_ = false;
      DropRows();
      DropPlan();
      SimplifyPopulation();
      SimplifyRows();
    } while (changed_);
    return std::move(world_);
  }

 private:
  // Keeps the change where the world still fails with it.
  template <typename Change>
  bool Try(const Change& change) {
    World candidate = world_;
    change(&candidate);
    if (!fails_(candidate)) return false;
    world_ = std::move(candidate);
    changed_ = true;
    return true;
  }

  // Halves first, so that a world of many rows costs few runs; then one by one.
  template <typename Items>
  void Drop(const Items& items) {
    for (size_t size = std::max<size_t>(items(world_).size() / 2, 1);; size /= 2) {
      for (size_t end = items(world_).size(); end > 0;) {
        const size_t begin = end > size ? end - size : 0;
        Try([&](World* w) {
          auto& list = items(*w);
          list.erase(list.begin() + static_cast<std::ptrdiff_t>(begin),
                     list.begin() + static_cast<std::ptrdiff_t>(end));
        });
        end = begin;
      }
      if (size == 1) return;
    }
  }

  // Sets a member to what a default-made one has; false where it has that already or it matters.
  template <typename Member>
  void Plain(const Member& member) {
    World fresh;
    using Value = std::decay_t<decltype(member(fresh))>;
    if (member(world_) == Value{}) return;
    Try([&](World* w) { member(*w) = Value{}; });
  }
  template <typename Member, typename Value>
  void Set(const Member& member, const Value& value) {
    if (member(world_) == value) return;
    Try([&](World* w) { member(*w) = value; });
  }

  void DropRows() {
    Drop([](auto& w) -> auto& { return w.history.events; });
    Drop([](auto& w) -> auto& { return w.history.exposures; });
    Drop([](auto& w) -> auto& { return w.history.links; });
  }

  void DropColumn(int gone) {
    for (const QuantileSpec& spec : world_.plan.quantiles) {
      if (spec.column == gone) return;
    }
    Try([gone](World* w) {
      const auto renumber = [gone](int c) { return c > gone ? c - 1 : c; };
      for (QuantileSpec& spec : w->plan.quantiles) spec.column = renumber(spec.column);
      for (Group& group : w->plan.groups) {
        std::erase(group.columns, gone);
        for (int& c : group.columns) c = renumber(c);
      }
      w->plan.columns.erase(w->plan.columns.begin() + gone);
    });
  }

  void DropFunnel(int gone) {
    for (const Column& column : world_.plan.columns) {
      if (column.kind == ColumnKind::kStage && column.funnel == gone) return;
    }
    Try([gone](World* w) {
      for (Column& column : w->plan.columns) {
        if (column.funnel > gone) --column.funnel;
      }
      w->plan.funnels.erase(w->plan.funnels.begin() + gone);
    });
  }

  void DropJourney(int gone) {
    for (const Column& column : world_.plan.columns) {
      if (column.journey == gone) return;
    }
    for (const TimeToSpec& spec : world_.plan.time_to) {
      if (spec.journey == gone) return;
    }
    Try([gone](World* w) {
      for (Column& column : w->plan.columns) {
        if (column.journey > gone) --column.journey;
      }
      for (TimeToSpec& spec : w->plan.time_to) {
        if (spec.journey > gone) --spec.journey;
      }
      w->plan.journeys.erase(w->plan.journeys.begin() + gone);
    });
  }

  void DropPlan() {
    Drop([](auto& w) -> auto& { return w.plan.slices; });
    Drop([](auto& w) -> auto& { return w.plan.time_to; });
    Drop([](auto& w) -> auto& { return w.plan.quantiles; });
    for (int c = static_cast<int>(world_.plan.columns.size()); c-- > 0;) DropColumn(c);
    for (int f = static_cast<int>(world_.plan.funnels.size()); f-- > 0;) DropFunnel(f);
    for (int j = static_cast<int>(world_.plan.journeys.size()); j-- > 0;) DropJourney(j);
    for (size_t j = 0; j < world_.plan.journeys.size(); ++j) {
      for (size_t s = 0; s < world_.plan.journeys[j].stages.size(); ++s) {
        Drop([ j, s ](auto& w) -> auto& { return w.plan.journeys[j].stages[s].filters; });
      }
    }
    Drop([](auto& w) -> auto& { return w.plan.groups; });
    for (size_t g = 0; g < world_.plan.groups.size(); ++g) {
      Drop([g](auto& w) -> auto& { return w.plan.groups[g].columns; });
      Plain([g](auto& w) -> auto& { return w.plan.groups[g].maturity_ms; });
    }
    for (size_t c = 0; c < world_.plan.columns.size(); ++c) {
      const auto column = [c](auto& w) -> auto& { return w.plan.columns[c]; };
      Drop([=](auto& w) -> auto& { return column(w).terms; });
      for (size_t t = 0; t < column(world_).terms.size(); ++t) {
        const auto term = [=](auto& w) -> auto& { return column(w).terms[t]; };
        Drop([=](auto& w) -> auto& { return term(w).filters; });
        Drop([=](auto& w) -> auto& { return term(w).events; });
        Plain([=](auto& w) -> auto& { return term(w).property; });
        Set(
            [=](auto& w) -> auto& { return term(w).coefficient; }, 1.0);
      }
      if (column(world_).cap) {
        Try([=](World* w) { column(*w).cap.reset(); });
      }
      Plain([=](auto& w) -> auto& { return column(w).window.start_ms; });
      Set(
          [=](auto& w) -> auto& { return column(w).window.end_ms; }, kForever);
      Set(
          [=](auto& w) -> auto& { return column(w).threshold; }, 1.0);
    }
  }

  void SimplifyPopulation() {
    const auto population = [](auto& w) -> auto& { return w.plan.population; };
    Set(
        [](auto& w) -> auto& { return w.plan.as_of_ms; }, kForever);
    Plain([=](auto& w) -> auto& { return population(w).cluster_attribute; });
    Plain([=](auto& w) -> auto& { return population(w).exclude_attribute; });
    Drop([](auto& w) -> auto& { return w.plan.population.exclude_any; });
    Drop([](auto& w) -> auto& { return w.plan.population.exclude_bursts; });
    Plain([=](auto& w) -> auto& { return population(w).exclude_multi_arm; });
    Plain([=](auto& w) -> auto& { return population(w).active_events; });
    Plain([=](auto& w) -> auto& { return population(w).block_ms; });
    Set(
        [=](auto& w) -> auto& { return population(w).from_ms; },
        std::numeric_limits<int64_t>::min());
    Set(
        [=](auto& w) -> auto& { return population(w).to_ms; }, kForever);
    if (population(world_).enrol == EnrolRule::kEvent) {
      Try([=](World* w) {
        population(*w).enrol = EnrolRule::kExposure;
        population(*w).enrol_events.clear();
      });
    }
    while (population(world_).arms.size() > 1 &&
           Try([=](World* w) { population(*w).arms.pop_back(); })) {
    }
  }

  void SimplifyRows() {
    for (size_t i = 0; i < world_.history.exposures.size(); ++i) {
      const auto row = [i](auto& w) -> auto& { return w.history.exposures[i]; };
      Plain([=](auto& w) -> auto& { return row(w).attributes; });
      Plain([=](auto& w) -> auto& { return row(w).exposure_id; });
      Plain([=](auto& w) -> auto& { return row(w).phase; });
    }
    for (size_t i = 0; i < world_.history.events.size(); ++i) {
      const auto row = [i](auto& w) -> auto& { return w.history.events[i]; };
      Plain([=](auto& w) -> auto& { return row(w).properties; });
      Plain([=](auto& w) -> auto& { return row(w).event_id; });
      Plain([=](auto& w) -> auto& { return row(w).order_id; });
      Plain([=](auto& w) -> auto& { return row(w).session_id; });
      Plain([=](auto& w) -> auto& { return row(w).currency; });
      Plain([=](auto& w) -> auto& { return row(w).value; });
      for (size_t id = row(world_).ids.size(); id-- > 1;) {
        Try([=](World* w) {
          row(*w).ids.erase(row(*w).ids.begin() + static_cast<std::ptrdiff_t>(id));
        });
      }
    }
  }

  World world_;
  const Fails& fails_;
  bool changed_ = false;
};

}  // namespace

World Shrink(World world, const Fails& still_fails) {
  // A world whose plan cannot be run at all fails for another reason.
  const Fails fails = [&](const World& candidate) {
    return Fold::Compile(candidate.plan).ok() && still_fails(candidate);
  };
  return Shrinker(std::move(world), fails).Run();
}

}  // namespace fulcrum::store
