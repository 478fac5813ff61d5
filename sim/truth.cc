// SPDX-License-Identifier: Apache-2.0
#include "sim/truth.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "sim/life.h"
#include "sim/outcome.h"

namespace fulcrum::sim {
namespace {

// Sums of one column under one variant. Value lists are kept only where a quantile needs them.
struct Tally {
  double sum = 0;
  int64_t n = 0;
  double effect_sum = 0;      // Of unit differences to the control …
  double effect_squares = 0;  // … and of their squares.
  double fact_sum = 0;        // Of the units that were first shown this variant.
  int64_t fact_n = 0;
  std::vector<double> values;
  std::vector<double> factual;  // As it happened: what a cap by quantile is drawn from.

  void Merge(const Tally& other) {
    sum += other.sum;
    n += other.n;
    effect_sum += other.effect_sum;
    effect_squares += other.effect_squares;
    fact_sum += other.fact_sum;
    fact_n += other.fact_n;
    values.insert(values.end(), other.values.begin(), other.values.end());
    factual.insert(factual.end(), other.factual.begin(), other.factual.end());
  }
};

struct ExperimentTally {
  std::vector<std::vector<Tally>> by_variant;  // [variant][column]
  std::vector<int64_t> units;                  // By variant, as it happened.
  std::vector<int64_t> exposures;
};

struct ExposedUnit {
  bool is_user = false;
  uint8_t device = 0;
  int32_t variant = -1;
  const Record* first = nullptr;
};

bool CapsByQuantile(const OutcomeColumn& column) {
  return column.metric->cap && column.metric->cap->quantile &&
         column.summary != Summary::kDenominator;
}

bool KeepsValues(const OutcomeColumn& column) {
  return column.summary == Summary::kUnitQuantile || column.summary == Summary::kEventQuantile ||
         CapsByQuantile(column);
}

class Computation {
 public:
  Computation(const World& world, const AssignFn& assign, const TruthOptions& options)
      : world_(world), assign_(assign) {
    as_of_ms_ = options.as_of_ms != 0 ? options.as_of_ms : world.end_ms();
    until_ms_ = world.end_ms() + options.follow_ms;
    for (const auto& experiment : world.definitions().experiments) {
      outcomes_.push_back(std::make_unique<Outcomes>(world, experiment));
      const auto control = std::find_if(experiment.variants.begin(), experiment.variants.end(),
                                        [](const auto& variant) { return variant.control; });
      controls_.push_back(static_cast<int>(control - experiment.variants.begin()));
    }
  }

  std::vector<ExperimentTally> Empty() const {
    std::vector<ExperimentTally> tallies(outcomes_.size());
    for (size_t e = 0; e < tallies.size(); ++e) {
      const size_t variants = world_.definitions().experiments[e].variants.size();
      tallies[e].by_variant.assign(variants, std::vector<Tally>(outcomes_[e]->columns().size()));
      tallies[e].units.assign(variants, 0);
      tallies[e].exposures.assign(variants, 0);
    }
    return tallies;
  }

  void AddUser(uint32_t user, std::vector<ExperimentTally>* tallies) const {
    const std::vector<Record> factual = Live(user, -1, -1);
    for (int e = 0; e < world_.experiment_count(); ++e) {
      ExperimentTally& tally = (*tallies)[static_cast<size_t>(e)];
      const std::vector<ExposedUnit> units = Exposed(e, factual, &tally);
      if (units.empty() || outcomes_[static_cast<size_t>(e)]->columns().empty()) continue;
      AddExperiment(user, e, factual, units, &tally);
    }
  }

  Truth Finish(const std::vector<ExperimentTally>& tallies) const {
    Truth truth;
    for (size_t e = 0; e < tallies.size(); ++e) {
      const auto& experiment = world_.definitions().experiments[e];
      for (size_t v = 0; v < experiment.variants.size(); ++v) {
        truth.arms.push_back({experiment.key, experiment.variants[v].key, tallies[e].units[v],
                              tallies[e].exposures[v]});
        AddFigures(e, v, tallies[e], &truth.figures);
        if (static_cast<int>(v) == controls_[e]) continue;
        for (size_t c = 0; c < outcomes_[e]->columns().size(); ++c) {
          if (auto effect = EffectOf(e, v, c, tallies[e])) truth.effects.push_back(*effect);
        }
      }
    }
    return truth;
  }

