// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/state.h"

#include <sys/random.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <random>
#include <tuple>
#include <utility>

#include "core/hash.h"
#include "sdk/cpp/json_text.h"
#include "sdk/cpp/poller.h"

namespace fulcrum::sdk {
namespace {

constexpr int64_t kKeepEveryMs = 250;
constexpr int64_t kLongestSleepMs = 1'000;

// 128 random bits: what tells this process's batches from all others'.
std::string RandomName() {
  unsigned char bytes[16] = {};
  if (getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) {
    std::random_device device;
    for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(device());
  }
  static constexpr char kHex[] = "0123456789abcdef";
  std::string name;
  for (const unsigned char byte : bytes) name.append({kHex[byte >> 4], kHex[byte & 15]});
  return name;
}

template <typename Predicate>
bool WaitFor(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
             int64_t wait_ms, Predicate predicate) {
  const std::chrono::milliseconds wait(wait_ms);
#if defined(__SANITIZE_THREAD__)
  // GCC 12's thread sanitizer does not know the wait on the steady clock.
  return condition.wait_until(lock, std::chrono::system_clock::now() + wait, predicate);
#else
  return condition.wait_for(lock, wait, predicate);
#endif
}

// {"name":value,…}; false where one cannot be written.
bool AppendObject(const std::vector<Attribute>& attributes, std::string* out) {
  out->push_back('{');
  for (const Attribute& attribute : attributes) {
    if (out->back() != '{') out->push_back(',');
    if (!IsUtf8(attribute.key)) return false;
    AppendJsonString(attribute.key, out);
    out->push_back(':');
    if (!AppendValue(attribute.value, out)) return false;
  }
  out->push_back('}');
  return true;
}

bool AppendText(std::string_view name, std::string_view text, std::string* out) {
  if (text.empty()) return true;
  if (!IsUtf8(text)) return false;
  out->append(",\"").append(name).append("\":");
  AppendJsonString(text, out);
  return true;
}

bool AppendExposure(const Evaluation& evaluation, const std::vector<Attribute>& attributes,
                    int64_t ts_ms, std::string* out) {
  out->append("{\"experiment\":\"").append(evaluation.experiment).append("\"");
  bool ok = AppendText("variant", evaluation.variant, out);
  // Without a kind the server takes the experiment's own.
  if (evaluation.unit_kind.empty()) {
    ok = ok && AppendText("unit", evaluation.unit_id, out);
  } else {
    out->append(",\"unit\":{\"kind\":\"").append(evaluation.unit_kind).append("\"");
    ok = ok && AppendText("id", evaluation.unit_id, out);
    out->push_back('}');
  }
  out->append(",\"ts\":");
  AppendInt(ts_ms, out);
  ok = ok && AppendText("snapshot", evaluation.snapshot, out);
  if (evaluation.phase >= 0) {
    out->append(",\"phase\":");
    AppendInt(evaluation.phase, out);
  }
  if (evaluation.propensity > 0) {
    out->append(",\"propensity\":");
    AppendDouble(evaluation.propensity, out);
  }
  if (!attributes.empty()) {
    out->append(",\"attributes\":");
    ok = ok && AppendObject(attributes, out);
  }
  return ok;
}

bool AppendEvent(const Event& event, int64_t ts_ms, std::string* out) {
  if (event.name.empty() || !IsUtf8(event.name)) return false;
  out->append("{\"name\":");
  AppendJsonString(event.name, out);
  out->append(",\"ts\":");
  AppendInt(ts_ms, out);
  std::vector<Attribute> ids;
  for (const Unit& unit : event.units) {
    if (unit.kind.empty()) return false;
    if (!unit.id.empty()) ids.push_back({unit.kind, unit.id});
  }
  out->append(",\"ids\":");
  if (ids.empty() || !AppendObject(ids, out)) return false;
  if (event.value) {
    if (!std::isfinite(*event.value)) return false;
    out->append(",\"value\":");
    AppendDouble(*event.value, out);
  }
  bool ok = AppendText("currency", event.currency, out) &&
            AppendText("order_id", event.order_id, out) &&
            AppendText("session_id", event.session_id, out) &&
            AppendText("event_id", event.event_id, out);
  if (ok && !event.properties.empty()) {
    out->append(",\"properties\":");
    ok = AppendObject(event.properties, out);
  }
  return ok;
}

}  // namespace

State::State(const ClientOptions& options, std::shared_ptr<Transport> transport, const Clock* clock)
    : options_(options),
      transport_(std::move(transport)),
      clock_(clock),
      name_(RandomName()),
      remote_(options, transport_.get(), clock),
      priors_(options.keep_priors ? options.max_priors : 0),
      shown_(options.exposure_dedupe),
      spool_(options.state_directory.empty()
                 ? nullptr
                 : std::make_unique<Spool>(options.state_directory, name_)),
      outbox_(options_, name_, clock, &arms_, spool_.get(), &mutex_) {}

State::~State() = default;

std::unique_ptr<State> State::Fork() const {
  auto child = std::make_unique<State>(options_, transport_, clock_);
  child->priors_ = priors_;
  child->priors_.TakeJournal();  // the parent writes what it was given
  child->shown_ = shown_;
  if (prior_file_ != nullptr) {
    child->prior_file_ = std::make_unique<PriorFile>(options_.state_directory);
  }
  const std::shared_ptr<const Ready>& ready = ready_.WhileLocked();
  if (ready != nullptr) child->Publish(ready->snapshot, is_from_disk_);
  return child;
}

void State::Abandon() {
  if (spool_ != nullptr) spool_->Abandon();
  if (prior_file_ != nullptr) prior_file_->Abandon();
  remote_.AbandonConnections();
}

void State::Lock() {
  mutex_.lock();
  ready_.mutex().lock();
  remote_.mutex().lock();
}

void State::Unlock() {
  remote_.mutex().unlock();
  ready_.mutex().unlock();
  mutex_.unlock();
}

void State::Load() {
  if (options_.state_directory.empty()) return;
  std::string problem;
  if (is_local()) {
    std::shared_ptr<const core::Snapshot> snapshot =
        LoadSnapshot(options_.state_directory, &problem);
    if (snapshot != nullptr) Publish(std::move(snapshot), true);
    Tell(kPolling, problem);
  }
  if (options_.keep_priors && is_local()) {
    problem.clear();
    prior_file_ = std::make_unique<PriorFile>(options_.state_directory);
    if (MakeDirectories(options_.state_directory, &problem)) {
      prior_file_->Load(&priors_, &problem);
    }
    Tell(kKeeping, problem);
  }
}

void State::Publish(std::shared_ptr<const core::Snapshot> snapshot, bool is_from_disk) {
  std::unique_lock<std::mutex> lock(mutex_);
  std::shared_ptr<const Ready> ready = MakeReady(std::move(snapshot), &arms_);
  is_from_disk_ = is_from_disk;
  lock.unlock();
  ready_.Set(std::move(ready));
  lock.lock();  // so that a waiter between its look and its sleep does not miss it
  changed_.notify_all();
}

void State::Tell(Source source, const std::string& problem) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (problems_[source] == problem) return;
    problems_[source] = problem;
    if (problem.empty()) return;
    last_problem_ = problem;
  }
  if (options_.on_problem) options_.on_problem(problem);
}

