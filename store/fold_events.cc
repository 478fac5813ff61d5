// SPDX-License-Identifier: Apache-2.0
//
// The hot loop: what each event does to the unit it belongs to.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "store/fold_program.h"

namespace fulcrum::store {
namespace {

constexpr size_t kAhead = 32;  // Rows whose state is on its way from memory.

// One event of a batch.
struct BatchRow {
  const EventBatch& batch;
  size_t row;
  double value(int slot) const {
    const double* column = batch.values[static_cast<size_t>(slot)];
    return column == nullptr ? std::numeric_limits<double>::quiet_NaN() : column[row];
  }
  uint64_t filters() const { return batch.filters == nullptr ? 0 : batch.filters[row]; }
  uint32_t order_key() const {
    return batch.order_keys == nullptr ? kNoKey : batch.order_keys[row];
  }
  uint32_t session_key() const {
    return batch.session_keys == nullptr ? kNoKey : batch.session_keys[row];
  }
};

constexpr size_t kNowhere = std::numeric_limits<size_t>::max();

// One event as a record, after its key.
struct RecordRow {
  const uint64_t* words;
  size_t filters_at;  // kNowhere = no filter holds.
  size_t keys_at;     // kNowhere = no journey needs them.
  double value(int slot) const {
    double value = 0;
    std::memcpy(&value, words + slot, sizeof value);
    return value;
  }
  uint64_t filters() const { return filters_at == kNowhere ? 0 : words[filters_at]; }
  uint32_t order_key() const {
    return keys_at == kNowhere ? kNoKey : static_cast<uint32_t>(words[keys_at] >> 32);
  }
  uint32_t session_key() const {
    return keys_at == kNowhere ? kNoKey : static_cast<uint32_t>(words[keys_at]);
  }
};

// The value an op adds for an event; false = nothing.
template <typename Row>
inline bool Amount(const AddOp& op, const Row& row, int64_t dt_ms, double* amount) {
  if (dt_ms < op.lo_ms || dt_ms >= op.hi_ms) return false;
  if (op.filters != 0 && (row.filters() & op.filters) != op.filters) return false;
  double value = 1;
  if (op.slot >= 0) {
    value = row.value(op.slot);
    if (!std::isfinite(value)) return false;
  }
  *amount = op.coefficient * value;
  return true;
}

// Folds events of one lane.
class Folder {
 public:
  Folder(const FoldProgram& program, FoldUnits* units, FoldLane* lane)
      : program_(program), units_(units), lane_(lane), states_(units->states) {}

  template <typename Row>
  void Add(uint32_t unit, uint32_t code, int64_t ts_ms, const Row& row) {
    const int64_t dt_ms = ts_ms - states_.clock_ms(unit);
    if (program_.has_pre && dt_ms < 0) states_.flags(unit) |= kSeenBefore;
    if (code == kOtherEvent) return;
    const EventProgram& event = program_.events[code];
    if (dt_ms < event.lo_ms || dt_ms >= event.hi_ms) return;
    if (units_->replaying) {
      // Units in replay only keep their chain events for FoldReplay.
      if ((states_.flags(unit) & kReplay) != 0 && !event.marks.empty()) {
        lane_->replay.push_back({unit, code, dt_ms});
      }
      return;
    }
    double* sums = states_.sums(unit);
    double amount = 0;
    for (const AddOp& op : event.sums) {
      if (Amount(op, row, dt_ms, &amount)) sums[op.target] += amount;
    }
    for (const AddOp& op : event.values) {
      if (Amount(op, row, dt_ms, &amount)) {
        lane_->event_values[static_cast<size_t>(op.target)].push_back({unit, amount});
      }
    }
    if (dt_ms >= 0) {
      for (const int f : event.first_times) {
        int64_t& first = states_.first_times(unit)[f];
        first = std::min(first, dt_ms);
      }
    }
    if (!event.journeys.empty() || !event.bursts.empty()) Gather(unit, event, dt_ms, row);
    if (!event.marks.empty()) FollowChains(unit, event, dt_ms);
  }

 private:
  // Kept until all events are known: they are followed in time order then.
  template <typename Row>
  void Gather(uint32_t unit, const EventProgram& event, int64_t dt_ms, const Row& row) {
    for (const JourneyMark& mark : event.journeys) {
      if (dt_ms < mark.lo_ms || dt_ms >= mark.hi_ms) continue;
      if ((row.filters() & mark.filters) != mark.filters) continue;
      const auto journey = static_cast<size_t>(mark.journey);
      uint32_t key = 0;
      const JourneyKey per = program_.plan.journeys[journey].per;
      if (per == JourneyKey::kOrder) key = row.order_key();
      if (per == JourneyKey::kSession) key = row.session_key();
      if (key == kNoKey) continue;
      lane_->journey_events[journey].push_back({unit, key, mark.stages, dt_ms});
    }
    for (const BurstMark& mark : event.bursts) {
      if (dt_ms < mark.lo_ms || (row.filters() & mark.filters) != mark.filters) continue;
      lane_->burst_events[static_cast<size_t>(mark.rule)].push_back({unit, dt_ms});
    }
  }

  void FollowChains(uint32_t unit, const EventProgram& event, int64_t dt_ms) {
    if ((states_.flags(unit) & kReplay) != 0) return;
    for (const StageMark& mark : event.marks) {
      const size_t c = static_cast<size_t>(mark.chain);
      const Chain& chain = program_.chains[c];
      if (dt_ms < chain.lo_ms || dt_ms >= chain.hi_ms) continue;
      ChainState& state = states_.chains(unit)[c];
      if (dt_ms < state.last_ms) {
        states_.flags(unit) |= kReplay;
        lane_->late_units.push_back(unit);
        return;
      }
      const uint32_t satisfied = units_->satisfied[c].empty() ? 0 : units_->satisfied[c][unit];
      FromTo* from_to = units_->from_to[c].empty() ? nullptr : &units_->from_to[c][unit];
      AdvanceChain(chain, satisfied, mark.stages, dt_ms, &state, from_to);
    }
  }

