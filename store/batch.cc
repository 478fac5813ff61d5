// SPDX-License-Identifier: Apache-2.0
//
// Payload: a version byte, then items. An item is a tag byte and its fields in the order below.
// Integers are LEB128 varints (signed ones zigzag), doubles 8 bytes little-endian, texts a varint
// length and the bytes. Integrity is the keeper's: the inbox stores a checksum beside each payload.
#include "store/batch.h"

#include <bit>
#include <cstring>
#include <vector>

namespace fulcrum::store {
namespace {

static_assert(std::endian::native == std::endian::little, "doubles are copied as they are");

constexpr char kVersion = 1;
enum Tag : uint8_t { kExposure = 1, kEvent = 2, kLink = 3, kClientCounts = 4 };

// Which optional fields an event has; the rest cost one bit.
enum EventFlag : uint8_t { kHasValue = 1, kHasCurrency = 2, kHasOrder = 4, kHasSession = 8 };

void PutVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void PutSigned(int64_t value, std::string* out) {
  PutVarint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63), out);
}

void PutDouble(double value, std::string* out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out->append(bytes, sizeof value);
}

void PutText(std::string_view text, std::string* out) {
  PutVarint(text.size(), out);
  out->append(text);
}

void PutUnit(const UnitRef& unit, std::string* out) {
  PutText(unit.kind, out);
  PutText(unit.id, out);
}

void PutProperties(std::span<const PropertyView> properties, std::string* out) {
  PutVarint(properties.size(), out);
  for (const PropertyView& property : properties) {
    PutText(property.key, out);
    out->push_back(static_cast<char>(property.type));
    switch (property.type) {
      case PropertyType::kBool:
        out->push_back(property.boolean ? 1 : 0);
        break;
      case PropertyType::kNumber:
        PutDouble(property.number, out);
        break;
      case PropertyType::kString:
        PutText(property.text, out);
        break;
    }
  }
}

