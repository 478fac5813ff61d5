// SPDX-License-Identifier: Apache-2.0
//
// Who may do what. A key file names keys and their scopes; without one everyone may do everything,
// which is why the server then listens on the loopback address only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace fulcrum::server {

// Bits, so that a route can name several that will do.
enum Scope : uint8_t {
  kScopeNone = 0,
  kScopeClient = 1,  // Evaluate one's own, log. Such a key may be public.
  kScopeServer = 2,  // Evaluate, fetch the snapshot, log.
  kScopeRead = 4,    // Experiments, reports, units, metrics.
  kScopeAdmin = 8,   // Stop, resume, reload, audit, clock; also everything kScopeRead may.
};

struct Key {
  std::string name;
  std::string secret;
  uint8_t scopes = 0;
  double requests_per_second = 0;  // 0 = no limit.
};

// A token bucket that holds one second's worth. Thread-safe.
class RateLimit {
 public:
  explicit RateLimit(double per_second) : per_second_(per_second), tokens_(per_second) {}
  // False when used up; *retry_after_s is then the whole seconds to wait.
  bool Take(int64_t steady_now_ms, int* retry_after_s);

 private:
  const double per_second_;
  Mutex mutex_;
  double tokens_ ABSL_GUARDED_BY(mutex_);
  int64_t last_ms_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Immutable but for the rate limits; thread-safe.
class KeyRing {
 public:
  struct Entry {
    Key key;
    std::unique_ptr<RateLimit> limit;  // nullptr = none.
  };

  // InvalidArgument names the file and the entry that is wrong.
  static absl::StatusOr<std::unique_ptr<KeyRing>> Load(const std::string& path);
  static absl::StatusOr<std::unique_ptr<KeyRing>> Parse(std::string_view text,
                                                        std::string_view name);

  // Compares with every key in constant time; nullptr where none is it.
  const Entry* Find(std::string_view secret) const;

 private:
  std::vector<Entry> entries_;
};

// The key inside "Bearer K", or the user name of "Basic base64(K:)"; "" otherwise. The result may
// point into *buffer.
std::string_view KeyFromAuthorization(std::string_view authorization, std::string* buffer);

}  // namespace fulcrum::server