  const FoldProgram& program_;
  FoldUnits* const units_;
  FoldLane* const lane_;
  const UnitStates states_;
};

// By time; what happened at one instant by its bytes, so that sums come out the same to the bit
// whatever thread read what first.
bool Earlier(const KeyedRecord& a, const KeyedRecord& b, size_t words) {
  if (a.key != b.key) return a.key < b.key;
  return std::lexicographical_compare(a.words, a.words + words, b.words, b.words + words);
}

void SortRecords(KeyedRecord* begin, KeyedRecord* end, size_t words) {
  constexpr std::ptrdiff_t kShort = 24;
  if (end - begin > kShort) {
    std::sort(begin, end,
              [words](const KeyedRecord& a, const KeyedRecord& b) { return Earlier(a, b, words); });
    return;
  }
  for (KeyedRecord* at = begin + 1; at < end; ++at) {
    if (!Earlier(*at, *(at - 1), words)) continue;
    const KeyedRecord moved = *at;
    KeyedRecord* hole = at;
    do {
      *hole = *(hole - 1);
      --hole;
    } while (hole > begin && Earlier(moved, *(hole - 1), words));
    *hole = moved;
  }
}

}  // namespace

void Fold::AddEvents(const EventBatch& batch) {
  FoldUnits& units = *units_;
  const size_t unit_count = units.size();
  Folder folder(*program_, &units, &units.lanes[0]);
  for (size_t i = 0; i < batch.size; ++i) {
    if (i + kAhead < batch.size && batch.unit[i + kAhead] < unit_count) {
      units.states.Prefetch(batch.unit[i + kAhead]);
    }
    const uint32_t unit = batch.unit[i];
    if (unit >= unit_count || !units.Analysed(unit)) continue;
    units.MarkDirty(unit);
    folder.Add(unit, batch.code[i], batch.ts_ms[i], BatchRow{batch, i});
  }
}

void Fold::AddRecords(const RecordShape& shape, std::span<const RecordSpan> spans,
                      uint32_t first_unit, uint32_t end_unit, int lane) {
  FoldUnits& units = *units_;
  FoldLane& of = units.lanes[static_cast<size_t>(lane)];
  end_unit = std::min(end_unit, static_cast<uint32_t>(units.size()));
  const size_t words = shape.words();
  // Records in order of their units: counted, then put into place.
  std::vector<uint32_t>& start = of.record_start;
  start.assign(end_unit - first_unit + 1, 0);
  size_t total = 0;
  for (const RecordSpan& span : spans) {
    total += span.records;
    const uint64_t* record = span.words;
    for (size_t r = 0; r < span.records; ++r, record += words) ++start[shape.UnitOf(*record)];
  }
  uint32_t sum = 0;
  for (uint32_t& at : start) sum += std::exchange(at, sum);
  PageVector<KeyedRecord>& sorted = of.sorted;
  if (sorted.size() < total) sorted.resize(total);
  for (const RecordSpan& span : spans) {
    const uint64_t* record = span.words;
    for (size_t r = 0; r < span.records; ++r, record += words) {
      sorted[start[shape.UnitOf(*record)]++] = {*record, record + 1};
    }
  }
  const size_t filters_at = shape.filters ? shape.values : kNowhere;
  const size_t keys_at = shape.keys ? words - 2 : kNowhere;
  Folder folder(*program_, &units, &of);
  uint32_t begin = 0;  // start[u] is by now where unit u's records end.
  for (uint32_t u = 0; u < end_unit - first_unit; ++u) {
    const uint32_t end = start[u];
    if (begin == end) continue;
    const uint32_t unit = first_unit + u;
    if (units.Analysed(unit)) {
      units.MarkDirty(unit);
      SortRecords(&sorted[begin], sorted.data() + end, words - 1);
      for (uint32_t i = begin; i < end; ++i) {
        const uint64_t key = sorted[i].key;
        folder.Add(unit, shape.CodeOf(key), RecordShape::TimeOf(key),
                   RecordRow{sorted[i].words, filters_at, keys_at});
      }
    }
    begin = end;
  }
}

void FoldReplay(const FoldProgram& program, FoldUnits* units) {
  std::vector<ReplayEvent> events;
  for (FoldLane& lane : units->lanes) {
    events.insert(events.end(), lane.replay.begin(), lane.replay.end());
    lane.replay = {};
  }
  std::sort(events.begin(), events.end(), [](const ReplayEvent& a, const ReplayEvent& b) {
    return a.unit != b.unit ? a.unit < b.unit : a.dt_ms < b.dt_ms;
  });
  for (const ReplayEvent& event : events) {
    for (const StageMark& mark : program.events[event.code].marks) {
      const size_t c = static_cast<size_t>(mark.chain);
      const Chain& chain = program.chains[c];
      if (event.dt_ms < chain.lo_ms || event.dt_ms >= chain.hi_ms) continue;
      const uint32_t satisfied = units->satisfied[c].empty() ? 0 : units->satisfied[c][event.unit];
      FromTo* from_to = units->from_to[c].empty() ? nullptr : &units->from_to[c][event.unit];
      AdvanceChain(chain, satisfied, mark.stages, event.dt_ms, &units->states.chains(event.unit)[c],
                   from_to);
    }
  }
}

}  // namespace fulcrum::store