void State::StartThreadsOnce() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (is_started_.load(std::memory_order_relaxed) || is_ending_) return;
  try {
    if (send_connection_ == nullptr) send_connection_ = transport_->Connect();
    if (poll_connection_ == nullptr) poll_connection_ = transport_->Connect();
    const auto start = [this](void (State::*loop)()) {
      threads_.emplace_back([this, loop] {
        while (!RunLoop(loop)) {
        }
        const std::lock_guard<std::mutex> done(mutex_);
        --running_;
        changed_.notify_all();
      });
      ++running_;
    };
    if (threads_.empty()) start(&State::SendLoop);
    if (threads_.size() == 1) start(&State::KeepLoop);
    if (threads_.size() == 2 && is_local()) start(&State::PollLoop);
    is_started_.store(true, std::memory_order_release);
  } catch (const std::exception& exception) {
    last_problem_ = std::string("A thread cannot be started: ") + exception.what() + ".";
  }
}

// False where it is to be run again: memory was short, and a second later it may not be.
bool State::RunLoop(void (State::*loop)()) {
  try {
    (this->*loop)();
    return true;
  } catch (...) {
    std::unique_lock<std::mutex> lock(mutex_);
    return WaitFor(changed_, lock, kLongestSleepMs, [this] { return is_ending_; });
  }
}

