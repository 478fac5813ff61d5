// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

// Start here to ask for variants from a C++ program (C++17 or later; only std in this header).
//
//   fulcrum::ClientOptions options;
//   options.url = "http://127.0.0.1:8080";
//   options.state_directory = "/var/lib/shop/fulcrum";
//   std::string why;
//   std::unique_ptr<fulcrum::Client> client = fulcrum::Client::Start(options, &why);
//   client->WaitUntilReady(std::chrono::seconds(2));
//
//   const fulcrum::Context who = fulcrum::Context("u-81").Set("country", "DE").Set("age", 34);
//   const auto page = client->GetString("one-page-checkout", who, "three-page");
//   Render(page.value);
//   client->LogExposure(page);                                   // now that it was shown
//   client->LogEvent(fulcrum::Event("pay", "user", "u-81").Value(129.5, "CNY"));
//
// Evaluating is not an exposure: log one when the variant is shown.
//
// Thread-safe: any thread may call any function of a Client at any time, but for its destructor.
// Nothing throws. In local mode nothing but Start's own set-up, WaitUntilReady, Flush and the
// destructor waits for anything: the network and the disk belong to background threads.
// Fork-safe: a forked child has the parent's snapshot and prior variants, starts threads of its own
// at its first call, and sends nothing the parent has queued. (Code that forks while threads run
// may only rely on what POSIX allows between fork and exec for everything else it uses.)
#if defined(__GNUC__)
#define FULCRUM_CLIENT_API __attribute__((visibility("default")))
#else
#define FULCRUM_CLIENT_API
#endif

namespace fulcrum {

// One attribute's value. A whole number is an int, whatever its width; a const char* is text.
class Value {
 public:
  enum class Type : uint8_t { kBool, kInt, kDouble, kString, kVersion, kTimeMs };

  Value(bool value) : type_(Type::kBool), integer_(value ? 1 : 0) {}  // NOLINT: implicit, all four
  template <typename Int, typename = std::enable_if_t<std::is_integral_v<Int>>>
  Value(Int value) : type_(Type::kInt), integer_(static_cast<int64_t>(value)) {}
  Value(double value) : type_(Type::kDouble), real_(value) {}
  Value(std::string text) : type_(Type::kString), text_(std::move(text)) {}
  Value(std::string_view text) : type_(Type::kString), text_(text) {}
  Value(const char* text) : type_(Type::kString), text_(text) {}
  // "2.10.0-rc.1", compared part by part.
  static Value Version(std::string text) {
    Value value(std::move(text));
    value.type_ = Type::kVersion;
    return value;
  }
  // Milliseconds since 1970 UTC.
  static Value TimeMs(int64_t ms) {
    Value value(ms);
    value.type_ = Type::kTimeMs;
    return value;
  }

  Type type() const { return type_; }
  int64_t integer() const { return integer_; }       // bool, int, time
  double real() const { return real_; }              // double
  const std::string& text() const { return text_; }  // string, version

 private:
  Type type_;
  int64_t integer_ = 0;
  double real_ = 0;
  std::string text_;
};

struct Attribute {
  std::string key;
  Value value;
};

// An identity: {"device", "9f3c"}. Ids are any bytes for deciding; to be logged they are UTF-8.
struct Unit {
  std::string kind;
  std::string id;
};

// What a unit was given before, where the program itself keeps it.
struct Prior {
  std::string experiment;
  std::string variant;
  int phase = -1;
};

// Whoever is asking. Where a key is set twice the first value counts.
struct Context {
  Context() = default;
  explicit Context(std::string key) : targeting_key(std::move(key)) {}
  Context& Set(std::string key, Value value) & {
    attributes.push_back({std::move(key), std::move(value)});
    return *this;
  }
  Context&& Set(std::string key, Value value) && {
    return std::move(Set(std::move(key), std::move(value)));
  }
  Context& SetUnit(std::string kind, std::string id) & {
    units.push_back({std::move(kind), std::move(id)});
    return *this;
  }
  Context&& SetUnit(std::string kind, std::string id) && {
    return std::move(SetUnit(std::move(kind), std::move(id)));
  }

