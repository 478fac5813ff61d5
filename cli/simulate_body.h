// SPDX-License-Identifier: Apache-2.0
//
// The bodies that a simulated client sends, and what it reads from the answers.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "sim/world.h"

namespace fulcrum::cli {

// What a client counted for one arm since it last said so.
struct ClientCounts {
  int experiment = 0;
  int variant = 0;
  int64_t shown = 0;
  int64_t sent = 0;
};

// OFREP bulk evaluation: {"context": {…}}. Without a known user there is no targetingKey.
std::string EvaluateBody(const sim::World& world, const sim::Visitor& visitor);

// Reads a bulk answer: only variants that are to be exposed count.
absl::Status ReadEvaluation(const sim::World& world, std::string_view body,
                            std::span<sim::Assignment> assignments);

// POST /v1/exposures, /v1/events, /v1/links. All records are of the one kind.
std::string ExposuresBody(const sim::World& world, std::string_view batch_id,
                          std::span<const sim::Record> records,
                          std::span<const ClientCounts> counts);
std::string EventsBody(const sim::World& world, std::string_view batch_id,
                       std::span<const sim::Record> records);
std::string LinksBody(const sim::World& world, std::string_view batch_id,
                      std::span<const sim::Record> records);

// OK when the answer to a batch says that nothing was rejected.
absl::Status CheckAccepted(std::string_view body);

}  // namespace fulcrum::cli
