// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sdk/cpp/evaluate.h"
#include "sdk/cpp/include/fulcrum/client.h"
#include "sdk/cpp/transport.h"

namespace fulcrum::sdk {

// Evaluation by the server, over OFREP. Thread-safe; waits for the network without its lock.
class Remote {
 public:
  Remote(const ClientOptions& options, Transport* transport, const Clock* clock);

  // From what Prefetch kept, where that is fresh; else asks, and falls back on what is stale.
  // `problem` gets a sentence where the server did not answer.
  Answer Evaluate(std::string_view experiment, const Context& context, std::string* problem);
  bool Prefetch(const Context& context, std::string* problem);
  // Held over a fork.
  std::mutex& mutex() { return mutex_; }
  // In a forked child: the parent's connections are not closed, which would end them for both.
  void AbandonConnections();

 private:
  struct Flag;
  struct Bulk;
  std::shared_ptr<const Bulk> Cached(const std::string& key, bool* is_fresh);
  std::unique_ptr<Connection> Take();
  void Give(std::unique_ptr<Connection> connection);
  HttpResponse Post(std::string path, std::string body, std::string etag);

  const ClientOptions& options_;
  Transport* transport_;
  const Clock* clock_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;  // guarded by mutex_, as all below
  struct Entry {
    std::string key;  // the request's body
    std::shared_ptr<const Bulk> bulk;
    std::string etag;
    int64_t at_ms = 0;  // steady
  };
  std::list<Entry> entries_;  // the one used last comes first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace fulcrum::sdk
