// SPDX-License-Identifier: Apache-2.0
//
// One item at a time: is it an exposure, event or link that can be kept? What can is added to the
// batch; what cannot is refused with a sentence and costs its neighbours nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "server/app.h"
#include "server/json_in.h"
#include "server/metrics.h"
#include "server/published.h"
#include "store/batch.h"

namespace fulcrum::server {

inline constexpr size_t kMaxIdBytes = 256;
// Not empty, not too long, no control characters: what may be a unit's id in the log.
bool IsId(std::string_view text);
inline constexpr size_t kMaxTextBytes = 4096;
inline constexpr size_t kMaxProperties = 100;
inline constexpr double kMaxNumber = 1e15;  // Beyond it doubles lose whole units.
inline constexpr int64_t kMaxCount = 1'000'000'000'000;

// Why the item being read is refused: "ts: …".
struct ItemError {
  std::string text;
  // Always false, so that a check reads `return error->Say("ts", "is missing")`.
  bool Say(std::string_view field, std::string_view problem);
};

// Reusable; not thread-safe. Views that are handed in need to live until the call returns only.
class BatchItems {
 public:
  void Begin(const Published& published, const Limits& limits, int64_t now_ms);

  // Native shapes (docs/http.md), strict: an unknown field is an error.
  ItemOutcome Exposure(JsonElement item, ItemError* error);
  ItemOutcome Event(JsonElement item, ItemError* error);
  ItemOutcome Link(JsonElement item, ItemError* error);
  ItemOutcome ClientCounts(JsonElement item, ItemError* error);

  // For other senders' shapes: the same checks on views.
  ItemOutcome Add(const store::ExposureView& exposure, ItemError* error);
  ItemOutcome Add(const store::EventView& event, ItemError* error);
  ItemOutcome Add(const store::LinkView& link, ItemError* error);

  // Readers of single fields, shared with other senders' shapes. False with *error set.
  bool Time(std::string_view field, JsonElement value, int64_t* ts_ms, ItemError* error) const;
  bool Text(std::string_view field, JsonElement value, std::string_view* text,
            ItemError* error) const;
  // Bools, numbers and texts; null is absent. Nested ones are an error, or left out if
  // `skip_nested` (other senders put whole documents there).
  bool Properties(std::string_view field, JsonElement value, bool skip_nested,
                  std::vector<store::PropertyView>* properties, ItemError* error) const;

  const store::BatchBuilder& batch() const { return batch_; }
  const Published& published() const { return *published_; }
  int64_t now_ms() const { return now_ms_; }
  // The kind of ids that are not known yet, and of those they are linked to.
  const std::string& anonymous_kind() const { return anonymous_kind_; }
  const std::string& known_kind() const { return known_kind_; }

 private:
  bool CheckTime(std::string_view field, int64_t ts_ms, ItemError* error) const;
  bool CheckUnit(std::string_view field, const store::UnitRef& unit, ItemError* error) const;
  bool Unit(std::string_view field, JsonElement value, std::string_view default_kind,
            store::UnitRef* unit, ItemError* error) const;
  bool Ids(JsonElement value, ItemError* error);
  bool ReadExposure(JsonObject object, store::ExposureView* exposure, bool* has_phase,
                    ItemError* error);
  bool ReadEvent(JsonObject object, store::EventView* event, ItemError* error);
  // Whether an item with this id was in the batch before.
  bool SeenBefore(char kind, std::string_view id);

  const Published* published_ = nullptr;
  const Limits* limits_ = nullptr;
  int64_t now_ms_ = 0;
  std::string anonymous_kind_;
  std::string known_kind_;
  store::BatchBuilder batch_;
  absl::flat_hash_set<std::string> ids_seen_;
  std::vector<store::PropertyView> properties_;
  std::vector<store::UnitRef> units_;
};

}  // namespace fulcrum::server
