// SPDX-License-Identifier: Apache-2.0
//
// What a simulated life leaves behind: exposures, events and links, in a compact form that a driver
// turns into HTTP bodies, store batches or files.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

namespace fulcrum::sim {

enum class EventType : uint8_t {
  kBrowse,
  kSearch,
  kConsult,
  kAnswer,
  kCart,
  kRegister,
  kLogin,
  kOrder,
  kPay,
  kCancel,
  kRefund,
  kService,
};
inline constexpr int kEventTypeCount = 12;

// The canonical name: "browse", "pay", …
std::string_view EventTypeName(EventType type);

// The one numeric property an event of this type carries beside its value: "discount" of an order
// or a payment (currency), "wait_s" of an answer, "rating" (1 to 5) of a service; "" for others.
std::string_view NumberProperty(EventType type);

enum class RecordKind : uint8_t { kExposure, kEvent, kLink };

inline constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

struct Record {
  RecordKind kind = RecordKind::kEvent;
  EventType event = EventType::kBrowse;
  uint8_t device = 0;         // Which of the user's devices.
  bool names_user = false;    // Event: carries the user's id. Exposure: the user is the unit.
  bool names_device = false;  // Event: carries the device's id. Exposure: the device is the unit.
  bool registered = false;    // As the visitor stood at that moment …
  bool desktop = false;       // Sent by a desktop browser.
  bool lost = false;          // Never arrives anywhere.
  bool copy = false;          // A second arrival of a record, with the same id.
  uint32_t user = 0;
  int32_t visit = 0;
  int32_t orders_before = 0;  // … and what was paid before.
  int32_t experiment = -1;    // Exposure: index into Definitions::experiments …
  int32_t variant = -1;       // … and its variants.
  int32_t phase = 0;
  double propensity = 0;
  int64_t ts_ms = 0;         // When it happened.
  int64_t received_ms = 0;   // When it reaches the collector; never before ts_ms.
  double value = kNoValue;   // Currency units, before the coupon.
  double number = kNoValue;  // See NumberProperty.
};

}  // namespace fulcrum::sim
