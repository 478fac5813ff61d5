// SPDX-License-Identifier: Apache-2.0
#include "sim/life.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/time.h"

namespace fulcrum::sim {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int32_t kMaxVisits = 60000;  // Ids hold the visit in 16 bits.

// Visits by local hour: lunch and the evening.
constexpr double kHourWeights[24] = {1.6, 0.9, 0.5, 0.3, 0.3, 0.4, 0.8, 1.6, 2.6, 3.8, 4.4, 4.6,
                                     5.2, 4.4, 4.2, 4.2, 4.0, 3.8, 4.0, 5.0, 6.6, 7.2, 6.0, 3.4};
constexpr double kWeekendFactor = 1.3;

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b != 0 && a < 0 ? 1 : 0); }

int64_t Seconds(double seconds) { return static_cast<int64_t>(seconds * 1000.0); }

double RoundToCents(double amount) { return std::round(amount * 100.0) / 100.0; }

}  // namespace

struct Life::Visit {
  int32_t number = 0;
  uint8_t device = 0;
  bool experimental = false;  // Not in the history.
  bool ordered = false;
  bool paid = false;
  int64_t began_ms = 0;
  int64_t now_ms = 0;
  double cart_logit = 0;  // From a consultation.
  VariantEffect shown;    // The sum of what was shown so far.
  std::vector<Assignment> assignments;
};

Life::Life(const World& world, uint32_t user)
    : world_(world), random_(world.Random(user)), profile_(world.ProfileOf(user)), user_(user) {
  registered_ = profile_.existing;
  known_[0] = registered_ && random_.Chance(0.75, Purpose::kRemembered);
  const WorldOptions& options = world.options();
  const bool has_history =
      registered_ && options.history_days > 0 && random_.Chance(0.65, Purpose::kHistory);
  if (has_history) {
    const double day =
        random_.Uniform(Purpose::kHistory, 1) * static_cast<double>(options.history_days);
    next_visit_ms_ = AtHourOfDay(world.begin_ms() + static_cast<int64_t>(day * kDayMs), 0);
    next_visit_ms_ = std::max(next_visit_ms_, world.begin_ms());
  } else {
    next_visit_ms_ = Arrival();
  }
}

int64_t Life::Arrival() const {
  const WorldOptions& options = world_.options();
  const auto weight = [&](int64_t day) {
    const int64_t local = options.start_ms + options.utc_offset_ms + day * kDayMs;
    const int64_t weekday = (FloorDiv(local, kDayMs) % 7 + 11) % 7;  // 0 = Sunday.
    const double season = weekday == 0 || weekday == 6 ? kWeekendFactor : 1.0;
    return season * (0.75 + std::exp(-static_cast<double>(day) / 6.0));
  };
  double total = 0;
  for (int64_t day = 0; day < options.days; ++day) total += weight(day);
  double draw = random_.Uniform(Purpose::kArrivalDay) * total;
  int64_t day = 0;
  while (day + 1 < options.days && (draw -= weight(day)) > 0) ++day;
  const int64_t at_ms = AtHourOfDay(options.start_ms + day * kDayMs, kMaxVisits);
  return std::max(at_ms, options.start_ms);
}

int64_t Life::AtHourOfDay(int64_t ts_ms, int64_t visit) const {
  const int64_t offset_ms = world_.options().utc_offset_ms;
  const int64_t midnight_ms = FloorDiv(ts_ms + offset_ms, kDayMs) * kDayMs - offset_ms;
  double total = 0;
  for (const double weight : kHourWeights) total += weight;
  double draw = random_.Uniform(Purpose::kGapHour, static_cast<uint64_t>(visit)) * total;
  int hour = 0;
  while (hour < 23 && draw >= kHourWeights[hour]) draw -= kHourWeights[hour++];
  const double within = std::min(draw / kHourWeights[hour], 1.0 - 1e-9);
  return midnight_ms + static_cast<int64_t>((hour + within) * kHourMs);
}

int32_t Life::OrdersBefore(int64_t ts_ms) const {
  const auto paid = std::count_if(paid_ms_.begin(), paid_ms_.end(),
                                  [&](int64_t paid_ms) { return paid_ms < ts_ms; });
  return profile_.orders_before + static_cast<int32_t>(paid);
}