 private:
  // The user's whole life; experiment `forced` (or none: -1) shows `variant` wherever it would have
  // shown any. Records in order of ts_ms.
  std::vector<Record> Live(uint32_t user, int forced, int variant) const {
    const AssignFn assign = [&](const Visitor& visitor, std::span<Assignment> assignments) {
      Visitor asking = visitor;
      // Following outcomes further, the experiment goes on as on its last day.
      asking.visit_ms = std::min(asking.visit_ms, world_.end_ms() - 1);
      asking.now_ms = std::min(asking.now_ms, world_.end_ms() - 1);
      assign_(asking, assignments);
      if (forced >= 0 && assignments[static_cast<size_t>(forced)].variant >= 0) {
        assignments[static_cast<size_t>(forced)].variant = variant;
      }
    };
    std::vector<Record> records;
    Life life(world_, user);
    while (life.next_visit_ms() < until_ms_) life.RunVisit(assign, &records);
    std::stable_sort(records.begin(), records.end(),
                     [](const Record& a, const Record& b) { return a.ts_ms < b.ts_ms; });
    return records;
  }

  // The units of the user that the experiment analyses, by their first received exposure.
  std::vector<ExposedUnit> Exposed(int e, const std::vector<Record>& records,
                                   ExperimentTally* tally) const {
    const auto& experiment = world_.definitions().experiments[static_cast<size_t>(e)];
    std::vector<ExposedUnit> units;
    for (const Record& record : records) {
      if (record.kind != RecordKind::kExposure || record.experiment != e || record.lost) continue;
      if (record.received_ms > as_of_ms_) continue;
      if (experiment.start_ms && record.ts_ms < *experiment.start_ms) continue;
      if (experiment.end_ms && record.ts_ms >= *experiment.end_ms) continue;
      ++tally->exposures[static_cast<size_t>(record.variant)];
      if (record.copy) continue;
      const auto same = [&](const ExposedUnit& unit) {
        return unit.is_user == record.names_user && (unit.is_user || unit.device == record.device);
      };
      if (std::any_of(units.begin(), units.end(), same)) continue;
      units.push_back({record.names_user, record.device, record.variant, &record});
      ++tally->units[static_cast<size_t>(record.variant)];
    }
    return units;
  }

  UnitHistory HistoryOf(const ExposedUnit& unit, const Profile& profile,
                        const std::vector<Record>& records) const {
    UnitHistory history;
    history.clock_ms = unit.first->ts_ms;
    history.as_of_ms = as_of_ms_;
    history.enrolment = unit.first;
    history.profile = &profile;
    const bool linked = std::any_of(records.begin(), records.end(), [&](const Record& record) {
      return record.kind == RecordKind::kLink && record.device == unit.device &&
             record.received_ms <= as_of_ms_;
    });
    for (const Record& record : records) {
      if (record.kind != RecordKind::kEvent || record.lost || record.copy) continue;
      const bool of_unit = unit.is_user ? record.names_user
                                        : (record.names_device && record.device == unit.device) ||
                                              (record.names_user && linked);
      if (!of_unit) continue;
      history.everything.push_back(&record);
      if (record.received_ms <= as_of_ms_) history.seen.push_back(&record);
    }
    return history;
  }

