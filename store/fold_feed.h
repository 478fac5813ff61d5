// SPDX-License-Identifier: Apache-2.0
//
// Feeds a Fold from rows with texts in them (event files, histories in memory): gives units
// numbers, follows links, drops repeated ids, evaluates filters.
//
// Identity. The analysis unit is the (kind, id) that was exposed. An event is its own when one of
// the event's ids is the unit, or is a known unit that a link says the unit is (links count
// whenever they were made). One step only: what another anonymous unit of the same known unit did
// alone is not added. Two units linked to one known unit both get its outcomes. An event that leads
// to a unit by several ids counts once. An event's order_id and session_id are ids of the kinds
// "order" and "session".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/batch.h"
#include "store/fold.h"

namespace fulcrum::store {

// Not thread-safe. Call AddExposure and AddLink in order of ingestion, then CloseExposures, then
// (in a pass of its own, where Fold::wants_enrolments) AddEnrolment, then CloseCohort, AddEvent,
// Flush, and where Fold::wants_replay, BeginReplay and AddEvent … and Flush again.
class FoldFeeder {
 public:
  FoldFeeder(Fold* fold, const Plan& plan);

  // Only rows received by the as-of. Exposures of another experiment or kind of unit are skipped.
  // False: it was skipped or its id repeats.
  bool AddExposure(const ExposureView& exposure);
  void AddLink(const LinkView& link);
  void AddEnrolment(const EventView& event);
  void AddEvent(const EventView& event);
  void Flush();

  // Forgets event ids: call between passes over the events.
  void Rewind() {
    event_ids_.clear();
    health_.duplicate_events = 0;
  }
  // Exposure counts, first and last exposure, duplicates.
  void AddHealth(Health* health) const;
  size_t units() const { return units_.size(); }
  // kNoUnit when it was never exposed.
  uint32_t UnitOf(const UnitRef& unit) const;

 private:
  static std::string Key(const UnitRef& unit);
  bool Repeats(const EventView& event);
  uint32_t KeyCode(std::string_view id);
  // The units an event belongs to, each once, into targets_.
  void FindTargets(const EventView& event);

  Fold* fold_;
  const Plan& plan_;
  std::unordered_map<std::string, int32_t> arms_;
  std::unordered_map<std::string, uint32_t> codes_;
  std::unordered_map<std::string, uint32_t> units_;
  std::unordered_map<std::string, std::vector<std::string>> known_to_anonymous_;
  std::unordered_set<std::string> exposure_ids_;
  std::unordered_set<std::string> event_ids_;
  std::vector<uint32_t> targets_;
  int64_t sequence_ = 0;
  Health health_;

  std::vector<uint32_t> unit_;
  std::vector<int64_t> ts_ms_;
  std::vector<uint32_t> code_;
  std::vector<std::vector<double>> values_;
  std::vector<uint64_t> filters_;
  std::vector<uint32_t> order_keys_, session_keys_;
  std::unordered_map<std::string, uint32_t> key_codes_;  // Of both: equal texts, equal codes.
};

}  // namespace fulcrum::store