void Life::ApplyFaults(Record& record) const {
  const Faults& faults = world_.faults();
  const uint64_t part = record.kind == RecordKind::kEvent
                            ? static_cast<uint64_t>(record.event)
                            : 64 + static_cast<uint64_t>(record.experiment + 1);
  const auto visit = static_cast<uint64_t>(record.visit);
  if (record.kind == RecordKind::kEvent) {
    record.lost = random_.Chance(faults.event_loss, Purpose::kLost, visit, part);
  } else if (record.kind == RecordKind::kExposure) {
    // A client that blocks the beacon blocks it every time.
    const double planted = world_.effect(record.experiment, record.variant).exposure_loss;
    const double kept = (1 - faults.exposure_loss) * (1 - planted);
    const uint64_t unit = record.names_device ? record.device : 255;
    record.lost = random_.Chance(1 - kept, Purpose::kBlocked, unit, part);
  }
  double delay_ms = 0;
  if (random_.Chance(faults.delay_rate, Purpose::kDelayed, visit, part)) {
    delay_ms =
        random_.Uniform(Purpose::kDelay, visit, part) * static_cast<double>(faults.max_delay_ms);
  }
  if (record.kind == RecordKind::kEvent && record.event == EventType::kRefund) {
    delay_ms +=
        random_.Uniform(Purpose::kDelay, visit, 1024) * static_cast<double>(faults.refund_delay_ms);
  }
  record.received_ms = record.ts_ms + static_cast<int64_t>(delay_ms);
}

void Life::AddCopies(size_t from, std::vector<Record>* records) const {
  const double rate = world_.faults().duplicate_rate;
  if (rate <= 0) return;
  const size_t end = records->size();
  for (size_t i = from; i < end; ++i) {
    Record copy = (*records)[i];
    const uint64_t part = i - from;
    if (copy.lost ||
        !random_.Chance(rate, Purpose::kDuplicated, static_cast<uint64_t>(copy.visit), part)) {
      continue;
    }
    copy.copy = true;
    copy.received_ms +=
        Seconds(3600.0 * random_.Uniform(Purpose::kDuplicated, static_cast<uint64_t>(copy.visit),
                                         512 + part));
    records->push_back(copy);
  }
}

Record& Life::Emit(EventType event, int64_t ts_ms, const Visit& visit,
                   std::vector<Record>* records) const {
  Record& record = records->emplace_back();
  record.event = event;
  record.device = visit.device;
  record.names_device = true;
  record.names_user = known_[visit.device];
  record.registered = registered_;
  record.desktop = profile_.platform == "desktop";
  record.user = user_;
  record.visit = visit.number;
  record.orders_before = OrdersBefore(ts_ms);
  record.ts_ms = ts_ms;
  ApplyFaults(record);
  return record;
}

void Life::Evaluate(const AssignFn& assign, Visit& visit) const {
  if (!visit.experimental) return;
  visit.assignments.assign(static_cast<size_t>(world_.experiment_count()), Assignment{});
  assign(Visitor{user_, visit.device, known_[visit.device], registered_, OrdersBefore(visit.now_ms),
                 visit.now_ms},
         visit.assignments);
}

void Life::Show(Trigger trigger, Visit& visit, std::vector<Record>* records) const {
  if (!visit.experimental) return;
  for (int i = 0; i < world_.experiment_count(); ++i) {
    const Assignment& assignment = visit.assignments[static_cast<size_t>(i)];
    if (world_.trigger(i) != trigger || assignment.variant < 0) continue;
    const bool on_device = world_.unit_is_device(i);
    if (!on_device && !known_[visit.device]) continue;
    Record& record = records->emplace_back();
    record.kind = RecordKind::kExposure;
    record.device = visit.device;
    record.names_device = on_device;
    record.names_user = !on_device;
    record.registered = registered_;
    record.desktop = profile_.platform == "desktop";
    record.user = user_;
    record.visit = visit.number;
    record.orders_before = OrdersBefore(visit.now_ms);
    record.experiment = i;
    record.variant = assignment.variant;
    record.phase = assignment.phase;
    record.propensity = assignment.propensity;
    record.ts_ms = visit.now_ms;
    ApplyFaults(record);
    visit.shown.Add(world_.effect(i, assignment.variant));
  }
}

void Life::Identify(int64_t ts_ms, Visit& visit, std::vector<Record>* records) {
  known_[visit.device] = true;
  if (linked_[visit.device]) return;
  linked_[visit.device] = true;
  Record& record = Emit(EventType::kLogin, ts_ms, visit, records);
  record.kind = RecordKind::kLink;
  record.lost = false;  // The login service sends links, and retries until they are kept.
}