  void AddExperiment(uint32_t user, int e, const std::vector<Record>& factual,
                     const std::vector<ExposedUnit>& units, ExperimentTally* tally) const {
    const Outcomes& outcomes = *outcomes_[static_cast<size_t>(e)];
    const Profile profile = world_.ProfileOf(user);
    const auto variants = static_cast<int>(tally->by_variant.size());
    const size_t columns = outcomes.columns().size();
    for (const ExposedUnit& unit : units) {
      const UnitHistory history = HistoryOf(unit, profile, factual);
      auto& row = tally->by_variant[static_cast<size_t>(unit.variant)];
      for (size_t c = 0; c < columns; ++c)
        AddFact(outcomes, outcomes.columns()[c], history, &row[c]);
    }
    std::vector<std::vector<double>> control(units.size(), std::vector<double>(columns, 0));
    for (int turn = 0; turn < variants; ++turn) {
      // The control first, so that differences to it can be taken.
      const int v = turn == 0 ? controls_[static_cast<size_t>(e)]
                              : (turn <= controls_[static_cast<size_t>(e)] ? turn - 1 : turn);
      const bool happened = std::all_of(units.begin(), units.end(),
                                        [&](const ExposedUnit& unit) { return unit.variant == v; });
      const std::vector<Record> other = happened ? std::vector<Record>() : Live(user, e, v);
      const std::vector<Record>& records = happened ? factual : other;
      for (size_t u = 0; u < units.size(); ++u) {
        const UnitHistory history = HistoryOf(units[u], profile, records);
        auto& row = tally->by_variant[static_cast<size_t>(v)];
        for (size_t c = 0; c < columns; ++c) {
          AddValue(outcomes, outcomes.columns()[c], history, turn == 0, &control[u][c], &row[c]);
        }
      }
    }
  }

  static bool Mature(const OutcomeColumn& column, const UnitHistory& history) {
    return history.as_of_ms - history.clock_ms >= column.maturity_ms;
  }

  // As it happened: a user whose devices are in different arms has lived only this one life.
  static void AddFact(const Outcomes& outcomes, const OutcomeColumn& column,
                      const UnitHistory& history, Tally* tally) {
    if (!Mature(column, history) || column.summary == Summary::kEventQuantile) return;
    const double value = outcomes.Value(column, history);
    if (std::isnan(value)) return;
    tally->fact_sum += value;
    ++tally->fact_n;
    if (CapsByQuantile(column)) tally->factual.push_back(value);
  }

  static void AddValue(const Outcomes& outcomes, const OutcomeColumn& column,
                       const UnitHistory& history, bool is_control, double* control, Tally* tally) {
    if (!Mature(column, history)) return;
    if (column.summary == Summary::kEventQuantile) {
      outcomes.AppendValues(column, history, &tally->values);
      ++tally->n;
      return;
    }
    const double value = outcomes.Value(column, history);
    if (std::isnan(value)) return;
    tally->sum += value;
    ++tally->n;
    if (is_control) *control = value;
    const double difference = value - *control;
    tally->effect_sum += difference;
    tally->effect_squares += difference * difference;
    if (KeepsValues(column)) tally->values.push_back(value);
  }

  void AddFigures(size_t e, size_t v, const ExperimentTally& tally,
                  std::vector<ArmFigure>* figures) const {
    const auto& experiment = world_.definitions().experiments[e];
    for (size_t c = 0; c < outcomes_[e]->columns().size(); ++c) {
      const OutcomeColumn& column = outcomes_[e]->columns()[c];
      const bool quantile =
          column.summary == Summary::kUnitQuantile || column.summary == Summary::kEventQuantile;
      if (quantile || column.metric->kind == experiments::MetricKind::kTimeTo) continue;
      const Tally& own = tally.by_variant[v][c];
      figures->push_back({experiment.key, experiment.variants[v].key, column.metric->key,
                          column.stage, column.summary == Summary::kDenominator, own.fact_n,
                          own.fact_sum});
    }
  }

  // The arm's figure under variant `v`; nothing where it is not defined.
  std::optional<double> Figure(size_t e, size_t v, size_t c, const ExperimentTally& tally) const {
    const OutcomeColumn& column = outcomes_[e]->columns()[c];
    const Tally& own = tally.by_variant[v][c];
    if (own.n == 0) return std::nullopt;
    double sum = own.sum;
    if (CapsByQuantile(column)) {
      std::vector<double> pool;
      for (const auto& row : tally.by_variant) {
        for (const double value : row[c].factual) {
          if (value != 0 || column.metric->cap->include_zeros) pool.push_back(value);
        }
      }
      if (!pool.empty()) {
        const double cap = Quantile(std::move(pool), *column.metric->cap->quantile);
        sum = 0;
        for (const double value : own.values) sum += std::min(value, cap);
      }
    }
    switch (column.summary) {
      case Summary::kMean:
        return sum / static_cast<double>(own.n);
      case Summary::kRatio: {
        const double denominator = tally.by_variant[v][c + 1].sum;
        if (denominator == 0) return std::nullopt;
        return sum / denominator;
      }
      case Summary::kDenominator:
        return std::nullopt;
      case Summary::kUnitQuantile:
      case Summary::kEventQuantile:
        if (own.values.empty()) return std::nullopt;
        return Quantile(own.values, column.metric->quantile);
    }
    return std::nullopt;
  }