  std::string targeting_key;  // the id of the project's default unit kind
  std::vector<Unit> units;    // ids of other kinds
  std::vector<Attribute> attributes;
  std::vector<Prior> priors;      // come before those the client keeps
  std::optional<int64_t> now_ms;  // UTC; the time of the call where it is not set
};

// Why a value is the caller's default although there may be an experiment for it.
enum class Error : uint8_t {
  kNone,
  kNotReady,           // no snapshot yet (local), nothing cached and no answer (remote)
  kUnknownExperiment,  // no experiment with this key
  kTypeMismatch,       // the experiment's values have another type than was asked for
  kNoUnit,             // the experiment draws by a unit whose id the context does not have
  kInvalidContext,     // an attribute the audience reads has another type than declared
  kInternal,           // out of memory
};
FULCRUM_CLIENT_API std::string_view ErrorName(Error error);  // "none", "not_ready", ...

// What was decided, besides the value. The views live as long as this or a copy of it.
struct Evaluation {
  Error error = Error::kNone;
  std::string_view experiment;  // "" where there is no such experiment
  std::string_view variant;     // "" where none was given and `value` is a default
  std::string_view reason;      // "assigned", "sticky", "holdout", ... of core/decide.h
  std::string_view unit_kind;   // of the id the experiment drew by
  std::string_view snapshot;    // version it was decided with
  std::string unit_id;
  int phase = -1;         // -1: none
  double propensity = 0;  // probability of this variant for an enrolled unit; 0: none was drawn
  bool is_exposure =
      false;  // whether showing it belongs in the analysis: LogExposure ignores others

  std::shared_ptr<const void> keep;  // what the views look into
};

template <typename T>
struct Result : Evaluation {
  T value{};
};

// Something a unit did. Fields that are empty are not sent.
struct Event {
  Event(std::string event_name, std::string kind, std::string id)
      : name(std::move(event_name)), units{{std::move(kind), std::move(id)}} {}
  Event& Value(double amount, std::string in_currency = {}) & {
    value = amount;
    currency = std::move(in_currency);
    return *this;
  }
  Event&& Value(double amount, std::string in_currency = {}) && {
    return std::move(Value(amount, std::move(in_currency)));
  }
  Event& Set(std::string key, fulcrum::Value property) & {
    properties.push_back({std::move(key), std::move(property)});
    return *this;
  }
  Event&& Set(std::string key, fulcrum::Value property) && {
    return std::move(Set(std::move(key), std::move(property)));
  }

  std::string name;
  std::vector<Unit> units;  // every identity that is known of it
  std::optional<double> value;
  std::string currency;
  std::string order_id;
  std::string session_id;
  std::string event_id;          // one is made where it is empty
  std::optional<int64_t> ts_ms;  // UTC; the time of the call where it is not set
  std::vector<Attribute> properties;
};

struct ClientOptions {
  enum class Mode : uint8_t {
    kLocal,   // decides here, on a snapshot it keeps up to date (the key needs scope `server`)
    kRemote,  // asks the server for each decision, by OFREP (scope `client` is enough)
  };
  std::string url;  // "https://host:port/prefix"
  std::string key;  // sent as a bearer token; empty: none
  Mode mode = Mode::kLocal;
  // For the last good snapshot, prior variants, and batches while the server is away. Processes may
  // share one. Empty: nothing is kept on disk, and what cannot be sent in time is dropped.
  std::string state_directory;

