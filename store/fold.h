// SPDX-License-Identifier: Apache-2.0
//
// Start here for what metrics mean: the fold from a unit's exposures and events to its row of
// columns, and from the rows to the result of a plan. It does no I/O; feeders (the embedded
// database, files, tests) hand it compact batches. Every execution that runs in this program uses
// it, so a metric's meaning lives here and in `reference.h`, which says the same slowly.
//
// Use: Compile, AddExposures…, CloseExposures, [AddEnrolments… where `wants_enrolments()`],
// CloseCohort, AddEvents… or AddRecords…, [while `wants_replay()`: BeginReplay, AddEvents… again],
// Finish.
//
// Memory: about 45 bytes a unit, 8 for each column with terms and each time from the clock, 16 for
// each funnel, 32 for each from-to time, 4 for each attribute; `EstimateBytes` says it before it is
// taken. Beside it 16 for each event value under an event quantile, for each event of a unit in
// replay and for each under a burst rule, and 24 for each event of a journey.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/fold_filter.h"
#include "store/plan.h"

namespace fulcrum::store {

// What a plan needs to know of each event and exposure. A feeder delivers exactly that, by index.
struct FoldNeeds {
  std::vector<std::string> events;         // Index = event code. Raw names, distinct.
  std::vector<std::string> values;         // Index = value slot: property names, distinct.
  std::vector<EventFilter> filters;        // Index = bit of EventBatch::filters; at most 64.
  std::vector<std::string> attributes;     // Index = attribute slot of ExposureBatch.
  std::vector<std::string> enrolments;     // Raw event names that start the clock.
  std::vector<uint64_t> filters_of_event;  // By event code: the filters that anything asks of it.
  bool order_keys = false;                 // EventBatch::order_keys is read …
  bool session_keys = false;               // … and session_keys.
  bool every_event = false;                // kHasPre: events of any name matter, as kOtherEvent.
  int64_t earliest_ms = 0;                 // Events before clock + earliest_ms (<= 0), and …
  int64_t latest_ms = 0;                   // … at or after clock + latest_ms never matter.
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

// Events as fixed-width records of 64-bit words, for feeders that sort them by unit: a key, one
// double for each value slot (NaN = absent), the filter bits where there are filters, and the
// order's and session's codes where journeys need them. The key holds the time in its upper bits,
// so that keys of one unit sort by time, then the event's code, then the unit, counted from the
// first of its partition. What lies outside the years 1970 to 2248 counts as at their ends.
struct RecordShape {
  static constexpr int kTimeBits = 43;
  size_t values = 0;
  bool filters = false;
  bool keys = false;
  int code_bits = 1;  // All ones stands for kOtherEvent.
  size_t words() const { return 1 + values + (filters ? 1 : 0) + (keys ? 1 : 0); }
  static uint64_t Keys(uint32_t order, uint32_t session) { return uint64_t{order} << 32 | session; }
  int unit_bits() const { return 64 - kTimeBits - code_bits; }
  uint64_t Key(int64_t ts_ms, uint32_t code, uint32_t unit) const {
    constexpr int64_t kLast = (int64_t{1} << kTimeBits) - 1;
    const int64_t time_ms = ts_ms < 0 ? 0 : (ts_ms > kLast ? kLast : ts_ms);
    const uint64_t low_code = code & ((uint64_t{1} << code_bits) - 1);
    return static_cast<uint64_t>(time_ms) << (64 - kTimeBits) | low_code << unit_bits() | unit;
  }
  static int64_t TimeOf(uint64_t key) { return static_cast<int64_t>(key >> (64 - kTimeBits)); }
  uint32_t CodeOf(uint64_t key) const {
    const uint64_t mask = (uint64_t{1} << code_bits) - 1;
    const uint64_t code = key >> unit_bits() & mask;
    return code == mask ? kOtherEvent : static_cast<uint32_t>(code);
  }
  uint32_t UnitOf(uint64_t key) const {
    return static_cast<uint32_t>(key & ((uint64_t{1} << unit_bits()) - 1));
  }
};
struct RecordSpan {
  const uint64_t* words = nullptr;
  size_t records = 0;
};

struct FoldProgram;
struct FoldUnits;

// Not thread-safe but for AddRecords; distinct objects are independent.
class Fold {
 public:
  // InvalidArgument names what in the plan cannot be run. `plan` is copied. Closing and finishing
  // run on `threads` >= 1; the result does not depend on them beyond rounding.
  static absl::StatusOr<Fold> Compile(const Plan& plan, int threads = 1);
  ~Fold();
  Fold(Fold&&) noexcept;
  Fold& operator=(Fold&&) noexcept;

