// SPDX-License-Identifier: Apache-2.0
//
// One user's life, visit by visit. What happens in a visit depends only on the user's random draws
// (rng.h), on what happened before, and on the variants shown.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/world.h"

namespace fulcrum::sim {

// Thread-compatible: use one Life from one thread at a time. `world` must outlive it.
class Life {
 public:
  Life(const World& world, uint32_t user);

  // When the next visit begins, INT64_MAX when there is none.
  int64_t next_visit_ms() const { return next_visit_ms_; }

  // Lives through that visit, asking `assign` at its start and again when the user becomes known;
  // appends what it leaves behind, including what follows later (payments, deliveries, refunds).
  // REQUIRES next_visit_ms() != INT64_MAX.
  void RunVisit(const AssignFn& assign, std::vector<Record>* records);

 private:
  struct Visit;  // The state of one visit.

  void Evaluate(const AssignFn& assign, Visit& visit) const;
  void Show(Trigger trigger, Visit& visit, std::vector<Record>* records) const;
  bool BecomeKnown(const AssignFn& assign, Visit& visit, std::vector<Record>* records);
  void Consult(Visit& visit, std::vector<Record>* records) const;
  void Checkout(Visit& visit, std::vector<Record>* records);
  void AfterOrder(Visit& visit, int64_t order_ms, double value, double discount,
                  std::vector<Record>* records);
  void AfterPayment(Visit& visit, int64_t pay_ms, double value, std::vector<Record>* records) const;
  void Identify(int64_t ts_ms, Visit& visit, std::vector<Record>* records);
  void PlanNextVisit(const Visit& visit);
  Record& Emit(EventType event, int64_t ts_ms, const Visit& visit,
               std::vector<Record>* records) const;
  void ApplyFaults(Record& record) const;
  void AddCopies(size_t from, std::vector<Record>* records) const;
  int32_t OrdersBefore(int64_t ts_ms) const;
  int64_t Arrival() const;
  int64_t AtHourOfDay(int64_t ts_ms, int64_t visit) const;

  const World& world_;
  UserRandom random_;
  Profile profile_;
  uint32_t user_;
  int32_t visits_ = 0;
  int64_t next_visit_ms_ = 0;
  bool registered_ = false;
  bool known_[2] = {false, false};   // Per device: logged in.
  bool linked_[2] = {false, false};  // Per device: the link was sent.
  std::vector<int64_t> paid_ms_;     // For orders_before.
};

}  // namespace fulcrum::sim