  std::chrono::milliseconds connect_timeout{2'000};
  std::chrono::milliseconds request_timeout{5'000};  // remote mode: what a getter waits at most
  bool long_poll = true;                             // false: asks every poll_interval
  std::chrono::milliseconds poll_interval{30'000};

  std::chrono::milliseconds flush_interval{1'000};  // age at which a batch is sent, however small
  size_t batch_items = 500;
  size_t batch_bytes = 256 << 10;
  size_t max_queue_bytes = 16 << 20;               // of memory
  size_t max_spill_bytes = 256 << 20;              // of disk
  std::chrono::milliseconds retry_base{200};       // exponential, full jitter, between these two;
  std::chrono::milliseconds retry_max{30'000};     // never before the server's Retry-After
  std::chrono::milliseconds drain_timeout{3'000};  // what the destructor waits at most for sending

  size_t exposure_dedupe = 100'000;  // exposures remembered, so that a repeat is not sent; 0: none
  bool keep_priors = true;           // sticky experiments: what each unit was given
  size_t max_priors = 200'000;
  size_t remote_cache = 10'000;  // contexts whose Prefetch is kept
  std::chrono::milliseconds remote_cache_ttl{30'000};

  // One sentence on what went wrong and is being worked round. Called by whichever thread met it,
  // mostly those in the background, never for the same trouble twice in a row; it must not throw
  // and not call the client.
  std::function<void(std::string_view)> on_problem;
};

// Of one variant since the client was started. Reported to the server with the exposures.
struct ArmCounts {
  std::string experiment;
  std::string variant;
  int64_t assigned = 0;  // evaluations that gave it to an enrolled unit
  int64_t shown = 0;     // exposures logged, repeats not counted
  int64_t sent = 0;      // of these acknowledged by the server
  int64_t dropped = 0;   // of these lost: no room, or refused by the server
};

struct ClientStats {
  bool is_ready = false;
  bool is_from_disk = false;  // the snapshot is the one kept on disk
  std::string snapshot;       // its version
  int64_t snapshots_refused = 0;
  int64_t exposures_sent = 0, exposures_dropped = 0, exposures_repeated = 0;
  int64_t events_sent = 0, events_dropped = 0;
  int64_t batches_retried = 0;
  int64_t queued_items = 0, queued_bytes = 0;      // in memory
  int64_t spilled_batches = 0, spilled_bytes = 0;  // on disk, to be sent
  std::string last_problem;
};

class FULCRUM_CLIENT_API Client {
 public:
  // nullptr with one sentence in *error where the options make no sense; an unreachable server or a
  // damaged state directory is no error. Local mode is ready at once where the disk has a snapshot.
  static std::unique_ptr<Client> Start(ClientOptions options, std::string* error) noexcept;
  // Sends what is queued for at most drain_timeout, puts the rest on disk, ends the threads.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Whether there is a snapshot to decide with (remote mode: always true).
  bool WaitUntilReady(std::chrono::milliseconds timeout) noexcept;

  Result<bool> GetBool(std::string_view experiment, const Context& context, bool fallback) noexcept;
  Result<int64_t> GetInt(std::string_view experiment, const Context& context,
                         int64_t fallback) noexcept;
  // A whole number is taken as well.
  Result<double> GetDouble(std::string_view experiment, const Context& context,
                           double fallback) noexcept;
  Result<std::string> GetString(std::string_view experiment, const Context& context,
                                std::string_view fallback) noexcept;
  // The value as JSON text, whatever its type.
  Result<std::string> GetJson(std::string_view experiment, const Context& context,
                              std::string_view fallback) noexcept;
  // Every rule that was looked at, one a line; local mode.
  std::string Explain(std::string_view experiment, const Context& context) noexcept;

  // Remote mode: evaluates all experiments for this context in one request and keeps the answer, so
  // that getters with an equal context need none for remote_cache_ttl. Asks with the ETag of the
  // answer it has. False where there was no answer; what was kept stays. Waits for the network.
  bool Prefetch(const Context& context) noexcept;

  // False where nothing was queued: not to be analysed, a repeat, malformed, or no room. Only a
  // dropped one is counted as such. `attributes` are for slices of the report.
  bool LogExposure(const Evaluation& evaluation,
                   const std::vector<Attribute>& attributes = {}) noexcept;
  // False where it is malformed (no name or id, not UTF-8, not finite) or there is no room.
  bool LogEvent(const Event& event) noexcept;

  // Sends everything that is queued, also what is on disk. False where that took longer.
  bool Flush(std::chrono::milliseconds timeout) noexcept;

  ClientStats stats() noexcept;
  std::vector<ArmCounts> arm_counts() noexcept;

 private:
  struct Impl;
  friend struct ClientForTest;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fulcrum