  std::optional<TrueEffect> EffectOf(size_t e, size_t v, size_t c,
                                     const ExperimentTally& tally) const {
    const auto& experiment = world_.definitions().experiments[e];
    const OutcomeColumn& column = outcomes_[e]->columns()[c];
    const auto control_index = static_cast<size_t>(controls_[e]);
    const auto control = Figure(e, control_index, c, tally);
    const auto variant = Figure(e, v, c, tally);
    if (!control || !variant) return std::nullopt;
    TrueEffect effect;
    effect.experiment = experiment.key;
    effect.variant = experiment.variants[v].key;
    effect.control = experiment.variants[control_index].key;
    effect.metric = column.metric->key;
    effect.stage = column.stage;
    const Tally& own = tally.by_variant[v][c];
    effect.units = own.n;
    effect.control_value = *control;
    effect.variant_value = *variant;
    effect.effect = *variant - *control;
    effect.lift = *control != 0 ? effect.effect / std::abs(*control) : 0;
    if (column.summary == Summary::kMean && !CapsByQuantile(column) && own.n > 1) {
      const auto n = static_cast<double>(own.n);
      const double mean = own.effect_sum / n;
      const double variance = std::max(0.0, own.effect_squares / n - mean * mean) * n / (n - 1);
      effect.standard_error = std::sqrt(variance / n);
    }
    return effect;
  }

  const World& world_;
  const AssignFn& assign_;
  int64_t as_of_ms_ = 0;
  int64_t until_ms_ = 0;
  std::vector<std::unique_ptr<Outcomes>> outcomes_;
  std::vector<int> controls_;
};

}  // namespace

const TrueEffect* Truth::Find(std::string_view experiment, std::string_view variant,
                              std::string_view metric, std::string_view stage) const {
  for (const TrueEffect& effect : effects) {
    if (effect.experiment == experiment && effect.variant == variant && effect.metric == metric &&
        effect.stage == stage) {
      return &effect;
    }
  }
  return nullptr;
}

Truth ComputeTruth(const World& world, const AssignFn& assign, const TruthOptions& options) {
  const Computation computation(world, assign, options);
  // Chunks, not threads, define the order of summation.
  constexpr int64_t kChunk = 256;
  const int64_t users = world.options().users;
  const int64_t chunks = (users + kChunk - 1) / kChunk;
  std::vector<std::vector<ExperimentTally>> parts(static_cast<size_t>(chunks));
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t chunk = next++; chunk < chunks; chunk = next++) {
      auto& part = parts[static_cast<size_t>(chunk)];
      part = computation.Empty();
      const int64_t end = std::min(users, (chunk + 1) * kChunk);
      for (int64_t user = chunk * kChunk; user < end; ++user) {
        computation.AddUser(static_cast<uint32_t>(user), &part);
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < options.threads; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  std::vector<ExperimentTally> total = computation.Empty();
  for (const auto& part : parts) {
    for (size_t e = 0; e < part.size(); ++e) {
      for (size_t v = 0; v < part[e].by_variant.size(); ++v) {
        total[e].units[v] += part[e].units[v];
        total[e].exposures[v] += part[e].exposures[v];
        for (size_t c = 0; c < part[e].by_variant[v].size(); ++c) {
          total[e].by_variant[v][c].Merge(part[e].by_variant[v][c]);
        }
      }
    }
  }
  return computation.Finish(total);
}

}  // namespace fulcrum::sim