// Walks a payload; after the first damaged field every read gives zeros and ok() is false.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool ok() const { return ok_; }
  bool done() const { return at_ == end_; }

  uint8_t Byte() {
    if (at_ == end_) return Fail();
    return static_cast<uint8_t>(*at_++);
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return Fail();
      const auto byte = static_cast<uint8_t>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Fail();
  }

  int64_t Signed() {
    const uint64_t value = Varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }

  double Double() {
    double value = 0;
    if (end_ - at_ < static_cast<ptrdiff_t>(sizeof value)) return Fail();
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string_view Text() {
    const uint64_t size = Varint();
    if (size > static_cast<uint64_t>(end_ - at_)) {
      Fail();
      return {};
    }
    const std::string_view text(at_, size);
    at_ += size;
    return text;
  }

  // A count of things that take at least one byte each, so that damage cannot ask for memory.
  size_t Count() {
    const uint64_t count = Varint();
    if (count > static_cast<uint64_t>(end_ - at_)) return Fail();
    return count;
  }

  UnitRef Unit() {
    const std::string_view kind = Text();
    return {kind, Text()};
  }

  void Properties(std::vector<PropertyView>* properties) {
    properties->resize(Count());
    for (PropertyView& property : *properties) {
      property = PropertyView{.key = Text()};
      switch (Byte()) {
        case static_cast<uint8_t>(PropertyType::kBool):
          property.type = PropertyType::kBool;
          property.boolean = Byte() != 0;
          break;
        case static_cast<uint8_t>(PropertyType::kNumber):
          property.type = PropertyType::kNumber;
          property.number = Double();
          break;
        case static_cast<uint8_t>(PropertyType::kString):
          property.text = Text();
          break;
        default:
          Fail();
      }
      if (!ok_) return;
    }
  }

 private:
  uint8_t Fail() {
    ok_ = false;
    at_ = end_;
    return 0;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

struct Scratch {
  std::vector<PropertyView> properties;
  std::vector<UnitRef> ids;
};

void ReadExposure(Cursor& cursor, Scratch& scratch, const BatchVisitor& visitor) {
  ExposureView exposure;
  exposure.exposure_id = cursor.Text();
  exposure.experiment = cursor.Text();
  exposure.variant = cursor.Text();
  exposure.unit = cursor.Unit();
  exposure.ts_ms = cursor.Signed();
  exposure.snapshot = cursor.Text();
  exposure.phase = static_cast<int32_t>(cursor.Signed());
  exposure.propensity = cursor.Double();
  cursor.Properties(&scratch.properties);
  exposure.attributes = scratch.properties;
  if (cursor.ok() && visitor.exposure) visitor.exposure(exposure);
}

void ReadEvent(Cursor& cursor, Scratch& scratch, const BatchVisitor& visitor) {
  EventView event;
  const uint8_t flags = cursor.Byte();
  event.event_id = cursor.Text();
  event.name = cursor.Text();
  event.ts_ms = cursor.Signed();
  scratch.ids.resize(cursor.Count());
  for (UnitRef& id : scratch.ids) id = cursor.Unit();
  event.ids = scratch.ids;
  if ((flags & kHasOrder) != 0) event.order_id = cursor.Text();
  if ((flags & kHasSession) != 0) event.session_id = cursor.Text();
  if ((flags & kHasValue) != 0) event.value = cursor.Double();
  if ((flags & kHasCurrency) != 0) event.currency = cursor.Text();
  cursor.Properties(&scratch.properties);
  event.properties = scratch.properties;
  if (cursor.ok() && visitor.event) visitor.event(event);
}

void ReadLink(Cursor& cursor, const BatchVisitor& visitor) {
  LinkView link;
  link.anonymous = cursor.Unit();
  link.known = cursor.Unit();
  link.ts_ms = cursor.Signed();
  if (cursor.ok() && visitor.link) visitor.link(link);
}

void ReadClientCounts(Cursor& cursor, const BatchVisitor& visitor) {
  ClientCountsView counts;
  counts.experiment = cursor.Text();
  counts.variant = cursor.Text();
  counts.assigned = cursor.Signed();
  counts.shown = cursor.Signed();
  counts.sent = cursor.Signed();
  counts.dropped = cursor.Signed();
  if (cursor.ok() && visitor.client_counts) visitor.client_counts(counts);
}

void Begin(Tag tag, std::string* payload, int64_t* size) {
  if (payload->empty()) payload->push_back(kVersion);
  payload->push_back(static_cast<char>(tag));
  ++*size;
}

}  // namespace

void BatchBuilder::Add(const ExposureView& exposure) {
  Begin(kExposure, &payload_, &size_);
  PutText(exposure.exposure_id, &payload_);
  PutText(exposure.experiment, &payload_);
  PutText(exposure.variant, &payload_);
  PutUnit(exposure.unit, &payload_);
  PutSigned(exposure.ts_ms, &payload_);
  PutText(exposure.snapshot, &payload_);
  PutSigned(exposure.phase, &payload_);
  PutDouble(exposure.propensity, &payload_);
  PutProperties(exposure.attributes, &payload_);
}

void BatchBuilder::Add(const EventView& event) {
  Begin(kEvent, &payload_, &size_);
  const int flags = (event.value ? kHasValue : 0) | (!event.currency.empty() ? kHasCurrency : 0) |
                    (!event.order_id.empty() ? kHasOrder : 0) |
                    (!event.session_id.empty() ? kHasSession : 0);
  payload_.push_back(static_cast<char>(flags));
  PutText(event.event_id, &payload_);
  PutText(event.name, &payload_);
  PutSigned(event.ts_ms, &payload_);
  PutVarint(event.ids.size(), &payload_);
  for (const UnitRef& id : event.ids) PutUnit(id, &payload_);
  if ((flags & kHasOrder) != 0) PutText(event.order_id, &payload_);
  if ((flags & kHasSession) != 0) PutText(event.session_id, &payload_);
  if ((flags & kHasValue) != 0) PutDouble(*event.value, &payload_);
  if ((flags & kHasCurrency) != 0) PutText(event.currency, &payload_);
  PutProperties(event.properties, &payload_);
}

void BatchBuilder::Add(const LinkView& link) {
  Begin(kLink, &payload_, &size_);
  PutUnit(link.anonymous, &payload_);
  PutUnit(link.known, &payload_);
  PutSigned(link.ts_ms, &payload_);
}

void BatchBuilder::Add(const ClientCountsView& counts) {
  Begin(kClientCounts, &payload_, &size_);
  PutText(counts.experiment, &payload_);
  PutText(counts.variant, &payload_);
  PutSigned(counts.assigned, &payload_);
  PutSigned(counts.shown, &payload_);
  PutSigned(counts.sent, &payload_);
  PutSigned(counts.dropped, &payload_);
}

void BatchBuilder::Clear() {
  payload_.clear();
  size_ = 0;
}

bool ReadBatch(std::string_view payload, const BatchVisitor& visitor, std::string* error) {
  if (payload.empty()) return true;  // A batch of nothing.
  Cursor cursor(payload);
  if (const uint8_t version = cursor.Byte(); version != kVersion) {
    *error = "the payload has version " + std::to_string(version) + ", this program reads " +
             std::to_string(kVersion);
    return false;
  }
  Scratch scratch;
  int64_t item = 0;
  for (; !cursor.done(); ++item) {
    switch (cursor.Byte()) {
      case kExposure:
        ReadExposure(cursor, scratch, visitor);
        break;
      case kEvent:
        ReadEvent(cursor, scratch, visitor);
        break;
      case kLink:
        ReadLink(cursor, visitor);
        break;
      case kClientCounts:
        ReadClientCounts(cursor, visitor);
        break;
      default:
        *error = "item " + std::to_string(item) + " has an unknown tag";
        return false;
    }
    if (!cursor.ok()) {
      *error = "item " + std::to_string(item) + " is cut off or malformed";
      return false;
    }
  }
  return true;
}

}  // namespace fulcrum::store