void State::PollLoop() {
  Poller poller(options_, clock_, core::Xxh3(name_));
  std::unique_lock<std::mutex> lock(mutex_);
  while (!is_ending_) {
    lock.unlock();
    Poller::Result result = poller.Poll(poll_connection_.get());
    lock.lock();
    if (is_ending_) return;
    if (result.is_refused) ++snapshots_refused_;
    lock.unlock();
    if (result.snapshot != nullptr) {
      Publish(std::move(result.snapshot), false);
      if (!options_.state_directory.empty()) {
        SaveSnapshot(options_.state_directory, result.bytes, &result.problem);
      }
    }
    Tell(kPolling, result.problem);
    lock.lock();
    WaitFor(wake_poller_, lock, result.wait_ms, [this] { return is_ending_; });
  }
}

void State::SendLoop() {
  std::vector<std::string> problems;
  outbox_.Adopt(&problems);
  for (const std::string& problem : problems) Tell(kKeeping, problem);
  std::unique_lock<std::mutex> lock(mutex_);
  has_adopted_ = true;
  changed_.notify_all();
  while (!is_ending_) {
    const int64_t wait_ms = outbox_.WaitMs();
    if (wait_ms > 0) {
      WaitFor(wake_sender_, lock, std::min(wait_ms, kLongestSleepMs),
              [this] { return is_ending_ || outbox_.WaitMs() == 0; });
      continue;
    }
    lock.unlock();
    std::string problem;
    outbox_.SendOne(send_connection_.get(), &problem);
    Tell(kSending, problem);
    lock.lock();
    if (outbox_.wants_spill()) wake_keeper_.notify_one();
    changed_.notify_all();
  }
}

void State::KeepLoop() {
  if (options_.state_directory.empty()) return;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!is_ending_) {
    WaitFor(wake_keeper_, lock, kKeepEveryMs,
            [this] { return is_ending_ || outbox_.wants_spill(); });
    if (is_ending_) return;
    lock.unlock();
    Keep(false);
    lock.lock();
  }
}

void State::Keep(bool is_end) {
  std::string problem;
  outbox_.SpillAll(is_end, &problem);
  std::string journal;
  if (prior_file_ != nullptr) {
    const std::lock_guard<std::mutex> lock(mutex_);
    journal = priors_.TakeJournal();
  }
  if (!journal.empty()) prior_file_->Append(journal, &problem);
  if (!problem.empty()) Tell(kKeeping, problem);
}

void State::Stop(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (running_ > 0) {
    outbox_.SealAll();
    outbox_.HurryUp();
    wake_sender_.notify_one();
    const int64_t failures = outbox_.failures();
    // With a disk to put it on there is no use in waiting for a server that is away.
    WaitFor(changed_, lock, timeout.count(), [&] {
      return outbox_.IsEmpty() || (spool_ != nullptr && outbox_.failures() > failures);
    });
  }
  is_ending_ = true;
  wake_sender_.notify_all();
  wake_keeper_.notify_all();
  wake_poller_.notify_all();
  // Again and again, because a request may begin just after it was cancelled.
  while (running_ > 0) {
    lock.unlock();
    if (poll_connection_ != nullptr) poll_connection_->Cancel();
    if (send_connection_ != nullptr) send_connection_->Cancel();
    lock.lock();
    WaitFor(changed_, lock, 10, [this] { return running_ == 0; });
  }
  lock.unlock();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  lock.lock();
  outbox_.SealAll();
  lock.unlock();
  Keep(true);
  lock.lock();
  outbox_.DropAll();
}

bool State::WaitUntilReady(std::chrono::milliseconds timeout) {
  if (!is_local()) return true;
  std::unique_lock<std::mutex> lock(mutex_);
  return WaitFor(changed_, lock, timeout.count(), [this] { return ready_.Copy() != nullptr; });
}

Answer State::Evaluate(std::string_view experiment, const Context& context) {
  if (!is_local()) {
    std::string problem;
    Answer answer = remote_.Evaluate(experiment, context, &problem);
    if (answer.evaluation.is_exposure) {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++arms_.Of(answer.evaluation.experiment, answer.evaluation.variant)->assigned;
    }
    if (!problem.empty()) Tell(kAsking, problem);
    return answer;
  }
  const std::shared_ptr<const Ready>& ready = ready_.Get();
  if (ready == nullptr) {
    Answer answer;
    answer.evaluation.error = Error::kNotReady;
    return answer;
  }
  return EvaluateLocally(ready, experiment, context, NowMs(context),
                         options_.keep_priors ? &priors_ : nullptr, &mutex_);
}

std::string State::Explain(std::string_view experiment, const Context& context) {
  const std::shared_ptr<const Ready>& ready = ready_.Get();
  return ready == nullptr ? std::string()
                          : ExplainLocally(*ready, experiment, context, NowMs(context));
}

