// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/include/fulcrum/client.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "sdk/cpp/client_for_test.h"
#include "sdk/cpp/evaluate.h"
#include "sdk/cpp/state.h"

namespace fulcrum {

struct Client::Impl {
  ClientOptions options;
  std::atomic<sdk::State*> state{nullptr};

  // The state, with its threads running.
  sdk::State& Running() {
    sdk::State* const current = state.load(std::memory_order_acquire);
    current->StartThreads();
    return *current;
  }
};

namespace {

// Every client of the process, so that a fork finds them whole: their locks are held while the
// process is copied, and the child gives each a state of its own.
class Forks {
 public:
  struct Entry {
    const void* owner;
    std::atomic<sdk::State*>* state;
  };
  static void Add(const Entry& entry) {
    static const int registered = pthread_atfork(&Before, &InParent, &InChild);
    static_cast<void>(registered);
    const std::lock_guard<std::mutex> lock(Mutex());
    Entries().push_back(entry);
  }
  static void Remove(const void* owner) {
    const std::lock_guard<std::mutex> lock(Mutex());
    auto& entries = Entries();
    entries.erase(std::remove_if(entries.begin(), entries.end(),
                                 [owner](const Entry& entry) { return entry.owner == owner; }),
                  entries.end());
  }

 private:
  // Never destroyed: a fork may happen while the program ends.
  static std::mutex& Mutex() {
    static std::mutex* mutex = new std::mutex;
    return *mutex;
  }
  static std::vector<Entry>& Entries() {
    static auto* entries = new std::vector<Entry>;
    return *entries;
  }
  static void Before() {
    Mutex().lock();
    for (const Entry& entry : Entries()) entry.state->load()->Lock();
  }
  static void InParent() {
    for (const Entry& entry : Entries()) entry.state->load()->Unlock();
    Mutex().unlock();
  }
  static void InChild() {
    for (const Entry& entry : Entries()) {
      sdk::State* const parents = entry.state->load();
      entry.state->store(parents->Fork().release());
      parents->Abandon();
      parents->Unlock();
      // The parent's state is left as it is: its threads are not here to be joined, and what it
      // has queued is the parent's to send.
    }
    Mutex().unlock();
  }
};

std::string Complaint(const ClientOptions& options) {
  if (options.batch_items < 1 || options.batch_items > 50'000) {
    return "batch_items must be 1 to 50000, the server's limit.";
  }
  if (options.batch_bytes < 1 || options.batch_bytes > (8 << 20)) {
    return "batch_bytes must be 1 to 8 MiB; the server takes bodies up to 16 MiB.";
  }
  if (options.flush_interval.count() < 0 || options.poll_interval.count() < 1 ||
      options.retry_base.count() < 1 || options.retry_max < options.retry_base ||
      options.request_timeout.count() < 1 || options.connect_timeout.count() < 1) {
    return "An interval or timeout is not positive, or retry_max is below retry_base.";
  }
  return "";
}

// Asks and reads the value as T; the fallback where there is none, with the reason.
template <typename T, typename Fallback, typename Read>
Result<T> Get(sdk::State& state, std::string_view experiment, const Context& context,
              const Fallback& fallback, Read read) {
  Result<T> result;
  sdk::Answer answer = state.Evaluate(experiment, context);
  static_cast<Evaluation&>(result) = std::move(answer.evaluation);
  if (answer.value.empty()) {
    result.value = T(fallback);
  } else if (!read(answer.value, &result.value)) {
    result.value = T(fallback);
    result.error = Error::kTypeMismatch;
    result.is_exposure = false;  // what is shown is the fallback
  }
  return result;
}

template <typename T, typename Fallback, typename Read>
Result<T> GetOrFallback(sdk::State& state, std::string_view experiment, const Context& context,
                        const Fallback& fallback, Read read) noexcept {
  try {
    return Get<T>(state, experiment, context, fallback, read);
  } catch (...) {
    Result<T> result;
    result.error = Error::kInternal;
    try {
      result.value = T(fallback);
    } catch (...) {
    }
    return result;
  }
}

bool ReadJson(std::string_view json, std::string* value) {
  value->assign(json);
  return true;
}

}  // namespace

std::string_view ErrorName(Error error) {
  switch (error) {
    case Error::kNone:
      return "none";
    case Error::kNotReady:
      return "not_ready";
    case Error::kUnknownExperiment:
      return "unknown_experiment";
    case Error::kTypeMismatch:
      return "type_mismatch";
    case Error::kNoUnit:
      return "no_unit";
    case Error::kInvalidContext:
      return "invalid_context";
    case Error::kInternal:
      return "internal";
  }
  return "internal";
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

std::unique_ptr<Client> ClientForTest::Start(ClientOptions options,
                                             std::shared_ptr<sdk::Transport> transport,
                                             const sdk::Clock* clock, std::string* error) {
  *error = Complaint(options);
  if (!error->empty()) return nullptr;
  auto impl = std::make_unique<Client::Impl>();
  impl->options = std::move(options);
  auto state = std::make_unique<sdk::State>(impl->options, std::move(transport), clock);
  state->Load();
  state->StartThreads();
  impl->state.store(state.release());
  Forks::Add({impl.get(), &impl->state});
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

std::unique_ptr<Client> Client::Start(ClientOptions options, std::string* error) noexcept {
  try {
    std::string ignored;
    std::string* const why = error == nullptr ? &ignored : error;
    std::shared_ptr<sdk::Transport> transport =
        sdk::MakeHttpTransport(options.url, options.key, options.connect_timeout, why);
    if (transport == nullptr) return nullptr;
    return ClientForTest::Start(std::move(options), std::move(transport), &sdk::SystemClock(), why);
  } catch (...) {
    return nullptr;
  }
}

Client::~Client() {
  Forks::Remove(impl_.get());
  sdk::State* const state = impl_->state.load();
  state->Stop(impl_->options.drain_timeout);
  delete state;
}

bool Client::WaitUntilReady(std::chrono::milliseconds timeout) noexcept {
  try {
    return impl_->Running().WaitUntilReady(timeout);
  } catch (...) {
    return false;
  }
}

Result<bool> Client::GetBool(std::string_view experiment, const Context& context,
                             bool fallback) noexcept {
  return GetOrFallback<bool>(impl_->Running(), experiment, context, fallback, sdk::ReadBool);
}

Result<int64_t> Client::GetInt(std::string_view experiment, const Context& context,
                               int64_t fallback) noexcept {
  return GetOrFallback<int64_t>(impl_->Running(), experiment, context, fallback, sdk::ReadInt);
}

Result<double> Client::GetDouble(std::string_view experiment, const Context& context,
                                 double fallback) noexcept {
  return GetOrFallback<double>(impl_->Running(), experiment, context, fallback, sdk::ReadDouble);
}

Result<std::string> Client::GetString(std::string_view experiment, const Context& context,
                                      std::string_view fallback) noexcept {
  return GetOrFallback<std::string>(impl_->Running(), experiment, context, fallback,
                                    sdk::ReadString);
}

Result<std::string> Client::GetJson(std::string_view experiment, const Context& context,
                                    std::string_view fallback) noexcept {
  return GetOrFallback<std::string>(impl_->Running(), experiment, context, fallback, ReadJson);
}

std::string Client::Explain(std::string_view experiment, const Context& context) noexcept {
  try {
    return impl_->Running().Explain(experiment, context);
  } catch (...) {
    return {};
  }
}

bool Client::Prefetch(const Context& context) noexcept {
  try {
    return impl_->Running().Prefetch(context);
  } catch (...) {
    return false;
  }
}

bool Client::LogExposure(const Evaluation& evaluation,
                         const std::vector<Attribute>& attributes) noexcept {
  try {
    return impl_->Running().LogExposure(evaluation, attributes);
  } catch (...) {
    return false;
  }
}

bool Client::LogEvent(const Event& event) noexcept {
  try {
    return impl_->Running().LogEvent(event);
  } catch (...) {
    return false;
  }
}

bool Client::Flush(std::chrono::milliseconds timeout) noexcept {
  try {
    return impl_->Running().Flush(timeout);
  } catch (...) {
    return false;
  }
}

ClientStats Client::stats() noexcept {
  try {
    return impl_->Running().Stats();
  } catch (...) {
    return {};
  }
}

std::vector<ArmCounts> Client::arm_counts() noexcept {
  try {
    return impl_->Running().Counts();
  } catch (...) {
    return {};
  }
}

}  // namespace fulcrum