void Life::RunVisit(const AssignFn& assign, std::vector<Record>* records) {
  const size_t first_record = records->size();
  Visit visit;
  visit.number = visits_++;
  visit.began_ms = next_visit_ms_;
  visit.now_ms = visit.began_ms;
  visit.experimental = visit.now_ms >= world_.options().start_ms;
  const auto number = static_cast<uint64_t>(visit.number);
  visit.device = profile_.devices > 1 && random_.Chance(0.35, Purpose::kDevicePick, number) ? 1 : 0;

  if (known_[visit.device]) {
    Identify(visit.now_ms, visit, records);
  } else if (visit.device == 1) {
    Identify(visit.now_ms, visit, records);
    Emit(EventType::kLogin, visit.now_ms, visit, records);
  }
  Evaluate(assign, visit);
  Show(Trigger::kVisit, visit, records);
  visit.now_ms += Seconds(4);
  Emit(EventType::kBrowse, visit.now_ms, visit, records);
  if (random_.Chance(Logistic(world_.model().search_logit), Purpose::kSearch, number)) {
    visit.now_ms += Seconds(12);
    Show(Trigger::kSearch, visit, records);
    visit.now_ms += Seconds(1);
    Emit(EventType::kSearch, visit.now_ms, visit, records);
  }
  Consult(visit, records);
  const double cart = world_.model().cart_logit + 0.8 * profile_.intent + visit.cart_logit +
                      (registered_ ? 0.4 : 0.0) + visit.shown.cart_logit;
  if (random_.Chance(Logistic(cart), Purpose::kCart, number)) {
    visit.now_ms += Seconds(random_.LogNormal(200, 0.9, Purpose::kCartDelay, number));
    Emit(EventType::kCart, visit.now_ms, visit, records);
    if (known_[visit.device] || BecomeKnown(assign, visit, records)) Checkout(visit, records);
  }
  PlanNextVisit(visit);
  AddCopies(first_record, records);
}

void Life::Consult(Visit& visit, std::vector<Record>* records) const {
  const auto number = static_cast<uint64_t>(visit.number);
  const double ask = world_.model().consult_logit + 0.25 * profile_.intent +
                     (registered_ ? -0.3 : 0.2) + visit.shown.consult_logit;
  if (!random_.Chance(Logistic(ask), Purpose::kConsult, number)) return;
  visit.now_ms += Seconds(random_.LogNormal(90, 0.8, Purpose::kConsultDelay, number));
  Emit(EventType::kConsult, visit.now_ms, visit, records);
  const double wait_s = random_.LogNormal(240, 1.1, Purpose::kAnswerDelay, number);
  visit.now_ms += Seconds(wait_s);
  Emit(EventType::kAnswer, visit.now_ms, visit, records).number = std::round(wait_s);
  // Whoever asks is nearer to buying, if the answer comes soon.
  visit.cart_logit = wait_s < 600 ? 0.8 : -0.1;
}

bool Life::BecomeKnown(const AssignFn& assign, Visit& visit, std::vector<Record>* records) {
  const auto number = static_cast<uint64_t>(visit.number);
  visit.now_ms += Seconds(3);
  if (registered_) {
    if (!random_.Chance(0.95, Purpose::kLogin, number)) return false;
    visit.now_ms += Seconds(random_.LogNormal(20, 0.6, Purpose::kRegisterDelay, number));
    Identify(visit.now_ms, visit, records);
    Emit(EventType::kLogin, visit.now_ms, visit, records);
  } else {
    Show(Trigger::kRegister, visit, records);
    const double logit =
        world_.model().register_logit + 0.4 * profile_.intent + visit.shown.register_logit;
    if (!random_.Chance(Logistic(logit), Purpose::kRegister, number)) return false;
    visit.now_ms += Seconds(random_.LogNormal(70, 0.7, Purpose::kRegisterDelay, number));
    registered_ = true;
    Identify(visit.now_ms, visit, records);
    Emit(EventType::kRegister, visit.now_ms, visit, records);
  }
  Evaluate(assign, visit);
  return true;
}