bool State::Prefetch(const Context& context) {
  if (is_local()) return ready_.Copy() != nullptr;
  std::string problem;
  const bool ok = remote_.Prefetch(context, &problem);
  Tell(kAsking, problem);
  return ok;
}

// The item lacks its closing brace, and its id where `id_name` is given. The mutex is held.
bool State::Enqueue(ItemKind kind, std::string* item, Arm* arm, const char* id_name) {
  if (id_name != nullptr) {
    item->append(",\"").append(id_name).append("\":\"");
    item->append(outbox_.NextItemId()).append("\"");
  }
  item->push_back('}');
  const bool was_idle = outbox_.IsEmpty();
  const bool is_queued = outbox_.Add(kind, *item, arm);
  if (was_idle || outbox_.WaitMs() == 0) wake_sender_.notify_one();
  if (outbox_.wants_spill()) wake_keeper_.notify_one();
  return is_queued;
}

bool State::LogExposure(const Evaluation& evaluation, const std::vector<Attribute>& attributes) {
  if (!evaluation.is_exposure) return false;
  thread_local std::string item, distinct;
  item.clear();
  const bool is_written = AppendExposure(evaluation, attributes, clock_->WallMs(), &item);
  distinct.assign(evaluation.experiment).append("\n").append(evaluation.variant).append("\n");
  distinct.append(evaluation.unit_kind).append("\n");
  AppendInt(evaluation.phase, &distinct);
  distinct.append("\n").append(evaluation.unit_id);
  const uint64_t hash = core::Xxh3(distinct);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (shown_.Contains(hash)) {
      ++repeated_;
      return false;
    }
    Arm* arm = arms_.Of(evaluation.experiment, evaluation.variant);
    if (is_written) {
      if (!Enqueue(ItemKind::kExposure, &item, arm, "exposure_id")) return false;
      shown_.Insert(hash);  // what was dropped may be logged again
      return true;
    }
    outbox_.Refuse(ItemKind::kExposure, arm);
  }
  Tell(kLogging,
       "An exposure cannot be written as JSON and is dropped: its unit or an attribute "
       "is not UTF-8, or a number is not finite.");
  return false;
}

bool State::LogEvent(const Event& event) {
  thread_local std::string item;
  item.clear();
  const int64_t ts_ms = event.ts_ms ? *event.ts_ms : clock_->WallMs();
  const bool is_written = AppendEvent(event, ts_ms, &item);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_written) {
      return Enqueue(ItemKind::kEvent, &item, nullptr,
                     event.event_id.empty() ? "event_id" : nullptr);
    }
    outbox_.Refuse(ItemKind::kEvent, nullptr);
  }
  Tell(kLogging,
       "An event cannot be written as JSON and is dropped: it has no name or no id, a "
       "text is not UTF-8, or a number is not finite.");
  return false;
}

bool State::Flush(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  outbox_.SealAll();
  outbox_.HurryUp();
  wake_sender_.notify_one();
  return WaitFor(changed_, lock, timeout.count(),
                 [this] { return has_adopted_ && outbox_.IsEmpty(); });
}

ClientStats State::Stats() {
  ClientStats stats;
  const std::shared_ptr<const Ready> ready = ready_.Copy();
  stats.is_ready = !is_local() || ready != nullptr;
  if (ready != nullptr) stats.snapshot = ready->snapshot->version();
  const std::lock_guard<std::mutex> lock(mutex_);
  outbox_.FillStats(&stats);
  stats.is_from_disk = is_from_disk_;
  stats.snapshots_refused = snapshots_refused_;
  stats.exposures_repeated = repeated_;
  stats.last_problem = last_problem_;
  return stats;
}

std::vector<ArmCounts> State::Counts() {
  std::vector<ArmCounts> counts;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    arms_.ForEach([&counts](const Arm& arm) {
      const int64_t assigned = arm.assigned.load(std::memory_order_relaxed);
      if (assigned == 0 && arm.shown == 0 && arm.dropped == 0) return;
      counts.push_back({arm.experiment, arm.variant, assigned, arm.shown, arm.sent, arm.dropped});
    });
  }
  std::sort(counts.begin(), counts.end(), [](const ArmCounts& a, const ArmCounts& b) {
    return std::tie(a.experiment, a.variant) < std::tie(b.experiment, b.variant);
  });
  return counts;
}

}  // namespace fulcrum::sdk
