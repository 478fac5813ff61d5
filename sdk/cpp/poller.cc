// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/poller.h"

#include <algorithm>
#include <utility>

namespace fulcrum::sdk {
namespace {

constexpr int kWaitS = 30;
// A long poll that is answered sooner than this waited for nothing: the server's places are taken,
// or something between does not let it wait.
constexpr int64_t kAtOnceMs = 1'000;
constexpr int kMaxDoublings = 20;

}  // namespace

Poller::Poller(const ClientOptions& options, const Clock* clock, uint64_t seed)
    : options_(options), clock_(clock), random_(seed) {}

int64_t Poller::Backoff(int retry_after_s) {
  const int doublings = std::min(failures_++, kMaxDoublings);
  const int64_t step_ms =
      std::min<int64_t>(options_.retry_max.count(), options_.retry_base.count() << doublings);
  const int64_t jitter_ms =
      std::uniform_int_distribution<int64_t>(0, std::max<int64_t>(step_ms, 1))(random_);
  return jitter_ms + std::max(0, retry_after_s) * int64_t{1000};
}

Poller::Result Poller::Poll(Connection* connection) {
  Result result;
  HttpRequest request;
  request.path = "/v1/snapshot";
  request.if_none_match = etag_;
  request.timeout = options_.request_timeout;
  const bool is_long = options_.long_poll && !etag_.empty();
  if (is_long) {
    request.path += "?wait=" + std::to_string(kWaitS);
    request.timeout += std::chrono::seconds(kWaitS);
  }
  const int64_t begin_ms = clock_->SteadyMs();
  HttpResponse response = connection->Send(request);
  const bool was_at_once = clock_->SteadyMs() - begin_ms < kAtOnceMs;
  // Spread over a quarter, so that clients started together do not ask together for ever.
  const int64_t interval_ms = options_.poll_interval.count();
  const int64_t pause_ms =
      interval_ms - std::uniform_int_distribution<int64_t>(0, interval_ms / 4)(random_);
  if (response.status == 304) {
    failures_ = 0;
    result.wait_ms = is_long && !was_at_once ? 0 : pause_ms;
    return result;
  }
  if (response.status != 200) {
    result.problem = "The snapshot cannot be had from " + options_.url + ": " +
                     (response.status == 0 ? response.error
                                           : "status " + std::to_string(response.status) + " " +
                                                 response.body.substr(0, 300)) +
                     "; the client goes on with what it has.";
    result.wait_ms = Backoff(response.retry_after_s);
    return result;
  }
  core::BuildError why;
  std::shared_ptr<const core::Snapshot> snapshot = core::Snapshot::FromBytes(response.body, &why);
  if (snapshot == nullptr) {
    result.is_refused = true;
    result.problem = "What " + options_.url + " serves is no usable snapshot (" + why.message +
                     "); the client goes on with what it has.";
    result.wait_ms = Backoff(-1);
    return result;
  }
  failures_ = 0;
  // A cache between that answers 200 for what is already known must not make this a busy loop.
  const bool is_known = !version_.empty() && snapshot->version() == version_ && was_at_once;
  etag_ = response.etag;
  version_ = snapshot->version();
  result.snapshot = std::move(snapshot);
  result.bytes = std::move(response.body);
  result.wait_ms = options_.long_poll && !etag_.empty() && !is_known ? 0 : pause_ms;
  return result;
}

}  // namespace fulcrum::sdk