  const FoldNeeds& needs() const&;
  LiteralDictionary& dictionary() &;
  int64_t EstimateBytes(int64_t units) const;
  int64_t EstimateStateBytes(int64_t units) const;  // The part of it that can be spilled.

  void ReserveUnits(size_t units);
  void AddExposures(const ExposureBatch& batch);
  // No exposure may follow.
  void CloseExposures();

  bool wants_enrolments() const;
  // Events of FoldNeeds::enrolments: units and times only.
  void AddEnrolments(size_t size, const uint32_t* unit, const int64_t* ts_ms);

  // `as_of_ms` is the instant the result stands for: maturity and censoring are measured from it.
  // With a `spill_directory` the units' state is in a file there and takes memory for some units at
  // a time: BeginPass, their events, EndPass.
  absl::Status CloseCohort(int64_t as_of_ms, const std::string& spill_directory = "");
  void BeginPass(uint32_t first_unit, uint32_t end_unit);
  void EndPass(uint32_t first_unit, uint32_t end_unit);
  // Whether an event of the unit can change anything: false for units out of the analysis.
  bool Analysed(uint32_t unit) const;
  int64_t clock_ms(uint32_t unit) const;
  // Events outside [earliest_ms(), latest_ms()) can change nothing. After CloseCohort.
  int64_t earliest_ms() const;
  int64_t latest_ms() const;
  // The same for the units in restart or replay alone.
  std::pair<int64_t, int64_t> span_of_restart() const;
  std::pair<int64_t, int64_t> span_of_replay() const;

  void AddEvents(const EventBatch& batch);
  RecordShape record_shape() const;
  // Events of units [first_unit, end_unit) only; keys count units from first_unit. Calls of
  // different `lane`s, 0 <= lane < threads, may run at once when their units are apart. In every
  // other way like AddEvents, but the events of one call need not be in order of time.
  void AddRecords(const RecordShape& shape, std::span<const RecordSpan> spans, uint32_t first_unit,
                  uint32_t end_unit, int lane);
  size_t units() const;
  size_t state_bytes() const;  // Of one unit. After CloseCohort.

  // Funnels follow a unit's events in time order. Events nearly always arrive so and are folded as
  // they come; units with one that came late are replayed from a second pass over the events, which
  // need only hold units for which InReplay is true.
  bool wants_replay() const;
  void BeginReplay();
  bool InReplay(uint32_t unit) const;
  void EndReplay();  // Finish does it too.

  // The row of one analysed unit in the order of Plan::columns, before caps. After Finish.
  std::vector<double> Row(uint32_t unit) const;

  // --- Going on after more arrived: Reopen, AddExposures…, Restart (units that got a link),
  // CloseExposures, [AddEnrolments…], CloseCohort; then, where wants_restart(), the events from
  // before Reopen of the units for which InRestart is true; EndRestart; and then as ever, with what
  // arrived since. The result is that of a fold which began with everything.
  // KeepResults, at any time, makes the next Finish cost what changed since the last.
  void KeepResults();
  void Reopen();
  void Restart(std::span<const uint32_t> units);
  // These units have no events from before Reopen.
  void HaveNoPast(std::span<const uint32_t> units);
  bool wants_restart() const;
  bool InRestart(uint32_t unit) const;
  void EndRestart();
  int64_t bytes() const;  // That it holds.

  // Fills cells, survival, quantiles, caps and the unit counts of health (exposure and event counts
  // are the feeder's to add).
  absl::StatusOr<PlanResult> Finish();

 private:
  struct ClockSpan;
  Fold(std::unique_ptr<FoldProgram> program, std::unique_ptr<FoldUnits> units);
  int64_t ClockOf(size_t unit) const;
  void StartClock(size_t unit);
  void ForgetChanged();
  void CountUnits(Health* health);
  std::pair<int64_t, int64_t> SpanOf(std::span<const uint32_t> units) const;

  std::unique_ptr<FoldProgram> program_;
  std::unique_ptr<FoldUnits> units_;
};

}  // namespace fulcrum::store
