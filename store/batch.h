// SPDX-License-Identifier: Apache-2.0
//
// What arrives: exposures, events and links, batched. A BatchBuilder turns views into the compact
// binary payload that the inbox keeps as one row; BatchReader walks it back without copying.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fulcrum::store {

struct UnitRef {
  std::string_view kind;
  std::string_view id;
};

enum class PropertyType : uint8_t { kBool, kNumber, kString };

struct PropertyView {
  std::string_view key;
  PropertyType type = PropertyType::kString;
  bool boolean = false;
  double number = 0;
  std::string_view text;
};

struct ExposureView {
  std::string_view exposure_id;  // "" = none.
  std::string_view experiment;
  std::string_view variant;
  UnitRef unit;
  int64_t ts_ms = 0;
  std::string_view snapshot;
  int32_t phase = 0;
  double propensity = 0;  // 0 = not given.
  std::span<const PropertyView> attributes;
};

struct EventView {
  std::string_view event_id;  // "" = none.
  std::string_view name;
  int64_t ts_ms = 0;
  std::span<const UnitRef> ids;  // At least one.
  std::string_view order_id;
  std::string_view session_id;
  std::optional<double> value;
  std::string_view currency;
  std::span<const PropertyView> properties;
};

// From `ts_ms` on (and before), the anonymous unit is the known one.
struct LinkView {
  UnitRef anonymous;
  UnitRef known;
  int64_t ts_ms = 0;
};

// A client's own counts for one arm since its last report: for exposure loss.
struct ClientCountsView {
  std::string_view experiment;
  std::string_view variant;
  int64_t assigned = 0;
  int64_t shown = 0;
  int64_t sent = 0;
  int64_t dropped = 0;
};

// Texts that repeat within a batch (names, keys, kinds, values of text properties) are written once
// and referred to after: about half the bytes, and bytes are what durability costs.
//
// Not thread-safe. Reusable: Clear() keeps capacity.
class BatchBuilder {
 public:
  void Add(const ExposureView& exposure);
  void Add(const EventView& event);
  void Add(const LinkView& link);
  void Add(const ClientCountsView& counts);
  void Clear();
  int64_t size() const { return size_; }
  const std::string& payload() const& { return payload_; }

 private:
  friend class BatchWriter;
  struct Symbol {
    uint32_t number = 0;  // 1 + the order of first appearance; 0 = an empty slot.
    uint32_t size = 0;
    uint64_t at = 0;  // Where its bytes are in payload_.
  };
  std::string payload_;
  int64_t size_ = 0;
  std::vector<Symbol> symbols_;  // A small table by hash; a collision only costs bytes.
  uint32_t symbol_count_ = 0;
  int64_t last_ts_ms_ = 0;
};

// Calls back in order of addition; false (with *error) when the payload is damaged. Views are valid
// during the call only.
struct BatchVisitor {
  std::function<void(const ExposureView&)> exposure;
  std::function<void(const EventView&)> event;
  std::function<void(const LinkView&)> link;
  std::function<void(const ClientCountsView&)> client_counts;
};
bool ReadBatch(std::string_view payload, const BatchVisitor& visitor, std::string* error);

}  // namespace fulcrum::store
