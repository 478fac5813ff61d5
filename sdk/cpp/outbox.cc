// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/outbox.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/hash.h"
#include "sdk/cpp/json_text.h"

namespace fulcrum::sdk {
namespace {

constexpr int64_t kTellCountsEveryMs = 30'000;
constexpr int kMaxDoublings = 20;
constexpr int64_t kSpillingMs = 2;  // how soon to look again at a batch that is being written

size_t At(ItemKind kind) { return static_cast<size_t>(kind); }
const char* ListName(ItemKind kind) { return kind == ItemKind::kExposure ? "exposures" : "events"; }

bool HasNews(const Arm& arm) {
  return arm.assigned.load(std::memory_order_relaxed) != arm.told_assigned ||
         arm.shown != arm.told_shown || arm.dropped != arm.told_dropped;
}

}  // namespace

Outbox::Outbox(const ClientOptions& options, std::string name, const Clock* clock, ArmTable* arms,
               Spool* spool, std::mutex* mutex)
    : options_(options),
      name_(std::move(name)),
      clock_(clock),
      arms_(arms),
      mutex_(mutex),
      spool_(spool),
      counts_at_ms_(clock->SteadyMs()),
      random_(core::Xxh3(name_)) {
  open_[At(ItemKind::kEvent)].batch.kind = ItemKind::kEvent;
}

std::string Outbox::NextId() { return name_ + "-b" + std::to_string(++serial_); }

std::string Outbox::NextItemId() {
  std::string id = name_.substr(0, 16);
  id += '-';
  AppendInt(++item_serial_, &id);
  return id;
}

bool Outbox::HasRoom(size_t bytes) const {
  return memory_bytes_ + static_cast<int64_t>(bytes) <=
         static_cast<int64_t>(options_.max_queue_bytes);
}

bool Outbox::Add(ItemKind kind, std::string_view item, Arm* arm) {
  if (arm != nullptr) ++arm->shown;
  if (!HasRoom(item.size())) {
    ++dropped_[At(kind)];
    if (arm != nullptr) ++arm->dropped;
    return false;
  }
  Open& open = open_[At(kind)];
  if (open.batch.items == 0) {
    open.since_ms = clock_->SteadyMs();
  } else {
    open.batch.list += ',';
  }
  open.batch.list += item;
  ++open.batch.items;
  ++memory_items_;
  memory_bytes_ += static_cast<int64_t>(item.size()) + 1;
  if (arm != nullptr) {
    std::vector<Batch::Count>& counts = open.batch.arms;
    auto at = std::find_if(counts.begin(), counts.end(),
                           [arm](const Batch::Count& count) { return count.arm == arm; });
    if (at == counts.end()) at = counts.insert(counts.end(), {arm, 0});
    ++at->n;
  }
  if (open.batch.items >= static_cast<int64_t>(options_.batch_items) ||
      open.batch.list.size() >= options_.batch_bytes) {
    Seal(&open);
  }
  return true;
}

void Outbox::AppendTold(Batch* batch, std::string* body) {
  std::string list;
  arms_->ForEach([&](Arm& arm) {
    int64_t sent = 0;
    for (const Batch::Count& count : batch->arms) sent += count.arm == &arm ? count.n : 0;
    if (sent == 0 && !HasNews(arm)) return;
    const int64_t assigned = arm.assigned.load(std::memory_order_relaxed);
    const Batch::Told told{&arm, assigned - arm.told_assigned, arm.shown - arm.told_shown,
                           arm.dropped - arm.told_dropped};
    list += list.empty() ? "{\"experiment\":\"" : ",{\"experiment\":\"";
    list.append(arm.experiment).append("\",\"variant\":");
    AppendJsonString(arm.variant, &list);
    list += ",\"assigned\":";
    AppendInt(told.assigned, &list);
    list += ",\"shown\":";
    AppendInt(told.shown, &list);
    list += ",\"sent\":";
    AppendInt(sent, &list);
    list += ",\"dropped\":";
    AppendInt(told.dropped, &list);
    list += '}';
    arm.told_assigned += told.assigned;
    arm.told_shown += told.shown;
    arm.told_dropped += told.dropped;
    batch->told.push_back(told);
  });
  counts_at_ms_ = clock_->SteadyMs();
  if (!list.empty()) body->append(",\"client\":[").append(list).append("]");
}

void Outbox::Seal(Open* open) {
  auto batch = std::make_shared<Batch>(std::move(open->batch));
  open->batch = Batch{batch->kind};
  batch->id = NextId();
  const auto list_bytes = static_cast<int64_t>(batch->list.size());
  std::string& body = batch->body;
  body.reserve(batch->list.size() + 128);
  body.append("{\"batch_id\":\"").append(batch->id).append("\",\"").append(ListName(batch->kind));
  body.append("\":[").append(batch->list).append("]");
  batch->list = {};
  if (batch->kind == ItemKind::kExposure) AppendTold(batch.get(), &body);
  body += '}';
  batch->bytes = static_cast<int64_t>(body.size());
  // An item counts one byte more than its text, for the comma; the last one has none.
  memory_bytes_ += batch->bytes - (batch->items > 0 ? list_bytes + 1 : 0);
  sealed_.push_back(std::move(batch));
}

void Outbox::SealCounts() {
  bool has_news = false;
  arms_->ForEach([&](const Arm& arm) { has_news |= HasNews(arm); });
  if (has_news) Seal(&open_[At(ItemKind::kExposure)]);
}

void Outbox::SealAll() {
  for (Open& open : open_) {
    if (open.batch.items > 0) Seal(&open);
  }
  SealCounts();
}

bool Outbox::IsEmpty() const {
  return sealed_.empty() && open_[0].batch.items == 0 && open_[1].batch.items == 0;
}

std::shared_ptr<Batch> Outbox::FirstToSpill(bool is_end) const {
  if (spool_ == nullptr || spool_failed_) return nullptr;
  const bool is_crowded = memory_bytes_ > static_cast<int64_t>(options_.max_queue_bytes / 2);
  if (!is_away() && !is_crowded && !is_end) return nullptr;
  for (size_t i = is_sending_ ? 1 : 0; i < sealed_.size(); ++i) {
    if (!sealed_[i]->path.empty()) continue;
    const bool fits =
        spilled_bytes_ + sealed_[i]->bytes <= static_cast<int64_t>(options_.max_spill_bytes);
    return fits ? sealed_[i] : nullptr;
  }
  return nullptr;
}

void Outbox::HurryUp() {
  retry_at_ms_ = std::min(retry_at_ms_, std::max(clock_->SteadyMs(), not_before_ms_));
}

void Outbox::Refuse(ItemKind kind, Arm* arm) {
  ++dropped_[At(kind)];
  if (arm == nullptr) return;
  ++arm->shown;
  ++arm->dropped;
}

int64_t Outbox::WaitMs() const {
  const int64_t now_ms = clock_->SteadyMs();
  if (is_away()) {
    const int64_t least_ms = !sealed_.empty() && sealed_.front() == spilling_ ? kSpillingMs : 0;
    return std::max<int64_t>(least_ms, retry_at_ms_ - now_ms);
  }
  if (!sealed_.empty()) return sealed_.front() == spilling_ ? kSpillingMs : 0;
  int64_t due_ms = counts_at_ms_ + kTellCountsEveryMs;
  for (const Open& open : open_) {
    if (open.batch.items > 0) {
      due_ms = std::min<int64_t>(due_ms, open.since_ms + options_.flush_interval.count());
    }
  }
  return std::max<int64_t>(0, due_ms - now_ms);
}

void Outbox::SendOne(Connection* connection, std::string* problem) {
  std::unique_lock<std::mutex> lock(*mutex_);
  if (WaitMs() > 0) return;
  const int64_t now_ms = clock_->SteadyMs();
  for (Open& open : open_) {
    if (open.batch.items > 0 && now_ms >= open.since_ms + options_.flush_interval.count()) {
      Seal(&open);
    }
  }
  if (sealed_.empty() && now_ms >= counts_at_ms_ + kTellCountsEveryMs) {
    counts_at_ms_ = now_ms;
    SealCounts();
  }
  if (sealed_.empty() || sealed_.front() == spilling_) return;
  const std::shared_ptr<Batch> batch = sealed_.front();
  is_sending_ = true;
  const bool is_on_disk = !batch->path.empty();
  lock.unlock();

  std::string from_disk;
  bool can_send = true;
  if (is_on_disk) can_send = spool_->Read(*batch, &from_disk, problem);
  const std::string& body = is_on_disk ? from_disk : batch->body;
  HttpResponse response;
  if (can_send) {
    HttpRequest request;
    request.method = "POST";
    request.path = std::string("/v1/") + ListName(batch->kind);
    request.body = body;
    request.timeout = options_.request_timeout;
    response = connection->Send(request);
  }

  lock.lock();
  is_sending_ = false;
  const Outcome outcome = can_send ? Judge(response, *batch, body, problem) : Outcome::kRefused;
  if (outcome == Outcome::kRetry) {
    ++retried_;
    return ScheduleRetry(response.retry_after_s);
  }
  if (outcome == Outcome::kRefused) Drop(*batch);
  failures_ = 0;
  spool_failed_ = false;
  sealed_.pop_front();
  if (is_on_disk) {
    spilled_bytes_ -= batch->bytes;
    --spilled_batches_;
    lock.unlock();
    spool_->Remove(*batch);
  } else {
    memory_bytes_ -= batch->bytes;
    memory_items_ -= batch->items;
  }
}

Outbox::Outcome Outbox::Judge(const HttpResponse& response, const Batch& batch,
                              const std::string& body, std::string* problem) {
  if (response.status == 200) {
    sent_[At(batch.kind)] += batch.items;
    for (const Batch::Count& count : batch.arms) count.arm->sent += count.n;
    NoteRejected(response, batch, body, problem);
    return Outcome::kDone;
  }
  const std::string what = response.status == 0 ? response.error
                                                : "status " + std::to_string(response.status) +
                                                      " " + response.body.substr(0, 300);
  // What no second attempt would mend. Everything else may pass: a server that starts, a key that
  // is being replaced, a proxy.
  const bool is_refused =
      response.status == 400 || response.status == 409 || response.status == 413;
  if (is_refused) {
    // All its items are bad, or all are well and the counts are not: 400 lists them all.
    *problem = "The server refused a batch of " + std::to_string(batch.items) + " " +
               ListName(batch.kind) + ", which are dropped: " + what;
    return Outcome::kRefused;
  }
  *problem = "Batches cannot be sent to " + options_.url + " and are kept: " + what;
  return Outcome::kRetry;
}

void Outbox::NoteRejected(const HttpResponse& response, const Batch& batch, const std::string& body,
                          std::string* problem) {
  // Nothing is taken for granted: something between may answer in the server's place.
  const nlohmann::json answer = nlohmann::json::parse(response.body, nullptr, false);
  if (!answer.is_object()) return;
  const auto rejected = answer.find("rejected");
  if (rejected == answer.end() || !rejected->is_array() || rejected->empty()) return;
  auto count = static_cast<int64_t>(rejected->size());
  const auto more = answer.find("rejected_not_listed");
  if (more != answer.end() && more->is_number_integer()) count += more->get<int64_t>();
  count = std::clamp<int64_t>(count, 0, batch.items);
  sent_[At(batch.kind)] -= count;
  dropped_[At(batch.kind)] += count;
  const nlohmann::json ours = nlohmann::json::parse(body, nullptr, false);
  const nlohmann::json& items = ours.at(ListName(batch.kind));
  std::string first;
  for (const nlohmann::json& one : *rejected) {
    if (!one.is_object()) continue;
    const auto error = one.find("error");
    if (first.empty() && error != one.end() && error->is_string()) first = *error;
    const auto index = one.find("index");
    if (batch.kind != ItemKind::kExposure || index == one.end() || !index->is_number_unsigned() ||
        index->get<size_t>() >= items.size()) {
      continue;
    }
    const nlohmann::json& item = items[index->get<size_t>()];
    Arm* arm =
        arms_->Of(item.at("experiment").get<std::string>(), item.at("variant").get<std::string>());
    --arm->sent;
    ++arm->dropped;
  }
  *problem = "The server refused " + std::to_string(count) + " of " + std::to_string(batch.items) +
             " " + ListName(batch.kind) + "; the first: " + first + ".";
}

// What its body would have told, another batch tells.
void Outbox::Drop(const Batch& batch) {
  dropped_[At(batch.kind)] += batch.items;
  for (const Batch::Count& count : batch.arms) count.arm->dropped += count.n;
  if (batch.items == 0) return;  // the server wants none of these counts: telling again is no use
  for (const Batch::Told& told : batch.told) {
    told.arm->told_assigned -= told.assigned;
    told.arm->told_shown -= told.shown;
    told.arm->told_dropped -= told.dropped;
  }
}

void Outbox::DropAll() {
  SealAll();
  for (const auto& batch : sealed_) {
    if (batch->path.empty()) Drop(*batch);
  }
  sealed_.clear();
}

// Full jitter: anything from nothing to the doubled step, so that clients that failed together do
// not come back together; but never before the server said.
void Outbox::ScheduleRetry(int retry_after_s) {
  const int doublings = std::min(failures_++, kMaxDoublings);
  const int64_t step_ms =
      std::min<int64_t>(options_.retry_max.count(), options_.retry_base.count() << doublings);
  const int64_t wait_ms =
      std::uniform_int_distribution<int64_t>(0, std::max<int64_t>(step_ms, 1))(random_);
  not_before_ms_ = clock_->SteadyMs() + int64_t{std::max(0, retry_after_s)} * 1000;
  retry_at_ms_ = not_before_ms_ + wait_ms;
}

void Outbox::Adopt(std::vector<std::string>* problems) {
  if (spool_ == nullptr) return;
  std::vector<Batch> batches = spool_->Adopt(problems);
  const std::lock_guard<std::mutex> lock(*mutex_);
  const auto first = sealed_.begin() + (is_sending_ ? 1 : 0);
  std::vector<std::shared_ptr<Batch>> adopted;
  for (Batch& batch : batches) {
    for (const Batch::Named& named : batch.named) {
      batch.arms.push_back({arms_->Of(named.experiment, named.variant), named.n});
    }
    batch.named.clear();
    spilled_bytes_ += batch.bytes;
    ++spilled_batches_;
    adopted.push_back(std::make_shared<Batch>(std::move(batch)));
  }
  sealed_.insert(first, adopted.begin(), adopted.end());
}

bool Outbox::SpillAll(bool is_end, std::string* problem) {
  std::unique_lock<std::mutex> lock(*mutex_);
  while (std::shared_ptr<Batch> batch = FirstToSpill(is_end)) {
    spilling_ = batch;
    Batch on_disk = *batch;
    lock.unlock();
    const bool ok = spool_->Write(&on_disk, problem);
    lock.lock();
    spilling_ = nullptr;
    if (!ok) {
      spool_failed_ = true;
      return false;
    }
    batch->path = std::move(on_disk.path);
    batch->body = {};
    memory_bytes_ -= batch->bytes;
    memory_items_ -= batch->items;
    spilled_bytes_ += batch->bytes;
    ++spilled_batches_;
  }
  return true;
}

void Outbox::FillStats(ClientStats* stats) const {
  stats->exposures_sent = sent_[At(ItemKind::kExposure)];
  stats->exposures_dropped = dropped_[At(ItemKind::kExposure)];
  stats->events_sent = sent_[At(ItemKind::kEvent)];
  stats->events_dropped = dropped_[At(ItemKind::kEvent)];
  stats->batches_retried = retried_;
  stats->queued_items = memory_items_;
  stats->queued_bytes = memory_bytes_;
  stats->spilled_batches = spilled_batches_;
  stats->spilled_bytes = spilled_bytes_;
}

}  // namespace fulcrum::sdk
