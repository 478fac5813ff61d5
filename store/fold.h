// SPDX-License-Identifier: Apache-2.0
//
// Start here for what metrics mean: the fold from a unit's exposures and events to its row of
// columns, and from the rows to the result of a plan. It does no I/O; feeders (the embedded
// database, files, tests) hand it compact batches. Every execution that runs in this program uses
// it, so a metric's meaning lives here and in `reference.h`, which says the same slowly.
//
// Use: Compile, AddExposures…, CloseExposures, [AddEnrolments… where `wants_enrolments()`],
// CloseCohort, AddEvents…, [while `wants_replay()`: BeginReplay, AddEvents… again], Finish.
//
// Memory: about 45 bytes a unit, 8 for each column with terms and each time from the clock, 16 for
// each funnel, 32 for each from-to time, 4 for each attribute; `EstimateBytes` says it before it is
// taken. Beside it 16 for each event value under an event quantile, for each event of a unit in
// replay and for each under a burst rule, and 24 for each event of a journey.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/fold_filter.h"
#include "store/plan.h"

namespace fulcrum::store {

// What a plan needs to know of each event and exposure. A feeder delivers exactly that, by index.
struct FoldNeeds {
  std::vector<std::string> events;      // Index = event code. Raw names, distinct.
  std::vector<std::string> values;      // Index = value slot: property names, distinct.
  std::vector<EventFilter> filters;     // Index = bit of EventBatch::filters; at most 64.
  std::vector<std::string> attributes;  // Index = attribute slot of ExposureBatch.
  std::vector<std::string> enrolments;  // Raw event names that start the clock.
  bool order_keys = false;              // EventBatch::order_keys is read …
  bool session_keys = false;            // … and session_keys.
  bool every_event = false;             // kHasPre: events of any name matter, as kOtherEvent.
  int64_t earliest_ms = 0;              // Events before clock + earliest_ms (<= 0), and …
  int64_t latest_ms = 0;                // … at or after clock + latest_ms never matter.
};

inline constexpr uint32_t kNoUnit = std::numeric_limits<uint32_t>::max();
inline constexpr uint32_t kOtherEvent = std::numeric_limits<uint32_t>::max();
inline constexpr uint32_t kNoKey = std::numeric_limits<uint32_t>::max();

// Columns of exposures that are of this experiment, kind of unit and as-of, free of duplicates. Of
// every unit the first (by time, then ingest order) in each arm is enough. Units are numbered from
// 0 by the feeder.
struct ExposureBatch {
  size_t size = 0;
  const uint32_t* unit = nullptr;
  const int32_t* arm = nullptr;  // Index into Population::arms; -1 = a variant unknown to it.
  const int32_t* phase = nullptr;
  const int64_t* ts_ms = nullptr;
  const int64_t* sequence = nullptr;        // Ingest order: it breaks ties of ts_ms.
  std::vector<const uint32_t*> attributes;  // Per attribute slot: codes of Fold::dictionary().
};

// Columns of events, already free of duplicates and restricted to the as-of. An event that belongs
// to several units comes as several rows.
struct EventBatch {
  size_t size = 0;
  const uint32_t* unit = nullptr;  // kNoUnit = skip.
  const int64_t* ts_ms = nullptr;
  const uint32_t* code = nullptr;     // Event code, or kOtherEvent.
  std::vector<const double*> values;  // Per value slot; NaN = absent. May hold nullptr: all absent.
  const uint64_t* filters = nullptr;  // Bit i = FoldNeeds::filters[i] holds; nullptr = none does.
  // Codes of the events' own order_id and session_id, equal exactly where the ids are; kNoKey where
  // there is none; nullptr = nowhere.
  const uint32_t* order_keys = nullptr;
  const uint32_t* session_keys = nullptr;
};

struct FoldProgram;
struct FoldUnits;

// Not thread-safe; distinct objects are independent.
class Fold {
 public:
  // InvalidArgument names what in the plan cannot be run. `plan` is copied.
  static absl::StatusOr<Fold> Compile(const Plan& plan);
  ~Fold();
  Fold(Fold&&) noexcept;
  Fold& operator=(Fold&&) noexcept;

  const FoldNeeds& needs() const&;
  LiteralDictionary& dictionary() &;
  int64_t EstimateBytes(int64_t units) const;

  void ReserveUnits(size_t units);
  void AddExposures(const ExposureBatch& batch);
  // No exposure may follow.
  void CloseExposures();

  bool wants_enrolments() const;
  // Events of FoldNeeds::enrolments: units and times only.
  void AddEnrolments(size_t size, const uint32_t* unit, const int64_t* ts_ms);

  // `as_of_ms` is the instant the result stands for: maturity and censoring are measured from it.
  void CloseCohort(int64_t as_of_ms);
  // Whether an event of the unit can change anything: false for units out of the analysis.
  bool Analysed(uint32_t unit) const;
  int64_t clock_ms(uint32_t unit) const;
  // Events outside [earliest_ms(), latest_ms()) can change nothing. After CloseCohort.
  int64_t earliest_ms() const;
  int64_t latest_ms() const;

  void AddEvents(const EventBatch& batch);

  // Funnels follow a unit's events in time order. Events nearly always arrive so and are folded as
  // they come; units with one that came late are replayed from a second pass over the events, which
  // need only hold units for which InReplay is true.
  bool wants_replay() const;
  void BeginReplay();
  bool InReplay(uint32_t unit) const;

  // The row of one analysed unit in the order of Plan::columns, before caps. After Finish.
  std::vector<double> Row(uint32_t unit) const;

  // Fills cells, survival, quantiles, caps and the unit counts of health (exposure and event counts
  // are the feeder's to add). `threads` >= 1; the result does not depend on it beyond rounding.
  absl::StatusOr<PlanResult> Finish(int threads);

 private:
  Fold(std::unique_ptr<FoldProgram> program, std::unique_ptr<FoldUnits> units);
  std::unique_ptr<FoldProgram> program_;
  std::unique_ptr<FoldUnits> units_;
};

}  // namespace fulcrum::store