void Life::Checkout(Visit& visit, std::vector<Record>* records) {
  const ShopModel& model = world_.model();
  const auto number = static_cast<uint64_t>(visit.number);
  visit.now_ms += Seconds(2);
  Show(Trigger::kCheckout, visit, records);
  const double logit = model.order_logit + 0.4 * profile_.intent + visit.shown.order_logit;
  if (!random_.Chance(Logistic(logit), Purpose::kOrder, number)) return;
  visit.ordered = true;
  const int64_t order_ms =
      visit.now_ms + Seconds(random_.LogNormal(100, 0.8, Purpose::kOrderDelay, number));
  const double spread = model.order_value_sigma * random_.Normal(Purpose::kOrderValue, number);
  const double value =
      RoundToCents(profile_.value_median * std::exp(spread + visit.shown.order_value_log));
  const double discount = RoundToCents(std::min(visit.shown.coupon, value / 2));
  Record& order = Emit(EventType::kOrder, order_ms, visit, records);
  order.value = value;
  order.number = discount;
  AfterOrder(visit, order_ms, value, discount, records);
}

void Life::AfterOrder(Visit& visit, int64_t order_ms, double value, double discount,
                      std::vector<Record>* records) {
  const ShopModel& model = world_.model();
  const auto number = static_cast<uint64_t>(visit.number);
  const double logit = model.pay_logit + 0.25 * profile_.intent + visit.shown.pay_logit;
  if (!random_.Chance(Logistic(logit), Purpose::kPay, number)) {
    if (random_.Chance(model.cancel_rate, Purpose::kCancel, number)) {
      const double delay_s = random_.LogNormal(4 * 3600, 1.0, Purpose::kCancelDelay, number);
      Emit(EventType::kCancel, order_ms + Seconds(delay_s), visit, records).value = value;
    }
    return;
  }
  visit.paid = true;
  const double median_s = 150 * std::exp(visit.shown.pay_delay_log);
  const int64_t pay_ms =
      order_ms + Seconds(random_.LogNormal(median_s, 1.6, Purpose::kPayDelay, number));
  // The payment provider calls the server back, which knows the user, not the device.
  Record& pay = Emit(EventType::kPay, pay_ms, visit, records);
  pay.names_device = false;
  pay.value = value;
  pay.number = discount;
  paid_ms_.push_back(pay_ms);
  AfterPayment(visit, pay_ms, value, records);
}

void Life::AfterPayment(Visit& visit, int64_t pay_ms, double value,
                        std::vector<Record>* records) const {
  const ShopModel& model = world_.model();
  const auto number = static_cast<uint64_t>(visit.number);
  if (random_.Chance(model.service_rate, Purpose::kService, number)) {
    const double days = random_.LogNormal(2.2, 0.35, Purpose::kServiceDelay, number);
    Record& service = Emit(EventType::kService, pay_ms + Seconds(86400 * days), visit, records);
    service.names_device = false;
    const double rating = 4.9 - 0.35 * days + 0.8 * random_.Normal(Purpose::kRating, number);
    service.number = std::clamp(std::round(rating), 1.0, 5.0);
  }
  if (random_.Chance(model.refund_rate, Purpose::kRefund, number)) {
    const double days = random_.LogNormal(4.5, 0.6, Purpose::kRefundDelay, number);
    const bool whole = random_.Chance(0.7, Purpose::kRefundShare, number);
    const double share = whole ? 1.0 : random_.Uniform(Purpose::kRefundShare, number, 1);
    Record& refund = Emit(EventType::kRefund, pay_ms + Seconds(86400 * days), visit, records);
    refund.names_device = false;
    refund.value = RoundToCents(value * share);
  }
}

void Life::PlanNextVisit(const Visit& visit) {
  const ShopModel& model = world_.model();
  const auto number = static_cast<uint64_t>(visit.number);
  const int64_t started_ms = next_visit_ms_;
  next_visit_ms_ = kNever;
  const double logit = model.return_logit + 0.4 * profile_.intent + (visit.paid ? 0.9 : 0.0) +
                       (visit.ordered ? 0.2 : 0.0) + visit.shown.return_logit;
  const bool returns =
      visits_ < kMaxVisits && random_.Chance(Logistic(logit), Purpose::kReturn, number);
  if (returns) {
    const double median = model.gap_median_days * std::exp(-0.15 * profile_.intent);
    const double days = random_.LogNormal(median, model.gap_sigma, Purpose::kGap, number);
    const int64_t after_ms = started_ms + Seconds(86400 * days);
    next_visit_ms_ = AtHourOfDay(after_ms, visit.number + 1);
    while (next_visit_ms_ < std::max(started_ms, visit.now_ms) + kHourMs) next_visit_ms_ += kDayMs;
  } else if (!visit.experimental) {
    next_visit_ms_ = Arrival();  // Dormant through the history, back for the experiments.
  }
}

}  // namespace fulcrum::sim
